"""FiftyOne: a data set as the JSON that `fiftyone.Dataset.from_json` reads, with a sample for each photo.

Each target is a field of Classification or, with several labels, Classifications; `TARGET_decision`, `TARGET_note` and
`TARGET_prediction` stand beside it. The field `muslin` keeps who decided and when.
<https://docs.voxel51.com/api/fiftyone.core.dataset.html>
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from muslin.data.dataset import Target
from muslin.review.exchange.decisions import (
    ReadDecision,
    Said,
    decision_in,
    product_record,
    read_record,
    record_text,
    said_of,
)
from muslin.review.values import Item, labels_of
from muslin.strict_json import json_text

RECORD, PRODUCT = "muslin", "product"
"""Fields of a sample: the record of the product as JSON, and its name."""

TAKEN = ("id", "filepath", "tags", "metadata", "created_at", "last_modified_at", "sample_id", RECORD, PRODUCT)
"""Fields that each sample has."""

VALUE = "value"
"""What `TARGET_decision` says of a decision for labels."""


def field_names(targets: Sequence[Target]) -> dict[str, str]:
    """The field of each target: its name, or where FiftyOne cannot have that, a name like it.

    >>> field_names([Target("main colour", ()), Target("tags", ()), Target("main_colour", ())])
    {'main colour': 'main_colour', 'tags': 'tags_', 'main_colour': 'main_colour_'}
    """
    fields: dict[str, str] = {}
    for target in targets:
        name = re.sub(r"\W", "_", target.name, flags=re.ASCII).lstrip("_") or "target"
        name = name if name[0].isalpha() else f"target_{name}"
        while name in TAKEN or name in fields.values():
            name += "_"
        fields[target.name] = name
    return fields


def fiftyone_dataset(
    targets: Sequence[Target], products: Iterable[Sequence[Item]], photo_prefix: str = ""
) -> Iterator[str]:
    """The data set, as pieces of a JSON text.

    Args:
        targets: with the classes that people added.
        products: per product its items, one for each target.
        photo_prefix: the folder of the photos, if `from_json` does not get it as `rel_dir`.
    """
    fields = field_names(targets)
    head = {
        "name": "muslin review",
        "media_type": "image",
        "info": {RECORD: json_text({"fields": {field: name for name, field in fields.items()}})},
        "classes": {fields[target.name]: list(target.classes) for target in targets},
        "sample_fields": _schema(targets, fields),
    }
    yield json_text(head, indent=1).removesuffix("\n}") + ',\n "samples": ['
    separator = "\n"
    for items in products:
        values = _values(targets, items, fields)
        for photo in items[0].photos:
            sample = {"filepath": photo_prefix + photo, "tags": [], "_media_type": "image", **values}
            yield separator + json_text(sample)
            separator = ",\n"
    yield "\n]}\n"


def _schema(targets: Sequence[Target], fields: Mapping[str, str]) -> dict[str, str]:
    """The types of the fields, which FiftyOne cannot know where no sample has a value."""
    text = "fiftyone.core.fields.StringField"
    schema = {PRODUCT: text, RECORD: text}
    for target in targets:
        field, label = fields[target.name], "Classification" if target.kind == "multiclass" else "Classifications"
        labels = f"fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.{label})"
        schema |= {field: labels, f"{field}_prediction": labels}
        schema |= dict.fromkeys((f"{field}_decision", f"{field}_note", f"{field}_predicted_decision"), text)
    return schema


def _values(targets: Sequence[Target], items: Sequence[Item], fields: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {PRODUCT: items[0].name, RECORD: record_text(product_record(targets, items))}
    for target, item in zip(targets, items, strict=True):
        field, said = fields[target.name], said_of(item, target)
        if said is not None:
            values[field] = _classification(target, said.labels) if said.kind == "value" else None
            values[f"{field}_decision"] = said.kind
            values[f"{field}_note"] = said.note
        predicted = labels_of(target, item.value)
        values[f"{field}_prediction"] = _classification(target, predicted, item.probability)
        values[f"{field}_predicted_decision"] = item.decision
    return values


def _classification(target: Target, labels: Sequence[str], probability: float | None = None) -> dict[str, Any]:
    """FiftyOne's label of a target. Several labels have no confidence of their own."""
    if target.kind == "multiclass":
        confidence = {} if probability is None else {"confidence": probability}
        return {"_cls": "Classification", "label": labels[0], "tags": [], **confidence}
    each = [{"_cls": "Classification", "label": label, "tags": []} for label in labels]
    return {"_cls": "Classifications", "classifications": each}


def read_fiftyone(document: Mapping[str, Any], targets: Sequence[Target]) -> Iterator[ReadDecision]:
    """The decisions of a data set that `fiftyone.Dataset.write_json` wrote: of each sample, so of each photo.

    Raises:
        AttributeError, KeyError, TypeError: it is not as FiftyOne writes it.
    """
    fields = field_names(targets)
    for entry, sample in enumerate(document["samples"], 1):
        record = read_record(sample.get(RECORD))
        for target in targets:
            field = fields[target.name]
            state, note = sample.get(f"{field}_decision"), sample.get(f"{field}_note") or ""
            said = _said(sample.get(field), state, str(note), target)
            if said is not None:
                yield decision_in((entry, (str(sample["filepath"]),), target.name), record, said)


def _said(value: Mapping[str, Any] | None, state: Any, note: str, target: Target) -> Said | None:
    """Labels count before `TARGET_decision`, which says of older ones."""
    several = [] if value is None else value.get("classifications") or [value]
    if labels := [str(one["label"]) for one in several if one.get("label") is not None]:
        return Said.of_labels(labels, note)
    if state in ("not_sure", "not_ours") or (state == VALUE and value is not None and target.kind == "multilabel"):
        return Said(state, (), note)
    return None
