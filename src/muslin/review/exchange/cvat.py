"""CVAT: "CVAT for images 1.1", an XML with an image for each photo and its tags, and the labels of the task.

A tag is a class, or what a decision says instead. With several targets, or with a class that is called as a decision,
each label begins with its target: `colour: red`, `colour decision: not sure`. Predictions for undecided products have
the source `auto`, as those of CVAT's own models. The attributes of a tag keep the decision.
<https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/>
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from muslin.data.dataset import Target
from muslin.review.exchange.decisions import (
    NO_LABEL,
    NOT_OURS,
    NOT_SURE,
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

WHO, AT, NOTE, RECORD = ATTRIBUTES = ("who", "at", "note", "record")
"""Attributes of each label; `record` is that of the product, as JSON."""

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot have."""

Tag = tuple[str, str, bool]
"""A target, one of its classes or states, and whether it is a state."""


def label_names(targets: Sequence[Target]) -> dict[Tag, str]:
    """The name of the label of each class and each state.

    >>> list(label_names([Target("type", ("coat", "hat"))]).values())
    ['coat', 'hat', 'not sure', 'not ours']
    """
    names: dict[Tag, str] = {}
    for target in targets:
        states = (NOT_SURE, NOT_OURS, *((NO_LABEL,) if target.kind == "multilabel" else ()))
        names |= {(target.name, name, False): f"{target.name}: {name}" for name in target.classes}
        names |= {(target.name, name, True): f"{target.name} decision: {name}" for name in states}
    plain = [name for _, name, _ in names]
    return names if len(set(plain)) < len(plain) else dict(zip(names, plain, strict=True))


def cvat_labels(targets: Sequence[Target], products: Iterable[Sequence[Item]] = ()) -> str:
    """The labels of the task as JSON, as the page "Raw" of CVAT's constructor takes them."""
    attributes = [
        {"name": name, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
        for name in ATTRIBUTES
    ]
    labels = [{"name": name, "type": "tag", "attributes": attributes} for name in label_names(targets).values()]
    return json_text(labels, indent=1) + "\n"


def cvat_images(targets: Sequence[Target], products: Iterable[Sequence[Item]], photo_prefix: str = "") -> Iterator[str]:
    """The annotations, as pieces of an XML text.

    Args:
        targets: with the classes that people added.
        products: per product its items, one for each target.
        photo_prefix: what comes before the name of a photo in the task.
    """
    names = label_names(targets)
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    yield f"  <meta>\n    <task>\n      <labels>\n{''.join(map(_label, names.values()))}      </labels>\n"
    yield "    </task>\n  </meta>\n"
    number = 0
    for items in products:
        tags = "".join(_tags(targets, items, names))
        for photo in items[0].photos:
            yield f'  <image id="{number}" name={_quoted(photo_prefix + photo)}>\n{tags}  </image>\n'
            number += 1
    yield "</annotations>\n"


def _label(name: str) -> str:
    attributes = "".join(
        f"<attribute><name>{each}</name><mutable>False</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
        for each in ATTRIBUTES
    )
    return (
        f"        <label><name>{_escaped(name)}</name><type>tag</type><attributes>{attributes}</attributes></label>\n"
    )


def _tags(targets: Sequence[Target], items: Sequence[Item], names: Mapping[Tag, str]) -> Iterator[str]:
    record = product_record(targets, items)
    for target, item in zip(targets, items, strict=True):
        said = said_of(item, target)
        if said is None:
            for label in labels_of(target, item.value):
                yield _tag(names[target.name, label, False], "auto", {RECORD: record_text(record)})
            continue
        known = record["decisions"][target.name]
        own = record_text(record | {"decisions": {target.name: known}})
        attributes = {WHO: known["who"], AT: known["at"], NOTE: said.note, RECORD: own}
        for label in said.labels:
            yield _tag(names[target.name, label, False], "manual", attributes)
        if said.state:
            yield _tag(names[target.name, said.state, True], "manual", attributes)


def _tag(label: str, source: str, attributes: Mapping[str, str]) -> str:
    inside = "".join(f'<attribute name="{name}">{_escaped(text)}</attribute>' for name, text in attributes.items())
    return f'    <tag label={_quoted(label)} source="{source}">{inside}</tag>\n'


def _escaped(text: str) -> str:
    return escape(NO_XML.sub("\ufffd", text), {"\r": "&#13;"})


def _quoted(text: str) -> str:
    return quoteattr(NO_XML.sub("\ufffd", text), {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def read_cvat(images: Iterable[Element], targets: Sequence[Target]) -> Iterator[ReadDecision]:
    """The decisions of a file of CVAT: of each image, so of each photo.

    Tags of the source `auto` are none, nor are those that we wrote for a prediction: datumaro loses the source.

    Args:
        images: the elements `image`.
    """
    tag_of = {name: tag for tag, name in label_names(targets).items()}
    for entry, image in enumerate(images, 1):
        found: dict[str, list[_FoundTag]] = {target.name: [] for target in targets}
        record: dict[str, Any] = {}
        for element in image.iter("tag"):
            attributes = {each.get("name", ""): each.text or "" for each in element.iter("attribute")}
            own = read_record(attributes.get(RECORD))
            record |= {**own, "decisions": {**record.get("decisions", {}), **_decisions(own)}}
            name = element.get("label", "")
            tag = tag_of.get(name) or _new_class(name, targets)
            if tag and element.get("source") != "auto" and not (own and tag[0] not in _decisions(own)):
                found[tag[0]].append(_FoundTag(*tag[1:], attributes))
        for target in targets:
            if tags := found[target.name]:
                place = entry, (image.get("name", ""),), target.name
                yield _decision(place, record, tags, target.kind == "multilabel")


class _FoundTag(NamedTuple):
    text: str
    is_state: bool
    attributes: Mapping[str, str]


def _new_class(name: str, targets: Sequence[Target]) -> Tag | None:
    """A label that is none of ours, as a class that its target does not have."""
    if len(targets) == 1:
        return targets[0].name, name.removeprefix(f"{targets[0].name}: "), False
    named = [target.name for target in targets if name.startswith(f"{target.name}: ")]
    return (max(named, key=len), name.removeprefix(f"{max(named, key=len)}: "), False) if named else None


def _decisions(record: Mapping[str, Any]) -> Mapping[str, Any]:
    decisions = record.get("decisions")
    return decisions if isinstance(decisions, dict) else {}


def _decision(
    place: tuple[int, tuple[str, ...], str], record: Mapping[str, Any], tags: list[_FoundTag], is_multilabel: bool
) -> ReadDecision:
    """The decision of a target's tags: tags that were added in CVAT count before those of a record."""
    added = [tag for tag in tags if not tag.attributes.get(RECORD)]
    counting = added or tags
    labels = [tag.text for tag in counting if not tag.is_state]
    if labels and is_multilabel:
        labels = [tag.text for tag in tags if not tag.is_state]
    states = [tag.text for tag in counting if tag.is_state]
    attributes = counting[0].attributes
    note = attributes.get(NOTE, "")
    said = Said.of_labels(labels, note) if labels else Said.of_state(states[0], note)
    return decision_in(place, record, said, attributes.get(WHO), attributes.get(AT))
