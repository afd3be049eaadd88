"""Rows of the table of servers in docs/explanation/speed.md, from the results of `http_servers.py`."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from guarantee_tables import Result, Table

NAMES = {
    "muslin": "`muslin serve`", "fastapi": "FastAPI", "litserve": "LitServe", "bentoml": "BentoML",
    "mlserver": "MLServer",
}  # fmt: skip


def http_servers(results: Sequence[Result]) -> Table:
    """Per case and server the images a second and the times at each number of connections; medians of the rounds."""
    (result,) = results
    answered = [run for run in result["runs"] if "failed" not in run]
    connections = [row["connections"] for row in answered[0]["windows"]]
    rows = []
    for case, server in dict.fromkeys((run["case"], run["server"]) for run in answered):
        ours = [run for run in answered if (run["case"], run["server"]) == (case, server)]
        cells = [_cell([_window(run, count) for run in ours]) for count in connections]
        processor_us = _median(_window(run, connections[-1])["processor_us"] for run in ours)
        memory, ready = (_median(run[name] for run in ours) for name in ("memory_mb", "ready_s"))
        rows.append((case, NAMES[server], *cells, f"{processor_us:.0f}", f"{memory:.0f}", f"{ready:.1f}"))
    named = [f"{count} connection{'s' * (count > 1)}" for count in connections]
    return ("case", "server", *named, "processor µs", "memory, MB", "ready after, s"), rows


def _window(run: Mapping[str, Any], connections: int) -> Mapping[str, float]:
    return next(row for row in run["windows"] if row["connections"] == connections)


def _cell(windows: Sequence[Mapping[str, float]]) -> str:
    rate, p50, p99 = (_median(row[name] for row in windows) for name in ("images_per_s", "p50_ms", "p99_ms"))
    return f"{rate:.0f}; {_ms(p50)}, {_ms(p99)}"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
