"""Which images are in a cell, a slice or a change between two runs; classes in order of their confusion."""

from typing import Any

import numpy as np
import pytest

from muslin.data.dataset import UNKNOWN, Target
from muslin.workflows import run_mistakes
from muslin.workflows.run_mistakes import ImageQuery
from muslin.workflows.run_predictions import RunPredictions
from refusals import refuses

KIND = Target("kind", ("a", "b", "c"))
TAGS = Target("tags", ("x", "y"), "multilabel")


def predictions(target: Target, labels: Any, predicted: Any, **more: Any) -> RunPredictions:
    n, width = len(labels), len(target.classes)
    of_class = np.asarray(predicted) if target.kind == "multilabel" else np.eye(width)[predicted]
    spread = np.linspace(0.6, 0.9, n)[:, None]
    probabilities = (of_class * spread + (1 - of_class) * (1 - spread) / max(width - 1, 1)).astype(np.float32)
    arrays: dict[str, Any] = {
        "ids": np.array([f"{i}.png" for i in range(n)], object), "indices": np.arange(n), "clusters": None,
        "decisions": {target.name: np.arange(n, dtype=np.uint8) % 3}, "vectors": None,
    }  # fmt: skip
    values = {"labels": np.array(labels), "predicted": np.array(predicted), "probabilities": probabilities}
    return RunPredictions(
        "test", (target,), **{name: {target.name: each} for name, each in values.items()}, **arrays | more
    )


def test_selections_of_one_class_per_image() -> None:
    found = predictions(KIND, [0, 0, 1, 2, UNKNOWN, 1], [0, 1, 1, 1, 1, 2])

    def places(**wanted: str) -> list[int]:
        return run_mistakes.select(found, KIND, ImageQuery(sort="order", **wanted)).tolist()

    assert places() == [0, 1, 2, 3, 4, 5]
    assert places(label="a", predicted="b") == [1]
    assert places(predicted="b", outcome="errors") == [1, 3]
    assert places(label="b", outcome="missed") == [5]
    assert places(label="b", outcome="extra") == [1, 3]
    assert places(outcome="correct") == [0, 2]
    assert places(decision="review") == [1, 4]
    assert places(text="3.P") == [3]
    assert run_mistakes.select(found, KIND, ImageQuery(sort="confidence"))[0] == 5
    assert run_mistakes.select(found, KIND, ImageQuery(sort="doubt"))[0] == 0
    assert run_mistakes.select(found, KIND, ImageQuery(sort="loss"))[-1] == 4, "without a label there is no loss"
    assert run_mistakes.accuracy(found, KIND) | {"interval": None} == {
        "n": 5, "correct": 2, "accuracy": 0.4, "interval": None,
    }  # fmt: skip


def test_selections_of_several_labels_per_image() -> None:
    labels = np.array([[1, 0], [1, 1], [0, UNKNOWN], [UNKNOWN, UNKNOWN]], np.int8)
    found = predictions(TAGS, labels, np.array([[1, 0], [0, 1], [1, 1], [1, 0]], np.int8))

    def places(**wanted: str) -> list[int]:
        return run_mistakes.select(found, TAGS, ImageQuery(sort="order", **wanted)).tolist()

    assert places(outcome="errors") == [1, 2]
    assert places(outcome="correct") == [0]
    assert places(label="x", outcome="missed") == [1]
    assert places(label="x", outcome="extra") == [2]
    assert places(label="x", outcome="found") == [0]
    counts = [(row.support, row.predicted, row.correct) for row in run_mistakes.class_rows(found, TAGS)]
    assert counts == [(2, 2, 1), (1, 1, 1)]


def test_classes_that_are_confused_are_neighbours() -> None:
    cells = np.diag([50] * 6)
    for one, other in ((0, 4), (4, 2), (1, 5), (5, 3)):
        cells[one, other] = cells[other, one] = 20
    order = run_mistakes.order_by_similarity(cells)
    assert sorted(order) == list(range(6))
    halves = [set(order[:3]), set(order[3:])]
    assert {0, 2, 4} in halves
    assert {1, 3, 5} in halves
    assert run_mistakes.order_by_similarity(np.eye(2, dtype=np.int64)) == [0, 1]


def test_two_runs_are_paired_by_names_of_images_and_classes() -> None:
    one = predictions(KIND, [0, 1, 2], [0, 0, 2])
    ids = np.array(["2.png", "9.png", "1.png"], object)
    other = predictions(Target("kind", ("b", "d", "c")), [2, 0, 0], [1, 0, 0], ids=ids)
    paired = run_mistakes.pair(one, other, KIND)
    assert paired.places.tolist() == [1, 2]
    assert paired.other_places.tolist() == [2, 0]
    assert paired.other_predicted.tolist() == [1, 3], "class d is none of the first run's"
    comparison = paired.compare()
    assert paired.places[list(comparison.images_only_b_correct)].tolist() == [1]
    assert paired.places[list(comparison.images_only_a_correct)].tolist() == [2]
    with refuses("no_common_target"):
        run_mistakes.pair(one, predictions(TAGS, [[1, 0]], [[1, 0]]), KIND)
    with refuses("no_common_image"):
        run_mistakes.pair(one, predictions(KIND, [0], [0], ids=np.array(["x"], object)), KIND)


def test_the_nearest_images_come_first() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [-0.6, -0.8]], np.float16)
    found = predictions(KIND, [0, 1, 1, UNKNOWN], [0, 0, 0, 0], vectors=vectors)
    other = run_mistakes.has_other_label(found, KIND, 0)
    assert other.tolist() == [False, True, True, False]
    near = run_mistakes.nearest(vectors[0], found, other, 8)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    assert [place for place, _ in near] == [2, 1]
    assert [cosine for _, cosine in near] == pytest.approx([centred[2] @ centred[0], centred[1] @ centred[0]], abs=1e-3)


def test_slices_have_two_to_a_hundred_values() -> None:
    labels = np.arange(240) % 3
    found = predictions(KIND, labels, np.where(np.arange(240) < 80, (labels + 1) % 3, labels))
    columns = {"season": np.array(["winter"] * 80 + ["summer"] * 160, object), "name": found.ids,
               "empty": np.full(240, "", object)}  # fmt: skip
    made = run_mistakes.slices(found, KIND, run_mistakes.slice_columns(found, KIND, columns))
    assert set(made) == {"season", "decision", "confidence"}
    assert [(row.value, row.n, row.weak) for row in made["season"]] == [("winter", 80, True), ("summer", 160, False)]
