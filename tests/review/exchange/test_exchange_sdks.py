"""What muslin writes, the tools' own packages read; what they write again, muslin reads. Skipped without a package.

    pip install label-studio-sdk==2.1.2 cvat-sdk==2.80.0 datumaro==1.13.12 fiftyone==1.22.1

FiftyOne needs MongoDB, which the package `fiftyone-db` has or fetches.
"""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reviewed_products import COLOURS, TARGETS, TYPE, products, without_decisions

from muslin.data.dataset import Target
from muslin.review.exchange import EXCHANGE_FORMATS, read_exchange
from muslin.review.exchange.cvat import cvat_labels, label_names
from muslin.review.exchange.label_studio import labelling_configuration
from muslin.review.exchange.matching import plan_import
from muslin.review.values import Item

pytestmark = pytest.mark.filterwarnings("default")  # those of other people's packages

TARGET_CHOICES = pytest.mark.parametrize("targets", [TARGETS, (TYPE,), (COLOURS,)], ids=["both", "type", "colours"])


def write(folder: Path, name: str, targets: tuple[Target, ...], rows: list[list[Item]]) -> Path:
    path = folder / f"file{EXCHANGE_FORMATS[name].suffix}"
    path.write_text("".join(EXCHANGE_FORMATS[name].write(targets, rows, "")))
    return path


def photos(folder: Path, rows: list[list[Item]]) -> None:
    for items in rows:
        for photo in items[0].photos:
            (folder / photo).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(folder / photo)


def decisions(path: Path, targets: tuple[Target, ...], rows: list[list[Item]]) -> list[Any]:
    read = read_exchange(path, targets)
    return plan_import(read.tool, read.decisions, targets, without_decisions(rows)).decisions


@TARGET_CHOICES
@pytest.mark.parametrize("n_photos", [1, 2])
def test_label_studio_takes_tasks(targets: tuple[Target, ...], n_photos: int, tmp_path: Path) -> None:
    interfaces = pytest.importorskip("label_studio_sdk.label_interface")
    rows = products(targets, n_photos)
    interface = interfaces.LabelInterface(labelling_configuration(targets, rows))
    interface.validate()
    tasks = json.loads(write(tmp_path, "label-studio", targets, rows).read_text())
    assert len(tasks) == len(rows)
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        assert interface._validate_object(task["predictions"][0], return_errors=True) == []
        for annotation in task["annotations"]:
            assert interface._validate_object(annotation, return_errors=True) == []


@TARGET_CHOICES
def test_cvat_takes_labels(targets: tuple[Target, ...]) -> None:
    pytest.importorskip("cvat_sdk")
    from cvat_sdk.models import PatchedLabelRequest

    labels = json.loads(cvat_labels(targets))
    taken = [PatchedLabelRequest._from_openapi_data(**label) for label in labels]
    assert [label.name for label in taken] == list(label_names(targets).values())


@TARGET_CHOICES
@pytest.mark.parametrize("n_photos", [1, 2])
def test_datumaro_reads_and_writes_cvat(targets: tuple[Target, ...], n_photos: int, tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    rows = products(targets, n_photos)
    path = write(tmp_path, "cvat", targets, rows)
    photos(tmp_path / "images", rows)
    taken = datumaro.Dataset.import_from(str(path), "cvat")
    names = list(taken.categories()[datumaro.AnnotationType.label])
    assert {label.name for label in names} == set(label_names(targets).values())
    assert len(taken) == sum(len(items[0].photos) for items in rows)
    taken.export(str(tmp_path / "again"), "cvat", save_media=True)
    written = next((tmp_path / "again").rglob("*.xml"))
    assert decisions(written, targets, rows) == decisions(path, targets, rows)
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(written, "annotations.xml")
    assert decisions(tmp_path / "task.zip", targets, rows) == decisions(path, targets, rows)


@TARGET_CHOICES
@pytest.mark.parametrize("n_photos", [1, 2])
def test_fiftyone_reads_and_writes(targets: tuple[Target, ...], n_photos: int, tmp_path: Path) -> None:
    fiftyone = pytest.importorskip("fiftyone")
    rows = products(targets, n_photos)
    photos(tmp_path, rows)
    path = write(tmp_path, "fiftyone", targets, rows)
    taken = fiftyone.Dataset.from_json(str(path), rel_dir=str(tmp_path))
    try:
        assert len(taken) == sum(len(items[0].photos) for items in rows)
        assert taken.values("product") == [items[0].name for items in rows for _ in items[0].photos]
        taken.write_json(str(tmp_path / "again.json"))
        assert decisions(tmp_path / "again.json", targets, rows) == decisions(path, targets, rows)
        sample = taken.first()
        if targets[0] == TYPE:
            sample["type"] = fiftyone.Classification(label="bag")
            sample.save()
            taken.write_json(str(tmp_path / "changed.json"))
            found = decisions(tmp_path / "changed.json", targets, rows)
            assert [(who, d.value) for who, d in found if d.product == 1 and d.target == "type"] == [(None, "bag")]
        taken.export(str(tmp_path / "folder"), dataset_type=fiftyone.types.FiftyOneDataset, export_media=False)
        assert decisions(tmp_path / "folder/samples.json", targets, rows)
    finally:
        taken.delete()
        shutil.rmtree(tmp_path / "folder", ignore_errors=True)
