"""How far a model can be trusted, as sentences and tables for the terminal."""

from typing import TextIO

from muslin.evaluation.intervals import Interval
from muslin.evaluation.reliability import LeakMetrics, Reliability, SliceMetrics
from muslin.evaluation.selective import SET_COVERAGE
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import interval_text, percent, plural

MAX_SLICES_SHOWN = 20


def print_reliability(
    reliability: Reliability, slice_by: str | None = None, file: TextIO | None = None
) -> None:
    """Print selective prediction, calibration, and, where they were measured, near-copies and slices."""
    out = console_for(file)
    out.print("\npredictions accepted at each precision target", style="bold")
    table = plain_table()
    for heading in ("target", "coverage", "accuracy", "review", "set coverage", "out of scope"):
        number = heading in ("target", "coverage")
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in reliability.selective:
        accept, review, out_of_scope = row.decisions
        table.add_row(
            f"{100 * row.precision_target:g} %",
            percent(row.coverage),
            "–"
            if accept.accuracy is None
            else f"{percent(accept.accuracy)} ({_ends(accept.accuracy_interval)})",
            f"{review.n:,}",
            "–" if row.set_coverage is None else percent(row.set_coverage),
            f"{out_of_scope.n:,}",
        )
    out.print(table)
    sentences: list[str] = [
        f"The accepted predictions miss {100 * target:g} % precision: {percent(accuracy)} are correct."
        for target, accuracy in reliability.missed_targets
    ]
    sentences += dict.fromkeys(s for row in reliability.selective for s in row.unsupported)
    if reliability.at_target.mean_set_size is not None:
        sentences.append(
            f"At {100 * reliability.precision_target:g} % precision, a prediction set for review has "
            f"{reliability.at_target.mean_set_size:.1f} classes on average; its target is to hold the true class "
            f"{100 * SET_COVERAGE:g} % of the time."
        )
    sentences.append(_calibration_sentence(reliability))
    if reliability.aurc is not None:
        sentences.append(f"Area under the risk–coverage curve (AURC): {percent(reliability.aurc)}.")
    if reliability.n_groups is not None and reliability.accuracy is not None:
        sentences.append(
            f"Accuracy over {plural(reliability.n_groups, 'group')} of images: {percent(reliability.accuracy)} "
            f"({interval_text(reliability.accuracy_interval)})."
        )
    if reliability.leaks is not None:
        sentences.append(_leaks_sentence(reliability.leaks))
    for sentence in sentences:
        out.print(printable(sentence), soft_wrap=True)
    if slice_by:
        _print_slices(reliability.slices, slice_by, file)


def _calibration_sentence(reliability: Reliability) -> str:
    before, after = reliability.before_calibration, reliability.after_calibration
    if before == after:
        return f"Calibration error {percent(after.expected_calibration_error)}; this model is not calibrated."
    return (
        f"Calibration reduced the calibration error from {percent(before.expected_calibration_error)} to "
        f"{percent(after.expected_calibration_error)} (Brier score {before.brier_score:.3f} to "
        f"{after.brier_score:.3f}, log loss {before.log_loss:.3f} to {after.log_loss:.3f})."
    )


def _leaks_sentence(leaks: LeakMetrics) -> str:
    if not leaks.n or leaks.accuracy is None:
        return "No image is a near-copy of a training image."
    if leaks.accuracy_without is None:
        return (
            "Every image is a near-copy of a training image, so these metrics say nothing about new images."
        )
    return (
        f"{plural(leaks.n, 'near-copy', 'near-copies')} of training images, with accuracy {percent(leaks.accuracy)}; "
        f"without them the accuracy is {percent(leaks.accuracy_without)} "
        f"({interval_text(leaks.accuracy_without_interval)})."
    )


def _print_slices(slices: tuple[SliceMetrics, ...], column: str, file: TextIO | None) -> None:
    out, column = console_for(file), printable(column)
    if not slices:
        out.print(f"\nNo slices: column {column} has fewer than two values.", soft_wrap=True)
        return
    out.print(f"\nby {column}", style="bold")
    weak = printable(", ".join(s.value for s in slices if s.weak))
    out.print(
        f"Significantly worse than the others: {weak}"
        if weak
        else "No value is significantly worse than the others.",
        soft_wrap=True,
    )
    table = plain_table()
    table.add_column(column, overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    for heading in ("accuracy", "difference to the others, points", ""):
        table.add_column(heading, no_wrap=True)
    for s in slices[:MAX_SLICES_SHOWN]:
        low, high = (100 * end for end in s.difference_interval)
        table.add_row(
            printable(s.value),
            f"{s.n:,}",
            f"{percent(s.accuracy)} ({_ends(s.accuracy_interval)})",
            f"{100 * s.difference:+.1f} ({low:+.1f} to {high:+.1f})",
            "weak" if s.weak else "",
        )
    out.print(table)
    if len(slices) > MAX_SLICES_SHOWN:
        more = plural(len(slices) - MAX_SLICES_SHOWN, "more value")
        out.print(f"{more}; --json has all.", soft_wrap=True)


def _ends(interval: Interval) -> str:
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"
