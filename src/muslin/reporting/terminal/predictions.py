"""Predictions as a table for the terminal."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import percent, plural

if TYPE_CHECKING:
    from rich.console import Console

MIN_PATH_COLUMNS = 20
COLUMN_GAP = 3


def print_predictions(predictions: Iterable[Mapping[str, Any]], file: TextIO | None = None) -> None:
    """Print a table of predictions, each a mapping as `muslin predict --json` writes it.

    Below it stand the errors, a line each, then each note with the number of its images.
    """
    console = console_for(file)
    rows = list(predictions)
    targets = list(dict.fromkeys(name for row in rows for name in row["predictions"]))
    readable = [row for row in rows if row["error"] is None]
    with_decisions = any("decision" in target for row in readable for target in row["predictions"].values())
    headings = ["image"]
    for name in targets:
        headings += [printable(name), "", "runner-up", "", *(["decision"] if with_decisions else [])]
    cells = [
        [printable(row["image"])]
        + [cell for name in targets for cell in _prediction_cells(row["predictions"][name], with_decisions)]
        for row in readable
    ]
    if cells:
        _print_table(headings, cells, console)
    for row in rows:
        if row["error"] is not None:
            console.print(printable(row["error"]), soft_wrap=True)
    notes: dict[str, int] = {}
    for row in rows:
        for note in row.get("notes", ()):
            notes[note] = notes.get(note, 0) + 1
    for note, count in notes.items():
        console.print(f"{plural(count, 'image')}: {printable(note)}", soft_wrap=True)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], console: "Console") -> None:
    """Print the rows; the paths in the first column are broken at separators to fit the width."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    room = console.width - sum(widths[1:]) - COLUMN_GAP * (len(widths) - 1)
    table = plain_table()
    for heading in headings:
        table.add_column(
            heading, justify="left" if heading else "right", overflow="fold", no_wrap=not heading
        )
    for path, *cells in rows:
        table.add_row("\n".join(wrap_path(path, max(MIN_PATH_COLUMNS, room))), *cells)
    console.print(table)


def wrap_path(path: str, width: int) -> list[str]:
    """`path` in lines of at most `width` where its separators allow it.

    >>> wrap_path("runs/demo-20261127/test-0.png", 20)
    ['runs/demo-20261127/', 'test-0.png']
    """
    lines = [""]
    for name in re.findall(r"[^/\\]*[/\\]|[^/\\]+", path):
        if lines[-1] and len(lines[-1] + name) > width:
            lines.append("")
        lines[-1] += name
    return lines


def _prediction_cells(prediction: Mapping[str, Any], with_decision: bool) -> list[str]:
    decision = [printable(prediction.get("decision", ""))] if with_decision else []
    if (labels := prediction.get("labels")) is not None:
        probabilities = prediction["probabilities"]
        by_probability = sorted(labels, key=lambda name: -probabilities[name])
        named = ", ".join(f"{printable(name)} {percent(probabilities[name])}" for name in by_probability)
        return [named or "none", "", "", "", *decision]
    second = prediction.get("runner_up")
    return [
        printable(prediction["label"]),
        percent(prediction["probability"]),
        printable(second) if second else "",
        percent(prediction["runner_up_probability"]) if second else "",
        *decision,
    ]
