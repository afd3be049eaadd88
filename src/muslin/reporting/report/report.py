"""The report of a run: one HTML page that works without a network, on a phone and on paper; its images."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Split, Target
from muslin.evaluation import ConfusedPair, Evaluation
from muslin.evaluation.reliability import Reliability
from muslin.evaluation.thresholds import decided
from muslin.reporting.colours import DARK, LIGHT
from muslin.reporting.image_grids import Pixels, data_uri
from muslin.reporting.report import insights
from muslin.reporting.samples import mean_images, sample_per_class
from muslin.reporting.svg import plots
from muslin.reporting.svg.binary_curves import ThresholdExplorer, threshold_explorer
from muslin.reporting.svg.network_diagram import network_diagram
from muslin.reporting.svg.svg import FONT, STYLE, inline_svg
from muslin.storage.atomic import write_atomically
from muslin.text import duration, interval_text, percent, plural, short_count

TEMPLATES = Path(__file__).parent / "templates"

PREDICTIONS_SHOWN = 40
PAIRS_SHOWN = 5
EXAMPLES_SHOWN = 5  # mistakes of a pair, between three right answers of either class
MISTAKES_SHOWN = 20
CLASSES_SHOWN = 30  # a matrix of 100 classes is wondered at, not read
SAMPLES_SHOWN = 100  # over all classes
PHOTOS_AVERAGED = 300  # over all classes; each has to be decoded, which takes some milliseconds


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        run: the content of `run.json`; whatever it lacks is left out of the report.
        network: as `muslin.learn.networks.describe` gives it.
        history: a mapping per epoch: `epoch`, `train_loss`, `train_accuracy`, `validation_loss`,
            `validation_accuracy`; None where nothing was measured.
        evaluation: of the test part, for one of the data set's targets.
        dataset: all the images.
        split: which of them were for what.
        probabilities: float (test images, classes), in the order of `split.test`.
        target: which target that is; where it is not said, the one with these classes.
        trust: how far the answers may be trusted, of the test part.
    """

    run: Mapping[str, Any]
    network: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    evaluation: Evaluation
    dataset: Dataset
    split: Split
    probabilities: NDArray[np.floating[Any]]
    target: str | None = None
    trust: Reliability | None = None

    @cached_property
    def labels(self) -> NDArray[np.integer[Any]]:
        """The true classes of the target that was evaluated, of all images."""
        name = self.target or next(
            t.name for t in self.dataset.targets if t.classes == self.evaluation.classes
        )
        return self.dataset.labels[name]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each test image."""
        classes, two = self.evaluation.classes, self.evaluation.binary
        return decided(Target("", classes), self.probabilities, (two.threshold,) if two else None)

    @cached_property
    def two(self) -> ThresholdExplorer | None:
        """Where there are two classes, how the answers change with the threshold."""
        if self.evaluation.binary is None:
            return None
        labels = self.labels[self.split.test]
        known = labels != UNKNOWN
        return threshold_explorer(self.evaluation.binary, labels[known], self.probabilities[known, 1])


@dataclass(frozen=True)
class ImageTile:
    """An image and what is said of it.

    `called` is its class or what the model called it, `surely` with which probability, `true` what it is
    where that was wrong. `right` is None where nothing is judged; `note` is its id where that matters.
    """

    pixels: Pixels
    called: str
    surely: str = ""
    true: str = ""
    right: bool | None = None
    note: str = ""

    @property
    def caption(self) -> str:
        is_true = f"\nis {self.true}" if self.true else ""
        return f"{self.called} {self.surely}".strip() + is_true

    @property
    def uri(self) -> str:
        return data_uri(self.pixels)

    @property
    def is_small(self) -> bool:
        """Whether it is shown enlarged, its pixels as squares."""
        return bool(max(self.pixels.shape[:2]) <= 64)


@dataclass(frozen=True)
class TileGroup:
    """Images that belong together, under a name; `mean` is their class's mean image."""

    name: str
    shots: tuple[ImageTile, ...]
    mean: ImageTile | None = None


