"""One trained classifier as one file, `NAME.muslin`: seal it, and open it without trusting it.

Nothing in the file is executed or unpickled: arrays are safetensors, tables are JSON, and the network is an ONNX graph
that `muslin.models.onnx_check` reads before any runtime does. The format, part by part: docs/reference/bundle.md.
"""

import io
from collections.abc import Mapping
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
from muslin.models.bundle_checks import (
    check_calibration_data,
    check_golden,
    check_ood_detector,
    check_seen_images,
    check_targets,
    check_thresholds,
    golden_key,
)
from muslin.models.bundle_schema import MANIFEST, NETWORK, PROVENANCE
from muslin.models.bundle_tensors import (
    calibration_tensors,
    load_tensors,
    parse_calibration,
    parse_seen_images,
    parse_variant,
    variant_tensors,
)
from muslin.models.checked_graphs import graph_cost
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
from muslin.models.graph_cost import GraphCost
from muslin.models.graph_variant import FLOAT32, INT8, GraphVariant
from muslin.models.json_schema import check_schema, parse_json
from muslin.models.seen_images import SeenImages
from muslin.storage.atomic import write_atomically


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
            check_targets(self.targets)
            check_thresholds(self.targets, self.thresholds)
        with locating_errors(part="golden.safetensors"):
            check_golden(self.targets, self.preprocessing.shape, self.golden_pixels, self.golden_probabilities)
        with locating_errors(part="model.onnx"):
            _ = self.cost
        with locating_errors(part="weights.safetensors"):
            load_tensors(self.weights)
        with locating_errors(part=CALIBRATION_PART):
            check_calibration_data(self.targets, "targets", self.calibration_data)
            of_photos = [target for target in self.targets if target.name in self.calibration_data]
            check_calibration_data(of_photos, "products", self.product_calibration)
            check_ood_detector(self.ood_detector)
        with locating_errors(part=IMAGES_PART):
            check_seen_images(self.seen_images)
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

    golden = {golden_key(t): np.ascontiguousarray(bundle.golden_probabilities[t.name]) for t in bundle.targets}
    parts = {
        "network.json": to_json("network.json", bundle.network),
        "provenance.json": to_json("provenance.json", bundle.provenance),
        "golden.safetensors": save({"pixels": np.ascontiguousarray(bundle.golden_pixels), **golden}),
        "model.onnx": bundle.model,
        "weights.safetensors": bundle.weights,
    }
    if calibration := calibration_tensors(bundle):
        parts[CALIBRATION_PART] = save(calibration)
    if bundle.seen_images is not None:
        parts[IMAGES_PART] = save(dict(vars(bundle.seen_images)))
    if bundle.int8 is not None:
        parts[INT8_MODEL_PART] = bundle.int8.model
        parts[INT8_PART] = save(variant_tensors(bundle.targets, bundle.int8))
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
        golden = load_tensors(parts["golden.safetensors"])
        expected = {"pixels", *map(golden_key, targets)}
        if set(golden) != expected:
            raise BundleError("tensor_names", found=sorted(golden)[:5], expected=sorted(expected))
    with locating_errors(part=CALIBRATION_PART):
        calibration = parse_calibration(parts.get(CALIBRATION_PART), targets)
    with locating_errors(part=IMAGES_PART):
        seen_images = parse_seen_images(parts.get(IMAGES_PART))
    with locating_errors(part=INT8_PART):
        int8 = parse_variant(parts.get(INT8_MODEL_PART), parts.get(INT8_PART), targets)
    return Bundle(
        targets=targets,
        preprocessing=preprocessing,
        **calibration,
        seen_images=seen_images,
        int8=int8,
        model=parts["model.onnx"],
        weights=parts["weights.safetensors"],
        golden_pixels=golden["pixels"],
        golden_probabilities={target.name: golden[golden_key(target)] for target in targets},
        network=tables["network.json"],
        provenance=tables["provenance.json"],
        thresholds={name: tuple(map(float, values)) for name, values in manifest["thresholds"].items()},
    )


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, GraphVariant) and isinstance(other, GraphVariant):
        return _is_equal(one.fields(), other.fields())
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
    return bool(one == other)


@lru_cache(4)  # a change of thresholds makes a bundle of the same graphs
def _graph_cost(model: bytes, input_shape: tuple[int, int, int], n_golden: int) -> GraphCost:
    return graph_cost(model, input_shape, n_golden)


def _check_variant(bundle: Bundle) -> None:
    """Refuse a second graph that could not be a bundle's own: each check of a bundle is made of it."""
    try:
        bundle.with_graph(INT8)
    except BundleError as error:
        params = error.params
        part = INT8_MODEL_PART if params.pop("part", None) == "model.onnx" else INT8_PART
        raise BundleError(error.code, error.hint_code, part=part, **params) from error
