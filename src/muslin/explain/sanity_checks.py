"""Whether an attribution can be trusted: tests that a map which only draws the image's outlines fails.

- *Shuffled weights* (model parameter randomisation; Adebayo et al., arXiv 1810.03292): the map of a network that has
  learned nothing must differ. Each layer's weights are put in a random order, and the signed maps' rank correlation is
  taken.
- *Another class*: the map for the next most probable class must differ too.
- *Deletion and insertion* (Petsiuk, Das and Saenko, arXiv 1806.07421): if the cells that count most for the class are
  deleted first, its probability must fall faster than in random order; if they are inserted first, rise faster.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.rank_correlation import rank_correlation
from muslin.evaluation.student_t import student_t_interval
from muslin.explain.attribution import Attribution, attribute
from muslin.explain.image_edits import Pixels, edge_colour, gaussian_blur
from muslin.explain.layers import WEIGHTED, LayeredModel, Trace, split_layers
from muslin.learn.onnx_operators import Array, Float
from muslin.messages import Message

Probability = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images, uint8 (n, height, width, channels), to the class's probability, float32 (n,)."""

SHUFFLES = 8
MAX_CORRELATION = 0.3
"""Up to which absolute rank correlation two maps count as different."""
MAX_STEPS = 24
REMOVAL_ORDERS = 20
LARGE = 50_000_000  # multiply-adds above which fewer images are predicted, so that a check takes seconds


def shuffled(layered: LayeredModel, seed: int) -> LayeredModel:
    """The same network with every layer's weights (and a batch norm's numbers) in a random order, drawn from the last
    layer to the first."""
    graph, numbers = layered.full_graph, np.random.default_rng(seed)
    changed: dict[str, Array] = {}
    for node in reversed(graph.nodes):
        if node.op in (*WEIGHTED, "BatchNormalization"):
            for name in node.inputs[1:]:
                if name in graph.constants and name not in changed:
                    weights = graph.constants[name]
                    changed[name] = numbers.permutation(weights.reshape(-1)).reshape(weights.shape)
    return split_layers(layered.bundle, graph.with_constants(changed))


def shuffle_test(trace: Trace, attribution: Attribution, others: Sequence[LayeredModel]) -> dict[str, Any]:
    """The rank correlations of a map with those of shuffled networks, with the mean and its 95 % interval."""
    again = [other.trace(trace.pixels) for other in others]
    correlations = [_rank_correlation(attribution, one, attribution.label) for one in again]
    n, mean = len(correlations), float(np.mean(correlations))
    interval = student_t_interval(correlations) if n > 1 else (mean, mean)
    passed = abs(mean) < MAX_CORRELATION
    code = "check_shuffled_passed" if passed else "check_shuffled_failed"
    return {
        "correlations": correlations,
        "mean": mean,
        "interval": list(interval),
        "passed": passed,
        "text": Message(code, correlation=mean, n=n),
    }


def _rank_correlation(attribution: Attribution, trace: Trace, label: str) -> float:
    """Spearman's, of a map and that of another trace or class; 0 where one of the two is constant."""
    own = attribution
    other = attribute(trace, own.target, label, own.versus, layer=own.layer, tta_view=own.tta_view)
    if np.ptp(own.cells) == 0 or np.ptp(other.cells) == 0:
        return 0.0
    return rank_correlation(own.cells.reshape(-1), other.cells.reshape(-1))


def other_class_test(trace: Trace, attribution: Attribution) -> dict[str, Any] | None:
    """The map's rank correlation with that of the next best class; None where there is none."""
    scores = trace.values[trace.layered.scores[attribution.target]].mean(0)
    classes = trace.layered.target(attribution.target).classes
    compared = (attribution.label, attribution.versus)
    others = sorted((s, c) for s, c in zip(scores, classes, strict=True) if c not in compared)
    if not others:
        return None
    label = others[-1][1]
    correlation = _rank_correlation(attribution, trace, label)
    return {
        "class": label,
        "correlation": correlation,
        "passed": correlation < 1 - 1e-6,
        "text": Message("check_other_class", label=label, correlation=correlation),
    }


