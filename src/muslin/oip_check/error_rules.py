"""Rules of wrong inference requests: each is refused in the protocol's form, and harms no other request."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from muslin.oip_check.connection import Reply, model_path
from muslin.oip_check.inference_rules import expect_same
from muslin.oip_check.model_rules import expect_error, offered_versions
from muslin.oip_check.outcomes import NotOfferedError, NotTriedError, RuleBrokenError
from muslin.oip_check.rules import PROTOCOL, TENSORS, Level, Rule, add_rule, rule
from muslin.oip_check.server_rules import UNKNOWN
from muslin.oip_check.target import Target, infer_request, read_answer

DEEP = 100_000
"""Arrays within arrays, which a careless parser answers by ending its process."""


@dataclass(frozen=True)
class WrongRequest:
    """A request that a server must refuse (`required`), or had better refuse (`recommended`)."""

    name: str
    title: str
    level: Level
    send: Callable[[Target], Reply]
    source: str = PROTOCOL


def send_text(text: str, target: Target) -> Reply:
    """Any text in place of a request."""
    return target.server.post(target.path("/infer"), text.encode())


def send_changed(change: Callable[[dict[str, Any]], object], target: Target) -> Reply:
    """The accepted request after `change`."""
    request = infer_request(target.example)
    change(request)
    return target.post_json(request)


def send_input(change: Callable[[dict[str, Any]], object], target: Target) -> Reply:
    """The accepted request after `change` of its first input."""
    return send_changed(lambda request: change(request["inputs"][0]), target)


def without(name: str) -> Callable[[dict[str, Any]], object]:
    """Removes a field."""
    return lambda value: value.pop(name)


def having(**fields: Any) -> Callable[[dict[str, Any]], object]:
    """Sets fields."""
    return lambda value: value.update(fields)


def send_too_few(target: Target) -> Reply:
    """The accepted request without the first input's last element."""
    if not target.example[0].values:
        raise NotOfferedError("The first input has no elements.")
    return send_input(lambda tensor: tensor["data"].pop(), target)


def send_too_many(target: Target) -> Reply:
    """The accepted request with the first input's last element twice."""
    if not target.example[0].values:
        raise NotOfferedError("The first input has no elements.")
    return send_input(lambda tensor: tensor["data"].append(tensor["data"][-1]), target)


def send_value(value: object, target: Target) -> Reply:
    """The accepted request with `value` as the first input's first element."""
    if not target.example[0].values:
        raise NotOfferedError("The first input has no elements.")
    if target.example[0].datatype == "BYTES" and isinstance(value, str):
        raise NotOfferedError("The input's data type is BYTES, of which a text is a value.")
    return send_input(lambda tensor: tensor["data"].__setitem__(0, value), target)


def send_out_of_range(target: Target) -> Reply:
    """The accepted request with an integer that the first input's data type does not have."""
    if "INT" not in target.example[0].datatype:
        raise NotOfferedError("The first input's data type is none of integers.")
    return send_value(2**64, target)


def send_unknown_version(target: Target) -> Reply:
    offered_versions(target)
    return target.post_json(infer_request(target.example), UNKNOWN)


def send_unknown_model(target: Target) -> Reply:
    body = json.dumps(infer_request(target.example)).encode()
    return target.server.post(model_path(UNKNOWN, end="/infer"), body)


