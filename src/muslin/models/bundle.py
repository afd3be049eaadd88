"""One trained classifier as one file, `NAME.muslin`: seal it, and open it without trusting it.

Nothing in the file is executed or unpickled: arrays are safetensors, tables are JSON, and the network is an ONNX graph
that `muslin.models.onnx_check` reads before any runtime does. The format, part by part: docs/reference/bundle.md.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import BundleError
from muslin.evaluation.ood import OODDetector
from muslin.evaluation.selective import CalibrationData
from muslin.evaluation.thresholds import n_thresholds
from muslin.library_errors import reason_of
from muslin.models.bundle_schema import MANIFEST, NETWORK, PROVENANCE
from muslin.models.container import (
    CALIBRATION_PART,
    IMAGES_PART,
    INT8_MODEL_PART,
    INT8_PART,
    locating_errors,
    pack,
    to_json,
    unpack,
)
from muslin.models.graph_cost import GraphCost, check_cost
from muslin.models.graph_variant import FLOAT32, INT8, GraphVariant
from muslin.models.json_schema import check_schema, parse_json
from muslin.models.onnx_check import check_graph
from muslin.models.seen_images import SALT_BYTES, SeenImages
from muslin.storage.atomic import write_atomically
from muslin.text import MAX_NAME_CHARACTERS, is_safe_name

FEATURES = "penultimate features"
"""Name of the graph's output that `Bundle.ood_detector` reads: float32 (n, features), the input of the heads."""

MAX_CLASSES = 5_000
"""Classes of all targets together; DeepFashion has 1,050. A confusion matrix of as many takes 200 MB."""

_THRESHOLDS = "thresholds/"
"""Before the target's name: tensors of `int8.safetensors` with its minimum probabilities."""

PROBABILITY_RANGE = (-1e-6, 1 + 1e-6)
"""A softmax in float32 may end a rounding above 1."""


