"""Arrays of labels and probabilities → metrics with their 95 % intervals."""

from muslin.evaluation.intervals import Interval, wilson_interval
from muslin.evaluation.multiclass import ConfusedPair, Evaluation, evaluate_multiclass
from muslin.evaluation.multilabel import LabelAverages, LabelMetrics, MultilabelEvaluation, evaluate_multilabel

AnyEvaluation = Evaluation | MultilabelEvaluation
"""Of a multiclass or of a multilabel target."""

__all__ = [
    "AnyEvaluation", "ConfusedPair", "Evaluation", "Interval", "LabelAverages", "LabelMetrics",
    "MultilabelEvaluation", "evaluate_multiclass", "evaluate_multilabel", "wilson_interval",
]  # fmt: skip
