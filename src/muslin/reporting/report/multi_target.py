"""The reports of a run: of one question a page; of several a page each, and one before them with a card per product."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Split, Target, class_counts
from muslin.evaluation import AnyEvaluation, Evaluation, MultilabelEvaluation
from muslin.evaluation.reliability import Reliability
from muslin.evaluation.thresholds import decided
from muslin.reporting.image_grids import Pixels, data_uri
from muslin.reporting.report import insights
from muslin.reporting.report.report import CLASSES_SHOWN, Report, render_page, write_report
from muslin.reporting.svg import plots
from muslin.reporting.svg.network_diagram import network_diagram
from muslin.storage.atomic import storage_errors, write_atomically
from muslin.text import percent

PRODUCTS_SHOWN = 24
LABELS_ON_A_CARD = 8


@dataclass(frozen=True)
class ReportInputs:
    """What all pages of a run rest on: `run.json`, the network's description, the history, the data and their parts."""

    run: Mapping[str, Any]
    network: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    dataset: Dataset
    split: Split
    target: str = ""
    reliabilities: Mapping[str, Reliability] = field(default_factory=dict)

    @property
    def trust(self) -> Reliability | None:
        """Of the target that the page is about."""
        return self.reliabilities.get(self.target)


@dataclass(frozen=True)
class PredictionLine:
    """One answer on a card; `mark` is right, wrong or unknown, `true` what it is where that is something else."""

    question: str
    said: str
    mark: str
    true: str = ""


@dataclass(frozen=True)
class ProductCard:
    """An image with everything that was answered."""

    id: str
    pixels: Pixels
    lines: tuple[PredictionLine, ...]

    @property
    def uri(self) -> str:
        return data_uri(self.pixels)

    @property
    def is_small(self) -> bool:
        return bool(max(self.pixels.shape[:2]) <= 64)


