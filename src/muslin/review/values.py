"""What goes into a review store and comes out of it, as plain values."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muslin.data.dataset import Target

KINDS = ("value", "not_sure", "not_ours", "undo")
"""What a decision says: the value of the target; that the person is not sure; that the product is not one of the
shop's; or that an earlier decision does not count."""

DRAWN = ("spot_check", "random", "uncertain", "asked")
"""Why a person is asked: a random product that the model accepted; a random one that it did not; one that it was
uncertain of; one that the person looked for."""


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
        kind: of KINDS, but not `undo`.
        value: of the kind `value`.
        request: an id that the client makes once for this decision and sends again after a lost connection.
        fingerprint: of the product that was shown.
        digest: of the model whose prediction was shown.
        after: the id of the current decision that was shown, or None: a later one is told.
        seconds: that it took, or None.
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


@dataclass(frozen=True)
class Receipt:
    """What became of a decision.

    Attributes:
        id: of its row; of the first row where the request came again.
        is_repeated: the request was there already, so nothing was added.
        earlier: a decision of somebody that the person had not seen; this one is the later of the two and counts.
        has_changed: the product has changed since it was shown; the decision counts for the product as it was shown.
    """

    id: int
    is_repeated: bool = False
    earlier: "Decided | None" = None
    has_changed: bool = False


@dataclass(frozen=True)
class Decided:
    """A decision that counts."""

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


@dataclass(frozen=True)
class Item:
    """One target of a product, as a page shows it.

    Attributes:
        drawn: of DRAWN.
        decided: the decision that counts, or None.
        has_changed: the product has changed since that decision.
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
