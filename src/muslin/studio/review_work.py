"""Long work on a review store that the page starts: training a candidate, promoting it, and undoing that.

Each runs in a process of its own, so that no decision waits for it, and is stopped with the studio. Only for stores
that the user named: a training reads whatever files the store names, and anybody may have written one in the folder.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError
from muslin.messages import Message
from muslin.studio.review_stores import OpenStore

LINES_KEPT = 200
STOP_S = 5.0  # until a process that was asked to stop is ended

Report = Callable[[str, Any], None]


@dataclass
class Work:
    """What was last started on a store.

    Attributes:
        lines: what it said, the last lines.
        error: why it ended early.
        result: plain values for JSON, once it is done: see `_train`, `_promote` and `_undo_promotion`.
    """

    kind: str
    process: Any = field(repr=False)
    lines: list[str] = field(default_factory=list)
    error: Message | None = None
    result: dict[str, Any] | None = None

    @property
    def is_running(self) -> bool:
        return self.error is None and self.result is None

    def to_dict(self) -> dict[str, Any]:
        kept = {"lines": self.lines[-LINES_KEPT:], "error": self.error, "result": self.result}
        return {"kind": self.kind, "is_running": self.is_running} | kept


class ReviewWork:
    """At most one work per store. Safe to use from several threads at once.

    Args:
        root: the folder in which runs are written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._works: dict[str, Work] = {}

    def start(self, opened: OpenStore, kind: str, who: str, digest: str = "") -> Work:
        """Begin a work of WORKS.

        Raises:
            MuslinError: another one is running, or the store lies in the folder and nobody named it.
        """
        if not opened.is_named:
            raise MuslinError("review_serve_needed", store=opened.name)
        with self._lock:
            before = self._works.get(opened.place)
            if before is not None and before.is_running:
                raise MuslinError("review_work_running", store=opened.name)
            context = multiprocessing.get_context("spawn")
            receive, send = context.Pipe(duplex=False)
            arguments = (send, str(self._root), opened.place, kind, who, digest)
            work = Work(kind, context.Process(target=_work, args=arguments, name=f"muslin {kind}"))
            work.process.start()
            send.close()
            self._works[opened.place] = work
        threading.Thread(target=_listen, args=(work, receive), daemon=True).start()
        return work

    def of(self, opened: OpenStore) -> Work | None:
        """What was last started on the store, if anything was."""
        with self._lock:
            return self._works.get(opened.place)

    def close(self) -> None:
        """Stop what is running, at the studio's end. The store is then as it was."""
        with self._lock:
            running = [work.process for work in self._works.values() if work.is_running]
        for process in running:
            process.terminate()
        for process in running:
            process.join(STOP_S)
            if process.is_alive():
                process.kill()


def _listen(work: Work, receive: Connection) -> None:
    """Keep what the process says, until it ends."""
    with suppress(EOFError, OSError):
        while True:
            name, value = receive.recv()
            if name == "line":
                work.lines.append(value)
                del work.lines[:-LINES_KEPT]
            else:
                setattr(work, name, value)
    if work.is_running:
        work.error = Message("review_work_ended")
    work.process.join()


# ── In the process ───────────────────────────────────────────────────────────────────────────────────────


def _work(send: Connection, root: str, place: str, kind: str, who: str, digest: str) -> None:
    from muslin.review.store import Store

    def report(name: str, value: Any) -> None:
        send.send((name, value))

    os.chdir(root)
    try:
        with Store.open(place) as store:
            report("result", WORKS[kind](store, who, digest, report))
    except MuslinError as error:
        report("error", _without_folder(error.message))
    except (OSError, MemoryError) as error:
        report("line", str(error))
        report("error", Message("review_work_ended"))


def _without_folder(message: Message) -> Message:
    """The message with the name of a file in place of its path on this machine."""
    path = message.params.get("path")
    if not isinstance(path, str) or not os.path.isabs(path):
        return message
    return Message(message.code, message.hint_code, **{**message.params, "path": Path(path).name})


def _train(store: Any, who: str, digest: str, report: Report) -> dict[str, Any]:
    """The digest of the candidate."""
    from muslin.workflows.review_train import train_candidate
    from muslin.workflows.training_data import Callbacks

    candidate = train_candidate(store, callbacks=Callbacks(lambda line: report("line", line)))
    return {"digest": candidate.digest, "run": str(candidate.run.folder.absolute())}


def _promote(store: Any, who: str, digest: str, report: Report) -> dict[str, Any]:
    """Whether the candidate is active now, and why not."""
    from muslin.workflows.review_promote import promote

    found = promote(store, digest, who, log=lambda line: report("line", line))
    return {"digest": found.candidate, "is_promoted": found.is_promoted, "refusals": list(found.refusals)}


def _undo_promotion(store: Any, who: str, digest: str, report: Report) -> dict[str, Any]:
    """The digest of the model that is active again."""
    from muslin.workflows.review_promote import undo_promotion

    return {"digest": undo_promotion(store, who, lambda line: report("line", line))[0]}


WORKS: dict[str, Callable[[Any, str, str, Report], dict[str, Any]]] = {
    "train": _train, "promote": _promote, "undo_promotion": _undo_promotion,
}  # fmt: skip
