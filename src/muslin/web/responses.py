"""JSON of requests; responses as JSON in the page's language, or of arrays: a JSON header, then their bytes."""

import gzip
import json
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from muslin.errors import MuslinError
from muslin.messages import Message
from muslin.strict_json import json_text
from muslin.web.requests import Body, language_of

Handler = Callable[[Request], Awaitable[Response]]
ExceptionHandler = Callable[[Request, Exception], Awaitable[Response]]

YEAR_S = 31_536_000
RETRY_AFTER_S = 1


async def json_body(request: Request) -> Body:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise MuslinError("request_value", name="body", expected="object")
    return body


def packed(header: Mapping[str, Any], values: NDArray[Any]) -> bytes:
    """uint32 (little endian) length of the header; the header as JSON, padded with spaces so that the values begin at
    a multiple of 8 bytes; the values, little endian, in C order.
    """
    text = json_text(header).encode()
    text += b" " * (-(4 + len(text)) % 8)
    ordered = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return struct.pack("<I", len(text)) + text + ordered.tobytes()


def response_of(request: Request, answer: Any) -> Response:
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, tuple):
        content, kind = packed(*answer), "application/octet-stream"
    else:
        language = language_of(request.headers.get("accept-language", ""))
        content = json_text(localized(answer, language)).encode()
        kind = "application/json"
    headers = {"cache-control": "no-store"}
    if len(content) > 1000 and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 1)
        headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(content, media_type=kind, headers=headers)


def photo_caching(is_current: bool) -> dict[str, str]:
    """How long a browser keeps a photo. One whose link names the version of its file can be kept for good."""
    return {"cache-control": f"private, max-age={YEAR_S}, immutable" if is_current else "no-cache"}


def localized(value: Any, language: str) -> Any:
    """`value` for JSON: messages as objects in `language`."""
    if isinstance(value, Message):
        return value.to_dict(language, on_page=True)
    if isinstance(value, dict):
        return {key: localized(inside, language) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [localized(inside, language) for inside in value]
    return value


def exception_handlers(handle: ExceptionHandler) -> Mapping[Any, ExceptionHandler]:
    """Of a Starlette application: `handle` makes the response to every error."""

    async def drop(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # which nobody receives

    return dict.fromkeys((MuslinError, HTTPException, Exception), handle) | {ClientDisconnect: drop}


def error_response(error: MuslinError, language: str) -> Response:
    """The error as JSON in `language`, with the status of its code."""
    content = json_text(error.to_dict(language, on_page=True))
    retry = {"retry-after": str(RETRY_AFTER_S)} if error.status == 503 else None
    return Response(content, error.status, retry, "application/json")
