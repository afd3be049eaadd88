"""Predictions as a table for the terminal."""

from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import percent, plural


def print_predictions(predictions: Iterable[Mapping[str, Any]], file: TextIO | None = None) -> None:
    """A table of answers, each a mapping as `muslin predict --json` writes it.

    Below it the problems, a line each, and once each what was done to how many images (`notes`).
    """
    console = console_for(file)
    rows = list(predictions)
    targets = list(dict.fromkeys(name for row in rows for name in row["predictions"]))
    answered = [row for row in rows if row["problem"] is None]
    with_lanes = any("decision" in answer for row in answered for answer in row["predictions"].values())
    table = plain_table()
    table.add_column("image", overflow="fold")
    for name in targets:
        table.add_column(printable(name), overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
        table.add_column("runner-up", overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
        if with_lanes:
            table.add_column("decision", no_wrap=True)
    for row in answered:
        cells = [printable(row["image"])]
        for name in targets:
            cells += _answer(row["predictions"][name])
            if with_lanes:
                cells.append(printable(row["predictions"][name].get("decision", "")))
        table.add_row(*cells)
    if answered:
        console.print(table)
    for row in rows:
        if row["problem"] is not None:
            named = row["problem"].startswith(row["image"])
            console.print(
                printable(row["problem"] if named else f"{row['image']}: {row['problem']}"), soft_wrap=True
            )
    notes: dict[str, int] = {}
    for row in rows:
        for note in row.get("notes", ()):
            notes[note] = notes.get(note, 0) + 1
    for note, times in notes.items():
        console.print(f"{plural(times, 'image')}: {printable(note)}", soft_wrap=True)


def _answer(answer: Mapping[str, Any]) -> list[str]:
    if (labels := answer.get("labels")) is not None:
        surest = sorted(labels, key=lambda name: -answer["probabilities"][name])
        named = ", ".join(f"{printable(name)} {percent(answer['probabilities'][name])}" for name in surest)
        return [named or "none", "", "", ""]
    second = answer.get("runner_up")
    return [
        printable(answer["label"]),
        percent(answer["probability"]),
        printable(second) if second else "",
        percent(answer["runner_up_probability"]) if second else "",
    ]
