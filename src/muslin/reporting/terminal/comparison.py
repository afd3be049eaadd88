"""Which of two models is better, in words and a table."""

from collections.abc import Iterator, Mapping
from typing import TextIO

from muslin.evaluation.compare import Comparison, Paired
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import interval_text, percent, plural


def verdict(found: Paired) -> str:
    """`better by 0.6 points (0.2 to 1.0); that much by chance: p = 0.003`; a point is one in a hundred."""
    points, (low, high) = 100 * found.difference, (100 * end for end in found.interval)
    if found.difference < 0:
        points, low, high = -points, -high, -low
    word = "better" if found.difference > 0 else "worse" if found.difference < 0 else "as good"
    by = f" by {points:.1f} points" if found.difference else ""
    return f"{word}{by} ({low:.1f} to {high:.1f}); that much by chance: {p_text(found.p_value)}"


def p_text(p_value: float) -> str:
    """`p = 0.003`; `p < 0.001` below that."""
    return f"p = {p_value:.3f}" if p_value >= 0.0005 else "p < 0.001"


def lines(name: str, found: Comparison) -> Iterator[str]:
    """What is said of one target before the table."""
    overall = found.overall
    of = plural(overall.n, "image") + (f" in {plural(overall.groups, 'group')}" if overall.groups else "")
    yield f"{name}: {of}" if name else of
    for which, share, interval in (
        ("first ", found.accuracy_a, found.accuracy_a_interval),
        ("second", found.accuracy_b, found.accuracy_b_interval),
    ):
        yield f"{which} right on {percent(share)} ({interval_text(interval)} with 95 % confidence)"
    yield (
        f"both right on {overall.both:,}, only the first on {overall.only_a:,}, only the second on "
        f"{overall.only_b:,}, neither on {overall.neither:,}"
    )
    yield f"the second is {verdict(overall)}"


def print_comparison(comparisons: Mapping[str, Comparison], file: TextIO | None = None) -> None:
    """The verdict, and per class the share right of each; a class is marked where one is better beyond chance."""
    console = console_for(file)
    for name, found in comparisons.items():
        for line in lines(name if len(comparisons) > 1 else "", found):
            console.print(printable(line), soft_wrap=True)
        console.print("\nper class: share right, in %, and the difference in points", style="bold")
        table = plain_table()
        table.add_column("class", overflow="fold")
        for heading in ("images", "first", "second", "difference"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("better", no_wrap=True)
        for row in found.per_class:
            its = row.paired
            low, high = (100 * end for end in its.interval)
            table.add_row(
                printable(row.name),
                f"{its.n:,}",
                f"{100 * (its.both + its.only_a) / its.n:.1f}",
                f"{100 * (its.both + its.only_b) / its.n:.1f}",
                f"{100 * its.difference:+.1f} ({low:.1f} to {high:.1f})",
                {"a": "first", "b": "second", None: ""}[row.better],
            )
        console.print(table)
        console.print("better: beyond chance, p < 0.05 after correction for the number of classes")
