"""How much can be accepted at which precision, and the precision that is chosen where the user names none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muslin.data.dataset import Target
from muslin.evaluation.intervals import Interval
from muslin.evaluation.selective import MIN_PRECISION, CalibrationData, Guarantee, acceptance_policy, highest_precision
from muslin.messages import Message

STANDARD_PRECISIONS = (0.90, 0.95, 0.98, 0.99)
"""Precision targets among which one is chosen."""

MIN_ACCEPTED = 0.5
"""The chosen precision accepts at least this share of what the lowest accepts, because a guarantee of few predictions
saves little work: fewer errors may cost at most half of what is saved."""


@dataclass(frozen=True)
class AcceptanceRow:
    """What a model accepts of its calibration images at one precision.

    Attributes:
        precision: the target, in 0..1.
        accepted: the number of accepted predictions.
        n: the number of calibration images.
        share: `accepted` / `n`, with its 95 % interval.
        is_highest: whether no higher precision can be guaranteed, to 0.1 %.
    """

    precision: float
    accepted: int
    n: int
    share: float
    interval: Interval
    is_highest: bool = False


Acceptance = Mapping[str, tuple[AcceptanceRow, ...]]
"""Per target's name its table, rising in precision; targets without calibration data are left out."""


def acceptance_table(
    target: Target,
    calibration_data: CalibrationData,
    guarantee: Guarantee = "overall",
    label_thresholds: Sequence[float] | None = None,
) -> tuple[AcceptanceRow, ...]:
    """A row for each of STANDARD_PRECISIONS and one for the highest precision that can be guaranteed, if any can.

    Args:
        guarantee, label_thresholds: see `muslin.evaluation.selective.acceptance_policy`.
    """
    thresholds = calibration_data.label_thresholds.tolist() if label_thresholds is None else label_thresholds
    data = calibration_data.with_label_thresholds(target, thresholds)
    if data is None:
        return ()
    highest = highest_precision(target, data, guarantee)
    rows = []
    for precision in sorted({*STANDARD_PRECISIONS, *([highest] if highest >= MIN_PRECISION else [])}):
        policy = acceptance_policy(target, data, precision, guarantee, explain=False)
        counts = policy.accepted, policy.n, policy.expected_coverage, policy.coverage_interval
        rows.append(AcceptanceRow(precision, *counts, precision == highest))
    return tuple(rows)


def first_unsupported(
    target: Target, calibration_data: CalibrationData, label_thresholds: Sequence[float] | None = None
) -> Message | None:
    """Of the lowest of STANDARD_PRECISIONS that cannot be guaranteed, why not and what would help."""
    for precision in STANDARD_PRECISIONS:
        policy = acceptance_policy(target, calibration_data, precision, label_thresholds=label_thresholds)
        if policy.unsupported:
            return policy.unsupported[0]
    return None


def choose_precision(acceptance: Acceptance) -> float | None:
    """The highest of STANDARD_PRECISIONS at which at least MIN_ACCEPTED of what the lowest accepts is accepted.

    Of all targets together. The lowest where nothing is accepted; None without calibration data.
    """
    if not any(acceptance.values()):
        return None
    rows = [row for table in acceptance.values() for row in table]
    accepted = {p: sum(row.accepted for row in rows if row.precision == p) for p in STANDARD_PRECISIONS}
    most = accepted[STANDARD_PRECISIONS[0]]
    if not most:
        return STANDARD_PRECISIONS[0]
    return max(p for p in STANDARD_PRECISIONS if accepted[p] >= MIN_ACCEPTED * most)


def precision_notes(acceptance: Acceptance, precision: float) -> list[Message]:
    """A sentence per target on a precision that the user did not name."""
    notes = []
    for name, table in acceptance.items():
        for row in table:
            if row.precision == precision and not row.accepted:
                notes.append(Message("precision_chosen_none", target=name, precision=precision))
            elif row.precision == precision:
                counts: dict[str, Any] = {"accepted": row.accepted, "n": row.n, "share": row.share}
                notes.append(Message("precision_chosen", target=name, precision=precision, **counts))
    return notes


def of_products(note: Message) -> Message:
    """A note on a guarantee, or on its lack, where what it counts as images are products."""
    return _renamed(note, {"n": "products"}, {"images": "products"})


def in_products(note: Message) -> Message:
    """A note on a guarantee of images, or on its lack, where what it counts as groups are products."""
    return _renamed(note, {"groups": "in_products"}, {"groups": "in_products"})


def _renamed(note: Message, names: Mapping[str, str], hints: Mapping[str, str]) -> Message:
    """A note with other names of its parameters, and another hint."""
    params = {names.get(name, name): value for name, value in note.params.items()}
    return Message(note.code, hints.get(note.hint_code or "", note.hint_code), **params)
