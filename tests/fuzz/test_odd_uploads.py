"""Odd and damaged images as uploads: a prediction, or a refusal with its reason, and the server goes on."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from mutations import mutate
from PIL import Image
from valid_files import IMAGES

from muslin.models.bundle import seal
from muslin.models.predictor import Predictor
from server_process import Served, running_server
from small_models import small_bundle, with_calibration

SHORT, LONG = 4, 400
"""Damaged files of each kind."""


def _image(width: int, height: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), 130).save(file, kind)
    return file.getvalue()


def _png_header(side: int) -> bytes:
    """A PNG that claims to be `side` pixels wide and high."""
    head = b"IHDR" + side.to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + zlib.crc32(head).to_bytes(4, "big") + _image(1, 1)[33:]


OTHERS = {
    "empty": b"",
    "one byte": b"\xff",
    "zeros": bytes(5000),
    "page": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"></svg>',
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "zip": b"PK\x03\x04" + bytes(100),
    "script": b"#!/bin/sh\nrm -rf /\n",
    "path": b"/etc/passwd",
    "address": b"http://127.0.0.1:22/",
    "bomb": _png_header(100_000),
    "one pixel": _image(1, 1),
    "one row": _image(10_000, 1),
    "one column": _image(1, 10_000),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.muslin"
    seal(with_calibration(small_bundle()), path)
    return path


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Served]:
    with running_server(str(model)) as server:
        yield server


def check(server: Served, predictor: Predictor, content: bytes) -> None:
    """An upload has the prediction of `muslin predict`, or its error."""
    expected = predictor.predict([content])[0].to_dict()
    response = server.predict(content)
    if expected["error"] is None:
        assert response.status_code == 200, response.text
        assert response.json()["results"][0]["predictions"] == expected["predictions"]
    else:
        assert 400 <= response.status_code < 500, response.text
        error = response.json()["error"]
        assert error["code"] == expected["error"]["code"]
        assert "0.png" in error["message"]


@pytest.mark.parametrize("kind", OTHERS)
def test_odd_upload_is_predicted_or_refused(server: Served, model: Path, kind: str) -> None:
    check(server, Predictor.open(model), OTHERS[kind])


@pytest.mark.parametrize("kind", IMAGES)
def test_damaged_upload_is_predicted_or_refused(server: Served, model: Path, is_long: bool, kind: str) -> None:
    predictor, random, sound = Predictor.open(model), Random(7), IMAGES[kind]()
    check(server, predictor, sound)
    for _ in range(LONG if is_long else SHORT):
        check(server, predictor, mutate(sound, random))


def test_odd_images_among_others_cost_only_themselves(server: Served, model: Path) -> None:
    contents = [each for odd in OTHERS.values() for each in (_image(20, 30), odd)]
    results = server.predict(*contents).json()["results"]
    expected = [Predictor.open(model).predict([content])[0].to_dict() for content in contents]
    assert [each["predictions"] for each in results] == [each["predictions"] for each in expected]
    codes = [[each["error"] and each["error"]["code"] for each in rows] for rows in (results, expected)]
    assert codes[0] == codes[1]
