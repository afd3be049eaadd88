"""The prediction for a product from its photos: combined, calibrated per product, and to review with the reason."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from command_line import invoke
from muslin.data.dataset import Target
from muslin.data.photo_roles import ProductPhoto, shows_only_packaging
from muslin.errors import ImageError
from muslin.evaluation.products import combine
from muslin.evaluation.selective import CalibrationData, acceptance_policy
from muslin.models.bundle import seal
from muslin.models.decision_rules import DecisionRules
from muslin.models.prediction import Prediction
from muslin.models.predictor import CHUNK, Predictor
from muslin.models.product_prediction import ProductPrediction, ProductRule
from muslin.strict_json import json_text
from small_models import LABEL, SIDE, prediction_of, small_bundle


def photo(name: str, *probabilities: float, decision: str = "accept") -> Prediction:
    return Prediction(name, {"label": prediction_of(dict(zip(LABEL.classes, probabilities, strict=True)), decision)})


def unreadable(name: str) -> Prediction:
    return Prediction(name, {}, error=ImageError("photo_not_named", path=name).message)


def calibration(temperature: float = 1.0) -> CalibrationData:
    """1,000 products, of which those with a confidence of 0.6 and more are correct."""
    confidence = np.linspace(1, 0.34, 1000).astype(np.float32)
    correct = (confidence >= 0.6) | (np.arange(1000) % 2 == 0)
    rows: tuple[NDArray[Any], ...] = (confidence, np.arange(1000, dtype=np.int32) % 3, correct, confidence)
    return CalibrationData(np.array([temperature], np.float32), np.zeros(0), *rows, np.arange(1000, dtype=np.int32))


def rule(data: CalibrationData | None) -> ProductRule:
    policy = acceptance_policy(LABEL, data or calibration(), 0.9)
    return ProductRule((LABEL,), {} if data is None else {"label": data}, {"label": policy})


def codes(product: ProductPrediction) -> list[str]:
    return [reason.code for reason in product.reasons]  # type: ignore[attr-defined]


def test_probabilities_are_combined_and_calibrated_again() -> None:
    photos = [photo("a", 0.9, 0.05, 0.05), photo("b", 0.5, 0.3, 0.2)]
    product = rule(calibration(temperature=2)).predict("shirt", photos)
    combined = combine(np.array([[0.9, 0.05, 0.05], [0.5, 0.3, 0.2]]), np.array([0, 0])).probabilities[0]
    expected = np.sqrt(combined) / np.sqrt(combined).sum()
    found = product.predictions["label"]
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-6)
    assert (found.label, found.decision, codes(product)) == ("Trouser", "accept", [])


def test_unsure_photos_can_be_accepted_together() -> None:
    photos = [photo("a", 0.9, 0.05, 0.05), photo("b", 0.6, 0.3, 0.1, decision="review")]
    assert rule(calibration()).predict("shirt", photos).predictions["label"].decision == "accept"


def test_photos_that_contradict_send_the_product_to_review() -> None:
    photos = [*(photo(f"{i}", 0.99, 0.005, 0.005) for i in range(9)), photo("back", 0.05, 0.9, 0.05)]
    for data in (calibration(), None):
        product = rule(data).predict("shirt", photos)
        prediction = product.predictions["label"]
        assert codes(product) == ["product_photos_contradict"]
        assert (prediction.label, prediction.decision) == ("Trouser", "review")
        assert set(prediction.prediction_set) >= {"Trouser", "Shirt"}


def test_guarantee_per_photo_needs_every_photo_accepted_alike() -> None:
    sure, unsure, other = (0.97, 0.02, 0.01), (0.6, 0.3, 0.1), (0.2, 0.75, 0.05)
    alike = rule(None).predict("shirt", [photo("a", *sure), photo("b", *sure)])
    assert (alike.predictions["label"].decision, codes(alike)) == ("accept", [])
    for second in (photo("b", *unsure, decision="review"), photo("b", *other)):
        product = rule(None).predict("shirt", [photo("a", *sure), second])
        assert product.predictions["label"].decision == "review"
        assert codes(product) == ["product_photos_decided_differently"]
    reviewed = rule(None).predict("shirt", [photo(name, *unsure, decision="review") for name in "ab"])
    assert (reviewed.predictions["label"].decision, codes(reviewed)) == ("review", [])


def test_product_with_one_photo_is_that_photo() -> None:
    only = photo("a", 0.5, 0.3, 0.2)
    assert rule(None).predict("shirt", [only]).predictions == only.predictions


def test_unreadable_photos_are_named_and_the_rest_decides() -> None:
    product = rule(calibration()).predict("shirt", [unreadable("gone.jpg"), photo("a", 0.9, 0.05, 0.05)])
    assert product.error is None
    assert product.unreadable == ("gone.jpg",)
    assert codes(product) == ["product_photos_unreadable"]
    assert product.predictions["label"].decision == "accept"


def test_product_without_a_readable_photo_has_an_error() -> None:
    both = rule(calibration()).predict("shirt", [unreadable("a"), unreadable("b")])
    assert both.error.code == "product_without_photo"  # type: ignore[union-attr]
    assert both.error.params["count"] == 2  # type: ignore[union-attr]
    one = rule(calibration()).predict("shirt", [unreadable("a")])
    assert one.error.code == "photo_not_named"  # type: ignore[union-attr]
    assert both.predictions == one.predictions == {}


def test_few_photos_out_of_scope_are_left_out() -> None:
    shirts = [photo(name, 0.9, 0.05, 0.05) for name in "abc"]
    chart = photo("chart", 0.1, 0.1, 0.8, decision="out of scope")
    product = rule(calibration()).predict("shirt", [*shirts, chart])
    assert codes(product) == ["product_photos_out_of_scope"]
    assert product.predictions == rule(calibration()).predict("shirt", shirts).predictions


def test_product_with_half_its_photos_out_of_scope_is() -> None:
    photos = [photo("a", 0.9, 0.05, 0.05), photo("lamp", 0.1, 0.1, 0.8, decision="out of scope")]
    for data in (calibration(), None):
        product = rule(data).predict("lamp", photos)
        assert product.predictions["label"].decision == "out of scope"
        assert codes(product) == []


def test_labels_of_products_are_combined_by_log_odds() -> None:
    target = Target("style", ("striped", "hooded"), "multilabel")
    rows = [{"striped": 0.9, "hooded": 0.5}, {"striped": 0.5, "hooded": 0.1}]
    photos = [
        Prediction(name, {"style": prediction_of(row, "review", labels=("striped",))})
        for name, row in zip("ab", rows, strict=True)
    ]
    policy = acceptance_policy(target, None, 0.9, label_thresholds=(0.5, 0.5))
    found = ProductRule((target,), {}, {"style": policy}).predict("shirt", photos).predictions["style"]
    assert found.labels == ("striped",)
    assert list(found.probabilities.values()) == pytest.approx([0.75, 0.25])


# --- with a model


def gray(value: int) -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE), value, np.uint8)


def test_products_of_any_size_come_in_order() -> None:
    predictor = Predictor(small_bundle(), threads=1)
    sizes = [1, 3, 2 * CHUNK, 0, 60, 1]
    images = {f"p{i}": [gray(40 * i)] * size for i, size in enumerate(sizes)}
    found = list(predictor.predict_products(images))
    assert [product.product for product in found] == list(images)
    assert [len(product.photos) for product in found] == [max(size, 1) for size in sizes]
    assert [bool(product.error) for product in found] == [size == 0 for size in sizes]
    for i, product in enumerate(found):
        if sizes[i]:
            [alone] = predictor.predict(gray(40 * i))
            assert product.predictions["label"].probability == pytest.approx(alone.predictions["label"].probability)


def test_photos_are_decoded_a_few_dozen_at_a_time() -> None:
    predictor = Predictor(small_bundle(), threads=1)
    asked = 0

    def products() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
        nonlocal asked
        for number in range(50):
            asked += 1
            yield str(number), [(str(i), gray(i)) for i in range(10)]

    counts = [asked for _ in predictor.predict_named_products(products())]
    assert max(a - i for i, a in enumerate(counts)) <= 2 * CHUNK // 10
    assert all(a <= b for a, b in pairwise(counts))


def test_guarantee_of_products_is_used_where_the_model_has_one() -> None:
    bundle = replace(
        small_bundle(), calibration_data={"label": calibration()}, product_calibration={"label": calibration(0.5)}
    )
    predictor = Predictor(bundle, threads=1)
    [product] = predictor.predict_products({"bag": [gray(255), gray(255)]}, precision=0.9)
    [alone] = predictor.predict([gray(255)], precision=0.9)
    assert product.predictions["label"].probability > alone.predictions["label"].probability
    assert product.predictions["label"].decision == "accept"


@pytest.mark.parametrize("data", [None, calibration()])
def test_packaging_does_not_decide_alone(data: CalibrationData | None) -> None:
    box, front = photo("box.jpg", 0.99, 0.01, 0.0), photo("front.jpg", 0.98, 0.02, 0.0)
    alone = rule(data).predict("p", [box], ["packaging"])
    assert alone.predictions["label"].decision == "review"
    assert [reason.code for reason in alone.reasons] == ["product_photos_of_packaging"]  # type: ignore[attr-defined]
    without_front = rule(data).predict("p", [box, unreadable("front.jpg")], ["packaging", "front"])
    assert without_front.predictions["label"].decision == "review"
    both = rule(data).predict("p", [box, front], ["packaging", "front"])
    assert (both.predictions["label"].decision, both.reasons) == ("accept", ())


def test_products_of_packaging_alone_are_found() -> None:
    roles = np.array(["packaging", "front", "packaging", "packaging", ""], dtype=object)
    assert shows_only_packaging(roles, np.array([0, 0, 1, 1, 2])).tolist() == [False, True, False]
    assert shows_only_packaging(None, np.array([0, 1])).tolist() == [False, False]


def test_roles_come_with_photos_or_their_names() -> None:
    predictor = Predictor(small_bundle(), threads=1)
    photos: list[Any] = [ProductPhoto("1.png", gray(255), "packaging"), ("2.png", gray(255)), ("3_box.png", gray(0))]
    products: list[Any] = [("a", photos[:1]), ("b", photos[1:2]), ("c", [("x-packaging.png", gray(255))])]
    found = predictor.predict_named_products(products, precision=0.9)
    assert [bool(product.reasons) for product in found] == [True, False, True]


def test_groups_of_photos_that_are_products_are_called_so() -> None:
    of_photos = replace(calibration(), group=np.arange(1000, dtype=np.int32) // 2)
    bundle = replace(
        small_bundle(), calibration_data={"label": of_photos}, product_calibration={"label": calibration()}
    )
    [said] = DecisionRules(bundle).policies(0.999)["label"].unsupported
    assert (said.params["in_products"], "groups" in said.params) == (500, False)
    [said] = DecisionRules(replace(bundle, product_calibration={})).policies(0.999)["label"].unsupported
    assert said.params["groups"] == 500


def test_product_is_json_with_a_summary_of_each_photo() -> None:
    predictor = Predictor(small_bundle(), threads=1)
    [product] = predictor.predict_products({"bag": [gray(255), b"no image"]})
    values = product.to_dict()
    assert json_text(values)
    assert [set(each["predictions"].get("label", {})) for each in values["photos"]] == [
        {"label", "probability", "decision"}, set()]  # fmt: skip
    assert set(values["predictions"]["label"]["probabilities"]) == set(LABEL.classes)


def test_folders_are_products_of_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seal(small_bundle(), tmp_path / "model.muslin")
    for name, value in {"bag/1": 255, "bag/2": 200, "shirt/1": 128}.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gray(value)).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos/shirt/2.png").write_bytes(b"no image")
    command = ("predict", tmp_path / "model.muslin", tmp_path / "photos", "--product", "folder")
    printed = invoke(capfd, *command, "--json")
    bag, shirt = map(json.loads, printed.out.splitlines())
    assert [Path(each["product"]).name for each in (bag, shirt)] == ["bag", "shirt"]
    assert [len(each["photos"]) for each in (bag, shirt)] == [2, 2]
    assert [reason["code"] for reason in shirt["reasons"]] == ["product_photos_unreadable"]
    assert "shirt: Photos that cannot be read: 1" in invoke(capfd, *command).out
