"""Values of a review store as JSON and back: a multilabel target's value is an array of labels, others are texts."""

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from muslin.data.dataset import Target
from muslin.errors import DataError, MuslinError, unknown
from muslin.evaluation.selective import DECISIONS
from muslin.review.clock import utc_text
from muslin.review.values import (
    DECIDED_KINDS,
    DRAWN,
    STATES,
    Counts,
    Decided,
    Filters,
    Item,
    NewDecision,
    Receipt,
    labels_of,
    refused_at,
    value_of,
)
from muslin.web.requests import Body, choice_of, integer_of, number_of, text_of
from muslin.web.requests import value_of as collection_of

if TYPE_CHECKING:
    from muslin.review.store import Store

MAX_DECISIONS = 1000  # in one request: a page has 48, a tab that was offline more
MAX_NOTE = 2000  # characters
MAX_LISTED = 5000  # names in a filter: databases take some 30,000 in a statement
MAX_NAME = 200  # characters of a person's name, of a class or of a request's id
MAX_NUMBER = 2**53  # exact in JavaScript
CONFIDENCES = ("min_confidence", "max_confidence")
FILTER_CHOICES = {"decisions": DECISIONS, "kinds": DECIDED_KINDS, "drawn": DRAWN}
SHOWN = ("value", "probability", "decision", "view")
"""What a page says of what it showed with a decision."""


class Vocabulary:
    """The targets of a store and their classes during one request: each is read once, however often it is asked for."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._classes: dict[str, tuple[str, ...]] = {}

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The active model's."""
        return self._store.targets

    def classes(self, target: str) -> tuple[str, ...]:
        """The classes of a target."""
        if target not in self._classes:
            self._classes[target] = self._store.classes(target)
        return self._classes[target]


# ── From a request ───────────────────────────────────────────────────────────────────────────────────────


def target_named(store: "Store | Vocabulary", body: Body) -> Target:
    """The target that a request names.

    Raises:
        MuslinError: the store has no such target.
    """
    name = text_of(body, "target")
    targets = store.targets
    found = next((target for target in targets if target.name == name), None)
    if found is None:
        raise MuslinError("request_choice", name="target", choices=[target.name for target in targets])
    return found


def short_text(body: Body, name: str, maximum: int = MAX_NAME, default: str | None = None) -> str:
    """A text of at most `maximum` characters that a database can hold; not blank, unless there is a `default`."""
    text = body.get(name, default)
    if not isinstance(text, str) or len(text) > maximum or not _is_storable(text):
        raise MuslinError("request_text", name=name, maximum=maximum)
    if default is None and not text.strip():
        raise MuslinError("request_text", name=name, maximum=maximum)
    return text.strip()


def _is_storable(text: str) -> bool:
    """Whether it is UTF-8 without the character 0, which PostgreSQL does not store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def decisions_of(store: "Store", body: Body) -> list[NewDecision]:
    """The decisions in a request.

    Raises:
        MuslinError: one of them is not complete, or names a class that the target does not have; its parameter `index`
            says which.
    """
    known, found = Vocabulary(store), []
    for index, each in enumerate(_objects_of(body, "decisions")):
        with refused_at(index):
            found.append(_decision(known, each))
    return found


def refused_decision(store: "Store", body: Body, error: MuslinError) -> MuslinError:
    """The error; where it is about one decision, on a product of the store, with that one's name as `product_name`."""
    index = error.params.get("index")
    if index is None:
        return error
    try:
        number = integer_of(body["decisions"][index], "product", -1, MAX_NUMBER)
        return error.with_params(product_name=store.product(number).name)
    except MuslinError:
        return error


def _decision(known: Vocabulary, given: Body) -> NewDecision:
    target = target_named(known, given)
    kind = choice_of(given, "kind", "value", DECIDED_KINDS)
    return NewDecision(
        integer_of(given, "product", -1, MAX_NUMBER),
        target.name,
        kind,
        short_text(given, "request"),
        short_text(given, "fingerprint"),
        short_text(given, "digest"),
        value_text(known, target, given.get("value")) if kind == "value" else None,
        short_text(given, "note", MAX_NOTE, ""),
        None if given.get("after") is None else integer_of(given, "after", -1, MAX_NUMBER),
        None if given.get("seconds") is None else number_of(given, "seconds", 0, 1e9),
        {
            name: value
            for name, value in collection_of(given, "shown", dict).items()
            if name in SHOWN and _is_plain(value)
        },
    )


def undos_of(body: Body) -> list[tuple[int, str]]:
    """The decisions to undo in a request, each with the id of its undoing.

    Raises:
        MuslinError: one of them is not complete.
    """
    given = _objects_of(body, "undos")
    return [(integer_of(each, "decision", -1, MAX_NUMBER), short_text(each, "request")) for each in given]


