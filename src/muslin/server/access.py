"""The guard before every request: who sends it, how much it brings, and how long it may take."""

import asyncio
import hmac
import random
import re
from collections.abc import Callable, Iterable

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muslin.errors import MuslinError
from muslin.server.hosts import Headers, HostNames, Proxies, checked_headers, is_host_name, is_path_prefix, last_value
from muslin.server.settings import Settings
from muslin.web.browser_policy import HEADERS
from muslin.web.request_head import check_length, is_foreign
from muslin.web.responses import RETRY_AFTER_S

MAX_BODIES_BYTES = 400_000_000
"""Of the bodies of all requests, until they are answered: a dozen requests of many photos at a time."""

REFUSAL_S = (0.5, 1.5)
"""Seconds, from and to, until a request that is one too many is told so: clients that come again at once, whatever
Retry-After says, would otherwise take the time of those that are answered, and all at the same moment."""

MODELS_FOLDER = "/v1/models/"
"""Paths to which whole models are sent. Their bodies go to the disk, so they are not part of MAX_BODIES_BYTES."""

MAX_MODEL_BYTES = 500_000_000
"""Of a model that is sent; the largest networks of the studio have a fifth of it."""

MODEL_TIMES = 10
"""How many times longer than others such a request may take: a model is large, and opening it takes seconds."""

CHECK_S, CHECKS = 0.25, 8
"""Seconds between checks for late requests, and the fewest checks in the time that a request may take. A timer for each
request would take a fiftieth of a small image's processor time."""

