"""Models open without making others wait, and a run names no data outside the folder."""

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from muslin.data.registry import DATASETS
from muslin.data.synthetic import make_garments
from muslin.errors import BundleError, DataError, MuslinError
from muslin.explain.inspection import InspectedModel
from muslin.models.bundle import seal
from muslin.models.predictor import Predictor
from muslin.studio import model_worker, validation_worker
from muslin.studio import workspace as workspace_module
from muslin.studio.model_files import image_page
from muslin.studio.model_images import model_images
from muslin.studio.run_sources import check_within
from muslin.studio.workspace import MODELS_KEPT, Workspace
from muslin.workers import WorkerPool
from muslin.workflows.run_folder import record_content
from refusals import refuses
from small_models import small_bundle

WAIT_S = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("slow.muslin", "quick.muslin"):
        seal(small_bundle(), tmp_path / name)
    return tmp_path


def test_other_models_are_used_while_one_is_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, go_on, opened = threading.Event(), threading.Event(), []

    def slowly(path: Path, name: str) -> InspectedModel:
        opened.append(name)
        if name == "slow.muslin":
            opening.set()
            assert go_on.wait(WAIT_S)
        return InspectedModel.of(Predictor(small_bundle(), 1, name))

    monkeypatch.setattr(workspace_module, "open_within_limits", slowly)
    workspace, found = Workspace(folder), []
    slow = [threading.Thread(target=lambda: found.append(workspace.model("slow.muslin"))) for _ in range(2)]
    for thread in slow:
        thread.start()
    assert opening.wait(WAIT_S)
    quick = threading.Thread(target=workspace.model, args=("quick.muslin",))
    quick.start()
    quick.join(WAIT_S)
    assert not quick.is_alive()
    assert found == []
    go_on.set()
    for thread in slow:
        thread.join(WAIT_S)
    assert len(found) == 2
    assert found[0] is found[1]
    assert sorted(opened) == ["quick.muslin", "slow.muslin"]


def test_requests_that_wait_for_a_model_hold_no_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, go_on = threading.Event(), threading.Event()

    def slowly(path: Path, name: str) -> InspectedModel:
        if name == "slow.muslin":
            opening.set()
            assert go_on.wait(WAIT_S)
        return InspectedModel.of(Predictor(small_bundle(), 1, name))

    monkeypatch.setattr(workspace_module, "open_within_limits", slowly)

    async def ask() -> None:
        workspace = Workspace(folder)
        waiting = [asyncio.create_task(workspace.open("slow.muslin")) for _ in range(100)]
        await asyncio.to_thread(opening.wait, WAIT_S)
        await workspace.open("quick.muslin")
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        assert workspace._openers.borrowed_tokens == 1
        go_on.set()
        await asyncio.gather(*waiting)

    asyncio.run(ask())


def test_a_refusal_reaches_all_that_wait_for_the_model(folder: Path) -> None:
    (folder / "quick.muslin").write_bytes(b"PK no")

    async def ask() -> list[object]:
        workspace = Workspace(folder)
        opened = [workspace.open("quick.muslin") for _ in range(5)]
        return await asyncio.gather(*opened, return_exceptions=True)

    errors = asyncio.run(ask())
    assert len(errors) == 5
    assert all(isinstance(error, BundleError) and error.code == "bundle_not_zip" for error in errors)


def test_a_model_that_cannot_be_opened_is_tried_again(folder: Path) -> None:
    good = (folder / "quick.muslin").read_bytes()
    (folder / "quick.muslin").write_bytes(b"PK no")
    workspace = Workspace(folder)
    for _ in range(2):
        with pytest.raises(BundleError) as error:
            workspace.model("quick.muslin")
        assert error.value.params["path"] == "quick.muslin"
    (folder / "quick.muslin").write_bytes(good)
    assert isinstance(workspace.model("quick.muslin"), InspectedModel)


def test_a_model_that_exceeds_a_limit_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "large.muslin").write_bytes(bytes(30_000_000))
    with refuses("bundle_not_zip", BundleError, path="large.muslin"):
        Workspace(folder).model("large.muslin")
    small = WorkerPool("muslin.studio.model_worker:_open", processes=1, max_s=60, max_mb=10)
    monkeypatch.setattr(model_worker, "_WORKERS", small)
    with refuses("opening_limits", BundleError, path="large.muslin"):
        Workspace(folder).model("large.muslin")
    small.close()
    monkeypatch.setattr(model_worker, "MAX_MODEL_BYTES", 100)
    with refuses("opening_limits", BundleError, path="quick.muslin"):
        Workspace(folder).model("quick.muslin")


def test_only_the_last_models_stay_open(folder: Path) -> None:
    workspace = Workspace(folder)
    first = workspace.model("quick.muslin")
    assert workspace.model("quick.muslin") is first
    for number in range(MODELS_KEPT):
        shutil.copy(folder / "slow.muslin", folder / f"{number}.muslin")
        workspace.model(f"{number}.muslin")
    assert workspace.model("quick.muslin") is not first


