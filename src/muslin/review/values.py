"""What goes into a review store and comes out of it, as plain values."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import MuslinError

KINDS = ("value", "not_sure", "not_ours", "undo")
"""What a decision says: the value of the target; that the person is not sure; that the product is not one of the
shop's; or that an earlier decision does not count."""

DECIDED_KINDS = tuple(kind for kind in KINDS if kind != "undo")
"""What a decision that counts says."""

PROMOTION_KINDS = ("init", "promote", "undo")
"""How a model became the active one."""

DRAWN = ("spot_check", "random", "uncertain", "asked")
"""Why a person is asked: a random product that the model accepted; a random one that it did not; one that it was
uncertain of; one that the person looked for."""


GONE = "gone"
"""The fingerprint of a product that is no longer in its catalogue."""


def value_of(target: Target, labels: Collection[str], added: Sequence[str] = ()) -> str:
    """The text of a value: the class, or a JSON array of the labels in the order of the target and of `added`.

    Raises:
        ValueError: a multiclass target without exactly one label, or a label that is not known.
    """
    known = [*target.classes, *added]
    ordered = [name for name in known if name in labels]
    if len(ordered) != len(set(labels)) or (target.kind == "multiclass" and len(ordered) != 1):
        raise ValueError(labels)
    return ordered[0] if target.kind == "multiclass" else json.dumps(ordered, ensure_ascii=False)


def labels_of(target: Target, value: str) -> tuple[str, ...]:
    """The labels of a text that `value_of` wrote."""
    return (value,) if target.kind == "multiclass" else tuple(json.loads(value))


def label_set(target: Target, value: str | None) -> frozenset[str] | None:
    """The labels of a value, by which values are compared: their order is that of the classes when it was written."""
    return None if value is None else frozenset(labels_of(target, value))


@contextmanager
def refused_at(index: int) -> Iterator[None]:
    """An error in the block gets the parameter `index`: which of several decisions it is about."""
    try:
        yield
    except MuslinError as error:
        raise error.with_params(index=index) from error


@dataclass(frozen=True)
class NewPrediction:
    """The prediction of one target for a product, as it is added."""

    value: str
    probability: float
    decision: str
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class NewProduct:
    """A product to add: see `muslin.review.schema.PRODUCTS`.

    Attributes:
        predictions: per target's name; empty where there is an error.
        vector: float16 bytes for the search of similar products, or None.
    """

    name: str
    fingerprint: str
    photos: tuple[str, ...]
    text: str
    predictions: Mapping[str, NewPrediction]
    vector: bytes | None = None
    error: str | None = None


