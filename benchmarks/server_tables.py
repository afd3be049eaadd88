"""Rows of the table of servers in docs/explanation/serving.md, from the results of `http_servers.py`."""

from collections.abc import Sequence

from guarantee_tables import Result, Table

NAMES = {
    "muslin": "`muslin serve`", "fastapi": "FastAPI", "litserve": "LitServe", "bentoml": "BentoML",
    "mlserver": "MLServer",
}  # fmt: skip


def http_servers(results: Sequence[Result]) -> Table:
    """Per case and server the processor time of an image at each number of connections, and the memory.

    Images a second and times to a result are in the results; they depend on what else the machine does.
    """
    (result,) = results
    answered = [run for run in result["runs"] if "failed" not in run]
    connections = [row["connections"] for row in answered[0]["windows"]]
    rows = []
    for run in answered:
        ratios = [f"; {row['times_muslin']:.2f}" if "times_muslin" in row else "" for row in run["windows"]]
        cells = [f"{row['processor_us']:.0f}{ratio}" for row, ratio in zip(run["windows"], ratios, strict=True)]
        rows.append((run["case"], NAMES[run["server"]], *cells, f"{run['memory_mb']:.0f}"))
    named = [f"{count} connection{'s' * (count > 1)}" for count in connections]
    return ("case", "server", *named, "memory, MB"), rows
