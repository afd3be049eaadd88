"""The folder of a job in muslin's cache: its process is started from here, and tells here how far it is."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muslin.errors import StorageError
from muslin.messages import Message
from muslin.storage.atomic import storage_errors
from muslin.storage.locks import lock
from muslin.studio.job_process import OUTPUT, STOP, Work, read_state, write_state

LOCKED = "job_running"


@dataclass(frozen=True)
class JobFolder:
    """A folder in which at most one process works at a time.

    Attributes:
        path: the folder, which need not exist.
        ended: the message's code of a process that ended without a result.
    """

    path: Path
    ended: str = "job_ended"

    def start(self, cwd: Path, state: dict[str, Any], work: Work, params: Mapping[str, Any]) -> None:
        """Start the process, which begins with `state`.

        Args:
            cwd: the folder in which it runs.
            params: JSON values. They are not written anywhere.

        Raises:
            StorageError: a process runs here already (LOCKED), or the folder cannot be written.
        """
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            lock(handle, self.path, LOCKED)
            (self.path / STOP).unlink(missing_ok=True)
            write_state(self.path, state)
            given = {
                "folder": str(self.path), "state": state, "params": params, "ended": self.ended,
                "work": f"{work.__module__}:{work.__name__}",
            }  # fmt: skip
            self._start_process(cwd, handle, given)
        finally:
            os.close(handle)  # the process holds the lock with its own copy

    def _start_process(self, cwd: Path, handle: int, given: dict[str, Any]) -> None:
        with open(self.path / OUTPUT, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from muslin.studio.job_process import main; main()"],
                stdin=subprocess.PIPE,  # an argument would show a database's password to other users
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C in the studio's terminal does not end it
                pass_fds=[handle],
            )
        assert process.stdin
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(json.dumps(given).encode())
        threading.Thread(target=process.wait, daemon=True).start()  # else the system keeps what is left of it

    @property
    def state(self) -> dict[str, Any] | None:
        """The state of what was last started here; None where nothing was."""
        is_running = self.is_running  # looked up first, so that what a process that has ended wrote is read
        state = read_state(self.path)
        if state is None:
            return None
        state["is_running"] = is_running  # also what has written its result: the next cannot begin yet
        if not is_running and state["result"] is None and state["error"] is None:
            state["error"] = Message("job_stopped" if (self.path / STOP).exists() else self.ended)
        return state

    @property
    def is_running(self) -> bool:
        """Whether a process holds the folder's lock."""
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError:
            return False
        try:
            lock(handle, self.path, LOCKED)
        except StorageError:
            return True
        finally:
            os.close(handle)
        return False

    def stop(self, *, at_once: bool = False) -> None:
        """Tell the process to stop: after its step, or `at_once` where it takes no steps.

        What a process writes is complete at every moment, so that it can be ended at any.
        """
        if not self.is_running:
            return
        (self.path / STOP).touch()
        state = read_state(self.path)
        if at_once and state and state["pid"]:
            with suppress(ProcessLookupError):
                os.kill(state["pid"], signal.SIGTERM)