@dataclass(frozen=True)
class Preprocessing:
    """The image that the graph takes: uint8 (height, width, channels).

    Attributes:
        height, width: in pixels, 1 to 65,535.
        channels: 1 (gray) or 3 (red, green, blue).
        transform: how a photo of another size becomes such an image: a row of `muslin.images.TRANSFORMS`.

    Raises:
        BundleError: a size or a count of channels out of range.
    """

    height: int
    width: int
    channels: int
    transform: str

    def __post_init__(self) -> None:
        if not (0 < self.height < 2**16 and 0 < self.width < 2**16 and self.channels in (1, 3)):
            size = {"height": self.height, "width": self.width, "channels": self.channels}
            raise BundleError("preprocessing_size", **size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained network with everything that is needed to predict with it, and where it came from.

    Attributes:
        targets: the targets, in order; class i of a target is column i of its probabilities.
        preprocessing: the image that the graph takes.
        model: an ONNX graph from `pixels`, uint8 (n, height, width, channels), to one output per target, under the
            target's name: float32 (n, classes) probabilities.
        weights: the trained weights as safetensors, for further training and for inspection.
        golden_pixels: uint8 (k, height, width, channels), k ≥ 1: images with known probabilities.
        golden_probabilities: per target's name, float32 (k, classes), 0 to 1: the network's output for them.
        network: the table of layers, as JSON.
        provenance: recipe, seed, data fingerprint, versions, machine and test metrics, as JSON.
        thresholds: per target's name the minimum probability for predicting a label, 0 to 1: one per class of a
            multilabel target, or one, for the second class, of two classes; 0.5 for targets that are absent.
        calibration_data: per target's name, predictions for images outside the training set. They calibrate the
            probabilities and decide which predictions are accepted; targets without such images are absent.
        product_calibration: per target's name, the same for products with photos outside the training set, one row per
            product; see `muslin.evaluation.product_calibration`. Empty where the model knows no products.
        ood_detector: detects images unlike the training images; the graph then has an output FEATURES.
        seen_images: recognises the images that the model was trained and validated on; None where not recorded.
        int8: the same network in int8, which is faster on some processors; None where there is none.

    Two bundles are equal when all of this is.

    Raises:
        BundleError: the values do not fit each other, or the graph reaches outside the file.
    """

    targets: tuple[Target, ...]
    preprocessing: Preprocessing
    model: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    golden_pixels: NDArray[np.uint8] = field(repr=False)
    golden_probabilities: Mapping[str, NDArray[np.float32]] = field(repr=False)
    network: Mapping[str, Any] = field(repr=False)
    provenance: Mapping[str, Any] = field(repr=False)
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    calibration_data: Mapping[str, CalibrationData] = field(default_factory=dict, repr=False)
    product_calibration: Mapping[str, CalibrationData] = field(default_factory=dict, repr=False)
    ood_detector: OODDetector | None = field(default=None, repr=False)
    seen_images: SeenImages | None = field(default=None, repr=False)
    int8: GraphVariant | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        with locating_errors(part="manifest.json"):
            _check_targets(self.targets)
            _check_thresholds(self.targets, self.thresholds)
        with locating_errors(part="golden.safetensors"):
            _check_golden(self)
        with locating_errors(part="model.onnx"):
            _ = self.cost
        with locating_errors(part="weights.safetensors"):
            _load_tensors(self.weights)
        with locating_errors(part=CALIBRATION_PART):
            _check_calibration_data(self.targets, "targets", self.calibration_data)
            of_photos = [target for target in self.targets if target.name in self.calibration_data]
            _check_calibration_data(of_photos, "products", self.product_calibration)
            _check_ood_detector(self.ood_detector)
        with locating_errors(part=IMAGES_PART):
            _check_seen_images(self.seen_images)
        if self.int8 is not None:
            _check_variant(self)

    def with_graph(self, name: str) -> "Bundle":
        """The bundle whose own graph is the one called `name`, of `muslin.models.graph_variant.GRAPHS`.

        Raises:
            BundleError: it has no such graph.
        """
        if name == FLOAT32:
            return self
        if name != INT8 or self.int8 is None:
            raise BundleError("graph_missing", name=name)
        return replace(self, **self.int8.fields(), int8=None)

    @property
    def cost(self) -> GraphCost:
        """What the graph costs for one image; BundleError where it costs too much."""
        return _graph_cost(self.model, self.preprocessing.shape, len(self.golden_pixels))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and all(
            _is_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(Bundle)
        )


def seal(bundle: Bundle, path: str | Path) -> None:
    """Write `bundle` to `path` as one file, which is complete or absent. Equal bundles give equal bytes.

    Raises:
        BundleError: `network` or `provenance` is not JSON, or a part is too large.
        StorageError: the disk is full or the place cannot be written; the file at `path` is unchanged.
    """
    with locating_errors(path=str(path)):
        content = to_bytes(bundle)
        read_bundle(io.BytesIO(content))  # so that nothing is written that another machine would refuse
    write_atomically(path, content)


def open_bundle(path: str | Path, name: str | None = None) -> Bundle:
    """Read a .muslin file and check every byte of its parts against the seal.

    The graph is not run: `muslin.models.predictor.Predictor` does that and compares its probabilities for the golden
    images with the sealed ones.

    Args:
        name: what errors call the file; by default its path.

    Raises:
        BundleError: the file is absent, damaged, tampered with, from a later muslin, or not a .muslin file.
    """
    path = Path(path)
    with locating_errors(path=name or str(path)):
        if not path.exists():
            raise BundleError("bundle_missing", "path")
        if not path.is_file():
            raise BundleError("bundle_not_file")
        with open(path, "rb") as file:
            return read_bundle(file)


def to_bytes(bundle: Bundle) -> bytes:
    """The content of the file that `seal` writes.

    Raises:
        BundleError: `network` or `provenance` is not JSON.
    """
    from safetensors.numpy import save

    golden = {_golden_key(t): np.ascontiguousarray(bundle.golden_probabilities[t.name]) for t in bundle.targets}
    parts = {
        "network.json": to_json("network.json", bundle.network),
        "provenance.json": to_json("provenance.json", bundle.provenance),
        "golden.safetensors": save({"pixels": np.ascontiguousarray(bundle.golden_pixels), **golden}),
        "model.onnx": bundle.model,
        "weights.safetensors": bundle.weights,
    }
    if calibration := _calibration_tensors(bundle):
        parts[CALIBRATION_PART] = save(calibration)
    if bundle.seen_images is not None:
        parts[IMAGES_PART] = save(dict(vars(bundle.seen_images)))
    if bundle.int8 is not None:
        parts[INT8_MODEL_PART] = bundle.int8.model
        parts[INT8_PART] = save(_variant_tensors(bundle.targets, bundle.int8))
    manifest = {
        "targets": [asdict(target) for target in bundle.targets],
        "preprocessing": asdict(bundle.preprocessing),
        "thresholds": {name: list(values) for name, values in bundle.thresholds.items()},
    }
    return pack(manifest, parts)


def read_bundle(file: BinaryIO) -> Bundle:
    """The bundle in an open file; see `open_bundle`.

    Raises:
        BundleError: the file is damaged, tampered with, from a later muslin, or not a .muslin file.
    """
    manifest, parts = unpack(file)
    with locating_errors(part="manifest.json"):
        check_schema(manifest, MANIFEST)
        targets = tuple(Target(t["name"], tuple(t["classes"]), t["kind"]) for t in manifest["targets"])
        preprocessing = Preprocessing(**manifest["preprocessing"])
    tables = {}
    for name, schema in (("network.json", NETWORK), ("provenance.json", PROVENANCE)):
        with locating_errors(part=name):
            tables[name] = parse_json(parts[name])
            check_schema(tables[name], schema)
    with locating_errors(part="golden.safetensors"):
        golden = _load_tensors(parts["golden.safetensors"])
        expected = {"pixels", *map(_golden_key, targets)}
        if set(golden) != expected:
            raise BundleError("tensor_names", found=sorted(golden)[:5], expected=sorted(expected))
    with locating_errors(part=CALIBRATION_PART):
        calibration = _parse_calibration(parts.get(CALIBRATION_PART), targets)
    with locating_errors(part=IMAGES_PART):
        seen_images = _parse_seen_images(parts.get(IMAGES_PART))
    with locating_errors(part=INT8_PART):
        int8 = _parse_variant(parts.get(INT8_MODEL_PART), parts.get(INT8_PART), targets)
    return Bundle(
        targets=targets,
        preprocessing=preprocessing,
        **calibration,
        seen_images=seen_images,
        int8=int8,
        model=parts["model.onnx"],
        weights=parts["weights.safetensors"],
        golden_pixels=golden["pixels"],
        golden_probabilities={target.name: golden[_golden_key(target)] for target in targets},
        network=tables["network.json"],
        provenance=tables["provenance.json"],
        thresholds={name: tuple(map(float, values)) for name, values in manifest["thresholds"].items()},
    )


def _calibration_tensors(bundle: Bundle | GraphVariant) -> dict[str, NDArray[Any]]:
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


def _parse_calibration(content: bytes | None, targets: Sequence[Target]) -> dict[str, Any]:
    """The fields of a Bundle that the part holds."""
    return {} if content is None else _calibration_of(_load_tensors(content), targets)


def _calibration_of(tensors: dict[str, NDArray[Any]], targets: Sequence[Target]) -> dict[str, Any]:
    """As `_parse_calibration`, from the part's tensors."""

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


def _parse_seen_images(content: bytes | None) -> SeenImages | None:
    if content is None:
        return None
    tensors, expected = _load_tensors(content), [f.name for f in fields(SeenImages)]
    if set(tensors) != set(expected):
        raise BundleError("tensor_names", found=sorted(tensors)[:5], expected=expected)
    return SeenImages(**tensors)


def _variant_tensors(targets: Sequence[Target], variant: GraphVariant) -> dict[str, NDArray[Any]]:
    golden = {_golden_key(t): np.ascontiguousarray(variant.golden_probabilities[t.name]) for t in targets}
    thresholds = {f"{_THRESHOLDS}{name}": np.array(values, np.float64) for name, values in variant.thresholds.items()}
    return {**golden, **thresholds, **_calibration_tensors(variant)}


def _parse_variant(model: bytes | None, content: bytes | None, targets: Sequence[Target]) -> GraphVariant | None:
    if model is None or content is None:
        if model is not None or content is not None:
            raise BundleError("part_missing", part=INT8_PART if content is None else INT8_MODEL_PART)
        return None
    tensors = _load_tensors(content)
    if absent := [key for key in map(_golden_key, targets) if key not in tensors]:
        raise BundleError("tensor_names", found=sorted(tensors)[:5], expected=absent)
    golden = {target.name: tensors.pop(_golden_key(target)) for target in targets}
    thresholds = {}
    for name in [name for name in tensors if name.startswith(_THRESHOLDS)]:
        values = tensors.pop(name)
        check_tensor(name, values, np.float64, (values.size,))
        thresholds[name.removeprefix(_THRESHOLDS)] = tuple(values.tolist())
    return GraphVariant(model, golden, thresholds, **_calibration_of(tensors, targets))


def _golden_key(target: Target) -> str:
    return f"probabilities/{target.name}"


def _load_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except SafetensorError as error:
        raise BundleError("not_safetensors", reason=reason_of(error)) from error


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, GraphVariant) and isinstance(other, GraphVariant):
        return _is_equal(one.fields(), other.fields())
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
    return bool(one == other)


