"""A model of data with products: calibrated, evaluated and compared per product, and printed so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import muslin
from command_line import invoke
from muslin.data.convert import convert
from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.data.synthetic import CLASSES, make_garments
from muslin.evaluation.product_metrics import ProductMetrics
from muslin.evaluation.selective import CalibrationData
from muslin.models.bundle import open_bundle
from muslin.models.predictor import Predictor
from muslin.workflows.compare import CompareOptions, compare
from muslin.workflows.evaluate import EvaluateOptions, evaluate
from small_models import SIDE, having_seen, small_bundle, with_ood_detector

PHOTOS = 3


def shop(count: int = 360) -> Dataset:
    """Garments of which three of one class are photos of one product."""
    dataset = make_garments(count, seed=5).dataset
    numbers = np.arange(count)
    block = numbers // (PHOTOS * len(CLASSES)) * len(CLASSES)
    products = [f"p{b + n % len(CLASSES)}" for n, b in zip(numbers.tolist(), block.tolist(), strict=True)]
    return replace(dataset, products=np.array(products, dtype=object))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The folder of a run, and what was logged."""
    out, logged = tmp_path_factory.mktemp("products") / "run", list[Any]()
    settings = {"epochs": 2, "validation_fraction": 0.3, "batch_size": 32}
    return muslin.train(shop(), recipe="quick", settings=settings, out=out, log=logged.append).folder, logged


@pytest.fixture
def run(trained: tuple[Path, list[Any]]) -> Path:
    return trained[0]


def test_training_says_how_many_products_a_guarantee_takes(trained: tuple[Path, list[Any]]) -> None:
    [note] = [note for note in trained[1] if note.code == "validation_too_small"]
    assert note.params["products"] < note.params["needed"] == 149
    assert "n" not in note.params


def test_training_calibrates_per_product(run: Path) -> None:
    bundle = open_bundle(run / "model.muslin")
    photos, products = bundle.calibration_data["label"], bundle.product_calibration["label"]
    assert len(photos) == PHOTOS * len(products)
    assert photos.n_groups == len(products)
    assert products.n_groups is None
    assert bundle.provenance["test"]["label"]["products"]["n"] * PHOTOS == bundle.provenance["test"]["label"]["n"]


def test_data_without_products_leave_no_trace_of_them(tmp_path: Path) -> None:
    dataset = replace(shop(120), products=None)
    bundle = open_bundle(
        muslin.train(dataset, recipe="quick", settings={"epochs": 1, "batch_size": 16}, out=tmp_path / "r").model
    )
    assert not bundle.product_calibration
    assert "products" not in bundle.provenance["test"]["label"]


def test_evaluation_measures_products(run: Path) -> None:
    options = EvaluateOptions(split="all", precision=0.6)
    reliability = evaluate(run / "model.muslin", shop(), options).evaluations["label"].reliability
    assert reliability is not None
    products = reliability.products
    assert products is not None
    assert (products.n, products.n_photos, products.n_ambiguous) == (120, 360, 0)
    assert products.precision_target == 0.6
    assert products.accuracy is not None
    assert reliability.accuracy is not None
    assert products.accuracy >= reliability.accuracy
    assert products.accepted is not None
    assert products.coverage == pytest.approx(products.accepted / 120)


@pytest.fixture
def dim_photos() -> tuple[Predictor, Dataset]:
    """Slim products with two dim photos and a bright one of something else, with which they would be called wide."""
    fit, count, rows = Target("fit", ("slim", "wide")), 18, 400
    brightness = np.resize(np.uint8([30, 31, 250]), count) + np.arange(count, dtype=np.uint8) // PHOTOS
    dataset = Dataset(
        name="shop",
        format="table",
        images=PixelImages(np.broadcast_to(brightness[:, None, None, None], (count, SIDE, SIDE, 1)).copy()),
        targets=(fit,),
        labels={"fit": np.zeros(count, np.int64)},
        ids=np.array([str(n) for n in range(count)], dtype=object),
        products=np.array([f"p{n // PHOTOS}" for n in range(count)], dtype=object),
    )
    sure, each = np.linspace(1, 0.2, rows, dtype=np.float32), np.arange(rows, dtype=np.int32)
    data = CalibrationData(np.float32([1]), np.array([0.8]), sure, each % 2, np.ones(rows, dtype=bool), sure, each)
    bundle = replace(
        with_ood_detector(small_bundle(fit), 0.1, 0.3),
        thresholds={"fit": (0.8,)},
        calibration_data={"fit": data},
        product_calibration={"fit": data},
    )
    return Predictor(having_seen(bundle, bundle.golden_pixels)), dataset