def write_reports(
    folder: Path,
    made: ReportInputs,
    evaluations: Mapping[str, AnyEvaluation],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
) -> Path:
    """Write `report.html` and its images into `folder`; the page's path.

    With several targets the page of each lies with its images in a folder below `targets`.

    Args:
        evaluations: per target that could be judged.
        probabilities: per target float (test images, classes), in the order of the test part.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    if len(probabilities) == 1:
        name = next(iter(evaluations))
        return _write_one(folder, made, name, evaluations[name], probabilities[name])
    pages = {}
    for number, name in enumerate(evaluations, 1):
        place = f"targets/{number}-{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:40] or 'target'}"
        with storage_errors(folder / place):
            (folder / place).mkdir(parents=True, exist_ok=True)
        _write_one(folder / place, made, name, evaluations[name], probabilities[name])
        pages[name] = f"{place}/report.html"
    page = folder / "report.html"
    write_atomically(page, _overview(made, evaluations, probabilities, pages).encode(errors="replace"))
    return page


def _write_one(
    folder: Path,
    made: ReportInputs,
    name: str,
    evaluation: AnyEvaluation,
    probabilities: NDArray[np.floating[Any]],
) -> Path:
    if isinstance(evaluation, Evaluation):
        report = Report(
            made.run,
            made.network,
            made.history,
            evaluation,
            made.dataset,
            made.split,
            probabilities,
            name,
            made.reliabilities.get(name),
        )
        return write_report(folder, report)
    return _write_multilabel(folder, made, name, evaluation, probabilities)


# --- several labels an image


def _write_multilabel(
    folder: Path,
    made: ReportInputs,
    name: str,
    evaluation: MultilabelEvaluation,
    probabilities: NDArray[np.floating[Any]],
) -> Path:
    target = next(t for t in made.dataset.targets if t.name == name)
    labels = made.dataset.labels[name]
    weakest = sorted(
        range(len(evaluation.classes)),
        key=lambda i: 2.0 if not evaluation.per_label[i].support else evaluation.per_label[i].f1 or 0.0,
    )
    shown = weakest[:CLASSES_SHOWN]
    counts = {}
    for part in ("train", "validation", "test"):
        of_label = class_counts(target, labels[getattr(made.split, part)])
        counts[part] = {evaluation.classes[i]: int(of_label[i]) for i in sorted(shown)}
    drawings = {
        "counts": plots.class_count_bars(counts),
        "network": network_diagram(made.network),
        "curves": plots.learning_curves(made.history),
        "loss": plots.learning_curves(made.history, ["loss"]),
        "accuracy": plots.learning_curves(made.history, ["accuracy"]),
        "classes": plots.class_metric_bars(evaluation, shown),
    }
    for drawing in ("counts", "network", "curves", "classes"):
        write_atomically(folder / f"{drawing}.svg", drawings[drawing])
    known = np.flatnonzero((labels[made.split.test] != UNKNOWN).any(axis=1))
    about = replace(made, target=name)
    if about.trust is not None:
        drawings["taken"] = plots.risk_coverage_curve(about.trust)
        write_atomically(folder / "taken.svg", drawings["taken"])
    page = render_page(
        "multilabel.html.j2",
        report=about,
        run=made.run,
        evaluation=evaluation,
        rows=[evaluation.per_label[i] for i in weakest],
        sizes={part: len(getattr(made.split, part)) for part in ("train", "validation", "test")},
        drawings=drawings,
        products=[_card(made, {name: evaluation}, {name: probabilities}, int(i)) for i in _some(known)],
        mistakes=[
            ProductCard(
                m.id,
                _pixels(made, m.index),
                (
                    PredictionLine(
                        "",
                        _mistake(evaluation, m.label, m.probability),
                        "wrong",
                        f"{'' if m.has_it else 'not '}{evaluation.classes[m.label]}",
                    ),
                ),
            )
            for m in evaluation.mistakes[:PRODUCTS_SHOWN]
        ],
    )
    path = folder / "report.html"
    write_atomically(path, page.encode(errors="replace"))
    return path


def _mistake(evaluation: MultilabelEvaluation, label: int, probability: float) -> str:
    return f"{evaluation.classes[label]} {percent(probability, digits=0)}"


# --- several questions


def _overview(
    made: ReportInputs,
    evaluations: Mapping[str, AnyEvaluation],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    pages: Mapping[str, str],
) -> str:
    everything = np.arange(len(made.split.test))
    wrong = _wrong_answers(made, evaluations, probabilities)
    worst = np.argsort(-wrong, kind="stable")[:PRODUCTS_SHOWN]
    return render_page(
        "multi_target.html.j2",
        report=made,
        run=made.run,
        rows=[_row(made, name, evaluations.get(name), pages.get(name)) for name in probabilities],
        products=[_card(made, evaluations, probabilities, int(i)) for i in _some(everything)],
        worst=[_card(made, evaluations, probabilities, int(i)) for i in worst if wrong[i] >= 1],
    )


def _row(made: ReportInputs, name: str, evaluation: AnyEvaluation | None, page: str | None) -> dict[str, Any]:
    classes = next(len(t.classes) for t in made.dataset.targets if t.name == name)
    row = {"name": name, "page": page, "classes": classes, "guess": None}
    if evaluation is None:
        return row | {
            "n": 0,
            "unknown": 1.0,
            "measure": "nothing known to judge by",
            "value": None,
            "interval": (0, 1),
        }
    if isinstance(evaluation, MultilabelEvaluation):
        f1, interval = evaluation.micro.f1, evaluation.micro.f1_interval
        return row | {"n": evaluation.n, "unknown": evaluation.unknown_share, "measure": "F1 over all labels",
                      "value": f1, "interval": interval}  # fmt: skip
    unknown = evaluation.n_unknown / (evaluation.n + evaluation.n_unknown)
    return row | {"n": evaluation.n, "unknown": unknown, "measure": "right", "value": evaluation.accuracy,
                  "interval": evaluation.accuracy_interval,
                  "guess": insights.majority_baseline(evaluation)}  # fmt: skip


def _wrong_answers(
    made: ReportInputs,
    evaluations: Mapping[str, AnyEvaluation],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
) -> NDArray[np.float64]:
    """Per test image how many answers of one class are wrong, and, below 1, how sure the surest of them was."""
    count, surest = np.zeros(len(made.split.test)), np.zeros(len(made.split.test))
    for name, evaluation in evaluations.items():
        if isinstance(evaluation, Evaluation):
            truth, said = made.dataset.labels[name][made.split.test], _said(evaluation, probabilities[name])
            wrong = (truth != UNKNOWN) & (truth != said)
            count += wrong
            raw_probabilities = probabilities[name][np.arange(len(said)), said]
            surest = np.maximum(surest, np.where(wrong, raw_probabilities, 0))
    return count + surest / 2


def _said(evaluation: Evaluation, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    two = evaluation.binary
    return decided(Target("", evaluation.classes), probabilities, (two.threshold,) if two else None)


def _some(places: NDArray[np.int64]) -> NDArray[np.int64]:
    drawn = np.random.default_rng(0).choice(places, min(PRODUCTS_SHOWN, len(places)), replace=False)
    return np.sort(drawn)


def _pixels(made: ReportInputs, index: int) -> Pixels:
    return made.dataset.images[int(made.split.test[index])]


def _card(
    made: ReportInputs,
    evaluations: Mapping[str, AnyEvaluation],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    index: int,
) -> ProductCard:
    """Test image `index` with what was answered to each question."""
    place = int(made.split.test[index])
    lines: list[PredictionLine] = []
    for name, raw_probabilities in probabilities.items():
        truth, evaluation = made.dataset.labels[name][place], evaluations.get(name)
        target = next(t for t in made.dataset.targets if t.name == name)
        if isinstance(evaluation, MultilabelEvaluation):
            lines += _label_lines(evaluation, name, truth, raw_probabilities[index])
            continue
        said = raw_probabilities[index : index + 1]
        answer = int((_said(evaluation, said) if evaluation else said.argmax(axis=1))[0])
        mark = "unknown" if truth == UNKNOWN else "right" if truth == answer else "wrong"
        words = f"{target.classes[answer]} {percent(float(raw_probabilities[index, answer]), digits=0)}"
        lines.append(PredictionLine(name, words, mark, target.classes[int(truth)] if mark == "wrong" else ""))
    return ProductCard(str(made.dataset.ids[place]), _pixels(made, index), tuple(lines))


def _label_lines(
    evaluation: MultilabelEvaluation,
    name: str,
    truth: NDArray[np.integer[Any]],
    raw_probabilities: NDArray[np.floating[Any]],
) -> list[PredictionLine]:
    """The labels that were given, the surest first, and those that were missed."""
    given = raw_probabilities >= np.array([row.threshold for row in evaluation.per_label])
    chosen = [int(i) for i in np.argsort(-raw_probabilities, kind="stable") if given[i] or truth[i] == 1]
    lines: list[PredictionLine] = []
    for i in chosen[:LABELS_ON_A_CARD]:
        mark = "unknown" if truth[i] == UNKNOWN else "right" if given[i] == (truth[i] == 1) else "wrong"
        words = f"{evaluation.classes[i]} {percent(float(raw_probabilities[i]), digits=0)}"
        true = (
            ""
            if mark != "wrong"
            else f"not {evaluation.classes[i]}"
            if given[i]
            else f"{evaluation.classes[i]}, missed"
        )
        lines.append(PredictionLine(name if not lines else "", words, mark, true))
    return lines or [PredictionLine(name, "none", "right" if not (truth == UNKNOWN).any() else "unknown")]
