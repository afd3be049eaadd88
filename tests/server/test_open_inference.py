"""The Open Inference Protocol v2 on a real server."""

import asyncio
import base64
import gzip
import json
import struct
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.applications import Starlette

from asgi_client import ask
from muslin.models.predictor import Predictor
from muslin.server.batcher import Batcher
from muslin.server.decoding import Decoder
from muslin.server.metrics import Metrics
from muslin.server.models import ModelTable, open_model
from muslin.server.open_inference.routes import OpenInference
from muslin.server.settings import Settings
from muslin.server.shadows import Shadows
from server_process import Served, gray

MODEL = "/v2/models/small"
INFER = f"{MODEL}/infer"
GRAYS = (60, 110, 200, 3)
PIXELS = np.stack([np.full((8, 8, 1), brightness, np.uint8) for brightness in GRAYS])
FILES = [gray(brightness) for brightness in GRAYS]


@pytest.fixture(scope="module")
def predictions(small_model: Path) -> list[dict[str, Any]]:
    """Of `muslin predict` for GRAYS."""
    return [each.to_dict()["predictions"]["label"] for each in Predictor.open(small_model).predict(list(PIXELS))]


@pytest.fixture(scope="module")
def digest(served: Served) -> str:
    return str(served.client.get("/v1/models/small").json()["digest"])


def pixels_input(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "shape": list(PIXELS.shape), "datatype": "UINT8", "data": PIXELS.tolist()} | changes


def files_input(files: list[bytes], **changes: Any) -> dict[str, Any]:
    texts = [base64.b64encode(file).decode() for file in files]
    return {"name": "image", "shape": [len(files)], "datatype": "BYTES", "data": texts} | changes


def infer(served: Served, sent: dict[str, Any], url: str = INFER, **more: Any) -> httpx.Response:
    return served.client.post(url, json={"inputs": [sent], **more})


def infer_binary(served: Served, header: dict[str, Any], content: bytes) -> httpx.Response:
    text = json.dumps(header).encode()
    headers = {"Inference-Header-Content-Length": str(len(text)), "Content-Type": "application/octet-stream"}
    return served.client.post(INFER, content=text + content, headers=headers)


def outputs(response: httpx.Response) -> dict[str, dict[str, Any]]:
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def check_outputs(found: dict[str, dict[str, Any]], predictions: list[dict[str, Any]]) -> None:
    """All outputs equal the predictions of `muslin predict`."""
    n = len(predictions)
    assert {name: output["shape"] for name, output in found.items()} == {
        "label": [n, 3], "label.predicted": [n], "label.decision": [n], "label.guarantee": [n],
    }  # fmt: skip
    assert found["label"]["data"] == [value for each in predictions for value in each["probabilities"].values()]
    assert found["label.predicted"]["data"] == [each["label"] for each in predictions]
    assert found["label.decision"]["data"] == [each["decision"] for each in predictions]
    guaranteed = [value > 0 for value in found["label.guarantee"]["data"]]
    assert guaranteed == [each["decision"] == "accept" for each in predictions]


