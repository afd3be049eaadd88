"""Which photo is asked for next: politely, with pauses, and without end for no host that does not respond.

All times are seconds of the clock that the caller passes, so that nothing here waits.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from muslin.errors import FetchError, MuslinError
from muslin.fetching.address import Address
from muslin.fetching.retry_after import asked_s

CONNECTIONS = 4
"""To one site at a time; browsers make six."""

RATE = 10.0
"""Requests to one site in a second."""

ATTEMPTS = 4
"""For one photo, where a host fails or is busy."""

FAILURES = 6
"""In a row after which a site is given up: no connection, or one that broke."""

BUSY_ANSWERS = 30
"""In a row after which a site is given up: it responds, but with an error of its own."""

MAX_PAUSE_S = 120.0
"""The longest `Retry-After` for which muslin waits."""

MAX_INTERVAL_S = 5.0
"""Between two requests to a site that was busy several times."""

MAX_REDIRECTS = 5

TEMPORARY = frozenset({
    "connection_broken", "host_busy", "host_timeout", "host_not_found", "host_unreachable", "photo_stalled",
    "photo_too_slow",
})  # fmt: skip
"""Codes of failures after which another attempt can succeed."""

OF_HOST = frozenset({"host_not_public", "certificate_invalid"})
"""Codes of failures that all photos of the host share."""

RETRIED_LATER = TEMPORARY | OF_HOST | {"host_given_up", "host_not_confirmed", "redirect_not_confirmed"}
"""Codes of failures that are no answer about the photo: the next run asks again."""


@dataclass(frozen=True)
class Job:
    """A photo to be asked for.

    Attributes:
        key: the address in the table, by which the result is known.
        address: where it is asked for, after redirects.
    """

    key: str
    address: Address
    redirects: int = 0
    attempts: int = 0


@dataclass
class _Site:
    waiting: deque[Job] = field(default_factory=deque)
    delayed: list[tuple[float, int, Job]] = field(default_factory=list)
    not_before: float = 0.0
    interval_s: float = 0.0
    running: int = 0
    failures: int = 0
    busy_answers: int = 0
    paused_until: float = 0.0
    given_up: MuslinError | None = None

    def next_time(self) -> float | None:
        """When a photo of the site can be asked for; None where none is to be now."""
        if self.running >= CONNECTIONS or not (self.waiting or self.delayed):
            return None
        return self.not_before if self.waiting else max(self.not_before, self.delayed[0][0])


class Schedule:
    """The photos that are still to be asked for, site by site. Not for several threads at once."""

    def __init__(self, jobs: Iterable[Job], rate: float = RATE, retry_s: float = 1.0) -> None:
        """`retry_s` are the seconds before a second attempt; each later one waits four times as long."""
        self._interval_s, self._retry_s = 1 / rate, retry_s
        self._sites: dict[str, _Site] = {}
        self._active: deque[str] = deque()
        self._count = 0
        for job in jobs:
            self._add(job)

    @property
    def is_done(self) -> bool:
        """Whether nothing waits or runs."""
        return not self._active

    def take(self, now: float) -> Job | float:
        """The next photo to ask for, or the seconds after which to look again."""
        soonest = now + 1.0
        for _ in range(len(self._active)):
            name = self._active[0]
            self._active.rotate(-1)
            when = self._sites[name].next_time()
            if when is not None and when <= now:
                return self._start(self._sites[name], now)
            soonest = min(soonest, soonest if when is None else when)
        return max(soonest - now, 0.001)

    def succeed(self, job: Job) -> None:
        """The site of a job responded, whether with a photo or not."""
        site = self._end(job)
        site.failures = site.busy_answers = 0
        self._drop_if_done(job.address.site)

    def redirect(self, job: Job, target: Address) -> MuslinError | None:
        """The job goes on at `target`, a confirmed site; or why it does not: too many, or the site was given up."""
        self.succeed(job)
        if job.redirects >= MAX_REDIRECTS:
            return FetchError("redirects_too_many", maximum=MAX_REDIRECTS)
        site = self._sites.get(target.site)
        if site and site.given_up:
            return site.given_up
        self._add(Job(job.key, target, job.redirects + 1))
        return None

    def fail(self, job: Job, error: MuslinError, now: float) -> list[tuple[Job, MuslinError]]:
        """What is given up because a job failed: nothing where it is tried again; or it, or all of its site."""
        # a redirect to a host that is not public names another host: it says nothing of the one that redirects
        is_of_host = error.code in OF_HOST and error.params.get("host") == job.address.host
        if error.code not in TEMPORARY and not is_of_host:
            self.succeed(job)
            return [(job, error)]
        site = self._end(job)
        pause_s = asked_s(error.params.get("retry_after"))
        if error.code == "host_busy":
            self._pause(site, min(pause_s, MAX_PAUSE_S), now)
        else:
            site.failures += 1
        is_down = site.failures >= FAILURES or site.busy_answers >= BUSY_ANSWERS
        if is_down or is_of_host or pause_s > MAX_PAUSE_S:
            return [(job, error), *self._give_up(job.address.site, error)]
        if site.given_up or job.attempts >= ATTEMPTS:
            self._drop_if_done(job.address.site)
            return [(job, error)]
        self._count += 1
        delay_s = max(pause_s, self._retry_s * 4 ** (job.attempts - 1))
        heapq.heappush(site.delayed, (now + delay_s, self._count, job))
        return []

    def _add(self, job: Job) -> None:
        name = job.address.site
        site = self._sites.get(name)
        if site is None:
            site = self._sites[name] = _Site(interval_s=self._interval_s)
        if not (site.waiting or site.delayed or site.running):
            self._active.append(name)
        site.waiting.append(job)

    def _start(self, site: _Site, now: float) -> Job:
        while site.delayed and site.delayed[0][0] <= now:
            site.waiting.append(heapq.heappop(site.delayed)[2])
        site.not_before = max(now, site.not_before) + site.interval_s
        site.running += 1
        job = site.waiting.popleft()
        return replace(job, attempts=job.attempts + 1)

    def _end(self, job: Job) -> _Site:
        site = self._sites[job.address.site]
        site.running -= 1
        return site

    def _pause(self, site: _Site, pause_s: float, now: float) -> None:
        """A site is busy: ask later, and more slowly. What was under way when it began to say so counts once."""
        if now < site.paused_until:
            return
        site.busy_answers += 1
        site.interval_s = min(2 * site.interval_s, max(MAX_INTERVAL_S, site.interval_s))
        site.paused_until = now + pause_s
        site.not_before = max(site.not_before, site.paused_until)

    def _give_up(self, name: str, error: MuslinError) -> list[tuple[Job, MuslinError]]:
        site = self._sites[name]
        if error.code in OF_HOST:
            site.given_up = error
        else:
            reason = error.message
            site.given_up = FetchError("host_given_up", host=name, reason=reason)
        left = [*site.waiting, *(job for *_, job in site.delayed)]
        site.waiting.clear()
        site.delayed.clear()
        self._drop_if_done(name)
        return [(job, site.given_up) for job in left]

    def _drop_if_done(self, name: str) -> None:
        site = self._sites[name]
        if not (site.waiting or site.delayed or site.running):
            self._active.remove(name)
