"""A candidate of a review store beside the active model, as sentences for the terminal."""

from collections.abc import Sequence
from typing import TextIO

from muslin.evaluation.compare import PairedDifference
from muslin.evaluation.promotion import AcceptedPrecision, PromotionCheck
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import interval_text, number_text, percent, plural

DIGEST_SHOWN = 12
"""Letters of a digest that people need to tell models apart."""


def print_candidate(store: str, digest: str, file: TextIO | None = None) -> None:
    """Print how the candidate is called, and how it is promoted."""
    short = digest[:DIGEST_SHOWN]
    print_lines(console_for(file), "", f"candidate {short}", f"next: muslin review promote {store} {short}")


def print_promotion(
    checks: Sequence[PromotionCheck], candidate: str, predicted: int | None, file: TextIO | None = None
) -> None:
    """Print per target both models on the sealed test part; and that the candidate is active now.

    Args:
        predicted: products that were predicted with it before; None where it was not promoted.
    """
    console = console_for(file)
    for check in checks:
        name = f"{check.target}: " if len(checks) > 1 else ""
        loss, precision = number_text(100 * check.margin, ".3g"), percent(check.precision_target)
        print_lines(
            console,
            f"{name}{plural(check.n, 'product')} of the sealed test part, at {precision} precision; 95 % intervals",
            f"allowed: a loss of {loss} points",
        )
        print_table(
            console,
            "frrr",
            ("", "active", "candidate", "points"),
            [("correct", *_shares(check.accuracy)), ("accepted, correct", *_shares(check.useful))],
        )
        of_models = (("active", check.active), ("candidate", check.candidate))
        print_lines(
            console, *(f"precision of what the {which} model accepts: {_precision(a)}" for which, a in of_models)
        )
    if predicted is not None:
        print_lines(console, f"{candidate[:DIGEST_SHOWN]} is active; {plural(predicted, 'product')} predicted with it")


def print_undone(digest: str, file: TextIO | None = None) -> None:
    """Print which model is active again."""
    print_lines(console_for(file), f"{digest[:DIGEST_SHOWN]} is active again")


def _shares(paired: PairedDifference) -> tuple[str, str, str]:
    active, candidate = (n + paired.both_correct for n in (paired.only_a_correct, paired.only_b_correct))
    difference, low, high = (number_text(100 * each, "+.1f") for each in (paired.difference, *paired.interval))
    return percent(active / paired.n), percent(candidate / paired.n), f"{difference} ({low} to {high})"


def _precision(accepted: AcceptedPrecision) -> str:
    if not accepted.accepted:
        return "nothing accepted"
    return f"{percent(accepted.correct / accepted.accepted)} ({interval_text(accepted.interval)})"