@dataclass(frozen=True)
class ConfusedPairExamples:
    """A confused pair with examples: its true class recognised, the mistakes, the other class recognised."""

    pair: ConfusedPair
    true: str
    predicted: str
    groups: tuple[TileGroup, ...]


def write_report(folder: Path, report: Report) -> Path:
    """Write `report.html` and each of its images as a file of its own into `folder`; the page's path.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    shown = _classes_shown(report.evaluation)
    drawings = _drawings(report, shown)
    samples, predictions = _samples(report, shown), _predictions(report)
    confusions = [_confusion(report, pair) for pair in report.evaluation.confused_pairs[:PAIRS_SHOWN]]
    mistakes = _mistakes(report)
    for name in ("counts", "network", "curves", "classes", "confusion", "reliability", "taken"):
        if name in drawings:
            write_atomically(folder / f"{name}.svg", drawings[name])
    if report.two:
        write_atomically(folder / "roc.svg", report.two.roc)
        write_atomically(folder / "precision-recall.svg", report.two.precision_recall)
    page = folder / "report.html"
    html = _page(report, shown, drawings, samples, predictions, confusions, mistakes)
    write_atomically(page, html.encode(errors="replace"))  # a file's name need not be valid Unicode
    return page


def _page(
    report: Report,
    shown: Sequence[int],
    drawings: Mapping[str, str],
    samples: Sequence[TileGroup],
    predictions: Sequence[ImageTile],
    confusions: Sequence[ConfusedPairExamples],
    mistakes: Sequence[ImageTile],
) -> str:
    labels = report.labels[report.split.test]
    script = (TEMPLATES / "threshold_explorer.js").read_text(encoding="utf-8") if report.two else ""
    return render_page(
        "report.html.j2",
        report=report,
        run=report.run,
        evaluation=report.evaluation,
        sizes={part: len(getattr(report.split, part)) for part in ("train", "validation", "test")},
        guess=insights.majority_baseline(report.evaluation),
        does=insights.model_task(report.evaluation),
        confuses=insights.confusions_text(report.evaluation),
        look_next=insights.next_steps(report.evaluation, report.history, labels, report.probabilities),
        shown=shown,
        drawings=drawings,
        samples=samples,
        predictions=predictions,
        confusions=confusions,
        mistakes=mistakes,
        two=report.two,
        script=script,
    )


def render_page(template: str, **values: Any) -> str:
    """A page from the template of that name, in the one style of all pages."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "interval": interval_text,
        "plural": plural,
        "duration": duration,
        "short": short_count,
        "inline": inline_svg,
        "plainly": _plainly,
        "term": _term,
        "sha256": _sha256,
    }
    page = environment.get_template(template).render(style=STYLE, light=LIGHT, dark=DARK, font=FONT, **values)
    return page.replace(" %", "\u00a0%")  # no line ends between a number and its unit


def _sha256(script: str) -> str:
    """As a page's content security policy names a script that may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _plainly(value: Any) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plainly, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def _term(key: str) -> str:
    """`memory_gb` as `memory (GB)`, `batch_size` as `batch size`."""
    words = key.split("_")
    units = {"gb": "GB", "px": "px", "s": "s"}
    return " ".join(words[:-1]) + f" ({units[words[-1]]})" if words[-1] in units else " ".join(words)


def _classes_shown(evaluation: Evaluation) -> list[int]:
    """All classes, or where they are too many those with the most mistakes; in the classes' order."""
    everything = list(range(len(evaluation.classes)))
    mistakes = [figures.support + figures.predicted - 2 * figures.right for figures in evaluation.per_class]
    return sorted(sorted(everything, key=lambda i: -mistakes[i])[:CLASSES_SHOWN])