# --- data of a run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    dataset = make_garments(120, seed=1).dataset
    for number, label in enumerate(dataset.labels["label"]):
        photo = folder / "photos" / f"class {label}" / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[number][:, :, 0]).save(photo)
    settings = {"epochs": 1, "batch_size": 48}
    muslin.train(folder / "photos", out=folder / "run", recipe="quick", settings=settings)
    return folder


def accuracy_on_data(root: Path, **source: object) -> dict[str, object]:
    """The accuracy of a model whose run says that its data are elsewhere, as muslin would have written it."""
    file = root / "run" / "run.json"
    record = {name: value for name, value in json.loads(file.read_text()).items() if name != "sha256"}
    record["source"] |= source
    file.write_bytes(record_content(record))
    inspection = {"model": "run/model.muslin", "image": "golden:0"}
    return Workspace(root).accuracy({"inspection": inspection, "on": "data", "count": 20})


def test_accuracy_is_measured_on_images_not_trained_on(trained: Path) -> None:
    found = accuracy_on_data(trained)
    assert (found["on"], found["before"]) == ("data", found["after"])
    assert 0 < found["n"] <= 20  # type: ignore[operator]
    seen: Any = found["seen_images"]
    assert found["part"] in ("validation", "test")
    assert seen["n"] >= found["n"]
    assert seen["train"] == 0


def test_a_run_cannot_name_data_outside_the_folder(trained: Path, tmp_path: Path) -> None:
    root = tmp_path / "served"
    shutil.copytree(trained, root)
    outside = tmp_path / "outside"
    shutil.copytree(trained / "photos", outside)
    (root / "link").symlink_to(outside)
    inside = str(root / "photos")
    for source in (
        {"data": str(outside)},
        {"data": str(root / "link")},
        {"data": f"{root}/../outside"},
        {"data": "../outside"},
        {"data": inside, "test": str(outside)},
        {"data": inside, "test": None, "read_options": {"images": str(outside)}},
    ):
        with pytest.raises(DataError) as error:
            accuracy_on_data(root, **source)
        assert (error.value.code, error.value.status) == ("data_outside", 403), source
    for source in ({"data": ["a"], "read_options": {}}, {"data": "a\0b"}, {"read_options": {"reader": "mine"}}):
        with pytest.raises(DataError) as error:
            accuracy_on_data(root, **source)
        assert (error.value.code, error.value.status) == ("run_without_data", 404), source
    assert accuracy_on_data(root, data=inside, test=None, read_options={})["n"] > 0  # type: ignore[operator]


def test_a_record_that_was_edited_names_no_data(trained: Path, tmp_path: Path) -> None:
    root = tmp_path / "served"
    shutil.copytree(trained, root)
    file = root / "run" / "run.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1', 1))
    with refuses("run_without_data", DataError):
        Workspace(root).accuracy({"inspection": {"model": "run/model.muslin", "image": "golden:0"}, "on": "data"})


def test_a_run_can_name_registered_data(tmp_path: Path) -> None:
    for name in (*DATASETS, None):
        check_within(tmp_path, name)
    with pytest.raises(DataError):
        check_within(tmp_path, "another name")


def test_data_that_exceed_a_limit_are_refused(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = WorkerPool("muslin.studio.validation_worker:_read", processes=1, max_s=60, max_mb=4000, max_clock_s=0)
    monkeypatch.setattr(validation_worker, "_WORKERS", short)
    with refuses("reading_limits", DataError, seconds=validation_worker.MAX_READING_S):
        accuracy_on_data(trained)
    short.close()


def test_no_images_can_be_asked_for(trained: Path) -> None:
    inspection = {"model": "run/model.muslin", "image": "golden:0"}
    assert Workspace(trained).accuracy({"inspection": inspection, "on": "data", "count": 0})["n"] == 0


def test_a_model_without_a_run_has_no_data(folder: Path) -> None:
    inspection = {"model": "quick.muslin", "image": "golden:0"}
    with pytest.raises(DataError) as error:
        Workspace(folder).accuracy({"inspection": inspection, "on": "data"})
    assert (error.value.code, error.value.status) == ("run_without_data", 404)


def test_charts_of_a_run_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("run/run.json", "run/learning_curves.svg", "coat.png"):
        (tmp_path / name).touch()
    assert image_page(tmp_path)["images"] == ["coat.png"]


def test_test_images_of_a_model_need_its_run(folder: Path) -> None:
    workspace = Workspace(folder)
    with refuses("run_without_data", DataError):
        model_images(workspace.data, (), {"model": "quick.muslin"})


def test_a_drawing_has_the_size_of_the_model_or_is_resized(folder: Path) -> None:
    workspace = Workspace(folder)
    inspection = {"model": "quick.muslin", "image": "drawing:" + "_" * 85 + "8"}  # 64 white pixels
    assert np.array_equal(workspace.inspection({"inspection": inspection}).pixels, np.full((8, 8, 1), 255))
    other = workspace.inspection({"inspection": inspection | {"image": "drawing:" + "_" * 341 + "8"}})  # 16 × 16
    assert np.array_equal(other.pixels, np.full((8, 8, 1), 255))
    with pytest.raises(MuslinError) as error:
        workspace.inspection({"inspection": inspection | {"image": "drawing:AAA"}})
    assert (error.value.code, error.value.params) == ("drawing_size", {"height": 8, "width": 8})
