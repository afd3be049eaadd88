"""How far a model may be trusted, in words and tables for the terminal."""

from typing import TextIO

from muslin.evaluation.reliability import Reliability, Slice
from muslin.evaluation.selective import LISTED
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import interval_text, percent, plural

SLICES_SHOWN = 20


def print_trust(trust: Reliability, by: str | None = None, file: TextIO | None = None) -> None:
    """Calibration, what is accepted at each precision, and, where they are there, near-copies and slices."""
    out = console_for(file)
    out.print("\nwhich answers may be taken", style="bold")
    table = plain_table()
    for heading in ("wanted", "accepted", "of them right", "to review", "list holds it", "not ours"):
        table.add_column(
            heading, justify="right" if heading in ("wanted", "accepted") else "left", no_wrap=True
        )
    for row in trust.accepted:
        accept, review, strange = row.decisions
        table.add_row(
            f"{100 * row.precision:g} %",
            percent(row.share),
            "–" if accept.accuracy is None else f"{percent(accept.accuracy)} ({_ends(accept.interval)})",
            f"{review.n:,}",
            "–" if row.listed is None else percent(row.listed),
            f"{strange.n:,}",
        )
    out.print(table)
    for asked, right in trust.short:
        out.print(f"fewer right than wanted: {percent(right)} instead of {100 * asked:g} %", soft_wrap=True)
    for sentence in dict.fromkeys(s for row in trust.accepted for s in row.unsupported):
        out.print(printable(sentence), soft_wrap=True)
    wanted = trust.at_wanted
    if wanted.list_length is not None:
        out.print(
            f"wanted {100 * trust.wanted:g} %: a short list has {wanted.list_length:.1f} classes in the mean and is "
            f"made to hold the right one {100 * LISTED:g} % of the time",
            soft_wrap=True,
        )
    out.print(_calibration(trust), soft_wrap=True)
    if trust.risk_area is not None:
        out.print(
            f"mean share wrong over all shares accepted (AURC): {percent(trust.risk_area)}", soft_wrap=True
        )
    if trust.n_groups is not None and trust.accuracy is not None:
        out.print(
            f"by whole groups ({trust.n_groups:,} of them): right on {percent(trust.accuracy)} "
            f"({interval_text(trust.interval)})",
            soft_wrap=True,
        )
    _print_leaks(trust, file)
    if trust.slices or by:
        _print_slices(trust.slices, by or "", file)


def _calibration(trust: Reliability) -> str:
    before, after = trust.before, trust.after
    if before == after:
        return (
            f"calibration error {percent(after.expected_calibration_error)}; this model was never calibrated"
        )
    return (
        f"calibration error {percent(before.expected_calibration_error)} as the network says it, "
        f"{percent(after.expected_calibration_error)} as muslin says it (Brier score {before.brier_score:.3f} and "
        f"{after.brier_score:.3f}, log loss {before.log_loss:.3f} and {after.log_loss:.3f})"
    )


def _print_leaks(trust: Reliability, file: TextIO | None) -> None:
    leaks = trust.leaks
    if leaks is None:
        return
    if not leaks.n or leaks.accuracy is None:
        said = "no image is nearly identical with a training image"
    elif leaks.without is None:
        said = "every image is nearly identical with a training image: nothing is learned from these figures"
    else:
        said = (
            f"{plural(leaks.n, 'image')} nearly identical with training images, {percent(leaks.accuracy)} of "
            f"them right; without them right on {percent(leaks.without)} ({interval_text(leaks.without_interval)})"
        )
    console_for(file).print(said, soft_wrap=True)


def _print_slices(slices: tuple[Slice, ...], by: str, file: TextIO | None) -> None:
    out = console_for(file)
    if not slices:
        out.print(f"\nby {printable(by)}: all images have the same value, or none", soft_wrap=True)
        return
    weak = [s for s in slices if s.weak]
    out.print(f"\nby {printable(by)}", style="bold")
    out.print(
        f"worse than the others, by more than chance: {printable(', '.join(s.value for s in weak))}"
        if weak
        else "no value is worse than the others by more than chance",
        soft_wrap=True,
    )
    table = plain_table()
    table.add_column(printable(by), overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("right", no_wrap=True)
    table.add_column("against the others, points", no_wrap=True)
    table.add_column("", no_wrap=True)
    for s in slices[:SLICES_SHOWN]:
        low, high = (100 * end for end in s.difference_interval)
        table.add_row(
            printable(s.value),
            f"{s.n:,}",
            f"{percent(s.accuracy)} ({_ends(s.interval)})",
            f"{100 * s.difference:+.1f} ({low:+.1f} to {high:+.1f})",
            "weak" if s.weak else "",
        )
    out.print(table)
    if len(slices) > SLICES_SHOWN:
        out.print(f"and {plural(len(slices) - SLICES_SHOWN, 'value')} more (--json has all)", soft_wrap=True)


def _ends(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"
