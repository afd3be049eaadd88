"""How far the work is, and what the random sample says."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from muslin.data.dataset import Target
from muslin.review.items import ACCEPTED, in_sample
from muslin.review.queue import queue_tallies
from muslin.review.schema import DECISIONS, ITEMS, OPEN_ITEMS, PRODUCTS, active_items
from muslin.review.values import GONE, Counts, SpotChecks, Tally, labels_of

_PHOTO_COUNTS = 1_000


def count_items(connection: Connection, target: str, spot_checks: float) -> Counts:
    """See `Counts`."""
    grouped = connection.execute(
        select(ITEMS.c.decision, ITEMS.c.value, func.count(), func.count(ITEMS.c.decided))
        .where(active_items(target))
        .group_by(ITEMS.c.decision, ITEMS.c.value)
    )
    decisions: dict[str, Tally] = {}
    values: dict[str, Tally] = {}
    for decision, value, total, decided in grouped:
        decisions[decision] = decisions.get(decision, Tally()) + Tally(total, decided)
        values[value] = values.get(value, Tally()) + Tally(total, decided)
    sample, uncertain = queue_tallies(connection, target, spot_checks)
    is_unreadable = PRODUCTS.c.error.is_not(None), PRODUCTS.c.fingerprint != GONE
    unreadable = connection.scalar(select(func.count()).select_from(PRODUCTS).where(*is_unreadable))
    prefix = _prefix(connection, target, spot_checks, sample)
    return Counts(decisions, dict(sorted(values.items())), sample + uncertain, sample, prefix, unreadable or 0)


def _prefix(connection: Connection, target: str, spot_checks: float, sample: Tally) -> int:
    in_it = (active_items(target), in_sample(spot_checks))
    first_open = connection.scalar(select(func.min(ITEMS.c.rank)).where(*in_it, OPEN_ITEMS))
    if first_open is None:
        return sample.total
    return connection.scalar(select(func.count()).where(*in_it, ITEMS.c.rank < first_open)) or 0


def read_sample(connection: Connection, target: Target, spot_checks: float, accepted_only: bool) -> SpotChecks:
    """The prefix of the random sample, of the accepted products or of all."""
    population = [active_items(target.name), *[ITEMS.c.decision == ACCEPTED] * accepted_only]
    rows = connection.execute(
        select(
            ITEMS.c.product,
            ITEMS.c.decided,
            ITEMS.c.value,
            ITEMS.c.rank,
            ITEMS.c.is_accepted,
            PRODUCTS.c.in_test,
            DECISIONS.c.kind,
            DECISIONS.c.value.label("decided_value"),
        )
        .join(PRODUCTS, PRODUCTS.c.id == ITEMS.c.product)
        .join(DECISIONS, DECISIONS.c.id == ITEMS.c.decided, isouter=True)
        .where(*population, in_sample(spot_checks))
        .order_by(ITEMS.c.rank, ITEMS.c.product)
    ).all()
    first_open = next((i for i, row in enumerate(rows) if row.decided is None), len(rows))
    prefix = rows[:first_open]
    return SpotChecks(
        products=np.array([row.product for row in prefix], np.int64),
        decisions=np.array([row.decided for row in prefix], np.int64),
        correct=np.array([_is_correct(target, row) for row in prefix], np.bool_),
        is_accepted=np.array([row.is_accepted for row in prefix], np.bool_),
        in_test=np.array([row.in_test for row in prefix], np.bool_),
        kinds=tuple(row.kind for row in prefix),
        population=connection.scalar(select(func.count()).select_from(ITEMS).where(*population)) or 0,
        size=len(rows),
    )


def _is_correct(target: Target, row: Any) -> bool:
    if row.kind != "value" or target.kind == "multiclass":
        return bool(row.kind == "value" and row.decided_value == row.value)
    predicted, decided = labels_of(target, row.value), labels_of(target, row.decided_value)
    if not predicted:
        return not decided
    drawn = predicted[int(row.rank * 2**53) % len(predicted)]  # the last bits of the rank, which no order goes by
    return drawn in decided


def read_confidences(connection: Connection, target: str) -> NDArray[np.float64]:
    """See `Store.confidences`."""
    rows = connection.scalars(select(ITEMS.c.probability).where(active_items(target)))
    return np.fromiter(rows, np.float64)


def mean_photos(connection: Connection) -> float:
    """See `Store.photos_per_product`. Those with the lowest ranks are drawn at random."""
    readable = select(PRODUCTS.c.photos).where(PRODUCTS.c.error.is_(None))
    photos = connection.scalars(readable.order_by(PRODUCTS.c.rank).limit(_PHOTO_COUNTS)).all()
    return sum(map(len, photos)) / len(photos) if photos else 1.0
