"""asyncio's event loop with short turns, so that a new connection is answered soon while hundreds are busy.

A turn of the loop handles whatever has come on all connections, and a request on a new connection takes six turns. With
hundreds of busy clients a turn took 80 ms, and a liveness probe half a second.
"""

import asyncio
from selectors import DefaultSelector, SelectorKey

EVENTS_PER_TURN = 128
"""With 32, what waits for later turns holds up a probe more than a shorter turn helps it."""

Events = list[tuple[SelectorKey, int]]


class ShortTurns(DefaultSelector):
    """Gives at most EVENTS_PER_TURN events at a time; the others come first in the next turns."""

    def __init__(self) -> None:
        super().__init__()
        self._later: Events = []

    def select(self, timeout: float | None = None) -> Events:
        # what was closed or changed since then is left out: if it still is ready, the system says so again
        events = [(key, mask) for key, mask in self._later if self.get_map().get(key.fd) is key]
        if not events:
            events = super().select(timeout)
        self._later = events[EVENTS_PER_TURN:]
        return events[:EVENTS_PER_TURN]


def event_loop() -> asyncio.AbstractEventLoop:
    """A new loop with short turns."""
    return asyncio.SelectorEventLoop(ShortTurns())
