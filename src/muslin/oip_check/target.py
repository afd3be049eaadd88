"""One model of the server under test, with what its rules share: its metadata, and a request that it accepts."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from muslin.oip_check.connection import Reply, Server, model_path, parse_object
from muslin.oip_check.json_fields import field
from muslin.oip_check.outcomes import NotTriedError, RuleBrokenError
from muslin.oip_check.tensors import (
    DATATYPES,
    MAX_ELEMENTS,
    Tensor,
    difference,
    example_values,
    image_tensor,
    kind_difference,
    output_tensor,
    with_decoded_images,
)

VARIABLE_SIZE = 32
"""Of a dimension that the metadata leave open, other than the first: of an image, for one."""

HEADER_LENGTH = "inference-header-content-length"

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Answer:
    """An inference response: its JSON object, and its outputs by name in their order."""

    content: dict[str, Any]
    outputs: dict[str, Tensor]


@dataclass(frozen=True)
class Target:
    """The server and the model that rules are tried on.

    Attributes:
        request: an inference request that the model accepts; without one, some are tried.
    """

    server: Server
    model: str
    request: dict[str, Any] | None = None

    def path(self, end: str = "", version: str | None = None) -> str:
        return model_path(self.model, version, end)

    @cached_property
    def extensions(self) -> tuple[str, ...]:
        """The extensions that the server says it has; none where its metadata cannot be read."""
        try:
            found = self.server.get("/v2").json_object().get("extensions")
        except RuleBrokenError:
            return ()
        return tuple(map(str, found)) if isinstance(found, list) else ()

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The model's metadata; empty where they cannot be read."""
        try:
            return self.server.get(self.path()).json_object()
        except RuleBrokenError:
            return {}

    @property
    def versions(self) -> list[str]:
        """The versions that the metadata name."""
        found = self.metadata.get("versions")
        return [version for version in found if isinstance(version, str)] if isinstance(found, list) else []

    def declared(self, which: str) -> list[dict[str, Any]]:
        """The `inputs` or `outputs` of the metadata that are well formed."""
        found = self.metadata.get(which)
        return [row for row in found if is_declared_tensor(row)] if isinstance(found, list) else []

    @cached_property
    def make_inputs(self) -> Callable[[int], Inputs]:
        """Makes the inputs of requests that the model accepts: those of `example`, or with 1 others.

        Raises:
            NotTriedError: none was accepted.
        """
        said = "the metadata declare no inputs"
        for make in self._candidates:
            reply = self.post_json(infer_request(make(0)))
            if reply.status == 200:
                return make
            said = f"the last reply was {reply.status}{reply.excerpt()}"
        raise NotTriedError(f"No request made from the metadata was accepted; {said}. Pass --request FILE.")

    @property
    def example(self) -> Inputs:
        """The inputs of a request that the model accepts.

        Raises:
            NotTriedError: none was accepted.
        """
        return self.make_inputs(0)

    @property
    def other_example(self) -> Inputs:
        """Inputs as `example`, with other values."""
        return self.make_inputs(1)

    @cached_property
    def answer(self) -> Answer:
        """The response to `example`.

        Raises:
            NotTriedError: it is not as the protocol has it, which rules of their own say.
        """
        example = self.example
        try:
            return self.infer(example)
        except RuleBrokenError as error:
            raise NotTriedError(f"The model's response is malformed: {error}") from None

    @cached_property
    def is_deterministic(self) -> bool:
        """Whether the same request gave the same outputs twice."""
        return outputs_difference(self.infer(self.example), self.answer, difference) is None

    def difference(self, found: Answer, expected: Answer) -> str | None:
        """How two responses that should be the same differ, or None; of a random model in names, types and shapes."""
        return outputs_difference(found, expected, difference if self.is_deterministic else kind_difference)

    @property
    def _candidates(self) -> Iterator[Callable[[int], Inputs]]:
        if self.request is not None:
            yield given_inputs(self.request)
            return
        declared = self.declared("inputs")
        groups: list[list[dict[str, Any]]] = [declared] if declared else []
        groups += [[row] for row in declared] if len(declared) > 1 else []
        for rows in groups:
            yield partial(example_inputs, rows)
            if any(row["datatype"] == "BYTES" for row in rows):
                yield partial(example_inputs, rows, as_image=True)

    def post_json(self, request: Any, version: str | None = None) -> Reply:
        """The reply to an inference request in JSON."""
        return self.server.post(self.path("/infer", version), json.dumps(request).encode())

    def post_binary(self, request: dict[str, Any], contents: Iterable[bytes]) -> Reply:
        """The reply to an inference request whose inputs follow it as bytes."""
        header = json.dumps(request).encode()
        body = header + b"".join(contents)
        kind = "application/octet-stream"
        return self.server.post(
            self.path("/infer"), body, Content_Type=kind, Inference_Header_Content_Length=str(len(header))
        )

    def infer(self, inputs: Inputs, version: str | None = None, **settings: Any) -> Answer:
        """The response to an inference request in JSON; `settings` are further fields of it.

        Raises:
            RuleBrokenError: it is an error, or malformed.
        """
        return read_answer(self.post_json(infer_request(inputs, **settings), version))


