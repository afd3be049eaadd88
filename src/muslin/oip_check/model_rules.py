"""Rules of a model's readiness and metadata."""

from typing import Any

from muslin.oip_check.connection import Reply, model_path
from muslin.oip_check.json_fields import field
from muslin.oip_check.outcomes import NotOfferedError, RuleBrokenError
from muslin.oip_check.rules import OPENAPI, TENSORS, rule
from muslin.oip_check.server_rules import UNKNOWN, check_probe_body
from muslin.oip_check.target import Target
from muslin.oip_check.tensors import DATATYPES, UNDECODED


def expect_error(reply: Reply) -> None:
    """Raises:
    RuleBrokenError: the reply is not an error of the protocol, `{"error": "…"}` with an error's status.
    """
    if reply.status < 400:
        raise RuleBrokenError(f"The reply has the status {reply.status}, expected an error's.")
    message = field(reply.json_object(), "error", str, f"The reply with the status {reply.status}")
    if not message.strip():
        raise RuleBrokenError("The error is an empty string.")


def expect_absent(reply: Reply) -> None:
    """Raises:
    RuleBrokenError: a probe found a model that is not there.
    """
    if not 400 <= reply.status < 500:
        raise RuleBrokenError(f"The reply has the status {reply.status}, expected 404.")


def offered_versions(target: Target) -> list[str]:
    """Raises:
    NotOfferedError: the metadata name no version.
    """
    if not target.versions:
        raise NotOfferedError("The metadata name no versions.")
    return target.versions


@rule("model.ready", "GET /v2/models/NAME/ready answers 200")
def model_ready(target: Target) -> None:
    target.server.get(target.path("/ready")).expect_status(200)


@rule("model.ready_body", "The reply to a model's probe is empty, or says name and ready", level="recommended")
def model_ready_body(target: Target) -> None:
    reply = target.server.get(target.path("/ready"))
    check_probe_body(reply)
    if reply.body.strip() and field(reply.json_object(), "name", str) != target.model:
        raise RuleBrokenError("The name is another model's.")


@rule("model.ready_unknown", "An unknown model is not ready: 404, or another 4xx", OPENAPI)
def unknown_ready(target: Target) -> None:
    expect_absent(target.server.get(model_path(UNKNOWN, end="/ready")))


@rule("model.ready_unknown_404", "The probe of an unknown model answers 404", OPENAPI, "recommended")
def unknown_ready_404(target: Target) -> None:
    target.server.get(model_path(UNKNOWN, end="/ready")).expect_status(404)


@rule("model.ready_version", "Each version that the metadata name is ready")
def version_ready(target: Target) -> None:
    for version in offered_versions(target):
        target.server.get(target.path("/ready", version)).expect_status(200)


@rule("model.ready_unknown_version", "An unknown version is not ready: 404, or another 4xx", OPENAPI)
def unknown_version_ready(target: Target) -> None:
    offered_versions(target)
    expect_absent(target.server.get(target.path("/ready", UNKNOWN)))


@rule("model.metadata", "GET /v2/models/NAME answers 200 with name and platform")
def model_metadata(target: Target) -> None:
    check_metadata(target.server.get(target.path()), target.model)


def check_metadata(reply: Reply, model: str) -> None:
    """Raises:
    RuleBrokenError: the reply is not the metadata of `model`.
    """
    reply.expect_status(200)
    found = reply.json_object()
    field(found, "platform", str)
    if (name := field(found, "name", str)) != model:
        raise RuleBrokenError(f"The name is {name!r}, expected {model!r}.")


@rule("model.tensors", "Inputs and outputs are declared with name, data type and shape", TENSORS)
def declared_tensors(target: Target) -> None:
    metadata = target.server.get(target.path()).json_object()
    for which in ("inputs", "outputs"):
        rows = field(metadata, which, list, "The metadata")
        if not rows:
            raise RuleBrokenError(f"{which} is empty.")
        for row in rows:
            check_declared(row, which)
        if len({row["name"] for row in rows}) < len(rows):
            raise RuleBrokenError(f"{which} has a name twice.")


def check_declared(row: Any, which: str) -> None:
    """Raises:
    RuleBrokenError: the row is not metadata of a tensor.
    """
    if not isinstance(row, dict):
        raise RuleBrokenError(f"An entry of {which} is not an object.")
    where = f"{which}, {field(row, 'name', str, which)}"
    datatype = field(row, "datatype", str, where)
    if datatype not in (*DATATYPES, *UNDECODED):
        raise RuleBrokenError(f"{where}: {datatype!r} is not a data type of the protocol.")
    for size in field(row, "shape", list, where):
        if type(size) is not int or size < -1:
            raise RuleBrokenError(
                f"{where}: the shape has {size!r}; expected whole numbers, or -1 where the size is open."
            )


@rule("model.versions", "The metadata's versions, where they are there, are strings")
def version_strings(target: Target) -> None:
    if "versions" not in target.metadata:
        raise NotOfferedError("The metadata have no versions.")
    found = target.metadata["versions"]
    if found is None:
        raise RuleBrokenError("versions is null; leave it out where there are none.")
    for version in field(target.metadata, "versions", list):
        if not isinstance(version, str) or not version:
            raise RuleBrokenError(f"A version is {version!r}, expected a string.")


@rule("model.properties", "The metadata's properties, where they are there, are strings", OPENAPI)
def metadata_properties(target: Target) -> None:
    if "properties" not in target.metadata:
        raise NotOfferedError("The metadata have no properties.")
    for name, value in field(target.metadata, "properties", dict).items():
        if not isinstance(value, str):
            raise RuleBrokenError(f"The property {name} is not a string.")


@rule("model.metadata_version", "Each version that the metadata name has metadata of its own")
def version_metadata(target: Target) -> None:
    for version in offered_versions(target):
        check_metadata(target.server.get(target.path(version=version)), target.model)


@rule("model.metadata_unknown", "The metadata of an unknown model are an error with its message")
def unknown_metadata(target: Target) -> None:
    expect_error(target.server.get(model_path(UNKNOWN)))


@rule("model.metadata_unknown_version", "The metadata of an unknown version are an error with its message")
def unknown_version_metadata(target: Target) -> None:
    offered_versions(target)
    expect_error(target.server.get(target.path(version=UNKNOWN)))


@rule("model.case", "Names are case-sensitive: a model's name in another case is another model", TENSORS)
def case_sensitive(target: Target) -> None:
    other = target.model.swapcase()
    if other == target.model:
        raise NotOfferedError("The name has no letters.")
    if target.server.get(model_path(other)).status < 400:
        raise RuleBrokenError(f"There are metadata for {other!r}.")
