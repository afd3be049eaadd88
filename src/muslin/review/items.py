"""The table `items`, which follows from predictions and decisions, and its rows as `Item` values."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, false, insert, select, update

from muslin.evaluation.selective import ACCEPT, DECISIONS
from muslin.review.migrations import CURRENT
from muslin.review.schema import ITEMS, MODELS, PREDICTIONS, PRODUCTS, active_items
from muslin.review.values import Decided, Item

ACCEPTED = DECISIONS[ACCEPT]


def make_items(connection: Connection, products: Sequence[int], digest: str | None = None) -> None:
    """Write the rows of these products anew from the predictions of all models, or of the model `digest`."""
    which, of_model = ITEMS.c.product.in_(products), select(MODELS.c.number).where(MODELS.c.digest == digest)
    if digest is None:
        connection.execute(delete(ITEMS).where(which))
        _insert_items(connection, PRODUCTS.c.id.in_(products))
    else:
        connection.execute(delete(ITEMS).where(which, ITEMS.c.model == of_model.scalar_subquery()))
        _insert_items(connection, PRODUCTS.c.id.in_(products), PREDICTIONS.c.digest == digest)


def _insert_items(connection: Connection, *which: ColumnElement[bool]) -> None:
    counting = and_(
        CURRENT.c.product == PREDICTIONS.c.product,
        CURRENT.c.target == PREDICTIONS.c.target,
        CURRENT.c.fingerprint == PREDICTIONS.c.fingerprint,
    )
    decided = select(CURRENT.c.id).where(counting).scalar_subquery()
    rows = (
        select(
            PREDICTIONS.c.product,
            PREDICTIONS.c.target,
            MODELS.c.number,
            PREDICTIONS.c.value,
            PREDICTIONS.c.probability,
            PREDICTIONS.c.decision,
            PREDICTIONS.c.decision == ACCEPTED,
            PRODUCTS.c.rank,
            decided,
        )
        .select_from(PREDICTIONS)
        .join(PRODUCTS, PRODUCTS.c.id == PREDICTIONS.c.product)
        .join(MODELS, MODELS.c.digest == PREDICTIONS.c.digest)
        .where(PREDICTIONS.c.fingerprint == PRODUCTS.c.fingerprint, PRODUCTS.c.error.is_(None), *which)
    )
    connection.execute(insert(ITEMS).from_select([column.name for column in ITEMS.c], rows))


def update_items(connection: Connection, products: Sequence[int], target: str) -> None:
    """Let the rows of these products, of every model, say which decision counts now."""
    counting = (
        select(CURRENT.c.id)
        .join(PRODUCTS, PRODUCTS.c.id == CURRENT.c.product)
        .where(CURRENT.c.product == ITEMS.c.product, CURRENT.c.target == ITEMS.c.target)
        .where(CURRENT.c.fingerprint == PRODUCTS.c.fingerprint)
    )
    here = and_(ITEMS.c.product.in_(products), ITEMS.c.target == target)
    connection.execute(update(ITEMS).where(here).values(decided=counting.scalar_subquery()))


NOT_ACCEPTED = ITEMS.c.is_accepted == false()
"""Not `IS FALSE`, for which databases use no index."""


def in_sample(spot_checks: float) -> ColumnElement[bool]:
    """Whether an item is in the random sample."""
    return ITEMS.c.rank < spot_checks


def not_in_sample(spot_checks: float) -> ColumnElement[bool]:
    """Whether an item is not in the random sample. The sum keeps SQLite from searching by rank, where most match."""
    return ITEMS.c.rank + 0.0 >= spot_checks


def drawn_of(rank: float, is_accepted: bool, spot_checks: float) -> str:
    """Why a person is asked about an item, of `muslin.review.values.DRAWN`."""
    if rank < spot_checks:
        return "spot_check" if is_accepted else "random"
    return "asked" if is_accepted else "uncertain"


def decided_of(row: Any, **more: Any) -> Decided:
    """A row of `decisions` or `current_decisions`, read with all its columns."""
    return Decided(
        id=row.id,
        product=row.product,
        target=row.target,
        kind=row.kind,
        value=row.value,
        note=row.note,
        who=row.who,
        at=row.at,
        fingerprint=row.fingerprint,
        digest=row.digest,
        drawn=row.drawn,
        seconds=row.seconds,
        undoes=row.undoes,
        **more,
    )


def current_decisions(connection: Connection, target: str, products: Sequence[int]) -> dict[int, dict[str, Decided]]:
    """Per product, and per fingerprint with which it was shown, the last decision that nobody has undone.

    Those of a product are in the order in which they were made.
    """
    here = CURRENT.c.target == target, CURRENT.c.product.in_(products)
    found: dict[int, dict[str, Decided]] = {}
    for row in connection.execute(select(CURRENT).where(*here).order_by(CURRENT.c.id)):
        found.setdefault(row.product, {})[row.fingerprint] = decided_of(row)
    return found


def read_items(
    connection: Connection, target: str, products: Sequence[int], digest: str, spot_checks: float
) -> list[Item]:
    """The items of these products, in this order; products without a prediction are left out."""
    rows = connection.execute(
        select(
            ITEMS, PRODUCTS.c.name, PRODUCTS.c.photos, PRODUCTS.c.text, PRODUCTS.c.fingerprint, PREDICTIONS.c.candidates
        )
        .join(PRODUCTS, PRODUCTS.c.id == ITEMS.c.product)
        .join(
            PREDICTIONS,
            and_(
                PREDICTIONS.c.product == ITEMS.c.product,
                PREDICTIONS.c.target == ITEMS.c.target,
                PREDICTIONS.c.digest == digest,
            ),
        )
        .where(active_items(target), ITEMS.c.product.in_(products))
    )
    decided = current_decisions(connection, target, products)
    found = {row.product: _item_of(row, digest, spot_checks, decided.get(row.product, {})) for row in rows}
    return [found[product] for product in products if product in found]


def _item_of(row: Any, digest: str, spot_checks: float, of_fingerprints: Mapping[str, Decided]) -> Item:
    decided = of_fingerprints.get(row.fingerprint) or next(iter(list(of_fingerprints.values())[::-1]), None)
    return Item(
        product=row.product,
        name=row.name,
        target=row.target,
        photos=tuple(row.photos),
        text=row.text,
        fingerprint=row.fingerprint,
        digest=digest,
        value=row.value,
        probability=row.probability,
        decision=row.decision,
        candidates=tuple(row.candidates),
        drawn=drawn_of(row.rank, row.is_accepted, spot_checks),
        decided=decided,
        has_changed=decided is not None and decided.fingerprint != row.fingerprint,
    )
