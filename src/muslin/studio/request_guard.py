"""The check before every request: its origin, its size, and what a browser may do with the response.

A page of another site can make a browser send requests to this machine, but it can neither choose their Host
header nor hide where they come from, and it cannot read the token that the studio's own page carries
(https://owasp.org/www-community/attacks/csrf; DNS rebinding: https://www.w3.org/TR/CSP3/#security-considerations).
"""

import asyncio
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muslin.errors import MuslinError
from muslin.web.browser_policy import HEADERS
from muslin.web.request_head import check_length, is_foreign
from muslin.web.requests import language_of
from muslin.web.responses import error_response

MAX_JSON_BYTES = 2_000_000  # a drawing and a thousand edited kernels fit
MAX_REQUESTS = 64  # answered at a time; a page sends a few
MAX_BODIES_BYTES = 200_000_000  # of the bodies of all requests, until they are answered
REQUEST_BODY_S = 30.0  # seconds for a request's body to arrive


class RequestGuard:
    """An ASGI application around another one, which refuses requests that do not come from the studio's own page.

    Args:
        app: the application behind it.
        hosts: the values that the Host header may have, such as `127.0.0.1:8001`.
        token: what a request other than GET and HEAD must carry as X-Muslin-Token.
        max_bytes: the largest body by path; MAX_JSON_BYTES for other paths.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str, max_bytes: dict[str, int]) -> None:
        self._app = app
        self._hosts = set(hosts)
        self._origins = {f"http://{host}" for host in self._hosts}
        self._token = token
        self._max_bytes = max_bytes
        self._running: set[object] = set()  # not while the response is sent: a client can read slowly
        self._bodies_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no websocket is served; closing it without a response is a refusal
        maximum, received = self._max_bytes.get(scope["path"], MAX_JSON_BYTES), 0
        slot = object()  # taken once the body is there, so that a slow client holds none
        deadline = asyncio.get_running_loop().time() + REQUEST_BODY_S
        complete = False

        async def send_with_headers(event: Message) -> None:
            if event["type"] == "http.response.start":
                self._running.discard(slot)
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                event["headers"] = [*event.get("headers", ()), *added]
            await send(event)

        async def receive_limited() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()  # to learn of a disconnection
            try:
                async with asyncio.timeout_at(deadline):
                    event = await receive()
            except TimeoutError:
                raise MuslinError("request_late", seconds=REQUEST_BODY_S) from None
            complete = not event.get("more_body", False)
            size = len(event.get("body", b""))  # counted, because a chunked body announces no length
            received, self._bodies_bytes = received + size, self._bodies_bytes + size
            if received > maximum:
                raise MuslinError("request_size", maximum_mb=maximum / 1e6)
            if self._bodies_bytes > MAX_BODIES_BYTES:
                raise MuslinError("too_many_requests", maximum=len(self._running))
            if complete:
                self._take_slot(slot)
            return event

        headers = Headers(scope=scope)
        try:
            self._check_origin(scope["method"], headers)
            check_length(headers.get("content-length", "0"), maximum)
            if scope["method"] in ("GET", "HEAD"):  # no path reads their body
                self._take_slot(slot)
        except MuslinError as error:
            response = error_response(error, language_of(headers.get("accept-language", "")))
            await response(scope, receive, send_with_headers)
        else:
            try:
                await self._app(scope, receive_limited, send_with_headers)
            finally:
                self._running.discard(slot)
                self._bodies_bytes -= received

    def _take_slot(self, slot: object) -> None:
        if len(self._running) >= MAX_REQUESTS:
            raise MuslinError("too_many_requests", maximum=MAX_REQUESTS)
        self._running.add(slot)

    def _check_origin(self, method: str, headers: Headers) -> None:
        hosts, tokens = headers.getlist("host"), headers.getlist("x-muslin-token")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise MuslinError("host_unknown", "studio")
        sites, modes = headers.getlist("sec-fetch-site"), headers.getlist("sec-fetch-mode")
        if is_foreign(headers.getlist("origin"), self._origins, sites, modes):
            raise MuslinError("origin_foreign")
        is_own = len(tokens) == 1 and hmac.compare_digest(tokens[0].encode(), self._token.encode())
        if method not in ("GET", "HEAD") and not is_own:
            raise MuslinError("token_outdated")
