"""Decisions: appended, never changed; undone by another row; the same request twice is one decision."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, insert, select

from muslin.errors import DataError
from muslin.review.clock import now_text
from muslin.review.items import decided_of, drawn_of, update_item
from muslin.review.schema import DECISIONS, ITEMS, LOCKS, PRODUCTS
from muslin.review.values import Conflict, Decided, NewDecision, Receipt

_UNDO = DECISIONS.alias("undo")
_IS_UNDONE = exists().where(_UNDO.c.undoes == DECISIONS.c.id)


def add_decision(connection: Connection, new: NewDecision, who: str, spot_checks: float) -> Receipt:
    """Append a decision, unless its request is there already.

    Raises:
        DataError: no such product, or the request was one for another product or target.
    """
    product = connection.execute(
        select(PRODUCTS.c.fingerprint, PRODUCTS.c.rank, ITEMS.c.is_accepted)
        .join(ITEMS, and_(ITEMS.c.product == PRODUCTS.c.id, ITEMS.c.target == new.target), isouter=True)
        .where(PRODUCTS.c.id == new.product)
    ).one_or_none()
    if product is None:
        raise DataError("review_product_missing", product=new.product)
    known = _with_request(connection, new.request, (new.product, new.target, new.kind, new.value))
    number = known.id if known else _append(connection, new, who, _drawn(product, spot_checks))
    earlier = _before(connection, new, number)
    if not known:
        update_item(connection, new.product, new.target)
        _release(connection, new.product, new.target)
    return Receipt(
        id=number,
        is_repeated=known is not None,
        earlier=None if earlier is None or earlier.id == new.after else earlier,
        has_changed=product.fingerprint != new.fingerprint,
    )


def _drawn(product: Any, spot_checks: float) -> str:
    if product.is_accepted is None:  # no photo of it can be read, so it is in no sample
        return "asked"
    return drawn_of(product.rank, product.is_accepted, spot_checks)


def _with_request(connection: Connection, request: str, expected: tuple[object, ...]) -> Any:
    """The decision that came with this request before."""
    row = connection.execute(select(DECISIONS).where(DECISIONS.c.request == request)).one_or_none()
    if row is not None and (row.product, row.target, row.kind, row.value) != expected:
        raise DataError("review_request_reused", request=request)
    return row


def _append(connection: Connection, new: NewDecision, who: str, drawn: str) -> int:
    row = {
        "product": new.product,
        "target": new.target,
        "kind": new.kind,
        "value": new.value,
        "note": new.note,
        "who": who,
        "at": min(new.at or now_text(), now_text()),
        "seconds": new.seconds,
        "digest": new.digest,
        "fingerprint": new.fingerprint,
        "drawn": drawn,
        "shown": dict(new.shown),
        "request": new.request,
    }
    return int(connection.execute(insert(DECISIONS).values(row).returning(DECISIONS.c.id)).scalar_one())


def _before(connection: Connection, new: NewDecision, number: int) -> Decided | None:
    """The decision that counted before this one."""
    row = connection.execute(
        select(DECISIONS)
        .where(DECISIONS.c.product == new.product, DECISIONS.c.target == new.target, DECISIONS.c.id < number)
        .where(DECISIONS.c.kind != "undo", ~_IS_UNDONE)
        .order_by(DECISIONS.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else decided_of(row)


def _release(connection: Connection, product: int, target: str) -> None:
    connection.execute(delete(LOCKS).where(LOCKS.c.product == product, LOCKS.c.target == target))


def undo_decision(connection: Connection, number: int, who: str, request: str) -> Receipt:
    """Append a row that says that a decision does not count. What counted before it counts again.

    Raises:
        DataError: no such decision.
    """
    row = connection.execute(select(DECISIONS).where(DECISIONS.c.id == number)).one_or_none()
    if row is None or row.kind == "undo":
        raise DataError("review_decision_missing", decision=number)
    _with_request(connection, request, (row.product, row.target, "undo", None))
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
    update_item(connection, row.product, row.target)
    return receipt


def history(connection: Connection, product: int, target: str) -> list[Decided]:
    """All decisions on an item, undone ones and undos too, the first one first."""
    rows = connection.execute(
        select(DECISIONS, _IS_UNDONE.label("is_undone"))
        .where(DECISIONS.c.product == product, DECISIONS.c.target == target)
        .order_by(DECISIONS.c.id)
    )
    return [decided_of(row, is_undone=bool(row.is_undone)) for row in rows]


def conflicts(connection: Connection, target: str) -> list[Conflict]:
    """Products on which the last decisions of people differ, for the product as it is now."""
    counting = (DECISIONS.c.target == target, DECISIONS.c.kind != "undo", ~_IS_UNDONE)
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
        if len({(decided.kind, decided.value) for decided in of_people.values()}) > 1
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
