"""Which requests are sent again, and when."""

import random
import time
from collections.abc import Callable

from muslin.fetching.retry_after import asked_s

FULL = (429, 502, 503)
"""Statuses of a server, or of a proxy before it, that can answer later."""

FIRST_WAIT_S = 0.1
MAX_WAIT_S = 5.0


class Retries:
    """When one request is sent again: not before the server's `Retry-After`, and each time after a longer wait.

    Args:
        retry_s: seconds after the first attempt within which another one may begin.
    """

    def __init__(self, retry_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._end, self._wait_s = now, now() + retry_s, FIRST_WAIT_S

    def wait_s(self, retry_after: str | None = None) -> float | None:
        """Seconds until the next attempt; None where it would be too late.

        Waits are drawn at random, so that clients which were refused together do not return together.
        """
        wait_s = asked_s(retry_after) + random.uniform(self._wait_s / 2, self._wait_s)
        self._wait_s = min(2 * self._wait_s, MAX_WAIT_S)
        return wait_s if self._now() + wait_s <= self._end else None
