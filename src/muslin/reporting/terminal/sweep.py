"""The variants of a sweep on a terminal: a table, and which is the best by validation."""

from collections.abc import Mapping, Sequence
from typing import Any

from muslin.messages import Message, examples
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import duration, percent, plural, short_interval


def print_sweep(found: Mapping[str, Any]) -> None:
    """Print a sweep.

    Args:
        found: as `SweepResult.to_dict` makes it.
    """
    out = console_for()
    variants: Sequence[Mapping[str, Any]] = found["variants"]
    targets = list(dict.fromkeys(name for variant in variants for name in variant["validation"]))
    headings = [f"{name}, validation" if len(targets) > 1 else "validation" for name in targets]
    rows = [
        [
            variant["name"],
            *(metric_text(variant["validation"].get(name)) for name in targets),
            _images_text(variant["validation"]),
            "" if variant["train_s"] is None else duration(variant["train_s"]),
            "best"
            if variant["name"] == found["best"]
            else ""
            if variant["status"] == "finished"
            else variant["status"],
        ]
        for variant in variants
    ]
    print_table(out, "f" + "r" * len(targets) + "rrl", ["variant", *headings, "images", "time", ""], rows)
    out.print()
    for line in _notes(found):
        print_lines(out, line)
    if found["best"] is not None:
        print_lines(
            out,
            f"best by validation: {found['best']}",
            *(f"  {_test_text(name, metric, len(found['test']) > 1)}" for name, metric in found["test"].items()),
            "  the test metrics of the other variants are not shown, so that nobody chooses by them",
            f"model   {found['model']}",
        )
    print_lines(out, f"table   {found['table']}")


def metric_text(metric: Mapping[str, Any] | None) -> str:
    """`91.2 % (90.6–91.7)`."""
    if metric is None:
        return "–"
    return f"{percent(metric.get('accuracy', metric.get('f1')))} ({short_interval(metric['interval'])})"


def _images_text(validation: Mapping[str, Mapping[str, Any]]) -> str:
    """The number of images of the metrics; with a mark where they are out of fold."""
    counts = dict.fromkeys(
        f"{metric['n']:,}{' out of fold' if metric.get('out_of_fold') else ''}" for metric in validation.values()
    )
    return ", ".join(counts)


def _test_text(name: str, metric: Mapping[str, Any], has_others: bool) -> str:
    which = "accuracy" if "accuracy" in metric else "F1"
    target = f"{name}: " if has_others else ""
    return f"{target}{which} {metric_text(metric)} on {plural(metric['n'], 'test image')}"


def _notes(found: Mapping[str, Any]) -> list[str]:
    notes = [f"{v['name']}: {v['problem']['message']}" for v in found["variants"] if v["problem"]]
    if found["best"] is None:
        return [*notes, Message("sweep_without_choice")]
    if names := found["within_chance"]:
        shown = examples(names)
        notes.append(Message("sweep_same_choice", n=len(names), names=shown["names"], more=shown["more"]))
    if not found["same_images"]:
        notes.append(Message("sweep_other_images"))
    return notes
