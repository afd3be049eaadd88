"""Two classes over all thresholds: the ROC curve, the precision–recall curve, and the metrics at each threshold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.binary import BinaryMetrics, binary_clf_curve, operating_point
from muslin.reporting.svg.svg import PercentPlot, svg_circle, svg_document, svg_polyline
from muslin.strict_json import json_text
from muslin.text import percent

SLIDER_STEPS = 100
"""Steps of the threshold slider, from 0.00 to 1.00."""

MAX_POINTS = 300
"""Points of a drawn curve; more would be closer together than a pixel."""

PLOT = PercentPlot(300, 300)


def threshold_explorer(
    binary: BinaryMetrics, labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """What the page needs for the threshold slider of a target of two classes.

    Args:
        labels: (n,) 0 or 1, without unknown labels.
        scores: (n,) the probability of class 1.

    Returns:
        `current`, the metrics at the model's threshold; `roc` and `precision_recall`, the drawings; `points`, JSON for
        the page's script: `n` images, `positives` among them, `square` (left, top and side of the plots, px), and per
        threshold `rows` of (predicted positives, true positives).
    """
    current = operating_point(labels, scores, binary.threshold)
    rows = [operating_point(labels, scores, step / SLIDER_STEPS) for step in range(SLIDER_STEPS + 1)]
    positives, negatives = int((labels == 1).sum()), int((labels != 1).sum())
    points = {
        "n": len(labels),
        "positives": positives,
        "square": [PLOT.left, PLOT.top, PLOT.width],
        "rows": [[row.predicted, row.correct] for row in rows],
    }
    true_positives, false_positives, _ = binary_clf_curve(labels, scores)
    recall, false_positive_rate = true_positives / max(positives, 1), false_positives / max(negatives, 1)
    precision = true_positives / np.maximum(true_positives + false_positives, 1)
    recall_name = f"recall of {binary.positive_class}"
    roc = _curve_plot(
        ("ROC curve", "false positive rate", recall_name),
        np.vstack([(0, 0), np.column_stack([false_positive_rate, recall])]),
        (current.false_positive_rate, current.recall),
        f"Area under the curve {_three_digits(binary.roc_auc)}.",
        diagonal=True,
    )
    precision_recall = _curve_plot(
        ("Precision–recall curve", recall_name, "precision"),
        np.column_stack([recall, precision]),
        (current.recall, current.precision),
        f"Average precision {_three_digits(binary.average_precision)}.",
    )
    data = json_text(points)
    return {"current": current, "points": data, "roc": roc, "precision_recall": precision_recall}


def _three_digits(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _curve_plot(
    names: tuple[str, str, str],
    points: NDArray[np.floating[Any]],
    current: tuple[float | None, float | None],
    summary: str,
    *,
    diagonal: bool = False,
) -> str:
    """A curve in the unit square; `names` are the title and the names of the x and the y axis."""
    title, x_name, y_name = names
    drawn = np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).round().astype(int))
    x, y = current
    position = "undefined" if x is None or y is None else f"{x_name} {percent(x)}, {y_name} {percent(y)}"
    hidden = ' visibility="hidden"' if x is None or y is None else ""
    body = [
        PLOT.axes(x_name, y_name),
        PLOT.diagonal() if diagonal else "",
        svg_polyline([PLOT.at(*point) for point in points[drawn].tolist()], "accent-stroke"),
        svg_circle(*PLOT.at(x or 0, y or 0), 6, "point ink", hidden),
    ]
    description = f"{summary} At the threshold: {position}."
    return svg_document(PLOT.left + PLOT.width + 24, PLOT.bottom + 52, title, description, body)
