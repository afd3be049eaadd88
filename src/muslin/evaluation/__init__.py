"""Arrays of labels and probabilities → what they say, every figure with its interval."""

from muslin.evaluation.binary import Binary, OperatingPoint
from muslin.evaluation.intervals import Interval, wilson
from muslin.evaluation.multiclass import Averages, ClassFigures, ConfusedPair, Evaluation, Mistake, evaluate
from muslin.evaluation.multilabel import (
    LabelAverages,
    LabelFigures,
    LabelMistake,
    MultilabelEvaluation,
    evaluate_multilabel,
)

AnyEvaluation = Evaluation | MultilabelEvaluation
"""Of one class an image, or of several labels."""

__all__ = [
    "AnyEvaluation",
    "Averages",
    "Binary",
    "ClassFigures",
    "ConfusedPair",
    "Evaluation",
    "Interval",
    "LabelAverages",
    "LabelFigures",
    "LabelMistake",
    "Mistake",
    "MultilabelEvaluation",
    "OperatingPoint",
    "evaluate",
    "evaluate_multilabel",
    "wilson",
]
