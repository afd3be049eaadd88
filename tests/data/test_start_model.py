"""A training starts from another muslin model, and counts the images that this one has seen as seen."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import write_folders
from safetensors.numpy import load

import muslin
from muslin.data import read
from muslin.data.photos import resize_photos
from muslin.errors import MuslinError, StoppedError
from muslin.models.bundle import open_bundle, seal
from muslin.models.seen_images import ImageRole, SeenImages, digest_dataset
from small_models import small_bundle

SMALL = {"network": "efficientnet-lite0", "weights": "random", "image_size": 48, "epochs": 20}
TUNED = SMALL | {"epochs": 1, "batch_size": 8, "frozen_blocks": 15}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of a first season in `old`, 10 training and 3 test photos of each of 3 classes; and a model of them."""
    folder = tmp_path_factory.mktemp("start")
    write_folders(folder / "old", {"train": 10, "test": 3})
    run = muslin.train(folder / "old", recipe="photo", out=folder / "run", settings=SMALL)
    shutil.copy(run.model, folder / "old.muslin")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def new_season(folder: Path, names: dict[str, str] | None = None) -> Path:
    """Photos that the first season does not have, of classes with other names."""
    write_folders(folder / "all", {"old": 13, "train": 8, "test": 4})
    shutil.rmtree(folder / "all/old")
    for old, new in (names or {}).items():
        for part in ("train", "test"):
            (folder / "all" / part / old).rename(folder / "all" / part / new)
    return folder / "all"


def roles(model: Path, photos: Path, part: str) -> set[int]:
    dataset = read(photos)
    dataset = resize_photos(dataset.take(np.flatnonzero(dataset.parts == part)), (48, 48, 3))
    seen = open_bundle(model).seen_images
    assert seen is not None
    return set(seen.roles(digest_dataset(dataset)).tolist())


def train(
    photos: Path, out: Path, start: str | Path, recipe: str = "photo", **settings: Any
) -> tuple[muslin.Run, dict[str, Any]]:
    """The run, and the parameters of its messages by code."""
    messages: list[Any] = []
    base = TUNED if recipe == "photo-tuned" else SMALL
    settings = {**base, **settings, "weights": str(start)}
    run = muslin.train(photos, recipe=recipe, out=out, settings=settings, log=messages.append)
    return run, {message.code: message.params for message in messages if hasattr(message, "code")}


def test_a_probe_takes_over_the_backbone_for_other_classes(shared: Path, tmp_path: Path) -> None:
    photos = new_season(tmp_path, {"hat": "cap"})
    run, said = train(photos, tmp_path / "run", shared / "old.muslin")
    old, new = open_bundle(shared / "old.muslin"), open_bundle(run.model)
    assert "cap" in new.targets[0].classes
    before, after = load(old.weights), load(new.weights)
    backbone = [name for name in before if not name.startswith("head")]
    backbone = [name for name in backbone if before[name].shape == after.get(name, np.empty(0)).shape]
    assert len(backbone) > 100
    assert all(np.array_equal(before[name], after[name]) for name in backbone if "label" not in name)
    digest = hashlib.sha256((shared / "old.muslin").read_bytes()).hexdigest()
    assert run.record["start_model"] == {"path": str(shared / "old.muslin"), "sha256": digest}
    assert new.provenance["start_model"] == run.record["start_model"]
    assert said["start_model"]["n"] == 30
    assert "start_images_set_aside" not in said


def test_the_new_model_has_seen_what_the_start_model_has(shared: Path, tmp_path: Path) -> None:
    photos = new_season(tmp_path)
    run, _ = train(photos, tmp_path / "run", shared / "run")
    assert roles(run.model, shared / "old", "train") == {ImageRole.TRAIN}
    assert roles(run.model, shared / "old", "test") == {ImageRole.NEW}
    assert roles(run.model, photos, "train") == {ImageRole.TRAIN}
    assert roles(run.model, photos, "test") == {ImageRole.NEW}


def test_fine_tuning_starts_from_a_model(shared: Path, tmp_path: Path) -> None:
    run, said = train(new_season(tmp_path), tmp_path / "run", shared / "old.muslin", "photo-tuned")
    assert said["start_model"]["n"] == 30
    assert roles(run.model, shared / "old", "train") == {ImageRole.TRAIN}


