"""Threads that work for an event loop, and report several results at a time: waking the loop takes longer than a small
image does.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Job = TypeVar("Job")


class WorkThreads(Generic[Job]):
    """Threads that do jobs in the order in which they come.

    Args:
        work: does a job; called in a thread. It never raises.
        report: gets the jobs that are done; called in the event loop.
        count: how many threads.
        weight: of a job. A thread reports once the jobs that it has done weigh 1 together, or no other waits.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Job], None],
        report: Callable[[Sequence[Job]], None],
        *,
        count: int = 1,
        weight: Callable[[Job], float] = lambda job: 1.0,
    ) -> None:
        self._work, self._report, self._weight = work, report, weight
        self._waiting: SimpleQueue[Job | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began: list[float | None] = [None] * count  # each thread's work, while it lasts
        self._threads = [threading.Thread(target=self._run, args=(i,), name=name, daemon=True) for i in range(count)]

    def add(self, job: Job) -> None:
        """A job to do; called in the event loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            for thread in self._threads:
                thread.start()
        self._waiting.put(job)

    def close(self) -> None:
        """End the threads, once what waits is done."""
        for _ in self._threads:
            self._waiting.put(None)

    def busy_s(self) -> float:
        """Seconds that the longest of the jobs takes that are being done now; 0 where there is none."""
        now = time.monotonic()
        return max((now - began for began in self._began if began is not None), default=0.0)

    def _run(self, place: int) -> None:
        while (job := self._waiting.get()) is not None:
            done, weight, is_last = [job], self._weight(job), False
            self._began[place] = time.monotonic()
            self._work(job)
            while weight < 1:
                try:
                    job = self._waiting.get_nowait()
                except Empty:
                    break
                if job is None:
                    is_last = True
                    break
                self._began[place] = time.monotonic()
                self._work(job)
                done.append(job)
                weight += self._weight(job)
            self._began[place] = None
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(self._report, done)
            except RuntimeError:  # the loop has ended, and nobody waits
                return
            if is_last:
                return
