"""The queue: which items a person gets next. `next_products` is where to start reading.

Two kinds of items are asked for: the random sample, in the order of rank, and what the model does not accept, the
least confident first. A page shows one predicted value, with as many of the sample as its share of what is left. What
comes first in the kind that is behind chooses the value, so both kinds end at about the same time. The sample is as
far as it is decided without a gap, because statistics use no more of it: its front is never passed over for long.
"""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, insert, or_, select

from muslin.evaluation.selective import DECISIONS
from muslin.review.items import ACCEPTED, NOT_ACCEPTED, in_sample, not_in_sample
from muslin.review.schema import ITEMS, LOCKS, OPEN_ITEMS, active_items
from muslin.review.search import conditions
from muslin.review.values import Filters, Tally

LOCK_S = 600.0
"""How long a person has an item on their page before it is given out again."""

WINDOW_PAGES = 8
"""Pages of the random sample from which a page of one value is filled."""

_IS_LOCKED = exists().where(LOCKS.c.product == ITEMS.c.product, LOCKS.c.target == ITEMS.c.target)


def next_products(
    connection: Connection, target: str, who: str, page: str, count: int, filters: Filters, spot_checks: float
) -> list[int]:
    """Lock the next items for a person, and return their products, the least confident first."""
    now = time.time()
    remove_expired(connection, now)
    wanted = [active_items(target), OPEN_ITEMS, ~_IS_LOCKED, *conditions(filters, spot_checks)]
    sample = _select().where(*wanted, in_sample(spot_checks)).order_by(ITEMS.c.rank, ITEMS.c.product)
    uncertain = _select().where(*wanted, not_in_sample(spot_checks), NOT_ACCEPTED)
    uncertain = uncertain.order_by(ITEMS.c.probability, ITEMS.c.product)
    tallies = queue_tallies(connection, target, spot_checks)
    rows = _page(connection, sample, uncertain, tallies, count, spot_checks)
    rows.sort(key=lambda row: (row.probability, row.product))
    products = [int(row.product) for row in rows]
    if products:
        expires = now + LOCK_S
        locks = [{"product": i, "target": target, "who": who, "page": page, "expires": expires} for i in products]
        connection.execute(insert(LOCKS), locks)
    return products


def _select() -> Select[Any]:
    return select(ITEMS.c.product, ITEMS.c.value, ITEMS.c.probability, ITEMS.c.rank)


def _page(
    connection: Connection, sample: Select[Any], uncertain: Select[Any], tallies: tuple[Tally, Tally], count: int,
    spot_checks: float,
) -> list[Any]:  # fmt: skip
    fronts = [connection.execute(query.limit(1)).one_or_none() for query in (sample, uncertain)]
    of_sample, of_rest = tallies
    # ranks are uniform below `spot_checks`: that of the front says how much is decided without a gap, which counts
    if fronts[0] is not None and fronts[0].rank / spot_checks > _done(of_rest):
        fronts.reverse()
    front = next((front for front in fronts if front is not None), None)
    if front is None:
        return []
    is_value = ITEMS.c.value == front.value
    rest = list(connection.execute(uncertain.where(is_value).limit(count)))
    window = sample.limit(WINDOW_PAGES * count).subquery()
    drawn = list(connection.execute(select(window).where(window.c.value == front.value).limit(count)))
    share = of_sample.left / max(of_sample.left + of_rest.left, 1)
    n_drawn = max(min(len(drawn), max(round(count * share), 1)), min(len(drawn), count - len(rest)))
    return [*drawn[:n_drawn], *rest[: count - n_drawn]]


def _done(tally: Tally) -> float:
    return tally.decided / tally.total if tally.total else 1.0


def queue_tallies(connection: Connection, target: str, spot_checks: float) -> tuple[Tally, Tally]:
    """How much of the random sample, and of what else the model does not accept, is decided."""
    tallies = select(func.count(), func.count(ITEMS.c.decided)).where(active_items(target))

    def tally(*which: ColumnElement[bool]) -> Tally:
        return Tally(*connection.execute(tallies.where(*which)).one())

    sample, in_both = tally(in_sample(spot_checks)), tally(in_sample(spot_checks), NOT_ACCEPTED)
    uncertain = tally(ITEMS.c.decision.in_(set(DECISIONS) - {ACCEPTED}))  # an index has the decision
    return sample, Tally(uncertain.total - in_both.total, uncertain.decided - in_both.decided)


def remove_expired(connection: Connection, now: float) -> None:
    """Remove locks that are over. One that ends later than a new one would is from a clock that was set back."""
    connection.execute(delete(LOCKS).where(or_(LOCKS.c.expires <= now, LOCKS.c.expires > now + LOCK_S)))


def release(connection: Connection, who: str, page: str | None, products: Sequence[int] | None) -> None:
    """Give back what a person has: all of it, that of one page, or these products."""
    which = [LOCKS.c.who == who]
    if page is not None:
        which.append(LOCKS.c.page == page)
    if products is not None:
        which.append(LOCKS.c.product.in_(products))
    connection.execute(delete(LOCKS).where(and_(*which)))