def order_test(
    pixels: Pixels,
    cells: Float,
    probability: Probability,
    *,
    insert: bool,
    seed: int = 0,
    steps: int = MAX_STEPS,
    removal_orders: int = REMOVAL_ORDERS,
) -> dict[str, Any]:
    """The probability while cells are deleted, or inserted into a blurred image, one after the other.

    Args:
        pixels: the image, uint8 (height, width, channels).
        cells: the map; the cell that counts most for the class goes first.

    Returns:
        Curves over `fraction`, the share of cells deleted or inserted: by `attribution`, and the mean of random orders
        with the range of 95 % of them; `auc`, the area under each (0 to 1), their difference and its 95 % interval over
        the random orders.
    """
    numbers = np.random.default_rng(seed)
    counts = np.unique(np.linspace(0, cells.size, min(steps, cells.size) + 1).round().astype(int))
    by_attribution = np.argsort(-cells.reshape(-1), kind="stable")
    rows = [by_attribution, *(numbers.permutation(cells.size) for _ in range(removal_orders))]
    curves = [probability(_replaced_cells(pixels, cells, order, counts, insert)) for order in rows]
    curve, *random_curves = np.array(curves, np.float64)
    fraction = counts / cells.size
    aucs = np.trapezoid(np.array(random_curves), fraction, axis=1)
    auc, random_auc = float(np.trapezoid(curve, fraction)), float(aucs.mean())
    low, high = np.percentile(aucs, (2.5, 97.5))
    passed = bool(auc > high if insert else auc < low)
    codes = {
        (False, True): "check_deletion_passed", (False, False): "check_deletion_failed",
        (True, True): "check_insertion_passed", (True, False): "check_insertion_failed",
    }  # fmt: skip
    return {
        "fraction": fraction.tolist(),
        "attribution": curve.tolist(),
        "random": np.mean(random_curves, 0).tolist(),
        "random_low": np.percentile(random_curves, 2.5, axis=0).tolist(),
        "random_high": np.percentile(random_curves, 97.5, axis=0).tolist(),
        "auc": {
            "attribution": auc,
            "random": random_auc,
            "difference": auc - random_auc,
            "interval": [auc - float(high), auc - float(low)],
        },
        "removal_orders": removal_orders,
        "passed": passed,
        "text": Message(codes[insert, passed], removal_orders=removal_orders, auc=auc, random=random_auc),
    }


def _replaced_cells(
    pixels: Pixels, cells: Float, order: NDArray[np.intp], counts: NDArray[np.intp], insert: bool
) -> Pixels:
    """Per count the image with that many cells deleted in an order, or inserted: (counts, height, width, channels)."""
    rows, columns = (np.arange(side) * count // side for side, count in zip(pixels.shape, cells.shape, strict=False))
    where = rows[:, None] * cells.shape[1] + columns
    start, end = pixels, np.broadcast_to(edge_colour(pixels), pixels.shape)
    if insert:
        start, end = gaussian_blur(pixels, max(pixels.shape[:2]) / 8), pixels
    rank = np.empty(cells.size, int)
    rank[order] = np.arange(cells.size)
    replaced = rank[where][None] < counts[:, None, None]
    return np.where(replaced[..., None], end, start).astype(np.uint8)


def sanity_checks(trace: Trace, attribution: Attribution, probability: Probability, seed: int = 0) -> dict[str, Any]:
    """All tests of one map; `probability` predicts that of the map's class."""
    large = sum(layer.multiply_adds for layer in trace.layered.layers) > LARGE
    limits: dict[str, Any] = {"steps": 10, "removal_orders": 6} if large else {}
    others = [shuffled(trace.layered, seed + i) for i in range(3 if large else SHUFFLES)]
    test = partial(order_test, trace.pixels, attribution.cells, probability, seed=seed, **limits)
    return {
        "seed": seed,
        "shuffled_weights": shuffle_test(trace, attribution, others),
        "other_class": other_class_test(trace, attribution),
        "deletion": test(insert=False),
        "insertion": test(insert=True),
    }
