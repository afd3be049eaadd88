"""What stands before every request: who may ask, how much may be sent, and what a browser may do with the answer.

A page of another site can make a browser send requests to this machine, but it can neither choose their Host
header nor hide where they come from, and it cannot read the token that the studio's own page carries
(https://owasp.org/www-community/attacks/csrf; DNS rebinding: https://www.w3.org/TR/CSP3/#security-considerations).
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

TOKEN_HEADER = b"x-muslin-token"
MOST_JSON_BYTES = 2_000_000

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
    """An ASGI application around another one, that refuses what does not come from the studio's own page.

    Args:
        app: what is guarded.
        hosts: the values that the Host header may have, such as `127.0.0.1:8001`.
        token: what a request other than GET and HEAD must carry as X-Muslin-Token.
        most_bytes: the largest body per path; other paths take MOST_JSON_BYTES.
    """

    def __init__(self, app: App, hosts: Iterable[str], token: str, most_bytes: dict[str, int]) -> None:
        self._app = app
        self._hosts = {host.encode() for host in hosts}
        self._origins = {b"http://" + host for host in self._hosts}
        self._token = token.encode()
        self._most_bytes = most_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websocket is served; closing it unanswered is a refusal

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        headers = list(scope["headers"])
        if refusal := self._refusal(scope["method"], headers):
            status, sentence = refusal
            await JSONResponse({"error": sentence}, status)(scope, receive, answer)
            return
        most = self._most_bytes.get(scope["path"], MOST_JSON_BYTES)
        raw_probabilities = dict(headers).get(b"content-length", b"0")
        if not raw_probabilities.isdigit() or int(raw_probabilities) > most:
            sentence = f"The request is larger than {most / 1e6:.0f} MB, the most that is taken."
            await JSONResponse({"error": sentence}, 413)(scope, receive, answer)
            return
        await self._app(scope, _at_most(receive, most), answer)

    def _refusal(self, method: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """Status and sentence, or None where the request may pass."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "This address is not the studio's. Open the one that muslin studio has printed."
        origins = [value for name, value in headers if name == b"origin"]
        if any(origin not in self._origins for origin in origins):
            return 403, "Only the studio's own page may ask."
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        modes = [value for name, value in headers if name == b"sec-fetch-mode"]
        # A link on another page may lead here, as any bookmark does; nothing else of another site may ask.
        if any(site not in (b"same-origin", b"none") for site in sites) and modes != [b"navigate"]:
            return 403, "Only the studio's own page may ask."
        if method in ("GET", "HEAD"):
            return None
        tokens = [value for name, value in headers if name == TOKEN_HEADER]
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], self._token):
            return 403, "This page is of an earlier muslin studio. Load it again."
        return None


class TooLargeError(Exception):
    """A body without a stated length went on beyond the limit."""


def _at_most(receive: Receive, most: int) -> Receive:
    """`receive`, counting what comes: a chunked body states no length beforehand."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise TooLargeError
        return message

    return counted