@dataclass(frozen=True)
class NewDecision:
    """What a person decides about one target of a product.

    Attributes:
        kind: of DECIDED_KINDS.
        value: of the kind `value`.
        request: an id that the client makes once for this decision and sends again after a lost connection.
        fingerprint: of the product that was shown.
        digest: of the model whose prediction was shown.
        after: the id of the current decision that was shown, or None: a later one is told.
        seconds: that it took, or None.
        at: when it was made, in UTC, where another tool says so; otherwise it is made when it is added.
    """

    product: int
    target: str
    kind: str
    request: str
    fingerprint: str
    digest: str
    value: str | None = None
    note: str = ""
    after: int | None = None
    seconds: float | None = None
    shown: Mapping[str, Any] = field(default_factory=dict)
    at: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What became of a decision.

    Attributes:
        id: of its row; of the first row where the request came again.
        is_repeated: the request was there already, so nothing was added.
        earlier: a decision of somebody on the same photos that the person had not seen; this one is the later of the
            two and counts.
        has_changed: the product has changed since it was shown; the decision counts for the product as it was shown.
    """

    id: int
    is_repeated: bool = False
    earlier: "Decided | None" = None
    has_changed: bool = False


@dataclass(frozen=True)
class Decided:
    """A decision, as it is in the store.

    Attributes:
        at: UTC, ISO 8601, by the clock of the machine that wrote it; the order that counts is that of `id`.
        fingerprint: of the product that was shown.
        digest: of the model whose prediction was shown.
        drawn: of DRAWN, why the person was asked.
        undoes: of the kind `undo`, the decision that does not count.
        is_undone: whether somebody has undone it; known in a history only.
    """

    id: int
    product: int
    target: str
    kind: str
    value: str | None
    note: str
    who: str
    at: str
    fingerprint: str
    digest: str
    drawn: str
    seconds: float | None = None
    undoes: int | None = None
    is_undone: bool = False


@dataclass(frozen=True)
class Item:
    """One target of a product, as a page shows it.

    Attributes:
        drawn: of DRAWN.
        decided: the decision that counts; else the last one on other photos that nobody has undone, or None.
        has_changed: that decision is on other photos, so the product is to be decided again.
    """

    product: int
    name: str
    target: str
    photos: tuple[str, ...]
    text: str
    fingerprint: str
    digest: str
    value: str
    probability: float
    decision: str
    candidates: tuple[str, ...]
    drawn: str
    decided: Decided | None = None
    has_changed: bool = False


@dataclass(frozen=True)
class StoreSettings:
    """The settings with which a store is made.

    Attributes:
        seed: of the ranks that decide which products are in the random sample.
        spot_checks: share of the products in the random sample, 0 to 1.
        precision: target of the accepted predictions, 0 to 1; None for the model's default.
        guarantee: `overall` or `per-class`.
        data: what the first model was trained on, as JSON; None where not known.
    """

    seed: int = 0
    spot_checks: float = 0.05
    precision: float | None = None
    guarantee: str = "overall"
    data: Any = None


@dataclass(frozen=True, kw_only=True)
class StoreInfo(StoreSettings):
    """A store's settings, as they are now, and who made it.

    Attributes:
        id: random, of this store.
    """

    id: str
    created_at: str
    who: str


@dataclass(frozen=True)
class ModelRow:
    """A model of the store.

    Attributes:
        digest: SHA-256 of the file.
        size: of the file, in bytes.
        record: what it was trained on, as JSON. Of a model that learned from decisions of this store, `spot_checks` is
            the share of the products that were in the random sample then, half of which were sealed.
    """

    digest: str
    name: str
    size: int
    targets: tuple[Target, ...]
    record: Mapping[str, Any]
    added_at: str


@dataclass(frozen=True)
class Promotion:
    """A model became the active one.

    Attributes:
        kind: `init`, `promote` or `undo`.
        metrics: the comparison on which it rests, as JSON.
    """

    id: int
    digest: str
    kind: str
    who: str
    at: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class CatalogueRow:
    """A catalogue of the store; `path` is absolute."""

    id: int
    path: str
    read_options: Mapping[str, Any]
    added_at: str


@dataclass(frozen=True)
class Product:
    """A product of the store.

    Attributes:
        rank: uniform in [0, 1), fixed when it was added.
        in_test: whether it is in the sealed test part, where its rank puts it into the random sample.
        error: why no photo can be read, or None.
    """

    id: int
    catalogue: int
    name: str
    fingerprint: str
    photos: tuple[str, ...]
    text: str
    rank: float
    in_test: bool
    error: str | None


@dataclass(frozen=True)
class AddedCounts:
    """What became of the products that were added.

    Attributes:
        added: new ones.
        changed: of which the photos are others than before; their decisions do not count any more.
        returned: gone before; decisions on the same photos count again.
        text_changed: of which only the text or the photos' names are others than before.
        unchanged: there already, also where another process has just added them.
        repeated: names that came twice in one go; the first one counts.
        unreadable: of all of these, the ones without a readable photo.
    """

    added: int = 0
    changed: int = 0
    returned: int = 0
    text_changed: int = 0
    unchanged: int = 0
    repeated: int = 0
    unreadable: int = 0

    def __add__(self, other: "AddedCounts") -> "AddedCounts":
        return AddedCounts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


STATES = ("open", "decided", "changed")
"""Of an item: to be decided; decided; to be decided, and it was before the product changed."""


@dataclass(frozen=True)
class Filters:
    """Which items are wanted; a filter that is None or empty wants all.

    Attributes:
        values: predicted values.
        decisions: the model's, of `muslin.evaluation.selective.DECISIONS`.
        state: of STATES.
        kinds, decided_values, who: of the decision that counts.
        since, until: of the decision that counts, as the store writes times; `until` itself is not wanted.
        min_confidence, max_confidence: 0 to 1, both inclusive.
        text: in the product's name or cells, in any case.
        drawn: of DRAWN.
        catalogue: its id.
    """

    values: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    state: str | None = None
    kinds: tuple[str, ...] = ()
    decided_values: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    text: str | None = None
    drawn: tuple[str, ...] = ()
    catalogue: int | None = None


SORTS = ("confidence", "-confidence", "name", "-name", "date", "-date", "added")
"""Orders of a search; `date` is that of the decision, `-` the other way round."""


@dataclass(frozen=True)
class Tally:
    """How many items there are, and how many of them are decided."""

    total: int = 0
    decided: int = 0

    @property
    def left(self) -> int:
        return self.total - self.decided

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.total + other.total, self.decided + other.decided)


@dataclass(frozen=True)
class Counts:
    """How far the work on one target is.

    Attributes:
        decisions: per decision of the model.
        values: per predicted value.
        queue: what `Store.next_items` asks for in all: the random sample, and what the model does not accept.
        sample: the random sample.
        prefix: members of the random sample before the first one that is not decided, in the order of rank.
        unreadable: products in a catalogue without a readable photo, which are in none of the other counts.
    """

    decisions: Mapping[str, Tally]
    values: Mapping[str, Tally]
    queue: Tally
    sample: Tally
    prefix: int
    unreadable: int


@dataclass(frozen=True)
class SpotChecks:
    """Members of the random sample, in the order of rank, up to the first one without a decision: a simple random
    sample of the products, whatever else people have decided.

    Attributes:
        products: int64 (n,).
        decisions: int64 (n,): ids of the decisions that count.
        correct: bool (n,): whether the person confirmed the active model's value; of a multilabel target, one of its
            labels, drawn at random, as the guarantee is about such labels. "Not sure" and "not ours" do not.
        is_accepted: bool (n,): whether the active model accepts it.
        in_test: bool (n,): whether it is in the sealed test part.
        kinds: (n,), what they were decided as, of KINDS.
        population: products that the n were drawn from.
        size: members of the random sample among them, decided or not.
    """

    products: NDArray[np.int64]
    decisions: NDArray[np.int64]
    correct: NDArray[np.bool_]
    is_accepted: NDArray[np.bool_]
    in_test: NDArray[np.bool_]
    kinds: tuple[str, ...]
    population: int
    size: int


@dataclass(frozen=True)
class Pace:
    """How quick a person decides.

    Attributes:
        n: decisions with a time, of the last ones.
        seconds: the median of them for one decision; None without one.
    """

    n: int
    seconds: float | None


@dataclass(frozen=True)
class Conflict:
    """A product on which people differ: the last decision of each person."""

    product: int
    name: str
    decided: tuple[Decided, ...]
