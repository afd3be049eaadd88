"""What the files of labelling tools hold of a review store, whatever their format.

A file has two things of each decision: the labels, as the tool shows and changes them, and the record that was written
beside them: what was decided, by whom, when and on what. Labels that equal their record are that decision. Other labels
are a new decision, made in the tool.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from muslin.data.dataset import Target
from muslin.review.values import Item, labels_of
from muslin.strict_json import json_text

NOT_SURE, NOT_OURS, NO_LABEL = "not sure", "not ours", "no label"
"""What a file says where a decision is no label; the last one of a multilabel target, none of whose labels fits."""


@dataclass(frozen=True)
class Said:
    """What a decision says about a target: its `kind`, of `muslin.review.values.KINDS`, its labels and a note."""

    kind: str
    labels: tuple[str, ...] = ()
    note: str = ""

    @property
    def state(self) -> str | None:
        """What a file says instead of labels."""
        if self.kind == "value":
            return None if self.labels else NO_LABEL
        return NOT_SURE if self.kind == "not_sure" else NOT_OURS

    @classmethod
    def of_labels(cls, labels: Iterable[str], note: str = "") -> "Said":
        return cls("value", tuple(sorted(set(labels))), note)

    @classmethod
    def of_state(cls, state: str, note: str = "") -> "Said":
        """What NOT_SURE, NOT_OURS or NO_LABEL says. Raises KeyError for other texts."""
        return cls({NOT_SURE: "not_sure", NOT_OURS: "not_ours", NO_LABEL: "value"}[state], (), note)


@dataclass(frozen=True)
class ReadDecision:
    """A decision in a file of a labelling tool.

    Attributes:
        entry: number of the task, sample or image in the file, from 1.
        photos: their names in the file.
        product: the name of the product, if the file has it.
        fingerprint: of the product that was decided, if the file has it.
        digest: of the model whose prediction was shown, if the file has it.
        who, at: as the file has it; `at` is UTC, as an ISO 8601 text.
        is_new: made in the tool, or changed there.
        replaces: when the decision was made that it changes, if the file has it.
    """

    entry: int
    photos: tuple[str, ...]
    target: str
    said: Said
    product: str | None = None
    fingerprint: str | None = None
    digest: str | None = None
    who: str | None = None
    at: str | None = None
    is_new: bool = True
    replaces: str | None = None


def said_of(item: Item, target: Target) -> Said | None:
    """What counts for an item, with its labels in alphabetical order; None if it is to be decided."""
    if item.decided is None or item.has_changed:
        return None
    value = item.decided.value
    labels = () if value is None else labels_of(target, value)
    return Said(item.decided.kind, tuple(sorted(labels)), item.decided.note)


def record_of(item: Item, target: Target) -> dict[str, Any] | None:
    """The decision of an item as a file keeps it beside the labels; None if it is to be decided."""
    said, decided = said_of(item, target), item.decided
    if said is None or decided is None:
        return None
    return {
        "kind": said.kind,
        "labels": list(said.labels),
        "note": said.note,
        "who": decided.who,
        "at": decided.at,
        "fingerprint": decided.fingerprint,
        "digest": decided.digest,
    }


def product_record(targets: Sequence[Target], items: Sequence[Item]) -> dict[str, Any]:
    """What a file keeps of a product: its name, its fingerprint and the records of its decisions, by target.

    Args:
        items: of one product, one for each target.
    """
    records = {item.target: record_of(item, target) for target, item in zip(targets, items, strict=True)}
    decided = {name: record for name, record in records.items() if record}
    return {"product": items[0].name, "fingerprint": items[0].fingerprint, "decisions": decided}


def read_record(value: Any) -> Mapping[str, Any]:
    """A product's record as it was written, as an object or as JSON; empty where it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def record_text(record: Mapping[str, Any]) -> str:
    """A record as a text, for tools that keep no objects."""
    return json_text(record)


def text_or_none(value: Any) -> str | None:
    """`value` where it is a text with letters."""
    return value if isinstance(value, str) and value else None


def decision_in(
    place: tuple[int, tuple[str, ...], str],
    record: Mapping[str, Any],
    said: Said,
    who: str | None = None,
    at: str | None = None,
) -> ReadDecision:
    """A decision of a file, with what its record knows.

    Args:
        place: the entry, its photos and the target.
        record: as `product_record` made it, of any content; it can be empty.
        said: what the labels say.
        who, at: who decided and when, as the tool tells it.
    """
    decisions = record.get("decisions")
    known = decisions.get(place[2]) if isinstance(decisions, dict) else None
    entry, photos, target = place
    product = text_or_none(record.get("product"))
    before = known if isinstance(known, dict) else {}
    if before and _says(before) == said:
        texts = {name: text_or_none(before.get(name)) for name in ("fingerprint", "digest", "who", "at")}
        return ReadDecision(entry, photos, target, said, product, **texts, is_new=False)
    fingerprint, replaces = text_or_none(record.get("fingerprint")), text_or_none(before.get("at"))
    return ReadDecision(entry, photos, target, said, product, fingerprint, None, who, at, replaces=replaces)


def _says(known: Mapping[str, Any]) -> Said | None:
    labels, kind, note = known.get("labels"), known.get("kind"), known.get("note")
    is_list = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    return Said(str(kind), tuple(sorted(labels or ())), str(note)) if is_list else None


def one_per_product(decisions: Iterable[ReadDecision]) -> tuple[list[ReadDecision], list[int]]:
    """The decisions of files with an entry per photo, once per product and target.

    Where some photos of a product have new labels, these count.

    Returns:
        The decisions, and the entries of those left out because two new ones of a product differ.
    """
    by_product: dict[tuple[str, ...], list[ReadDecision]] = defaultdict(list)
    for decision in decisions:
        name = ("photo", *decision.photos) if decision.product is None else ("product", decision.product)
        by_product[(decision.target, decision.fingerprint or "", *name)].append(decision)
    kept: list[ReadDecision] = []
    differing: list[int] = []
    for group in by_product.values():
        counting = [decision for decision in group if decision.is_new] or group
        if all(one.said == other.said for one, other in pairwise(counting)):
            kept.append(counting[0])
        else:
            differing.extend(decision.entry for decision in counting)
    return kept, differing


def has_several_photos(products: Iterable[Sequence[Item]]) -> bool:
    """Whether a product has more than one photo."""
    return any(len(items[0].photos) > 1 for items in products)


def json_list(entries: Iterable[Any]) -> Iterator[str]:
    """The text of a JSON list, in pieces: an entry a line."""
    yield "["
    for number, entry in enumerate(entries):
        yield (",\n" if number else "\n") + json_text(entry)
    yield "\n]"
