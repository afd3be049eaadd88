"""What each recipe reached on public data, and how long it would train here, as tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import duration, escape_controls, percent, plural


def print_recipes(
    found: Sequence[Mapping[str, Any]],
    summaries: Mapping[str, str],
    machine: Mapping[str, Any],
    file: TextIO | None = None,
) -> None:
    """A table of recipes for each data set.

    Args:
        found: `TrainingOffers` as dicts.
        summaries: by recipe what it is.
        machine: `machine.description()`.
    """
    console = console_for(file)
    for offers in found:
        like = " as in " if offers["is_assumed"] else " of "
        n_train = plural(offers["counts"]["train"], "training image")
        console.print(escape_controls(f"{n_train}{like}{offers['name']}"), style="bold", soft_wrap=True)
        print_table(console, "lrrf", ("recipe", "time here", "accuracy", "on"), map(_cells, offers["offers"]))
        print_lines(console, *filter(None, map(_changes, offers["offers"])))
        if offers["reason"] and not offers["is_assumed"]:
            print_lines(console, offers["reason"])
        print_lines(console, "")
    named = dict.fromkeys(offer["recipe"] for offers in found for offer in offers["offers"])
    print_lines(console, *(f"{name:{max(map(len, named))}}  {summaries[name]}" for name in named), "")
    processor = f"{machine['processor']}, {plural(machine['cores'], 'core')}"
    print_lines(
        console,
        f"times: what training is expected to take on this machine ({processor}), from a trial just now",
        "accuracies: on the images that the recipe was measured on, the median of the seeds; on others it differs",
    )
    if any(offers["is_assumed"] for offers in found):
        print_lines(console, "for your own data: muslin recipes DATA")


def _changes(offer: Mapping[str, Any]) -> str:
    """The settings for images so few, many or small, with which it was timed; empty: its own."""
    words = " ".join(f"--set {name}={value}" for name, value in offer["settings"].items())
    return words and f"{offer['recipe']}: timed with {words}"


def _cells(offer: Mapping[str, Any]) -> list[str]:
    time = "–" if offer["expected_s"] is None else duration(offer["expected_s"])
    accuracy, measured = "–", "not measured"
    if benchmark := offer["benchmark"]:
        accuracy = percent(benchmark["accuracy"])
        measured = f"{benchmark['data']}, {plural(benchmark['n_seeds'], 'seed')}"
    return [offer["recipe"], time, accuracy, offer["problem"] or measured]
