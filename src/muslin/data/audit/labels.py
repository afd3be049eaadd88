"""Likely label errors, found with the predictions of networks for images that they were not trained on.

Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021): the threshold of a class is the mean probability that
images with this label get for it. A label is suspect compared with what is typical for its class, so a network that is
never confident of shirts does not make every shirt a suspect. Ranking and thresholds equal those of cleanlab 2.9
(`get_label_quality_scores(method="self_confidence")`, `get_confident_thresholds`), against which they are tested;
muslin does not need its 90 MB of dependencies for two formulas.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, samples
from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.messages import Message

N_FOLDS = 4
MIN_PER_CLASS = 14
"""Images of a class: with fewer, each network would be trained on fewer than ten."""

SUSPECT_RATIO = 1 / 4
"""Of what is typical for its class: a label below this, with another class above it, is suspect. With 2 % of
Fashion-MNIST's labels changed at random these are 97 % of the changed ones, and 4 % of the others."""

EXCLUDE_RATIO = 1 / 20
"""Below this, if another class gets what is typical for it, the finding suggests to exclude the sample. Of those found
so in that trial 88 % were incorrect, and of 3,781 photos, on which networks are correct on 75 %, 74 %."""

MIN_YOUDEN = 1 / 4
"""See `has_skill`."""

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


def assign_folds(
    strata: NDArray[np.int64], units: NDArray[np.int64], count: int = N_FOLDS, seed: int = 0
) -> NDArray[np.int64]:
    """The fold of each sample, int64 (n,), from 0 to count - 1: strata spread evenly, units never split.

    Args:
        strata: (n,) class indices or UNKNOWN.
        units: (n,) samples with the same number go into the same fold, as copies and groups must.
    """
    random = np.random.default_rng(seed)
    _, first, unit_of = np.unique(units, return_index=True, return_inverse=True)
    shuffled = random.permutation(len(first))
    by_class = shuffled[np.argsort(strata[first[shuffled]], kind="stable")]
    fold_of_unit = np.empty(len(first), dtype=np.int64)
    fold_of_unit[by_class] = np.arange(len(first)) % count
    return np.asarray(fold_of_unit[unit_of])


def fold_strata(target: Target, labels: Labels) -> NDArray[np.int64]:
    """The strata of `assign_folds`, int64 (n,): the class; of several labels an image its rarest, or UNKNOWN."""
    if target.kind == "multiclass":
        return labels.astype(np.int64)
    yes = labels == 1
    rarest_first = np.argsort(yes.sum(axis=0), kind="stable")
    rarest = rarest_first[yes[:, rarest_first].argmax(axis=1)]
    return np.where(yes.any(axis=1), rarest, UNKNOWN).astype(np.int64)


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


def suspect_multilabel(dataset: Dataset, target: Target, probabilities: Probabilities) -> Iterator[Finding]:
    """Of a target with several labels an image: each yes and each no that is suspect as one of two classes.

    No finding suggests to exclude a sample, because its other labels can be correct.

    Args:
        probabilities: (n, classes) of `target`, out of sample; NaN for what is not checked.
    """
    for column, label in enumerate(target.classes):
        checked, known, two = _as_two_classes(dataset.labels[target.name], probabilities, column)
        if not has_skill(known, two):
            continue
        own, typical = self_confidence(known, two), class_thresholds(known, two)
        for i in np.flatnonzero((own < SUSPECT_RATIO * typical[known]) & (own < 0.5)):
            value = int(known[i])
            message = Message(
                "finding_suspect_multilabel", "remove" if value else "add", target=target.name, label=label,
                value=("no", "yes")[value], probability=float(own[i]), typical=float(typical[value]),
            )  # fmt: skip
            sample = samples(dataset, [int(checked[i])])
            yield Finding("suspect_label", sample, float(own[i]), message, target=target.name)


def suspect_multiclass(dataset: Dataset, target: Target, probabilities: Probabilities) -> Iterator[Finding]:
    """Samples whose label gets less than a quarter of what is typical for its class, while another gets more.

    The finding suggests to exclude a sample if its label gets less than a twentieth, and the other class what is
    typical for it, as confident learning demands; but not from validation and test sets, which would look easier than
    they are. There are no suspects if the networks are no better than the majority class.

    Args:
        probabilities: (n, classes) of `target`, out of sample; rows of NaN for samples not checked.
    """
    checked = np.flatnonzero(~np.isnan(probabilities[:, 0]))
    if not len(checked):
        return
    labels, probabilities = dataset.labels[target.name][checked], probabilities[checked]
    predicted = probabilities.argmax(axis=1)
    if label_agreement(labels, probabilities) <= majority_share(labels):
        return
    own, typical = self_confidence(labels, probabilities), class_thresholds(labels, probabilities)
    for i in np.flatnonzero((own < SUSPECT_RATIO * typical[labels]) & (predicted != labels)):
        index, label, other = int(checked[i]), int(labels[i]), int(predicted[i])
        wrong = own[i] < EXCLUDE_RATIO * typical[label] and probabilities[i, other] >= typical[other]
        exclude = bool(wrong) and (dataset.parts is None or dataset.parts[index] == "train")
        message = Message(
            "finding_suspect_label", "correct_or_exclude" if exclude else "correct",
            label=target.classes[label], target=target.name if len(dataset.targets) > 1 else None,
            probability=float(own[i]), typical=float(typical[label]),
            other=target.classes[other], other_class_probability=float(probabilities[i, other]),
        )  # fmt: skip
        sample = samples(dataset, [index], [index] if exclude else ())
        yield Finding("suspect_label", sample, float(own[i]), message, target=target.name)
