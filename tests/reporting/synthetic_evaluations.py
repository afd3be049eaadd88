"""Synthetic runs to write reports of: random images, known labels, probabilities of a known quality."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Images, PixelImages, Split, Target
from muslin.evaluation import Evaluation, evaluate_multiclass
from muslin.reporting.report.report import ReportInputs

NETWORK = {
    "name": "small",
    "input": [12, 12, 1],
    "parameters": 1_234,
    "multiply_adds": 56_789,
    "layers": [
        {
            "name": "scale",
            "kind": "scale",
            "mean": 0.0,
            "std": 255.0,
            "output": [12, 12, 1],
            "parameters": 0,
            "multiply_adds": 0,
        },
        {
            "name": "conv1",
            "kind": "convolution",
            "input": [12, 12, 1],
            "filters": 8,
            "kernel_size": 3,
            "output": [10, 10, 8],
            "parameters": 80,
            "multiply_adds": 7_200,
        },
        {"name": "odd", "kind": "<new kind>", "output": [10, 10, 8], "parameters": 0},
        {
            "name": "label",
            "kind": "dense",
            "input": [800],
            "filters": 3,
            "output": [3],
            "parameters": 1_154,
            "multiply_adds": 2_400,
        },
    ],
}


class Photos:
    """Images of different sizes that are decoded when read; `n_decoded` counts how often."""

    def __init__(self, count: int) -> None:
        self.places = np.arange(count)
        self.n_decoded = 0

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        self.n_decoded += 1
        place = int(self.places[index])
        random = np.random.default_rng(place)
        smooth = random.integers(0, 255, (6, 4, 3)).repeat(40 + place % 7, axis=0).repeat(50 + place % 5, axis=1)
        return smooth.astype(np.uint8)

    def take(self, indices: NDArray[np.integer[Any]]) -> "Photos":
        raise AssertionError("a report must not copy images")


def report_inputs(
    classes: Sequence[str] = ("coat", "shirt", "bag"),
    *,
    n_test: int = 120,
    separation: float = 2.0,
    perfect: bool = False,
    images: Images | None = None,
    history: Sequence[dict[str, Any]] | None = None,
    run: dict[str, Any] | None = None,
    tested: Sequence[int] | None = None,
    unknown: int = 0,
) -> ReportInputs:
    """What a run's report is made from; `tested` are the classes with test images, `unknown` of these have no label."""
    random = np.random.default_rng(5)
    n_train, n_validation = 4 * len(classes), len(classes)
    n = n_train + n_validation + n_test
    labels = np.arange(n, dtype=np.int64) % len(classes)
    test = np.arange(n_train + n_validation, n)
    labels[test] = random.choice(range(len(classes)) if tested is None else tested, n_test)
    true = labels[test].copy()
    labels[test[:unknown]] = -1
    scores = random.normal(size=(n_test, len(classes))) + separation * np.eye(len(classes))[true]
    if perfect:
        scores = 9.0 * np.eye(len(classes))[true]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    ids = np.array([f"p/{i}.png" for i in range(n)], dtype=object)
    pixels = random.integers(0, 255, (n, 12, 12, 1)).astype(np.uint8)
    dataset = Dataset(
        "drawn",
        "drawn",
        PixelImages(pixels) if images is None else images,
        (Target("label", tuple(classes)),),
        {"label": labels},
        ids,
    )
    epochs = [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "train_accuracy": 1 - 0.5 / epoch,
            "validation_loss": 1.1 / epoch,
            "validation_accuracy": 1 - 0.6 / epoch,
        }
        for epoch in range(1, 6)
    ]
    return ReportInputs(
        run={"recipe": {"name": "quick", "epochs": 5}, "command": "muslin train drawn"} if run is None else run,
        network=NETWORK,
        history=epochs if history is None else history,
        dataset=dataset,
        split=Split(
            np.arange(n_train), np.arange(n_train, n_train + n_validation), test, ("drawn with seed 0",), seed=0
        ),
        evaluations={"label": evaluate_multiclass(labels[test], probabilities, classes, ids=ids[test].tolist())},
        probabilities={"label": probabilities},
    )


def evaluation_of(inputs: ReportInputs) -> Evaluation:
    """The evaluation of the only target."""
    evaluation = inputs.evaluations["label"]
    assert isinstance(evaluation, Evaluation)
    return evaluation
