"""What a bundle's values must be, so that nothing that is computed with them can fail: each raises a BundleError."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import BundleError
from muslin.evaluation.ood import OODDetector
from muslin.evaluation.selective import CalibrationData
from muslin.evaluation.thresholds import n_thresholds
from muslin.models.seen_images import SALT_BYTES, SeenImages
from muslin.text import MAX_NAME_CHARACTERS, is_safe_name

MAX_CLASSES = 5_000
"""Classes of all targets together; DeepFashion has 1,050. A confusion matrix of as many takes 200 MB."""

PROBABILITY_RANGE = (-1e-6, 1 + 1e-6)
"""A softmax in float32 may end a rounding above 1."""


def check_targets(targets: Sequence[Target]) -> None:
    """Few enough classes, and names that can be shown and that differ."""
    names = [target.name for target in targets]
    if not names or not all(names) or len(set(names)) != len(names):
        raise BundleError("target_names", names=names)
    if (count := sum(len(target.classes) for target in targets)) > MAX_CLASSES:
        raise BundleError("too_many_classes", found=count, maximum=MAX_CLASSES)
    for name in (*names, *(name for target in targets for name in target.classes)):
        if not is_safe_name(name):
            raise BundleError("name_unsafe", name=ascii(name)[:60], maximum=MAX_NAME_CHARACTERS)
    for target in targets:
        if not target.classes or len(set(target.classes)) != len(target.classes):
            raise BundleError("target_classes", target=target.name)
        if target.kind not in ("multiclass", "multilabel"):
            raise BundleError("target_kind", target=target.name, found=target.kind)


def check_thresholds(targets: Sequence[Target], thresholds: Mapping[str, tuple[float, ...]]) -> None:
    """As many as each target has, in 0..1."""
    counts = {target.name: n_thresholds(target) for target in targets}
    for name, values in thresholds.items():
        found, expected = len(values), counts.get(name, 0)
        if found != expected or not all(0 <= value <= 1 for value in values):
            raise BundleError("thresholds_range", target=name, found=found, expected=expected, values=values)


def check_golden(
    targets: Sequence[Target],
    shape: tuple[int, int, int],
    pixels: NDArray[np.uint8],
    of_targets: Mapping[str, NDArray[np.float32]],
) -> None:
    """The golden images, of which `shape` is one, and per target's name their probabilities."""
    n = len(pixels)
    check_tensor("pixels", pixels, np.uint8, (max(n, 1), *shape))
    if set(of_targets) != {target.name for target in targets}:
        raise BundleError("tensor_names", found=sorted(of_targets), expected=[target.name for target in targets])
    for target in targets:
        probabilities = of_targets[target.name]
        check_tensor(golden_key(target), probabilities, np.float32, (n, len(target.classes)))
        low, high = PROBABILITY_RANGE  # NaN is not between any two numbers
        if not ((probabilities >= low) & (probabilities <= high)).all():
            raise BundleError("tensor_range", name=golden_key(target))


def golden_key(target: Target) -> str:
    """The name of the tensor with the probabilities of the golden images."""
    return f"probabilities/{target.name}"


def check_tensor(name: str, found: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    """Refuse anything but an array of this type and shape.

    Raises:
        BundleError: another type or shape.
    """
    if not isinstance(found, np.ndarray) or found.dtype != dtype or found.shape != shape:
        kind = f"{getattr(found, 'dtype', type(found).__name__)} {getattr(found, 'shape', '')}"
        raise BundleError("tensor_shape", name=name, found=kind, expected=f"{np.dtype(dtype)} {shape}")


def check_calibration_data(targets: Sequence[Target], kind: str, calibration: Mapping[str, CalibrationData]) -> None:
    """The type, length and range of every array, so that no computation with them can fail."""
    by_name = {target.name: target for target in targets}
    if unknown_targets := set(calibration) - set(by_name):
        raise BundleError("tensor_unknown", names=sorted(unknown_targets)[:5])
    for name, data in calibration.items():
        target, n = by_name[name], len(data)
        multilabel, n_classes = target.kind == "multilabel", len(target.classes)
        rows = {  # dtype, length, lowest and highest value
            "temperature": (np.float32, n_classes if multilabel else 1, 0, np.finfo(np.float32).max),
            "label_thresholds": (np.float64, n_thresholds(target), 0, 1),
            "confidence": (np.float32, n, 0, 1),
            "predicted": (np.int32, n, -1 if multilabel else 0, n_classes - 1),
            "correct": (np.bool_, n, 0, 1),
            "probability_of_true": (np.float32, n, 0, 1),
            "group": (np.int32, n, 0, max(n - 1, 0)),
        }
        for part, values in vars(data).items():
            dtype, length, low, high = rows[part]
            check_tensor(f"{kind}/{name}/{part}", values, dtype, (length,))
            if part == "probability_of_true":  # of an incorrect prediction nothing need be true
                values = values[data.correct | ~np.isnan(values)]
            is_falling = part != "confidence" or (values[1:] <= values[:-1]).all()
            is_positive = part != "temperature" or values.all()
            if not (((values >= low) & (values <= high)).all() and is_falling and is_positive):
                raise BundleError("tensor_range", name=f"{kind}/{name}/{part}")


def check_ood_detector(detector: OODDetector | None) -> None:
    """Finite numbers, and scores that rise."""
    if detector is None:
        return
    for (name, values), ndim in zip(vars(detector).items(), (2, 1), strict=True):
        is_valid = values.dtype == np.float32 and values.ndim == ndim and values.size and np.isfinite(values).all()
        if not is_valid or (ndim == 1 and (values[1:] < values[:-1]).any()):
            raise BundleError("tensor_range", name=f"ood_detector/{name}")


def check_seen_images(seen: SeenImages | None) -> None:
    """Digests that rise, at least one of a training image."""
    if seen is None:
        return
    check_tensor("salt", seen.salt, np.uint8, (SALT_BYTES,))
    for name, values, at_least in (("train", seen.train, 1), ("validation", seen.validation, 0)):
        check_tensor(name, values, np.uint64, (max(values.size, at_least),))
        if (values[1:] <= values[:-1]).any():
            raise BundleError("tensor_range", name=name)
