"""Two classes over all thresholds: the ROC and the precision–recall curve, and what a threshold that is moved gives."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.binary import Binary, OperatingPoint, operating_point
from muslin.evaluation.curves import curve
from muslin.reporting.svg.svg import svg_document, svg_line, svg_text
from muslin.text import percent

STEPS = 100
"""Thresholds that the page can be moved through, from 0.00 to 1.00."""

MAX_CORNERS = 300
"""Of a curve that is drawn; more are closer together than a pixel."""

LEFT, TOP, SIDE = 56, 30, 300
"""Where a square from 0 to 1 lies in its drawing, px."""


@dataclass(frozen=True)
class ThresholdExplorer:
    """What the page shows of the threshold, and what it needs to move it.

    Attributes:
        now: the answers at the evaluation's threshold.
        points: JSON for the page's script: `n` images, `yes` of them of the second class, and per threshold how many
            were called so and how many of these rightly; and where the curves lie in their drawings.
        roc, precision_recall: the drawings.
    """

    now: OperatingPoint
    points: str
    roc: str
    precision_recall: str


def threshold_explorer(
    two: Binary, labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]
) -> ThresholdExplorer:
    """The threshold of a task of two classes, over the images with a known class.

    Args:
        labels: (n,) 0 or 1.
        scores: (n,) the probability of 1.
    """
    now = operating_point(labels, scores, two.threshold)
    rows = [operating_point(labels, scores, step / STEPS) for step in range(STEPS + 1)]
    points = {
        "n": len(labels),
        "yes": int((labels == 1).sum()),
        "square": [LEFT, TOP, SIDE],
        "rows": [[row.predicted, row.right] for row in rows],
    }
    return ThresholdExplorer(
        now,
        json.dumps(points, separators=(",", ":")),
        roc_curve(two, labels, scores, now),
        precision_recall_curve(two, labels, scores, now),
    )


def roc_curve(
    two: Binary, labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], now: OperatingPoint
) -> str:
    """Found of the second class against called so of the first, over all thresholds; and the threshold's point."""
    right, wrong, _ = curve(labels, scores)
    yes, no = max(int((labels == 1).sum()), 1), max(int((labels != 1).sum()), 1)
    corners = [(0.0, 0.0), *zip((wrong / no).tolist(), (right / yes).tolist(), strict=True)]
    area = "not defined" if two.roc_area is None else f"{two.roc_area:.3f}"
    chance = f'<path class="mid-stroke" stroke-dasharray="6 4" d="M{LEFT} {TOP + SIDE}L{LEFT + SIDE} {TOP}"/>'
    return _square(
        "ROC curve",
        f"others called {two.positive}",
        f"{two.positive} found",
        corners,
        (now.false_positive_rate, now.recall),
        f"Area under it {area}.",
        chance,
    )


def precision_recall_curve(
    two: Binary, labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], now: OperatingPoint
) -> str:
    """Rightly called the second class against found of it, over all thresholds; and the threshold's point."""
    right, wrong, _ = curve(labels, scores)
    yes = max(int((labels == 1).sum()), 1)
    share = right / np.maximum(right + wrong, 1)
    corners = list(zip((right / yes).tolist(), share.tolist(), strict=True))
    mean = "not defined" if two.average_precision is None else f"{two.average_precision:.3f}"
    return _square(
        "Precision and recall",
        f"{two.positive} found (recall)",
        "rightly called so (precision)",
        corners,
        (now.recall, now.precision),
        f"Average precision {mean}.",
    )


def _square(
    title: str,
    across: str,
    upwards: str,
    corners: Sequence[tuple[float, float]],
    point: tuple[float | None, float | None],
    told: str,
    before: str = "",
) -> str:
    bottom = TOP + SIDE
    body = [svg_text(0, 16, upwards, "soft small"), before]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = LEFT + tick * SIDE, bottom - tick * SIDE
        body += [svg_line(LEFT, y, LEFT + SIDE, y, "rule"), svg_line(x, TOP, x, bottom, "rule")]
        body.append(svg_text(LEFT - 8, y + 4, percent(tick, digits=0), "soft small number", "end"))
        body.append(svg_text(x, bottom + 20, percent(tick, digits=0), "soft small number", "middle"))
    kept = np.unique(np.linspace(0, len(corners) - 1, min(len(corners), MAX_CORNERS)).round().astype(int))
    path = " ".join(f"{LEFT + corners[i][0] * SIDE:.1f},{bottom - corners[i][1] * SIDE:.1f}" for i in kept)
    body.append(f'<polyline class="accent-stroke" stroke-width="2" points="{path}"/>')
    across_, up = point
    where = "" if across_ is None or up is None else f"{percent(across_)} across, {percent(up)} up"
    x, y = LEFT + (across_ or 0) * SIDE, bottom - (up or 0) * SIDE
    shown = "" if where else ' visibility="hidden"'
    body.append(f'<circle class="point ink" cx="{x:.1f}" cy="{y:.1f}" r="6"{shown}/>')
    body.append(svg_text(LEFT + SIDE, bottom + 42, across, "soft small", "end"))
    described = f"{told} At the threshold: {where or 'nothing to go by'}."
    return svg_document(LEFT + SIDE + 24, bottom + 52, title, described, "".join(body))
