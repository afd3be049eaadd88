"""Decided products as a Dataset: several photos, several labels, pixels beside photos."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.photo_roles import ProductPhoto
from muslin.data.photos import Photo, PhotoImages
from muslin.errors import DataError
from muslin.models.predictor import Predictor
from muslin.review.values import Decided, Product, value_of
from muslin.workflows.review_dataset import DecidedPhotos, dataset_of, join_first, without_overlaps, without_untrained
from muslin.workflows.review_decisions import TEST, TRAIN, DecidedProduct, labels_and_mask
from muslin.workflows.review_first_data import edits_of, source_of
from small_models import SIDE, small_bundle

KIND = Target("label", ("Trouser", "Shirt", "Bag"))
COLOUR = Target("colour", ("red", "blue"))
TAGS = Target("tags", ("red", "long"), "multilabel")


def decision(target: Target, *labels: str, kind: str = "value", product: int = 1) -> Decided:
    value = value_of(target, labels) if kind == "value" else None
    return Decided(1, product, target.name, kind, value, "", "Ada", "2026-01-01", "f", "d", "random")


def product(
    number: int, photos: Sequence[ProductPhoto], label: str, *, is_random: bool, use: str = TRAIN
) -> DecidedPhotos:
    names = tuple(photo.name for photo in photos)
    row = Product(number, 1, f"p{number}", "f", names, "", 0.1, use == TEST, None)
    return DecidedPhotos(DecidedProduct(row, {"label": decision(KIND, label)}, use, is_random), photos)


def pixels(value: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 1), value, np.uint8)


def photo(folder: Path, value: int) -> ProductPhoto:
    path = folder / f"{value}.png"
    Image.fromarray(pixels(value)[..., 0]).save(path)
    return ProductPhoto(path.name, Photo(path.name, path), "front")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_bundle())


def first_data(values: Sequence[int]) -> Dataset:
    return Dataset(
        name="first",
        format="idx",
        images=PixelImages(np.stack([pixels(value) for value in values])),
        targets=(KIND,),
        labels={"label": np.arange(len(values)) % 3},
        ids=np.array([f"first/{value}" for value in values], dtype=object),
        parts=np.array(["train"] * (len(values) - 1) + ["test"], dtype=object),
    )


def test_labels_of_decisions() -> None:
    none, unsure = None, decision(KIND, kind="not_sure")
    labels, no_class = labels_and_mask(KIND, [decision(KIND, "Bag"), none, unsure])
    assert (labels.tolist(), no_class.tolist()) == ([2, UNKNOWN, UNKNOWN], [False, False, True])
    rows, no_class = labels_and_mask(
        TAGS, [decision(TAGS, "long"), decision(TAGS), none, decision(TAGS, kind="not_ours")]
    )
    assert rows.tolist() == [[0, 1], [0, 0], [UNKNOWN] * 2, [UNKNOWN] * 2]
    assert no_class.tolist() == [False, False, False, True]


def test_a_class_that_cannot_be_trained_is_no_class() -> None:
    more = Target("label", (*KIND.classes, "Umbrella"))
    labels, no_class = labels_and_mask(KIND, [decision(more, "Umbrella")])
    assert (labels.tolist(), no_class.tolist()) == ([UNKNOWN], [True])


def test_photos_of_a_product_share_its_decision(tmp_path: Path, predictor: Predictor) -> None:
    two = product(7, [photo(tmp_path, 10), photo(tmp_path, 20)], "Bag", is_random=True)
    one = product(8, [photo(tmp_path, 30)], "Shirt", is_random=False, use=TEST)
    data = dataset_of([two, one], [KIND], predictor, name="shop.db")
    assert data.labels["label"].tolist() == [2, 2, 1]
    assert data.is_random.tolist() == [True, True, False]
    assert data.products is not None
    assert data.parts is not None
    assert data.roles is not None
    assert (data.products.tolist(), data.parts.tolist()) == (
        ["decided/7", "decided/7", "decided/8"],
        ["train", "train", "test"],
    )
    assert isinstance(data.images, PhotoImages)
    assert data.no_class == {}


def test_photos_join_the_pixels_of_the_first_data(tmp_path: Path, predictor: Predictor) -> None:
    decided = dataset_of([product(7, [photo(tmp_path, 99)], "Bag", is_random=False)], [KIND], predictor, name="shop.db")
    joined = join_first(first_data([1, 2, 3]), decided, predictor)
    assert isinstance(joined.images, PixelImages)
    assert joined.images.pixels[-1].tolist() == pixels(99).tolist()
    assert joined.is_random.tolist() == [True, True, True, False]
    assert joined.products is None, "each image is a product"


def test_pixels_do_not_join_photos(tmp_path: Path, predictor: Predictor) -> None:
    shown = [photo(tmp_path, 1), ProductPhoto("drawn", pixels(3))]
    with pytest.raises(DataError) as refused:
        dataset_of([product(7, shown, "Bag", is_random=True)], [KIND], predictor, name="shop.db")
    assert refused.value.code == "mixed_images"


def test_a_decision_replaces_a_label_and_stays_as_random(predictor: Predictor) -> None:
    several = product(7, [ProductPhoto("a", pixels(1)), ProductPhoto("b", pixels(50))], "Bag", is_random=False)
    alone = product(8, [ProductPhoto("c", pixels(60))], "Shirt", is_random=False)
    tested = product(9, [ProductPhoto("d", pixels(4))], "Shirt", is_random=False)  # the first test image
    first = first_data([1, 2, 3, 4])
    decided = dataset_of([several, alone, tested], [KIND], predictor, name="shop.db")
    data, messages = without_overlaps(join_first(first, decided, predictor), len(first))
    assert [str(name) for name in data.ids] == [
        "first/2", "first/3", "first/4", "decided/7/a", "decided/7/b", "decided/8/c",
    ]  # fmt: skip
    assert data.is_random.tolist() == [True, True, True, True, True, False]
    assert [(message.code, message.params["n"]) for message in messages] == [
        ("review_test_copies", 1),
        ("review_labels_replaced", 1),
    ]


def test_an_undecided_target_keeps_the_label_of_the_first_data(predictor: Predictor) -> None:
    targets, colours = (KIND, COLOUR), np.array([1, UNKNOWN, 0, 0])
    first = first_data([1, 2, 3, 4])
    first = replace(first, targets=targets, labels={**first.labels, "colour": colours})
    decided = [product(number, [ProductPhoto("a", pixels(number))], "Bag", is_random=False) for number in (1, 2, 3)]
    unsure = {**decided[2].decided.decided, "colour": decision(COLOUR, kind="not_sure")}
    decided[2] = replace(decided[2], decided=replace(decided[2].decided, decided=unsure))
    joined = join_first(first, dataset_of(decided, targets, predictor, name="shop.db"), predictor)
    data, _ = without_overlaps(joined, len(first))
    assert [str(name) for name in data.ids] == ["first/4", "decided/1/a", "decided/2/a", "decided/3/a"]
    assert data.labels["label"].tolist() == [0, 2, 2, 2]
    assert data.labels["colour"].tolist() == [0, 1, UNKNOWN, UNKNOWN]
    assert data.no_class["colour"].tolist() == [False, False, False, True]


def test_classes_that_no_image_trains_are_left_out() -> None:
    more = (
        replace(KIND, classes=(*KIND.classes, "Hat", "Scarf")),
        replace(TAGS, classes=(*TAGS.classes, "new", "old")),
    )
    labels = np.array([0, 4, 3, UNKNOWN, 1])
    tags = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [UNKNOWN] * 4, [0, 0, 0, 0]])
    data = replace(
        first_data([1, 2, 3, 4, 5]), targets=more, labels={"label": labels, "tags": tags},
        parts=np.array(["train", "train", "test", "test", "test"], dtype=object),
    )  # fmt: skip
    left = without_untrained(data, (KIND, TAGS))
    assert [target.classes for target in left.targets] == [(*KIND.classes, "Scarf"), (*TAGS.classes, "old")]
    assert left.labels["label"].tolist() == [0, 3, UNKNOWN, UNKNOWN, 1]
    assert left.labels["tags"].tolist() == [[1, 0, 0], [0, 1, 1], [UNKNOWN] * 3, [UNKNOWN] * 3, [0, 0, 0]]
    assert [left.no_class[name].tolist() for name in ("label", "tags")] == [[False, False, True, False, False]] * 2


def test_the_command_that_made_the_first_model_says_its_edits() -> None:
    options = edits_of("muslin train first.csv --exclude 'a b.csv' --seed 0 --corrections c.csv")
    assert (options.exclude, options.corrections) == ("a b.csv", "c.csv")
    assert edits_of("").exclude is None
    assert source_of("fashion-mnist") == {"data": "fashion-mnist", "test": None, "read_options": {}}
