"""Learning curves of small photos with random weights: which images are predicted, and by what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from muslin.data import read
from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.synthetic import make_garments
from muslin.errors import DataError, RecipeError, StoppedError
from muslin.evaluation.learning_curve import FRACTIONS, forecast
from muslin.learn.recipes import LinearProbeRecipe, recipe
from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import StoreSettings
from muslin.workflows.review_add import add_catalogue
from muslin.workflows.review_forecast import REPEATS, default_numbers, forecast_review, learning_curve
from muslin.workflows.training_data import Callbacks
from review_stores import decision_on
from small_models import small_bundle


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("photos")
    garments = make_garments(90, seed=0, size_px=40, colour=True).dataset
    for number, label in enumerate(garments.labels["label"]):
        place = folder / "photos" / str(int(label) % 3)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(garments.images[number]).save(place / f"{number}.png")
    return read(folder / "photos")


SETTINGS: dict[str, Any] = {"network": "efficientnet-lite0", "weights": "random", "image_size": 48, "epochs": 5}


def probe() -> LinearProbeRecipe:
    found = recipe("photo", **SETTINGS)
    assert isinstance(found, LinearProbeRecipe)
    return found


def test_curve_predicts_the_random_sample_only(photos: Dataset) -> None:
    drawn = np.arange(90) % 3 == 0
    labels = photos.labels["label"].copy()
    labels[3] = UNKNOWN
    not_sure = np.arange(90) == 6
    labels[6] = UNKNOWN
    data = replace(photos, labels={"label": labels}, drawn_at_random=drawn, no_class={"label": not_sure})
    curve, labelled = learning_curve(data, data.targets[0], probe(), None, 0, Callbacks())
    assert labelled == 89
    assert curve.confidence.shape == curve.correct.shape == (REPEATS, len(FRACTIONS), 29)
    assert not curve.correct[:, :, 1].any(), "what a person was not sure of counts as incorrect"
    assert 0 <= forecast(curve, labelled, 50, 0.9).accepted <= 1
    assert [forecast(curve, labelled, more, 0.9).more for more in default_numbers(labelled)] == [89]
    assert default_numbers(600) == (100, 250, 500)


def test_curve_of_one_class_varies_that_class(photos: Dataset) -> None:
    target = photos.targets[0]
    curve, labelled = learning_curve(photos, target, probe(), target.classes[1], 0, Callbacks())
    assert labelled == int((photos.labels["label"] == 1).sum())
    assert curve.counted is not None
    assert curve.counted.sum() == labelled
    again, _ = learning_curve(photos, target, probe(), None, 0, Callbacks())
    assert np.array_equal(curve.confidence[:, -1], again.confidence[:, -1]), "with all of them it is the same model"
    assert not np.array_equal(curve.confidence[:, 0], again.confidence[:, 0])


def test_class_without_a_random_sample_is_refused(photos: Dataset) -> None:
    target, data = photos.targets[0], replace(photos, drawn_at_random=photos.labels["label"] != 1)
    with pytest.raises(DataError) as refused:
        learning_curve(data, target, probe(), target.classes[1], 0, Callbacks())
    assert (refused.value.code, refused.value.params["class_name"]) == ("forecast_class", target.classes[1])


def test_curve_of_products_has_a_row_for_each(photos: Dataset) -> None:
    order = np.argsort(photos.labels["label"], kind="stable")
    products = np.empty(90, dtype=object)
    products[order] = [f"p{place // 2}" for place in range(90)]
    data = replace(photos, products=products)
    curve, labelled = learning_curve(data, data.targets[0], probe(), None, 0, Callbacks())
    assert labelled == curve.confidence.shape[2] == 45
    assert curve.groups is None


def test_curve_stops(photos: Dataset) -> None:
    with pytest.raises(StoppedError):
        learning_curve(photos, photos.targets[0], probe(), None, 0, Callbacks(should_stop=lambda: True))


@pytest.mark.slow
def test_store_forecasts_what_more_decisions_bring(photos: Dataset, tmp_path: Path) -> None:
    folder = Path(str(photos.origin).removesuffix(", photos in folders"))
    run = muslin.train(folder, recipe="photo", out=tmp_path / "run", settings=SETTINGS)
    with Store.create(
        tmp_path / "s.db", run.model, who="Ada", settings=StoreSettings(data=run.record["source"], spot_checks=0.5)
    ) as store:
        garments = make_garments(30, seed=9, size_px=40, colour=True).dataset
        (tmp_path / "new").mkdir()
        for number in range(30):
            Image.fromarray(garments.images[number]).save(tmp_path / "new" / f"{number}.png")
        add_catalogue(store, tmp_path / "new")
        store.decide([decision_on(item) for item in store.items("label", count=100)], "Ada")
        found = forecast_review(store, more=(20, 40))
        assert [each.more for each in found.forecasts] == [20, 40]
        assert found.forecasts[0].labelled > 60
        assert [message.code for message in found.messages] == ["review_forecast"] * 2
        of_class = forecast_review(store, class_name=photos.targets[0].classes[0]).forecasts
        assert [each.more for each in of_class] == [each.labelled for each in of_class] != []
        with pytest.raises(DataError) as raised:
            forecast_review(store, class_name="zeppelin", more=(5,))
    assert raised.value.code == "review_value_unknown"


def test_other_models_are_refused(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "model.muslin")
    with (
        Store.create(tmp_path / "s.db", tmp_path / "model.muslin", who="Ada") as store,
        pytest.raises(RecipeError) as raised,
    ):
        forecast_review(store)
    assert raised.value.code == "forecast_recipe"
