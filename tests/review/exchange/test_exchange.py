"""Decisions go to labelling tools and come back as they were, and what is changed there is a new decision."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from reviewed_products import COLOURS, TARGETS, TYPE, decided, products, undecided, without_decisions

from muslin.data.dataset import Target
from muslin.errors import DataError
from muslin.review.exchange import EXCHANGE_FORMATS, read_exchange
from muslin.review.exchange.matching import ImportPlan, plan_import, utc
from muslin.review.values import Item, NewDecision

TARGET_CHOICES = (TARGETS, (TYPE,), (COLOURS,))
FORMATS = sorted(EXCHANGE_FORMATS)


def write(path: Path, name: str, targets: tuple[Target, ...], rows: list[list[Item]]) -> Path:
    path.write_text("".join(EXCHANGE_FORMATS[name].write(targets, rows, "")))
    return path


def plan(path: Path, targets: tuple[Target, ...], rows: list[list[Item]]) -> ImportPlan:
    read = read_exchange(path, targets)
    return plan_import(read.tool, read.decisions, targets, rows)


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize("targets", TARGET_CHOICES, ids=lambda targets: targets[0].name + str(len(targets)))
@pytest.mark.parametrize("photos", [1, 2])
@pytest.mark.parametrize("name", FORMATS)
def test_all_of_a_decision_comes_back(name: str, photos: int, targets: tuple[Target, ...], tmp_path: Path) -> None:
    rows = products(targets, photos)
    path = write(tmp_path / "file", name, targets, rows)
    back = plan(path, targets, without_decisions(rows))
    assert read_exchange(path, targets).tool == name
    assert (back.older, back.unknown, back.ambiguous, back.classes) == ([], [], [], {})
    expected = {
        (item.product, item.target): (d.kind, d.value, d.note, d.who, d.at, d.fingerprint, d.digest)
        for items in rows
        for item in items
        if (d := item.decided)
    }
    assert {(d.product, d.target): _content(who, d) for who, d in back.decisions} == expected
    again = plan(path, targets, rows)
    assert (again.decisions, again.same) == ([], len(expected))


def _content(who: str | None, decision: NewDecision) -> tuple[str | None, ...]:
    d = decision
    return d.kind, d.value, d.note, who, d.at, d.fingerprint, d.digest


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_read_twice_has_the_same_requests(name: str, tmp_path: Path) -> None:
    rows = products()
    path = write(tmp_path / "file", name, TARGETS, rows)
    requests = [[d.request for _, d in plan(path, TARGETS, without_decisions(rows)).decisions] for _ in range(2)]
    assert requests[0] == requests[1]
    assert len(set(requests[0])) == len(requests[0]) == 8


def test_label_changed_in_label_studio_is_the_annotators(tmp_path: Path) -> None:
    rows = products((TYPE,))
    path = write(tmp_path / "tasks.json", "label-studio", (TYPE,), rows)

    def change(tasks: Any) -> None:
        annotation = tasks[0]["annotations"][0]
        annotation["result"][0]["value"]["choices"] = ["bag"]
        annotation |= {"completed_by": {"id": 3, "email": "bo@shop.example"}, "updated_at": "2026-06-01T12:00:00Z"}
        tasks[4]["annotations"] = [{"was_cancelled": True, "result": []}]

    change_json(path, change)
    ((who, decision),) = plan(path, (TYPE,), rows).decisions
    assert (who, decision.product, decision.value) == ("bo@shop.example", 1, "bag")
    assert (decision.at, decision.after, decision.digest) == ("2026-06-01T12:00:00.000000Z", 7, "d" * 64)


def test_two_annotators_are_two_decisions_in_order_of_time(tmp_path: Path) -> None:
    rows = [[undecided(1, TYPE)]]
    path = write(tmp_path / "tasks.json", "label-studio", (TYPE,), rows)

    def change(tasks: Any) -> None:
        def annotation(label: str, person: int, day: int) -> dict[str, Any]:
            result = {"from_name": "type", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
            return {"completed_by": person, "created_at": f"2026-06-0{day}T12:00:00Z", "result": [result]}

        tasks[0]["annotations"] = [annotation("bag", 5, 2), annotation("coat", 4, 1)]

    change_json(path, change)
    assert [(who, d.value) for who, d in plan(path, (TYPE,), rows).decisions] == [("4", "coat"), ("5", "bag")]


def test_another_project_of_label_studio_is_read_by_photos(tmp_path: Path) -> None:
    rows = [[undecided(1, TYPE)], [undecided(2, TYPE)], [undecided(3, TYPE)]]
    result = {"from_name": "choice", "to_name": "img", "type": "choices", "value": {"choices": ["coat"]}}
    addresses = ["/data/upload/1/0a1b2c3d-1-0.jpg", "/data/local-files/?d=shop/photos/2-0.jpg", "else.jpg"]
    tasks = [{"data": {"img": address}, "annotations": [{"result": [result]}]} for address in addresses]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    found = plan(path, (TYPE,), rows)
    assert [(who, d.product, d.value, d.at) for who, d in found.decisions] == [
        (None, 1, "coat", None),
        (None, 2, "coat", None),
    ]
    assert found.unknown == [3]


def test_one_changed_photo_of_a_product_counts(tmp_path: Path) -> None:
    rows = products((TYPE,), photos=2)
    path = write(tmp_path / "samples.json", "fiftyone", (TYPE,), rows)
    change_json(path, lambda value: value["samples"][1]["type"].update(label="bag"))
    ((who, decision),) = plan(path, (TYPE,), rows).decisions
    assert (who, decision.product, decision.value, decision.note) == (None, 1, "bag", rows[0][0].decided.note)  # type: ignore[union-attr]


def test_photos_that_disagree_are_told(tmp_path: Path) -> None:
    rows = products((TYPE,), photos=2)
    path = write(tmp_path / "samples.json", "fiftyone", (TYPE,), rows)

    def change(value: Any) -> None:
        value["samples"][0]["type"]["label"] = "bag"
        value["samples"][1]["type"]["label"] = "not sure"

    change_json(path, change)
    assert read_exchange(path, (TYPE,)).differing == (1, 2)
    assert plan(path, (TYPE,), rows).decisions == []


def test_label_set_after_not_sure_in_fiftyone_counts(tmp_path: Path) -> None:
    rows = products((TYPE,))
    path = write(tmp_path / "samples.json", "fiftyone", (TYPE,), rows)
    change_json(path, lambda value: value["samples"][2].update(type={"_cls": "Classification", "label": "bag"}))
    assert [(d.product, d.kind, d.value) for _, d in plan(path, (TYPE,), rows).decisions] == [(3, "value", "bag")]


def _cvat_images(path: Path) -> tuple[ElementTree.ElementTree, list[ElementTree.Element]]:
    tree = ElementTree.parse(path)
    return tree, tree.findall("image")


def test_tags_added_and_removed_in_cvat_are_new_decisions(tmp_path: Path) -> None:
    rows = products()
    path = write(tmp_path / "annotations.xml", "cvat", TARGETS, rows)
    tree, images = _cvat_images(path)
    for tag in images[0].findall("tag"):
        if tag.get("label") == "main colours: black":
            images[0].remove(tag)  # leaves grün
    ElementTree.SubElement(images[1], "tag", label="type: bag", source="manual")  # beside the old "not sure"
    ElementTree.SubElement(images[4], "tag", label="type: coat", source="manual")  # beside the model's
    ElementTree.SubElement(images[3], "tag", label="main colours: black", source="manual")
    tree.write(path)
    found = {(d.product, d.target): d.value for _, d in plan(path, TARGETS, rows).decisions}
    assert found == {
        (1, "main colours"): '["grün"]',
        (2, "type"): "bag",
        (9, "type"): "coat",
        (4, "main colours"): '["black", "red & white"]',
    }


def test_cvats_zip_is_read(tmp_path: Path) -> None:
    rows = products()
    path = write(tmp_path / "annotations.xml", "cvat", TARGETS, rows)
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(path, "annotations.xml")
    assert read_exchange(tmp_path / "task.zip", TARGETS) == read_exchange(path, TARGETS)


def test_older_decision_is_left_out(tmp_path: Path) -> None:
    rows = products((TYPE,))
    path = write(tmp_path / "tasks.json", "label-studio", (TYPE,), rows)
    current = decided(undecided(1, TYPE), "value", "bag", "")
    assert current.decided
    later = replace(current, decided=replace(current.decided, at="2026-05-02T00:00:00.000000+02:00"))
    assert plan(path, (TYPE,), [[later], *rows[1:]]).older == [1]


def test_unknown_classes_and_products_are_told(tmp_path: Path) -> None:
    rows = products((TYPE,))
    path = write(tmp_path / "tasks.json", "label-studio", (TYPE,), rows)

    def change(tasks: Any) -> None:
        tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = ["cape"]

    change_json(path, change)
    found = plan(path, (TYPE,), rows[:2] + rows[3:])
    assert (found.classes, found.unknown) == ({"type": ["cape"]}, [3])


def test_two_products_of_one_name_are_told_apart_by_photos(tmp_path: Path) -> None:
    first = undecided(1, TYPE)
    rows = [[decided(first, "value", "bag", "")], [replace(first, product=2, fingerprint="other")]]
    path = write(tmp_path / "tasks.json", "label-studio", (TYPE,), rows)
    assert [d.product for _, d in plan(path, (TYPE,), without_decisions(rows)).decisions] == [1]
    changed = [[replace(items[0], fingerprint="new")] for items in without_decisions(rows)]
    assert plan(path, (TYPE,), changed).ambiguous == [1]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("[1, 2]", "exchange_unknown"),
        ('{"images": []}', "exchange_unknown"),
        ("<svg/>", "exchange_unknown"),
        ('[{"data": 7}]', "exchange_entry"),
        ('[{"data": {}, "annotations": [{"result": [{"value": 3}]}]}]', "exchange_entry"),
        ('{"samples": [{"type": "coat"}]}', "exchange_entry"),
        ("<annotations><image>", "exchange_entry"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "exchange_entry"),
        ("[{", "json_file"),
        ("<annotations>" + "<a>" * 200, "exchange_too_large"),
        ("PK\x03\x04", "archive_damaged"),
    ],
)
def test_other_files_are_refused(content: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_exchange(path, (TYPE,))
    assert (caught.value.code, caught.value.params["path"]) == (code, str(path))


@pytest.mark.parametrize("text", [None, "", "yesterday", "0001-01-01T00:00:00+10:00"])
def test_no_time_is_none(text: str | None) -> None:
    assert utc(text) is None
