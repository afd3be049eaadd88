"""The side of `muslin.distributed.processes` that runs in a worker: it keeps what is shared, and runs tasks."""

import os
import select
import threading
from contextlib import suppress
from functools import cache
from typing import Any

from muslin.distributed.environment import check_environment
from muslin.distributed.tasks import check_shared, load_task, run_task
from muslin.execution import Params, Shard

_shared: dict[str, bytes] = {}


def work(params: Params, content: bytes) -> tuple[Params, Any]:
    """Run a shard of `task`; or without one check `environment`, or keep `content` as what is shared as `name`,
    or forget it without a `digest`."""
    _end_with_head()
    if environment := params.get("environment"):
        check_environment(environment)
        return {}, b""
    if "task" not in params:
        _shared.pop(params["name"], None)
        if digest := params.get("digest"):
            check_shared({params["name"]: content}, {params["name"]: digest})
            _shared[params["name"]] = content
        return {}, b""
    parts = split(content, params["sizes"])
    result = run_task(load_task(params["task"]), Shard(params["params"], parts), _shared)
    return {"params": result.params, "sizes": sizes_of(result.content)}, b"".join(result.content.values())


def sizes_of(content: Any) -> list[tuple[str, int]]:
    """Names and sizes of parts, to `split` them again when they are joined."""
    return [(name, len(part)) for name, part in content.items()]


def split(joined: bytes | bytearray, sizes: Any) -> dict[str, bytes]:
    """Parts by their names, from all of them together."""
    parts, start = {}, 0
    for name, size in sizes:
        parts[str(name)] = bytes(joined[start : start + size])
        start += size
    return parts


@cache
def _end_with_head() -> None:
    """End this process, whatever it computes, once the one that started it is gone and its pipe closes."""

    def wait() -> None:
        poll = select.poll()
        poll.register(0, 0)  # of no event but the end
        poll.poll()
        os._exit(1)

    with suppress(AttributeError):  # Windows has no poll: there it ends after its shard
        _ = select.poll
        threading.Thread(target=wait, daemon=True).start()
