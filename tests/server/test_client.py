"""`muslin.Client` and `muslin.AsyncClient` with a real server."""

import asyncio
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from muslin.client.results import RefusalError, ServedPrediction, ServedProduct
from muslin.client.uploads import MAX_IMAGES
from muslin.errors import ServerError
from muslin.models.bundle import seal
from muslin.models.predictor import Predictor
from refusals import refuses
from server_process import Served, gray, png, running_server
from small_models import small_bundle

Predict = Callable[..., list[ServedPrediction]]


class Both:
    """The same call of both clients, whose results must be equal."""

    def __init__(self, address: str, **options: Any) -> None:
        self._address, self._options = address, options

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*values: Any, **options: Any) -> Any:
            with muslin.Client(self._address, **self._options) as client:
                found = getattr(client, name)(*values, **options)
                found = list(found) if isinstance(found, Iterator) else found
            assert asyncio.run(self._awaited(name, *values, **options)) == found
            return found

        return call

    async def _awaited(self, name: str, *values: Any, **options: Any) -> Any:
        async with muslin.AsyncClient(self._address, **self._options) as client:
            found = getattr(client, name)(*values, **options)
            return [each async for each in found] if hasattr(found, "__aiter__") else await found


@pytest.fixture
def client(served: Served) -> Both:
    return Both(served.address)


def as_json(predictions: Any) -> list[dict[str, Any]]:
    """What a local and a served prediction have in common, as JSON values."""
    return [
        {
            "image": each.image,
            "notes": [note.to_dict() for note in each.notes],
            "error": each.error and each.error.code,
            "predictions": {
                name: (p.label, p.probability, p.decision, p.runner_up, dict(p.probabilities), p.prediction_set)
                for name, p in each.predictions.items()
            },
        }
        for each in predictions
    ]


def images_of_each_kind(folder: Path) -> list[Any]:
    """A path, a path as text, bytes, arrays, PIL images, and ones that cannot be read: by the server, or here."""
    (folder / "dark.png").write_bytes(gray(40))
    (folder / "photo.png").write_bytes(png(np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)))
    (folder / "page.jpg").write_bytes(b"<html></html>")
    bright = np.full((8, 8), 200, np.uint8)
    turned = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    return [
        folder / "dark.png", str(folder / "photo.png"), gray(110), bright, bright[:, :, None], turned,
        turned.convert("RGBA"), folder / "page.jpg", folder / "gone.png", b"", 7, np.zeros((8, 8), np.float32),
    ]  # fmt: skip


def test_predictions_are_those_of_the_predictor(client: Both, small_model: Path, tmp_path: Path) -> None:
    images = images_of_each_kind(tmp_path)
    found = client.predict(images)
    assert as_json(found) == as_json(Predictor.open(small_model).predict(images))
    assert {each.model for each in found if each.predictions} == {"small"}
    assert [each.error is None for each in found] == [True] * 7 + [False] * 5


def test_an_image_alone_is_one_prediction(client: Both, tmp_path: Path) -> None:
    (tmp_path / "dark.png").write_bytes(gray(40))
    (tmp_path / "page.jpg").write_bytes(b"<html></html>")
    (only,) = client.predict(tmp_path / "dark.png")
    assert (only.image, list(only.predictions)) == (str(tmp_path / "dark.png"), ["label"])
    (unreadable,) = client.predict(tmp_path / "page.jpg")
    assert (unreadable.error.code, unreadable.predictions) == ("image_format", {})
    assert [each.image for each in client.predict(tmp_path)] == [str(tmp_path / n) for n in ("dark.png", "page.jpg")]


def test_many_images_go_in_several_requests(client: Both, small_model: Path) -> None:
    brightness = range(0, 240, 6)
    assert len(brightness) > 2 * MAX_IMAGES
    images = [gray(each) for each in brightness]
    assert as_json(client.predict_iter(images)) == as_json(Predictor.open(small_model).predict(images))


def test_unreadable_images_are_refused_one_by_one(client: Both) -> None:
    found = client.predict([b"<html>", b"GIF89a is damaged", b"%PDF-1.7"])
    assert [each.error.code for each in found] == ["image_format", "image_header", "image_format"]


def test_precision_and_guarantee_decide(client: Both, small_model: Path) -> None:
    predictor = Predictor.open(small_model)
    for options in ({"precision": 0.6}, {"precision": 0.99}, {"precision": 0.9, "guarantee": "per-class"}):
        images = [gray(each) for each in range(60, 220, 20)]
        found = client.predict(images, **options)
        assert as_json(found) == as_json(predictor.predict(images, **options))


