"""Results and errors as JSON, in the client's language."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from muslin.errors import MuslinError
from muslin.strict_json import json_text
from muslin.web.requests import language_of

Headers = Iterable[tuple[bytes, bytes]]


def language_in(headers: Headers) -> str:
    """Of errors and notes: that of Accept-Language, or English."""
    for name, value in headers:
        if name == b"accept-language":
            return language_of(value.decode("latin-1"))
    return "en"


def json_response(values: Mapping[str, Any] | Sequence[Any], status: int = 200) -> Response:
    return Response(json_text(values), status, media_type="application/json")


def error_response(error: MuslinError, language: str = "en") -> Response:
    """`{"error": {code, message, hint, params}}` with the status of the error's code."""
    return json_response({"error": error.to_dict(language, on_page=True)}, error.status)
