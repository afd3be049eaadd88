"""Rules of the server itself: health and metadata."""

import json

from muslin.oip_check.connection import Reply
from muslin.oip_check.json_fields import field
from muslin.oip_check.outcomes import RuleBrokenError
from muslin.oip_check.rules import OPENAPI, rule
from muslin.oip_check.target import Target

UNKNOWN = "oip-check-unknown"
"""A name that no model, version, tensor or data type has."""


@rule("health.live", "GET /v2/health/live answers 200")
def live(target: Target) -> None:
    target.server.get("/v2/health/live").expect_status(200)


@rule("health.ready", "GET /v2/health/ready answers 200 while all models are ready")
def ready(target: Target) -> None:
    target.server.get("/v2/health/ready").expect_status(200)


@rule("health.body", "The health replies have no body, or say live or ready as a boolean", level="recommended")
def health_body(target: Target) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        check_probe_body(target.server.get(path))


def check_probe_body(reply: Reply) -> None:
    """Raises:
    RuleBrokenError: the body of a 200 to a probe contradicts it.
    """
    if not reply.body.strip():
        return
    found = reply.json_object()
    for name in ("live", "ready"):
        if name in found and not field(found, name, bool):
            raise RuleBrokenError(f"The reply has the status 200, but {name} is false.")


@rule("server.metadata", "GET /v2 answers 200 with name and version")
def server_metadata(target: Target) -> None:
    reply = target.server.get("/v2")
    reply.expect_status(200)
    found = reply.json_object()
    for name in ("name", "version"):
        field(found, name, str)


@rule("server.extensions", "The server metadata list the extensions")
def server_extensions(target: Target) -> None:
    for name in field(target.server.get("/v2").json_object(), "extensions", list):
        if not isinstance(name, str):
            raise RuleBrokenError(f"extensions has an entry that is not a string: {json.dumps(name)[:100]}.")


@rule("server.unknown_path", "A path that the protocol does not have is an error, and no 5xx", OPENAPI, "recommended")
def unknown_path(target: Target) -> None:
    status = target.server.get(f"/v2/{UNKNOWN}").status
    if not 400 <= status < 500:
        raise RuleBrokenError(f"The reply has the status {status}, expected 404.")
