"""Which places of an image speak for a class, as a signed map whose cells and bias add up to the class's score.

A network of convolutions, ReLU, pooling and dense layers is made of straight lines: with the switches of this very
image held (which ReLU let through, which value won a pooling), a class's score is a sum over the values of any
earlier layer, each times its slope, plus what the network adds by itself. That sum is exact. Where an operation is no
straight line (sigmoid, swish, a gate) the same map is only approximate, and is called so.

A cell holds what it says by differing from an empty image, one of the colour of this image's edge; what the empty
one would say under the same switches is part of the bias. Without that, the ground of an image is given much of the
credit although nobody can take it away: in networks of the recipe `quick`, deleting cells by such maps did not lower
the probability faster than chance, and by these it does.

For global pooling and a linear layer this is class activation mapping (Zhou et al., arXiv 1512.04150) with its sign
and bias kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.errors import RecipeError, nearest
from muslin.explain.layers import VIEWS, LayeredModel, Trace
from muslin.explain.operations import Float, backward

AttributionView = Literal["both", "original", "flipped"]

FINE_CELLS = 5  # a side; a map of fewer cells says hardly more than the score does
SMALL_PX = 64  # a side; images up to here are explained pixel by pixel
EXACT_TO = 1e-4  # relative or absolute, as in arithmetic


@dataclass(frozen=True, eq=False)
class Attribution:
    """What speaks for a class (positive) and against it (negative), cell by cell.

    Attributes:
        layer: whose cells they are.
        cells: float64 (rows, columns).
        bias: what the network says of an empty image with this image's switches.
        score: the runtime's score of the class, or the difference of two classes' scores; for `both` halves the
            mean of the two.
        exact: whether cells and bias add up to the score by construction.
        why: why they do, or do not.
    """

    target: str
    label: str
    versus: str | None
    layer: str
    tta_view: AttributionView
    cells: Float
    bias: float
    score: float
    exact: bool
    why: str

    @property
    def sum(self) -> float:
        """The cells and the bias together."""
        return float(self.cells.sum()) + self.bias

    @property
    def range(self) -> float:
        """The largest size of a cell, of either sign."""
        return float(np.abs(self.cells).max())

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "target": self.target,
            "class": self.label,
            "versus": self.versus,
            "layer": self.layer,
            "tta_view": self.tta_view,
            "rows": self.cells.shape[0],
            "columns": self.cells.shape[1],
            "cells": self.cells.tolist(),
            "bias": self.bias,
            "sum": self.sum,
            "score": self.score,
            "difference": self.sum - self.score,
            "exact": self.exact,
            "why": self.why,
            "range": self.range,
        }


def attribute(
    trace: Trace,
    target: str,
    label: str,
    versus: str | None = None,
    *,
    layer: str | None = None,
    tta_view: AttributionView = "both",
) -> Attribution:
    """The evidence for `label`, or for `label` rather than `versus`.

    Args:
        layer: one of `attribution_layers`; by default `default_layer`.
        tta_view: of a network that also looks at the mirrored image: the image as it is, its mirror image (the map
            is turned back), or the mean of both.

    Raises:
        RecipeError: no such target, class or layer, or no way back from the scores to the layer.
    """
    layered = trace.layered
    classes = layered.target(target).classes
    for name in (label,) if versus is None else (label, versus):
        if name not in classes:
            raise RecipeError(f"{target}: no class {str(name)[:80]!r}. {nearest(str(name)[:80], classes)}")
    choices = attribution_layers(layered, target)
    if not choices:
        raise RecipeError(
            f"{target}: no evidence map, as no layer with a map leads to its scores by known steps."
        )
    layer = default_layer(layered, target) if layer is None else layer
    if layer not in choices:
        raise RecipeError(f"no evidence at {str(layer)[:80]!r}. {nearest(str(layer)[:80], choices)}")
    scores = trace.values[layered.scores[target]]
    seed = np.zeros(scores.shape)
    views = range(len(scores)) if tta_view == "both" else [min(VIEWS.index(tta_view), len(scores) - 1)]
    for i in views:
        seed[i, classes.index(label)] += 1 / len(views)
        if versus is not None:
            seed[i, classes.index(versus)] -= 1 / len(views)
    slopes, bias, exact = _back(trace, layered.scores[target], layer, seed)
    empty = trace.empty.values[layer].astype(np.float64)
    bias += float((slopes * empty).sum())
    contributions = (slopes * (trace.values[layer] - empty)).sum(1)
    cells = np.zeros(contributions.shape[1:])
    for i, part in enumerate(contributions):  # what is seen in the mirror is shown where it really is
        cells += part[:, ::-1] if VIEWS[i] == "flipped" else part
    score = float((seed * scores).sum())
    difference = abs(float(cells.sum()) + bias - score)
    if exact and difference > EXACT_TO * max(1.0, abs(score)):
        exact = False
        why = f"approximate: rounding alone moves the sum by {difference:.2g}"
    elif exact:
        why = "exact: from this layer on the network is made of straight lines, so the cells and the bias add up"
    else:
        why = (
            "approximate: a curved operation (sigmoid, swish or a gate) lies between this layer and the score"
        )
    return Attribution(target, label, versus, layer, tta_view, cells, bias, score, exact, why)


def default_layer(layered: LayeredModel, target: str) -> str:
    """For small images the last layer of `attribution_layers` that still shows pixels; else the last one with
    FINE_CELLS cells a side, or the one with the most cells.
    """
    choices = attribution_layers(layered, target)
    cells = {name: layered.layer(name).shape[1:] for name in choices}
    image = layered.bundle.preprocessing
    if max(image.height, image.width) <= SMALL_PX:
        pixels = [name for name in choices if cells[name] == (image.height, image.width)]
        before = [name for name in pixels if layered.layer(name).shape[0] == image.channels]
        if before:
            return before[-1]
    fine = [name for name in choices if min(cells[name]) >= FINE_CELLS]
    return fine[-1] if fine else max(choices, key=lambda name: int(np.prod(cells[name])))


@lru_cache(maxsize=64)
def attribution_layers(layered: LayeredModel, target: str) -> tuple[str, ...]:
    """The layers with maps that all of a target's evidence passes through, by steps that are taken apart."""
    layered.target(target)
    if target not in layered.scores:
        return ()
    last = layered.scores[target]
    height, width, channels = layered.bundle.preprocessing.shape
    channels_last = (height, width, channels)  # the pixels before they are put in order; no maps yet
    found, frontier = [], {last}
    for layer in reversed(layered.layers):  # the frontier is all that the score still depends on
        if layer.name not in frontier:
            continue
        maps = len(layer.shape) == 3 and layer.op not in ("Cast", "Transpose", "Slice", "Concat")
        maps = maps and layer.shape != channels_last
        if frontier == {layer.name} and maps and layer.name != last:
            found.append(layer.name)
        if layer.unsupported or layer.op == "Softmax":
            break
        frontier.remove(layer.name)
        frontier.update(layer.inputs)
    return tuple(reversed(found))