def products_of(predictor: Predictor, dataset: Dataset) -> ProductMetrics:
    reliability = evaluate(predictor, dataset, EvaluateOptions(split="all")).evaluations["fit"].reliability
    assert reliability is not None
    assert reliability.products is not None
    return reliability.products


def test_photos_out_of_scope_do_not_count_in_a_comparison(dim_photos: tuple[Predictor, Dataset]) -> None:
    predictor, dataset = dim_photos
    assert products_of(predictor, dataset).accuracy == 1
    compared = compare(predictor, predictor, dataset, CompareOptions(split="all")).products["fit"]
    assert compared.accuracy_a == compared.accuracy_b == 1


def test_packaging_beside_photos_out_of_scope_is_not_accepted(dim_photos: tuple[Predictor, Dataset]) -> None:
    predictor, dataset = dim_photos
    assert products_of(predictor, dataset).accepted == 6
    roles = np.array(["packaging", "packaging", "front"] * 6, dtype=object)
    assert products_of(predictor, replace(dataset, roles=roles)).accepted == 0


def test_evaluation_agrees_with_predicted_products(run: Path) -> None:
    data = shop()
    predictor = Predictor.open(run / "model.muslin")
    pixels = {
        name: [data.images[int(i)] for i in np.flatnonzero(data.products == name)]
        for name in dict.fromkeys(data.products)
    }
    predicted = list(predictor.predict_products(pixels, precision=0.6))
    true = [CLASSES[data.labels["label"][np.flatnonzero(data.products == name)[0]]] for name in pixels]
    of = [p.predictions["label"] for p in predicted]
    options = EvaluateOptions(split="all", precision=0.6)
    reliability = evaluate(predictor, data, options).evaluations["label"].reliability
    assert reliability is not None
    assert reliability.products is not None
    assert reliability.products.accepted == sum(p.decision == "accept" for p in of)
    assert reliability.products.accuracy == pytest.approx(
        np.mean([p.label == t for p, t in zip(of, true, strict=True)])
    )


def test_models_are_compared_on_products(run: Path) -> None:
    model = run / "model.muslin"
    compared = compare(model, model, shop(), CompareOptions(split="all"))
    assert compared.products["label"].overall.n == 120
    assert compared.products["label"].overall.difference == 0
    values = compared.to_dict()["targets"]["label"]["products"]
    assert "images_only_a_correct" not in values
    assert not compare(model, model, replace(shop(), products=None), CompareOptions(split="all")).products


def test_comparison_says_which_products_it_cannot_count(run: Path) -> None:
    data, said = shop(), list[Any]()
    labels = data.labels["label"].copy()
    labels[data.products == "p0"] = [0, 1, 2]
    data = replace(data, labels={"label": labels})
    compared = compare(run / "model.muslin", run / "model.muslin", data, CompareOptions(split="all"), log=said.append)
    assert compared.products["label"].overall.n == 119
    notes = {note.code: note.params for note in said}
    assert notes["products_ambiguous"] == {"target": "label", "n": 1}


def test_commands_say_it_per_product(run: Path, tmp_path: Path, capfd: Any) -> None:
    convert(shop(), "parquet", tmp_path / "shop.parquet")
    shown = invoke(capfd, "inspect", run / "model.muslin")
    assert "calibration products" in shown.out
    shown = invoke(capfd, "evaluate", run, tmp_path / "shop.parquet", "--split", "all")
    assert "Accuracy per product" in shown.out, shown
    assert "groups of images" not in shown.out
    shown = invoke(capfd, "evaluate", run, tmp_path / "shop.parquet", "--split", "all", "--product", "none")
    assert "Accuracy per product" not in shown.out
    shown = invoke(capfd, "compare", run, run, tmp_path / "shop.parquet", "--split", "all")
    assert "120 products" in shown.out
    assert "calibration products" in (run / "report.html").read_text()
