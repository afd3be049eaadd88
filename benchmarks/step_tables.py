"""The tables of what a training step is made of: head and rows, as `tables.py` writes them."""

import statistics
from collections.abc import Sequence

from guarantee_tables import Result, Table


def step_parts(results: Sequence[Result]) -> Table:
    (result,) = results
    rows = [
        (
            f"`{row['recipe']}`, {row['side']} px, {row['variant']}",
            f"{row['ms']:.1f}",
            f"{row['ratio']:.2f} ({row['low']:.2f}–{row['high']:.2f})",
        )
        for row in result["rows"]
    ]
    return ("forward and backward", "processor, ms", "× as shipped"), rows


def step_profile(results: Sequence[Result]) -> Table:
    """What share of each recipe's step a group of operators takes."""
    (result,) = results
    names = list(next(iter(result["shares"].values())))
    milliseconds = [
        statistics.median(run["processor_ms"] for run in result["runs"] if run["recipe"] == name) for name in names
    ]
    rows = [(group, *(f"{100 * row[name]:.1f} %" for name in names)) for group, row in result["shares"].items()]
    rows.append(("a step, ms of one core", *(f"{value:.0f}" for value in milliseconds)))
    return ("of a training step", *(f"`{name}`" for name in names)), rows


def data_parallel(results: Sequence[Result]) -> Table:
    """Per backbone and number of machines what a part of the batch and the gradients take, and what is gained."""
    (result,) = results
    rows = []
    for row in result["rows"]:
        for machines, found in row["machines"].items():
            cells = [f"{found[key]:.2f}" for key in ("part_s", "ordered_s", "ring_s")]
            gains = [f"{found[key]:.2f} ×" for key in ("ordered_speedup", "ring_speedup")]
            name = f"{row['network']}, {machines} machines"
            rows.append((name, f"{row['gradient_mb']:.1f}", f"{row['processor_s'] / 2:.2f}", *cells, *gains))
    times = ("a step on one machine, s", "its part, s", "gradients in order, s", "in a ring, s")
    head = ("fine-tuning", "gradients, MB", *times, "in order", "in a ring")
    return head, rows
