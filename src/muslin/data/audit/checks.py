"""The table of checks: a new one is a new row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muslin.data.audit import classes, duplicates, image_checks, labels, outliers
from muslin.data.audit.duplicates import NEAR_SHARE, Copies
from muslin.data.audit.findings import Finding
from muslin.data.audit.image_stats import ImageStats
from muslin.data.audit.labels import Probabilities
from muslin.data.dataset import PARTS, Dataset, Target


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the checks go by.

    Attributes:
        dataset: only its labels, parts, groups and ids are used, no image is decoded.
        looked: what one pass over the images left behind.
        copies: which images are there more than once.
        probabilities: per target that could be judged, (n, classes) out of sample; NaN where not.
        no_probabilities: why there are none.
    """

    dataset: Dataset
    looked: ImageStats
    copies: Copies
    probabilities: Mapping[str, Probabilities] = field(default_factory=dict)
    no_probabilities: str = ""


def _always(evidence: Evidence) -> str | None:
    return None


@dataclass(frozen=True)
class Check:
    """One kind of finding and how it is found.

    Attributes:
        kind: a key of `KINDS`.
        find: the findings, in any order.
        why_not: why the check says nothing about these data, or None.
    """

    kind: str
    find: Callable[[Evidence], list[Finding]]
    why_not: Callable[[Evidence], str | None] = _always


def _no_copies(evidence: Evidence) -> str | None:
    return "fewer than two images can be compared" if np.isnan(evidence.copies.usual) else None


def _no_labels(evidence: Evidence) -> str | None:
    return None if evidence.dataset.targets else "the data have no labels"


def _no_groups(evidence: Evidence) -> str | None:
    if evidence.dataset.groups is None:
        return "the data name no groups; where a column does, give it with --group"
    return "the data are not divided into parts" if evidence.dataset.parts is None else None


def _small_images(evidence: Evidence) -> str | None:
    return "in images of at most 64 px every edge is a few pixels wide" if evidence.looked.whole else None


def _not_judged(evidence: Evidence) -> str | None:
    return None if evidence.probabilities else evidence.no_probabilities


def _doubted(dataset: Dataset, target: Target, probabilities: Probabilities) -> list[Finding]:
    doubted = labels.suspect_labels if target.kind == "multilabel" else labels.suspect_label
    return doubted(dataset, target, probabilities)


def _suspect_labels(evidence: Evidence) -> list[Finding]:
    return [
        finding
        for name, probabilities in evidence.probabilities.items()
        for finding in _doubted(evidence.dataset, evidence.dataset.target(name), probabilities)
    ]


CHECKS: tuple[Check, ...] = (
    Check("unreadable", lambda e: image_checks.unreadable(e.dataset, e.looked)),
    Check("blank", lambda e: image_checks.blank(e.dataset, e.looked)),
    Check("label_conflict", lambda e: duplicates.label_conflict(e.dataset, e.copies), _no_labels),
    Check("identical", lambda e: duplicates.identical(e.dataset, e.copies)),
    Check("near_duplicate", lambda e: duplicates.near_duplicate(e.dataset, e.copies), _no_copies),
    Check("group_in_two_parts", lambda e: classes.group_in_two_parts(e.dataset), _no_groups),
    Check("suspect_label", _suspect_labels, _not_judged),
    Check("outlier", lambda e: outliers.outlier(e.dataset, e.looked)),
    Check("tiny", lambda e: image_checks.tiny(e.dataset, e.looked)),
    Check("blurred", lambda e: image_checks.blurred(e.dataset, e.looked), _small_images),
    Check("dark", lambda e: image_checks.dark(e.dataset, e.looked)),
    Check("odd_shape", lambda e: image_checks.odd_shape(e.dataset, e.looked)),
    Check("small_class", lambda e: classes.small_class(e.dataset), _no_labels),
    Check("imbalance", lambda e: classes.imbalance(e.dataset), _no_labels),
)


def examined(evidence: Evidence) -> dict[str, Any]:
    """What was looked at, by which measure, for JSON and for the page's head."""
    dataset, looked, copies = evidence.dataset, evidence.looked, evidence.copies
    shorter = looked.sizes[looked.readable, :2].min(axis=1, initial=2**31 - 1)
    parts = {} if dataset.parts is None else {p: int((dataset.parts == p).sum()) for p in PARTS}
    judged = {
        name: labels.judged_summary(dataset.target(name), dataset.labels[name], probabilities)
        for name, probabilities in evidence.probabilities.items()
    }
    height, width, channels = looked.copies.shape[1:]
    usual = None if np.isnan(copies.usual) else copies.usual
    return {
        "data": dataset.name,
        "format": dataset.format,
        "origin": dataset.origin,
        "fixes": list(dataset.fixes),
        "images": len(dataset),
        "readable": len(looked.readable),
        "parts": {part: count for part, count in parts.items() if count},
        "classes": {target.name: len(target.classes) for target in dataset.targets},
        "shorter_side_px": [int(shorter.min()), int(np.median(shorter)), int(shorter.max())]
        if len(shorter)
        else None,
        "compared": f"{'pixels' if looked.whole else 'copies'} of {width}×{height}×{channels}",
        "usual_distance": usual,
        "near_distance": None if usual is None else copies.radius,
        "near_share": NEAR_SHARE,
        "near_pairs_complete": copies.complete,
        "labels_judged": judged,
    }