def infer_request(inputs: Sequence[Tensor], **settings: Any) -> dict[str, Any]:
    """An inference request in JSON."""
    return {**settings, "inputs": [tensor.to_json() for tensor in inputs]}


def read_answer(reply: Reply) -> Answer:
    """The outputs of an inference response, in JSON or with the binary extension.

    Raises:
        RuleBrokenError: it is an error, or malformed.
    """
    reply.expect_status(200)
    length = reply.headers.get(HEADER_LENGTH)
    if length is None:
        return Answer(found := reply.json_object(), _outputs(found, b""))
    if not length.isascii() or not length.isdecimal() or int(length) > len(reply.body):
        raise RuleBrokenError(
            f"Inference-Header-Content-Length is {length!r}, and the body has {len(reply.body):,} bytes."
        )
    found = parse_object(reply.body[: int(length)])
    return Answer(found, _outputs(found, reply.body[int(length) :]))


def _outputs(found: dict[str, Any], content: bytes) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}
    position = 0
    for output in field(found, "outputs", list):
        if not isinstance(output, dict):
            raise RuleBrokenError("An output is not a JSON object.")
        size = binary_size(output)
        part = None if size is None else content[position : position + size]
        if size is not None and position + size > len(content):
            raise RuleBrokenError(f"Output {output.get('name')}: binary_data_size goes beyond the end of the reply.")
        position += size or 0
        tensor = output_tensor(output, part)
        if tensor.name in outputs:
            raise RuleBrokenError(f"The output {tensor.name} is there twice.")
        outputs[tensor.name] = tensor
    if position != len(content):
        raise RuleBrokenError(f"{len(content) - position:,} bytes are left after the last output.")
    return outputs


def binary_size(output: dict[str, Any]) -> int | None:
    """`binary_data_size` of an output; None where it stands in the JSON.

    Raises:
        RuleBrokenError: it is not a whole number from 0, or `data` is there too.
    """
    parameters = output.get("parameters")
    if not isinstance(parameters, dict) or "binary_data_size" not in parameters:
        return None
    size = parameters["binary_data_size"]
    if type(size) is not int or size < 0 or "data" in output:
        raise RuleBrokenError(f"Output {output.get('name')}: binary_data_size is {size!r}, or data is there too.")
    return size


def is_declared_tensor(row: Any) -> bool:
    """Whether metadata describe a tensor: a name, a data type of the protocol, and whole numbers from -1."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("name"), str)
        and row.get("datatype") in DATATYPES
        and isinstance(row.get("shape"), list)
        and all(type(size) is int and size >= -1 for size in row["shape"])
    )


def example_inputs(rows: list[dict[str, Any]], variant: int, *, as_image: bool = False) -> Inputs:
    """Values for inputs that metadata declare."""
    return tuple(example_tensor(row, variant, as_image=as_image) for row in rows)


def example_tensor(row: dict[str, Any], variant: int, *, as_image: bool = False) -> Tensor:
    """Values for an input that metadata declare.

    Raises:
        NotTriedError: it is too large.
    """
    sizes = enumerate(row["shape"])
    shape = tuple((1 if index == 0 else VARIABLE_SIZE) if size == -1 else size for index, size in sizes)
    count = math.prod(shape)
    if count > MAX_ELEMENTS:
        raise NotTriedError(f"The input {row['name']} has {count:,} elements. Pass --request FILE.")
    if row["datatype"] != "BYTES":
        return Tensor(row["name"], row["datatype"], shape, example_values(row["datatype"], count, variant))
    if as_image:
        return image_tensor(row["name"], shape, variant)
    return Tensor(row["name"], "BYTES", shape, (str(variant).encode(),) * count)


def given_inputs(request: dict[str, Any]) -> Callable[[int], Inputs]:
    """The inputs of a request that a user gave; the variant has the same shapes and other values.

    Raises:
        RuleBrokenError: it is not an inference request.
    """
    rows = [row for row in field(request, "inputs", list, "The request") if isinstance(row, dict)]
    given = tuple(with_decoded_images(output_tensor(row)) for row in rows)

    def make(variant: int) -> Inputs:
        return tuple(_varied(tensor) for tensor in given) if variant else given

    return make


def _varied(tensor: Tensor) -> Tensor:
    """A tensor of the same shape with other values; texts stay as they are, because few would be accepted."""
    if tensor.datatype == "BYTES":
        return tensor
    return replace(tensor, values=example_values(tensor.datatype, len(tensor.values), 1))


def outputs_difference(
    found: Answer, expected: Answer, tensor_difference: Callable[[Tensor, Tensor], str | None]
) -> str | None:
    """How two responses differ in their outputs, or None."""
    if found.outputs.keys() != expected.outputs.keys():
        return f"outputs {list(found.outputs)} and {list(expected.outputs)}"
    for name, tensor in found.outputs.items():
        if reason := tensor_difference(tensor, expected.outputs[name]):
            return f"output {name}: {reason}"
    return None
