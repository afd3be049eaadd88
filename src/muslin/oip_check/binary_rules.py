"""Rules of the binary tensor data extension: tensors as bytes after the JSON, in requests and responses."""

import json
from collections.abc import Sequence
from typing import Any

from muslin.oip_check.connection import Reply
from muslin.oip_check.inference_rules import expect_same
from muslin.oip_check.model_rules import expect_error
from muslin.oip_check.outcomes import NotOfferedError, RuleBrokenError
from muslin.oip_check.rules import BINARY, rule
from muslin.oip_check.target import HEADER_LENGTH, Target, binary_size, infer_request, read_answer
from muslin.oip_check.tensors import Tensor


def offers_binary(target: Target) -> None:
    """Raises:
    NotOfferedError: the server does not list the extension.
    """
    if "binary_tensor_data" not in target.extensions:
        raise NotOfferedError("The server does not list binary_tensor_data.")


def binary_request(inputs: Sequence[Tensor], **settings: Any) -> dict[str, Any]:
    """An inference request whose inputs follow it as bytes."""
    return {**settings, "inputs": [binary_input(tensor) for tensor in inputs]}


def binary_input(tensor: Tensor) -> dict[str, Any]:
    """An input that follows its request as bytes."""
    size = len(tensor.to_bytes())
    described = {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype}
    return described | {"parameters": {"binary_data_size": size}}


def send_binary(target: Target, **settings: Any) -> Reply:
    """The reply to the accepted request with its inputs as bytes."""
    contents = [tensor.to_bytes() for tensor in target.example]
    return target.post_binary(binary_request(target.example, **settings), contents)


def binary_outputs(reply: Reply) -> dict[str, bool]:
    """Whether each output of a response came as bytes."""
    outputs = read_answer(reply).content["outputs"]
    if HEADER_LENGTH not in reply.headers and any(binary_size(output) is not None for output in outputs):
        raise RuleBrokenError("The reply has bytes, but no Inference-Header-Content-Length.")
    return {output["name"]: binary_size(output) is not None for output in outputs}


@rule("binary.inputs", "Inputs as bytes give the same outputs as in JSON", BINARY, "extension")
def binary_inputs(target: Target) -> None:
    offers_binary(target)
    expect_same(target, read_answer(send_binary(target)), target.answer)


@rule("binary.outputs", "binary_data_output returns all outputs as bytes, with the same values", BINARY, "extension")
def all_binary_outputs(target: Target) -> None:
    offers_binary(target)
    reply = target.post_json(infer_request(target.example, parameters={"binary_data_output": True}))
    if not all(binary_outputs(reply).values()):
        raise RuleBrokenError("An output came in JSON.")
    expect_same(target, read_answer(reply), target.answer)


@rule("binary.both", "Inputs and outputs as bytes in one request", BINARY, "extension")
def binary_both(target: Target) -> None:
    offers_binary(target)
    reply = send_binary(target, parameters={"binary_data_output": True})
    if not all(binary_outputs(reply).values()):
        raise RuleBrokenError("An output came in JSON.")
    expect_same(target, read_answer(reply), target.answer)


@rule("binary.one_output", "binary_data of an output counts for that output only", BINARY, "extension")
def one_binary_output(target: Target) -> None:
    offers_binary(target)
    names = [*target.answer.outputs]
    for chosen in names:
        outputs = [{"name": name, "parameters": {"binary_data": name == chosen}} for name in names]
        reply = target.post_json(infer_request(target.example, outputs=outputs))
        if binary_outputs(reply) != {name: name == chosen for name in names}:
            raise RuleBrokenError(f"{chosen} was asked as bytes and the others in JSON; they came otherwise.")


@rule("binary.override", "binary_data of an output goes before binary_data_output", BINARY, "extension")
def overridden_output(target: Target) -> None:
    offers_binary(target)
    outputs = [{"name": name, "parameters": {"binary_data": False}} for name in target.answer.outputs]
    request = infer_request(target.example, parameters={"binary_data_output": True}, outputs=outputs)
    if any(binary_outputs(target.post_json(request)).values()):
        raise RuleBrokenError("An output came as bytes in spite of its binary_data false.")


@rule("binary.json_default", "Outputs are in JSON where bytes were not asked for", BINARY, "extension")
def json_by_default(target: Target) -> None:
    offers_binary(target)
    if any(binary_outputs(send_binary(target)).values()):
        raise RuleBrokenError("An output came as bytes.")


def send_length(target: Target, length: str) -> Reply:
    """The accepted request with inputs as bytes, and another Inference-Header-Content-Length."""
    body = json.dumps(binary_request(target.example)).encode() + b"".join(map(Tensor.to_bytes, target.example))
    return target.server.post(target.path("/infer"), body, Inference_Header_Content_Length=length)


@rule("binary.wrong_length", "A wrong Inference-Header-Content-Length is refused", BINARY, "extension")
def wrong_lengths(target: Target) -> None:
    offers_binary(target)
    for length in ("x", "-1", "0", "7", str(2**40)):
        try:
            expect_error(send_length(target, length))
        except RuleBrokenError as error:
            raise RuleBrokenError(f"With the value {length}: {error}") from None


@rule("binary.wrong_size", "A binary_data_size that does not fit shape and body is refused", BINARY, "extension")
def wrong_sizes(target: Target) -> None:
    offers_binary(target)
    contents = [tensor.to_bytes() for tensor in target.example]
    size = len(contents[0])
    for wrong in (size - 1, size + 1, 0, -1, 2**62, "x", None):
        request = binary_request(target.example)
        request["inputs"][0]["parameters"]["binary_data_size"] = wrong
        try:
            expect_error(target.post_binary(request, contents))
        except RuleBrokenError as error:
            raise RuleBrokenError(f"With binary_data_size {wrong}: {error}") from None


@rule("binary.left_over", "Bytes after the last input are refused", BINARY, "extension")
def left_over(target: Target) -> None:
    offers_binary(target)
    contents = [tensor.to_bytes() for tensor in target.example]
    expect_error(target.post_binary(binary_request(target.example), [*contents, b"\0\0\0"]))