WRONG_REQUESTS = (
    WrongRequest("unknown_model", "an unknown model", "required", send_unknown_model),
    WrongRequest("unknown_version", "an unknown version", "required", send_unknown_version),
    WrongRequest("empty_body", "an empty body", "required", partial(send_text, "")),
    WrongRequest("not_json", "a body that is not JSON", "required", partial(send_text, '{"inputs": [')),
    WrongRequest("not_object", "JSON that is not an object", "required", partial(send_text, "[]")),
    WrongRequest("no_inputs", "a request without inputs", "required", partial(send_changed, without("inputs"))),
    WrongRequest("inputs_type", "inputs that are not an array", "required", partial(send_changed, having(inputs="x"))),
    WrongRequest("no_name", "an input without name", "required", partial(send_input, without("name"))),
    WrongRequest("no_shape", "an input without shape", "required", partial(send_input, without("shape"))),
    WrongRequest("no_datatype", "an input without data type", "required", partial(send_input, without("datatype"))),
    WrongRequest("no_data", "an input without data", "required", partial(send_input, without("data"))),
    WrongRequest(
        "unknown_output",
        "an output that the model does not have",
        "required",
        partial(send_changed, having(outputs=[{"name": UNKNOWN}])),
    ),
    WrongRequest(
        "datatype", "a data type that does not exist", "required", partial(send_input, having(datatype="FP99")), TENSORS
    ),
    WrongRequest("negative_shape", "a negative size", "required", partial(send_input, having(shape=[-1, -1])), TENSORS),
    WrongRequest(
        "huge_shape", "a shape of 2^80 elements", "required", partial(send_input, having(shape=[2**40, 2**40])), TENSORS
    ),
    WrongRequest("too_few", "fewer values than the shape has", "required", send_too_few, TENSORS),
    WrongRequest("too_many", "more values than the shape has", "required", send_too_many, TENSORS),
    WrongRequest("value_null", "null among the values", "required", partial(send_value, None), TENSORS),
    WrongRequest("value_type", "a value of another type", "required", partial(send_value, {"a": 1}), TENSORS),
    WrongRequest("value_text", "a text among numbers", "required", partial(send_value, "x"), TENSORS),
    WrongRequest("value_range", "an integer out of range", "recommended", send_out_of_range, TENSORS),
    WrongRequest(
        "unknown_input",
        "an input that the model does not have",
        "recommended",
        partial(send_input, having(name=UNKNOWN)),
    ),
    WrongRequest("deep", f"{DEEP:,} arrays within arrays", "required", partial(send_text, '{"inputs": ' + "[" * DEEP)),
)
"""Each becomes a rule `error.NAME`."""


def refuse(wrong: WrongRequest, target: Target) -> None:
    """Raises:
    RuleBrokenError: the request is not refused in the protocol's form.
    """
    expect_error(wrong.send(target))


for _wrong in WRONG_REQUESTS:
    _title = f"The server refuses {_wrong.title}, and says why"
    add_rule(Rule(f"error.{_wrong.name}", _title, _wrong.level, _wrong.source, partial(refuse, _wrong)))


def refused_status(wrong: WrongRequest, target: Target) -> int:
    """The status of the reply; 0 for a request that cannot be made for this model."""
    try:
        return wrong.send(target).status
    except (NotTriedError, NotOfferedError):
        return 0


@rule("error.is_4xx", "Wrong requests are refused with 4xx, not 5xx", level="recommended")
def refused_as_client_error(target: Target) -> None:
    found = {wrong.name: status for wrong in WRONG_REQUESTS if (status := refused_status(wrong, target)) >= 500}
    if found:
        raise RuleBrokenError(", ".join(f"{name}: {status}" for name, status in found.items()) + ".")


@rule("error.unknown_parameters", "Unknown parameters are ignored, or refused with a message", level="recommended")
def unknown_parameters(target: Target) -> None:
    reply = target.post_json(infer_request(target.example, parameters={UNKNOWN: "x"}))
    if reply.status == 200:
        expect_same(target, read_answer(reply), target.answer)
    elif reply.status >= 500:
        raise RuleBrokenError(f"The reply has the status {reply.status}{reply.excerpt()}.")
    else:
        expect_error(reply)


@rule("error.recovery", "After the wrong requests, the server answers as before")
def answers_as_before(target: Target) -> None:
    target.server.get("/v2/health/live").expect_status(200)
    expect_same(target, target.infer(target.example), target.answer)
