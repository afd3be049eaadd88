from pathlib import Path

import numpy as np
import pytest
from photo_files import write_folders

import muslin
from muslin.data import read
from muslin.data.photos import decode_photos
from muslin.models.predictor import Predictor
from muslin.workflows.evaluate import evaluate
from muslin.workflows.selected_part import select_part

FEW = {"epochs": 6, "batch_size": 8, "widths": (8, 8), "image_size": 32}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_folders(tmp_path_factory.mktemp("data") / "photos", {"train": 12, "test": 4})
    (root / "train/hat/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    return root


def test_small_photo_learns_and_predicts_photos(photos: Path, tmp_path: Path) -> None:
    run = muslin.train(photos, recipe="quick", out=tmp_path / "run", settings=FEW)
    assert [photo["name"] for photo in run.record["data"]["unreadable"]] == ["train/hat/broken.jpg"]
    assert run.record["data"]["split_sizes"] == {"train": 30, "validation": 6, "test": 12}
    predictor = Predictor.open(run.model)
    assert predictor.bundle.preprocessing.shape == (32, 32, 3)
    assert predictor.bundle.preprocessing.transform == "fit"

    evaluation = evaluate(predictor, photos).evaluations["label"]
    assert evaluation.n == 12
    assert evaluation.accuracy == run.record["test"]["label"]["accuracy"] >= 0.75

    test = read(photos).part("test")
    files = [photos / str(id_) for id_ in test.ids]
    answers = predictor.predict(files)
    right = np.mean(
        [answer.predictions["label"].label == file.parent.name for answer, file in zip(answers, files, strict=True)]
    )
    assert abs(right - evaluation.accuracy) < 0.1


def test_photos_without_parts_are_evaluated_on_the_test_set(photos: Path, tmp_path: Path) -> None:
    whole = photos / "train"
    run = muslin.train(whole, recipe="quick", out=tmp_path / "run", settings=FEW)
    predictor = Predictor.open(run.model)
    selected = select_part(predictor, read(whole), "test")
    assert (len(selected.images), selected.part) == (run.record["data"]["split_sizes"]["test"], "test")


def test_jpeg_draft_decoding_changes_little(photos: Path) -> None:
    from muslin.images import apply_transform, decode

    data = read(photos).part("test")
    fast = decode_photos(data, (16, 16, 3))
    for i in range(len(data)):
        whole = decode(photos / str(data.ids[i])).pixels
        slow = apply_transform(whole, "fit", (16, 16, 3))[0]
        assert np.abs(fast.images[i].astype(int) - slow).mean() < 3
