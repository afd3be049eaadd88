"""The report of a run: one HTML page that works without a network, on a phone and on paper; its drawings as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Split, Target, class_counts
from muslin.evaluation import AnyEvaluation, ConfusedPair, Evaluation
from muslin.evaluation.thresholds import predict_classes
from muslin.reporting.network_stages import Stage, network_stages
from muslin.reporting.report import insights
from muslin.reporting.report.page import TEMPLATES, ImageTile, render_page
from muslin.reporting.report.studio_links import STUDIO, StudioLinks
from muslin.reporting.samples import mean_images, random_sample, sample_per_class
from muslin.reporting.svg import plots
from muslin.reporting.svg.binary_curves import threshold_explorer
from muslin.reporting.svg.network_diagram import network_diagram
from muslin.storage.atomic import write_atomically
from muslin.text import percent

PREDICTIONS_SHOWN = 40
PAIRS_ILLUSTRATED = 5
EXAMPLES_SHOWN = 5  # errors of a confused pair
CORRECT_SHOWN = 3  # correct predictions of either class of a confused pair
ERRORS_SHOWN = 20
CLASSES_DRAWN = 30  # a matrix of more classes cannot be read
SAMPLES_SHOWN = 100  # over all classes
PHOTOS_AVERAGED = 300  # over all classes; decoding a photo takes some milliseconds


@dataclass(frozen=True)
class ReportInputs:
    """What the report of a run is made from.

    Attributes:
        run: the content of `run.json`; the report leaves out what it lacks.
        network: as `muslin.learn.networks.describe` gives it.
        history: a mapping per epoch: `epoch`, `train_loss`, `train_accuracy`, `validation_loss`,
            `validation_accuracy`; None where nothing was measured.
        dataset: all the images.
        split: which images are for training, validation and test.
        evaluations: per target with known test labels, on the test set.
        probabilities: per target, float (test images, classes), in the order of `split.test`.
    """

    run: Mapping[str, Any]
    network: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    dataset: Dataset
    split: Split
    evaluations: Mapping[str, AnyEvaluation]
    probabilities: Mapping[str, NDArray[np.floating[Any]]]

    @property
    def is_linear_probe(self) -> bool:
        """Whether only the heads were trained, by a convex loss."""
        return bool(self.run.get("recipe", {}).get("method") == "linear_probe")

    @property
    def stages(self) -> list[Stage]:
        """The network's layers, folded where they are many."""
        return network_stages(self.network["layers"])

    def out_of_fold(self, target: str) -> Mapping[str, Any] | None:
        """The main metric of the target's out-of-fold predictions, as `run.json` has it; None without folds."""
        metric: Mapping[str, Any] = self.run.get("validation", {}).get(target, {})
        return metric if metric.get("out_of_fold") else None

    @property
    def is_cross_fitted(self) -> bool:
        """Whether out-of-fold predictions calibrate the model."""
        return any(map(self.out_of_fold, self.run.get("validation", {})))

    @property
    def n_fitted(self) -> int:
        """The number of images that the sealed model was fitted to: with folds, all but the test set."""
        return len(self.split.train) + (len(self.split.validation) if self.is_cross_fitted else 0)

    def test_labels(self, target: str) -> NDArray[np.integer[Any]]:
        """The true labels of the test images."""
        return self.dataset.labels[target][self.split.test]

    def test_pixels(self, index: int) -> NDArray[np.uint8]:
        """The test image at `index` of the test set."""
        return self.dataset.images[int(self.split.test[index])]


