"""The check before every request: its origin, its size, and what a browser may do with the response.

A page of another site can make a browser send requests to this machine, but it can neither choose their Host
header nor hide where they come from, and it cannot read the token that the studio's own page carries
(https://owasp.org/www-community/attacks/csrf; DNS rebinding: https://www.w3.org/TR/CSP3/#security-considerations).
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from muslin.errors import MuslinError
from muslin.studio.requests import language_of

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

TOKEN_HEADER = b"x-muslin-token"
MAX_JSON_BYTES = 2_000_000  # a drawing and a thousand edited kernels fit

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
]


def new_token() -> str:
    """A secret that only pages served by this process know; 256 bits."""
    return secrets.token_urlsafe(32)


class Guard:
    """An ASGI application around another one, which refuses requests that do not come from the studio's own page.

    Args:
        app: the application behind it.
        hosts: the values that the Host header may have, such as `127.0.0.1:8001`.
        token: what a request other than GET and HEAD must carry as X-Muslin-Token.
        max_bytes: the largest body by path; MAX_JSON_BYTES for other paths.
    """

    def __init__(self, app: App, hosts: Iterable[str], token: str, max_bytes: dict[str, int]) -> None:
        self._app = app
        self._hosts = {host.encode() for host in hosts}
        self._origins = {b"http://" + host for host in self._hosts}
        self._token = token.encode()
        self._max_bytes = max_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websocket is served; closing it without a response is a refusal

        async def send_with_headers(event: Event) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event.get("headers", ()), *HEADERS]
            await send(event)

        headers = list(scope["headers"])
        maximum = self._max_bytes.get(scope["path"], MAX_JSON_BYTES)
        try:
            self._check_origin(scope["method"], headers)
            size = dict(headers).get(b"content-length", b"0")
            if not size.isdigit() or int(size) > maximum:
                raise MuslinError("request_size", maximum_mb=maximum / 1e6)
        except MuslinError as error:
            language = language_of(dict(headers).get(b"accept-language", b"").decode("latin-1"))
            await error_response(error, language)(scope, receive, send_with_headers)
            return
        await self._app(scope, _limited(receive, maximum), send_with_headers)

    def _check_origin(self, method: str, headers: list[tuple[bytes, bytes]]) -> None:
        def values(wanted: bytes) -> list[bytes]:
            return [value for name, value in headers if name == wanted]

        hosts = values(b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise MuslinError("host_unknown")
        if any(origin not in self._origins for origin in values(b"origin")):
            raise MuslinError("origin_foreign")
        # A link on another page may lead here, as any bookmark does; nothing else of another site may send requests.
        is_foreign = any(site not in (b"same-origin", b"none") for site in values(b"sec-fetch-site"))
        if is_foreign and values(b"sec-fetch-mode") != [b"navigate"]:
            raise MuslinError("origin_foreign")
        if method in ("GET", "HEAD"):
            return
        tokens = values(TOKEN_HEADER)
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], self._token):
            raise MuslinError("token_outdated")


def error_response(error: MuslinError, language: str) -> JSONResponse:
    """The error as JSON in `language`, with the status of its code."""
    return JSONResponse(error.to_dict(language), error.status)


def _limited(receive: Receive, maximum: int) -> Receive:
    """`receive`, counting bytes: a chunked body announces no length."""
    received = 0

    async def counted() -> Event:
        nonlocal received
        event = await receive()
        received += len(event.get("body", b""))
        if received > maximum:
            raise MuslinError("request_size", maximum_mb=maximum / 1e6)
        return event

    return counted