def test_products_are_predicted_from_all_their_photos(client: Both, small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_bytes(b"<html></html>")
    products = {
        "SKU-1": [gray(60), gray(70)], "Bluse [\"rot\"]\n": gray(200), "": [gray(250), gray(10)],
        "damaged": [gray(60), tmp_path / "page.jpg"], "half gone": [gray(60), tmp_path / "gone.png"],
        "unreadable": [b"<html>", b""], "gone": tmp_path / "gone.png",
    }  # fmt: skip
    found: list[ServedProduct] = client.predict_products(products)
    expected = list(Predictor.open(small_model).predict_products(products))
    assert [(each.product, each.predictions and each.predictions["label"].label) for each in found] == [
        (each.product, each.predictions and each.predictions["label"].label) for each in expected
    ]
    assert [[reason.code for reason in each.reasons] for each in found] == [
        [reason.code for reason in each.reasons] for each in expected
    ]
    assert [each.error is None for each in found] == [each.error is None for each in expected]
    assert [photo.error and photo.error.code for photo in found[4].photos] == [None, "image_missing"]


def test_models_are_listed(client: Both, served: Served) -> None:
    (only,) = client.models()
    assert (only.name, only.details["targets"]["label"]["classes"]) == ("small", ["Trouser", "Shirt", "Bag"])
    assert only.digest == client.predict(gray(60))[0].digest


def test_refusals_have_the_code_and_the_words_of_the_server(served: Served) -> None:
    for language, word in (("en", "small"), ("zh", "没有模型")):
        with muslin.Client(served.address, language=language) as client, pytest.raises(ServerError) as caught:
            client.predict(gray(60), model="smal")
        error = caught.value
        assert (error.code, error.status, error.params["nearest"]) == ("model_unknown", 404, "small")
        assert word in str(error)
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.to_dict()) == (RefusalError, str(error), error.to_dict())


def test_address_that_is_no_muslin_is_named(served: Served) -> None:
    with muslin.Client(served.address + "/else") as client, pytest.raises(ServerError) as caught:
        client.models()
    assert caught.value.status == 404
    with muslin.Client("http://127.0.0.1:1", retry_s=0) as client:
        assert not client.is_ready()
        with refuses("serve_unreachable", url="http://127.0.0.1:1"):
            client.models()
        with refuses("serve_not_ready", seconds=0):
            client.wait_until_ready(0)
    with muslin.Client("ftp://127.0.0.1", retry_s=0) as client, refuses("serve_unreachable"):
        client.models()


def test_one_client_serves_many_threads(served: Served) -> None:
    images = [gray(each) for each in range(64)]
    with muslin.Client(served.address) as client, ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda image: client.predict(image)[0], images))
        assert [each.predictions for each in found] == [each.predictions for each in client.predict(images)]


def test_server_with_a_token_and_a_path_prefix(small_model: Path, tmp_path: Path) -> None:
    served_file = tmp_path / "shirts.muslin"
    shutil.copy(small_model, served_file)
    other = tmp_path / "other.muslin"
    seal(small_bundle(count=4), other)
    bad = tmp_path / "bad.muslin"
    bad.write_bytes(other.read_bytes()[:-100])
    words = (f"shirts={served_file}", "--root-path", "/shop")
    with running_server(*words, environment={"MUSLIN_TOKEN": "a-token"}) as server:
        address = f"{server.address}/shop/"
        with muslin.Client(address) as client:
            client.wait_until_ready()
            with refuses("token_missing", RefusalError):
                client.predict(gray(60))
        client_with_token = Both(address, token="a-token")
        (before,) = client_with_token.models()
        with muslin.Client(address, token="a-token") as client:
            with pytest.raises(RefusalError) as caught:
                client.replace("shirts", bad)
            assert caught.value.status == 422
            with refuses("bundle_unreadable"):
                client.replace("shirts", tmp_path / "gone.muslin")
            after = client.replace("shirts", other)
        assert after.name == "shirts"
        assert after.digest != before.digest == after.details["former_digest"]
        assert [each.digest for each in client_with_token.predict([gray(60), gray(200)])] == [after.digest] * 2
    assert served_file.read_bytes() == other.read_bytes()


def test_limits_of_the_server_cost_no_image(small_model: Path) -> None:
    images = [gray(each) for each in range(0, 240, 40)]
    with running_server(str(small_model), "--max-images", "2", "--max-image-mb", "0.01") as server:
        client = Both(server.address)
        found = client.predict([*images, png(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))])
    assert [each.error and each.error.code for each in found] == [None] * 6 + ["image_bytes"]
    assert as_json(found[:6]) == as_json(Predictor.open(small_model).predict(images))


def test_many_requests_at_once_wait_for_a_connection(served: Served, small_model: Path) -> None:
    images = [gray(each) for each in range(200)]

    async def predict_all() -> list[list[ServedPrediction]]:
        async with muslin.AsyncClient(served.address) as client:
            return await asyncio.gather(*(client.predict(image) for image in images))

    found = [each for (each,) in asyncio.run(predict_all())]
    expected = Predictor.open(small_model).predict(images)
    assert [each.predictions["label"].label for each in found] == [each.predictions["label"].label for each in expected]


def test_readiness_is_that_of_the_server(client: Both) -> None:
    assert client.is_ready()
    client.wait_until_ready(5)
