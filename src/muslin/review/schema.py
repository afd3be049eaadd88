"""The tables of a review store, in SQLite and in PostgreSQL.

Decisions and promotions are appended and never changed. What counts is in the view `current_decisions`, which
`muslin.review.migrations` makes; the table `items` follows from it and from the predictions of the models, so that
pages and counts need no search. A value is text: a class for a multiclass target; for a multilabel target a JSON array
of its labels in the target's order, as `muslin.review.values.value_of` writes it. Times are UTC, as ISO 8601 texts.
"""

import json
import re
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DontWrapMixin

from muslin.evaluation.selective import DECISIONS as TRIAGE
from muslin.review.values import DRAWN, KINDS, PROMOTION_KINDS

METADATA = MetaData()


class AnyText(TypeDecorator[str]):
    """Text of any kind. Databases refuse NUL, and the lone surrogates that stand in Python for bytes of a file name
    that are not UTF-8. A text with such characters, or that begins with the mark, is written as JSON behind a mark.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return _MARK + json.dumps(value) if value is not None and _ODD.search(value) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return str(json.loads(value[1:])) if value is not None and value.startswith(_MARK) else value


class TooLongError(ValueError, DontWrapMixin):
    """A text that is too long for an index of PostgreSQL. `Database` makes a DataError of it.

    Attributes:
        start: how it begins.
        size: in bytes.
        limit: what it may have.
    """

    def __init__(self, start: str, size: int, limit: int) -> None:
        super().__init__(start)
        self.start, self.size, self.limit = start, size, limit


class KeyText(AnyText):
    """Text that is searched or compared, so that it is in an index. PostgreSQL's B-tree takes rows of a third of its
    page of 8 KiB, 2,704 bytes, for all columns of an index together; SQLite has the same limit here, so that a store
    can move from the one to the other.

    Args:
        limit: in bytes, as it is written.

    Raises:
        TooLongError: what is written is longer.
    """

    cache_ok = True

    def __init__(self, limit: int = 2_000) -> None:
        super().__init__()
        self.limit = limit

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        written = super().process_bind_param(value, dialect)
        if written is not None and value is not None and (size := len(written.encode())) > self.limit:
            raise TooLongError(value[:60], size, self.limit)
        return written


SHORT = 500
"""Bytes of a text that is in an index beside another one: the name of a target."""


class DamagedValueError(ValueError):
    """A value that muslin did not write: a store may come from anywhere. `Database` makes a DataError of it.

    Attributes:
        place: the table's column, or what was expected; nothing that the store holds.
    """

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


class Share(TypeDecorator[float]):
    """A number from 0 to 1.

    Raises:
        DamagedValueError: what is read is none.
    """

    impl = Float
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= 1):
            raise DamagedValueError("0–1")
        return value


class OneOf(TypeDecorator[str]):
    """One of a few texts.

    Raises:
        DamagedValueError: what is read is none of them.
    """

    impl = Text
    cache_ok = True

    def __init__(self, *choices: str) -> None:
        super().__init__()
        self.choices = choices

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value not in self.choices:
            raise DamagedValueError("/".join(self.choices))
        return str(value)


class JsonOf(TypeDecorator[Any]):
    """JSON of one kind: `dict`, or `list` for an array of texts.

    Raises:
        DamagedValueError: what is read is of another kind.
    """

    impl = JSON
    cache_ok = True

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        is_of_kind = isinstance(value, self.kind)
        if not is_of_kind or (self.kind is list and not all(isinstance(each, str) for each in value)):
            raise DamagedValueError(f"JSON {self.kind.__name__}")
        return value


_MARK = "\ufdd0"  # which Unicode keeps for such uses
_REFUSED = re.compile("[\0\ud800-\udfff]")
_ODD = re.compile(f"{_REFUSED.pattern}|^{_MARK}")


def searchable(text: str) -> str:
    """`text` as a search compares it: without upper case, and with a mark in place of what databases refuse."""
    return _REFUSED.sub("\ufffd", text.casefold())


NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up on its own only where the type is called INTEGER."""

INFO = Table("info", METADATA, Column("key", AnyText, primary_key=True), Column("value", JSON, nullable=False))
"""Settings of the store: `version` of the tables, `id`, `seed` of the ranks, `spot_checks` (share of products in the
random sample), `precision`, `guarantee`, `data` (what the first model was trained on), `created_at`, `who`."""

