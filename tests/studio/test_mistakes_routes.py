"""The mistakes of a run, as the page asks for them: the numbers of the report, image by image, and why."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema_rs import validator_for

import muslin
from asgi_client import ask
from garment_files import write_garment_folders
from muslin.studio.app import studio
from muslin.studio.openapi import OPERATIONS, SCHEMAS
from muslin.workflows.run_predictions import run_predictions

PORT = 8001
SETTINGS = {"epochs": 4, "batch_size": 20}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos in folders, and two runs on them, of which the second has hardly learned."""
    here = tmp_path_factory.mktemp("shop")
    photos = write_garment_folders(here / "photos", 160)
    for name, seed, changes in (("a", 0, {}), ("b", 1, {"epochs": 1, "min_steps": 0})):
        settings = SETTINGS | {"split_seed": 5} | changes
        run = muslin.train(photos, recipe="quick", settings=settings, seed=seed, out=here / "runs" / name)
        for part in ("test", "train") if name == "a" else ("test",):
            run_predictions(run, part)
    return here


@pytest.fixture(scope="module")
def with_own_test(shop: Path) -> str:
    """A run whose test set is a data set of its own, with files that have the names of those it was trained on."""
    held_out = write_garment_folders(shop / "held-out", 40, seed=9)
    settings = {"epochs": 1, "batch_size": 20, "min_steps": 0}
    photos, out = shop / "photos", shop / "runs/own-test"
    run = muslin.train(photos, test=held_out, recipe="quick", settings=settings, out=out)
    for part in ("test", "train"):
        run_predictions(run, part)
    return "runs/own-test"


@pytest.fixture(scope="module")
def app(shop: Path) -> Any:
    return studio(shop, PORT)


def post(app: Any, path: str, **body: Any) -> tuple[int, Any]:
    headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"content-type", b"application/json")]
    _, page = ask(app, "GET", "/", headers=headers)
    token = page.split(b'name="muslin-token" content="')[1].split(b'"')[0]
    status, content = ask(app, "POST", f"/api/{path}", body, headers=[*headers, (b"x-muslin-token", token)])
    return status, json.loads(content) if content[:1] == b"{" else content


def ok(app: Any, path: str, **body: Any) -> Any:
    """The response, which is as the API's description says."""
    status, content = post(app, path, **body)
    assert status == 200, content
    schema = OPERATIONS["POST", f"/api/{path}"].response
    assert isinstance(schema, dict)
    validator_for({**schema, "components": {"schemas": SCHEMAS}}).validate(content)
    return content


def test_images_of_a_test_set_of_its_own_are_shown(app: Any, shop: Path, with_own_test: str) -> None:
    assert ok(app, "mistakes/summary", run=with_own_test)["data"] == "held-out"
    assert ok(app, "mistakes/summary", run=with_own_test, part="train")["data"] == "photos"
    [shown, *others] = ok(app, "mistakes/images", run=with_own_test)["images"]
    assert all(row["image"].startswith("sample:held-out:") for row in (shown, *others))
    assert len(others) == 39
    index = int(shown["image"].rpartition(":")[2])
    [row] = ok(app, "data/rows", data="held-out", run=with_own_test, images=[index])["rows"]
    assert "test/" + row["id"] == shown["id"]
    classes = ok(app, "data/open", data="held-out")["targets"][0]["classes"]
    assert [classes[row["label"]]] == shown["labels"]
    assert [classes[row["predicted"]]] == shown["predicted"]
    assert row["values"]["loss"] == pytest.approx(shown["loss"])
    near = ok(app, "mistakes/neighbours", run=with_own_test, place=shown["place"])
    assert near["data"] == "photos"
    assert {each["image"].rpartition(":")[0] for each in near["same_label"]} == {"sample:photos"}


def test_summary_has_the_numbers_of_the_report(app: Any, shop: Path) -> None:
    record = json.loads((shop / "runs/a/run.json").read_bytes())
    found = ok(app, "mistakes/summary", run="runs/a")
    assert (found["data"], found["model"]) == ("photos", "runs/a/model.muslin")
    assert [part["name"] for part in found["parts"]] == ["test", "validation", "train"]
    made = found["found"]
    assert made["accuracy"]["accuracy"] == made["reported_accuracy"] == record["test"]["label"]["accuracy"]
    assert made["accuracy"]["interval"] == record["test"]["label"]["interval"]
    report = json.loads((shop / "runs/a/evaluation.json").read_bytes())["targets"]["label"]
    cells = np.zeros((len(report["classes"]), len(report["classes"])), int)
    for row, column, count in made["cells"]:
        cells[row, column] = count
    assert cells.tolist() == report["confusion"]
    assert made["classes"] == report["per_class"]
    assert sorted(made["order"]) == list(range(len(report["classes"])))
    assert sum(each["n"] for each in made["decisions"]) == made["n"]


