"""How far a model can be trusted, as sentences and tables for the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from muslin.evaluation.intervals import Interval
from muslin.evaluation.product_metrics import ProductMetrics
from muslin.evaluation.reliability import LeakMetrics, Reliability, SelectiveMetrics, SliceMetrics
from muslin.evaluation.selective import SET_COVERAGE
from muslin.reporting.terminal.acceptance import print_acceptance_rows
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import escape_controls, interval_text, number_text, percent, plural, short_interval

if TYPE_CHECKING:
    from muslin.reporting.terminal.escaping_console import EscapingConsole

MAX_SLICES_SHOWN = 20


def print_reliability(reliability: Reliability, slice_by: str | None = None, file: TextIO | None = None) -> None:
    """Print selective prediction, calibration, and, where they were measured, near-copies and slices."""
    out = console_for(file)
    out.print("\npredictions accepted at each precision target", style="bold")
    headings = ("target", "accepted", "coverage", "accuracy of accepted")
    print_table(out, "rrrr", headings, map(_accepted_row, reliability.selective))
    out.print("\nother predictions at each precision target", style="bold")
    headings = ("target", "review", "prediction sets with the true class", "out of scope")
    print_table(out, "rrrr", headings, map(_others_row, reliability.selective))
    if reliability.acceptance and any(row.unsupported for row in reliability.selective):
        out.print(f"\npredictions accepted of {reliability.acceptance[0].n:,} calibration images", style="bold")
        print_acceptance_rows(reliability.acceptance, out)
    sentences: list[str] = [
        f"The accepted predictions miss {100 * row.precision_target:g} % precision: of "
        f"{row.decisions[0].n:,}, {_with_interval(row.decisions[0].accuracy, row.decisions[0].accuracy_interval)} are "
        "correct."
        for row in reliability.missed_targets
    ]
    unsupported: dict[tuple[Any, ...], str] = {}
    for sentence in (s for row in reliability.selective for s in row.unsupported):  # from the lowest precision up
        unsupported.setdefault((sentence.params["target"], sentence.params.get("class_name")), sentence)
    sentences += unsupported.values()
    if reliability.at_target.mean_set_size is not None:
        sentences.append(
            f"At {100 * reliability.precision_target:g} % precision, a prediction set for review has "
            f"{reliability.at_target.mean_set_size:.1f} classes on average; its target is to hold the true class "
            f"{100 * SET_COVERAGE:g} % of the time."
        )
    sentences.append(_calibration_sentence(reliability))
    if reliability.aurc is not None:
        sentences.append(f"Area under the risk–coverage curve (AURC): {percent(reliability.aurc)}.")
    if reliability.products is not None:
        sentences += _product_sentences(reliability.products)
    if reliability.leaks is not None:
        sentences.append(_leaks_sentence(reliability.leaks))
    print_lines(out, *sentences)
    if slice_by:
        _print_slices(reliability.slices, slice_by, out)


def _accepted_row(row: SelectiveMetrics) -> tuple[str, ...]:
    accept = row.decisions[0]
    return (
        f"{100 * row.precision_target:g} %",
        f"{accept.n:,}",
        _with_interval(row.coverage, row.coverage_interval),
        _with_interval(accept.accuracy, accept.accuracy_interval),
    )


def _others_row(row: SelectiveMetrics) -> tuple[str, ...]:
    _, review, out_of_scope = row.decisions
    sets = _with_interval(row.set_coverage, row.set_coverage_interval)
    return f"{100 * row.precision_target:g} %", f"{review.n:,}", sets, f"{out_of_scope.n:,}"


def _calibration_sentence(reliability: Reliability) -> str:
    before, after = reliability.before_calibration, reliability.after_calibration
    if before == after:
        return f"Calibration error {percent(after.expected_calibration_error)}; this model is not calibrated."
    return (
        f"Calibration changed the calibration error from {percent(before.expected_calibration_error)} to "
        f"{percent(after.expected_calibration_error)} (Brier score {before.brier_score:.3f} to "
        f"{after.brier_score:.3f}, log loss {before.log_loss:.3f} to {after.log_loss:.3f})."
    )


def _product_sentences(products: ProductMetrics) -> Iterator[str]:
    yield (
        f"Accuracy per product, each from all its photos: "
        f"{_with_interval(products.accuracy, products.accuracy_interval)} of {plural(products.n, 'product')} with "
        f"{plural(products.n_photos, 'photo')}."
    )
    if products.n_ambiguous:
        yield f"Not counted, because two labels have as many photos: {plural(products.n_ambiguous, 'product')}."
    if products.precision_target is None:
        yield "This model was not calibrated per product: train it on data with products."
        return
    accuracy = _with_interval(products.accepted_accuracy, products.accepted_accuracy_interval)
    correct = f"; of these, {accuracy} are correct" if products.accepted else ""
    yield (
        f"At {100 * products.precision_target:g} % precision it accepts "
        f"{plural(int(products.accepted or 0), 'product')}: "
        f"{_with_interval(products.coverage, products.coverage_interval)}{correct}."
    )
    if products.contradictory:
        yield f"In review because photos contradict each other: {plural(products.contradictory, 'product')}."


def _leaks_sentence(leaks: LeakMetrics) -> str:
    if not leaks.n or leaks.accuracy is None:
        return "No image is a near-copy of a training image."
    if leaks.accuracy_without_leaks is None:
        return "Every image is a near-copy of a training image, so these metrics say nothing about new images."
    return (
        f"{plural(leaks.n, 'near-copy', 'near-copies')} of training images, with accuracy {percent(leaks.accuracy)} "
        f"({interval_text(leaks.accuracy_interval)}); "
        f"without them the accuracy is {percent(leaks.accuracy_without_leaks)} "
        f"({interval_text(leaks.accuracy_without_leaks_interval)})."
    )


def _print_slices(slices: tuple[SliceMetrics, ...], column: str, out: "EscapingConsole") -> None:
    if not slices:
        print_lines(out, "", f"No slices: column {column} has fewer than two values.")
        return
    out.print(f"\nby {escape_controls(column)}", style="bold")
    weak = ", ".join(s.value for s in slices if s.weak)
    print_lines(
        out,
        f"Significantly worse than the others: {weak}" if weak else "No value is significantly worse than the others.",
    )
    headings = (column, "images", "accuracy", "difference to the others, points", "")
    print_table(out, "frlll", headings, map(_slice_row, slices[:MAX_SLICES_SHOWN]))
    if len(slices) > MAX_SLICES_SHOWN:
        print_lines(out, f"{plural(len(slices) - MAX_SLICES_SHOWN, 'more value')}; --json has all.")


def _slice_row(row: SliceMetrics) -> tuple[str, ...]:
    difference, low, high = (number_text(100 * end, "+.1f") for end in (row.difference, *row.difference_interval))
    return (
        row.value,
        f"{row.n:,}",
        _with_interval(row.accuracy, row.accuracy_interval),
        f"{difference} ({low} to {high})",
        "weak" if row.weak else "",
    )


def _with_interval(accuracy: float | None, interval: Interval) -> str:
    return "–" if accuracy is None else f"{percent(accuracy)} ({short_interval(interval)})"