MODELS = Table(
    "models",
    METADATA,
    Column("digest", AnyText, primary_key=True),  # SHA-256 of the file
    Column("number", Integer, nullable=False, unique=True),  # the order in which they came, from 1
    Column("name", AnyText, nullable=False),
    Column("size", NUMBER, nullable=False),  # in bytes
    Column("targets", JSON, nullable=False),  # name, classes and kind of each
    Column("record", JsonOf(dict), nullable=False),  # what it was trained on: numbers of decisions, recipe, …
    Column("added_at", AnyText, nullable=False),
)

MODEL_PARTS = Table(
    "model_parts",
    METADATA,
    Column("digest", AnyText, ForeignKey("models.digest"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
"""The .muslin files in pieces: neither database takes 1 GB as one value."""

PROMOTIONS = Table(
    "promotions",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("digest", AnyText, ForeignKey("models.digest"), nullable=False),
    Column("kind", OneOf(*PROMOTION_KINDS), nullable=False),
    Column("who", AnyText, nullable=False),
    Column("at", AnyText, nullable=False),
    Column("metrics", JsonOf(dict), nullable=False),  # the comparison on which it rests
    sqlite_autoincrement=True,
)
"""The last row names the active model."""

CATALOGUES = Table(
    "catalogues",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("path", KeyText(), nullable=False, unique=True),  # absolute
    Column("read_options", JsonOf(dict), nullable=False),
    Column("added_at", AnyText, nullable=False),
    sqlite_autoincrement=True,
)

CLASSES = Table(
    "classes",
    METADATA,
    Column("target", KeyText(SHORT), primary_key=True),
    Column("name", KeyText(), primary_key=True),
    Column("who", AnyText, nullable=False),
    Column("at", AnyText, nullable=False),
)
"""Classes that people added; the other ones are those of the active model."""

PRODUCTS = Table(
    "products",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("catalogue", NUMBER, ForeignKey("catalogues.id"), nullable=False),
    Column("name", KeyText(), nullable=False),  # as `muslin.catalogue.product_rows.RowsOfProduct.name`
    Column("fingerprint", AnyText, nullable=False),  # of its photos' contents; another one means that it has changed
    Column("photos", JsonOf(list), nullable=False),  # names, in order
    Column("text", AnyText, nullable=False),  # the cells of its rows
    Column("search", Text, nullable=False),  # name and text, as `searchable` writes them
    Column("rank", Share, nullable=False),  # uniform in [0, 1), fixed when it is added; see `muslin.review.sampling`
    Column("in_test", Boolean, nullable=False),  # in the sealed test part, fixed when it is added
    Column("error", AnyText),  # why no photo can be read
    Column("added_at", AnyText, nullable=False),
    UniqueConstraint("catalogue", "name"),
    sqlite_autoincrement=True,
)
Index("products_by_name", PRODUCTS.c.name, PRODUCTS.c.id)
_UNREADABLE = PRODUCTS.c.error.is_not(None)
Index("products_unreadable", PRODUCTS.c.id, sqlite_where=_UNREADABLE, postgresql_where=_UNREADABLE)

PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("product", NUMBER, ForeignKey("products.id"), primary_key=True),
    Column("target", KeyText(SHORT), primary_key=True),
    Column("digest", AnyText, ForeignKey("models.digest"), primary_key=True),
    Column("fingerprint", AnyText, nullable=False),  # of the product when it was predicted
    Column("value", KeyText(), nullable=False),
    Column("probability", Share, nullable=False),
    Column("decision", OneOf(*TRIAGE), nullable=False),
    Column("candidates", JsonOf(list), nullable=False),  # the prediction set, the most probable first
)

ITEMS = Table(
    "items",
    METADATA,
    Column("product", NUMBER, ForeignKey("products.id"), primary_key=True),
    Column("target", KeyText(SHORT), primary_key=True),
    Column("model", Integer, ForeignKey("models.number"), primary_key=True),
    Column("value", KeyText(), nullable=False),
    Column("probability", Share, nullable=False),
    Column("decision", OneOf(*TRIAGE), nullable=False),
    Column("is_accepted", Boolean, nullable=False),
    Column("rank", Share, nullable=False),
    Column("decided", NUMBER, ForeignKey("decisions.id")),  # what counts for the product as it is now, or NULL
)
"""A row for each target of each readable product, and for each model that has predicted it as it is now: the
prediction, and the decision that counts. It follows from the other tables: `muslin.review.items` makes it. The rows of
a candidate are there before it becomes active, so that the last row of `promotions` switches all of them at once."""

ACTIVE_DIGEST = select(PROMOTIONS.c.digest).order_by(PROMOTIONS.c.id.desc()).limit(1).scalar_subquery()
_ACTIVE = select(MODELS.c.number).where(MODELS.c.digest == ACTIVE_DIGEST).scalar_subquery()


def active_items(target: str) -> ColumnElement[bool]:
    """The rows of `items` that count: those of the active model for a target."""
    return and_(ITEMS.c.model == _ACTIVE, ITEMS.c.target == target)


OPEN_ITEMS = ITEMS.c.decided.is_(None)
_OF_MODEL = ITEMS.c.model, ITEMS.c.target
Index("items_counts", *_OF_MODEL, ITEMS.c.decision, ITEMS.c.value, ITEMS.c.decided)
Index("items_sample", *_OF_MODEL, ITEMS.c.rank, ITEMS.c.decided, ITEMS.c.is_accepted)
Index("items_decided", *_OF_MODEL, ITEMS.c.decided)
Index("items_by_confidence", *_OF_MODEL, ITEMS.c.probability, ITEMS.c.product)
Index("items_of_value", *_OF_MODEL, ITEMS.c.value, ITEMS.c.probability, ITEMS.c.product)
for _name, _columns in {
    "items_uncertain": (*_OF_MODEL, ITEMS.c.is_accepted, ITEMS.c.probability, ITEMS.c.product),
    "items_uncertain_of_value": (
        *_OF_MODEL, ITEMS.c.is_accepted, ITEMS.c.value, ITEMS.c.probability, ITEMS.c.product
    ),
}.items():  # fmt: skip
    Index(_name, *_columns, sqlite_where=OPEN_ITEMS, postgresql_where=OPEN_ITEMS)

VECTORS = Table(
    "vectors",
    METADATA,
    Column("product", NUMBER, ForeignKey("products.id"), primary_key=True),
    Column("digest", AnyText, ForeignKey("models.digest"), primary_key=True),  # whose features it is made of
    Column("vector", LargeBinary, nullable=False),  # float16, unit length; see `muslin.review.similar`
)
Index("vectors_of_model", VECTORS.c.digest, VECTORS.c.product)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", NUMBER, primary_key=True),  # the order that counts, whatever the clocks say
    Column("product", NUMBER, ForeignKey("products.id"), nullable=False),
    Column("target", KeyText(SHORT), nullable=False),
    Column("kind", OneOf(*KINDS), nullable=False),
    Column("value", KeyText()),  # of the kind `value` only
    Column("undoes", NUMBER, ForeignKey("decisions.id")),  # of the kind `undo` only
    Column("note", AnyText, nullable=False),
    Column("who", KeyText(), nullable=False),
    Column("at", AnyText, nullable=False),
    Column("seconds", Float),  # that it took
    Column("digest", AnyText, nullable=False),  # of the model whose prediction was shown
    Column("fingerprint", AnyText, nullable=False),  # of the product that was shown
    Column("drawn", OneOf(*DRAWN), nullable=False),  # as the store knows it
    Column("shown", JsonOf(dict), nullable=False),  # what was shown: value, probability, decision, view
    Column("request", KeyText(), nullable=False),  # the client's own id of it: sent again, it is no second decision
    UniqueConstraint("request"),
    sqlite_autoincrement=True,
)
Index("decisions_of_item", DECISIONS.c.product, DECISIONS.c.target, DECISIONS.c.id)
Index("decisions_undone", DECISIONS.c.undoes)
Index("decisions_of_person", DECISIONS.c.who, DECISIONS.c.id)

LOCKS = Table(
    "locks",
    METADATA,
    Column("product", NUMBER, ForeignKey("products.id"), primary_key=True),
    Column("target", KeyText(SHORT), primary_key=True),
    Column("who", AnyText, nullable=False),
    Column("page", AnyText, nullable=False),  # which of the person's pages, such as two tabs
    Column("expires", Float, nullable=False),  # seconds since 1970, by the clock of the machine that writes
)
"""Products that a person has on their page, so that nobody gets them again meanwhile."""
