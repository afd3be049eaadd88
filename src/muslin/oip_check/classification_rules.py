"""Rules of the classification extension: the best classes of an output as texts `value:index[:label]`."""

import math
import re
from typing import Any

from muslin.oip_check.model_rules import expect_error
from muslin.oip_check.outcomes import NotOfferedError, NotTriedError, RuleBrokenError
from muslin.oip_check.rules import CLASSIFICATION, rule
from muslin.oip_check.target import Answer, Target, infer_request
from muslin.oip_check.tensors import TOLERANCE, Tensor

BEST = 2

ELEMENT = re.compile(rb"(?P<value>[^:]+):(?P<index>[0-9]+)(?::(?P<label>.*))?", re.DOTALL)


def classified_outputs(target: Target) -> list[Tensor]:
    """The outputs that have at least BEST numbers a row.

    Raises:
        NotOfferedError: the server does not list the extension.
        NotTriedError: there are none.
    """
    if "classification" not in target.extensions:
        raise NotOfferedError("The server does not list classification.")
    found = [
        tensor
        for tensor in target.answer.outputs.values()
        if tensor.is_numeric and tensor.shape and tensor.shape[-1] >= BEST
    ]
    if not found:
        raise NotTriedError(f"No output has {BEST} numbers or more in a row.")
    return found


def classify(target: Target, tensor: Tensor, count: Any, **parameters: Any) -> Answer:
    """The response with the best classes of an output."""
    outputs = [{"name": tensor.name, "parameters": {"classification": count, **parameters}}]
    return target.infer(target.example, outputs=outputs)


@rule("classification.best", "The best classes come as BYTES, best first, with the output's values",
      CLASSIFICATION, "extension")  # fmt: skip
def best_classes(target: Target) -> None:
    for tensor in classified_outputs(target):
        check_best(classify(target, tensor, BEST).outputs, tensor, target)


@rule("classification.binary", "The best classes also come as bytes", CLASSIFICATION, "extension")
def binary_classes(target: Target) -> None:
    tensor = classified_outputs(target)[0]
    if "binary_tensor_data" not in target.extensions:
        raise NotOfferedError("The server does not list binary_tensor_data.")
    check_best(classify(target, tensor, BEST, binary_data=True).outputs, tensor, target)


def check_best(found: dict[str, Tensor], tensor: Tensor, target: Target) -> None:
    """Raises:
    RuleBrokenError: the texts are not those of the best classes of `tensor`.
    """
    texts = found.get(tensor.name)
    if texts is None or texts.datatype != "BYTES":
        raise RuleBrokenError(f"The output {tensor.name} did not come as BYTES.")
    rows = math.prod(tensor.shape[:-1])
    if len(texts.values) != BEST * rows or texts.shape[-1:] != (BEST,):
        raise RuleBrokenError(
            f"{tensor.name} has the shape {list(texts.shape)}, expected {[*tensor.shape[:-1], BEST]}."
        )
    for row in range(rows):
        width = tensor.shape[-1]
        values = tensor.values[row * width : (row + 1) * width]
        check_best_row(texts.values[row * BEST : (row + 1) * BEST], values, is_exact=target.is_deterministic)


def check_best_row(texts: tuple[bytes, ...], values: tuple[float, ...], *, is_exact: bool) -> None:
    """Raises:
    RuleBrokenError: the texts are not those of the highest values, best first.
    """
    highest = sorted(values, reverse=True)
    for position, text in enumerate(texts):
        found = ELEMENT.fullmatch(text)
        index = int(found["index"]) if found else len(values)
        if found is None or index >= len(values) or not is_number(found["value"]):
            raise RuleBrokenError(f"{text.decode(errors='replace')!r} is not of the form value:index[:label].")
        stated = float(found["value"])
        is_best = all(math.isclose(one, highest[position], rel_tol=1e-3, abs_tol=TOLERANCE)
                      for one in (values[index], stated))  # fmt: skip
        if is_exact and not is_best:
            raise RuleBrokenError(
                f"{text.decode(errors='replace')!r} is not class {position + 1} of the output's values."
            )


def is_number(text: bytes) -> bool:
    """Whether the text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


@rule("classification.wrong_count", "A count that is not a positive integer is refused", CLASSIFICATION, "extension")
def wrong_counts(target: Target) -> None:
    tensor = classified_outputs(target)[0]
    for count in (-1, "x", 1.5, [2]):
        outputs = [{"name": tensor.name, "parameters": {"classification": count}}]
        try:
            expect_error(target.post_json(infer_request(target.example, outputs=outputs)))
        except RuleBrokenError as error:
            raise RuleBrokenError(f"With the count {count}: {error}") from None
