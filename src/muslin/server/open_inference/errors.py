"""Errors in the protocol's form, `{"error": "…"}`, with the few statuses that its description names."""

from starlette.responses import Response

from muslin.errors import MuslinError
from muslin.server.responses import json_response

KEPT_STATUSES = (401, 403, 405, 408, 413, 421)
"""Statuses that the protocol leaves to HTTP: who may ask, in which way, how much and when."""


class InferenceError(MuslinError, status=400):
    """A request of the protocol that cannot be answered: the tensors, the model or the version that it names."""


def protocol_status(error: MuslinError) -> int:
    """The HTTP status of a request for metadata or inference: 400 for whatever is wrong with its values.

    An unknown model is 400 too: the protocol has 404 for readiness only.
    """
    return error.status if error.status in KEPT_STATUSES or error.status >= 500 else 400


def protocol_response(error: MuslinError, status: int, language: str = "en") -> Response:
    """An error as the protocol has it."""
    return json_response({"error": error.message.text(language)}, status)
