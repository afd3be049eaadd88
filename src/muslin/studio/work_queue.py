"""Threads for the work of requests, so that the event loop stays free."""

from collections.abc import Callable
from typing import Any

from anyio import CapacityLimiter, to_thread

from muslin.errors import MuslinError


class WorkQueue:
    """Runs functions in at most `threads` threads; others wait without one, at most `max_requests` altogether."""

    def __init__(self, threads: int, max_requests: int) -> None:
        self._limiter = CapacityLimiter(threads)
        self._max_requests = max_requests
        self._n_requests = 0

    async def run(self, work: Callable[[], Any]) -> Any:
        """The result of `work`.

        Raises:
            MuslinError: too many requests wait already.
        """
        if self._n_requests >= self._max_requests:
            raise MuslinError("too_many_requests", maximum=self._max_requests)
        self._n_requests += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._n_requests -= 1
