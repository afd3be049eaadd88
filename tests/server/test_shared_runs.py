"""Requests that share runs of a model: each prediction is that of its own image, as a batch of one has it."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from muslin.models.bundle import seal
from muslin.models.predictor import Predictor
from server_process import running_server
from small_models import convolving_bundle, with_calibration

SHORT, LONG = 2_000, 1_000_000
"""Images that are sent."""

MAX_PER_REQUEST = 17
CONNECTIONS = 16
DISTINCT = 1_000
CLOSE = 1e-6
PATIENCE_S = 600
PATIENT = ("--request-seconds", str(PATIENCE_S))  # on a busy machine too, each prediction is compared


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(3)
    kernels = random.normal(size=(6, 1, 3, 3)).astype(np.float32)
    bundle = convolving_bundle(kernels, random.integers(0, 256, (4, 12, 12, 1), np.uint8))
    path = tmp_path_factory.mktemp("model") / "convolving.muslin"
    seal(with_calibration(bundle), path)
    return path


def different_images(count: int) -> list[bytes]:
    """Images of noise: gray or coloured, of the model's size or another, PNG or JPEG."""
    random, contents = np.random.default_rng(5), []
    for number in range(count):
        side = 12 if number % 2 else int(random.integers(5, 60))
        shape = (side, side, 3) if number % 3 == 0 else (side, side)
        low, high = sorted(random.integers(0, 257, 2).tolist())
        file = io.BytesIO()
        Image.fromarray(random.integers(low, high + 1, shape).clip(0, 255).astype(np.uint8)).save(
            file, "JPEG" if number % 5 == 0 else "PNG"
        )
        contents.append(file.getvalue())
    return contents


def assert_same(found: Sequence[Any], expected: Sequence[Any]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        prediction, alone = one["predictions"]["label"], other["predictions"]["label"]
        assert (prediction["label"], prediction["decision"]) == (alone["label"], alone["decision"])
        for name, probability in alone["probabilities"].items():
            assert abs(prediction["probabilities"][name] - probability) <= CLOSE


def send(address: str, count: int, seed: int, contents: Sequence[bytes], alone: Sequence[Any]) -> int:
    """Send `count` images or a few more, in requests of all sizes, and check each prediction; how many were sent."""
    random, sent = np.random.default_rng(seed), 0
    with httpx.Client(base_url=address, timeout=PATIENCE_S, trust_env=False) as client:
        while sent < count:
            places = random.integers(0, len(contents), random.integers(1, MAX_PER_REQUEST + 1)).tolist()
            files = [("image", (f"{place}.png", contents[place])) for place in places]
            response = client.post("/v1/predict", files=files)
            assert response.status_code == 200, response.text
            results = response.json()["results"]
            assert [each["image"] for each in results] == [f"{place}.png" for place in places]
            assert_same(results, [alone[place] for place in places])
            sent += len(places)
    return sent


@pytest.mark.parametrize("words", [(), ("--max-batch", "5", "--threads", "2")], ids=["defaults", "small batches"])
def test_each_prediction_is_that_of_a_batch_of_one(model: Path, is_long: bool, words: tuple[str, ...]) -> None:
    contents = different_images(DISTINCT)
    predictor = Predictor.open(model)
    alone = [predictor.predict([content])[0].to_dict() for content in contents]
    assert len({each["predictions"]["label"]["probability"] for each in alone}) > DISTINCT // 2
    total = (LONG if is_long else SHORT) // 2
    with running_server(str(model), *words, *PATIENT) as server, ThreadPoolExecutor(CONNECTIONS) as clients:
        work = [
            clients.submit(send, server.address, total // CONNECTIONS, seed, contents, alone)
            for seed in range(CONNECTIONS)
        ]
        assert sum(each.result() for each in work) >= total // CONNECTIONS * CONNECTIONS
        text = server.client.get("/metrics").text
    runs = [line for line in text.splitlines() if line.startswith("muslin_batches_total")]
    assert any('reason="after_run"' in line for line in runs), "requests did share runs"
