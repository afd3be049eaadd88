"""Copies of one image stay in one part; without copies a split is what it has always been."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import write_folders
from sklearn.model_selection import train_test_split

from muslin.data import read
from muslin.data.copies import copy_messages, leaked_into
from muslin.data.dataset import PARTS, Dataset, PixelImages, Split, Target
from muslin.data.photos import resize_photos
from muslin.data.split import split
from muslin.errors import TrainingError


def dataset_of(pixels: Any, labels: Any, groups: Any = None, parts: Any = None) -> Dataset:
    count = len(labels)
    return Dataset(
        name="table",
        format="table",
        images=PixelImages(np.asarray(pixels, dtype=np.uint8).reshape(count, 1, 1, 1)),
        targets=(Target("label", ("a", "b", "c")),),
        labels={"label": np.array(labels, dtype=np.int64)},
        ids=np.array([str(i) for i in range(count)], dtype=object),
        groups=None if groups is None else np.array([f"g{g}" for g in groups], dtype=object),
        parts=None if parts is None else np.array(parts, dtype=object),
    )


@st.composite
def datasets(draw: Any) -> Dataset:
    count = draw(st.integers(4, 80))

    def numbers(low: int, high: int) -> Any:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    groups = numbers(0, draw(st.integers(1, 40))) if draw(st.booleans()) else None
    return dataset_of(numbers(0, draw(st.integers(1, 60))), numbers(-1, 2), groups)


def sets_of(parts: Split) -> dict[str, Any]:
    return {part: getattr(parts, part) for part in PARTS}


@settings(max_examples=500, deadline=None)
@given(datasets(), st.sampled_from([0.0, 0.2, 0.5]), st.integers(0, 99), st.booleans())
def test_copies_of_an_image_stay_in_one_part(data: Dataset, fraction: float, seed: int, stratified: bool) -> None:
    try:
        parts = split(data, validation_fraction=fraction, seed=seed, stratified=stratified)
    except TrainingError:
        return
    together = np.sort(np.concatenate([parts.train, parts.validation, parts.test]))
    assert np.array_equal(together, np.flatnonzero(data.labels["label"] >= 0))
    if data.groups is None:  # groups come first where both cannot be kept together
        for one, other in ((parts.train, parts.test), (parts.train, parts.validation), (parts.validation, parts.test)):
            assert not leaked_into(data, one, other).any()


def test_data_without_copies_split_as_without_this_rule() -> None:
    labels = np.arange(240) % 3
    parts = split(dataset_of(range(240), labels), validation_fraction=0.2, seed=12345)
    rest, test = train_test_split(np.arange(240), test_size=0.2, random_state=12345, stratify=labels)
    train, validation = train_test_split(rest, test_size=0.2, random_state=12345, stratify=labels[rest])
    assert all(map(np.array_equal, (parts.train, parts.validation, parts.test), (train, validation, test)))


def test_groups_that_share_a_copy_stay_together() -> None:
    groups = np.repeat(np.arange(40), 3)
    pixels = np.arange(120)
    pixels[3] = pixels[0]  # of group 1 and of group 0
    parts = split(dataset_of(pixels, np.arange(120) % 3, groups), validation_fraction=0.2, seed=0)
    assert any(set(range(6)) <= set(indices.tolist()) for indices in sets_of(parts).values())


def test_one_image_in_every_group_leaves_the_groups_alone() -> None:
    groups = np.repeat(np.arange(40), 3)
    pixels = np.arange(120)
    pixels[::3] = 0  # "no photo yet" of every product
    data = dataset_of(pixels, np.arange(120) % 3, groups)
    parts = split(data, validation_fraction=0.2, seed=0)
    assert not set(groups[parts.train]) & set(groups[parts.test])
    assert 15 <= len(parts.test) <= 33
    codes = [message.code for message in copy_messages(data, sets_of(parts), drawn=True)]
    assert "copies_in_two_parts" in codes


def test_many_copies_of_one_image_stay_in_training() -> None:
    pixels = np.arange(200)
    pixels[:80] = 0
    parts = split(dataset_of(pixels, np.arange(200) % 3), validation_fraction=0.2, seed=0)
    assert set(range(80)) <= set(parts.train.tolist())
    assert 20 <= len(parts.test) <= 30


def test_copies_of_a_single_image_cannot_be_split() -> None:
    with pytest.raises(TrainingError) as error:
        split(dataset_of([7] * 12, [0, 1] * 6), validation_fraction=0.2, seed=0)
    assert (error.value.code, error.value.params["n"]) == ("one_image", 12)


def test_copies_leaks_and_other_labels_are_said() -> None:
    parts = ["train"] * 4 + ["validation"] * 2 + ["test"] * 3
    data = dataset_of([1, 1, 2, 3, 4, 5, 1, 4, 6], [0, 0, 1, 2, 0, 1, 1, 0, 2], parts=parts)
    found = copy_messages(data, sets_of(split(data, validation_fraction=0.2, seed=0)))
    assert [(message.code, message.hint_code) for message in found] == [
        ("copies_found", None),
        ("copies_in_two_parts", None),
        ("copies_in_two_parts", None),
        ("copies_with_other_labels", None),
    ]
    assert found[0].params["n"] == 3
    assert [message.params["names"] for message in found[1:]] == [["6"], ["7"], ["0 (label: a / b)"]]
    assert [message.params["other"] for message in found[1:3]] == ["train", "validation"]


def test_photos_are_compared_by_their_bytes_and_read_once(tmp_path: Path) -> None:
    write_folders(tmp_path, {"": 10})
    copy = tmp_path / "hat/again.jpg"
    copy.write_bytes((tmp_path / "dress/dress-03.jpg").read_bytes())
    data = read(tmp_path)
    ids = list(data.ids)
    assert data.first_copies[ids.index("hat/again.jpg")] == ids.index("dress/dress-03.jpg")
    assert (data.first_copies == np.arange(31)).sum() == 30
    copy.unlink()  # known already, also of the photos that are made from these
    resized = resize_photos(data.take(np.arange(31)), (8, 8, 3))
    assert np.array_equal(resized.first_copies, data.first_copies)
    parts = split(resized, validation_fraction=0.2, seed=0)
    messages = copy_messages(resized, sets_of(parts), drawn=True)
    assert [message.code for message in messages] == ["copies_found", "copies_with_other_labels"]
    assert messages[0].hint_code == "kept_together"
