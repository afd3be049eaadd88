"""Which labels are likely wrong, by what networks say of images that they did not learn from.

Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021): a class's threshold is the mean probability that
images labelled so get for it; a label is doubted by comparing with what is usual for its class, so that a
network that is never sure of shirts does not make every shirt a suspect. The ranking and the thresholds are those
of cleanlab 2.9 (`get_label_quality_scores(method="self_confidence")`, `get_confident_thresholds`), against which
they are tested; muslin does not need its 90 MB of dependencies for two formulas.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, samples
from muslin.data.dataset import UNKNOWN, Dataset, Target

FOLDS = 4
JUDGED_FROM = 14
"""Images of a class: of fewer, each network would have learned from fewer than ten."""

SUSPECT_SHARE = 1 / 4
"""Of what is usual for its class: a label below this, with another class above it, is a suspect. With 2 % of
Fashion-MNIST's labels changed at random these are 97 % of the changed ones, and 4 % of the others."""

WRONG_SHARE = 1 / 20
"""Below this, where another class gets what is usual for it, it is suggested to leave the sample out: of those
found so in that trial 88 % were wrong, and of 3,781 photos, on which networks are right three times in four, 74 %."""

SKILL = 1 / 4
"""See `is_skilled`."""

Probabilities = NDArray[np.floating[Any]]


def folds(
    labels: NDArray[np.int64], units: NDArray[np.int64], count: int = FOLDS, seed: int = 0
) -> NDArray[np.int64]:
    """The fold of each sample, int64 (n,), from 0 to count - 1: classes spread evenly, units never torn.

    Args:
        labels: (n,) class indices or UNKNOWN; what is spread evenly.
        units: (n,) samples with the same number go into the same fold, as copies and groups must.
    """
    random = np.random.default_rng(seed)
    _, first, which = np.unique(units, return_index=True, return_inverse=True)
    shuffled = random.permutation(len(first))
    by_class = shuffled[np.argsort(labels[first[shuffled]], kind="stable")]
    fold_of_unit = np.empty(len(first), dtype=np.int64)
    fold_of_unit[by_class] = np.arange(len(first)) % count
    chosen: NDArray[np.int64] = fold_of_unit[which]
    return chosen


def units(count: int, edges: NDArray[np.int64], groups: NDArray[np.object_] | None) -> NDArray[np.int64]:
    """Per sample the number of what must stay together: copies, and samples of one group. int64 (count,).

    Args:
        edges: int64 (edges, 2), pairs of copies.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = [edges]
    if groups is not None:
        _, first, which = np.unique(groups.astype(str), return_index=True, return_inverse=True)
        ends.append(np.stack([np.arange(count), first[which]], axis=1))
    one, other = np.concatenate(ends).T
    links = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers


def class_thresholds(labels: NDArray[np.integer[Any]], probabilities: Probabilities) -> NDArray[np.float64]:
    """Per class the mean probability that the samples labelled so get for it, float64 (classes,); NaN without any.

    Args:
        labels: (n,) class indices, none unknown.
        probabilities: (n, classes), out of sample.
    """
    own = own_probability(labels, probabilities)
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore"):
        thresholds: NDArray[np.float64] = np.bincount(labels, weights=own, minlength=classes) / counts
    return thresholds


def own_probability(labels: NDArray[np.integer[Any]], probabilities: Probabilities) -> Probabilities:
    """Per sample the probability of its own label, (n,): the lower, the likelier the label is wrong."""
    own: Probabilities = probabilities[np.arange(len(labels)), labels]
    return own


def agreement(labels: NDArray[np.integer[Any]], probabilities: Probabilities) -> float:
    """Share of the samples whose most probable class is their label, 0 to 1."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def guess(labels: NDArray[np.integer[Any]]) -> float:
    """Share of the samples that always naming the most frequent class would be right on, 0 to 1."""
    return float(np.bincount(labels).max() / len(labels))


