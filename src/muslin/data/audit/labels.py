"""Likely label errors, found with the predictions of models for images that they were not trained on.

`label_noise` says how probable it is that a label is wrong. Thresholds and self-confidence equal those of cleanlab 2.9
(`get_confident_thresholds`, `get_label_quality_scores`; Northcutt, Jiang and Chuang, JAIR 70, 2021), against which they
are tested.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, samples
from muslin.data.audit.label_noise import PROBABLE, Checked, ExpectedWrong, expected_wrong, fit_label_noise
from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.messages import Message

N_FOLDS = 4
MIN_PER_CLASS = 14
"""Images of a class: with fewer, each network would be trained on fewer than ten."""

SUSPECT = 0.005
"""Probability from which a label is listed: 1.5 % of the labels of clothing-small as it is. All are in `labels.csv`."""

ESTIMATED = (20, 50, 100, 200, 500)
"""Lengths of the head of the list for which the number of wrong labels is estimated."""

MIN_YOUDEN = 1 / 4
"""See `has_skill`."""

YES_NO = ("no", "yes")
"""In corrections of one of several labels an image: `lace: yes`."""

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


def class_thresholds(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Per class the mean probability that the samples with this label get for it, float64 (classes,); NaN without any.

    Args:
        labels: (n,) class indices, none unknown.
        probabilities: (n, classes), out of sample.
    """
    own = self_confidence(labels, probabilities)
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(labels, weights=own, minlength=classes) / counts)


def self_confidence(labels: Labels, probabilities: Probabilities) -> Probabilities:
    """Per sample the probability of its own label, (n,): the lower, the more likely the label is incorrect."""
    return np.asarray(probabilities[np.arange(len(labels)), labels])


