"""Rows of the tables of docs/how-to/similar.md, from the results of the benchmarks of similar photos."""

from collections.abc import Mapping, Sequence
from typing import Any

from guarantee_tables import Result, Table, percent

NAMES = {
    "photos": "photos and made views, mixed",
    "changed": "only changed photos looked up",
    "synthetic": "synthetic features",
}


def share(row: Mapping[str, Any]) -> str:
    """A share with its interval."""
    low, high = (f"{100 * end:.1f}" for end in row["interval"])
    return f"{percent(row['value'])} ({low} to {high})"


def similar_recall(results: Sequence[Result]) -> Table:
    (result,) = results
    by_view: dict[str, dict[str, Any]] = {}
    for row in result["recall"]:
        by_view.setdefault(row["view"], {})[row["way"]] = row
    rows = []
    for view, ways in by_view.items():
        ours, plain = ways["muslin"], ways["features as they are"]
        at = {row["k"]: share(row) for row in ours["recall"]}
        cosines = [f"{ours[name][1]:.2f}" for name in ("own_cosine", "nearest_other_cosine")]
        rows.append((view, f"{ours['queries']:,}", at[1], at[20], percent(plain["recall"][0]["value"]), *cosines))
    head = ("view", "looked up", "Recall@1", "Recall@20", "@1 of plain features", "cosine", "nearest other")
    return head, rows


def similar_guarantee(results: Sequence[Result]) -> Table:
    (result,) = results
    rows = []
    for data, name in NAMES.items():
        for row in result["same_product"][data]:
            low, high = (f"{100 * end:.1f}" for end in row["below_target_interval"])
            broken = f"{row['below_target']} ({low} to {high} %)"
            precision, found = (percent(row[part][1]) if row[part] else "-" for part in ("precision", "found"))
            rows.append(
                (name, percent(row["target"], 0), str(row["draws"]), str(row["guaranteed"]), broken, precision, found)
            )
    return ("data", "target", "draws", "guaranteed", "below target", "median precision", "found"), rows


def similar_index(results: Sequence[Result]) -> Table:
    (result,) = results
    rows = []
    for name, part in (("index from kept features", "build"), ("open for a search", "open")):
        seconds = result["median"][part]
        rows.append((name, f"{seconds['wall_s']:.1f} s", f"{seconds['processor_s']:.1f} s"))
    for name, which in (("a query, median", "p50_ms"), ("a query, 95 % quantile", "p95_ms")):
        times = [min(each["query"][clock][which] for each in result["rounds"]) for clock in ("wall_s", "processor_s")]
        rows.append((name, *(f"{time:.0f} ms" for time in times)))
    built = max(each["peak_mb"] for each in result["rounds"])
    rows += [
        ("peak memory, building", f"{built:,.0f} MB", ""),
        ("peak memory, search", f"{result['search']['peak_mb']:,.0f} MB", ""),
    ]
    return (f"{result['photos']:,} photos", "by the clock", "processor"), rows


def similar_duplicates(results: Sequence[Result]) -> Table:
    (result,) = results
    rows = []
    for way, row in result["ways"].items():
        found = share({"value": row["found"] / row["planted"], "interval": row["found_interval"]})
        low, high = (f"{end:.1f}" for end in row["alarmed_per_1000_interval"])
        alarmed = f"{1000 * row['products_with_alarms'] / result['products']:.1f} ({low} to {high})"
        rows.append((way, found, f"{row['false_alarms']:,}", alarmed))
    head = ("way", f"{row['planted']:,} duplicates found", "false alarms, pairs", "products with one, per 1,000")
    return head, rows