def examinable(target: Target, labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Which labels can be judged, bool (n,), or (n, classes) of several labels an image.

    Those that are known, of a class that 14 images or more have; where there may be several, and 14 have not.
    """
    if target.kind == "multilabel":
        enough = ((labels == 1).sum(axis=0) >= JUDGED_FROM) & ((labels == 0).sum(axis=0) >= JUDGED_FROM)
        cells: NDArray[np.bool_] = (labels != UNKNOWN) & enough
        return cells
    counts = np.bincount(labels[labels != UNKNOWN], minlength=len(target.classes))
    judged: NDArray[np.bool_] = (labels != UNKNOWN) & (counts >= JUDGED_FROM)[labels]
    return judged


def strata(target: Target, labels: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """What `folds` is to spread evenly, int64 (n,): the class; of several labels an image its rarest, or UNKNOWN."""
    if target.kind == "multiclass":
        return labels.astype(np.int64)
    yes = labels == 1
    rarest_first = np.argsort(yes.sum(axis=0), kind="stable")
    rarest = rarest_first[yes[:, rarest_first].argmax(axis=1)]
    found: NDArray[np.int64] = np.where(yes.any(axis=1), rarest, UNKNOWN).astype(np.int64)
    return found


def judged_summary(
    target: Target, labels: NDArray[np.integer[Any]], raw_probabilities: Probabilities
) -> dict[str, Any]:
    """How many labels were judged, how often the networks agree with them, and how often a guess would.

    Of several labels an image each known yes and no counts, and `skilled` is the number of classes of which the
    networks know anything (`is_skilled`); only those have suspects.

    Args:
        stated: (n, classes), out of sample; NaN for what is not judged.
    """
    if target.kind == "multiclass":
        rows = np.flatnonzero(~np.isnan(raw_probabilities[:, 0]))
        known = labels[rows]
        figures = {"accuracy": agreement(known, raw_probabilities[rows]), "guess": guess(known)}
        return {"images": len(rows), "labels": len(rows), **figures, "folds": FOLDS}
    cells = ~np.isnan(raw_probabilities)
    right = ((raw_probabilities > 0.5) == (labels == 1)) & cells
    yes, no = ((labels == 1) & cells).sum(axis=0), ((labels == 0) & cells).sum(axis=0)
    return {
        "images": int(cells.any(axis=1).sum()),
        "labels": int(cells.sum()),
        "accuracy": float(right.sum() / cells.sum()),
        "guess": float(np.maximum(yes, no).sum() / cells.sum()),
        "folds": FOLDS,
        "skilled": sum(
            is_skilled(*_yes_or_no(labels, raw_probabilities, i)[1:]) for i in range(len(target.classes))
        ),
    }


def is_skilled(labels: NDArray[np.integer[Any]], raw_probabilities: Probabilities) -> bool:
    """Whether networks know anything of a label: what they give to it where it holds and to its absence where it
    does not add up to a quarter more than 1, which is what any constant probability would give (Youden's index).

    Args:
        labels: (n,) 1 yes or 0 no.
        stated: (n, 2) probabilities of no and yes.
    """
    return bool(len(labels)) and float(class_thresholds(labels, raw_probabilities).sum()) >= 1 + SKILL


def _yes_or_no(
    labels: NDArray[np.integer[Any]], raw_probabilities: Probabilities, index: int
) -> tuple[NDArray[np.int64], NDArray[np.integer[Any]], Probabilities]:
    """Of one of several labels: the samples that are judged, 1 or 0 of each, and its probabilities of no and yes."""
    judged = np.flatnonzero(~np.isnan(raw_probabilities[:, index]))
    of_yes = raw_probabilities[judged, index]
    return judged, labels[judged, index], np.stack([1 - of_yes, of_yes], axis=1)


def suspect_labels(dataset: Dataset, target: Target, probabilities: Probabilities) -> list[Finding]:
    """Of a target with several labels an image: each yes and each no that `suspect_label` would doubt of two classes.

    No sample is suggested to be left out, since its other labels may be right.

    Args:
        probabilities: (n, classes) of `target`, out of sample; NaN for what is not to be judged.
    """
    labels = dataset.labels[target.name]
    findings = []
    for column, name in enumerate(target.classes):
        judged, known, raw_probabilities = _yes_or_no(labels, probabilities, column)
        if not is_skilled(known, raw_probabilities):
            continue
        own, usual = own_probability(known, raw_probabilities), class_thresholds(known, raw_probabilities)
        for place in np.flatnonzero((own < SUSPECT_SHARE * usual[known]) & (own < 0.5)):
            holds = bool(known[place])
            said, other = ("has", "has not") if holds else ("has not", "has")
            findings.append(
                Finding(
                    "suspect_label",
                    samples(dataset, [int(judged[place])]),
                    float(own[place]),
                    f"That it {said} {name!r} of {target.name} gets {100 * own[place]:.1f} % from a network that never "
                    f"saw it, where that usually gets {100 * usual[int(holds)]:.0f} %",
                    f"{'Take the label away' if holds else 'Add the label'} if you see that it {other} {name!r}.",
                    target=target.name,
                )
            )
    return findings


def suspect_label(dataset: Dataset, target: Target, probabilities: Probabilities) -> list[Finding]:
    """Samples whose label gets less than a quarter of what is usual for its class, while another gets more.

    It is suggested to leave a sample out where its label gets less than a twentieth, and the other class what is
    usual for it, as confident learning demands; except from validation and test parts, which would look easier
    than they are. There are no suspects where the judges are no better than a guess.

    Args:
        probabilities: (n, classes) of `target`, out of sample; rows of NaN for samples not to be judged.
    """
    judged = np.flatnonzero(~np.isnan(probabilities[:, 0]))
    if not len(judged):
        return []
    labels, raw_probabilities = dataset.labels[target.name][judged], probabilities[judged]
    likeliest = raw_probabilities.argmax(axis=1)
    if agreement(labels, raw_probabilities) <= guess(labels):
        return []
    own, usual = own_probability(labels, raw_probabilities), class_thresholds(labels, raw_probabilities)
    suspects = np.flatnonzero((own < SUSPECT_SHARE * usual[labels]) & (likeliest != labels))
    named = f" of {target.name}" if len(dataset.targets) > 1 else ""
    findings = []
    for place in suspects:
        index, label, other = int(judged[place]), int(labels[place]), int(likeliest[place])
        wrong = own[place] < WRONG_SHARE * usual[label] and raw_probabilities[place, other] >= usual[other]
        leave_out = bool(wrong) and (dataset.parts is None or dataset.parts[index] == "train")
        findings.append(
            Finding(
                "suspect_label",
                samples(dataset, [index], [index] if leave_out else ()),
                float(own[place]),
                f"{target.classes[label]!r}{named} gets {100 * own[place]:.1f} % from a network that never saw it, "
                f"where images labelled so usually get {100 * usual[label]:.0f} %; {target.classes[other]!r} gets "
                f"{100 * raw_probabilities[place, other]:.0f} %",
                f"Correct the label to {target.classes[other]!r} if you see that too"
                + ("; until then leave it out." if leave_out else "."),
                target=target.name,
            )
        )
    return findings
