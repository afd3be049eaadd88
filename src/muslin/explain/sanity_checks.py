"""Whether an evidence map may be trusted: three tests that a map which only draws the image's outlines fails.

- *Shuffled weights* (Adebayo et al., arXiv 1810.03292): a map of a network that has learned nothing must look
  otherwise. Each layer's weights are put in a random order; compared is the rank correlation of the signed maps.
- *Another class*: the map for the next probable class must look otherwise too.
- *Deletion and insertion* (Petsiuk, Das and Saenko, arXiv 1806.07421): when the cells that speak most for the class
  go first, its probability must fall faster than in a random order; when they come first, rise faster.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.explain.attribution import Attribution, attribute, by_pixel, class_scores, rank_correlation
from muslin.explain.graph import Graph
from muslin.explain.image_edits import Pixels, blurred, edge_colour
from muslin.explain.layers import LayeredModel, Trace, split_layers
from muslin.explain.operations import Float

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images, uint8 (count, height, width, channels), to the class's probability, float32 (count,)."""

SHUFFLES = 8
BELOW = 0.3
MOST_STEPS = 24
ORDERS = 20
LARGE = 50_000_000  # multiply-adds from which fewer images are asked about, so that an answer takes seconds


def shuffled_graph(graph: Graph, seed: int) -> Graph:
    """Every layer's weights (and a batch norm's numbers) in a random order of their own, from the last to the first."""
    numbers = np.random.default_rng(seed)
    changed = {}
    for node in reversed(graph.nodes):
        if node.op in ("Conv", "Gemm", "MatMul", "BatchNormalization"):
            for name in node.inputs[1:]:
                if name in graph.constants and name not in changed:
                    weights = graph.constants[name]
                    changed[name] = numbers.permutation(weights.reshape(-1)).reshape(weights.shape)
    return graph.with_constants(changed)


def shuffled(layered: LayeredModel, seeds: Sequence[int]) -> list[LayeredModel]:
    """The same network with its weights shuffled, once for each seed."""
    return [split_layers(layered.bundle, shuffled_graph(layered.whole, seed)) for seed in seeds]


def shuffle_test(trace: Trace, found: Attribution, others: Sequence[LayeredModel]) -> dict[str, Any]:
    """The rank correlations of a map with those of shuffled networks, with the mean and its 95 % interval."""
    correlations = []
    for other in others:
        again = attribute(
            other.trace(trace.pixels), found.target, found.label, found.versus,
            layer=found.layer, tta_view=found.tta_view,
        )  # fmt: skip
        correlations.append(rank_correlation(found.cells, again.cells))
    mean, interval = _mean_interval(np.array(correlations))
    fine = abs(mean) < BELOW
    return {
        "correlations": correlations,
        "mean": mean,
        "interval": interval,
        "passed": fine,
        "text": f"after shuffling all weights the map's rank correlation is {mean:+.2f} (mean of "
        f"{len(correlations)} shuffles): {'another map' if fine else 'still much the same map, so distrust it'}",
    }


def other_class_test(trace: Trace, found: Attribution) -> dict[str, Any] | None:
    """The map's rank correlation with that of the next best class; None where there is none."""
    scores = class_scores(trace, found.target)
    others = sorted((s, c) for c, s in scores.items() if c not in (found.label, found.versus))
    if not others:
        return None
    label = others[-1][1]
    again = attribute(trace, found.target, label, found.versus, layer=found.layer, tta_view=found.tta_view)
    correlation = rank_correlation(found.cells, again.cells)
    return {
        "class": label,
        "correlation": correlation,
        "passed": correlation < 1 - 1e-6,
        "text": f"the map for {label} has a rank correlation of {correlation:+.2f} with this one",
    }


def order_test(
    pixels: Pixels,
    cells: Float,
    answer: Answer,
    *,
    insert: bool,
    seed: int = 0,
    steps: int = MOST_STEPS,
    orders: int = ORDERS,
) -> dict[str, Any]:
    """How the probability goes as cells are deleted, or inserted into a blurred image, one after the other.

    Args:
        pixels: the image, uint8 (height, width, channels).
        cells: the map; the cell that speaks most for the class goes first.

    Returns:
        Curves over `fraction`, the share of cells that were treated: by `evidence`, and the mean of random orders
        with the range that 95 % of them lie in; the `area` under each (0 to 1), their difference and its 95 %
        interval over the random orders.
    """
    numbers = np.random.default_rng(seed)
    at = np.unique(np.linspace(0, cells.size, min(steps, cells.size) + 1).round().astype(int))
    first = np.argsort(-cells.reshape(-1), kind="stable")
    rows = [first, *(numbers.permutation(cells.size) for _ in range(orders))]
    where = by_pixel(cells, (pixels.shape[0], pixels.shape[1]))
    other = (
        blurred(pixels, max(pixels.shape[:2]) / 8)
        if insert
        else np.broadcast_to(edge_colour(pixels), pixels.shape)
    )
    start, end = (other, pixels) if insert else (pixels, other)
    curves = []
    for order in rows:
        rank = np.empty(cells.size, int)
        rank[order] = np.arange(cells.size)
        gone = rank[where][None] < at[:, None, None]
        curves.append(answer(np.where(gone[..., None], end, start).astype(np.uint8)))
    found, *randoms = np.array(curves, np.float64)
    share = at / cells.size
    areas = np.trapezoid(np.array(randoms), share, axis=1)
    area = float(np.trapezoid(found, share))
    low, high = np.percentile(areas, (2.5, 97.5))
    better = area > high if insert else area < low
    word = "inserting" if insert else "deleting"
    faster = "rises" if insert else "falls"
    return {
        "fraction": share.tolist(),
        "attribution": found.tolist(),
        "random": np.mean(randoms, 0).tolist(),
        "random_low": np.percentile(randoms, 2.5, axis=0).tolist(),
        "random_high": np.percentile(randoms, 97.5, axis=0).tolist(),
        "area": {
            "attribution": area,
            "random": float(areas.mean()),
            "difference": area - float(areas.mean()),
            "interval": [area - float(high), area - float(low)],
        },
        "orders": orders,
        "filler": "a blurred copy" if insert else "the colour of the image's edge",
        "passed": bool(better),
        "text": f"{word} by evidence, the probability {faster} "
        + ("faster than in 97.5 % of" if better else "no faster than in many of")
        + f" {orders} random orders (area {area:.2f} against {float(areas.mean()):.2f})",
    }


def sanity_checks(trace: Trace, found: Attribution, answer: Answer, seed: int = 0) -> dict[str, Any]:
    """All tests of one map; see above. `answer` gives the probability of the map's class."""
    large = sum(layer.multiply_adds for layer in trace.layered.layers) > LARGE
    count = 3 if large else SHUFFLES
    amount = {"steps": 10, "orders": 6} if large else {}
    seeds = range(seed, seed + count)
    return {
        "seed": seed,
        "shuffled": shuffle_test(trace, found, shuffled(trace.layered, seeds)),
        "other_class": other_class_test(trace, found),
        "deletion": order_test(trace.pixels, found.cells, answer, insert=False, seed=seed, **amount),
        "insertion": order_test(trace.pixels, found.cells, answer, insert=True, seed=seed, **amount),
    }


def _mean_interval(values: NDArray[np.float64]) -> tuple[float, list[float]]:
    """The mean and its 95 % interval by Student's t."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return mean, [mean, mean]
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, [mean - half, mean + half]
