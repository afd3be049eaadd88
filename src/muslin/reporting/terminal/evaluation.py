"""An evaluation for the terminal: tables at most 80 columns wide, and sentences, which are not broken in a pipe."""

from typing import TYPE_CHECKING, TextIO

from muslin.evaluation import AnyEvaluation, Evaluation, Interval, LabelAverages, LabelMetrics, MultilabelEvaluation
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import interval_text, percent, plural, short_interval

if TYPE_CHECKING:
    from muslin.reporting.terminal.escaping_console import EscapingConsole

PAIRS_LISTED = 5


def print_evaluation(evaluation: AnyEvaluation, title: str = "", file: TextIO | None = None) -> None:
    """Print the metrics with their 95 % intervals, per class, and the most confused pairs."""
    console = console_for(file)
    if title:
        print_lines(console, title)
    if isinstance(evaluation, MultilabelEvaluation):
        _print_multilabel(evaluation, console)
        return
    print_lines(
        console,
        f"accuracy {percent(evaluation.accuracy)}: {evaluation.correct:,} of {evaluation.n:,} correct "
        f"({interval_text(evaluation.accuracy_interval)} with 95 % confidence{_groups_text(evaluation)})",
        f"always the most frequent class: {percent(evaluation.majority / evaluation.n)}, {evaluation.majority:,} of "
        f"{evaluation.n:,}",
        f"log loss {evaluation.log_loss:.3f}, Brier score {evaluation.brier_score:.3f}, "
        f"calibration error {percent(evaluation.expected_calibration_error)}",
    )
    if evaluation.n_unlabelled:
        console.print(f"{plural(evaluation.n_unlabelled, 'image')} of unknown class left out")
    if binary := evaluation.binary:
        area = "–" if binary.roc_auc is None else percent(binary.roc_auc)
        print_lines(
            console,
            f"threshold of {binary.positive_class}: {binary.threshold:.2f}; "
            f"area under the ROC curve {area} ({interval_text(binary.roc_auc_interval)})",
        )
    _print_class_metrics(evaluation, console)
    _print_confused_pairs(evaluation, console)


def _groups_text(evaluation: AnyEvaluation) -> str:
    """`, in 29 groups of images`; nothing where all images are independent."""
    return f", in {evaluation.groups_text}" if evaluation.groups_text else ""


def _print_class_metrics(evaluation: Evaluation, console: "EscapingConsole") -> None:
    console.print("\nper-class metrics, in %, with 95 % intervals", style="bold")
    rows: list[tuple[str, ...] | None] = [
        (
            row.name,
            f"{row.support:,}",
            _percentage(row.recall, row.recall_interval),
            _percentage(row.precision, row.precision_interval),
            _percentage(row.f1, row.f1_interval),
        )
        for row in evaluation.per_class
    ]
    rows.append(None)
    for name, means in (("macro avg", evaluation.macro), ("weighted avg", evaluation.weighted)):
        cells = (
            _percentage(means.recall, means.recall_interval),
            _percentage(means.precision, means.precision_interval),
            _percentage(means.f1, means.f1_interval),
        )
        rows.append((name, f"{evaluation.n:,}", *cells))
    print_table(console, "frlll", ("class", "images", "recall", "precision", "F1"), rows)


def _print_confused_pairs(evaluation: Evaluation, console: "EscapingConsole") -> None:
    classes, pairs = evaluation.classes, evaluation.confused_pairs[:PAIRS_LISTED]
    if not pairs:
        console.print("\nno errors")
        return
    console.print("\nmost confused pairs", style="bold")
    print_table(
        console,
        "ffrl",
        ("true", "predicted", "of the true class", "in %, 95 % interval"),
        [
            (
                classes[p.true],
                classes[p.predicted],
                f"{p.count:,} of {p.support:,}",
                _percentage(p.fraction, p.fraction_interval),
            )
            for p in pairs
        ],
    )


def _print_multilabel(evaluation: MultilabelEvaluation, console: "EscapingConsole") -> None:
    print_lines(
        console,
        f"{evaluation.correct_cells:,} of {evaluation.cells:,} known labels correct, on {evaluation.n:,} images; "
        f"{percent(evaluation.unlabelled_fraction)} of all labels are unknown and left out",
    )
    names = ("recall", "precision", "F1", "average precision")
    headings = (f"in %, with 95 % intervals{_groups_text(evaluation)}", "images", *names, "threshold")
    averages = (("micro average", evaluation.micro), ("macro average", evaluation.macro))
    rows: list[tuple[str, ...] | None] = [(name, "", *_label_percentages(means), "") for name, means in averages]
    rows.append(None)
    for row in evaluation.per_label:
        images = f"{row.support:,} of {row.labelled:,}"
        rows.append((row.name, images, *_label_percentages(row), f"{row.threshold:.2f}"))
    print_table(console, "frffffr", headings, rows)


def _label_percentages(row: LabelAverages | LabelMetrics) -> tuple[str, ...]:
    return (
        _percentage(row.recall, row.recall_interval),
        _percentage(row.precision, row.precision_interval),
        _percentage(row.f1, row.f1_interval),
        _percentage(row.average_precision, row.average_precision_interval),
    )


def _percentage(value: float | None, interval: Interval) -> str:
    """` 66.5 (63.5–69.4)`, in per cent."""
    return "    –" if value is None else f"{100 * value:5.1f} ({short_interval(interval)})"
