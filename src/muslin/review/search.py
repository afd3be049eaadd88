"""The search over items: filters, order and a page of the result."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, false, or_, select, true

from muslin.data.dataset import Target
from muslin.errors import DataError, unknown
from muslin.review.items import in_sample
from muslin.review.migrations import CURRENT
from muslin.review.schema import DECISIONS, ITEMS, OPEN_ITEMS, PRODUCTS, active_items, searchable
from muslin.review.values import DRAWN, STATES, Filters, label_set

_NAMED = PRODUCTS.alias("named")
_ORDERS: dict[str, tuple[Any, ...]] = {
    "confidence": (ITEMS.c.probability,),
    "-confidence": (ITEMS.c.probability.desc(),),
    "name": (_NAMED.c.name,),
    "-name": (_NAMED.c.name.desc(),),
    "date": (ITEMS.c.decided.nulls_last(),),
    "-date": (ITEMS.c.decided.desc().nulls_last(),),
    "added": (),
}
"""A row for each of `muslin.review.values.SORTS`."""


def found_products(
    connection: Connection, target: str, filters: Filters, sort: str, start: int, count: int, spot_checks: float
) -> list[int]:
    """The products of a page of the search."""
    query, last = select(ITEMS.c.product), ITEMS.c.product
    query = query.where(active_items(target), *conditions(filters, spot_checks))
    if sort in ("name", "-name"):  # from name to name, because sorting all of 200,000 takes ten times as long
        is_found = query.where(ITEMS.c.product == _NAMED.c.id).exists()
        query, last = select(_NAMED.c.id).where(is_found), _NAMED.c.id
    ordered = query.order_by(*_ORDERS[sort], last).offset(start).limit(count)
    return list(connection.scalars(ordered))


def in_any_order(connection: Connection, target: Target, filters: Filters) -> Filters:
    """The filters with each way in which a decided value is written: labels are in the order that the classes had."""
    if target.kind == "multiclass" or not filters.decided_values:
        return filters
    wanted = {label_set(target, value) for value in filters.decided_values}
    written = select(DECISIONS.c.value).where(DECISIONS.c.target == target.name, DECISIONS.c.value.is_not(None))
    found = [value for value in connection.scalars(written.distinct()) if label_set(target, value) in wanted]
    return replace(filters, decided_values=(*filters.decided_values, *found))


def conditions(filters: Filters, spot_checks: float) -> list[ColumnElement[bool]]:
    """What the filters ask of `items`.

    Raises:
        DataError: an unknown state or reason.
    """
    among = {ITEMS.c.value: filters.values, ITEMS.c.decision: filters.decisions}
    wanted: list[ColumnElement[bool]] = [column.in_(values) for column, values in among.items() if values]
    if filters.min_confidence is not None:
        wanted.append(ITEMS.c.probability >= filters.min_confidence)
    if filters.max_confidence is not None:
        wanted.append(ITEMS.c.probability <= filters.max_confidence)
    if of_decision := _of_decision(filters):
        wanted.append(ITEMS.c.decided.in_(select(DECISIONS.c.id).where(*of_decision)))
    if of_product := _of_product(filters):
        wanted.append(ITEMS.c.product.in_(select(PRODUCTS.c.id).where(*of_product)))
    if filters.state is not None:
        wanted.append(_in_state(filters.state))
    if filters.drawn:
        wanted.append(or_(*(_is_drawn(name, spot_checks) for name in filters.drawn)))
    return wanted


def _of_decision(filters: Filters) -> list[ColumnElement[bool]]:
    among = {DECISIONS.c.kind: filters.kinds, DECISIONS.c.value: filters.decided_values, DECISIONS.c.who: filters.who}
    wanted: list[ColumnElement[bool]] = [column.in_(values) for column, values in among.items() if values]
    if filters.since is not None:
        wanted.append(DECISIONS.c.at >= filters.since)
    if filters.until is not None:
        wanted.append(DECISIONS.c.at < filters.until)
    return wanted


def _of_product(filters: Filters) -> list[ColumnElement[bool]]:
    wanted = []
    if filters.catalogue is not None:
        wanted.append(PRODUCTS.c.catalogue == filters.catalogue)
    if filters.text is not None:
        wanted.append(PRODUCTS.c.search.contains(searchable(filters.text), autoescape=True))
    return wanted


def _in_state(state: str) -> ColumnElement[bool]:
    if state not in STATES:
        raise DataError("review_filter_unknown", **unknown(state, STATES))
    before = select(CURRENT.c.id).where(CURRENT.c.product == ITEMS.c.product, CURRENT.c.target == ITEMS.c.target)
    return {"open": OPEN_ITEMS, "decided": ~OPEN_ITEMS, "changed": and_(OPEN_ITEMS, before.exists())}[state]


def _is_drawn(name: str, spot_checks: float) -> ColumnElement[bool]:
    if name not in DRAWN:
        raise DataError("review_filter_unknown", **unknown(name, DRAWN))
    is_random = name in ("spot_check", "random")
    is_accepted = name in ("spot_check", "asked")
    sample = in_sample(spot_checks)
    return and_(sample if is_random else ~sample, ITEMS.c.is_accepted == (true() if is_accepted else false()))
