"""Which parts of an image count for a class: a signed map whose cells and bias add up to the class's score.

A network of convolutions, ReLU, pooling and dense layers is piecewise linear. With the switches of this image fixed
(which ReLU is open, which value wins a pooling), a class's score is a sum over the values of any earlier layer, each
times its slope, plus a bias of the network: gradient × input. That sum is exact. Where an operator is curved
(a sigmoid), the same map is approximate, and is marked so.

Each cell is compared with an empty image, of the colour of this image's edge; the empty image's part of the score under
the same switches is part of the bias. Otherwise the background gets much of the credit although nobody can remove it:
in networks of the recipe `quick`, deleting cells by such maps did not lower the probability faster than chance, and
with this baseline it does.

For global pooling and a linear layer this is class activation mapping (Zhou et al., arXiv 1512.04150) with its sign
and bias kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from muslin.errors import ExplanationError, unknown
from muslin.explain.layers import VIEWS, LayeredModel, Trace
from muslin.learn.layer_kinds import OPERATORS
from muslin.learn.onnx_operators import Float
from muslin.messages import Message

AttributionView = Literal["both", "original", "flipped"]

MIN_CELLS = 5  # a side; a map of fewer cells shows hardly more than the score
SMALL_PX = 64  # longest side of images that are explained pixel by pixel
EXACT_TOLERANCE = 1e-4  # relative or absolute, as in arithmetic


@dataclass(frozen=True, eq=False)
class Attribution:
    """What counts for a class (positive) and against it (negative), cell by cell.

    Attributes:
        layer: whose cells they are.
        tta_view: of which view; `both`: the mean of the two, with the flipped one turned back.
        cells: float64 (rows, columns).
        bias: the part of an empty image, with this image's switches.
        score: the runtime's score of the class, or the difference of two classes' scores.
        is_exact: whether cells and bias add up to the score by construction.
        reason: why they do, or do not.
    """

    target: str
    label: str
    versus: str | None
    layer: str
    tta_view: AttributionView
    cells: Float
    bias: float
    score: float
    is_exact: bool
    reason: Message

    @property
    def sum(self) -> float:
        """The cells and the bias together."""
        return float(self.cells.sum()) + self.bias

    @property
    def range(self) -> float:
        """The largest size of a cell, of either sign."""
        return float(np.abs(self.cells).max())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("target", "versus", "layer", "tta_view", "bias", "sum", "score", "is_exact", "reason", "range")
        return {
            **{name: getattr(self, name) for name in names},
            "class": self.label,
            "rows": self.cells.shape[0],
            "columns": self.cells.shape[1],
            "cells": self.cells.tolist(),
            "difference": self.sum - self.score,
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
    """What counts for `label`, or for `label` rather than `versus`.

    Args:
        layer: one of `attribution_layers`; by default `default_layer`.
        tta_view: of a network with test-time augmentation, which view of the image.

    Raises:
        ExplanationError: no such target, class or layer, or no way back from the scores to the layer.
    """
    layered = trace.layered
    classes = check_classes(layered, target, label, versus)
    choices = attribution_layers(layered, target)
    if not choices:
        raise ExplanationError("attribution_unavailable", target=target)
    layer = default_layer(layered, target) if layer is None else layer
    if layer not in choices:
        raise ExplanationError("attribution_layer_unknown", **unknown(str(layer)[:80], choices))
    scores = trace.values[layered.scores[target]]
    views = range(len(scores)) if tta_view == "both" else [min(VIEWS.index(tta_view), len(scores) - 1)]
    seed = seed_of(classes, label, versus, len(scores), views)
    slopes, bias, is_exact = back_propagate(trace, layered.scores[target], layer, seed)
    empty = trace.of_empty_image.values[layer].astype(np.float64)
    bias += float((slopes * empty).sum())
    contributions = (slopes * (trace.values[layer] - empty)).sum(1)
    cells = np.zeros(contributions.shape[1:])
    for i, part in enumerate(contributions):  # the flipped view is turned back
        cells += part[:, ::-1] if VIEWS[i] == "flipped" else part
    score = float((seed * scores).sum())
    difference = abs(float(cells.sum()) + bias - score)
    reason = Message("attribution_exact") if is_exact else Message("attribution_curved")
    if is_exact and difference > EXACT_TOLERANCE * max(1.0, abs(score)):
        is_exact, reason = False, Message("attribution_rounding", difference=difference)
    return Attribution(target, label, versus, layer, tta_view, cells, bias, score, is_exact, reason)


def check_classes(layered: LayeredModel, target: str, label: str, versus: str | None) -> tuple[str, ...]:
    """The target's classes.

    Raises:
        ExplanationError: no such target, or no such class.
    """
    classes = layered.target(target).classes
    for name in (label,) if versus is None else (label, versus):
        if name not in classes:
            nearest = unknown(str(name)[:80], classes)
            raise ExplanationError("explained_class_unknown", target=target, **nearest)
    return classes


def seed_of(classes: Sequence[str], label: str, versus: str | None, count: int, views: Sequence[int]) -> Float:
    """The weights of the scores, float64 (count, classes), whose sum is that of `label`, less that of `versus`: the
    mean of these views."""
    seed = np.zeros((count, len(classes)))
    for i in views:
        seed[i, classes.index(label)] += 1 / len(views)
        if versus is not None:
            seed[i, classes.index(versus)] -= 1 / len(views)
    return seed


def default_layer(layered: LayeredModel, target: str) -> str:
    """For small images the last layer of `attribution_layers` that still shows pixels; else the last one with
    MIN_CELLS cells a side, or the one with the most cells.
    """
    choices = attribution_layers(layered, target)
    shapes = {name: layered.layer(name).shape for name in choices}
    image = layered.bundle.preprocessing
    pixels = [name for name in choices if shapes[name] == (image.channels, image.height, image.width)]
    if pixels and max(image.height, image.width) <= SMALL_PX:
        return pixels[-1]
    fine = [name for name in choices if min(shapes[name][1:]) >= MIN_CELLS]
    return fine[-1] if fine else max(choices, key=lambda name: int(np.prod(shapes[name][1:])))


def attribution_layers(layered: LayeredModel, target: str) -> tuple[str, ...]:
    """The layers with maps that everything a target's score depends on passes through, by operators that are shown."""
    layered.target(target)
    if target not in layered.scores:
        return ()
    last = layered.scores[target]
    channels_last = layered.bundle.preprocessing.shape  # the pixels before they are transposed; no maps yet
    names, frontier = [], {last}
    for layer in reversed(layered.layers):  # the frontier is all that the score still depends on
        if layer.name not in frontier:
            continue
        maps = len(layer.shape) == 3 and layer.op not in ("Cast", "Transpose", "Slice", "Concat")
        if frontier == {layer.name} and maps and layer.shape != tuple(channels_last) and layer.name != last:
            names.append(layer.name)
        if layer.unsupported or layer.op == "Softmax":
            break
        frontier.remove(layer.name)
        frontier.update(layer.inputs)
    return tuple(reversed(names))


def back_propagate(trace: Trace, scores: str, layer: str, seed: Float) -> tuple[Float, float, bool]:
    """The score's slope in each value of `layer`, what stays with the operators between, and whether exactly."""
    slopes: dict[str, Float] = {scores: seed}
    bias, is_exact = 0.0, True
    for later in reversed(trace.layered.layers):
        if later.name == layer:
            break
        if later.name not in slopes:
            continue
        operator, names = OPERATORS[later.op], trace.layered.graph.producers[later.name].inputs
        parts, constant = operator.backward(trace.call(later.name), slopes.pop(later.name))
        bias, is_exact = bias + constant, is_exact and operator.is_exact
        for name, part in zip(names, parts, strict=False):
            if part is not None:
                slopes[name] = slopes[name] + part if name in slopes else part
    return slopes[layer], bias, is_exact
