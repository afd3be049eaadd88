"""Small real models for tests, with probabilities that can be computed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from muslin.data.dataset import Target
from muslin.evaluation.ood import fit_ood_detector
from muslin.evaluation.selective import ACCEPT, DECISIONS, Triage, fit_calibration_data
from muslin.models.bundle import Bundle, Preprocessing
from muslin.models.graph_outputs import FEATURES
from muslin.models.prediction import TargetPrediction
from muslin.models.seen_images import SeenImages, digest_images

LABEL = Target("label", ("Trouser", "Shirt", "Bag"))
SIDE = 8


def brightness_model(*targets: Target, channels: int = 1, side: int = SIDE, **opsets: int) -> onnx.ModelProto:
    """The mean of the pixels (0 to 1) times a row of weights per target, then softmax."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["as_float", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
    ]
    numbers = {"scale": np.float32(1 / 255), "axes": np.array([1, 2, 3], np.int64), "last": np.array([1], np.int64)}
    for target in targets or (LABEL,):
        numbers[f"{target.name}.weight"] = weights_of(target)
        nodes.append(helper.make_node("MatMul", ["column", f"{target.name}.weight"], [f"{target.name}.score"]))
        nodes.append(helper.make_node("Softmax", [f"{target.name}.score"], [target.name], axis=1))
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", side, side, channels])],
        [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, ["n", len(t.classes)]) for t in targets or (LABEL,)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()],
    )
    imports = [helper.make_opsetid("", 18), *(helper.make_opsetid(d, v) for d, v in opsets.items())]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def weights_of(target: Target) -> NDArray[np.float32]:
    return 5 * np.arange(len(target.classes), dtype=np.float32)[None]


def expected_probabilities(target: Target, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probabilities of `brightness_model`, computed without a runtime."""
    scores = (pixels.mean((1, 2, 3), dtype=np.float64) / 255)[:, None] * weights_of(target)
    exponentials = np.exp(scores - scores.max(1, keepdims=True))
    return (exponentials / exponentials.sum(1, keepdims=True)).astype(np.float32)


def small_bundle(*targets: Target, channels: int = 1, side: int = SIDE, count: int = 3) -> Bundle:
    """A bundle of `brightness_model` with golden images from black to white."""
    targets = targets or (LABEL,)
    pixels = np.linspace(0, 255, count * side * side * channels).astype(np.uint8)
    pixels = pixels.reshape(count, side, side, channels)
    return Bundle(
        targets=targets,
        preprocessing=Preprocessing(side, side, channels, "fit"),
        model=brightness_model(*targets, channels=channels, side=side).SerializeToString(),
        weights=save({f"{t.name}.weight": weights_of(t) for t in targets}),
        golden_pixels=pixels,
        golden_probabilities={t.name: expected_probabilities(t, pixels) for t in targets},
        network={"layers": [{"kind": "mean"}, {"kind": "dense", "units": len(targets[0].classes)}]},
        provenance={
            "recipe": "by hand",
            "seed": 7,
            "test": {targets[0].name: {"accuracy": 0.5, "interval": [0.25, 0.75]}},
        },
    )


def convolving_bundle(kernels: NDArray[np.float32], pixels: NDArray[np.uint8], activation: str = "Relu") -> Bundle:
    """One convolution named `first` with `kernels`, float32 (outputs, 1, rows, columns), `activation` (an ONNX
    operation), the means of its channels, three classes.

    `pixels`, uint8 (count, side, side, 1), become its golden images, with ONNX Runtime's probabilities.
    """
    import onnxruntime

    outputs, side = len(kernels), pixels.shape[1]
    dense = np.linspace(-0.5, 1, outputs * len(LABEL.classes), dtype=np.float32).reshape(outputs, -1)
    numbers = {"scale": np.float32(1 / 255), "first.weight": kernels, "label.weight": dense}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["as_float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "first.weight"], ["first"], kernel_shape=kernels.shape[2:]),
        helper.make_node(activation, ["first"], ["activated"]),
        helper.make_node("GlobalAveragePool", ["activated"], ["averages"]),
        helper.make_node("Flatten", ["averages"], ["means"]),
        helper.make_node("Gemm", ["means", "label.weight"], ["label.score"]),
        helper.make_node("Softmax", ["label.score"], ["label"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "convolving",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", side, side, 1])],
        [helper.make_tensor_value_info("label", TensorProto.FLOAT, ["n", len(LABEL.classes)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model = made.SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return replace(
        small_bundle(side=side),
        model=model,
        weights=save({"first.weight": kernels, "label.weight": dense}),
        golden_pixels=pixels,
        golden_probabilities={"label": session.run(None, {"pixels": pixels})[0]},
    )


def with_ood_detector(plain: Bundle, low: float, high: float) -> Bundle:
    """`small_bundle` with two features that follow from the brightness; darker images than `low` and brighter ones than
    `high` are out of scope."""
    model, middle = onnx.load_from_string(plain.model), np.array([[high, low]], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(middle, "middle"))
    model.graph.node.append(helper.make_node("Sub", ["column", "middle"], [FEATURES]))
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", 2]))
    usual = np.linspace(low, high, 2000, dtype=np.float32)[:, None] - middle
    return replace(plain, model=model.SerializeToString(), ood_detector=fit_ood_detector(usual[::2], usual[1::2]))


def with_calibration(bundle: Bundle, count: int = 2000) -> Bundle:
    """`bundle`, whose predictions are correct as often as their probabilities at temperature 1.5 say."""
    random, data = np.random.default_rng(0), {}
    for target in bundle.targets:
        raw = random.dirichlet(np.full(len(target.classes), 0.2), count).astype(np.float32)
        powers = raw ** (1 / 1.5)
        draws = random.random((count, 1)) > np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)
        labels = np.minimum(draws.sum(axis=1), len(target.classes) - 1)
        if target.kind == "multilabel":
            labels = (random.random(raw.shape) < raw).astype(np.int8)
        data[target.name] = fit_calibration_data(target, labels, raw)
    return replace(bundle, calibration_data={name: values for name, values in data.items() if values is not None})


def having_seen(bundle: Bundle, train: NDArray[np.uint8], validation: NDArray[np.uint8] | None = None) -> Bundle:
    """`bundle` as if it was trained and validated on these images, uint8 (count, height, width, channels)."""
    digests = [digest_images(() if images is None else images) for images in (train, validation)]
    return replace(bundle, seen_images=SeenImages.of(*digests, bundle.weights))


def prediction_of(
    by_class: Mapping[str, float], decision: str, *, labels: Sequence[str] | None = None
) -> TargetPrediction:
    """The prediction with these probabilities, and for a multilabel target with these labels."""
    target = Target("label", tuple(by_class), "multiclass" if labels is None else "multilabel")
    probabilities = np.array([list(by_class.values())], np.float32)
    number = DECISIONS.index(decision)
    decided = Triage(
        probabilities,
        probabilities.argmax(axis=1),
        probabilities.max(axis=1),
        np.array([number], np.uint8),
        np.array([number == ACCEPT]),
        set_threshold=0.0,
        predicted_labels=None if labels is None else np.array([[name in labels for name in by_class]]),
    )
    return TargetPrediction(target, decided, 0)


def with_model(bundle: Bundle, model: onnx.ModelProto) -> Bundle:
    return replace(bundle, model=model.SerializeToString())
