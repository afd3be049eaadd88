"""Rows of the tables of docs/explanation/review-loop.md, from the results of the benchmarks of its statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

from guarantee_tables import Result, Table, percent


def data_of(result: Result) -> str:
    return "Fashion-MNIST" if "fashion-mnist" in result["command"] else "clothing-small"


def with_interval(row: Mapping[str, Any], name: str, interval: str = "interval") -> str:
    low, high = (percent(end).removesuffix(" %") for end in row[interval])
    return f"{percent(row[name])} ({low} to {high})"


def spot_check_bound(results: Sequence[Result]) -> Table:
    (result,) = results
    rows = []
    for row in result["rows"]:
        population = "unlimited" if row["population"] is None else f"{row['population']:,}"
        checks = "-" if row["median_checks"] is None else f"{row['median_checks']:,.0f}"
        start = population, percent(row["precision"]), row["method"], with_interval(row, "broken", "broken_interval")
        rows.append((*start, percent(row["confirmed"], 0), checks))
    return ("products", "true precision", "bound", "ever broken", "98 % confirmed", "median checks"), rows


def shift_alarms(results: Sequence[Result]) -> Table:
    rows = []
    for result in results:
        for row in result["rows"]:
            each = (percent(row[name]) for name in ("out of scope", "classes", "confidence"))
            rows.append((data_of(result), row["shift"], f"{row['products']:,}", with_interval(row, "reported"), *each))
    return ("data", "shift", "products", "reported", "out of scope", "classes", "confidence"), rows


def label_forecast(results: Sequence[Result]) -> Table:
    rows = []
    for result in results:
        for row in result["rows"]:
            sizes = data_of(result), f"{row['labelled']:,}", f"{row['more']:,}", percent(row["precision"], 0)
            low, high = (percent(row[end], 0).removesuffix(" %") for end in ("low", "high"))
            shares = percent(row["now"], 0), f"{percent(row['forecast'], 0)} ({low} to {high})", percent(row["real"], 0)
            holds = percent(row["holds"], 0), percent(row["accuracy_holds"], 0)
            rows.append((*sizes, *shares, *holds))
    head = ("data", "labelled", "more", "target", "accepted", "forecast", "came true", "band holds", "accuracy holds")
    return head, rows
