"""Rows of the tables of docs/explanation/selective-prediction.md, from the results of the benchmarks of guarantees."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""The head and the rows."""


def percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"


def share_and_broken(row: Mapping[str, Any], methods: Iterable[str]) -> list[str]:
    return [f"{row[method]['share']:.2f} ({percent(row[method]['broken'])})" for method in methods]


def plain_bound(results: Sequence[Result]) -> Table:
    """Of each model the newest result."""
    methods = ("plain, strict", "plain, lenient", "muslin")
    runs = {name: run for result in results for name, run in result["runs"].items()}
    rows = []
    for run in sorted(runs.values(), key=lambda run: -run["accuracy"]):
        for row in run["rows"]:
            sizes = percent(run["accuracy"], 0), f"{row['images']:,}", percent(row["target"], 0)
            cells = share_and_broken(row, methods)
            rows.append((*sizes, percent(row["oracle"], 0), *cells, percent(row["exact_test"])))
    return ("accuracy", "images", "target", "oracle", *methods, "exact test"), rows


def grouped_guarantee(results: Sequence[Result]) -> Table:
    (result,) = results
    methods = {"independent": "as independent", "one per group": "one of each group", "muslin": "muslin"}
    rows = [
        (
            str(row["mean_group_size"]),
            ", ".join(f"{rho:g}" for rho in row["rho"]),
            f"{row['images']:,}",
            f"{row['groups']:,.0f}",
            percent(row["target"], 0),
            *share_and_broken(row, methods),
        )
        for row in result["rows"]
    ]
    return ("mean group size", "rho", "images", "groups", "target", *methods.values()), rows


def clothing_guarantee(results: Sequence[Result]) -> Table:
    (result,) = results
    methods = {"independent": "as independent", "muslin": "muslin"}
    rows = []
    for population in result["populations"]:
        name = f"{population['groups']}, {population['mean_group_size']:.0f}"
        for row in population["rows"]:
            sizes = f"{row['images']:,}", f"{row['groups']:,.0f}", percent(row["target"], 0), percent(row["oracle"], 0)
            rows.append((name, *sizes, *share_and_broken(row, methods), percent(row["exact_test"])))
    return ("groups, mean size", "photos", "groups", "target", "oracle", *methods.values(), "exact test"), rows


def few_photos(results: Sequence[Result]) -> Table:
    """How often anything is accepted, and the most broken guarantees of a model, by tenths of the oracle's share."""
    (result,) = results
    methods = {"muslin": "muslin", "strict": "strict", "betting": "betting", "any rank": "any rank, no guarantee"}
    cells: dict[tuple[int, bool, int], list[Mapping[str, Any]]] = {}
    for row in result["rows"]:
        cells.setdefault((row["images"], row["replaced"] > 0, int(10 * row["oracle"])), []).append(row)
    rows = []
    for (images, is_replaced, tenth), same in sorted(cells.items()):
        shares = []
        for method in methods:
            anything = 1 - sum(row[method]["nothing"] for row in same) / len(same)
            shares.append(f"{percent(anything, 0)} ({percent(max(row[method]['broken'] for row in same))})")
        labels = "2 or 4 % replaced" if is_replaced else "true"
        rows.append((f"{images:,}", labels, f"{10 * tenth} to {10 * tenth + 10} %", str(len(same)), *shares))
    return ("photos", "labels", "an oracle accepts", "models", *methods.values()), rows


def cross_fitting(results: Sequence[Result]) -> Table:
    """The share of draws below the target with its 95 % interval, of linear probes and of small networks."""
    rows = []
    for result in results:
        model = "small network" if "networks" in result else "linear probe"
        for row in result["rows"]:
            mean = "-" if row["mean_precision"] is None else percent(row["mean_precision"])
            low, high = (percent(bound).removesuffix(" %") for bound in row["broken_interval"])
            sizes = model, f"{row['n']:,}", row["method"], percent(row["target"], 0)
            rows.append((*sizes, percent(row["accepted"]), mean, f"{percent(row['broken'])} ({low} to {high})"))
    return ("model", "labelled", "calibrated on", "target", "accepted", "mean precision", "below the target"), rows


def products(results: Sequence[Result]) -> Table:
    (result,) = results
    rows = []
    for row in result["rows"]:
        low, high = (percent(bound) for bound in row["share_95"])
        share = f"{percent(row['share'])} ({low.removesuffix(' %')} to {high})"
        cells = f"{row['calibration_products']:,}", share, percent(row["broken"]), f"{row['calibration_error']:.3f}"
        rows.append((row["method"], *cells))
    head = "probability of a product", "products", "accepted at 98 %", "broken", "calibration error"
    return head, rows


def texture_groups(results: Sequence[Result]) -> Table:
    (result,) = results
    rows = []
    for run in result["runs"]:
        low, high = (percent(bound).removesuffix(" %") for bound in run["test"]["interval"])
        group = "--group none" if run["group"] == "none" else "the photo, as muslin finds it"
        rows.append((group, f"{percent(run['test']['accuracy'])} ({low} to {high} %)", f"{run['test']['n']:,}"))
    return ("group", "accuracy on the test set", "test crops"), rows