def test_server_is_not_live_while_a_model_hangs(small_model: Path) -> None:
    settings, may_end = Settings({"small": small_model}, request_s=0.1), threading.Event()

    def hang(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        may_end.wait(20)
        return {}

    batcher = Batcher(hang, 8, 0.0)
    models = ModelTable({"small": replace(open_model("small", small_model, settings), batcher=batcher)})
    shadows = Shadows(ModelTable({}), Decoder(1, 1000), Metrics())
    app = Starlette(routes=OpenInference(settings, models, Decoder(1, 1000), shadows, lambda: False).routes())

    async def begin_run() -> None:
        asyncio.get_running_loop().create_task(batcher.submit(PIXELS))
        await asyncio.sleep(0)

    assert ask(app, "GET", "/v2/health/live")[0] == 200
    asyncio.run(begin_run())
    while ask(app, "GET", "/v2/health/live")[0] == 200:
        pass
    status, content = ask(app, "GET", "/v2/health/live")
    assert (status, "takes longer than" in content.decode()) == (503, True)
    may_end.set()
    while ask(app, "GET", "/v2/health/live")[0] == 503:
        pass
    batcher.close()


def test_health_and_metadata(served: Served, digest: str) -> None:
    assert served.client.get("/v2/health/live").json() == {"live": True}
    assert served.client.get("/v2/health/ready").json() == {"ready": True}
    server = served.client.get("/v2").json()
    assert server["name"] == "muslin"
    assert {"binary_tensor_data", "classification"} <= set(server["extensions"])
    listed = served.client.post("/v2/repository/index").json()
    assert listed == [{"name": "small", "version": digest, "state": "READY"}]
    for path in (MODEL, f"{MODEL}/versions/{digest}"):
        assert served.client.get(f"{path}/ready").status_code == 200
        metadata = served.client.get(path).json()
        assert (metadata["name"], metadata["versions"]) == ("small", [digest])
        assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
        assert json.loads(metadata["properties"]["label.classes"]) == ["Trouser", "Shirt", "Bag"]
        assert served.client.get(f"{path}/config").json()["input"][0]["dims"] == [8, 8, 1]


@pytest.mark.parametrize("path", ["/v2/models/gone", f"{MODEL}/versions/1"])
def test_unknown_model_and_version_have_the_statuses_of_the_protocol(served: Served, path: str) -> None:
    found = {rest: served.client.get(path + rest) for rest in ("", "/config", "/ready")}
    found["/infer"] = infer(served, pixels_input(), f"{path}/infer")
    assert {rest: response.status_code for rest, response in found.items()} == {
        "": 400, "/config": 400, "/ready": 404, "/infer": 400,
    }  # fmt: skip
    assert all(list(response.json()) == ["error"] for response in found.values())


def test_pixels_and_files_have_the_predictions_of_muslin_predict(
    served: Served, digest: str, predictions: list[dict[str, Any]]
) -> None:
    flat = pixels_input(data=PIXELS.ravel().tolist())
    column = files_input(FILES, shape=[4, 1])
    for sent in (pixels_input(), flat, files_input(FILES), column):
        for url in (INFER, f"{MODEL}/versions/{digest}/infer"):
            response = infer(served, sent, url, id="number 7")
            check_outputs(outputs(response), predictions)
            body = response.json()
            assert (body["model_name"], body["model_version"], body["id"]) == ("small", digest, "number 7")
            assert body["parameters"]["digest"] == digest


def test_binary_data_both_ways(served: Served, predictions: list[dict[str, Any]]) -> None:
    elements = b"".join(struct.pack("<I", len(file)) + file for file in FILES)
    kinds = ((pixels_input, PIXELS.tobytes()), (lambda **changes: files_input(FILES, **changes), elements))
    for make, content in kinds:
        sent = make(parameters={"binary_data_size": len(content)})
        del sent["data"]
        check_outputs(outputs(infer_binary(served, {"inputs": [sent]}, content)), predictions)
        header = {"inputs": [sent], "parameters": {"binary_data_output": True}}
        check_binary(infer_binary(served, header, content), predictions)
    raw = served.client.post(INFER, content=PIXELS.tobytes(), headers={"Inference-Header-Content-Length": "0"})
    check_binary(raw, predictions)


def check_binary(response: httpx.Response, predictions: list[dict[str, Any]]) -> None:
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers["inference-header-content-length"])
    described, rest = json.loads(response.content[:length])["outputs"], response.content[length:]
    found = {}
    for output in described:
        size = output["parameters"]["binary_data_size"]
        found[output["name"]], rest = rest[:size], rest[size:]
    assert rest == b""
    expected = [value for each in predictions for value in each["probabilities"].values()]
    assert np.frombuffer(found["label"], "<f4").tolist() == np.array(expected, np.float32).tolist()
    decisions = [each["decision"].encode() for each in predictions]
    assert found["label.decision"] == b"".join(struct.pack("<I", len(each)) + each for each in decisions)