def _objects_of(body: Body, name: str) -> list[Any]:
    """A list of at least one object."""
    given: list[Any] = collection_of(body, name, list)
    if not given or len(given) > MAX_DECISIONS or not all(isinstance(each, dict) for each in given):
        raise MuslinError("request_value", name=name, expected="array", items="object", maximum=MAX_DECISIONS)
    return given


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= MAX_NAME and all(isinstance(each, str) and _is_plain(each) for each in value)
    if isinstance(value, str):
        return len(value) <= MAX_NAME and _is_storable(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) <= MAX_NUMBER


def value_text(store: "Store | Vocabulary", target: Target, value: Any) -> str:
    """The store's text of a value: of a class, or of an array of labels.

    Raises:
        MuslinError: the target does not have such a class.
    """
    labels = [value] if target.kind == "multiclass" else value
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        expected = "string" if target.kind == "multiclass" else "array"
        raise MuslinError("request_value", name="value", expected=expected)
    classes = store.classes(target.name)
    try:
        return value_of(target, labels, [name for name in classes if name not in target.classes])
    except ValueError as error:
        name = next((label for label in labels if label not in classes), ", ".join(labels))
        raise DataError("review_value_unknown", **unknown(name, classes), target=target.name) from error


def filters_of(store: "Store", target: Target, body: Body) -> Filters:
    """Which items a request wants: the fields of `Filters`, all of which it may leave out.

    Raises:
        MuslinError: one of them is unknown or wrong.
    """
    given = collection_of(body, "filters", dict)
    if unknown_names := sorted(set(given) - {field.name for field in fields(Filters)}):
        raise MuslinError("request_choice", name=unknown_names[0], choices=[field.name for field in fields(Filters)])
    found: dict[str, Any] = {name: _time(given, name) for name in ("since", "until") if given.get(name)}
    found |= {"text": short_text(given, "text")} if given.get("text") else {}
    found |= {name: number_of(given, name, 0, 1) for name in CONFIDENCES if given.get(name) is not None}
    found |= {name: _choices(given, name, known) for name, known in FILTER_CHOICES.items()}
    known = Vocabulary(store)
    found |= {name: _values(known, target, given, name) for name in ("values", "decided_values")}
    state = choice_of(given, "state", "", STATES) if given.get("state") else None
    catalogue = None if given.get("catalogue") is None else integer_of(given, "catalogue", -1, MAX_NUMBER)
    return Filters(state=state, catalogue=catalogue, who=_people(given), **found)


def _time(given: Body, name: str) -> str:
    """A date or time of ISO 8601, in UTC unless it says otherwise, as a store writes it."""
    try:
        return utc_text(short_text(given, name))
    except (ValueError, OverflowError) as error:
        raise MuslinError("request_time", name=name) from error


def listed(given: Body, name: str) -> list[Any]:
    """A list of at most MAX_LISTED values; an empty one where it is missing."""
    found: list[Any] = collection_of(given, name, list)
    if len(found) > MAX_LISTED:
        raise MuslinError("request_value", name=name, expected="array", maximum=MAX_LISTED)
    return found


def _choices(given: Body, name: str, known: Sequence[str]) -> tuple[str, ...]:
    found = listed(given, name)
    if not all(each in known for each in found):
        raise MuslinError("request_choice", name=name, choices=list(known))
    return tuple(dict.fromkeys(found))


def _people(given: Body) -> tuple[str, ...]:
    return tuple(short_text({"who": each}, "who") for each in listed(given, "who"))


def _values(known: Vocabulary, target: Target, given: Body, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value_text(known, target, value) for value in listed(given, name)))


# ── To a response ────────────────────────────────────────────────────────────────────────────────────────


def json_value(target: Target, value: str | None) -> str | list[str] | None:
    """A value as JSON."""
    return value if value is None or target.kind == "multiclass" else list(labels_of(target, value))


def item_json(target: Target, item: Item) -> dict[str, Any]:
    """An item, where photos are only counted: `/api/review/photo` takes their numbers."""
    return asdict(item) | {
        "photos": len(item.photos),
        "value": json_value(target, item.value),
        "candidates": list(item.candidates),
        "decided": item.decided and decided_json(target, item.decided),
    }


def decided_json(target: Target, decided: Decided) -> dict[str, Any]:
    return asdict(decided) | {"value": json_value(target, decided.value)}


def receipts_json(store: "Store", receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
    """What became of decisions. An earlier one on a target that the active model no longer has is left out."""
    targets = {target.name: target for target in store.targets}
    return [_receipt_json(targets, receipt) for receipt in receipts]


def _receipt_json(targets: dict[str, Target], receipt: Receipt) -> dict[str, Any]:
    earlier = receipt.earlier
    target = targets.get(earlier.target) if earlier else None
    return asdict(receipt) | {"earlier": earlier and target and decided_json(target, earlier)}


def counts_json(target: Target, counts: Counts) -> dict[str, Any]:
    """The counts, where each value is with its tally in a list, because an array of labels is no key."""
    values = [{"value": json_value(target, value), **asdict(tally)} for value, tally in counts.values.items()]
    return asdict(counts) | {"values": values}
