"""An evaluation as tables for the terminal, at most 80 columns wide."""

from typing import TYPE_CHECKING, TextIO

from muslin.evaluation import AnyEvaluation, Interval, MultilabelEvaluation
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import interval_text, percent, plural

if TYPE_CHECKING:
    from rich.console import Console

PAIRS_SHOWN = 5


def print_evaluation(evaluation: AnyEvaluation, title: str = "", file: TextIO | None = None) -> None:
    """The figures with their 95 % intervals, per class, and the most confused pairs."""
    console = console_for(file)
    if title:
        console.print(printable(title))
    if isinstance(evaluation, MultilabelEvaluation):
        _print_multilabel(evaluation, console)
        return
    console.print(
        f"right on {evaluation.right:,} of {evaluation.n:,}: {percent(evaluation.accuracy)} "
        f"({interval_text(evaluation.accuracy_interval)} with 95 % confidence)"
    )
    console.print(
        f"log loss {evaluation.log_loss:.3f}, Brier score {evaluation.brier_score:.3f}, "
        f"calibration error {percent(evaluation.expected_calibration_error)}"
    )
    if evaluation.n_unknown:
        console.print(f"{plural(evaluation.n_unknown, 'image')} without a known class left out")
    if two := evaluation.binary:
        area = "–" if two.roc_area is None else percent(two.roc_area)
        console.print(
            f"{printable(two.positive)} from a probability of {two.threshold:.2f} on; "
            f"area under the ROC curve {area} ({interval_text(two.roc_area_interval)})"
        )
    console.print("\nper class, in %, with 95 % intervals", style="bold")
    table = plain_table()
    table.add_column("class", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("recall", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    table.add_column("F1", justify="right", no_wrap=True)
    for figures in evaluation.per_class:
        table.add_row(
            printable(figures.name),
            f"{figures.support:,}",
            _share(figures.recall, figures.recall_interval),
            _share(figures.precision, figures.precision_interval),
            "–" if figures.f1 is None else f"{100 * figures.f1:.1f}",
        )
    table.add_section()
    for name, means in (("mean of classes", evaluation.macro), ("weighted mean", evaluation.weighted)):
        shares = (means.recall, means.precision, means.f1)
        table.add_row(name, "", *(f"{100 * share:5.1f}" for share in shares))
    console.print(table)
    if not evaluation.confused_pairs:
        console.print("\nno mistakes")
        return
    console.print("\nmost confused", style="bold")
    pairs = plain_table()
    pairs.add_column("true", overflow="fold")
    pairs.add_column("taken for", overflow="fold")
    pairs.add_column("times", justify="right", no_wrap=True)
    pairs.add_column("of all", justify="right", no_wrap=True)
    for pair in evaluation.confused_pairs[:PAIRS_SHOWN]:
        true, predicted = (printable(evaluation.classes[i]) for i in (pair.true, pair.predicted))
        pairs.add_row(true, predicted, f"{pair.count:,}", percent(pair.share))
    console.print(pairs)


def _print_multilabel(evaluation: MultilabelEvaluation, console: "Console") -> None:
    console.print(
        f"{evaluation.cells_right:,} of {evaluation.cells:,} known cells right, on {evaluation.n:,} images; "
        f"{percent(evaluation.unknown_share)} of all cells are unknown and left out"
    )
    table = plain_table()
    table.add_column("in %, with 95 % intervals", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    for name in ("recall", "precision", "F1", "average precision"):
        table.add_column(name, overflow="fold")
    table.add_column("from", justify="right", no_wrap=True)
    for name, means in (
        ("all cells (micro)", evaluation.micro),
        ("mean of labels (macro)", evaluation.macro),
    ):
        table.add_row(
            name,
            "",
            _share(means.recall, means.recall_interval),
            _share(means.precision, means.precision_interval),
            _share(means.f1, means.f1_interval),
            _share(means.average_precision, means.average_precision_interval),
            "",
        )
    table.add_section()
    for row in evaluation.per_label:
        table.add_row(
            printable(row.name),
            f"{row.support:,} of {row.known:,}",
            _share(row.recall, row.recall_interval),
            _share(row.precision, row.precision_interval),
            _share(row.f1, row.f1_interval),
            _share(row.average_precision, row.average_precision_interval),
            f"{row.threshold:.2f}",
        )
    console.print(table)


def _share(share: float | None, interval: Interval) -> str:
    """` 66.5 (63.5–69.4)`, in per cent."""
    low, high = (f"{100 * end:.1f}" for end in interval)
    return "    –" if share is None else f"{100 * share:5.1f} ({low}–{high})"
