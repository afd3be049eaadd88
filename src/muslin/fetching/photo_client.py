"""One request for one photo: what is asked, and what counts as an answer."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from muslin.errors import FetchError
from muslin.fetching.address import Address, parse_redirect
from muslin.fetching.connection import Backend, FetchLimits, Network
from muslin.library_errors import reason_of

if TYPE_CHECKING:
    import httpcore

REDIRECTS = (301, 302, 303, 307, 308)
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses of a server that can answer later."""

MAX_DRAINED_BYTES = 2**16
"""Of the page that says why there is no photo: read, so that the connection can be used again."""

MAX_VALIDATOR_CHARACTERS = 200
"""Of an `ETag` or a date; a longer one is not kept."""


@dataclass(frozen=True)
class Validators:
    """What a server said of a photo's version, by which it can say that nothing has changed; empty for nothing."""

    etag: str = ""
    last_modified: str = ""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Headers of a request for a newer version alone."""
        return [
            (name, value)
            for name, value in (("If-None-Match", self.etag), ("If-Modified-Since", self.last_modified))
            if value
        ]


NO_VALIDATORS = Validators()


@dataclass(frozen=True)
class Body:
    """What a server sent; nobody has looked whether it is a photo."""

    content: bytes
    validators: Validators


@dataclass(frozen=True)
class Redirect:
    """A server names another address."""

    address: Address


class NotModified:
    """The photo is the one that was fetched before."""


Reply = Body | Redirect | NotModified


def tls_context() -> ssl.SSLContext:
    """The certificates that a host's is checked with: the system's and certifi's; `SSL_CERT_FILE` adds others."""
    import httpcore

    return httpcore.default_ssl_context()


class PhotoClient:
    """Asks one site, one request after the other, over a connection that is kept. No proxy, no cookies."""

    def __init__(self, network: Network, limits: FetchLimits, context: ssl.SSLContext) -> None:
        import httpcore

        from muslin import __version__

        self._backend, self._limits = Backend(network, limits), limits
        backend = cast("httpcore.NetworkBackend", self._backend)
        self._pool = httpcore.ConnectionPool(context, max_connections=1, network_backend=backend)
        self._headers = [
            ("User-Agent", f"muslin/{__version__}"),
            ("Accept", "image/jpeg, image/png, image/*;q=0.8, */*;q=0.1"),
            ("Accept-Encoding", "identity"),
        ]

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    def stop(self) -> None:
        """Make a request in another thread fail."""
        if self._backend.stream is not None:
            self._backend.stream.stop()

    def ask(self, address: Address, known: Validators | None = None) -> Reply:
        """What the server has at `address`; with `known`, whether it has another version than that.

        Raises:
            FetchError: there is no answer, it comes too slowly, is too large or encoded, or is no photo.
        """
        import httpcore

        host, port = address.host.strip("[]"), address.port
        url = httpcore.URL(scheme=address.scheme, host=host, port=port, target=address.target)
        headers = [("Host", address.authority), *self._headers, *(known.headers if known else ())]
        self._backend.timer.start()
        with _protocol_errors(), self._pool.stream("GET", url, headers=headers) as response:
            return self._reply(response, address, known)

    def _reply(self, response: "httpcore.Response", address: Address, known: Validators | None) -> Reply:
        headers = _Headers(response.headers)
        if response.status == 200:
            return Body(
                self._content(response, headers), Validators(headers.short("etag"), headers.short("last-modified"))
            )
        with suppress(FetchError):  # the status counts
            _drain(response)
        if response.status == 304 and known:
            return NotModified()
        location = headers.first("location")
        if response.status in REDIRECTS and location:
            target = parse_redirect(location, address)
            if (address.scheme, target.scheme) == ("https", "http"):
                raise FetchError("redirect_unencrypted", target=target.url)
            return Redirect(target)
        if response.status in BUSY:
            raise FetchError("host_busy", http_status=response.status, retry_after=headers.first("retry-after") or None)
        raise FetchError("photo_refused", http_status=response.status)

    def _content(self, response: "httpcore.Response", headers: "_Headers") -> bytes:
        encodings = headers.all("content-encoding") - {"", "identity"}
        if encodings:
            raise FetchError("photo_encoded", encodings=sorted(encodings))
        length, most = headers.first("content-length"), self._limits.max_bytes
        if length.isdecimal() and int(length[:20]) > most:
            raise FetchError("photo_too_large", max_bytes=most)
        content = bytearray()
        for block in response.iter_stream():
            content += block
            if len(content) > most:
                raise FetchError("photo_too_large", max_bytes=most)
        return bytes(content)


class _Headers:
    """Those of a response, by their names in lower case."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.lower().decode("latin-1"), value.decode("latin-1").strip()) for name, value in headers]

    def first(self, name: str) -> str:
        return next((value for each, value in self._pairs if each == name), "")

    def short(self, name: str) -> str:
        value = self.first(name)
        return value if len(value) <= MAX_VALIDATOR_CHARACTERS and value.isascii() else ""

    def all(self, name: str) -> set[str]:
        values = ",".join(value for each, value in self._pairs if each == name)
        return {part.strip().lower() for part in values.split(",")}


def _drain(response: "httpcore.Response") -> None:
    size = 0
    for block in response.iter_stream():
        size += len(block)
        if size > MAX_DRAINED_BYTES:
            return


@contextmanager
def _protocol_errors() -> Iterator[Any]:
    """Turns what httpcore raises into a FetchError."""
    import httpcore

    try:
        yield
    except (httpcore.ProtocolError, httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise FetchError("connection_broken", reason=reason_of(error)) from error
