"""The comparison of two models, as sentences and a table for the terminal."""

from collections.abc import Iterator, Mapping
from typing import TextIO

from muslin.evaluation.compare import ClassDifference, Comparison, PairedDifference
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import interval_text, number_text, percent, plural


def print_comparison(
    comparisons: Mapping[str, Comparison],
    file: TextIO | None = None,
    *,
    products: Mapping[str, Comparison] | None = None,
) -> None:
    """Print per target the overall result and, per class, both accuracies and which model is significantly better.

    Args:
        products: per target the comparison of products, of which the overall result is printed.
    """
    console = console_for(file)
    headings = ("class", "images", "first", "second", "difference", "better")
    for name, comparison in comparisons.items():
        print_lines(console, *_overall_lines(name if len(comparisons) > 1 else "", comparison))
        console.print("\nper class: accuracy in %, and the difference in points", style="bold")
        print_table(console, "frrrrl", headings, map(_class_row, comparison.per_class))
        print_lines(console, "better: significant, p < 0.05 after correction for the number of classes")
        if of_products := (products or {}).get(name):
            console.print("\nper product, each predicted from all its photos", style="bold")
            print_lines(console, *_overall_lines("", of_products, "product"))


def _class_row(row: ClassDifference) -> tuple[str, ...]:
    paired = row.paired
    difference, low, high = (number_text(100 * end, "+.1f") for end in (paired.difference, *paired.interval))
    return (
        row.name,
        f"{paired.n:,}",
        f"{100 * (paired.both_correct + paired.only_a_correct) / paired.n:.1f}",
        f"{100 * (paired.both_correct + paired.only_b_correct) / paired.n:.1f}",
        f"{difference} ({low} to {high})",
        {"a": "first", "b": "second", None: ""}[row.better_model],
    )


def _overall_lines(name: str, comparison: Comparison, unit: str = "image") -> Iterator[str]:
    overall = comparison.overall
    images = plural(overall.n, unit) + (f" in {plural(overall.groups, 'group')}" if overall.groups else "")
    yield f"{name}: {images}" if name else images
    for which, accuracy, interval in (
        ("first ", comparison.accuracy_a, comparison.accuracy_a_interval),
        ("second", comparison.accuracy_b, comparison.accuracy_b_interval),
    ):
        yield f"{which} model: accuracy {percent(accuracy)} ({interval_text(interval)} with 95 % confidence)"
    yield (
        f"both correct on {overall.both_correct:,}, only the first on {overall.only_a_correct:,}, only the second on "
        f"{overall.only_b_correct:,}, neither on {overall.neither_correct:,}"
    )
    yield f"The second model is {_difference_text(overall)}."


def _difference_text(paired: PairedDifference) -> str:
    """`better by 0.6 points (0.2 to 1.0), p = 0.003`; a point is one in a hundred."""
    p = f"p = {paired.p_value:.3f}" if paired.p_value >= 0.0005 else "p < 0.001"
    low, high = (100 * end for end in paired.interval)
    if not paired.difference:
        return f"as good ({low:.1f} to {high:.1f} points), {p}"
    if paired.difference < 0:
        low, high = -high, -low
    word = "better" if paired.difference > 0 else "worse"
    return f"{word} by {100 * abs(paired.difference):.1f} points ({low:.1f} to {high:.1f}), {p}"
