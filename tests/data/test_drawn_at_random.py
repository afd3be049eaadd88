"""Samples that were not drawn at random train a model, and never measure it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muslin.data.dataset import Dataset, PixelImages, Target, join
from muslin.data.split import split
from muslin.errors import DataError, TrainingError
from muslin.evaluation.selective import fit_calibration_data

KIND = Target("label", ("a", "b", "c"))


def table(labels: list[int], is_random: list[bool] | None, products: list[str] | None = None) -> Dataset:
    count = len(labels)
    return Dataset(
        name="table",
        format="table",
        images=PixelImages(np.arange(count, dtype=np.uint16).view(np.uint8).reshape(count, 1, 2, 1)),
        targets=(KIND,),
        labels={"label": np.array(labels, dtype=np.int64)},
        ids=np.array([str(i) for i in range(count)], dtype=object),
        products=None if products is None else np.array(products, dtype=object),
        drawn_at_random=None if is_random is None else np.array(is_random),
    )


@st.composite
def tables(draw: Any) -> Dataset:
    count = draw(st.integers(6, 60))
    numbers = draw(st.none() | st.lists(st.integers(0, 20), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count))
    is_random = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    data = table(labels, is_random, numbers and [f"p{n}" for n in numbers])
    parts = draw(st.none() | st.lists(st.sampled_from(["train", "validation", "test"]), min_size=count, max_size=count))
    return replace(data, parts=parts and np.array(parts, dtype=object))


@settings(max_examples=200, deadline=None)
@given(tables(), st.sampled_from([0.0, 0.3]), st.integers(0, 99))
def test_only_random_samples_validate_and_test(data: Dataset, fraction: float, seed: int) -> None:
    try:
        parts = split(data, validation_fraction=fraction, seed=seed)
    except TrainingError:
        return
    assert data.is_random[parts.validation].all()
    assert data.is_random[parts.test].all()
    if data.products is not None and data.parts is None:
        products = [set(data.products[i]) for i in (parts.train, parts.validation, parts.test)]
        assert sum(map(len, products)) == len(set().union(*products))


def test_other_samples_all_train() -> None:
    data = table([0, 1] * 50, [True] * 40 + [False] * 60)
    parts = split(data, validation_fraction=0.25, seed=0)
    assert set(range(40, 100)) <= set(parts.train)
    assert (len(parts.validation), len(parts.test)) == (8, 8), "shares of the random ones"
    assert parts.notes[-1].code == "only_random_measure"  # type: ignore[attr-defined]


def test_a_copy_of_a_test_image_does_not_train() -> None:
    data = table([0, 1] * 50, [True] * 50 + [False] * 50)
    pixels = data.images.pixels.copy()  # type: ignore[attr-defined]
    pixels[50:] = pixels[:50]
    data = replace(data, images=PixelImages(pixels))
    parts = split(data, validation_fraction=0.2, seed=0)
    assert not set(data.first_copies[parts.train]) & set(data.first_copies[parts.test])
    assert "left_out_with_random" in [note.code for note in parts.notes]  # type: ignore[attr-defined]


def test_random_samples_of_no_class_stay_for_calibration() -> None:
    data = table([0, 1] * 20 + [-1] * 4, [True] * 42 + [False] * 2)
    data = replace(data, no_class={"label": np.arange(44) >= 40})
    parts = split(data, validation_fraction=0.2, seed=0)
    used = {*parts.train.tolist(), *parts.validation.tolist(), *parts.test.tolist()}
    assert used == set(range(42)), "the last two were chosen and have no label: of no use"


def test_a_test_set_without_a_label_is_refused() -> None:
    data = table([0, 1] * 20 + [-1] * 2, [False] * 40 + [True] * 2)
    data = replace(data, no_class={"label": np.arange(42) >= 40})
    given = replace(data, parts=np.where(np.arange(42) >= 40, "test", "train").astype(object))
    for each, n in ((data, 1), (given, 2)):
        with pytest.raises(TrainingError) as refused:
            split(each, validation_fraction=0.0, seed=0)
        assert (refused.value.code, refused.value.params["n"]) == ("test_unlabelled", n)


def test_predictions_of_no_class_are_incorrect_in_calibration() -> None:
    labels = np.array([0, 1, 2, 0, -1, -1])
    probabilities = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 1]] * 0.9 + 0.1 / 3
    no_class = np.array([False] * 4 + [True, False])
    data = fit_calibration_data(KIND, labels, probabilities, no_class=no_class)
    assert data is not None
    assert (len(data), int(data.correct.sum())) == (5, 4)
    assert int(np.isnan(data.probability_of_true).sum()) == 1


def test_labels_of_no_class_are_incorrect_in_calibration() -> None:
    tags = Target("tags", ("a", "b"), "multilabel")
    labels = np.array([[1, 0], [0, 1], [1, 1], [-1, -1]], dtype=np.int8)
    probabilities = np.where(labels == 0, 0.1, 0.9).astype(np.float32)
    data = fit_calibration_data(tags, labels, probabilities, no_class=np.array([False] * 3 + [True]))
    assert data is not None
    assert len(data) == 4
    assert data.correct.tolist().count(False) == 1
    assert data.predicted[~data.correct] >= 0, "it is predicted, so it can be accepted"


def test_masks_follow_their_samples() -> None:
    data = replace(table([0, 1, 2], [True, False, True]), no_class={"label": np.array([False, False, True])})
    taken = data.take(np.array([2, 1]))
    assert taken.is_random.tolist() == [True, False]
    assert taken.no_class["label"].tolist() == [True, False]
    joined = join({"train": data, "test": table([0, 1], None)})
    assert joined.is_random.tolist() == [True, False, True, True, True]
    assert joined.no_class["label"].tolist() == [False, False, True, False, False]
    assert len({each.fingerprint for each in (data, replace(data, no_class={}), table([0, 1, 2], None))}) == 3


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(DataError) as refused:
        table([0, 1, 2], [True])
    assert (refused.value.code, refused.value.params["field"]) == ("field_length", "drawn_at_random")
