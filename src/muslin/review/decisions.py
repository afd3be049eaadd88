"""Decisions: appended, never changed; undone by another row; the same request twice is one decision."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, insert, select

from muslin.data.dataset import Target
from muslin.errors import DataError, unknown
from muslin.review.clock import now_text
from muslin.review.database import Database
from muslin.review.items import current_decisions, decided_of, drawn_of, update_items
from muslin.review.schema import DECISIONS, ITEMS, LOCKS, PRODUCTS, active_items
from muslin.review.settings import find_target
from muslin.review.values import (
    DECIDED_KINDS,
    Conflict,
    Decided,
    NewDecision,
    Receipt,
    label_set,
    labels_of,
    refused_at,
    value_of,
)

PART = 500
"""Decisions that are added at once."""

_UNDO = DECISIONS.alias("undo")
_IS_UNDONE = exists().where(_UNDO.c.undoes == DECISIONS.c.id)


def check_decision(new: NewDecision, target: Target, classes: tuple[str, ...]) -> None:
    """
    Raises:
        DataError: an unknown kind or value, or one without the other.
    """
    if new.kind not in DECIDED_KINDS:
        raise DataError("review_kind_unknown", **unknown(new.kind, DECIDED_KINDS))
    if (new.kind == "value") != (new.value is not None) or not new.request:
        raise DataError("review_decision_incomplete", product=new.product)
    if new.value is not None:
        try:
            is_written_so = value_of(target, labels_of(target, new.value), classes[len(target.classes) :]) == new.value
        except (ValueError, TypeError):
            is_written_so = False
        if not is_written_so:
            raise DataError("review_value_unknown", **unknown(new.value, classes), target=target.name)


def add_decisions(connection: Connection, new: Sequence[NewDecision], who: str, spot_checks: float) -> list[Receipt]:
    """Append decisions, except those whose request is there already.

    Raises:
        DataError: no such product, or a request was one for another decision; `index` says of which.
    """
    receipts: list[Receipt] = []
    for part in _parts(new):
        receipts += _add_part(connection, part, len(receipts), who, spot_checks)
    return receipts


def _parts(new: Sequence[NewDecision]) -> Iterator[list[NewDecision]]:
    """Runs of decisions in which no item and no request comes twice, so that each can be added at once."""
    part: list[NewDecision] = []
    seen: set[object] = set()
    for decision in new:
        keys = {decision.request, _item_of(decision)}
        if keys & seen or len(part) == PART:
            yield part
            part, seen = [], set()
        part.append(decision)
        seen |= keys
    if part:
        yield part


def _item_of(row: Any) -> tuple[int, str]:
    return row.product, row.target


def _add_part(
    connection: Connection, part: list[NewDecision], start: int, who: str, spot_checks: float
) -> list[Receipt]:
    """Append a part of the decisions, whose first one has the index `start` among all."""
    targets = {decision.target: [d.product for d in part if d.target == decision.target] for decision in part}
    found = {target: _products(connection, target, products) for target, products in targets.items()}
    current = {target: current_decisions(connection, target, products) for target, products in targets.items()}
    for index, decision in enumerate(part, start):
        if decision.product not in found[decision.target]:
            raise DataError("review_product_missing", product=decision.product, index=index)
    known = _with_requests(connection, part, start, who)
    fresh = [decision for decision in part if decision.request not in known]
    numbers = {request: row.id for request, row in known.items()}
    if fresh:
        drawn = [_drawn(found[decision.target][decision.product], spot_checks) for decision in fresh]
        numbers |= _append(connection, fresh, drawn, who)
        for target, products in targets.items():
            update_items(connection, products, target)
            connection.execute(delete(LOCKS).where(LOCKS.c.target == target, LOCKS.c.product.in_(products)))
    receipts = []
    for decision in part:
        is_repeated = decision.request in known
        number = numbers[decision.request]
        earlier = current[decision.target].get(decision.product, {}).get(decision.fingerprint)
        if is_repeated:
            earlier = _before(connection, known[decision.request])
        is_unseen = earlier is not None and earlier.id != decision.after
        has_changed = found[decision.target][decision.product].fingerprint != decision.fingerprint
        receipts.append(Receipt(number, is_repeated, earlier if is_unseen else None, has_changed))
    return receipts


def _products(connection: Connection, target: str, products: Sequence[int]) -> dict[int, Any]:
    """Per product its fingerprint, its rank, and whether the active model accepts its prediction."""
    rows = connection.execute(
        select(PRODUCTS.c.id, PRODUCTS.c.fingerprint, PRODUCTS.c.rank, ITEMS.c.is_accepted)
        .select_from(PRODUCTS)
        .join(ITEMS, and_(ITEMS.c.product == PRODUCTS.c.id, active_items(target)), isouter=True)
        .where(PRODUCTS.c.id.in_(products))
    )
    return {row.id: row for row in rows}


def _drawn(product: Any, spot_checks: float) -> str:
    if product.is_accepted is None:  # no photo of it can be read, so it is in no sample
        return "asked"
    return drawn_of(product.rank, product.is_accepted, spot_checks)


def _with_requests(connection: Connection, part: Sequence[NewDecision], start: int, who: str) -> dict[str, Any]:
    """Per request that was there before, the row of its decision."""
    requests = [decision.request for decision in part]
    rows = connection.execute(select(DECISIONS).where(DECISIONS.c.request.in_(requests)))
    known = {row.request: row for row in rows}
    targets = {name: find_target(connection, name) for name in {new.target for new in part if new.request in known}}
    for index, new in enumerate(part, start):
        if new.request in known:
            with refused_at(index):
                row, target = known[new.request], targets[new.target]
                _check_same(row, (new.product, new.target, new.kind, None))
                is_same_value = label_set(target, row.value) == label_set(target, new.value)
                if not is_same_value or (row.note, row.who) != (new.note, who):
                    raise DataError("review_request_reused", request=row.request)
    return known


def _check_same(row: Any, expected: tuple[object, ...]) -> None:
    if (row.product, row.target, row.kind, row.undoes) != expected:
        raise DataError("review_request_reused", request=row.request)


def _append(connection: Connection, new: Sequence[NewDecision], drawn: Sequence[str], who: str) -> dict[str, int]:
    """Add the rows, and return their ids by their requests."""
    now = now_text()
    rows = [
        {
            "product": decision.product,
            "target": decision.target,
            "kind": decision.kind,
            "value": decision.value,
            "note": decision.note,
            "who": who,
            "at": min(decision.at or now, now),
            "seconds": decision.seconds,
            "digest": decision.digest,
            "fingerprint": decision.fingerprint,
            "drawn": why,
            "shown": dict(decision.shown),
            "request": decision.request,
        }
        for decision, why in zip(new, drawn, strict=True)
    ]
    added = insert(DECISIONS).returning(DECISIONS.c.request, DECISIONS.c.id, sort_by_parameter_order=True)
    return {row.request: row.id for row in connection.execute(added, rows)}


def _before(connection: Connection, decided: Any) -> Decided | None:
    """The decision in place of which that of a row counts, if its product was shown with the same photos."""
    row = connection.execute(
        select(DECISIONS)
        .where(DECISIONS.c.product == decided.product, DECISIONS.c.target == decided.target)
        .where(DECISIONS.c.fingerprint == decided.fingerprint, DECISIONS.c.id < decided.id)
        .where(DECISIONS.c.kind != "undo", ~_IS_UNDONE)
        .order_by(DECISIONS.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else decided_of(row)


def undo_decision(connection: Connection, number: int, who: str, request: str) -> Receipt:
    """Append a row that says that a decision does not count. What counted before it counts again.

    Raises:
        DataError: no such decision.
    """
    row = connection.execute(select(DECISIONS).where(DECISIONS.c.id == number)).one_or_none()
    if row is None or row.kind == "undo":
        raise DataError("review_decision_missing", decision=number)
    known = connection.execute(select(DECISIONS).where(DECISIONS.c.request == request)).one_or_none()
    if known is not None:
        _check_same(known, (row.product, row.target, "undo", number))
    done = connection.scalar(select(DECISIONS.c.id).where(DECISIONS.c.undoes == number).limit(1))
    if done is not None:
        return Receipt(done, is_repeated=True)
    added = insert(DECISIONS).values(
        product=row.product,
        target=row.target,
        kind="undo",
        value=None,
        undoes=number,
        note="",
        who=who,
        at=now_text(),
        digest=row.digest,
        fingerprint=row.fingerprint,
        drawn=row.drawn,
        shown={},
        request=request,
    )
    receipt = Receipt(int(connection.execute(added.returning(DECISIONS.c.id)).scalar_one()))
    update_items(connection, [row.product], row.target)
    return receipt


def history(connection: Connection, product: int, target: str) -> list[Decided]:
    """All decisions on an item, undone ones and undos too, the first one first."""
    rows = connection.execute(
        select(DECISIONS, _IS_UNDONE.label("is_undone"))
        .where(DECISIONS.c.product == product, DECISIONS.c.target == target)
        .order_by(DECISIONS.c.id)
    )
    return [decided_of(row, is_undone=bool(row.is_undone)) for row in rows]


def read_decided(database: Database, target: str) -> Iterator[Decided]:
    """The decisions that count for products as they are now. No transaction is open between two of them."""
    last = 0
    while True:
        query = (
            select(DECISIONS)
            .join(ITEMS, ITEMS.c.decided == DECISIONS.c.id)
            .where(active_items(target), ITEMS.c.product > last, ITEMS.c.decided.is_not(None))
            .order_by(ITEMS.c.product)
            .limit(PART)
        )
        with database.reading() as connection:
            found = [decided_of(row) for row in connection.execute(query)]
        yield from found
        if not found:
            return
        last = found[-1].product


def conflicts(connection: Connection, target: Target) -> list[Conflict]:
    """Products on which the last decisions of people differ, for the product as it is now."""
    counting = (DECISIONS.c.target == target.name, DECISIONS.c.kind != "undo", ~_IS_UNDONE)
    several = (
        select(DECISIONS.c.product).where(*counting).group_by(DECISIONS.c.product)
        .having(func.count(DECISIONS.c.who.distinct()) > 1)
    )  # fmt: skip
    rows = connection.execute(
        select(DECISIONS, PRODUCTS.c.name)
        .join(PRODUCTS, PRODUCTS.c.id == DECISIONS.c.product)
        .where(*counting, DECISIONS.c.product.in_(several), DECISIONS.c.fingerprint == PRODUCTS.c.fingerprint)
        .order_by(DECISIONS.c.id)
    )
    last: dict[int, dict[str, Decided]] = {}
    names: dict[int, str] = {}
    for row in rows:
        last.setdefault(row.product, {})[row.who] = decided_of(row)
        names[row.product] = row.name
    return [
        Conflict(product, names[product], tuple(sorted(of_people.values(), key=lambda decided: decided.id)))
        for product, of_people in last.items()
        if len({(decided.kind, label_set(target, decided.value)) for decided in of_people.values()}) > 1
    ]


def last_seconds(connection: Connection, who: str, count: int) -> Sequence[float]:
    """The seconds of a person's last decisions that have some."""
    rows = connection.scalars(
        select(DECISIONS.c.seconds)
        .where(DECISIONS.c.who == who, DECISIONS.c.seconds.is_not(None))
        .order_by(DECISIONS.c.id.desc())
        .limit(count)
    )
    return list(rows)
