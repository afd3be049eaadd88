"""Which channels of a layer count for a class: the attribution of `muslin.explain.attribution`, summed per channel."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from muslin.errors import ExplanationError, unknown
from muslin.explain.attribution import attribution_layers, back_propagate, check_classes, seed_of
from muslin.explain.layers import Trace

CHANNELS_SHOWN = 6
"""Of a layer: the channels that count most, of either sign."""


@dataclass(frozen=True)
class ChannelContributions:
    """How much the channels of a layer count for a class, or for one class rather than another.

    Attributes:
        layer: whose channels they are.
        channels: (channel, contribution), the largest contribution of either sign first.
        rest: the sum of all other channels.
        bias: what no channel of the layer contributes: an empty image's part of the score, and the network's biases.
        score: the runtime's score of the class, or the difference of two classes' scores.
    """

    layer: str
    channels: tuple[tuple[int, float], ...]
    rest: float
    bias: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [{"channel": channel, "contribution": contribution} for channel, contribution in self.channels]
        return {**vars(self), "channels": rows}


def channel_contributions(
    trace: Trace, target: str, label: str, versus: str | None = None, *, layer: str | None = None
) -> ChannelContributions:
    """What each channel of a layer counts for `label`, or for `label` rather than `versus`.

    Args:
        layer: one of `attribution_layers`; by default the last one whose maps have more than one cell.

    Raises:
        ExplanationError: no such target, class or layer, or no way back from the scores to the layer.
    """
    layered = trace.layered
    check_classes(layered, target, label, versus)
    if not (choices := attribution_layers(layered, target)):
        raise ExplanationError("attribution_unavailable", target=target)
    if layer is None:
        layer = next((name for name in reversed(choices) if min(layered.layer(name).shape[1:]) > 1), choices[-1])
    if layer not in choices:
        raise ExplanationError("attribution_layer_unknown", **unknown(str(layer)[:80], choices))
    scores = trace.values[layered.scores[target]]
    seed = seed_of(layered.target(target).classes, label, versus, len(scores), range(len(scores)))
    slopes, bias, _ = back_propagate(trace, layered.scores[target], layer, seed)
    empty = trace.of_empty_image.values[layer].astype(np.float64)
    bias += float((slopes * empty).sum())
    contributions = (slopes * (trace.values[layer] - empty)).sum(axis=(0, 2, 3))
    order = np.argsort(-np.abs(contributions), kind="stable")[:CHANNELS_SHOWN]
    shown = tuple((int(i), float(contributions[i])) for i in order)
    rest = float(contributions.sum() - contributions[order].sum())
    return ChannelContributions(layer, shown, rest, bias, float((seed * scores).sum()))
