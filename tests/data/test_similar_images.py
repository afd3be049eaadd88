"""Near-duplicates and very similar images on both sides of a split: found, kept together, said."""

from dataclasses import replace
from typing import Any

import numpy as np

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.data.similar_images import (
    pairs_to_keep_together,
    similarity_messages,
    vectors_of_features,
    vectors_of_pixels,
)
from muslin.data.split import split

CLASSES, SURFACES, CROPS, WIDTH = 3, 60, 4, 200


def surfaces(noise: float, groups: bool = False) -> tuple[Dataset, Any]:
    """Crops of surfaces: a feature is that of the class, plus that of the surface, plus `noise` of each crop."""
    random = np.random.default_rng(0)
    surface = np.repeat(np.arange(SURFACES), CROPS)
    labels = surface % CLASSES
    of_class, of_surface = random.standard_normal((CLASSES, WIDTH)), random.standard_normal((SURFACES, WIDTH))
    features = 0.5 * of_class[labels] + of_surface[surface] + noise * random.standard_normal((len(labels), WIDTH))
    pixels = random.integers(0, 256, (len(labels), 6, 6, 1), dtype=np.uint8)
    names = np.array([f"s{number}" for number in surface], dtype=object)
    data = Dataset(
        "cloth", "table", PixelImages(pixels), (Target("label", ("silk", "wool", "linen")),), {"label": labels},
        np.arange(len(labels)).astype(str).astype(object), groups=names if groups else None,
    )  # fmt: skip
    return data, features.astype(np.float32)


def sets_of(data: Dataset, near_pairs: Any = None) -> dict[str, Any]:
    parts = split(data, validation_fraction=0.1, seed=0, near_pairs=near_pairs)
    return {"train": parts.train, "validation": parts.validation, "test": parts.test}


def test_crops_of_one_surface_on_both_sides_are_said() -> None:
    data, features = surfaces(noise=0.5)
    [said] = similarity_messages(data, vectors_of_features(features), sets_of(data), None)
    assert (said.code, said.hint_code) == ("test_images_similar", "by_group")
    assert said.params["n"] == 48
    assert said.params["share"] > 0.9


def test_nothing_is_said_where_surfaces_are_groups() -> None:
    data, features = surfaces(noise=0.5, groups=True)
    assert similarity_messages(data, vectors_of_features(features), sets_of(data), None) == []


def test_nothing_is_said_of_images_that_share_only_a_class() -> None:
    data, features = surfaces(noise=3.0)
    assert similarity_messages(data, vectors_of_features(features), sets_of(data), None) == []


def test_near_duplicates_stay_together_where_the_test_set_is_drawn() -> None:
    data, features = surfaces(noise=3.0)
    features[1::8] = features[::8] + 0.1 * np.random.default_rng(1).standard_normal((30, WIDTH))
    vectors = vectors_of_features(features)
    assert sorted(map(tuple, vectors.near_pairs.tolist())) == [(i, i + 1) for i in range(0, 240, 8)]
    [leaked, *_] = similarity_messages(data, vectors, sets_of(data), None)
    assert (leaked.code, leaked.hint_code) == ("near_duplicates_in_two_parts", "by_group")
    pairs = pairs_to_keep_together(vectors.near_pairs, len(data))
    sets = sets_of(data, pairs)
    [kept] = similarity_messages(data, vectors, sets, pairs)
    assert (kept.code, kept.params["n"]) == ("near_duplicates_kept_together", 60)
    assert sum(map(len, sets.values())) == len(data)
    assert abs(len(sets["test"]) - 48) <= 4


def test_near_duplicates_across_groups_name_no_group_column() -> None:
    data, features = surfaces(noise=3.0)
    features[1::8] = features[::8]
    grouped = replace(data, groups=np.arange(len(data)).astype(str).astype(object))
    leaked, *_ = similarity_messages(grouped, vectors_of_features(features), sets_of(data), None)
    assert (leaked.code, leaked.hint_code) == ("near_duplicates_in_two_parts", "exclude")


def test_images_that_are_all_alike_are_not_kept_together() -> None:
    chain = np.stack([np.arange(29), np.arange(1, 30)], axis=1)
    assert pairs_to_keep_together(np.concatenate([chain, [[40, 41]]]), 100).tolist() == [[40, 41]]
    assert pairs_to_keep_together(np.empty((0, 2), np.int64), 0).shape == (0, 2)


def test_near_duplicates_in_memory_are_said_and_copies_are_not() -> None:
    data, _ = surfaces(noise=1.0)
    assert isinstance(data.images, PixelImages)
    pixels, parts = data.images.pixels, np.array(["train"] * 200 + ["test"] * 40, dtype=object)
    pixels[200] = pixels[0] ^ 1
    pixels[201] = pixels[1]
    given = Dataset("cloth", "idx", data.images, data.targets, data.labels, data.ids, parts)
    vectors = vectors_of_pixels(given)
    assert vectors is not None
    assert vectors.near_pairs.tolist() == [[0, 200]]
    [said] = similarity_messages(given, vectors, sets_of(given), None)
    assert (said.code, said.params["part"], said.params["names"]) == ("near_duplicates_in_two_parts", "test", ["200"])