# --- checks


@lru_cache(4)  # a change of thresholds makes a bundle of the same graphs
def _graph_cost(model: bytes, input_shape: tuple[int, int, int], n_golden: int) -> GraphCost:
    return check_cost(check_graph(model), input_shape, n_golden)


def _check_targets(targets: tuple[Target, ...]) -> None:
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


def _check_thresholds(targets: Sequence[Target], thresholds: Mapping[str, tuple[float, ...]]) -> None:
    counts = {target.name: n_thresholds(target) for target in targets}
    for name, values in thresholds.items():
        found, expected = len(values), counts.get(name, 0)
        if found != expected or not all(0 <= value <= 1 for value in values):
            raise BundleError("thresholds_range", target=name, found=found, expected=expected, values=values)


def _check_golden(bundle: Bundle) -> None:
    pixels, n = bundle.golden_pixels, len(bundle.golden_pixels)
    check_tensor("pixels", pixels, np.uint8, (max(n, 1), *bundle.preprocessing.shape))
    if set(bundle.golden_probabilities) != {target.name for target in bundle.targets}:
        names = [target.name for target in bundle.targets]
        raise BundleError("tensor_names", found=sorted(bundle.golden_probabilities), expected=names)
    for target in bundle.targets:
        probabilities = bundle.golden_probabilities[target.name]
        check_tensor(_golden_key(target), probabilities, np.float32, (n, len(target.classes)))
        low, high = PROBABILITY_RANGE  # NaN is not between any two numbers
        if not ((probabilities >= low) & (probabilities <= high)).all():
            raise BundleError("tensor_range", name=_golden_key(target))


