"""A model that is replaced while clients never pause: each prediction is that of `muslin predict` for the model that
the response names.
"""

import json
import time
from collections import Counter
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import run
from http_load import Client, Response, post, running
from muslin.data.dataset import Target
from muslin.models.bundle import open_bundle, seal
from muslin.models.prediction_digest import prediction_digest
from server_process import png, running_server
from small_models import convolving_bundle, small_bundle, with_calibration

SHORT, LONG = (600, 6), (10_000, 50)
"""Requests and replacements."""

CONNECTIONS = 64
MODELS = 3
CLOSE = 1e-6
TOKEN = "a-token-of-tests"
HEADERS = ["Content-Type: image/png", f"Authorization: Bearer {TOKEN}"]

Predictions = dict[str, dict[str, Any]]
"""By the name of an image's file."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An image of noise for each connection."""
    random, folder = np.random.default_rng(5), tmp_path_factory.mktemp("images")
    paths = [folder / f"{number:02}.png" for number in range(CONNECTIONS)]
    for path in paths:
        low, high = sorted(random.integers(0, 257, 2).tolist())
        path.write_bytes(png(random.integers(low, high + 1, (8, 8)).clip(0, 255).astype(np.uint8)))
    return paths


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models of the same classes and of others, with and without calibration data."""
    random, folder = np.random.default_rng(3), tmp_path_factory.mktemp("models")
    paths = [folder / f"{number}.muslin" for number in range(MODELS)]
    for number, path in enumerate(paths):
        kernels = random.normal(size=(6, 1, 3, 3)).astype(np.float32)
        bundle = convolving_bundle(kernels, random.integers(0, 256, (4, 8, 8, 1), np.uint8))
        if number == 0:
            bundle = small_bundle(Target("label", ("black", "gray", "white")))
        seal(with_calibration(bundle) if number % 2 else replace(bundle, provenance={}), path)
    return paths


@pytest.fixture(scope="module")
def expected(models: list[Path], images: list[Path]) -> dict[str, Predictions]:
    """Of each model, by its digest."""
    return {prediction_digest(open_bundle(model)): predicted(model, images) for model in models}


def predicted(model: Path, images: list[Path]) -> Predictions:
    """What `muslin predict` says of each image."""
    done = run("predict", model, *images, "--json", cwd=model.parent)
    assert done.code == 0, done
    rows = map(json.loads, done.out.splitlines())
    return {Path(row["image"]).name: row["predictions"]["label"] for row in rows}


@pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
def test_replacements_mix_up_no_predictions(
    models: list[Path],
    images: list[Path],
    expected: dict[str, Predictions],
    tmp_path: Path,
    is_long: bool,
    workers: int,
) -> None:
    requests, replacements = LONG if is_long else SHORT
    seen: Counter[str] = Counter()
    served = tmp_path / "clothes.muslin"
    served.write_bytes(models[0].read_bytes())
    environment = {"MUSLIN_TOKEN": TOKEN}
    with running_server(str(served), "--workers", str(workers), environment=environment) as server:
        port = int(server.address.rpartition(":")[2])
        clients = [
            Client(port, post("/v1/predict", image.read_bytes(), port, HEADERS), checking(image.name, expected, seen))
            for image in images
        ]
        server.client.headers["authorization"] = f"Bearer {TOKEN}"
        with running(clients) as faults:
            for number, model in zip(range(1, replacements + 1), cycle(models[1:] + models[:1])):
                wait_for(seen, requests * number // (replacements + 1), faults)
                assert server.client.post("/v1/models/clothes", content=model.read_bytes()).status_code == 200
            wait_for(seen, requests, faults)
        assert not faults, faults
    assert seen.keys() == expected.keys()


def checking(image: str, expected: dict[str, Predictions], seen: Counter[str]) -> Any:
    """Compares a response with the predictions of the model that it names, and counts it."""

    def check(outcome: Response | str) -> None:
        assert isinstance(outcome, Response), outcome
        assert outcome.status == 200, outcome
        content = json.loads(outcome.body)
        (result,) = content["results"]
        found, known = result["predictions"]["label"], expected[content["digest"]][image]
        assert found.keys() == known.keys()
        for name, value in known.items():
            is_number = isinstance(value, float) or name == "probabilities"
            assert found[name] == (pytest.approx(value, abs=CLOSE) if is_number else value), (image, name)
        seen[content["digest"]] += 1

    return check


def wait_for(seen: Counter[str], count: int, faults: list[Exception]) -> None:
    while seen.total() < count:
        assert not faults, faults
        time.sleep(0.01)
