"""Arrays of labels and probabilities → metrics with their 95 % intervals.

Names are imported when first used, so that a prediction does not import what evaluates.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muslin.evaluation.intervals import Interval, wilson_interval
    from muslin.evaluation.multiclass import ConfusedPair, Evaluation, evaluate_multiclass
    from muslin.evaluation.multilabel import LabelAverages, LabelMetrics, MultilabelEvaluation, evaluate_multilabel

    AnyEvaluation = Evaluation | MultilabelEvaluation
    """Of a multiclass or of a multilabel target."""

_HOMES = {
    "ConfusedPair": "multiclass",
    "Evaluation": "multiclass",
    "Interval": "intervals",
    "LabelAverages": "multilabel",
    "LabelMetrics": "multilabel",
    "MultilabelEvaluation": "multilabel",
    "evaluate_multiclass": "multiclass",
    "evaluate_multilabel": "multilabel",
    "wilson_interval": "intervals",
}

__all__ = [
    "AnyEvaluation", "ConfusedPair", "Evaluation", "Interval", "LabelAverages", "LabelMetrics",
    "MultilabelEvaluation", "evaluate_multiclass", "evaluate_multilabel", "wilson_interval",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "AnyEvaluation":
        return __getattr__("Evaluation") | __getattr__("MultilabelEvaluation")
    if name not in _HOMES:
        raise AttributeError(f"module 'muslin.evaluation' has no attribute {name!r}")
    return getattr(import_module(f"muslin.evaluation.{_HOMES[name]}"), name)
