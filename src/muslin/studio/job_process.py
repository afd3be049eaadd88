"""The process of a job, such as a training, which goes on when the page and the studio are closed.

Its folder holds `state.json`, which it writes as the job goes on; `stop`, a file by which it is told to stop; and
`output.txt`, what libraries print. The process holds the folder's lock as long as it lives.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError, StoppedError, StorageError
from muslin.messages import Message
from muslin.storage.atomic import write_atomically
from muslin.strict_json import json_text
from muslin.studio.shown_paths import without_folders
from muslin.workers import pack_messages, unpack_messages

STATE, STOP, OUTPUT = "state.json", "stop", "output.txt"
LINES_KEPT = 200
REPORT_EVERY_S = 0.4
"""Seconds between two states with another progress: a page asks once a second."""

Params = Mapping[str, Any]


def first_state(kind: str, who: str, **more: Any) -> dict[str, Any]:
    """The state of a job that begins.

    `lines` is what it said, messages and texts; `progress` is from 0 to 1 or None, and `detail` says more of it. In the
    end there is an `error` or a `result`.
    """
    return {
        "kind": kind, "who": who, "pid": None, "is_running": True, "lines": [], "progress": None, "detail": {},
        "error": None, "result": None,
    } | more  # fmt: skip


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the state in a job's folder.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomically(folder / STATE, json_text(pack_messages(state)))


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state in a job's folder; None where there is none, or none that this version can show."""
    try:
        state = unpack_messages(json.loads((folder / STATE).read_bytes()))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and first_state("", "").keys() <= state.keys() else None


class Job:
    """The state of a job, written as it changes, and whether the job is to stop."""

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self._folder, self.state, self._reported_at = folder, state, 0.0

    def log(self, line: str) -> None:
        """Add a line to what the job said."""
        self._try_change(lines=[*self.state["lines"], line][-LINES_KEPT:])

    def report(self, progress: float | None, *, at_once: bool = False, **detail: Any) -> None:
        """Say how far the job is; with `at_once` also if it said so a moment ago."""
        self.state |= {"progress": progress, "detail": self.state["detail"] | detail}
        if at_once or time.monotonic() - self._reported_at > REPORT_EVERY_S:
            self._reported_at = time.monotonic()
            self._try_change()

    def should_stop(self) -> bool:
        """Whether the page asked to stop."""
        return (self._folder / STOP).exists()

    def change(self, **changes: Any) -> None:
        """Change the state.

        Raises:
            StorageError: it cannot be written.
        """
        self.state |= changes
        write_state(self._folder, self.state)

    def _try_change(self, **changes: Any) -> None:
        with suppress(StorageError):  # a full cache is no reason to end a training
            self.change(**changes)


Work = Callable[[Job, Params], dict[str, Any]]
"""What a job does with its parameters; its result, as JSON values and messages. It can raise a MuslinError."""


def main() -> None:
    """Do the work that stdin describes: `folder`, `state`, `work` as MODULE:FUNCTION, its `params`, and the code
    `ended` for a job that ended early."""
    given = json.load(sys.stdin)
    job = Job(Path(given["folder"]), given["state"])
    try:
        job.change(pid=os.getpid())
        if job.should_stop():  # said before anybody knew the process
            raise StoppedError("job_stopped")
        module, _, name = given["work"].partition(":")
        result = getattr(import_module(module), name)(job, given["params"])
        job.change(result=result)
    except MuslinError as error:
        job.change(error=without_folders(error.message))
    except Exception:
        traceback.print_exc()
        job.change(error=Message(given["ended"]))
