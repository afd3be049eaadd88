"""Linear probes are calibrated on out-of-fold predictions, then fitted to all images but the test set."""

import numpy as np

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.data.split import fold_numbers
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
