"""The studio's API, without a server."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

import muslin
from asgi_client import ask
from muslin.data.synthetic import make_garments
from muslin.errors import BundleError, DataError, MuslinError
from muslin.messages import Message
from muslin.studio.app import _shown_error
from muslin.studio.routes import routes
from muslin.web.requests import language_of
from muslin.web.responses import localized


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    folder = tmp_path_factory.mktemp("studio")
    muslin.train(make_garments(300, seed=1).dataset, out=folder / "first", settings={"epochs": 1, "batch_size": 48})
    (folder.parent / "outside.muslin").write_bytes(b"")
    return Starlette(routes=routes(folder))


INSPECTION = {"model": "first/model.muslin", "image": "golden:0"}


def answered(studio: Starlette, path: str, **body: Any) -> Any:
    status, content = ask(studio, "POST", path, body)
    assert status == 200, content
    return json.loads(content)


def test_target_names_may_have_spaces_and_marks(tmp_path: Path) -> None:
    dataset = make_garments(120, seed=1).dataset
    (target,) = dataset.targets
    names = ("Main colour", "Größe / size: x")
    labels = dict.fromkeys(names, dataset.labels[target.name])
    dataset = replace(dataset, targets=tuple(replace(target, name=name) for name in names), labels=labels)
    muslin.train(dataset, out=tmp_path / "first", settings={"epochs": 1, "batch_size": 48})
    studio = Starlette(routes=routes(tmp_path))
    about = answered(studio, "/api/model", model=INSPECTION["model"])
    assert [found["name"] for found in about["targets"]] == list(names)
    assert set(answered(studio, "/api/predict", inspection=INSPECTION)["predictions"]) == set(names)
    for name in names:
        answered(studio, "/api/attribution", inspection=INSPECTION, target=name, **{"class": target.classes[1]})
        assert answered(studio, "/api/accuracy", inspection=INSPECTION, target=name)["target"] == name
        layers = [layer["name"] for layer in about["layers"] if layer["name"].startswith(name)]
        assert layers
        assert ask(studio, "POST", "/api/feature-maps", {"inspection": INSPECTION, "layer": layers[0]})[0] == 200


def test_a_layer_is_sent_as_one_sheet_of_bytes(studio: Starlette) -> None:
    layers = answered(studio, "/api/model", model=INSPECTION["model"])["layers"]
    layer = next(layer for layer in layers if layer["kernel"])
    _, content = ask(studio, "POST", "/api/feature-maps", {"inspection": INSPECTION, "layer": layer["name"]})
    length = struct.unpack("<I", content[:4])[0]
    header = json.loads(content[4 : 4 + length])
    codes = np.frombuffer(content[4 + length :], np.uint8).reshape(layer["shape"])
    assert (4 + length) % 8 == 0
    exact = answered(studio, "/api/values", inspection=INSPECTION, layer=layer["name"], channel=3)["values"]
    low, high = header["low"][3], header["high"][3]
    assert np.allclose(low + codes[3] / 255 * (high - low), exact, atol=(high - low) / 255)


def test_an_edit_shows_predictions_before_and_after(studio: Starlette) -> None:
    edited = INSPECTION | {"model_edits": [{"kind": "channel_off", "layer": "stem_relu", "channel": 1}]}
    found = answered(studio, "/api/predict", inspection=edited)
    assert found["unchanged"]["label"]["probabilities"] != found["predictions"]["label"]["probabilities"]
    assert answered(studio, "/api/accuracy", inspection=edited)["n"] == 16


def test_kernels_are_shown_while_a_channel_is_off(studio: Starlette) -> None:
    layers = answered(studio, "/api/model", model=INSPECTION["model"])["layers"]
    name = next(layer["name"] for layer in layers if "channel_off" in layer["edits"] and layer["kernel"])
    edits = [{"kind": "channel_off", "layer": name, "channel": channel} for channel in (0, 1)]
    body = {"inspection": INSPECTION, "layer": name}
    before = ask(studio, "POST", "/api/kernels", body)
    assert ask(studio, "POST", "/api/kernels", body | {"inspection": INSPECTION | {"model_edits": edits}}) == before
    relu = next(layer["name"] for layer in layers if layer["op"] == "Relu")
    with pytest.raises(MuslinError) as error:
        ask(studio, "POST", "/api/kernels", {"inspection": INSPECTION, "layer": relu})
    assert (error.value.code, error.value.status) == ("layer_without_kernels", 400)


def test_attribution_and_sanity_checks_are_for_the_chosen_class(studio: Starlette) -> None:
    label = answered(studio, "/api/model", model=INSPECTION["model"])["targets"][0]["classes"][1]
    body = {"inspection": INSPECTION, "target": "label", "class": label}
    found = answered(studio, "/api/attribution", **body)
    assert np.sum(found["cells"]) + found["bias"] == pytest.approx(found["score"], abs=1e-4)
    checks = answered(studio, "/api/sanity-checks", **body)
    assert abs(checks["shuffled_weights"]["mean"]) < 0.3


def test_nothing_outside_the_folder_can_be_named(studio: Starlette) -> None:
    for name in ("../outside.muslin", "/etc/passwd", "first/../../outside.muslin", "a\0b.muslin"):
        with pytest.raises(DataError) as error:
            ask(studio, "POST", "/api/model", {"model": name})
        assert (error.value.code, error.value.status) == ("file_not_in_folder", 404)
    with pytest.raises(DataError) as error:
        ask(studio, "POST", "/api/predict", {"inspection": INSPECTION | {"image": "file:../outside.png"}})
    assert error.value.code == "file_not_in_folder"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/api/predict", b"{", "request_value"),
        ("/api/predict", [], "request_value"),
        ("/api/predict", {}, "request_value"),
        ("/api/predict", {"inspection": 1}, "request_value"),
        ("/api/predict", {"inspection": INSPECTION | {"image": "web:x"}}, "request_choice"),
        ("/api/predict", {"inspection": INSPECTION | {"model_edits": 1}}, "request_value"),
        ("/api/values", {"inspection": INSPECTION, "layer": "stem", "channel": 999}, "channel_missing"),
        ("/api/values", {"inspection": INSPECTION, "layer": "stem", "channel": -1}, "request_value"),
        ("/api/pixels", {"inspection": INSPECTION, "step": "third"}, "request_choice"),
        ("/api/arithmetic", {"inspection": INSPECTION, "layer": "stem", "index": ["0"]}, "request_value"),
        ("/api/attribution", {"inspection": INSPECTION, "target": "label"}, "request_value"),
    ],
)
def test_invalid_requests_are_refused(studio: Starlette, path: str, body: Any, code: str) -> None:
    with pytest.raises(MuslinError) as error:
        ask(studio, "POST", path, body)
    assert error.value.code == code


def test_unknown_layers_and_indices_are_refused(studio: Starlette) -> None:
    for path, body in (
        ("/api/feature-maps", {"layer": "nowhere"}),
        ("/api/arithmetic", {"layer": "stem", "index": [0, 99, 0]}),
    ):
        with pytest.raises(MuslinError) as error:
            ask(studio, "POST", path, {"inspection": INSPECTION, **body})
        assert 400 <= error.value.status < 500


def test_messages_come_in_the_language_of_the_page() -> None:
    note = Message("graph_not_onnx")
    for language in ("en", "zh"):
        assert localized({"notes": (note,), "x": 1.5}, language) == {"notes": [note.to_dict(language)], "x": 1.5}
    assert [language_of(header) for header in ("zh-CN,zh;q=0.9", "ZH", "en-GB", "fr", "")] == [
        "zh",
        "zh",
        "en",
        "en",
        "en",
    ]


def test_errors_show_no_path_of_this_machine(tmp_path: Path) -> None:
    request = Request({"type": "http", "path": "/api/model", "headers": [], "query_string": b""})
    for path, shown in (
        (tmp_path / "run" / "model.muslin", "run/model.muslin"),
        ("/home/somebody/secret.csv", "secret.csv"),
        ("run/model.muslin", "run/model.muslin"),
    ):
        error = _shown_error(request, BundleError("bundle_missing", "run", path=str(path)), tmp_path)
        assert (error.code, error.status, error.params["path"]) == ("bundle_missing", 404, shown)
        assert str(error) == str(BundleError("bundle_missing", "run", path=shown))
    fault = _shown_error(request, OSError(2, "no such file", "/home/somebody/secret.csv"), tmp_path)
    assert (fault.code, fault.status, fault.params) == ("studio_fault", 500, {})
