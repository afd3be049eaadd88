"""Folds for cross-fitting and for the audit: units are whole, classes even, and what is odd is said."""

from dataclasses import replace

import numpy as np

from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.folds import assign_folds, fold_numbers, fold_strata
from refusals import refuses


def dataset(labels: list[int], groups: list[str] | None = None) -> Dataset:
    n, target = len(labels), Target("label", ("coat", "dress", "bag"))
    pixels = np.random.default_rng(0).integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)
    given = None if groups is None else np.array(groups, dtype=object)
    ids = np.arange(n).astype(str).astype(object)
    labels_of = {"label": np.array(labels)}
    return Dataset("shop", "pixels", PixelImages(pixels), (target,), labels_of, ids, groups=given)


def test_folds_keep_groups_whole_and_classes_even() -> None:
    data = dataset([0, 1] * 100, [f"sender {i // 4}" for i in range(200)])
    folds, notes = fold_numbers(data, np.arange(200), 5, seed=0)
    assert not notes
    assert sorted(set(folds)) == [0, 1, 2, 3, 4]
    assert all(len(set(folds[i : i + 4])) == 1 for i in range(0, 200, 4))
    assert all(np.bincount(data.labels["label"][folds == fold])[:2].tolist() == [20, 20] for fold in range(5))


def test_fewer_groups_than_folds_and_a_lone_class_are_said() -> None:
    data = dataset([0, 1, 0, 1, 0, 2], ["a", "a", "b", "b", "c", "c"])
    folds, notes = fold_numbers(data, np.arange(6), 5, seed=0)
    assert [(note.code, note.params.get("groups"), note.params.get("names")) for note in notes] == [
        ("fewer_groups_than_folds", 3, None),
        ("classes_of_one_fold", None, ["bag"]),
    ]
    assert len(set(folds)) == 3
    with refuses("one_group"):
        fold_numbers(dataset([0, 1], ["a", "a"]), np.arange(2), 5, seed=0)


def test_a_label_whose_images_are_all_in_one_fold_is_said() -> None:
    labels = {"label": np.array([[1, 0, 0], [1, 1, 0], [0, 1, UNKNOWN], [1, 0, 1]], dtype=np.int8)}
    several = replace(dataset([0] * 4), targets=(Target("label", ("red", "blue", "new"), "multilabel"),), labels=labels)
    _, notes = fold_numbers(several, np.arange(4), 4, seed=0)
    assert [(note.code, note.params["names"]) for note in notes] == [("classes_of_one_fold", ["new"])]


def test_near_duplicates_are_in_one_fold_with_their_group() -> None:
    data = dataset([0, 1] * 50, [f"sender {i // 2}" for i in range(100)])
    indices = np.arange(10, 100)
    pairs = np.array([[10, 98], [98, 51], [0, 60]])  # image 0 has no fold
    folds, _ = fold_numbers(data, indices, 5, 0, pairs)
    of = dict(zip(indices.tolist(), folds.tolist(), strict=True))
    assert len({of[i] for i in (10, 11, 98, 99, 51, 50)}) == 1


def test_strata_are_even_and_units_are_whole() -> None:
    random = np.random.default_rng(3)
    labels = random.choice(4, 4000, p=[0.7, 0.2, 0.08, 0.02])
    units = random.integers(0, 1500, 4000)
    chosen = assign_folds(labels, units, 4, 0)
    assert all(len(set(chosen[units == unit].tolist())) == 1 for unit in set(units.tolist()))
    for index in range(4):
        counts = np.bincount(chosen[labels == index], minlength=4)
        assert counts.max() - counts.min() <= 4
    assert (assign_folds(labels, units, 4, 0) == chosen).all()
    assert (assign_folds(labels, units, 4, 1) != chosen).any()


def test_single_images_are_dealt_evenly_within_each_class() -> None:
    labels = np.random.default_rng(3).choice(4, 4000, p=[0.7, 0.2, 0.08, 0.02])
    folds = assign_folds(labels, np.arange(4000), 4, 0)
    for index in range(4):
        counts = np.bincount(folds[labels == index], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(folds)) <= 1


def test_no_fold_is_empty_where_there_are_as_many_units() -> None:
    assert sorted(assign_folds(np.array([0, 0, 1, 2, 2]), np.array([7, 7, 3, 1, 2]), 4, 5).tolist()) == [0, 0, 1, 2, 3]


def test_multilabel_folds_spread_the_rarest_label() -> None:
    labels = np.zeros((80, 2), dtype=np.int8)
    labels[:, 0] = 1
    labels[:8, 1] = 1
    labels[79] = UNKNOWN
    spread = fold_strata(Target("tags", ("common", "rare"), "multilabel"), labels)
    assert spread.tolist() == [1] * 8 + [0] * 71 + [-1]
    assert np.bincount(assign_folds(spread, np.arange(80), 4, 0)[:8]).tolist() == [2, 2, 2, 2]
