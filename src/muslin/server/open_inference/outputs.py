"""The outputs of a model in the protocol: probabilities, and what is decided on them.

Per target, called T here:

    T              FP32 [n, classes]   calibrated probabilities
    T.predicted    BYTES [n]           the predicted class; of a multilabel target, BOOL [n, classes]: the labels
    T.decision     BYTES [n]           accept, review or out of scope
    T.guarantee    FP32 [n]            the precision that is guaranteed for an accepted prediction; 0 for others

Each can be requested as a classification: texts `value:index:label`, the highest values first. The value of a predicted
class, of a label or of a decision is 1, and 0 for others.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import unknown
from muslin.evaluation.selective import ACCEPT, DECISIONS, Triage
from muslin.server.open_inference.errors import InferenceError
from muslin.server.open_inference.inference_request import InferenceRequest, RequestedOutput
from muslin.server.open_inference.tensors import BOOL, BYTES, FP32, Tensor

PROBABILITIES, PREDICTED, DECISION, GUARANTEE = "", "predicted", "decision", "guarantee"


class Output(NamedTuple):
    """An output that a model has.

    Attributes:
        target: the name of the target whose output it is.
        kind: PROBABILITIES, PREDICTED, DECISION or GUARANTEE.
        labels: the names of its columns; of texts, those that it can have.
        is_vector: whether it has one value an image, not one a label.
    """

    name: str
    target: str
    kind: str
    datatype: str
    labels: tuple[str, ...]
    is_vector: bool

    @property
    def shape(self) -> list[int]:
        """As metadata have it: -1 stands for the number of images."""
        return [-1] if self.is_vector else [-1, len(self.labels)]


def outputs_of(targets: Iterable[Target]) -> dict[str, Output]:
    """The outputs of a model by their names. Where a target has the name of a further output, that gets a `_` more."""
    targets = list(targets)
    outputs = {t.name: Output(t.name, t.name, PROBABILITIES, FP32, t.classes, False) for t in targets}
    for target in targets:
        is_multilabel = target.kind == "multilabel"
        further = (
            (PREDICTED, BOOL if is_multilabel else BYTES, target.classes, not is_multilabel),
            (DECISION, BYTES, DECISIONS, True),
            (GUARANTEE, FP32, ("precision",), True),
        )
        for kind, datatype, labels, is_vector in further:
            name = f"{target.name}.{kind}"
            while name in outputs:
                name += "_"
            outputs[name] = Output(name, target.name, kind, datatype, labels, is_vector)
    return outputs


def requested_outputs(request: InferenceRequest, outputs: Mapping[str, Output]) -> Sequence[RequestedOutput]:
    """The outputs to return, in order.

    Raises:
        InferenceError: the model has no such output.
    """
    for place, output in enumerate(request.outputs):
        if output.name not in outputs:
            raise InferenceError("output_unknown", **unknown(output.name, outputs), field=f"outputs[{place}].name")
    return request.outputs or [RequestedOutput(name, request.is_binary) for name in outputs]


def output_tensor(output: Output, decided: Triage, precision: float, n_classes: int = 0) -> Tensor:
    """An output for `n` images.

    Args:
        decided: of the output's target.
        precision: the precision target of `decided`.
        n_classes: how many classes to return as texts; 0 for the values themselves.
    """
    if n_classes:
        scores = _scores(output, decided, precision)
        return Tensor(output.name, BYTES, _classification(scores, output.labels, n_classes))
    if output.datatype == BYTES:
        return Tensor(output.name, BYTES, np.array(output.labels, object)[_indices(output, decided)])
    scores = _scores(output, decided, precision)
    if output.datatype == BOOL:
        scores = scores.astype(bool)
    return Tensor(output.name, output.datatype, scores[:, 0] if output.is_vector else scores)


def _indices(output: Output, decided: Triage) -> NDArray[np.integer[Any]]:
    return decided.decisions if output.kind == DECISION else decided.predicted


def _scores(output: Output, decided: Triage, precision: float) -> NDArray[np.float32]:
    """float32 (n, labels): the value of each label."""
    if output.kind == PROBABILITIES:
        return np.asarray(decided.probabilities, np.float32)
    if output.kind == GUARANTEE:
        return np.where(decided.decisions == ACCEPT, np.float32(precision), np.float32(0))[:, np.newaxis]
    if output.datatype == BOOL:
        return np.asarray(decided.predicted_labels, np.float32)
    one_hot: NDArray[np.float32] = np.eye(len(output.labels), dtype=np.float32)[_indices(output, decided)]
    return one_hot


def _classification(scores: NDArray[np.float32], labels: Sequence[str], n_classes: int) -> NDArray[np.object_]:
    """`value:index:label` of the highest values, object (n, k); k is at most the number of labels."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n_classes]
    texts = np.empty(order.shape, object)
    for row, places in enumerate(order.tolist()):
        texts[row] = [f"{_decimal(scores[row, place])}:{place}:{labels[place]}" for place in places]
    return texts


def _decimal(value: np.float32) -> str:
    """The shortest decimal that is the same float32, without an exponent."""
    return np.format_float_positional(value, trim="0")
