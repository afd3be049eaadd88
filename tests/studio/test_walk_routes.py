"""What the walk asks of the studio: a model's training, labelled images of its run, and a person's own photo."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette

import muslin
from asgi_client import ask
from muslin.data.synthetic import make_garments
from muslin.errors import DataError
from muslin.images import decode
from muslin.models.bundle import seal
from muslin.studio.routes import routes
from muslin.studio.walk_examples import accepted_at, confused_group, images_to_sort
from muslin.studio.walk_photo import compare_photo, crop, even_ground, nearest_images
from small_models import small_bundle

MODEL = "run/model.muslin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk")
    dataset = make_garments(160, seed=1).dataset
    for number, label in enumerate(dataset.labels["label"]):
        photo = folder / "photos" / dataset.targets[0].classes[label] / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[number][:, :, 0]).save(photo)
    settings = {"epochs": 2, "batch_size": 48}
    muslin.train(folder / "photos", out=folder / "run", recipe="quick", settings=settings)
    seal(small_bundle(), folder / "alone.muslin")
    return folder


@pytest.fixture(scope="module")
def studio(folder: Path) -> Starlette:
    return Starlette(routes=routes(folder))


def answered(studio: Starlette, path: str, **body: Any) -> Any:
    status, content = ask(studio, "POST", f"/api/{path}", body)
    assert status == 200, content
    return json.loads(content)


def test_the_walk_has_labelled_images_and_learning_curves(studio: Starlette) -> None:
    found = answered(studio, "walk", model=MODEL)
    examples, training = found["examples"], found["training"]
    assert found["reason"] is None
    assert [row["epoch"] for row in training["epochs"]] == list(range(1, len(training["epochs"]) + 1))
    assert training["epochs"][-1]["validation_loss"] > 0
    assert len(examples["labels"]) == len(examples["predicted"]) == examples["n"] > 0
    assert examples["thresholds"][0]["n"] == examples["n"]
    assert all(examples["labels"][i] in examples["group"] for i in examples["to_sort"])


def test_examples_are_predicted_as_everywhere(studio: Starlette) -> None:
    found = answered(studio, "walk", model=MODEL)
    predicted = answered(studio, "predict", inspection={"model": MODEL, "image": "example:1"})["predictions"]["label"]
    assert predicted["label"] == found["classes"][found["examples"]["predicted"][1]]
    assert predicted["probability"] == pytest.approx(found["examples"]["probability"][1], abs=1e-5)


def test_a_model_without_a_run_says_why_it_has_no_images(studio: Starlette) -> None:
    found = answered(studio, "walk", model="alone.muslin")
    assert (found["training"], found["examples"], found["reason"]["code"]) == (None, None, "run_without_data")
    compared = answered(studio, "walk/compare", inspection={"model": "alone.muslin", "image": "golden:0"})
    assert compared["known"] > 0
    assert compared["nearest"] == []


def test_an_edited_record_gives_no_training(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("model.muslin", "history.jsonl"):
        (tmp_path / "run" / name).write_bytes((folder / "run" / name).read_bytes())
    (tmp_path / "run" / "run.json").write_text('{"name": "mine"}')
    assert answered(Starlette(routes=routes(tmp_path)), "walk", model=MODEL)["training"] is None


def test_a_photo_with_a_bright_ground_stands_out(studio: Starlette, folder: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(folder / "noise.png")
    compared = answered(studio, "walk/compare", inspection={"model": MODEL, "image": "file:noise.png"})
    clutter = next(row for row in compared["comparisons"] if row["metric"] == "clutter")
    assert clutter["value"] > clutter["high"]
    examples = answered(studio, "walk", model=MODEL)
    assert {examples["classes"][examples["examples"]["labels"][i]] for i in compared["nearest"]} <= {compared["label"]}


def test_a_part_of_a_photo_becomes_an_upload(studio: Starlette, folder: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:20, 30:45] = 200
    Image.fromarray(pixels).save(folder / "spot.png")
    box = {"left": 0.5, "top": 0.25, "right": 0.75, "bottom": 0.5}
    part = answered(studio, "walk/crop", image="file:spot.png", **box)
    assert (part["width"], part["height"]) == (15, 10)
    steps = answered(studio, "predict", inspection={"model": MODEL, "image": part["image"]})["steps"]
    assert decode(base64.b64decode(steps[0]["image"]["png"].partition(",")[2])).pixels.min() == 200


def test_an_example_beyond_the_last_is_refused(studio: Starlette) -> None:
    with pytest.raises(DataError) as error:
        ask(studio, "POST", "/api/predict", {"inspection": {"model": "alone.muslin", "image": "example:0"}})
    assert error.value.code == "run_without_data"


def test_accepted_predictions_are_counted_per_threshold() -> None:
    rows = accepted_at(np.array([0.95, 0.6, 0.4]), np.array([True, False, True]))
    counts = {row["threshold"]: (row["n"], row["correct"]) for row in rows}
    assert (counts[0.0], counts[0.5], counts[0.95], counts[0.99]) == ((3, 2), (2, 1), (1, 1), (0, 0))


def test_the_most_confused_classes_form_the_group() -> None:
    labels = np.array([0, 1, 1, 2, 2, 2, 3, 3])
    predicted = np.array([0, 3, 3, 2, 2, 1, 1, 3])
    assert confused_group(labels, predicted, 4) == [1, 2, 3]
    assert confused_group(labels, labels, 4) == [0, 1, 2]
    assert confused_group(np.array([0]), np.array([0]), 1) == [0]


def test_images_to_sort_hold_errors_and_correct_ones() -> None:
    labels = np.repeat([0, 1, 2], 10)
    predicted = labels.copy()
    predicted[[2, 12, 14]] = [1, 0, 2]
    chosen = images_to_sort(labels, predicted, [0, 1, 2])
    assert sorted(labels[chosen].tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {2, 12, 14} <= set(chosen)


def test_metrics_of_a_photo_are_as_counted_by_hand() -> None:
    photo = np.zeros((10, 10, 1), np.uint8)
    photo[2:7, 2:6] = 200  # 20 of 100 pixels
    known = np.stack([photo, photo // 2])
    rows = {row["metric"]: row for row in compare_photo(photo, known)}
    assert (rows["background"]["value"], rows["clutter"]["value"], rows["filled"]["value"]) == (0, 0, 0.2)
    assert rows["brightness"]["value"] == 40
    assert rows["brightness"]["low"] < 40 <= rows["brightness"]["high"] + 0.5
    assert nearest_images(photo, known) == [0, 1]


def test_a_crop_has_at_least_one_pixel() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert crop(pixels, 1, 1, 1, 1).tolist() == [[[11]]]
    assert crop(pixels, 0, 0, 1, 1).shape == (3, 4, 1)


def test_an_even_ground_becomes_white_and_the_garment_stays() -> None:
    photo = np.full((6, 6, 3), (120, 110, 100), np.uint8)
    photo[0, 0] = (130, 105, 100)
    photo[2:4, 2:4] = (20, 30, 40)
    white = even_ground(photo, 10)
    assert (white == 255).all(2).sum() == 32
    assert (white[2:4, 2:4] == photo[2:4, 2:4]).all()
    assert even_ground(photo, 0) is photo