def test_only_the_requested_outputs_come_in_their_order(served: Served, predictions: list[dict[str, Any]]) -> None:
    wanted = [{"name": "label.decision"}, {"name": "label", "parameters": {"classification": 2}}]
    response = infer(served, pixels_input(), outputs=wanted)
    assert [output["name"] for output in response.json()["outputs"]] == ["label.decision", "label"]
    found = outputs(response)["label"]
    assert (found["datatype"], found["shape"]) == ("BYTES", [4, 2])
    for text, each in zip(found["data"][::2], predictions, strict=True):
        value, _, label = text.split(":")
        assert (label, float(value)) == (each["label"], each["probability"])


def test_precision_and_guarantee_are_parameters(served: Served, small_model: Path) -> None:
    predictor = Predictor.open(small_model)
    for precision, guarantee in ((0.6, "overall"), (0.999, "overall"), (0.9, "per-class")):
        chosen = {"precision": precision, "guarantee": guarantee}
        response = infer(served, pixels_input(), parameters=chosen)
        expected = predictor.predict(list(PIXELS), precision=precision, guarantee=guarantee)
        decisions = [each.predictions["label"].decision for each in expected]
        assert outputs(response)["label.decision"]["data"] == decisions
        assert response.json()["parameters"].items() >= chosen.items()
    assert infer(served, pixels_input(), parameters={"precision": 0.1}).status_code == 400
    assert infer(served, pixels_input(), parameters={"guarantee": "all"}).status_code == 400


def test_unreadable_file_is_named(served: Served) -> None:
    for damaged in (b"", b"<html>", FILES[0][:50], b"http://127.0.0.1/b.jpg", b"/etc/passwd"):
        response = infer(served, files_input([FILES[0], damaged]))
        assert response.status_code == 400
        assert "inputs[0].data[1]" in response.json()["error"]


def test_wrong_request_says_which_field(served: Served) -> None:
    wrong = {
        "inputs[0].datatype": pixels_input(datatype="FP32"),
        "inputs[0].shape": pixels_input(shape=[4, 8, 8]),
        "inputs[0].data": pixels_input(data=[1]),
        "inputs[0].data[255]": pixels_input(data=[*PIXELS.ravel().tolist()[:-1], 256]),
        "inputs[0].name": pixels_input(name="pixels"),
    }
    for field, sent in wrong.items():
        response = infer(served, sent)
        assert response.status_code == 400
        assert field in response.json()["error"]
    response = infer(served, pixels_input(), outputs=[{"name": "lable"}])
    assert response.status_code == 400
    assert "outputs[0].name" in response.json()["error"]
    assert "'label'" in response.json()["error"]


def test_error_is_in_the_language_of_the_client(served: Served) -> None:
    texts = [
        served.client.post(INFER, content=b"{", headers={"Accept-Language": language}).json()["error"]
        for language in ("en", "zh-CN")
    ]
    assert texts[0] != texts[1]


def test_unknown_route_and_method_have_the_form_of_the_protocol(served: Served) -> None:
    for method, path, status in (("GET", "/v2/models", 404), ("GET", INFER, 405), ("PUT", MODEL, 405)):
        response = served.client.request(method, path)
        assert response.status_code == status
        assert isinstance(response.json()["error"], str)


def test_body_may_be_compressed(served: Served, predictions: list[dict[str, Any]]) -> None:
    body = gzip.compress(json.dumps({"inputs": [pixels_input()]}).encode())
    response = served.client.post(INFER, content=body, headers={"Content-Encoding": "gzip"})
    check_outputs(outputs(response), predictions)
    bomb = gzip.compress(bytes(101_000_000))
    assert served.client.post(INFER, content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413
    assert served.client.post(INFER, content=body, headers={"Content-Encoding": "br"}).status_code == 400


def test_id_is_repeated_as_it_is(served: Served) -> None:
    for text in ("", "a\n\u202e\x9b", "\ud800", "x" * 10_000):
        content = json.dumps({"id": text, "inputs": [pixels_input()]})
        response = served.client.post(INFER, content=content)
        assert json.loads(response.content)["id"] == text
