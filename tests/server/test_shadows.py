"""A candidate beside a model of a real server: its predictions are compared, and not returned."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from muslin.data.dataset import Target
from muslin.models.bundle import open_bundle, seal
from muslin.models.prediction_digest import prediction_digest
from server_process import WAIT_S, Served, gray, running_server
from small_models import small_bundle

DARK, BRIGHT = 0, 255


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that predicts Trouser as the small model does, of larger images, and Purse where that predicts Bag."""
    path = tmp_path_factory.mktemp("candidate") / "candidate.muslin"
    seal(small_bundle(Target("label", ("Trouser", "Coat", "Purse")), side=16), path)
    return path


@pytest.fixture
def shadowed(small_model: Path, candidate: Path) -> Iterator[Served]:
    with running_server(f"shirts={small_model}", "--shadow", f"shirts={candidate}") as server:
        yield server


def agreement(server: Served) -> dict[tuple[str, str], int]:
    """How many images the shadow was compared on, by predicted class and whether it agrees."""
    text = server.client.get("/metrics").text
    pattern = (
        r"muslin_shadow_predictions_total"
        r'\{agrees="(\w+)",class="(\w+)",model="shirts",shadow="\w+",target="label"\} (\d+)'
    )
    return {(name, agrees): int(count) for agrees, name, count in re.findall(pattern, text)}


def wait_for(server: Served, images: int) -> dict[tuple[str, str], int]:
    end = time.monotonic() + WAIT_S
    while sum((found := agreement(server)).values()) < images:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def test_shadow_is_compared_by_class_and_not_returned(shadowed: Served, candidate: Path) -> None:
    response = shadowed.predict(gray(DARK), b"no image", gray(BRIGHT), gray(BRIGHT)).json()
    labels = [each["predictions"]["label"]["label"] for each in response["results"] if each["predictions"]]
    assert labels == ["Trouser", "Bag", "Bag"]
    assert wait_for(shadowed, 3) == {("Trouser", "true"): 1, ("Bag", "false"): 2}
    model = shadowed.client.get("/v1/models/shirts").json()
    assert model["digest"] == response["digest"]
    assert model["shadow_digest"] == prediction_digest(open_bundle(candidate))
    assert model["shadow_agreement"] == {
        "label": {"Trouser": {"predictions": 1, "agreeing": 1}, "Bag": {"predictions": 2, "agreeing": 0}}
    }


def test_shadow_is_compared_on_tensors_of_the_protocol(shadowed: Served) -> None:
    tensor = {"name": "image", "shape": [2, 8, 8, 1], "datatype": "UINT8", "data": [DARK] * 64 + [BRIGHT] * 64}
    response = shadowed.client.post("/v2/models/shirts/infer", json={"inputs": [tensor]})
    assert response.status_code == 200, response.text
    assert wait_for(shadowed, 2) == {("Trouser", "true"): 1, ("Bag", "false"): 1}


def test_images_that_would_fill_the_memory_are_not_compared(shadowed: Served) -> None:
    large = gray(DARK) + bytes(17_000_000)
    assert shadowed.predict(large, large, large, large).status_code == 200
    assert 'muslin_shadow_skipped_images_total{model="shirts"} 4.0' in shadowed.client.get("/metrics").text
