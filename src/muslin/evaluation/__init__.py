"""Arrays of labels and probabilities → metrics with their 95 % intervals."""

from muslin.evaluation.binary import BinaryMetrics, OperatingPoint
from muslin.evaluation.intervals import Interval, wilson_interval
from muslin.evaluation.multiclass import (
    Averages,
    ClassMetrics,
    ConfidentError,
    ConfusedPair,
    Evaluation,
    evaluate_multiclass,
)
from muslin.evaluation.multilabel import (
    ConfidentLabelError,
    LabelAverages,
    LabelMetrics,
    MultilabelEvaluation,
    evaluate_multilabel,
)
from muslin.evaluation.reliability import Reliability

AnyEvaluation = Evaluation | MultilabelEvaluation
"""Of a multiclass or of a multilabel target."""

__all__ = [
    "AnyEvaluation",
    "Averages",
    "BinaryMetrics",
    "ClassMetrics",
    "ConfidentError",
    "ConfidentLabelError",
    "ConfusedPair",
    "Evaluation",
    "Interval",
    "LabelAverages",
    "LabelMetrics",
    "MultilabelEvaluation",
    "OperatingPoint",
    "Reliability",
    "evaluate_multiclass",
    "evaluate_multilabel",
    "wilson_interval",
]