def test_network_and_image_size_are_those_of_the_start_model(shared: Path, tmp_path: Path) -> None:
    photos, settings = new_season(tmp_path), {"epochs": 20, "weights": str(shared / "run")}
    run = muslin.train(photos, recipe="photo", out=tmp_path / "run", settings=settings)
    assert (run.record["recipe"]["network"], run.record["recipe"]["image_size"]) == ("efficientnet-lite0", 48)


def test_seen_images_neither_test_nor_calibrate(shared: Path, tmp_path: Path) -> None:
    photos = new_season(tmp_path)
    for kind in (path.name for path in (shared / "old/train").iterdir()):
        first, second, *_ = sorted((shared / "old/train" / kind).iterdir())
        shutil.copy(first, photos / "test" / kind)
        shutil.copy(second, photos / "train" / kind)
    run, said = train(photos, tmp_path / "run", shared / "old.muslin")
    assert (said["start_images_set_aside"]["part"], said["start_images_set_aside"]["seen"]) == ("test", 3)
    assert run.record["test"]["label"]["n"] == 12
    assert len(open_bundle(run.model).calibration_data["label"]) == 24  # and not 27


def test_a_training_without_new_images_is_refused(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(MuslinError) as error:
        train(shared / "old", tmp_path / "run", shared / "old.muslin")
    assert error.value.code == "start_has_seen_all"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "code", "param"),
    [
        ({"image_size": 64}, "start_image_size", ("size", 48)),
        ({"network": "efficientnet-lite1"}, "start_network", ("network", "efficientnet-lite0")),
    ],
)
def test_another_architecture_is_refused(
    shared: Path, tmp_path: Path, settings: dict[str, Any], code: str, param: tuple[str, Any]
) -> None:
    with pytest.raises(MuslinError) as error:
        train(shared / "old", tmp_path / "run", shared / "old.muslin", **settings)
    assert error.value.code == code
    assert error.value.params[param[0]] == param[1]


def test_a_model_without_a_backbone_or_a_url_is_refused(shared: Path, tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "small.muslin")
    for start, code in ((tmp_path / "small.muslin", "start_network"), ("https://example.org/a.muslin", "path_is_url")):
        with pytest.raises(MuslinError) as error:
            train(shared / "old", tmp_path / "run", start)
        assert error.value.code == code
    assert not (tmp_path / "run").exists()


def test_a_start_model_that_forgot_its_images_is_refused(shared: Path, tmp_path: Path) -> None:
    seal(replace(open_bundle(shared / "old.muslin"), seen_images=None), tmp_path / "old.muslin")
    with pytest.raises(MuslinError) as error:
        train(shared / "old", tmp_path / "run", tmp_path / "old.muslin")
    assert error.value.code == "start_without_images"
    with pytest.raises(MuslinError) as error:
        train(shared / "old", tmp_path / "run", tmp_path / "none.muslin")
    assert error.value.code == "bundle_missing"


def test_a_changed_start_model_is_not_resumed_from(shared: Path, tmp_path: Path) -> None:
    photos, start = new_season(tmp_path), tmp_path / "start.muslin"
    shutil.copy(shared / "old.muslin", start)
    with pytest.raises(StoppedError):
        muslin.train(
            photos, recipe="photo-tuned", out=tmp_path / "run", settings=TUNED | {"weights": str(start)},
            should_stop=lambda: (tmp_path / "run/run.json").exists(),
        )  # fmt: skip
    bundle = open_bundle(start)
    seal(replace(bundle, provenance={**bundle.provenance, "name": "other"}), start)
    with pytest.raises(MuslinError) as error:
        muslin.resume(tmp_path / "run")
    assert error.value.code == "run_start_model_changed"
    shutil.copy(shared / "old.muslin", start)
    assert muslin.resume(tmp_path / "run").record["status"] == "finished"


def test_digests_of_a_start_model_keep_its_salt() -> None:
    rows = np.arange(5 * 16, dtype=np.uint8).reshape(5, 16)
    start = SeenImages.of(rows[:2], rows[2:3], b"old")
    new = SeenImages.of(rows[2:4], rows[:1], b"new", start)
    assert new.roles(rows).tolist() == [ImageRole.TRAIN] * 4 + [ImageRole.NEW]
    assert new.counts() == {"train": 4, "validation": 0}
