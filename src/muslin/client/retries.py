"""Which requests are sent again, and when."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

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


def asked_s(retry_after: str | None) -> float:
    """The seconds of a `Retry-After`, which is a number or a date (RFC 9110, 10.2.3); 0 for none or another text.

    >>> asked_s("3"), asked_s("soon"), asked_s("Sun, 06 Nov 1994 08:49:37 GMT")
    (3.0, 0.0, 0.0)
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
