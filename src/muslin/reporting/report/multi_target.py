"""The reports of a run: one page for one target; for several a page each, and an overview with a card per product."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.evaluation import Evaluation, MultilabelEvaluation
from muslin.reporting.report import insights
from muslin.reporting.report.page import ImageTile, render_page
from muslin.reporting.report.report import (
    CLASSES_DRAWN,
    ReportInputs,
    predicted_classes,
    shared_drawings,
    write_report_files,
    write_target_report,
)
from muslin.reporting.samples import random_sample
from muslin.text import percent

PRODUCTS_SHOWN = 24
LABELS_ON_A_CARD = 8


PredictionLine = tuple[str, str, str, str]
"""A prediction on a card: target (empty where the line above has the same), status (`correct`, `incorrect` or
`unknown`), prediction with its probability, and the truth where the prediction is incorrect."""

ProductCard = tuple[ImageTile, list[PredictionLine]]
"""An image with the predictions of all targets."""


def write_reports(folder: Path, inputs: ReportInputs) -> Path:
    """Write `report.html` and its drawings into `folder`; the page's path.

    With several targets, the page and the drawings of each lie in a folder of their own below `targets`.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    if len(inputs.probabilities) == 1:
        return _write_one(folder, inputs, next(iter(inputs.evaluations)))
    pages = {}
    for number, target in enumerate(inputs.evaluations, 1):
        name = f"targets/{number}-{re.sub(r'[^A-Za-z0-9]+', '-', target).strip('-')[:40] or 'target'}"
        _write_one(folder / name, inputs, target)
        pages[target] = f"{name}/report.html"
    n_errors = _count_errors(inputs)
    worst = np.argsort(-n_errors, kind="stable")[:PRODUCTS_SHOWN]
    sample = random_sample(np.arange(len(inputs.split.test)), PRODUCTS_SHOWN)
    html = render_page(
        "multi_target.html.j2",
        inputs=inputs,
        targets=[inputs.dataset.target(name) for name in inputs.probabilities],
        pages=pages,
        baseline=insights.majority_baseline,
        products=[_product_card(inputs, int(i)) for i in sample],
        worst=[_product_card(inputs, int(i)) for i in worst if n_errors[i] >= 1],
    )
    return write_report_files(folder, html, {})


def _write_one(folder: Path, inputs: ReportInputs, target: str) -> Path:
    """The page of one target; of several labels per image, with the weakest labels first."""
    evaluation = inputs.evaluations[target]
    if not isinstance(evaluation, MultilabelEvaluation):
        return write_target_report(folder, inputs, target)
    rows = evaluation.per_label
    weakest_first = sorted(range(len(rows)), key=lambda i: (rows[i].f1 or 0.0) if rows[i].support else 2.0)
    drawings = shared_drawings(inputs, target, weakest_first[:CLASSES_DRAWN])
    known = np.flatnonzero((inputs.test_labels(target) != UNKNOWN).any(axis=1))
    only = replace(inputs, probabilities={target: inputs.probabilities[target]})
    errors: list[ProductCard] = []
    for error in evaluation.confident_errors[:PRODUCTS_SHOWN]:
        label = evaluation.classes[error.label]
        truth = label if error.has_label else f"not {label}"
        line = ("", "incorrect", _with_probability(label, error.probability), truth)
        errors.append((ImageTile(inputs.test_pixels(error.index), id=error.id), [line]))
    html = render_page(
        "multilabel.html.j2",
        inputs=inputs,
        target=target,
        evaluation=evaluation,
        reliability=evaluation.reliability,
        rows=[rows[i] for i in weakest_first],
        drawings=drawings,
        products=[_product_card(only, int(i)) for i in random_sample(known, PRODUCTS_SHOWN)],
        errors=errors,
    )
    return write_report_files(folder, html, drawings)


def _count_errors(inputs: ReportInputs) -> NDArray[np.float64]:
    """Per test image the number of incorrect classes, plus half the highest probability of one of them."""
    count, highest = np.zeros(len(inputs.split.test)), np.zeros(len(inputs.split.test))
    for target, evaluation in inputs.evaluations.items():
        if isinstance(evaluation, Evaluation):
            probabilities, labels = inputs.probabilities[target], inputs.test_labels(target)
            predicted = predicted_classes(evaluation, probabilities)
            incorrect = (labels != UNKNOWN) & (labels != predicted)
            count += incorrect
            probability = probabilities[np.arange(len(predicted)), predicted]
            highest = np.maximum(highest, np.where(incorrect, probability, 0))
    return count + highest / 2


def _product_card(inputs: ReportInputs, index: int) -> ProductCard:
    """Test image `index` with the predictions of all targets."""
    lines: list[PredictionLine] = []
    for target, probabilities in inputs.probabilities.items():
        truth, row = inputs.test_labels(target)[index], probabilities[index]
        evaluation = inputs.evaluations.get(target)
        if isinstance(evaluation, MultilabelEvaluation):
            lines += _label_lines(evaluation, target, truth, row)
            continue
        classes = inputs.dataset.target(target).classes
        predicted = int(predicted_classes(evaluation, row[None])[0] if evaluation else row.argmax())
        status = _status(truth, predicted) if evaluation else "unknown"
        true = classes[int(truth)] if status == "incorrect" else ""
        lines.append((target, status, _with_probability(classes[predicted], row[predicted]), true))
    image = ImageTile(inputs.test_pixels(index), id=str(inputs.dataset.ids[int(inputs.split.test[index])]))
    return image, lines


def _label_lines(
    evaluation: MultilabelEvaluation,
    target: str,
    truth: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
) -> list[PredictionLine]:
    """The predicted labels, the most probable first, and the missed ones."""
    predicted = probabilities >= np.array([row.threshold for row in evaluation.per_label])
    order = [int(i) for i in np.argsort(-probabilities, kind="stable") if predicted[i] or truth[i] == 1]
    lines: list[PredictionLine] = []
    for i in order[:LABELS_ON_A_CARD]:
        label, status = evaluation.classes[i], _status(truth[i], int(predicted[i]))
        error = f"not {label}" if predicted[i] else f"{label}, missed"
        text = _with_probability(label, probabilities[i])
        lines.append(("" if lines else target, status, text, error if status == "incorrect" else ""))
    return lines or [(target, "unknown" if (truth == UNKNOWN).any() else "correct", "none", "")]


def _status(truth: Any, predicted: int) -> str:
    return "unknown" if truth == UNKNOWN else "correct" if truth == predicted else "incorrect"


def _with_probability(label: str, probability: Any) -> str:
    return f"{label} {percent(float(probability), digits=0)}"