HEALTH_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Asked for by balancers, with any Host header or none, and answered however busy the server is."""

OPEN_PATHS = HEALTH_PATHS | {"", "/", "/favicon.ico", "/openapi.json"}
"""Answered without a token, as are those below OPEN_FOLDER: they tell nothing of the models."""

OPEN_FOLDER = "/static/"

OWN_SEGMENTS = frozenset({"v1", "v2", "static", "metrics", "openapi.json"})
"""How paths of the server begin. No path prefix begins so: one that a proxy has taken off could not be told."""

API_HEADERS = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
PAGE_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

RETRY = (b"retry-after", str(RETRY_AFTER_S).encode())
STATUS_HEADERS = {401: (b"www-authenticate", b"Bearer"), 503: RETRY}

_TOKEN = re.compile(r"[\x21-\x7e]+")

Header = tuple[bytes, bytes]

Refusal = Callable[[Scope, MuslinError], Response]
"""Makes the response to a request that is refused."""


def with_headers(own: Iterable[Header], added: Iterable[Header], status: int) -> list[Header]:
    """The headers of a response: its own, those of every response, and those that the status asks for."""
    headers, of_status = [*own, *added], STATUS_HEADERS.get(status)
    if of_status and all(name != of_status[0] for name, _ in headers):
        headers.append(of_status)
    return headers


def check_access(settings: Settings) -> None:
    """Refuse settings with which no request could be answered.

    Raises:
        MuslinError: a token that no header can carry, a prefix that is not a path, a host that is not a name, or a
            proxy that is not an address.
    """
    if settings.token and not _TOKEN.fullmatch(settings.token):
        raise MuslinError("serve_token_characters")
    first = settings.root_path[1:].partition("/")[0]
    if not is_path_prefix(settings.root_path) or first in OWN_SEGMENTS:
        raise MuslinError("serve_root_path", path=settings.root_path, names=sorted(OWN_SEGMENTS))
    for name in settings.allow_hosts:
        if not is_host_name(name):
            raise MuslinError("serve_host_name", name=name)
    for word in settings.trust_proxy:
        try:
            Proxies([word])
        except ValueError:
            raise MuslinError("serve_proxy", address=word) from None


class _Request:
    """One that is not answered yet.

    Attributes:
        began: when its head had come, on the event loop's clock.
        seconds: how long it may take.
        max_bytes: the size that its body may have.
        held_bytes: what is there of its body, in memory.
        is_complete: whether the whole body has come.
        has_begun: whether the response has.
        is_ousted: whether others needed the memory of its body, which was slow.
        is_too_many: whether as many as allowed were being worked on when it had come.
    """

    __slots__ = (
        "began", "has_begun", "held_bytes", "is_complete", "is_ousted", "is_too_many", "max_bytes", "received",
        "seconds", "timeout",
    )  # fmt: skip

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self.max_bytes, self.seconds, self.received, self.held_bytes = max_bytes, seconds, 0, 0
        self.is_complete = self.has_begun = self.is_ousted = self.is_too_many = False
        self.timeout: asyncio.Timeout | None = None
        self.began = asyncio.get_running_loop().time()


class AccessGuard:
    """An ASGI application around another one, which refuses what `settings` do not allow.

    Args:
        app: the application behind it.
        refuse: makes the response to a refused request, as the path's protocol wants it.
        max_model_bytes: the largest body of a request that brings a model.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, refuse: Refusal, max_model_bytes: int = MAX_MODEL_BYTES
    ) -> None:
        self._app, self._settings, self._refuse = app, settings, refuse
        self._max_bytes, self._max_model_bytes = settings.max_request_bytes, max_model_bytes
        self._token = settings.token.encode() if settings.token else None
        host = settings.host.strip("[]")
        own = f"[{host}]" if ":" in host else host
        self._hosts = HostNames((own, *settings.allow_hosts), settings.is_local)
        self._proxies = Proxies(settings.trust_proxy)
        self._arriving: dict[_Request, None] = {}  # whose bodies are not there yet
        self._working: set[_Request] = set()  # until their response begins: a client can read slowly
        self._held_bytes = 0
        self._unanswered: set[_Request] = set()  # whose time is limited
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Requests that are being worked on."""
        return len(self._working)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no websocket is served; closing it without a response is a refusal
        headers = checked_headers(scope)
        path = self._take_prefix(scope, headers)
        brings_model = path.startswith(MODELS_FOLDER) and scope["method"] == "POST"
        seconds = self._settings.request_s * (MODEL_TIMES if brings_model else 1)
        request = _Request(self._max_model_bytes if brings_model else self._max_bytes, seconds)
        added = PAGE_HEADERS if path in ("", "/") or path.startswith(OPEN_FOLDER) else API_HEADERS

        async def send_guarded(event: Message) -> None:
            if event["type"] == "http.response.start":
                self._begin_response(request)
                event["headers"] = with_headers(event.get("headers", ()), added, event["status"])
            await send(event)

        try:
            self._check(scope, path, headers, request.max_bytes)
            if not path:  # the page's links begin where its path ends with a slash
                await RedirectResponse(f"{scope['root_path']}/", 308)(scope, receive, send_guarded)
                return
            await self._forward(request, brings_model, scope, receive, send_guarded)
        except MuslinError as error:
            if request.has_begun:
                raise
            await self._refuse(scope, error)(scope, receive, send_guarded)

    async def _forward(self, request: _Request, brings_model: bool, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's response, or a refusal where the request is too large, too slow, or one too many."""

        async def receive_guarded() -> Message:
            event = await receive()
            if not request.is_complete and event["type"] == "http.request":
                self._count(request, event, is_held=not brings_model)
            if request.is_too_many:
                await asyncio.sleep(random.uniform(*REFUSAL_S))
                raise MuslinError("too_many_requests", maximum=self._settings.max_requests)
            return event

        if scope["method"] in ("GET", "HEAD"):  # no path reads their body
            request.is_complete = True
        else:
            self._arriving[request] = None
        try:
            async with asyncio.timeout(None) as request.timeout:
                self._limit_time(request)
                await self._app(scope, receive_guarded, send)
        except TimeoutError:
            if request.timeout is None or not request.timeout.expired():
                raise
            if request.is_ousted:
                raise MuslinError("too_many_requests", maximum=self.in_flight) from None
            code = "request_unanswered" if request.is_complete else "request_late"
            raise MuslinError(code, seconds=request.seconds) from None
        finally:
            request.timeout = None
            self._unanswered.discard(request)
            self._arriving.pop(request, None)
            self._working.discard(request)
            self._held_bytes -= request.held_bytes

    def _begin_response(self, request: _Request) -> None:
        request.has_begun = True
        self._working.discard(request)
        self._unanswered.discard(request)
        if request.timeout is not None:
            request.timeout.reschedule(None)  # the connection limits how slowly a client may read

    def _limit_time(self, request: _Request) -> None:
        self._unanswered.add(request)
        if self._timer is None:
            wait_s = min(CHECK_S, self._settings.request_s / CHECKS)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._end_late)

    def _end_late(self) -> None:
        """End the requests that are late, and check again later where there are others."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        for request in [each for each in self._unanswered if each.began + each.seconds <= now]:
            self._end(request)
        if self._unanswered:
            self._limit_time(next(iter(self._unanswered)))

    def _end(self, request: _Request) -> None:
        """Cancel a request. It is no longer counted, because asyncio refuses to cancel it twice."""
        self._unanswered.discard(request)
        self._arriving.pop(request, None)
        self._held_bytes -= request.held_bytes
        request.held_bytes = 0
        if request.timeout is not None:
            request.timeout.reschedule(asyncio.get_running_loop().time())

    def _count(self, request: _Request, event: Message, is_held: bool) -> None:
        """Take a piece of a body into account; its length is counted, because a chunked body announces none."""
        size = len(event.get("body", b""))
        request.received += size
        if request.received > request.max_bytes:
            raise MuslinError("request_size", maximum_mb=request.max_bytes / 1e6)
        if is_held:
            request.held_bytes += size
            self._held_bytes += size
        if not event.get("more_body", False):
            request.is_complete = True
            self._arriving.pop(request, None)
            request.is_too_many = len(self._working) >= self._settings.max_requests
            if not request.is_too_many:
                self._working.add(request)
        while self._held_bytes > MAX_BODIES_BYTES:
            self._free_memory(request)

    def _free_memory(self, request: _Request) -> None:
        """End the body that has held the most memory for the longest time, so that those who stop halfway keep nobody
        out, and those who send little are left alone."""
        now = asyncio.get_running_loop().time()
        costly = max(self._arriving, key=lambda each: each.held_bytes * (now - each.began), default=request)
        if costly is request or costly.timeout is None or not costly.held_bytes:
            raise MuslinError("too_many_requests", maximum=self.in_flight)
        costly.is_ousted = True
        self._end(costly)

    def _take_prefix(self, scope: Scope, headers: Headers) -> str:
        """The path without the prefix under which a proxy shows the server, whether the proxy takes it off or not."""
        prefix = self._settings.root_path
        if scope in self._proxies:
            given = last_value(headers, b"x-forwarded-prefix").rstrip("/")
            prefix = given if given and is_path_prefix(given) else prefix
            protocol = last_value(headers, b"x-forwarded-proto")
            scope["scheme"] = protocol if protocol in ("http", "https") else scope["scheme"]
        path: str = scope["path"]
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path = path[len(prefix) :]
        scope["root_path"], scope["path"] = prefix, prefix + path
        return path

    def _check(self, scope: Scope, path: str, headers: Headers, max_bytes: int) -> None:
        """Refuse a request that is not for this server, comes from another page, lacks the token or brings too much."""
        if path in HEALTH_PATHS:
            return
        host = headers.get(b"host", ("", ""))
        forwarded = last_value(headers, b"x-forwarded-host") if scope in self._proxies else ""
        if len(host) != 1 or host[0] not in self._hosts or (forwarded and forwarded not in self._hosts):
            raise MuslinError("host_unknown", "server")
        name = (forwarded or host[0]).lower()
        own = f"http://{name}", f"https://{name}"  # a proxy may add the encryption
        sites, modes = headers.get(b"sec-fetch-site", ()), headers.get(b"sec-fetch-mode", ())
        if is_foreign(headers.get(b"origin", ()), own, sites, modes):
            raise MuslinError("origin_foreign")
        if self._token is not None and path not in OPEN_PATHS and not path.startswith(OPEN_FOLDER):
            self._check_token(headers)
        encoding = headers.get(b"content-encoding", ("",))[-1].strip()
        if encoding.lower() not in ("", "identity") and not path.startswith("/v2/"):  # whose routes decompress
            raise MuslinError("content_encoded", found=encoding)
        check_length(headers.get(b"content-length", ("0",))[0], max_bytes)

    def _check_token(self, headers: Headers) -> None:
        sent = headers.get(b"authorization", ())
        scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise MuslinError("token_missing")
        if not hmac.compare_digest(token.encode("latin-1"), self._token or b""):
            raise MuslinError("token_wrong")
