"""`POST /v1/predict`: what it takes, what it gives, and what it refuses."""

import gzip
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from muslin.messages import Message
from muslin.models.predictor import Predictor
from server_process import Served, gray, png


def test_predictions_are_those_of_muslin_predict(served: Served, small_model: Path) -> None:
    images = [gray(60), gray(200), gray(0)]
    response = served.predict(*images)
    assert response.status_code == 200
    expected = [
        {**each.to_dict(), "image": f"{i}.png"} for i, each in enumerate(_predictor(small_model).predict(images))
    ]
    assert response.json()["results"] == expected
    assert {each["predictions"]["label"]["decision"] for each in expected} >= {"out of scope"}


def test_response_names_the_model_and_its_digest(served: Served) -> None:
    listed = served.client.get("/v1/models").json()["models"]
    assert [(each["model"], each["targets"]["label"]["classes"]) for each in listed] == [
        ("small", ["Trouser", "Shirt", "Bag"])
    ]
    response = served.predict(gray(60)).json()
    assert (response["model"], response["digest"]) == ("small", listed[0]["digest"])
    assert served.client.get("/v1/models/small").json() == listed[0]


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", None])
def test_image_can_be_the_body(served: Served, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = served.client.post("/v1/predict", content=gray(60), headers=headers)
    results, expected = response.json()["results"], served.predict(gray(60)).json()["results"]
    assert results == [{**expected[0], "image": "image"}]


def test_photos_of_a_product_are_predicted_together(served: Served, small_model: Path) -> None:
    photos = {"1": [gray(60), gray(70)], "2": [gray(200)]}
    files = [(f"product[{name}]", (f"{name}.png", each)) for name in photos for each in photos[name]]
    response = served.client.post("/v1/predict", files=[files[0], files[2], files[1]])
    assert response.status_code == 200, response.text
    named = ((name, [(f"{name}.png", each) for each in photos[name]]) for name in photos)
    expected = [each.to_dict() for each in _predictor(small_model).predict_named_products(named)]
    assert response.json()["results"] == expected


def test_precision_and_guarantee_are_those_of_the_query(served: Served, small_model: Path) -> None:
    image = gray(110)
    for precision, guarantee in ((0.6, "overall"), (0.99, "overall"), (0.9, "per-class")):
        found = served.predict(image, precision=precision, guarantee=guarantee).json()["results"][0]
        expected = _predictor(small_model).predict([image], precision=precision, guarantee=guarantee)[0].to_dict()
        assert found["predictions"] == expected["predictions"]


def test_unreadable_image_among_others_is_named(served: Served) -> None:
    results = served.predict(gray(60), b"GIF89a is damaged", gray(60)).json()["results"]
    assert [each["error"] and each["error"]["code"] for each in results] == [None, "image_header", None]
    assert results[1]["image"] == "1.png"
    assert results[0]["predictions"] == results[2]["predictions"] != {}


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 415, "image_empty"),
        (b"<html></html>", 415, "image_format"),
        (gray(60)[:45], 415, "image_cut_off"),
        (b"<svg></svg>", 415, "image_format"),
    ],
)
def test_unreadable_image_alone_is_refused(served: Served, content: bytes, status: int, code: str) -> None:
    response = served.predict(content)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_images_that_are_all_unreadable_are_refused_together(served: Served) -> None:
    files = [("image", (f"{place}.png", b"")) for place in range(2)]
    response = served.client.post("/v1/predict", files=files, headers={"accept-language": "zh"})
    error = response.json()["error"]
    assert (error["code"], error["params"]["count"]) == ("no_image_readable", 2)
    assert all(reason["message"] in error["message"] for reason in error["params"]["names"])
    assert "空" in error["message"]


def test_unknown_model_and_parameter_are_refused_by_name(served: Served) -> None:
    for query, status, code in (
        ({"model": "smal"}, 404, "model_unknown"),
        ({"precison": 0.9}, 400, "parameter_unknown"),
        ({"precision": "high"}, 400, "request_value"),
        ({"precision": 0.2}, 400, "precision_range"),
        ({"guarantee": "all"}, 400, "guarantee_unknown"),
    ):
        response = served.predict(gray(60), **query)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_errors_are_in_the_language_of_the_client(served: Served) -> None:
    headers = {"accept-language": "zh-CN,zh;q=0.9"}
    response = served.client.post("/v1/predict?model=x", content=gray(60), headers=headers)
    assert response.json()["error"]["message"].startswith("没有模型")


def test_notes_are_in_the_language_of_the_client(served: Served) -> None:
    headers = {"accept-language": "zh"}
    response = served.client.post("/v1/predict", content=gray(60, side=30), headers=headers)
    note = response.json()["results"][0]["notes"][0]
    assert note["message"] == Message(note["code"], **note["params"]).text("zh")
    assert note["message"] != str(Message(note["code"], **note["params"]))


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({"photo": ("a.png", b"x")}, 400, "form_field_unknown"),
        ({"image": (None, "http://localhost/a.png")}, 400, "form_field_text"),
        ({"image": ("a.png", b"x"), "product[1]": ("b.png", b"x")}, 400, "form_fields_mixed"),
    ],
)
def test_form_that_is_not_understood_is_refused(served: Served, files: dict[str, Any], status: int, code: str) -> None:
    response = served.client.post("/v1/predict", files=files)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("kind", "content", "status", "code"),
    [
        ("application/json", b"{}", 415, "content_type"),
        ("text/html", b"<html>", 415, "content_type"),
        ("image/png", b"", 400, "no_image_sent"),
        ("multipart/form-data", b"x", 400, "form_malformed"),
    ],
)
def test_other_bodies_are_refused(served: Served, kind: str, content: bytes, status: int, code: str) -> None:
    response = served.client.post("/v1/predict", content=content, headers={"content-type": kind})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_pixels_of_larger_images_are_scaled_as_predict_does(served: Served, small_model: Path) -> None:
    photo = png(np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8))
    found = served.predict(photo).json()["results"][0]
    expected = _predictor(small_model).predict([photo])[0].to_dict()
    assert found["predictions"] == expected["predictions"]
    assert [note["code"] for note in found["notes"]] == [note["code"] for note in expected["notes"]]


def test_unknown_path_and_method_are_refused_as_json(served: Served) -> None:
    assert served.client.get("/v1/nothing").json()["error"]["code"] == "route_missing"
    response: httpx.Response = served.client.get("/v1/predict")
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")


def _predictor(path: Path) -> Predictor:
    return Predictor.open(path)


def test_compressed_body_is_refused_where_it_is_not_unpacked(served: Served) -> None:
    headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
    response = served.client.post("/v1/predict", content=gzip.compress(gray(9)), headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (415, "content_encoded")
    headers["Content-Encoding"] = "identity"
    assert served.client.post("/v1/predict", content=gray(9), headers=headers).status_code == 200


def test_no_address_redirects_to_another(served: Served) -> None:
    response = served.client.get("/v1/models/")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "route_missing")
