"""The studio's answers over HTTP, as its pages ask for them."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette

import muslin
from asgi_client import ask
from muslin.data.synthetic import make_garments
from muslin.errors import DataError, ExplanationError
from muslin.studio.routes import routes


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    folder = tmp_path_factory.mktemp("studio")
    muslin.train(
        make_garments(300, seed=1).dataset, out=folder / "first", settings={"epochs": 1, "batch_size": 48}
    )
    (folder.parent / "outside.muslin").write_bytes(b"")
    return Starlette(routes=routes(folder))


VIEW = {"model": "first/model.muslin", "image": "golden:0"}


def told(studio: Starlette, path: str, **body: Any) -> Any:
    status, content = ask(studio, "POST", path, body)
    assert status == 200, content
    return json.loads(content)


def test_a_layer_is_sent_as_one_sheet_of_bytes(studio: Starlette) -> None:
    layers = told(studio, "/api/model", model=VIEW["model"])["layers"]
    layer = next(layer for layer in layers if layer["kernel"])
    _, content = ask(studio, "POST", "/api/sheet", {"view": VIEW, "layer": layer["name"]})
    length = struct.unpack("<I", content[:4])[0]
    header = json.loads(content[4 : 4 + length])
    codes = np.frombuffer(content[4 + length :], np.uint8).reshape(layer["shape"])
    assert (4 + length) % 8 == 0
    exact = told(studio, "/api/values", view=VIEW, layer=layer["name"], channel=3)["values"]
    low, high = header["low"][3], header["high"][3]
    assert np.allclose(low + codes[3] / 255 * (high - low), exact, atol=(high - low) / 255)


def test_an_edit_shows_the_answer_before_and_after(studio: Starlette) -> None:
    edit = {"kind": "channel_off", "layer": "stem_relu", "channel": 1}
    found = told(studio, "/api/look", view=VIEW | {"edits": [edit]})
    assert found["before"]["label"]["probabilities"] != found["predictions"]["label"]["probabilities"]
    assert told(studio, "/api/accuracy", view=VIEW | {"edits": [edit]})["n"] == 16


def test_a_convolutions_kernels_are_shown_also_while_one_of_its_maps_is_off(studio: Starlette) -> None:
    layers = told(studio, "/api/model", model=VIEW["model"])["layers"]
    name = next(layer["name"] for layer in layers if "channel_off" in layer["edits"] and layer["kernel"])
    edits = [{"kind": "channel_off", "layer": name, "channel": channel} for channel in (0, 1)]
    body = {"view": VIEW, "layer": name}
    before = ask(studio, "POST", "/api/kernels", body)
    assert ask(studio, "POST", "/api/kernels", body | {"view": VIEW | {"edits": edits}}) == before
    relu = next(layer["name"] for layer in layers if layer["op"] == "Relu")
    with pytest.raises(ExplanationError) as error:
        ask(studio, "POST", "/api/kernels", {"view": VIEW, "layer": relu})
    assert error.value.code == "layer_without_kernels"


def test_evidence_and_trust_are_told_for_a_class_one_chooses(studio: Starlette) -> None:
    label = told(studio, "/api/model", model=VIEW["model"])["targets"][0]["classes"][1]
    found = told(studio, "/api/attribution", view=VIEW, target="label", **{"class": label})
    assert np.sum(found["cells"]) + found["bias"] == pytest.approx(found["score"], abs=1e-4)
    trust = told(studio, "/api/sanity_checks", view=VIEW, target="label", **{"class": label})
    assert abs(trust["shuffled"]["mean"]) < 0.3


def test_nothing_outside_the_folder_can_be_named(studio: Starlette) -> None:
    for name in ("../outside.muslin", "/etc/passwd", "first/../../outside.muslin", "a\0b.muslin"):
        with pytest.raises(DataError):
            ask(studio, "POST", "/api/model", {"model": name})
    with pytest.raises(DataError):
        ask(studio, "POST", "/api/look", {"view": VIEW | {"image": "file:../outside.png"}})


def test_requests_that_make_no_sense_are_refused(studio: Starlette) -> None:
    for body in (
        b"{",
        [],
        {},
        {"view": 1},
        {"view": VIEW | {"image": "web:x"}},
        {"view": VIEW | {"edits": 1}},
    ):
        assert ask(studio, "POST", "/api/look", body)[0] == 400
    with pytest.raises(ExplanationError):
        ask(studio, "POST", "/api/sheet", {"view": VIEW, "layer": "nowhere"})
    with pytest.raises(ExplanationError):
        ask(studio, "POST", "/api/arithmetic", {"view": VIEW, "layer": "stem", "index": [0, 99, 0]})
