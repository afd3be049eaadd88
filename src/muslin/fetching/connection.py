"""Connections to hosts on the public internet, within limits of time.

A name is looked up once for each connection, and the connection goes to an address of that look-up which was checked.
So it makes no difference what the name stands for a moment later.
"""

import errno
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from muslin.errors import FetchError
from muslin.fetching.public_addresses import IPAddress, is_public
from muslin.images.decoder import MAX_BYTES
from muslin.library_errors import reason_of

MAX_TRIED_ADDRESSES = 4
"""Addresses of one host to which a connection is tried."""


@dataclass(frozen=True)
class FetchLimits:
    """What one photo may take: bytes, and seconds to connect, without a byte, in all, and before a second attempt.

    Each later attempt waits four times as long.
    """

    max_bytes: int = MAX_BYTES
    connect_s: float = 10.0
    idle_s: float = 15.0
    photo_s: float = 120.0
    retry_s: float = 1.0


LIMITS = FetchLimits()


def system_addresses(host: str, port: int) -> list[IPAddress]:
    """The addresses of a host, as the system finds them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [ip_address(place[0]) for *_, place in found]


def connect_to(address: IPAddress, port: int, timeout_s: float) -> socket.socket:
    """A connection to an address, for which nothing is looked up. Raises OSError."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect((str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(frozen=True)
class Network:
    """How hosts are looked up and connections made. Whichever way, only public addresses are connected to."""

    resolve: Callable[[str, int], Sequence[IPAddress]] = system_addresses
    connect: Callable[[IPAddress, int, float], socket.socket] = connect_to

    def public_addresses(self, host: str, port: int) -> list[IPAddress]:
        """The public ones among the addresses of a host, each once; at least one.

        Raises:
            FetchError: the host is unknown, or has none.
        """
        found: Sequence[IPAddress]
        try:
            found = [ip_address(host.strip("[]"))]
        except ValueError:  # a name
            try:
                found = self.resolve(host, port)
            except OSError as error:
                raise FetchError("host_not_found", host=host, reason=reason_of(error)) from error
            except ValueError as error:  # a label that the idna codec refuses
                raise FetchError("host_not_found", host=host, reason=None) from error
        public = [address for address in dict.fromkeys(found) if is_public(address)]
        if not public:
            address = next(iter(found), None)
            raise FetchError("host_not_public", host=host, address=None if address is None else str(address))
        return public


SYSTEM_NETWORK = Network()


class Timer:
    """The time that one photo may still take."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits, self._end = limits, 0.0

    def start(self) -> None:
        """Begin with the next photo."""
        self._end = time.monotonic() + self._limits.photo_s

    def wait_s(self, most_s: float) -> float:
        """Seconds to wait for the next event, at most `most_s`.

        Raises:
            FetchError: the time is over.
        """
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise FetchError("photo_too_slow", seconds=self._limits.photo_s)
        return min(left_s, most_s)


class Backend:
    """An `httpcore.NetworkBackend` that connects to public addresses alone.

    Attributes:
        stream: the connection that was made last.
    """

    def __init__(self, network: Network, limits: FetchLimits) -> None:
        self._network, self._limits = network, limits
        self.timer, self.stream = Timer(limits), None

    timer: Timer
    stream: "Stream | None"

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> "Stream":
        """See `httpcore.NetworkBackend`; `timeout` is that of the limits."""
        refused: OSError | None = None
        for address in self._network.public_addresses(host, port)[:MAX_TRIED_ADDRESSES]:
            try:
                connection = self._network.connect(address, port, self.timer.wait_s(self._limits.connect_s))
            except OSError as error:
                refused = error
            else:
                self.stream = Stream(connection, host, self.timer, self._limits.idle_s)
                return self.stream
        assert refused is not None
        raise self.failed(host, refused) from refused

    def failed(self, host: str, error: OSError) -> FetchError:
        """The error of a connection that was not made."""
        if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
            return FetchError("host_timeout", host=host, seconds=self._limits.connect_s)
        return FetchError("host_unreachable", host=host, reason=reason_of(error))


class Stream:
    """An `httpcore.NetworkStream` whose every step has a limit of time."""

    def __init__(self, connection: socket.socket, host: str, timer: Timer, idle_s: float) -> None:
        self._connection, self._host, self._timer, self._idle_s = connection, host, timer, idle_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes, at most so many; none at the end."""
        received: bytes = self._timed(lambda: self._connection.recv(max_bytes))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of `buffer`."""
        self._timed(lambda: self._connection.sendall(buffer))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "Stream":
        """The same connection, encrypted, to a server with a certificate for `server_hostname`."""
        try:
            self._connection = self._timed(
                lambda: ssl_context.wrap_socket(self._connection, server_hostname=server_hostname)
            )
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def stop(self) -> None:
        """Wake a thread that waits for this connection."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for: whether bytes wait, and what TLS agreed on."""
        if info == "is_readable":
            return self._is_readable()
        if info == "ssl_object" and isinstance(self._connection, ssl.SSLSocket):
            return self._connection
        return None

    def _timed(self, step: Callable[[], Any]) -> Any:
        """What `step` does, in time.

        Raises:
            FetchError: it took too long, or the connection broke.
        """
        self._connection.settimeout(self._timer.wait_s(self._idle_s))
        try:
            return step()
        except TimeoutError as error:
            self._timer.wait_s(self._idle_s)  # which raises another error where all time is over
            raise FetchError("photo_stalled", seconds=self._idle_s) from error
        except ssl.SSLCertVerificationError as error:
            raise FetchError("certificate_invalid", host=self._host, reason=reason_of(error)) from error
        except OSError as error:
            raise FetchError("connection_broken", reason=reason_of(error)) from error

    def _is_readable(self) -> bool:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection, selectors.EVENT_READ)
                return bool(selector.select(0))
        except (ValueError, OSError):  # it is closed
            return True
