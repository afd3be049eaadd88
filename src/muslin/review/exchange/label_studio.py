"""Label Studio: a list of tasks as JSON, one for each product, and the labelling configuration that shows them.

A task has the product's photos, the predictions of the model and one annotation with what people decided. For each
target there are three controls: the classes, `TARGET decision` for what is no class, and `TARGET note`. Who decided and
when stand in the data of the task, which Label Studio keeps as they are: it refuses annotations of people that it does
not know. <https://labelstud.io/guide/tasks>
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from muslin.data.dataset import Target
from muslin.review.exchange.decisions import (
    NO_LABEL,
    NOT_OURS,
    NOT_SURE,
    ReadDecision,
    Said,
    decision_in,
    has_several_photos,
    json_list,
    product_record,
    read_record,
    said_of,
    text_or_none,
)
from muslin.review.values import Item, labels_of

RECORD = "muslin"
"""Key of a task's data with the record of the product."""

DIGEST_CHARACTERS = 12
"""Of a model's digest, as its version."""


def label_studio_tasks(
    targets: Sequence[Target], products: Iterable[Sequence[Item]], photo_prefix: str = ""
) -> Iterator[str]:
    """The tasks, as pieces of a JSON text.

    Args:
        targets: with the classes that people added.
        products: per product its items, one for each target.
        photo_prefix: what Label Studio needs before the name of a photo, such as `/data/local-files/?d=photos/`.
    """
    several = has_several_photos(products)
    return json_list(_task(targets, items, photo_prefix, several) for items in products)


def labelling_configuration(targets: Sequence[Target], products: Iterable[Sequence[Item]]) -> str:
    """The XML of the project that the tasks belong to."""
    image = 'valueList="$images"' if has_several_photos(products) else 'value="$image"'
    lines = ["<View>", f'  <Image name="image" {image}/>']
    for target in targets:
        states = (NOT_SURE, NOT_OURS, *((NO_LABEL,) if target.kind == "multilabel" else ()))
        choice = "multiple" if target.kind == "multilabel" else "single-radio"
        lines += [f"  <Header value={quoteattr(target.name)}/>"]
        lines += _choices(target.name, choice, target.classes)
        lines += _choices(_state_control(target), "single-radio", states)
        lines += [f'  <TextArea name={quoteattr(_note_control(target))} toName="image" maxSubmissions="1"/>']
    return "\n".join([*lines, "</View>", ""])


def _choices(name: str, choice: str, values: Iterable[str]) -> Iterator[str]:
    yield f'  <Choices name={quoteattr(name)} toName="image" choice="{choice}">'
    yield from (f"    <Choice value={quoteattr(value)}/>" for value in values)
    yield "  </Choices>"


def _state_control(target: Target) -> str:
    return f"{target.name} decision"


def _note_control(target: Target) -> str:
    return f"{target.name} note"


def _task(targets: Sequence[Target], items: Sequence[Item], photo_prefix: str, several: bool) -> dict[str, Any]:
    photos = [photo_prefix + photo for photo in items[0].photos]
    image: dict[str, Any] = {"images": photos} if several else {"image": "".join(photos[:1])}
    record = product_record(targets, items)
    data = {**image, "product": items[0].name, "text": items[0].text, RECORD: record}
    task: dict[str, Any] = {"data": data, "annotations": [], "predictions": [_prediction(targets, items)]}
    results = [result for target, item in zip(targets, items, strict=True) for result in _decision(target, item)]
    if results:
        last = max(decision["at"] for decision in record["decisions"].values())
        task["annotations"] = [{"result": results, "created_at": last, "was_cancelled": False, "ground_truth": False}]
    return task


def _decision(target: Target, item: Item) -> Iterator[dict[str, Any]]:
    """The results of the three controls of a target."""
    if (said := said_of(item, target)) is None:
        return
    if said.labels:
        yield _result(target.name, "choices", list(said.labels))
    if said.state:
        yield _result(_state_control(target), "choices", [said.state])
    if said.note:
        yield _result(_note_control(target), "text", [said.note])


def _prediction(targets: Sequence[Target], items: Sequence[Item]) -> dict[str, Any]:
    """What the model predicted; the score is the lowest probability of the targets."""
    labels = {target.name: labels_of(target, item.value) for target, item in zip(targets, items, strict=True)}
    return {
        "model_version": items[0].digest[:DIGEST_CHARACTERS],
        "score": min(item.probability for item in items),
        "result": [_result(name, "choices", list(found)) for name, found in labels.items() if found],
    }


def _result(control: str, kind: str, values: list[str]) -> dict[str, Any]:
    tag = "textarea" if kind == "text" else kind
    return {"id": control, "from_name": control, "to_name": "image", "type": tag, "value": {kind: values}}


def read_label_studio(tasks: Sequence[Any], targets: Sequence[Target]) -> Iterator[ReadDecision]:
    """The decisions of an export of Label Studio: of each annotation, in the order of the tasks.

    Skipped annotations and drafts are no decisions. A project of another's making with one control of choices is read
    for a store with one target.

    Raises:
        AttributeError, KeyError, TypeError: a task is not as Label Studio writes it.
    """
    alone = _only_control(tasks, targets)
    for entry, task in enumerate(tasks, 1):
        data = task["data"]
        record = read_record(data.get(RECORD))
        photos = _photos(data)
        for annotation in task.get("annotations") or ():
            if annotation.get("was_cancelled"):
                continue
            values = _values(annotation)
            for target in targets:
                if said := _said(values, target, alone or target.name):
                    place, who = (entry, photos, target.name), _annotator(annotation)
                    at = text_or_none(annotation.get("updated_at") or annotation.get("created_at"))
                    yield decision_in(place, record, said, who, at)


def _said(values: Mapping[str, Sequence[str]], target: Target, control: str) -> Said | None:
    """What the controls of a target say. Labels count before a state."""
    labels, states = values.get(control), values.get(_state_control(target))
    note = "\n".join(values.get(_note_control(target), ()))
    if labels:
        return Said.of_labels(labels, note)
    return Said.of_state(states[0], note) if states else None


def _only_control(tasks: Sequence[Any], targets: Sequence[Target]) -> str | None:
    """The name of the only control of choices, where it is not called as the only target."""
    controls = {
        result["from_name"]
        for task in tasks
        for annotation in task.get("annotations") or ()
        for result in annotation.get("result") or ()
        if "choices" in result["value"]
    }
    ours = {name for target in targets for name in (target.name, _state_control(target))}
    return next(iter(controls)) if len(targets) == len(controls) == 1 and not controls & ours else None


def _values(annotation: Mapping[str, Any]) -> dict[str, list[str]]:
    """Per control its choices or texts."""
    values: dict[str, list[str]] = {}
    for result in annotation.get("result") or ():
        value = result["value"]
        found = value.get("choices") or value.get("text") or []
        values.setdefault(result["from_name"], []).extend([found] if isinstance(found, str) else map(str, found))
    return values


def _photos(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The photos of a task: of our names for them, or every text that a task has."""
    if isinstance(images := data.get("images"), list):
        return tuple(map(str, images))
    names = [data["image"]] if "image" in data else data.values()
    return tuple(name for name in names if isinstance(name, str))


def _annotator(annotation: Mapping[str, Any]) -> str | None:
    """The e-mail address, or the number that Label Studio gave the person."""
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        person = person.get("email") or person.get("id")
    return None if person is None else str(person)
