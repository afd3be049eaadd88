"""A worker of a Ray cluster: one processor of one machine, with the task and what is shared loaded once.

It responds with JSON and bytes, whatever happens, so that neither a class of muslin nor a traceback of Ray has to be
understood on the other side.
"""

import json
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from muslin.distributed.environment import check_environment
from muslin.distributed.tasks import check_shared, load_task, run_task
from muslin.errors import MuslinError
from muslin.execution import THREADS_VARIABLE, Params, Shard, ShardResult, Task
from muslin.workers import pack_messages, unpack_messages

Response = tuple[bytes, dict[str, bytes]]
"""JSON with one of `result`, `error`, `fault` and `ended`; and bytes by name."""


class RayWorker:
    """The task of a job, ready for its shards.

    Args:
        setup: JSON with `head` (the environment of who asks), `task`, `digests` and `memory_mb`.
        shared: by name what the digests are of.
        worker: what messages call this machine.
    """

    def __init__(self, setup: bytes, shared: Mapping[str, bytes], worker: str) -> None:
        params = json.loads(setup)
        check_environment(params["head"], worker)
        check_shared(shared, params["digests"])
        os.environ[THREADS_VARIABLE] = "1"
        self._shared = shared
        self._task: Task = load_task(params["task"])
        _limit_memory(params["memory_mb"])

    def run(self, params: bytes, content: Mapping[str, bytes]) -> ShardResult:
        return run_task(self._task, Shard(unpack_messages(json.loads(params)), content), self._shared)


def start(setup: bytes, shared: Mapping[str, bytes], worker: str) -> tuple[RayWorker | None, Response]:
    """A worker, or why there is none."""
    made: list[RayWorker] = []

    def make() -> ShardResult:
        made.append(RayWorker(setup, shared, worker))
        return ShardResult({})

    response = respond(make)
    return (made[0] if made else None), response


def respond(work: Callable[..., ShardResult], *arguments: Any) -> Response:
    """What `work` gives or raises."""
    try:
        result = work(*arguments)
        return _json({"result": result.params}), dict(result.content)
    except MuslinError as error:
        return _json({"error": [type(error).__name__, error.code, error.hint_code, error.params]}), {}
    except MemoryError:
        return _json({"ended": "memory"}), {}
    except Exception:
        return _json({"fault": traceback.format_exc()}), {}


def result_of(response: Response) -> ShardResult | MuslinError | RuntimeError | None:
    """What a response says; None if the work ended without a result."""
    found, content = unpack_messages(json.loads(response[0])), response[1]
    if "result" in found:
        return ShardResult(found["result"], content)
    if "error" in found:
        kind, code, hint, params = found["error"]
        kinds = {each.__name__: each for each in MuslinError.__subclasses__()}
        return kinds.get(kind, MuslinError)(code, hint, **params)
    return RuntimeError(found["fault"]) if "fault" in found else None


def _json(value: Params) -> bytes:
    return json.dumps(pack_messages(value), default=str).encode()


def _limit_memory(more_mb: int) -> None:
    """Let an allocation fail beyond `more_mb` of own memory; what is mapped of Ray's object store does not count."""
    try:
        import resource

        with open("/proc/self/status", encoding="ascii") as status:
            used_kb = next(int(line.split()[1]) for line in status if line.startswith("VmData:"))
        limit = (used_kb + more_mb * 1024) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (ImportError, OSError, StopIteration, ValueError):
        pass  # not Linux


# ── What travels to a worker by value ────────────────────────────────────────────────────────────────────


def actor_class() -> type:
    """The class of Ray's actor. Ray sends a class within a function as code, so that it also starts where muslin is
    missing, and can say so."""

    class Actor:
        def prepare(self, setup: bytes, shared: Mapping[str, Sequence[Any]]) -> Response:
            import json

            import ray

            node = ray.util.get_node_ip_address()
            try:
                from muslin.distributed import ray_worker
            except ImportError as error:
                return json.dumps({"missing": error.name or "muslin", "worker": node}).encode(), {}
            parts = {name: ray.get(reference) for name, (reference,) in shared.items()}
            self.worker, response = ray_worker.start(setup, parts, node)
            return response

        def run(self, params: bytes, content: Mapping[str, bytes]) -> Response:
            from muslin.distributed import ray_worker

            assert self.worker is not None
            return ray_worker.respond(self.worker.run, params, content)

    return Actor
