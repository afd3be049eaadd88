"""An evaluation as tables for the terminal, at most 80 columns wide."""

from typing import TYPE_CHECKING, TextIO

from muslin.evaluation import (
    AnyEvaluation,
    Evaluation,
    Interval,
    LabelAverages,
    LabelMetrics,
    MultilabelEvaluation,
)
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import interval_text, percent, plural

if TYPE_CHECKING:
    from rich.console import Console

PAIRS_LISTED = 5


def print_evaluation(evaluation: AnyEvaluation, title: str = "", file: TextIO | None = None) -> None:
    """Print the metrics with their 95 % intervals, per class, and the most confused pairs."""
    console = console_for(file)
    if title:
        console.print(printable(title))
    if isinstance(evaluation, MultilabelEvaluation):
        _print_multilabel(evaluation, console)
        return
    console.print(
        f"accuracy {percent(evaluation.accuracy)}: {evaluation.correct:,} of {evaluation.n:,} correct "
        f"({interval_text(evaluation.accuracy_interval)} with 95 % confidence)"
    )
    console.print(
        f"log loss {evaluation.log_loss:.3f}, Brier score {evaluation.brier_score:.3f}, "
        f"calibration error {percent(evaluation.expected_calibration_error)}"
    )
    if evaluation.n_unlabelled:
        console.print(f"{plural(evaluation.n_unlabelled, 'image')} of unknown class left out")
    if binary := evaluation.binary:
        area = "–" if binary.roc_auc is None else percent(binary.roc_auc)
        console.print(
            f"threshold of {printable(binary.positive_class)}: {binary.threshold:.2f}; "
            f"area under the ROC curve {area} ({interval_text(binary.roc_auc_interval)})"
        )
    _print_class_metrics(evaluation, console)
    _print_confused_pairs(evaluation, console)


def _print_class_metrics(evaluation: Evaluation, console: "Console") -> None:
    console.print("\nper-class metrics, in %, with 95 % intervals", style="bold")
    table = plain_table()
    table.add_column("class", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("recall", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    table.add_column("F1", justify="right", no_wrap=True)
    for row in evaluation.per_class:
        table.add_row(
            printable(row.name),
            f"{row.support:,}",
            _percentage(row.recall, row.recall_interval),
            _percentage(row.precision, row.precision_interval),
            "–" if row.f1 is None else f"{100 * row.f1:.1f}",
        )
    table.add_section()
    for name, means in (("macro average", evaluation.macro), ("weighted average", evaluation.weighted)):
        values = (means.recall, means.precision, means.f1)
        table.add_row(name, "", *(f"{100 * value:5.1f}" for value in values))
    console.print(table)


def _print_confused_pairs(evaluation: Evaluation, console: "Console") -> None:
    if not evaluation.confused_pairs:
        console.print("\nno errors")
        return
    console.print("\nmost confused pairs", style="bold")
    table = plain_table()
    table.add_column("true", overflow="fold")
    table.add_column("predicted", overflow="fold")
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("of the true class", justify="right", no_wrap=True)
    for pair in evaluation.confused_pairs[:PAIRS_LISTED]:
        true, predicted = (printable(evaluation.classes[i]) for i in (pair.true, pair.predicted))
        table.add_row(true, predicted, f"{pair.count:,}", percent(pair.fraction))
    console.print(table)


def _print_multilabel(evaluation: MultilabelEvaluation, console: "Console") -> None:
    console.print(
        f"{evaluation.correct_cells:,} of {evaluation.cells:,} known labels correct, on {evaluation.n:,} images; "
        f"{percent(evaluation.unlabelled_fraction)} of all labels are unknown and left out"
    )
    table = plain_table()
    table.add_column("in %, with 95 % intervals", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    for name in ("recall", "precision", "F1", "average precision"):
        table.add_column(name, overflow="fold")
    table.add_column("threshold", justify="right", no_wrap=True)
    for name, means in (("micro average", evaluation.micro), ("macro average", evaluation.macro)):
        table.add_row(name, "", *_label_percentages(means), "")
    table.add_section()
    for row in evaluation.per_label:
        images = f"{row.support:,} of {row.labelled:,}"
        table.add_row(printable(row.name), images, *_label_percentages(row), f"{row.threshold:.2f}")
    console.print(table)


def _label_percentages(row: LabelAverages | LabelMetrics) -> tuple[str, ...]:
    return (
        _percentage(row.recall, row.recall_interval),
        _percentage(row.precision, row.precision_interval),
        _percentage(row.f1, row.f1_interval),
        _percentage(row.average_precision, row.average_precision_interval),
    )


def _percentage(value: float | None, interval: Interval) -> str:
    """` 66.5 (63.5–69.4)`, in per cent."""
    low, high = (f"{100 * end:.1f}" for end in interval)
    return "    –" if value is None else f"{100 * value:5.1f} ({low}–{high})"
