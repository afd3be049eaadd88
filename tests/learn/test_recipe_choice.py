"""What `--recipe auto` takes: by the images' size and channels, their number, and what is installed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muslin.data import read
from muslin.data.dataset import Dataset, PixelImages
from muslin.data.synthetic import make_garments
from muslin.learn import recipe_choice as choose_module
from muslin.learn.recipe_choice import choose_recipe
from refusals import refuses


def pixels(side: int, channels: int) -> Dataset:
    garments = make_garments(20, seed=0).dataset
    return replace(garments, images=PixelImages(np.zeros((20, side, side, channels), np.uint8)))


def photos(folder: Path, size: tuple[int, int], mode: str = "RGB") -> Dataset:
    for number in range(6):
        place = folder / ("a", "b")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, number).save(place / f"{number}.png")
    (folder / "a/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    return read(folder)


@pytest.fixture(params=[True, False], ids=["with weights", "without"])
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(choose_module, "has_imagenet_weights", lambda network: request.param)
    return bool(request.param)


def test_large_photos_get_the_photo_recipe_if_installed(tmp_path: Path, installed: bool) -> None:
    for mode in ("RGB", "L"):
        choice = choose_recipe(photos(tmp_path / mode, (300, 400), mode), 3000, {})
        assert choice.recipe.name == ("photo" if installed else "small-photo")
        assert choice.reason.params["side"] == 400
        assert choice.reason.code == ("chose_photo" if installed else "chose_small_photo_without_weights")


def test_small_images_get_a_recipe_from_scratch(tmp_path: Path, installed: bool) -> None:
    for data in (photos(tmp_path / "files", (64, 60)), pixels(32, 3)):
        choice = choose_recipe(data, 3000, {})
        assert choice.recipe.name == "small-photo"
        assert choice.reason.code == "chose_small_photo"
    assert choose_recipe(pixels(28, 1), 60_000, {}).recipe.name == "quick"
    assert choose_recipe(pixels(20, 3), 3000, {}).recipe.name == "quick"
    tiny = choose_recipe(photos(tmp_path / "gray", (28, 28), "L"), 3000, {}).recipe
    assert (tiny.name, tiny.image_size) == ("quick", 28)


def test_many_images_get_fewer_epochs() -> None:
    assert choose_recipe(pixels(64, 3), 20_000, {}).recipe.epochs == 16
    many = choose_recipe(pixels(64, 3), 80_000, {})
    assert many.recipe.epochs == 4
    assert (many.reason.params["epochs"], many.reason.params["full_epochs"]) == (4, 16)
    assert choose_recipe(pixels(64, 3), 80_000, {"epochs": 9}).recipe.epochs == 9


def test_settings_of_the_user_hold(tmp_path: Path, installed: bool) -> None:
    large = photos(tmp_path / "photos", (300, 400))
    assert choose_recipe(large, 3000, {"widths": "8-16"}).recipe.name == "small-photo"
    assert choose_recipe(large, 3000, {"network": "whitened-4"}).recipe.network == "whitened-4"
    assert choose_recipe(large, 3000, {"weights": "random"}).recipe.name == "photo"
    with refuses("setting_unknown", nearest="epochs"):
        choose_recipe(large, 3000, {"epoch": 3})
