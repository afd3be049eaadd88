"""Threads that ask for photos, and look whether what comes is one."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from muslin.errors import FetchError, ImageError, MuslinError
from muslin.fetching.address import Address
from muslin.fetching.connection import LIMITS, SYSTEM_NETWORK, FetchLimits, Network
from muslin.fetching.photo_client import NO_VALIDATORS, Body, PhotoClient, Redirect, Reply, Validators, tls_context
from muslin.fetching.schedule import CONNECTIONS, RATE, Job, Schedule
from muslin.images.decoder import decode, file_kind

MAX_WORKERS = 16
"""Requests at a time, to all sites."""

MAX_IDLE_CLIENTS = 32
"""Connections that are kept for the next request."""

MAX_RESULTS = 4
"""Photos that wait to be written."""

CHECK_S = 0.2
"""Between two looks whether to stop."""

LEAVE_S = 2.0
"""Before a thread that still waits for the network is left alone."""

DECODED_SIDE_PX = 224
"""To which a large JPEG is decoded at least: enough to see whether its file is whole."""

SUFFIXES = {
    "JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif", "JPEG2000": ".jp2",
    "PPM": ".ppm", "BMP": ".bmp",
}  # fmt: skip
"""Of a photo's file, by its format."""


@dataclass(frozen=True)
class FetchSettings:
    """How photos are asked for.

    Attributes:
        sites: the hosts that the user confirmed; redirects lead to no others.
        rate: requests to one site in a second.
    """

    sites: frozenset[str]
    rate: float = RATE
    limits: FetchLimits = LIMITS
    network: Network = SYSTEM_NETWORK


@dataclass(frozen=True)
class Fetched:
    """What came of one address: a photo, the news that it is as it was, or why there is none.

    Attributes:
        key: the address, as of a Job.
        content: the photo's file; None where it is as it was, or there is none.
        suffix: of the file.
        address: where it was, after redirects.
    """

    key: str
    content: bytes | None = None
    suffix: str = ""
    validators: Validators = NO_VALIDATORS
    address: str = ""
    error: MuslinError | None = None


def check_photo(content: bytes, address: Address) -> str:
    """The suffix of a photo's file.

    Raises:
        ImageError: it is no photo that muslin can read.
    """
    name = address.url
    decode(content, min_side_px=DECODED_SIDE_PX, name=name)
    return SUFFIXES[file_kind(content, name)]


def fetch_photos(
    addresses: Mapping[str, Address],
    known: Mapping[str, Validators],
    settings: FetchSettings,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Fetched]:
    """What comes of each of `addresses`, by its key, as soon as it is known. Ends early once `should_stop` is true.

    Args:
        known: by key what is known of a photo that is there already.
    """
    crew = _Crew([Job(key, address) for key, address in addresses.items()], known, settings)
    count = min(MAX_WORKERS, CONNECTIONS * len({address.site for address in addresses.values()}))
    threads = [threading.Thread(target=crew.work, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        left = len(addresses)
        while left and not should_stop():
            try:
                result = crew.results.get(timeout=CHECK_S)
            except queue.Empty:
                continue
            if isinstance(result, BaseException):
                raise result
            left -= 1
            yield result
    finally:
        crew.stop()
        end = time.monotonic() + LEAVE_S
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        crew.close()


class _Crew:
    """What the threads share."""

    def __init__(self, jobs: list[Job], known: Mapping[str, Validators], settings: FetchSettings) -> None:
        self._known, self._settings = known, settings
        self._schedule = Schedule(jobs, settings.rate, settings.limits.retry_s)
        self._changed = threading.Condition()
        self._stopped = False
        self._context = tls_context()
        self._idle: list[tuple[str, PhotoClient]] = []
        self._busy: set[PhotoClient] = set()
        self.results: queue.Queue[Fetched | BaseException] = queue.Queue(MAX_RESULTS)

    def work(self) -> None:
        """Ask for photos until none is left."""
        try:
            while (job := self._next()) is not None:
                try:
                    self._do(job)
                except (FetchError, ImageError) as error:
                    with self._changed:
                        failed = self._schedule.fail(job, error, time.monotonic())
                        self._changed.notify_all()
                    for each, reason in failed:
                        self._put(Fetched(each.key, error=reason))
        except BaseException as error:
            self._put(error)

    def stop(self) -> None:
        """Let the threads end, also those that wait for a server."""
        with self._changed:
            self._stopped = True
            for client in self._busy:
                client.stop()
            self._changed.notify_all()

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._changed:
            for _, client in self._idle:
                client.close()
            self._idle.clear()

    def _next(self) -> Job | None:
        with self._changed:
            while not self._stopped and not self._schedule.is_done:
                found = self._schedule.take(time.monotonic())
                if isinstance(found, Job):
                    return found
                self._changed.wait(found)
        return None

    def _do(self, job: Job) -> None:
        reply = self._ask(job)
        if isinstance(reply, Redirect):
            self._follow(job, reply.address)
            return
        result = Fetched(job.key, address=job.address.url)
        if isinstance(reply, Body):
            suffix = check_photo(reply.content, job.address)
            result = Fetched(job.key, reply.content, suffix, reply.validators, job.address.url)
        with self._changed:
            self._schedule.succeed(job)
            self._changed.notify_all()
        self._put(result)

    def _follow(self, job: Job, target: Address) -> None:
        if target.site not in self._settings.sites:
            raise FetchError("redirect_not_confirmed", host=target.site)
        with self._changed:
            error = self._schedule.redirect(job, target)
            self._changed.notify_all()
        if error:
            self._put(Fetched(job.key, error=error))

    def _ask(self, job: Job) -> Reply:
        client = self._client(job.address.site)
        try:
            return client.ask(job.address, self._known.get(job.key))
        finally:
            with self._changed:
                self._busy.discard(client)
                self._idle.append((job.address.site, client))
                oldest = self._idle.pop(0)[1] if len(self._idle) > MAX_IDLE_CLIENTS or self._stopped else None
            if oldest:
                oldest.close()

    def _client(self, site: str) -> PhotoClient:
        with self._changed:
            place = next((i for i, (name, _) in enumerate(self._idle) if name == site), None)
            client = None if place is None else self._idle.pop(place)[1]
            client = client or PhotoClient(self._settings.network, self._settings.limits, self._context)
            self._busy.add(client)
            return client

    def _put(self, result: Fetched | BaseException) -> None:
        while not self._stopped:
            try:
                self.results.put(result, timeout=CHECK_S)
            except queue.Full:
                continue
            return
