"""Rules of an inference request in JSON and its response."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from muslin.oip_check.json_fields import field, json_type
from muslin.oip_check.model_rules import offered_versions
from muslin.oip_check.outcomes import NotOfferedError, NotTriedError, RuleBrokenError
from muslin.oip_check.rules import TENSORS, rule
from muslin.oip_check.target import Answer, Inputs, Target, infer_request, read_answer
from muslin.oip_check.tensors import Tensor, difference, joined

IDS = ("42", 'ä "quoted" \\ 中文')

CONCURRENT_REQUESTS = 32

CONCURRENT_CONNECTIONS = 8


@rule("infer.response", "The response to an inference request names the model, and outputs with their data")
def response(target: Target) -> None:
    answer = target.infer(target.example)
    if (name := field(answer.content, "model_name", str)) != target.model:
        raise RuleBrokenError(f"model_name is {name!r}, expected {target.model!r}.")


@rule("infer.parameters", "Parameters of a response and of its outputs are strings, numbers and booleans", TENSORS)
def response_parameters(target: Target) -> None:
    found = [row for row in (target.answer.content, *target.answer.content["outputs"]) if "parameters" in row]
    if not found:
        raise NotOfferedError("The response has no parameters.")
    for row in found:
        for name, value in field(row, "parameters", dict).items():
            if not isinstance(value, str | int | float):
                raise RuleBrokenError(f"The parameter {name} is a JSON {json_type(value)}.")


@rule("infer.version", "model_version of a response is a string, and one of the metadata's")
def response_version(target: Target) -> None:
    if "model_version" not in target.answer.content:
        raise NotOfferedError("The response has no model_version.")
    version = field(target.answer.content, "model_version", str)
    if target.versions and version not in target.versions:
        raise RuleBrokenError(f"model_version is {version!r}, and the metadata name {', '.join(target.versions)}.")


@rule("infer.version_path", "A version in the path is the one that answers")
def version_in_path(target: Target) -> None:
    for version in offered_versions(target):
        answer = target.infer(target.example, version)
        if (found := answer.content.get("model_version", version)) != version:
            raise RuleBrokenError(f"The request was for version {version!r}, and {found!r} responded.")


@rule("infer.id", "A response has the id of its request")
def returns_id(target: Target) -> None:
    for name in IDS:
        found = field(target.infer(target.example, id=name).content, "id", str)
        if found != name:
            raise RuleBrokenError(f"The id is {found!r}, expected {name!r}.")


@rule("infer.declared", "A request that names no outputs gets all declared ones, as they were declared")
def declared_outputs(target: Target) -> None:
    if not (declared := target.declared("outputs")):
        raise NotTriedError("The metadata declare no outputs.")
    for row in declared:
        if row["name"] not in target.answer.outputs:
            raise RuleBrokenError(f"The output {row['name']} is missing.")
        check_as_declared(target.answer.outputs[row["name"]], row)
    if extra := target.answer.outputs.keys() - {row["name"] for row in declared}:
        raise RuleBrokenError(f"The output {min(extra)} is not declared.")


def check_as_declared(tensor: Tensor, row: dict[str, Any]) -> None:
    """Raises:
    RuleBrokenError: an output has another data type or shape than the metadata say.
    """
    sizes = row["shape"]
    fits = len(sizes) == len(tensor.shape) and all(
        expected in (-1, found) for expected, found in zip(sizes, tensor.shape, strict=True)
    )
    if tensor.datatype != row["datatype"] or not fits:
        declared, found = f"{row['datatype']} {sizes}", f"{tensor.datatype} {list(tensor.shape)}"
        raise RuleBrokenError(f"The output {tensor.name} is declared as {declared}, and came as {found}.")


@rule("infer.requested", "A request that names an output gets that one only")
def requested_output(target: Target) -> None:
    for name in target.answer.outputs:
        found = target.infer(target.example, outputs=[{"name": name}]).outputs
        if [*found] != [name]:
            raise RuleBrokenError(f"The output {name} was requested, and {', '.join(found) or 'none'} came.")


@rule("infer.nested", "Nested arrays of data mean the same as flat ones", TENSORS)
def nested_data(target: Target) -> None:
    if all(len(tensor.shape) < 2 for tensor in target.example):
        raise NotOfferedError("The inputs have one dimension.")
    inputs = [tensor.to_json(is_nested=True) for tensor in target.example]
    expect_same(target, read_answer(target.post_json({"inputs": inputs})), target.answer)


def expect_same(target: Target, found: Answer, expected: Answer) -> None:
    """Raises:
    RuleBrokenError: the outputs differ.
    """
    if reason := target.difference(found, expected):
        raise RuleBrokenError(f"The outputs differ: {reason}.")


@rule("infer.batch", "Each row of a batch gets the outputs that it gets alone, in the order of the rows", TENSORS)
def batch_rows(target: Target) -> None:
    names = open_first(target, "inputs")
    if not all(tensor.name in names for tensor in target.example):
        raise NotOfferedError("The first dimension of the inputs is not declared as open (-1).")
    alone = [target.answer, other_answer(target)]
    together = tuple(map(joined, target.example, target.other_example))
    swapped = tuple(map(joined, target.other_example, target.example))
    check_rows(target, target.infer(together), alone)
    check_rows(target, target.infer(swapped), alone[::-1])


def open_first(target: Target, which: str) -> list[str]:
    """The names of the tensors whose first dimension the metadata leave open."""
    return [row["name"] for row in target.declared(which) if row["shape"][:1] == [-1]]


def other_answer(target: Target) -> Answer:
    """The response to `other_example`.

    Raises:
        NotTriedError: the model does not accept it.
    """
    try:
        return target.infer(target.other_example)
    except RuleBrokenError as error:
        raise NotTriedError(f"The model refuses the values that the checker varied: {error}") from None


def check_rows(target: Target, batch: Answer, alone: list[Answer]) -> None:
    """Raises:
    RuleBrokenError: the outputs of a batch are not those of its rows alone.
    """
    for name in open_first(target, "outputs"):
        tensor = batch.outputs.get(name)
        if tensor is None or tensor.shape[0] != len(alone):
            raise RuleBrokenError(f"The output {name} does not have {len(alone)} rows for a batch of {len(alone)}.")
        for index, answer in enumerate(alone):
            reason = difference(tensor.row(index), answer.outputs[name])
            if reason and target.is_deterministic:
                raise RuleBrokenError(f"The output {name} of row {index} differs from that of the row alone: {reason}.")


@rule("infer.concurrent", "Of requests at the same time, each gets its own id and outputs")
def concurrent_requests(target: Target) -> None:
    examples = [(target.example, target.answer), (target.other_example, other_answer(target))]

    def ask(number: int) -> None:
        inputs, expected = examples[number % 2]
        check_own(target, inputs, expected, f"request {number}")

    with ThreadPoolExecutor(CONCURRENT_CONNECTIONS) as pool:
        for _ in pool.map(ask, range(CONCURRENT_REQUESTS)):
            pass


def check_own(target: Target, inputs: Inputs, expected: Answer, name: str) -> None:
    """Raises:
    RuleBrokenError: the response is to another request, or other than when the server was idle.
    """
    reply = target.post_json(infer_request(inputs, id=name))
    if reply.status in (429, 503):
        return  # a full server may refuse
    found = read_answer(reply)
    if found.content.get("id") != name:
        raise RuleBrokenError(f"The request {name!r} got the id {found.content.get('id')!r}.")
    if reason := target.difference(found, expected):
        raise RuleBrokenError(f"Among requests at the same time, the outputs differ: {reason}.")
