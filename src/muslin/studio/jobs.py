"""Long work that a page starts in the studio's folder: trainings, audits, taggings, downloads.

Each job is a process of its own that goes on when the page and the studio are closed. Its state lies in muslin's cache,
by the studio's folder, so that every studio on this folder sees it.
"""

import datetime
import hashlib
import re
import secrets
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError
from muslin.review.clock import now_text
from muslin.storage.atomic import cache_folder
from muslin.studio.job_folder import JobFolder
from muslin.studio.job_kinds import JOBS
from muslin.studio.job_process import first_state

MAX_RUNNING = 3
"""Jobs of one folder that run at a time: more would only slow each other."""

MAX_KEPT = 100
"""Jobs that are listed, newest first."""

ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{6}-[0-9a-f]{4}")


class Jobs:
    """The jobs of one folder. Safe to use from several threads at once.

    Args:
        root: the studio's folder, absolute, with links resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = cache_folder() / "jobs" / hashlib.sha256(str(root).encode(errors="surrogateescape")).hexdigest()
        self._starting = threading.Lock()

    def start(self, kind: str, who: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Start a job of JOBS; its state.

        Raises:
            MuslinError: there is no such kind, its parameters are invalid, or MAX_RUNNING jobs run already.
            StorageError: the cache cannot be written.
        """
        if kind not in JOBS:
            raise MuslinError("request_choice", name="kind", choices=list(JOBS))
        checked = JOBS[kind].check(self._root, params)
        with self._starting:
            running = [state["id"] for state in self.list() if state["is_running"]]
            if len(running) >= MAX_RUNNING:
                raise MuslinError("jobs_running", maximum=MAX_RUNNING)
            job_id = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"
            state = first_state(kind, who, id=job_id, params=checked, started=now_text())
            self._of(job_id).start(self._root, state, JOBS[kind].work, checked)
            self._remove_old()
        return state

    def list(self) -> Sequence[dict[str, Any]]:
        """The states of all jobs, newest first."""
        states = (self._of(name).state for name in self._ids()[:MAX_KEPT])
        return [state for state in states if state is not None]

    def get(self, job_id: str) -> dict[str, Any]:
        """The state of a job.

        Raises:
            MuslinError: there is no such job.
        """
        state = self._of(job_id).state if ID.fullmatch(job_id) else None
        if state is None:
            raise MuslinError("job_unknown", id=job_id[:60])
        return state

    def stop(self, job_id: str) -> dict[str, Any]:
        """Tell a job to stop; its state. What has ended stays as it is.

        Raises:
            MuslinError: there is no such job.
        """
        state = self.get(job_id)
        self._of(job_id).stop(at_once=state["kind"] not in JOBS or not JOBS[state["kind"]].takes_steps)
        return self.get(job_id)

    def _of(self, job_id: str) -> JobFolder:
        return JobFolder(self._folder / job_id)

    def _ids(self) -> Sequence[str]:
        """The names of all jobs, newest first."""
        try:
            return sorted((path.name for path in self._folder.iterdir() if ID.fullmatch(path.name)), reverse=True)
        except OSError:
            return []

    def _remove_old(self) -> None:
        for name in self._ids()[MAX_KEPT:]:
            if not self._of(name).is_running:
                with suppress(OSError):
                    shutil.rmtree(self._folder / name)