def predicted_classes(evaluation: Evaluation, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The predicted class of each row of probabilities, at the evaluation's threshold where there are two classes."""
    binary = evaluation.binary
    return predict_classes(Target("", evaluation.classes), probabilities, (binary.threshold,) if binary else None)


TileGroup = tuple[str, list[ImageTile]]
"""Images under a common name."""


def write_target_report(folder: Path, inputs: ReportInputs, target: str) -> Path:
    """Write the page of a target with one class per image, and its drawings as SVG files; the page's path.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    evaluation = inputs.evaluations[target]
    assert isinstance(evaluation, Evaluation)
    page, reliability = _TargetPage(inputs, target, evaluation), evaluation.reliability
    explorer = page.explorer()
    history = (
        () if inputs.is_linear_probe else inputs.history
    )  # other epochs or augmentation do not help a linear probe
    drawings = shared_drawings(inputs, target, page.classes_shown)
    drawings["confusion_matrix"] = plots.confusion_matrix_plot(evaluation, page.classes_shown)
    raw_bins = reliability.before_calibration.bins if reliability else ()
    drawings["reliability_diagram"] = plots.reliability_diagram(evaluation, raw_bins)
    html = render_page(
        "report.html.j2",
        inputs=inputs,
        links=page.links,
        studio=STUDIO,
        linked_matrix=page.linked_matrix(),
        target=target,
        evaluation=evaluation,
        reliability=reliability,
        baseline=insights.majority_baseline(evaluation),
        next_steps=insights.next_steps(evaluation, history, page.labels, page.probabilities),
        classes_shown=len(page.classes_shown),
        drawings=drawings,
        samples=page.samples(),
        predictions=page.random_predictions(),
        pairs=[(pair, page.pair_examples(pair)) for pair in evaluation.confused_pairs[:PAIRS_ILLUSTRATED]],
        errors=[
            page.tile(error.index, "confident-errors", id=error.id)
            for error in evaluation.confident_errors[:ERRORS_SHOWN]
        ],
        explorer=explorer,
        script=(TEMPLATES / "threshold_explorer.js").read_text(encoding="utf-8") if explorer else "",
    )
    if explorer:
        drawings = drawings | {f"{name}_curve": explorer[name] for name in ("roc", "precision_recall")}
    return write_report_files(folder, html, drawings)


def write_report_files(folder: Path, html: str, drawings: Mapping[str, str]) -> Path:
    """Write `report.html` and a file per drawing into `folder`; the page's path. One file has both learning curves."""
    for name, drawing in drawings.items():
        if name not in ("loss_curve", "accuracy_curve"):
            write_atomically(folder / f"{name}.svg", drawing)
    path = folder / "report.html"
    write_atomically(path, html)
    return path


def shared_drawings(inputs: ReportInputs, target: str, classes: Sequence[int]) -> dict[str, str]:
    """The drawings of a target of either kind, by name; `classes` are the indices of those to show."""
    evaluation, labels = inputs.evaluations[target], inputs.dataset.labels[target]
    counts = {}
    for part in PARTS:
        of_class = class_counts(inputs.dataset.target(target), labels[getattr(inputs.split, part)])
        counts[part] = {evaluation.classes[i]: int(of_class[i]) for i in sorted(classes)}
    drawings = {
        "class_counts": plots.class_count_bars(counts),
        "network": network_diagram(inputs.network),
        "learning_curves": plots.learning_curves(inputs.history),
        "loss_curve": plots.learning_curves(inputs.history, ["loss"]),
        "accuracy_curve": plots.learning_curves(inputs.history, ["accuracy"]),
        "class_metrics": plots.class_metric_bars(evaluation, classes),
    }
    if reliability := evaluation.reliability:
        drawings["risk_coverage"] = plots.risk_coverage_curve(reliability)
    return drawings


class _TargetPage:
    """The parts of the page of a target with one class per image."""

    def __init__(self, inputs: ReportInputs, target: str, evaluation: Evaluation) -> None:
        self.inputs, self.target, self.evaluation = inputs, target, evaluation
        self.links = StudioLinks.of(inputs.run, [each.name for each in inputs.dataset.targets], target)
        self.probabilities = inputs.probabilities[target]
        self.labels = inputs.test_labels(target)  # true classes of the test images
        self.predicted = predicted_classes(evaluation, self.probabilities)
        # all classes, or of very many those with the most errors; in the order of the classes
        errors = [row.support + row.predicted - 2 * row.correct for row in evaluation.per_class]
        self.classes_shown = sorted(sorted(range(len(errors)), key=lambda i: -errors[i])[:CLASSES_DRAWN])

    def explorer(self) -> dict[str, Any] | None:
        """The threshold slider, where there are two classes."""
        if self.evaluation.binary is None:
            return None
        known = self.labels != UNKNOWN
        return threshold_explorer(self.evaluation.binary, self.labels[known], self.probabilities[known, 1])

    def samples(self) -> list[tuple[str, ImageTile | None, list[ImageTile]]]:
        """Per class its name, its mean image and a few random training images."""
        inputs, classes, shown = self.inputs, self.evaluation.classes, self.classes_shown
        images, all_labels = inputs.dataset.images, inputs.dataset.labels[self.target]
        labels = np.full(len(images), UNKNOWN, dtype=np.int64)  # of training images of the classes shown only
        train = inputs.split.train[np.isin(all_labels[inputs.split.train], shown)]
        labels[train] = all_labels[train]
        max_photos = max(5, PHOTOS_AVERAGED // len(shown))
        means = mean_images(images, labels, len(classes), max_photos=max_photos)
        n_per_class = min(6, max(2, SAMPLES_SHOWN // len(shown)))
        chosen = sample_per_class(labels, len(classes), n_per_class)
        groups = []
        for index in shown:
            mean = means[index]
            tiles = [ImageTile(images[int(i)]) for i in chosen[labels[chosen] == index]]
            groups.append((classes[index], None if mean is None else ImageTile(mean), tiles))
        return groups

    def linked_matrix(self) -> str:
        """The confusion matrix, whose most frequent errors link to the studio."""
        classes, pairs = self.evaluation.classes, self.evaluation.confused_pairs if self.links.run else ()
        links = {
            (pair.true, pair.predicted): self.links.to(classes[pair.true], classes[pair.predicted], "confusion-matrix")
            for pair in pairs
        }
        return plots.confusion_matrix_plot(self.evaluation, self.classes_shown, links)

    def tile(self, index: int, section: str, *, id: str = "") -> ImageTile:
        """The test image at `index` with its prediction; `section` of the page shows it."""
        true, predicted = int(self.labels[index]), int(self.predicted[index])
        classes, name = self.evaluation.classes, str(self.inputs.dataset.ids[self.inputs.split.test[index]])
        return ImageTile(
            pixels=self.inputs.test_pixels(index),
            label=self.evaluation.classes[predicted],
            probability=percent(float(self.probabilities[index, predicted]), digits=0),
            true="" if true == predicted else self.evaluation.classes[true],
            correct=true == predicted,
            id=id,
            address=self.links.to(classes[true], classes[predicted], section, name),
        )

    def random_predictions(self) -> list[ImageTile]:
        """Random test images, so that the share of errors among them is typical."""
        known = np.flatnonzero(self.labels != UNKNOWN)
        return [self.tile(int(index), "predictions") for index in random_sample(known, PREDICTIONS_SHOWN)]

    def pair_examples(self, pair: ConfusedPair) -> list[TileGroup]:
        """Correct predictions of the true class, the errors, correct predictions of the other class."""
        true, predicted = (self.evaluation.classes[i] for i in (pair.true, pair.predicted))
        errors = [self.tile(index, "confused-pairs") for index in pair.examples[:EXAMPLES_SHOWN]]
        return [
            (f"{true}, correct", self._correct_tiles(pair.true)),
            (f"{true}, predicted as {predicted}", errors),
            (f"{predicted}, correct", self._correct_tiles(pair.predicted)),
        ]

    def _correct_tiles(self, index: int) -> list[ImageTile]:
        """A few random test images of a class that were predicted correctly."""
        correct = np.flatnonzero((self.labels == index) & (self.predicted == index))
        return [self.tile(int(i), "confused-pairs") for i in random_sample(correct, CORRECT_SHOWN)]
