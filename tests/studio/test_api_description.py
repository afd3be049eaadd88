"""The description of the studio's API is complete, and every response is as described."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_calls import check_api, token_of
from PIL import Image
from starlette.applications import Starlette

from asgi_client import ask
from muslin.explain.inspection import InspectedModel
from muslin.models.bundle import seal
from muslin.models.predictor import Predictor
from muslin.studio.openapi import OPERATIONS
from muslin.studio.routes import routes
from review_shop import make_review_shop
from small_models import LABEL, convolving_bundle, small_bundle
from studio_server import WAIT_S, running_studio

KERNELS = np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    seal(convolving_bundle(KERNELS, pixels), folder / "first.muslin")
    seal(small_bundle(), folder / "second.muslin")
    (folder / "broken.muslin").write_bytes(b"PK no")
    Image.new("RGB", (40, 30), (200, 30, 30)).save(folder / "red.png")
    (folder / "page.jpg").write_bytes(b"<html>")
    make_review_shop(folder / "review", 30)
    for name in ("bag", "shoe"):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (20, 30), (100 * i, 30, 30)).save(folder / "photos" / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def names(folder: Path) -> dict[str, list[Any]]:
    layers = InspectedModel.of(Predictor.open(folder / "first.muslin", 1)).layered.layers
    drawing = "drawing:" + "_" * 85 + "8"  # 64 white pixels
    return {
        "ModelPath": ["first.muslin", "first.muslin", "second.muslin", "broken.muslin"],
        "ImageName": ["golden:0", "golden:2", "file:red.png", "file:page.jpg", "upload:gone", drawing],
        "LayerName": [layer.name for layer in layers],
        "TargetName": [LABEL.name],
        "ClassName": list(LABEL.classes),
        "StoreName": ["review/shop.db"],
        "ReviewTarget": [LABEL.name],
        "Person": ["Ada", "Bo"],
        "ProductId": [1, 2, 30],
        "DataName": ["photos", "gone"],
        "SampleIndex": [0, 1, 3],
    }


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[str]:
    with running_studio(folder) as address:
        yield address


def test_every_route_is_described(tmp_path: Path) -> None:
    found = {(method, route.path) for route in routes(tmp_path) for method in route.methods or () if method != "HEAD"}
    assert found == set(OPERATIONS)


def test_the_description_is_served(tmp_path: Path) -> None:
    status, content = ask(Starlette(routes=routes(tmp_path)), "GET", "/api/openapi.json")
    assert status == 200
    assert set(json.loads(content)["paths"]) == {path for _, path in OPERATIONS}


def check_routes(studio: str, names: dict[str, list[Any]], max_examples: int) -> None:
    found = dict(check_api(studio, names, max_examples))
    assert set(found) == {" ".join(operation) for operation in OPERATIONS}
    for (method, path), operation in OPERATIONS.items():
        statuses = found[f"{method} {path}"]
        assert set(statuses) - {403, 421}, path  # which answer a wrong token and a wrong host
        names_something = method == "POST" or any(is_required for _, _, is_required in operation.query)
        assert names_something or statuses[200], path


def test_a_few_calls_of_every_route_are_answered_as_described(studio: str, names: dict[str, list[Any]]) -> None:
    check_routes(studio, names, max_examples=5)


def test_other_methods_are_refused_with_those_that_are_allowed(studio: str) -> None:
    token = token_of(studio)
    for path in {path for _, path in OPERATIONS}:
        for method in ("DELETE", "OPTIONS", "PUT", "TRACE"):
            connection = http.client.HTTPConnection(studio.removeprefix("http://"), timeout=WAIT_S)
            connection.request(method, path, headers={"X-Muslin-Token": token})
            response = connection.getresponse()
            allowed = set((response.getheader("allow") or "").split(", ")) - {"HEAD"}
            connection.close()
            assert (response.status, allowed) == (405, {method for method, other in OPERATIONS if other == path}), path


@pytest.mark.long
def test_many_calls_of_every_route_are_answered_as_described(studio: str, names: dict[str, list[Any]]) -> None:
    check_routes(studio, names, max_examples=40)