def _drawings(report: Report, shown: Sequence[int]) -> dict[str, str]:
    evaluation, split = report.evaluation, report.split
    counts = {}
    for part, indices in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        known = report.labels[indices][report.labels[indices] >= 0]
        of_class = np.bincount(known, minlength=len(evaluation.classes))
        counts[part] = {evaluation.classes[i]: int(of_class[i]) for i in shown}
    return {
        "counts": plots.class_count_bars(counts),
        "network": network_diagram(report.network),
        "curves": plots.learning_curves(report.history),
        "loss": plots.learning_curves(report.history, ["loss"]),
        "accuracy": plots.learning_curves(report.history, ["accuracy"]),
        "classes": plots.class_metric_bars(evaluation, shown),
        "confusion": plots.confusion_matrix_plot(evaluation, shown),
        "reliability": plots.reliability_diagram(
            evaluation, report.trust.before.bins if report.trust else ()
        ),
    } | ({"taken": plots.risk_coverage_curve(report.trust)} if report.trust else {})


def _samples(report: Report, shown: Sequence[int]) -> list[TileGroup]:
    """Per class its mean image and a few of its training images, drawn at random."""
    classes = report.evaluation.classes
    each = min(6, max(2, SAMPLES_SHOWN // len(shown)))
    images = report.dataset.images
    labels = np.full(len(images), UNKNOWN, dtype=np.int64)  # all but training images of the classes shown
    train = report.split.train[np.isin(report.labels[report.split.train], shown)]
    labels[train] = report.labels[train]
    means = mean_images(images, labels, len(classes), max_photos=max(5, PHOTOS_AVERAGED // len(shown)))
    drawn = sample_per_class(labels, len(classes), each)
    groups = []
    for index in shown:
        mean = means[index]
        name = classes[index]
        shots = tuple(ImageTile(images[int(i)], name) for i in drawn[labels[drawn] == index])
        groups.append(TileGroup(name, shots, None if mean is None else ImageTile(mean, name)))
    return groups


def _shot(report: Report, index: int, *, note: str = "") -> ImageTile:
    """The test image at `index` with what the model said of it and, if that is wrong, what it is."""
    true, predicted = int(report.labels[report.split.test[index]]), int(report.predicted[index])
    return ImageTile(
        pixels=report.dataset.images[int(report.split.test[index])],
        called=report.evaluation.classes[predicted],
        surely=percent(float(report.probabilities[index, predicted]), digits=0),
        true="" if true == predicted else report.evaluation.classes[true],
        right=true == predicted,
        note=note,
    )


def _predictions(report: Report) -> list[ImageTile]:
    """Test images drawn at random, so that as many are wrong as usually are."""
    known = np.flatnonzero(report.labels[report.split.test] >= 0)
    drawn = np.random.default_rng(0).choice(known, min(PREDICTIONS_SHOWN, len(known)), replace=False)
    return [_shot(report, int(index)) for index in np.sort(drawn)]


def _confusion(report: Report, pair: ConfusedPair) -> ConfusedPairExamples:
    classes = report.evaluation.classes
    true, predicted = classes[pair.true], classes[pair.predicted]
    return ConfusedPairExamples(
        pair,
        true,
        predicted,
        (
            TileGroup(f"{true}, recognised", _recognised(report, pair.true)),
            TileGroup(
                f"{true}, taken for {predicted}",
                tuple(_shot(report, index) for index in pair.examples[:EXAMPLES_SHOWN]),
            ),
            TileGroup(f"{predicted}, recognised", _recognised(report, pair.predicted)),
        ),
    )


def _recognised(report: Report, index: int, most: int = 3) -> tuple[ImageTile, ...]:
    """A few test images of a class that were told right, drawn at random."""
    told = np.flatnonzero((report.labels[report.split.test] == index) & (report.predicted == index))
    drawn = np.random.default_rng(0).choice(told, min(most, len(told)), replace=False)
    return tuple(_shot(report, int(i)) for i in np.sort(drawn))


def _mistakes(report: Report) -> list[ImageTile]:
    return [_shot(report, m.index, note=m.id) for m in report.evaluation.mistakes[:MISTAKES_SHOWN]]