def _back(trace: Trace, scores: str, layer: str, seed: Float) -> tuple[Float, float, bool]:
    """The score's slope in each value of `layer`, what stays with the operations between, and whether exactly."""
    graph = trace.layered.graph
    slopes: dict[str, Float] = {scores: seed}
    bias, exact = 0.0, True
    for about in reversed(trace.layered.layers):
        if about.name == layer:
            break
        if about.name not in slopes:
            continue
        node = graph.producers[about.name]
        try:
            found, constant, straight = backward(
                graph, node, about.name, trace.values, slopes.pop(about.name)
            )
        except KeyError as error:
            raise RecipeError(
                f"{about.name}: {node.op} is not taken apart, so no evidence passes it."
            ) from error
        bias, exact = bias + constant, exact and straight
        for name, part in found.items():
            slopes[name] = slopes[name] + part if name in slopes else part
    return slopes[layer], bias, exact


def by_pixel(cells: Float, size: tuple[int, int]) -> NDArray[np.intp]:
    """Which cell, counted row by row, each pixel of an image of `size` (height, width) lies under."""
    rows = np.arange(size[0]) * cells.shape[0] // size[0]
    columns = np.arange(size[1]) * cells.shape[1] // size[1]
    places: NDArray[np.intp] = rows[:, None] * cells.shape[1] + columns
    return places


def rank_correlation(first: Float, second: Float) -> float:
    """Spearman's, with the mean rank for equal values; 0 where one of the two is the same everywhere."""
    from scipy.stats import rankdata

    ranks = [rankdata(values.reshape(-1)) for values in (first, second)]
    ranks = [r - r.mean() for r in ranks]
    sizes = [float(np.sqrt((r * r).sum())) for r in ranks]
    return float((ranks[0] * ranks[1]).sum() / (sizes[0] * sizes[1])) if all(sizes) else 0.0


def class_scores(trace: Trace, target: str) -> Mapping[str, float]:
    """The scores of a target's classes; the mean of both halves."""
    mean = trace.values[trace.layered.scores[target]].mean(0)
    return dict(zip(trace.layered.target(target).classes, map(float, mean), strict=True))
