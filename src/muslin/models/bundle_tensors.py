"""The tensors of a bundle's parts, by their names in the file: docs/reference/bundle.md."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import BundleError
from muslin.evaluation.ood import OODDetector
from muslin.evaluation.selective import CalibrationData
from muslin.library_errors import reason_of
from muslin.models.bundle_checks import check_tensor, golden_key
from muslin.models.container import INT8_MODEL_PART, INT8_PART
from muslin.models.graph_variant import GraphVariant
from muslin.models.seen_images import SeenImages

if TYPE_CHECKING:
    from muslin.models.bundle import Bundle

_THRESHOLDS = "thresholds/"
"""Before the target's name: tensors of `int8.safetensors` with its minimum probabilities."""


def calibration_tensors(bundle: "Bundle | GraphVariant") -> dict[str, NDArray[Any]]:
    """What is calibrated, of a bundle or of its second graph."""
    tensors = {
        f"{kind}/{target}/{name}": np.ascontiguousarray(values)
        for kind, of_targets in (("targets", bundle.calibration_data), ("products", bundle.product_calibration))
        for target, calibration_data in of_targets.items()
        for name, values in vars(calibration_data).items()
    }
    if bundle.ood_detector is not None:
        for name, values in vars(bundle.ood_detector).items():
            tensors[f"ood_detector/{name}"] = np.ascontiguousarray(values)
    return tensors


def parse_calibration(content: bytes | None, targets: Sequence[Target]) -> dict[str, Any]:
    """The fields of a Bundle that the part holds."""
    return {} if content is None else _calibration_of(load_tensors(content), targets)


def _calibration_of(tensors: dict[str, NDArray[Any]], targets: Sequence[Target]) -> dict[str, Any]:
    """As `parse_calibration`, from the part's tensors."""

    def take(prefix: str, kind: type) -> dict[str, NDArray[Any]]:
        return {f.name: tensors.pop(f"{prefix}/{f.name}") for f in fields(kind)}

    prefixes = {name.rpartition("/")[0] for name in tensors}
    parsed: dict[str, Any] = {"calibration_data": {}, "product_calibration": {}}
    for target in targets:
        if f"targets/{target.name}" in prefixes:
            # a model sealed before it had the tensor has one image of each group
            n = np.size(tensors.get(f"targets/{target.name}/confidence", ()))
            tensors.setdefault(f"targets/{target.name}/group", np.arange(n, dtype=np.int32))
        for kind, values in zip(("targets", "products"), parsed.values(), strict=True):
            if f"{kind}/{target.name}" in prefixes:
                values[target.name] = CalibrationData(**take(f"{kind}/{target.name}", CalibrationData))
    if "ood_detector" in prefixes:
        parsed["ood_detector"] = OODDetector(**take("ood_detector", OODDetector))
    if tensors:
        raise BundleError("tensor_unknown", names=sorted(tensors)[:5])
    return parsed


def parse_seen_images(content: bytes | None) -> SeenImages | None:
    """The images that the part recognises; None where there is no such part."""
    if content is None:
        return None
    tensors, expected = load_tensors(content), [f.name for f in fields(SeenImages)]
    if set(tensors) != set(expected):
        raise BundleError("tensor_names", found=sorted(tensors)[:5], expected=expected)
    return SeenImages(**tensors)


def variant_tensors(targets: Sequence[Target], variant: GraphVariant) -> dict[str, NDArray[Any]]:
    """All tensors of the part of a second graph."""
    golden = {golden_key(t): np.ascontiguousarray(variant.golden_probabilities[t.name]) for t in targets}
    thresholds = {f"{_THRESHOLDS}{name}": np.array(values, np.float64) for name, values in variant.thresholds.items()}
    return {**golden, **thresholds, **calibration_tensors(variant)}


def parse_variant(model: bytes | None, content: bytes | None, targets: Sequence[Target]) -> GraphVariant | None:
    """The second graph from its two parts; None where there are none."""
    if model is None or content is None:
        if model is not None or content is not None:
            raise BundleError("part_missing", part=INT8_PART if content is None else INT8_MODEL_PART)
        return None
    tensors = load_tensors(content)
    if absent := [key for key in map(golden_key, targets) if key not in tensors]:
        raise BundleError("tensor_names", found=sorted(tensors)[:5], expected=absent)
    golden = {target.name: tensors.pop(golden_key(target)) for target in targets}
    thresholds = {}
    for name in [name for name in tensors if name.startswith(_THRESHOLDS)]:
        values = tensors.pop(name)
        check_tensor(name, values, np.float64, (values.size,))
        thresholds[name.removeprefix(_THRESHOLDS)] = tuple(values.tolist())
    return GraphVariant(model, golden, thresholds, **_calibration_of(tensors, targets))


def load_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors in safetensors; BundleError where it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except SafetensorError as error:
        raise BundleError("not_safetensors", reason=reason_of(error)) from error
