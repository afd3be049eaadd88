"""Small sealed models of two kinds, made without torch, and sealing again after any change."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from muslin.data.dataset import Target
from muslin.evaluation.ood import normalize_rows
from muslin.evaluation.selective import CalibrationData
from muslin.models.bundle import Bundle, OODDetector, Preprocessing, to_bytes
from muslin.models.graph_cost import check_cost
from muslin.models.graph_outputs import FEATURES
from muslin.models.graph_variant import GraphVariant
from muslin.models.onnx_check import check_graph
from muslin.models.seen_images import SeenImages, digest_images

Parts = dict[str, bytes]
SIDE = 12
LABEL = Target("label", ("dress", "hat", "shoe"))
TAGS = Target("tags", ("new", "sale"), "multilabel")
SIZE = Target("size", ("large", "small"))


def _random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape[0]).normal(0, 0.5, shape).astype(np.float32)


def _graph(targets: tuple[Target, ...], tta_flip: bool) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """A network of every kind of layer that muslin writes, as `muslin.learn.export` writes it."""
    nodes: list[onnx.NodeProto] = []
    weights = {"scale.mean": np.full((1, 1, 1), 120, np.float32), "scale.std": np.full((1, 1, 1), 60, np.float32)}
    constants: dict[str, NDArray[Any]] = {"low": np.float32(0), "high": np.float32(6)}

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def weight(name: str, values: NDArray[np.float32]) -> str:
        weights[name] = values
        return name

    def mean_of_views(source: str, output: str) -> str:
        views = [f"{output}_original", f"{output}_flipped"]
        nodes.append(helper.make_node("Split", [source], views, name=f"{output}_views", axis=0, num_outputs=2))
        return node("Mean", views, output)

    x = node("Transpose", [node("Cast", ["pixels"], "numbers", to=TensorProto.FLOAT)], "planes", perm=[0, 3, 1, 2])
    if tta_flip:
        ends = {"start": -1, "end": np.iinfo(np.int64).min, "axis": 3, "step": -1}
        constants |= {f"mirror_{name}": np.array([value]) for name, value in ends.items()}
        x = node("Concat", [x, node("Slice", [x, *(f"mirror_{name}" for name in ends)], "mirror")], "both", axis=0)
    x = node("Div", [node("Sub", [x, "scale.mean"], "scale_centred"), "scale.std"], "scale")
    x = node("Conv", [x, weight("stem.weight", _random(4, 1, 3, 3)), weight("stem.bias", _random(4))], "stem",
             kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])  # fmt: skip
    statistics = [weight(f"norm.{name}", np.abs(_random(4)) + 1) for name in ("weight", "bias", "mean", "var")]
    x = node("Relu", [node("BatchNormalization", [x, *statistics], "norm", epsilon=1e-3)], "relu")
    x = node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    y = node("Conv", [x, weight("depth.weight", _random(4, 1, 3, 3))], "depth",
             kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], group=4)  # fmt: skip
    x = node("Add", [node("Clip", [y, "low", "high"], "relu6"), x], "added")
    x = node("Identity", [node("Flatten", [node("GlobalAveragePool", [x], "mean_map")], "mean")], "dropout")
    outputs = []
    for target in targets:
        n = len(target.classes)
        head = [weight(f"head_{target.name}.weight", _random(n, 4)), weight(f"head_{target.name}.bias", _random(n))]
        scores = node("Gemm", [x, *head], f"{target.name}_scores", transB=1)
        output = f"{target.name}_both" if tta_flip else target.name
        if target.kind == "multilabel":
            node("Sigmoid", [scores], output)
        else:
            node("Softmax", [scores], output, axis=1)
        if tta_flip:
            mean_of_views(output, target.name)
        outputs.append(helper.make_tensor_value_info(target.name, TensorProto.FLOAT, ["count", n]))
    if tta_flip:
        mean_of_views(x, FEATURES)
    else:
        node("Identity", [x], FEATURES)
    outputs.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["count", 4]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["count", SIDE, SIDE, 1])
    numbers = [numpy_helper.from_array(np.asarray(v), name) for name, v in (weights | constants).items()]
    graph = helper.make_graph(nodes, "tiny", [pixels], outputs, numbers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), weights


_ROWS = [
    {"name": "scale", "kind": "scale", "input": [12, 12, 1], "output": [12, 12, 1], "mean": 120.0, "std": 60.0},
    {"name": "stem", "kind": "convolution", "input": [12, 12, 1], "output": [12, 12, 4], "filters": 4,
     "kernel_size": 3, "stride": 1, "padding": 1, "bias": True},
    {"name": "norm", "kind": "batch norm", "input": [12, 12, 4], "output": [12, 12, 4], "learn_scale": True,
     "epsilon": 1e-3, "momentum": 0.1},
    {"name": "relu", "kind": "relu", "input": [12, 12, 4], "output": [12, 12, 4]},
    {"name": "pool", "kind": "max pool", "input": [12, 12, 4], "output": [6, 6, 4], "kernel_size": 2, "stride": 2},
    {"name": "depth", "kind": "depthwise convolution", "input": [6, 6, 4], "output": [6, 6, 4], "kernel_size": 3,
     "stride": 1, "padding": "same", "bias": False},
    {"name": "relu6", "kind": "relu6", "input": [6, 6, 4], "output": [6, 6, 4]},
    {"name": "added", "kind": "add", "input": [6, 6, 4], "output": [6, 6, 4], "source": "pool"},
    {"name": "mean", "kind": "global average pool", "input": [6, 6, 4], "output": [4]},
    {"name": "dropout", "kind": "dropout", "input": [4], "output": [4], "rate": 0.5},
]  # fmt: skip


def _provenance(targets: tuple[Target, ...]) -> dict[str, Any]:
    recipe = {"name": "quick", "method": "sgd", "network": "tutorial", "epochs": 2, "batch_size": 8,
              "optimizer": "adam", "learning_rate": 0.1, "widths": [4, 4, 4]}  # fmt: skip
    metrics = {"label": {"accuracy": 0.8, "interval": [0.5, 0.9], "n": 10}}
    return {
        "name": "run", "recipe": recipe, "seed": 3, "command": "muslin train photos", "started": "2026-11-28T10:00:00",
        "train_s": 3.5, "test": {target.name: metrics["label"] for target in targets},
        "data": {"name": "photos", "format": "folders", "origin": "a folder", "fingerprint": "ab" * 32, "fixes": [],
                 "unreadable": [], "split": "drawn", "split_sizes": {"train": 20, "validation": 5, "test": 5},
                 "classes": {target.name: list(target.classes) for target in targets}},
        "versions": {"muslin": "0.1.0"}, "machine": {"processor": "a processor", "cores": 2, "memory_gb": 8.0},
    }  # fmt: skip


def _calibration(target: Target, n: int = 40) -> CalibrationData:
    random, multilabel = np.random.default_rng(n), target.kind == "multilabel"
    thresholds = {("multilabel", 2): 2, ("multiclass", 2): 1}.get((target.kind, len(target.classes)), 0)
    return CalibrationData(
        temperature=np.full(len(target.classes) if multilabel else 1, 1.5, np.float32),
        label_thresholds=np.full(thresholds, 0.5),
        confidence=np.sort(random.uniform(0.4, 1, n).astype(np.float32))[::-1].copy(),
        predicted=random.integers(0, len(target.classes), n).astype(np.int32),
        correct=random.random(n) < 0.9,
        probability_of_true=random.uniform(0.1, 1, n).astype(np.float32),
        group=random.integers(0, n, n).astype(np.int32),
    )


def _bundle(targets: tuple[Target, ...], tta_flip: bool) -> Bundle:
    model, weights = _graph(targets, tta_flip)
    pixels = np.random.default_rng(7).integers(0, 256, (3, SIDE, SIDE, 1)).astype(np.uint8)
    results = run_graph(model.SerializeToString(), pixels)
    table = {"name": "tutorial", "input": [12, 12, 1], "tta_flip": tta_flip, "parameters": 100, "multiply_adds": 999}
    return Bundle(
        targets=targets,
        preprocessing=Preprocessing(SIDE, SIDE, 1, "fit"),
        model=model.SerializeToString(),
        weights=save(weights),
        golden_pixels=pixels,
        golden_probabilities={target.name: results[target.name] for target in targets},
        network=table | {"layers": [row | {"parameters": 9, "multiply_adds": 99, "block": 1} for row in _ROWS]},
        provenance=_provenance(targets),
        calibration_data={target.name: _calibration(target) for target in targets},
        product_calibration={target.name: _calibration(target, 20) for target in targets},
        seen_images=SeenImages.of(digest_images(pixels), digest_images(255 - pixels), b"weights"),
        ood_detector=OODDetector(normalize_rows(_random(20, 4)), np.linspace(0, 1, 200, dtype=np.float32)),
    )


def run_graph(model: bytes, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The outputs of a graph, by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


@cache
def bundles() -> dict[str, Bundle]:
    """One target with both views of an image, the same with a second graph, and three targets of all kinds."""
    several = _bundle((LABEL, TAGS, SIZE), tta_flip=False)
    thresholds = {"tags": (0.3, 0.6), "size": (0.4,)}
    calibration = dict(several.calibration_data)
    calibration["tags"] = replace(calibration["tags"], label_thresholds=np.float64([0.3, 0.6]))
    one, other = _bundle((LABEL,), tta_flip=True), _bundle((LABEL,), tta_flip=False)
    second = GraphVariant(  # a model that muslin trains has this graph in int8
        other.model, other.golden_probabilities, {}, other.calibration_data, other.product_calibration,
        other.ood_detector,
    )  # fmt: skip
    return {
        "one target": one,
        "two graphs": replace(one, int8=second),
        "several targets": replace(several, thresholds=thresholds, calibration_data=calibration),
    }


@cache
def valid_parts(name: str) -> Mapping[str, bytes]:
    """The parts of a bundle; `manifest.json` is without its list of parts."""
    with zipfile.ZipFile(io.BytesIO(to_bytes(bundles()[name]))) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    del manifest["parts"]
    return parts | {"manifest.json": json.dumps(manifest).encode()}


def sealed(parts: Mapping[str, bytes]) -> bytes:
    """A file of these parts whose digests are right, as somebody seals it who knows the format."""
    listed = {n: {"sha256": sha256(part).hexdigest(), "size": len(part)} for n, part in parts.items()}
    listed.pop("manifest.json")
    manifest = parts["manifest.json"]
    if manifest.rstrip().endswith(b"}"):  # an object to which the list can be added, however odd its text is
        comma = b"," if manifest.strip()[1:-1].strip() else b""
        manifest = manifest.rstrip()[:-1] + comma + b'"parts": ' + json.dumps(listed).encode() + b"}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in (parts | {"manifest.json": manifest}).items():
            archive.writestr(zipfile.ZipInfo(name), part)
        archive.comment = b"sha256:" + sha256(manifest).hexdigest().encode()
    return file.getvalue()


def with_new_golden(parts: Parts) -> Parts:
    """The same with the probabilities that its graphs give, as somebody seals it who changed a graph.

    Unchanged where a graph costs too much or cannot be run.
    """
    from safetensors.numpy import load

    try:
        pixels = load(parts["golden.safetensors"])["pixels"]
        new = dict(parts)
        for graph, part in (("model.onnx", "golden.safetensors"), ("model.int8.onnx", "int8.safetensors")):
            if graph not in parts:
                continue
            golden = load(parts[part])
            check_cost(check_graph(parts[graph]), pixels.shape[1:], len(pixels))
            results = run_graph(parts[graph], pixels)
            known = {name: results.get(name.removeprefix("probabilities/"), values) for name, values in golden.items()}
            new[part] = save({n: np.ascontiguousarray(v) for n, v in known.items()})
        return new
    except Exception:  # of any kind: the graph may be anything
        return parts