def check_tensor(name: str, found: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    """Refuse anything but an array of this type and shape.

    Raises:
        BundleError: another type or shape.
    """
    if not isinstance(found, np.ndarray) or found.dtype != dtype or found.shape != shape:
        kind = f"{getattr(found, 'dtype', type(found).__name__)} {getattr(found, 'shape', '')}"
        raise BundleError("tensor_shape", name=name, found=kind, expected=f"{np.dtype(dtype)} {shape}")


def _check_calibration_data(targets: Sequence[Target], kind: str, calibration: Mapping[str, CalibrationData]) -> None:
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
            if multilabel and part == "probability_of_true":
                values = values[~np.isnan(values)]
            is_falling = part != "confidence" or (values[1:] <= values[:-1]).all()
            is_positive = part != "temperature" or values.all()
            if not (((values >= low) & (values <= high)).all() and is_falling and is_positive):
                raise BundleError("tensor_range", name=f"{kind}/{name}/{part}")


def _check_ood_detector(detector: OODDetector | None) -> None:
    if detector is None:
        return
    for (name, values), ndim in zip(vars(detector).items(), (2, 1), strict=True):
        is_valid = values.dtype == np.float32 and values.ndim == ndim and values.size and np.isfinite(values).all()
        if not is_valid or (ndim == 1 and (values[1:] < values[:-1]).any()):
            raise BundleError("tensor_range", name=f"ood_detector/{name}")


def _check_variant(bundle: Bundle) -> None:
    """Refuse a second graph that could not be a bundle's own: each check of a bundle is made of it."""
    try:
        bundle.with_graph(INT8)
    except BundleError as error:
        params = error.params
        part = INT8_MODEL_PART if params.pop("part", None) == "model.onnx" else INT8_PART
        raise BundleError(error.code, error.hint_code, part=part, **params) from error


def _check_seen_images(seen: SeenImages | None) -> None:
    if seen is None:
        return
    check_tensor("salt", seen.salt, np.uint8, (SALT_BYTES,))
    for name, values, at_least in (("train", seen.train, 1), ("validation", seen.validation, 0)):
        check_tensor(name, values, np.uint64, (max(values.size, at_least),))
        if (values[1:] <= values[:-1]).any():
            raise BundleError("tensor_range", name=name)
