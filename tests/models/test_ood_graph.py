"""The OOD score that is added to a graph is `OODDetector.ood_score`."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from muslin.errors import BundleError
from muslin.evaluation.ood import OODDetector, fit_ood_detector
from muslin.models.bundle import Bundle
from muslin.models.graph_outputs import FEATURES, OOD_SCORE, SPACED_FEATURES, features_output
from muslin.models.graph_runner import GraphRunner
from muslin.models.plain_onnx import FEATURES_OUTPUT, plain_onnx
from muslin.models.predictor import Predictor
from small_models import LABEL, SIDE, small_bundle


def random_features(count: int, width: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, (count, width)).astype(np.float32)


def detector_of(references: int, width: int) -> OODDetector:
    detector = fit_ood_detector(random_features(references, width, 0), random_features(50, width, 1))
    assert detector is not None
    return detector


def bundle_of(references: int, width: int, declared: int | None = None) -> Bundle:
    """With features that are random sums of the pixels; a detector of `declared` features, by default as many."""
    plain = small_bundle()
    model = onnx.load_from_string(plain.model)
    weight = random_features(SIDE * SIDE, width, 2)
    model.graph.initializer.append(numpy_helper.from_array(weight, "mixing"))
    model.graph.node.append(helper.make_node("Flatten", ["scaled"], ["flat"], axis=1))
    model.graph.node.append(helper.make_node("MatMul", ["flat", "mixing"], [FEATURES]))
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", width]))
    return replace(plain, model=model.SerializeToString(), ood_detector=detector_of(references, declared or width))


def images(count: int) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(3).integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)
    pixels[-1] = 0  # features of length 0
    return pixels


@pytest.mark.parametrize(("references", "width"), [(1, 3), (9, 1), (10, 5), (300, 32), (1000, 1280)])
def test_score_in_the_graph_equals_the_formula(references: int, width: int) -> None:
    bundle = bundle_of(references, width)
    found = GraphRunner(bundle, 2, "bundle").run(images(70), names=[FEATURES, OOD_SCORE])
    assert bundle.ood_detector is not None
    expected = bundle.ood_detector.ood_score(found[FEATURES])
    np.testing.assert_allclose(found[OOD_SCORE][:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_batches_or_threads(threads: int) -> None:
    bundle, pixels = bundle_of(1000, 1280), images(300)
    expected = GraphRunner(bundle, 1, "bundle").run(pixels)
    runner = GraphRunner(bundle, threads, "bundle")
    for size in (1, 2, 5, 64, 300):
        for in_threads in (False, True):
            found = runner.run(pixels, size, in_threads=in_threads)
            for name in ("label", OOD_SCORE):
                np.testing.assert_array_equal(found[name], expected[name])


def test_features_that_do_not_fit_the_detector_are_refused() -> None:
    with pytest.raises(BundleError) as error:
        GraphRunner(bundle_of(20, 4, declared=5), 1, "bundle")
    assert (error.value.code, error.value.params["name"]) == ("tensor_shape", FEATURES)
    without = replace(small_bundle(), ood_detector=detector_of(20, 4))
    with pytest.raises(BundleError) as error:
        GraphRunner(without, 1, "bundle")
    assert (error.value.code, error.value.params["name"]) == ("graph_output", FEATURES)


def test_features_that_are_no_numbers_are_refused() -> None:
    bundle = bundle_of(20, 4)
    model = onnx.load_from_string(bundle.model)
    node = next(node for node in model.graph.node if node.output[0] == FEATURES)
    node.output[0] = "sums"
    model.graph.node.append(helper.make_node("Sqrt", ["sums"], [FEATURES]))  # NaN for those below 0
    with pytest.raises(BundleError) as error:
        GraphRunner(replace(bundle, model=model.SerializeToString()), 1, "bundle").run(images(50))
    assert error.value.code == "prediction_range"


def with_spaced_features(bundle: Bundle) -> Bundle:
    """As bundles of before were, whose output with the features had a space in its name."""
    model = onnx.load_from_string(bundle.model)
    next(node for node in model.graph.node if node.output[0] == FEATURES).output[0] = SPACED_FEATURES
    model.graph.output[-1].name = SPACED_FEATURES
    return replace(bundle, model=model.SerializeToString())


def test_features_are_found_by_the_name_of_before() -> None:
    bundle = bundle_of(20, 4)
    now, before = Predictor(bundle), Predictor(with_spaced_features(bundle))
    for found, expected in zip(before.infer_raw(images(9)), now.infer_raw(images(9)), strict=True):
        np.testing.assert_equal(found, expected)
    assert before.predict(images(9)) == now.predict(images(9))
    for found, expected in zip(*(p.with_vectors().predict(images(9)) for p in (before, now)), strict=True):
        np.testing.assert_array_equal(found.vector, expected.vector)
    outputs = {entry.name for entry in plain_onnx(with_spaced_features(bundle)).graph.output}
    assert outputs == {"label", FEATURES_OUTPUT}


def test_a_target_is_not_taken_for_the_features() -> None:
    target = replace(LABEL, name=FEATURES)
    assert features_output([FEATURES], [target]) is None
    assert features_output([FEATURES, SPACED_FEATURES], [target]) == SPACED_FEATURES
    assert GraphRunner(small_bundle(target), 1, "bundle").features is None