def test_a_cell_opens_its_images(app: Any) -> None:
    made = ok(app, "mistakes/summary", run="runs/a")["found"]
    classes = made["targets"][0]["classes"]
    for row, column, count in made["cells"]:
        wanted = {"label": classes[row], "predicted": classes[column]}
        found = ok(app, "mistakes/images", run="runs/a", **wanted)
        assert found["total"] == len(found["images"]) == count
        assert all(each["labels"] == [classes[row]] for each in found["images"])
        assert all(each["predicted"] == [classes[column]] for each in found["images"])
    errors = ok(app, "mistakes/images", run="runs/a", outcome="errors")
    assert errors["total"] == made["accuracy"]["n"] - made["accuracy"]["correct"]
    confidences = [each["probabilities"][0][1] for each in errors["images"]]
    assert confidences == sorted(confidences, reverse=True)
    losses = [each["loss"] for each in ok(app, "mistakes/images", run="runs/a", sort="loss")["images"]]
    assert losses == sorted(losses, reverse=True)
    second = ok(app, "mistakes/images", run="runs/a", sort="loss", start=1, count=1)
    assert [each["loss"] for each in second["images"]] == losses[1:2]


def test_an_image_is_found_shown_and_explained(app: Any) -> None:
    row = ok(app, "mistakes/images", run="runs/a", count=1)["images"][0]
    assert ok(app, "mistakes/image", run="runs/a", id=row["id"])["image"]["place"] == row["place"]
    assert ok(app, "mistakes/image", run="runs/a", id="nowhere") == {"image": None}
    inspection = {"model": "runs/a/model.muslin", "image": row["image"]}
    predicted = ok(app, "predict", inspection=inspection)["predictions"]["label"]
    assert predicted["label"] == row["predicted"][0]
    assert predicted["probability"] == pytest.approx(row["probabilities"][0][1], abs=1e-5)
    pair = {"class": row["probabilities"][0][0], "versus": row["probabilities"][1][0], "target": "label"}
    channels = ok(app, "channels", inspection=inspection, **pair)
    attribution = ok(app, "attribution", inspection=inspection, layer=channels["layer"], **pair)
    parts = sum(each["contribution"] for each in channels["channels"]) + channels["rest"]
    assert parts + channels["bias"] == pytest.approx(channels["score"], abs=1e-3)
    assert parts == pytest.approx(sum(map(sum, attribution["cells"])), abs=1e-4)


def test_nearest_training_images_have_another_label_or_the_same(app: Any) -> None:
    row = ok(app, "mistakes/images", run="runs/a", count=1)["images"][0]
    near = ok(app, "mistakes/neighbours", run="runs/a", place=row["place"])
    assert all(each["labels"] != row["labels"] for each in near["other_label"])
    assert near["same_label"]
    assert all(each["labels"] == row["labels"] for each in near["same_label"])
    cosines = [each["similarity"] for each in near["other_label"]]
    assert len(cosines) == 8
    assert cosines == sorted(cosines, reverse=True)
    assert ok(app, "mistakes/neighbours", run="runs/b", place=0)["is_known"] is False


def test_two_runs_are_compared_image_by_image(app: Any) -> None:
    found = ok(app, "mistakes/compare", run="runs/b", other="runs/a")
    overall = found["comparison"]["overall"]
    fixed = ok(app, "mistakes/images", run="runs/b", other="runs/a", change="fixed")
    assert fixed["total"] == overall["only_b_correct"] == found["comparison"]["images_only_b_correct"]
    assert len(fixed["images"]) == fixed["total"] > 0
    assert all(each["predicted"] != each["labels"] == each["other_predicted"] for each in fixed["images"])
    broken = ok(app, "mistakes/images", run="runs/b", other="runs/a", change="broken")
    assert broken["total"] == overall["only_a_correct"]


def test_slices_open_their_images(app: Any) -> None:
    made = ok(app, "mistakes/slices", run="runs/a")["slices"]
    [first, *_] = made["confidence"]
    found = ok(app, "mistakes/images", run="runs/a", slice="confidence", value=first["value"])
    assert found["total"] == first["n"]


def test_what_is_missing_is_told(app: Any, shop: Path) -> None:
    assert ok(app, "mistakes/summary", run="runs/a", part="validation")["found"] is None
    assert ok(app, "mistakes/compare", run="runs/a", other="runs/b", part="train") == {
        "is_known": False,
        "comparison": None,
    }
    for name in ("unfinished", "edited"):
        shutil.copytree(shop / "runs/b", shop / "runs" / name)
    (shop / "runs/unfinished/model.muslin").unlink()
    (shop / "runs/edited/run.json").write_text('{"status": "finished"}')
    for path, body, code in (
        ("summary", {"run": "runs/c"}, "file_not_in_folder"),
        ("summary", {"run": "../b"}, "file_not_in_folder"),
        ("summary", {"run": "runs/unfinished"}, "bundle_missing"),
        ("summary", {"run": "runs/edited"}, "run_record_edited"),
        ("summary", {"run": "photos"}, "run_missing"),
        ("images", {"run": "runs/a", "part": "validation"}, "predictions_missing"),
        ("images", {"run": "runs/a", "label": "Shoe"}, "explained_class_unknown"),
        ("images", {"run": "runs/a", "target": "colour"}, "target_unknown"),
        ("images", {"run": "runs/a", "slice": "season"}, "request_choice"),
    ):
        status, content = post(app, f"mistakes/{path}", **body)
        assert (400 <= status < 500, content["code"]) == (True, code), content
