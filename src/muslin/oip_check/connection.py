"""Requests to the server under test, each on a connection of its own, and its replies."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from muslin.errors import MuslinError
from muslin.oip_check.outcomes import RuleBrokenError

MAX_REPLY_BYTES = 256 * 2**20

SHOWN_CHARACTERS = 200
"""Of a reply in a result's detail."""


@dataclass(frozen=True)
class Reply:
    """What the server replied: status, headers with their names in lower case, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            RuleBrokenError: it is none, or not said to be JSON.
        """
        kind = self.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise RuleBrokenError(f"The reply's Content-Type is {kind!r}, expected application/json.")
        return parse_object(self.body)

    def expect_status(self, status: int) -> None:
        """Raises:
        RuleBrokenError: the status is another.
        """
        if self.status != status:
            raise RuleBrokenError(f"The reply has the status {self.status}, expected {status}{self.excerpt()}.")

    def excerpt(self) -> str:
        """The start of the body in brackets, for a result's detail; empty where there is no body."""
        text = " ".join(self.body[:SHOWN_CHARACTERS].decode(errors="replace").split())
        return f" ({text})" if text else ""


@dataclass(frozen=True)
class Server:
    """The server under test.

    Attributes:
        url: its address, maybe with a path before `/v2`.
        headers: sent with every request.
        timeout_s: for which a reply is awaited.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is not a number
            is_usable = False
        if not is_usable:
            raise MuslinError("oip_url", url=self.url)

    def get(self, path: str) -> Reply:
        """The reply to a GET of `path`, which begins with `/v2`."""
        return self.send("GET", path)

    def post(self, path: str, body: bytes, **headers: str) -> Reply:
        """The reply to a POST; the names of `headers` have underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", path, body, {"Content-Type": "application/json"} | named)

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Reply:
        """The reply to a request.

        Raises:
            RuleBrokenError: none came within the time, or none of HTTP.
        """
        parts = urlsplit(self.url)
        connection = self._connect()
        try:
            connection.request(method, parts.path.rstrip("/") + path, body, {**self.headers, **headers})
            response = connection.getresponse()
            content = response.read(MAX_REPLY_BYTES)
        except TimeoutError:
            raise RuleBrokenError(f"{method} {path}: no reply within {self.timeout_s:g} s.") from None
        except (OSError, http.client.HTTPException) as error:
            raise RuleBrokenError(f"{method} {path}: no reply ({type(error).__name__}).") from None
        finally:
            connection.close()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=self.timeout_s, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=self.timeout_s)


def model_path(model: str, version: str | None = None, end: str = "") -> str:
    """`/v2/models/NAME[/versions/VERSION]` with `end` appended."""
    versions = "" if version is None else f"/versions/{quote(version, safe='')}"
    return f"/v2/models/{quote(model, safe='')}{versions}{end}"


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object of RFC 8259: no NaN, and each name once.

    Raises:
        RuleBrokenError: `body` is none.
    """
    try:
        value = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_unique_names)
    except (ValueError, RecursionError) as error:
        raise RuleBrokenError(f"The reply is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise RuleBrokenError(f"The reply is a JSON {type(value).__name__}, expected an object.")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it contains {name}")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a name twice")
    return found
