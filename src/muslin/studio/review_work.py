"""Long work on a review store that the page starts: training a candidate, promoting it, undoing that, and a forecast.

Each runs in a process of its own (`review_work_process`), so that no decision waits for it, and goes on when the page
and the studio are closed. Only for stores that the user named: a training reads whatever files the store names, and
anybody may have written one in the folder.
"""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError, StorageError
from muslin.messages import Message
from muslin.storage.atomic import cache_folder, storage_errors
from muslin.storage.locks import lock
from muslin.studio.review_stores import OpenStore
from muslin.studio.review_work_process import OUTPUT, STATE, STOP, WORKS, first_state, write_state
from muslin.workers import unpack_messages

__all__ = ["WORKS", "ReviewWork"]

RUNNING = "review_work_running"


class ReviewWork:
    """At most one work for each store. Safe to use from several threads at once.

    Args:
        root: the folder in which runs are written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def start(self, opened: OpenStore, kind: str, who: str, **of_work: str | None) -> dict[str, Any]:
        """Begin a work of WORKS; its state.

        Raises:
            MuslinError: the store lies in the folder and nobody named it.
            StorageError: another work of the store is running, or the state cannot be written.
        """
        if not opened.is_named:
            raise MuslinError("review_serve_needed", store=opened.name)
        folder = _folder(opened)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            try:
                lock(handle, folder, RUNNING)
            except StorageError as error:
                raise StorageError(RUNNING, store=opened.name) from error
            (folder / STOP).unlink(missing_ok=True)
            state = first_state(kind, who)
            write_state(folder, state)
            params = {"folder": str(folder), "state": state, "place": opened.place, "of_work": of_work}
            self._start_process(folder, handle, params)
        finally:
            os.close(handle)  # the process holds the lock with its own copy
        return _shown(state)

    def _start_process(self, folder: Path, handle: int, params: dict[str, Any]) -> None:
        with open(folder / OUTPUT, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from muslin.studio.review_work_process import main; main()"],
                stdin=subprocess.PIPE,  # an argument would show the database's password to other users
                stdout=output,
                stderr=output,
                cwd=self._root,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C in the studio's terminal does not end it
                pass_fds=[handle],
            )
        assert process.stdin
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(json.dumps(params).encode())
        threading.Thread(target=process.wait, daemon=True).start()  # else the system keeps what is left of it

    def of(self, opened: OpenStore) -> dict[str, Any] | None:
        """The state of what was last started on the store; None where nothing was."""
        folder = _folder(opened)
        is_running = _is_locked(folder)  # looked up first, so that what a process that has ended wrote is read
        try:
            state: dict[str, Any] = unpack_messages(json.loads((folder / STATE).read_bytes()))
        except (OSError, ValueError):
            return None
        state["is_running"] = is_running  # also what has written its result: the next work cannot begin yet
        if not is_running and state["result"] is None and state["error"] is None:
            state["error"] = Message("review_work_ended")
        return _shown(state)

    def stop(self, opened: OpenStore) -> None:
        """Tell what is running to stop after its step."""
        folder = _folder(opened)
        if _is_locked(folder):
            (folder / STOP).touch()


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in ("kind", "is_running", "lines", "error", "result")}


def _folder(opened: OpenStore) -> Path:
    return cache_folder() / "review-work" / opened.store.info.id


def _is_locked(folder: Path) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        lock(handle, folder, RUNNING)
    except StorageError:
        return True
    finally:
        os.close(handle)
    return False
