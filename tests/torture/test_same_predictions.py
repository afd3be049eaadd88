"""Pages, `muslin serve` and `muslin predict` predict the same for photos of any size, mode and rotation."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette

import muslin
from asgi_client import ask
from command_line import run
from muslin.data.synthetic import make_garments
from muslin.studio.data_sets import DataSets
from muslin.studio.mistakes import RunsOfFolder
from muslin.studio.mistakes_routes import mistakes_routes
from muslin.studio.routes import routes
from muslin.workflows.run_predictions import run_predictions
from server_process import running_server

SHORT, LONG = 50, 1000
MAX_AT_A_TIME = 17
SETTINGS = {"epochs": 2, "batch_size": 16, "image_size": 32}
CLOSE = 1e-5
"""Probabilities from graphs that compute images one by one, with all layers, or many at a time."""


def write_photos(folder: Path, count: int) -> None:
    """JPEG, PNG and WebP files of 30 to 90 px in CLASS/NUMBER: gray, coloured, transparent, rotated by their Exif."""
    random, garments = np.random.default_rng(0), make_garments(count, seed=4, colour=True, size_px=40).dataset
    (target,) = garments.targets
    for number, pixels in enumerate(garments.images):
        place = folder / target.classes[garments.labels[target.name][number]].replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        width, height = random.integers(30, 91, 2).tolist()
        photo = Image.fromarray(pixels).convert(("RGB", "L", "RGBA")[number % 3]).resize((width, height))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        suffix = "png" if photo.mode == "RGBA" else ("jpg", "png", "webp")[number // 3 % 3]
        photo.save(place / f"{number}.{suffix}", exif=exif)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, is_long: bool) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_photos(folder / "photos", LONG if is_long else SHORT)
    muslin.train(folder / "photos", recipe="small-photo", settings=SETTINGS, out=folder / "runs/first")
    return folder


def posted(app: Starlette, path: str, **body: Any) -> Any:
    status, content = ask(app, "POST", path, body)
    assert status == 200, content
    return json.loads(content)


def shown_probabilities(app: Starlette, photo: str) -> dict[str, float]:
    """The probabilities that the page of the model shows of a photo."""
    inspection = {"model": "runs/first/model.muslin", "image": f"file:{photo}"}
    predicted = posted(app, "/api/predict", inspection=inspection)["predictions"]
    found: dict[str, float] = predicted["label"]["probabilities"]
    return found


@pytest.fixture(scope="module")
def predicted(folder: Path) -> dict[str, Any]:
    """Per photo, as a path below the folder, what `muslin predict` says of its label."""
    done = run("predict", "runs/first/model.muslin", "photos", "--json", cwd=folder)
    assert done.code == 0, done
    rows = map(json.loads, done.out.splitlines())
    found = {row["image"]: row["predictions"]["label"] for row in rows}
    assert sorted(found) == sorted(path.relative_to(folder).as_posix() for path in folder.glob("photos/*/*"))
    return found


def test_server_predicts_what_muslin_predict_predicts(folder: Path, predicted: dict[str, Any]) -> None:
    photos, sizes = list(predicted), itertools.cycle(range(1, MAX_AT_A_TIME + 1))
    with running_server(str(folder / "runs/first/model.muslin")) as server:
        while photos:
            size = next(sizes)
            some, photos = photos[:size], photos[size:]
            response = server.predict(*((folder / photo).read_bytes() for photo in some))
            assert response.status_code == 200, response.text
            for photo, result in zip(some, response.json()["results"], strict=True):
                found, known = result["predictions"]["label"], predicted[photo]
                assert found.keys() == known.keys()
                for name, value in known.items():
                    is_number = isinstance(value, float) or name == "probabilities"
                    assert found[name] == (pytest.approx(value, abs=CLOSE) if is_number else value), (photo, name)


def test_pages_predict_what_muslin_predict_predicts(folder: Path, predicted: dict[str, Any]) -> None:
    model_page = Starlette(routes=routes(folder))
    for photo in predicted:
        shown = shown_probabilities(model_page, photo)
        assert shown == pytest.approx(predicted[photo]["probabilities"], abs=CLOSE), photo
    data = DataSets(folder)
    mistakes_page = Starlette(routes=mistakes_routes(RunsOfFolder(folder, data)))
    rows = []
    for part in ("train", "validation", "test"):
        run_predictions(muslin.Run(folder / "runs/first"), part)
        rows += posted(mistakes_page, "/api/mistakes/images", run="runs/first", part=part, count=LONG)["images"]
    data.close()
    assert len(rows) == len(predicted)
    for row in rows:
        known = predicted[f"photos/{row['id']}"]
        assert (row["predicted"], row["decision"]) == ([known["label"]], known["decision"]), row["id"]
        of_page = {name: known["probabilities"][name] for name, _ in row["probabilities"]}
        assert dict(row["probabilities"]) == pytest.approx(of_page, abs=CLOSE), row["id"]
