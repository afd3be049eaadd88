"""Arrays of labels and probabilities → what they say, every figure with its interval."""

from muslin.evaluation.intervals import Interval, wilson
from muslin.evaluation.summary import Averages, ClassFigures, ConfusedPair, Evaluation, Mistake, evaluate

__all__ = [
    "Averages",
    "ClassFigures",
    "ConfusedPair",
    "Evaluation",
    "Interval",
    "Mistake",
    "evaluate",
    "wilson",
]