def label_agreement(labels: Labels, probabilities: Probabilities) -> float:
    """Share of the samples whose most probable class is their label, 0 to 1."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def majority_share(labels: Labels) -> float:
    """Accuracy of always predicting the most frequent class, 0 to 1."""
    return float(np.bincount(labels).max() / len(labels))


def checkable(target: Target, labels: Labels) -> NDArray[np.bool_]:
    """Which labels can be checked, bool (n,), or (n, classes) of several labels an image.

    Those that are known, of a class with at least 14 images; of several labels, also with 14 images without it.
    """
    if target.kind == "multilabel":
        enough = ((labels == 1).sum(axis=0) >= MIN_PER_CLASS) & ((labels == 0).sum(axis=0) >= MIN_PER_CLASS)
        return np.asarray((labels != UNKNOWN) & enough)
    counts = np.bincount(labels[labels != UNKNOWN], minlength=len(target.classes))
    return np.asarray((labels != UNKNOWN) & (counts >= MIN_PER_CLASS)[labels])


def label_check_summary(target: Target, labels: Labels, probabilities: Probabilities) -> dict[str, Any]:
    """The number of labels checked, the accuracy of the networks on them, and that of the majority class.

    Of several labels an image each known yes and no counts, and `classes_with_skill` is the number of classes that
    the networks can predict (`has_skill`); only those have suspects.

    Args:
        probabilities: (n, classes), out of sample; NaN for what is not checked.
    """
    cells = ~np.isnan(probabilities)
    n_labels, images = int(cells.sum()), cells.any(axis=1)
    summary: dict[str, Any] = {"images": int(images.sum()), "folds": N_FOLDS}
    if target.kind == "multiclass":
        labels, probabilities = labels[images], probabilities[images]
        accuracy, majority = label_agreement(labels, probabilities), majority_share(labels)
        return summary | {"labels": len(labels), "accuracy": accuracy, "majority_accuracy": majority}
    correct = ((probabilities > 0.5) == (labels == 1)) & cells
    yes, no = ((labels == 1) & cells).sum(axis=0), ((labels == 0) & cells).sum(axis=0)
    columns = (_as_two_classes(labels, probabilities, i)[1:] for i in range(len(target.classes)))
    return summary | {
        "labels": n_labels,
        "accuracy": float(correct.sum() / n_labels),
        "majority_accuracy": float(np.maximum(yes, no).sum() / n_labels),
        "classes_with_skill": sum(has_skill(*column) for column in columns),
    }


def has_skill(labels: Labels, probabilities: Probabilities) -> bool:
    """Whether networks can predict a label at all: the mean probabilities of a correct yes and of a correct no add up
    to a quarter more than 1, which any constant probability gives (Youden's index).

    Args:
        labels: (n,) 1 yes or 0 no.
        probabilities: (n, 2) of no and yes.
    """
    return bool(len(labels)) and float(class_thresholds(labels, probabilities).sum()) >= 1 + MIN_YOUDEN


def _as_two_classes(
    labels: Labels, probabilities: Probabilities, index: int
) -> tuple[NDArray[np.int64], Labels, Probabilities]:
    """Of one of several labels: the samples checked, 1 or 0 of each, and its probabilities of no and yes."""
    checked = np.flatnonzero(~np.isnan(probabilities[:, index]))
    yes = probabilities[checked, index]
    return checked, labels[checked, index], np.stack([1 - yes, yes], axis=1)


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """The labels of a target that can be wrong.

    Attributes:
        wrong: probability that the label is wrong, float64 (n,), or (n, classes) of several labels an image; NaN if it
            was not checked or the models cannot predict it.
        suggested: the most probable other class, int64 (n,); of several labels an image the other of 0 and 1.
        expected: of the first labels listed, the number of wrong ones; empty if none is listed.
    """

    wrong: NDArray[np.float64]
    suggested: NDArray[np.int64]
    expected: tuple[ExpectedWrong, ...] = ()

    @property
    def listed(self) -> NDArray[np.bool_]:
        """Whether each label is suspect, in the shape of `wrong`."""
        return np.nan_to_num(self.wrong) >= SUSPECT

    def to_dict(self, target: str | None = None) -> dict[str, Any]:
        """`expected_wrong` of all labels and `expected_wrong_of_first` for JSON, and `expected` in words."""
        total = float(np.nansum(self.wrong))
        first = self.expected[0] if self.expected else None
        words = Message("label_errors_none", target=target)
        if first:
            labels = int((~np.isnan(self.wrong)).sum())
            params = asdict(first) | {"expected": round(first.expected), "total": round(total), "labels": labels}
            words = Message("label_errors_expected", target=target, **params)
        rows = [asdict(each) for each in self.expected]
        return {"expected_wrong": total, "expected_wrong_of_first": rows, "expected": words}


def find_label_errors(target: Target, labels: Labels, probabilities: Probabilities) -> LabelErrors:
    """How probable it is that each label of `target` is wrong.

    None is where the models are no better than the majority class, or cannot predict one of several labels.

    Args:
        probabilities: (n, classes), out of fold; NaN for what is not checked.
    """
    wrong = np.full(labels.shape, np.nan)
    checks: list[Checked] = []
    if target.kind == "multilabel":
        suggested = np.where(labels == 1, 0, 1).astype(np.int64)
        for column in range(len(target.classes)):
            rows, known, two = _as_two_classes(labels, probabilities, column)
            if has_skill(known, two):
                checks.append((known, two, fit_label_noise(known, two)))
                wrong[rows, column] = checks[-1][2].wrong_probabilities(known, two)
    else:
        suggested = np.array(labels, dtype=np.int64)
        rows = np.flatnonzero(~np.isnan(probabilities[:, 0]))
        known, own = labels[rows], probabilities[rows]
        if len(rows) and label_agreement(known, own) > majority_share(known):
            noise = fit_label_noise(known, own)
            checks.append((known, own, noise))
            wrong[rows], suggested[rows] = noise.wrong_probabilities(known, own), noise.suggested(known, own)
    errors = LabelErrors(wrong, suggested)
    if n_listed := int(errors.listed.sum()):
        counts = sorted({min(n, n_listed) for n in ESTIMATED})
        errors = replace(errors, expected=tuple(expected_wrong(checks, counts)))
    return errors


class RankedLabel(NamedTuple):
    """A checked label of a sample (its index), the most probable other one, and the probability that it is wrong."""

    sample: int
    target: str
    label: str
    other: str
    wrong: float


def rank_labels(dataset: Dataset, errors: Mapping[str, LabelErrors]) -> list[RankedLabel]:
    """All checked labels of all targets, most probably wrong first. One of several labels an image reads `lace: no`."""
    ranked = []
    for name, each in errors.items():
        classes = dataset.target(name).classes
        for place in zip(*np.nonzero(~np.isnan(each.wrong)), strict=True):
            label, other = (_written(classes, int(v[place]), place) for v in (dataset.labels[name], each.suggested))
            ranked.append(RankedLabel(int(place[0]), name, label, other, float(each.wrong[place])))
    return sorted(ranked, key=lambda row: -row.wrong)


def _written(classes: tuple[str, ...], label: int, place: tuple[int, ...]) -> str:
    return classes[label] if len(place) == 1 else f"{classes[place[1]]}: {YES_NO[label]}"


def suspect_multilabel(
    dataset: Dataset, target: Target, probabilities: Probabilities, errors: LabelErrors
) -> Iterator[Finding]:
    """Of a target with several labels an image: each yes and each no that can be wrong.

    No finding suggests to exclude a sample, because its other labels can be correct.
    """
    labels = dataset.labels[target.name]
    for index, column in zip(*(places.tolist() for places in np.nonzero(errors.listed)), strict=True):
        value, label, wrong = int(labels[index, column]), target.classes[column], float(errors.wrong[index, column])
        yes = float(probabilities[index, column])
        message = Message(
            "finding_suspect_multilabel", "remove" if value else "add", target=target.name, label=label,
            value=YES_NO[value], wrong=wrong, probability=yes if value else 1 - yes,
        )  # fmt: skip
        sample = samples(dataset, [index])
        correction = (f"{label}: {YES_NO[value]}", f"{label}: {YES_NO[1 - value]}")
        yield Finding("suspect_label", sample, wrong, message, target=target.name, correction=correction)


def suspect_multiclass(
    dataset: Dataset, target: Target, probabilities: Probabilities, errors: LabelErrors
) -> Iterator[Finding]:
    """The labels that can be wrong.

    The finding suggests to exclude a sample if its label is probably wrong; but not from validation and test sets,
    which would look easier than they are.
    """
    for index in np.flatnonzero(errors.listed).tolist():
        wrong, label = float(errors.wrong[index]), int(dataset.labels[target.name][index])
        other = int(errors.suggested[index])
        exclude = wrong >= PROBABLE and (dataset.parts is None or dataset.parts[index] == "train")
        message = Message(
            "finding_suspect_label", "correct_or_exclude" if exclude else "correct",
            label=target.classes[label], target=target.name if len(dataset.targets) > 1 else None, wrong=wrong,
            probability=float(probabilities[index, label]),
            other=target.classes[other], other_class_probability=float(probabilities[index, other]),
        )  # fmt: skip
        sample = samples(dataset, [index], [index] if exclude else ())
        correction = (target.classes[label], target.classes[other])
        yield Finding("suspect_label", sample, wrong, message, target=target.name, correction=correction)
