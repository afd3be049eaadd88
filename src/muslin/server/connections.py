"""HTTP/1.1 connections of the server."""

import asyncio
import select
from contextlib import suppress
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from muslin.errors import MuslinError
from muslin.strict_json import json_text
from muslin.web.connections import REQUEST_HEAD_S, TimeLimits

MAX_HEAD_BYTES = 2**16
"""Of a request's line and headers, which the parser keeps until they are complete; clients send a few hundred. What
comes beside a body, as the lengths of its chunks and the trailers after them, may have so many bytes more than it."""

MAX_CONNECTIONS = 4096
"""Open connections; an idle one takes 10 KB."""

OTHER_FILES = 256
"""Files and sockets that the server needs beside its connections."""

HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

MALFORMED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
)


class FastConnection(TimeLimits, HttpToolsProtocol):
    """uvicorn's HTTP/1.1 by httptools: a tenth of the processor time of h11."""

    max_connections = MAX_CONNECTIONS
    patience_s = 2.0  # clients under load send their next request sooner, and would lose it

    _is_in_head = True
    _beside_body = 0  # bytes of the head; then how many more came beside the body than in it
    _is_refused = False

    def _refuse(self) -> None:
        self._is_refused = True  # once its request has come: closed before, it would lose the refusal

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._joined = JoinedWrites(transport)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            super()._refuse()
            return
        self._beside_body += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._beside_body > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._is_in_head:
                self.transport.write(HEAD_TOO_LARGE)
                self.transport.close()
            else:
                self.send_400_response("")

    def timeout_keep_alive_handler(self) -> None:
        if has_unread(self.transport):  # the next request has come, and the server is behind
            self.timeout_keep_alive_task = self.loop.call_later(1.0, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _end_if_late(self) -> None:
        if (self._is_in_head and self._beside_body) or not has_unread(self.transport):
            super()._end_if_late()
        else:
            self._await_client(REQUEST_HEAD_S)

    def _feed(self, data: bytes) -> None:
        """Give data to the parser. A request for another protocol, as Java's HTTP client sends it with every first
        request, is answered in this one (RFC 9110, 7.8); the parser would take its body for that protocol's.
        """
        while data:
            rest = b""
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as pause:
                if not self._asks_for_upgrade():  # CONNECT
                    self.send_400_response("")
                    return
                rest = self._head_without_upgrade() + data[pause.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            except httptools.HttpParserError:
                self.send_400_response("")
            data = rest

    def _asks_for_upgrade(self) -> bool:
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:  # else it is a trailer, and the guard has looked at the headers already
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._asks_for_upgrade():
            return  # it is read again
        self._is_in_head, self._beside_body = False, 0
        super().on_headers_complete()
        self.cycle.transport = self._joined

    def on_body(self, body: bytes) -> None:
        self._beside_body -= 2 * len(body)  # once it was counted among what came
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._asks_for_upgrade():
            return
        self._is_in_head, self._beside_body = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._joined.flush()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, unless a response is under way."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = json_text({"error": MuslinError("http_malformed").to_dict(on_page=True)}).encode()
            self.transport.write(MALFORMED % (len(body), body))
        self.transport.close()


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Whether something has come that was not read yet, be it the end of the connection."""
    handle = transport.get_extra_info("socket").fileno()
    if handle < 0:  # it is closed
        return False
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def allow_connections() -> None:
    """Let this process open as many connections as it may have, or fewer where the system does not let it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        FastConnection.max_connections = max(1, soft - OTHER_FILES)


class JoinedWrites:
    """A transport that sends the head of a response together with the beginning of its body: one packet, not two."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._head = b""
        self._is_at_head = True

    def write(self, data: bytes) -> None:
        """Send `data`, or keep it if it is the head of a response."""
        if self._is_at_head and not data.startswith(b"HTTP/1.1 100"):
            self._head, self._is_at_head = data, False
        elif self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data:
            self._transport.write(data)

    def flush(self) -> None:
        """Send a head without a body; the next data are the head of another response."""
        if self._head:
            self._transport.write(self._head)
        self._head, self._is_at_head = b"", True

    def close(self) -> None:
        """Send what is kept, and close the connection."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or closing."""
        return bool(self._transport.is_closing())
