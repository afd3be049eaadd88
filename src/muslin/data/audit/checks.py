"""The table of checks: a new one is a new row."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muslin.data.audit import classes, duplicates, image_checks, labels, outliers
from muslin.data.audit.duplicates import NEAR_DUPLICATE_DISTANCE_RATIO, Duplicates
from muslin.data.audit.findings import Finding
from muslin.data.audit.image_stats import SMALL_PX, ImageStats
from muslin.data.audit.labels import LabelErrors, Probabilities
from muslin.data.dataset import PARTS, Dataset
from muslin.messages import Message

NETWORKS = "networks"
"""Models that check labels: small networks trained on thumbnails."""


@dataclass(frozen=True, eq=False)
class AuditContext:
    """What the checks read.

    Attributes:
        dataset: only its labels, parts, groups and ids are used; no image is decoded.
        stats: the statistics of its images.
        duplicates: its identical and nearly identical images.
        probabilities: per target whose labels were checked, (n, classes) out of fold; NaN if not checked.
        label_errors: per such target the labels that can be wrong.
        label_models: what predicted them: `networks`, or the name of a pretrained backbone.
        no_probabilities: why there are none.
    """

    dataset: Dataset
    stats: ImageStats
    duplicates: Duplicates
    probabilities: Mapping[str, Probabilities] = field(default_factory=dict)
    label_errors: Mapping[str, LabelErrors] = field(default_factory=dict)
    label_models: str = NETWORKS
    no_probabilities: str = ""


@dataclass(frozen=True)
class Check:
    """One kind of finding and the function that finds it.

    Attributes:
        kind: a key of `KINDS`.
        find: the findings, in any order.
        skip: why the check cannot be made on these data, or None.
    """

    kind: str
    find: Callable[[AuditContext], Iterable[Finding]]
    skip: Callable[[AuditContext], str | None] = lambda context: None


def _skip_distances(context: AuditContext) -> str | None:
    return Message("audit_too_few_images") if np.isnan(context.duplicates.median_distance) else None


def _skip_labels(context: AuditContext) -> str | None:
    return None if context.dataset.targets else Message("audit_no_labels")


def _skip_groups(context: AuditContext) -> str | None:
    if context.dataset.clusters is None:
        return Message("audit_no_groups")
    return Message("audit_no_parts") if context.dataset.parts is None else None


def _skip_sharpness(context: AuditContext) -> str | None:
    return Message("audit_small_images", max_px=SMALL_PX) if context.stats.full_size else None


def _skip_label_check(context: AuditContext) -> str | None:
    return None if context.probabilities else context.no_probabilities


def _suspect_labels(context: AuditContext) -> Iterator[Finding]:
    for name, probabilities in context.probabilities.items():
        target = context.dataset.target(name)
        find = labels.suspect_multilabel if target.kind == "multilabel" else labels.suspect_multiclass
        yield from find(context.dataset, target, probabilities, context.label_errors[name])


CHECKS: tuple[Check, ...] = (
    Check("unreadable", lambda c: image_checks.find_unreadable(c.dataset, c.stats)),
    Check("blank", lambda c: image_checks.find_blank(c.dataset, c.stats)),
    Check("label_conflict", lambda c: duplicates.find_label_conflicts(c.dataset, c.duplicates), _skip_labels),
    Check("identical", lambda c: duplicates.find_identical(c.dataset, c.duplicates)),
    Check("near_duplicate", lambda c: duplicates.find_near(c.dataset, c.duplicates), _skip_distances),
    Check("group_in_two_parts", lambda c: classes.find_split_groups(c.dataset), _skip_groups),
    Check("suspect_label", _suspect_labels, _skip_label_check),
    Check("outlier", lambda c: outliers.find_outliers(c.dataset, c.stats)),
    Check("tiny", lambda c: image_checks.find_tiny(c.dataset, c.stats)),
    Check("blurred", lambda c: image_checks.find_blurred(c.dataset, c.stats), _skip_sharpness),
    Check("dark", lambda c: image_checks.find_dark(c.dataset, c.stats)),
    Check("odd_shape", lambda c: image_checks.find_odd_shapes(c.dataset, c.stats)),
    Check("small_class", lambda c: classes.find_small_classes(c.dataset), _skip_labels),
    Check("imbalance", lambda c: classes.find_imbalance(c.dataset), _skip_labels),
)


def audit_overview(context: AuditContext) -> dict[str, Any]:
    """The data and how they were examined, for JSON and for the page."""
    dataset, stats, duplicates = context.dataset, context.stats, context.duplicates
    shorter = stats.sizes[stats.readable, :2].min(axis=1, initial=2**31 - 1)
    parts = {} if dataset.parts is None else {p: int((dataset.parts == p).sum()) for p in PARTS}
    height, width, channels = stats.thumbnails.shape[1:]
    median = None if np.isnan(duplicates.median_distance) else duplicates.median_distance
    return {
        "data": dataset.name,
        "format": dataset.format,
        "origin": dataset.origin,
        "fixes": list(dataset.fixes),
        "unreadable": [{"name": str(dataset.ids[i]), "reason": reason} for i, reason in stats.errors.items()],
        "images": len(dataset),
        "readable": len(stats.readable),
        "parts": {part: count for part, count in parts.items() if count},
        "classes": {target.name: len(target.classes) for target in dataset.targets},
        "shorter_side_px": [int(shorter.min()), int(np.median(shorter)), int(shorter.max())] if len(shorter) else None,
        "comparison_size": [height, width, channels],
        "compared_at_full_size": stats.full_size,
        "median_distance": median,
        "near_duplicate_distance": None if median is None else duplicates.radius,
        "near_duplicate_distance_ratio": NEAR_DUPLICATE_DISTANCE_RATIO,
        "near_duplicate_search_complete": duplicates.complete,
        "label_checks_per_target": {
            name: labels.label_check_summary(dataset.target(name), dataset.labels[name], probabilities)
            | {"models": context.label_models}
            | context.label_errors[name].to_dict(name if len(context.probabilities) > 1 else None)
            for name, probabilities in context.probabilities.items()
        },
    }
