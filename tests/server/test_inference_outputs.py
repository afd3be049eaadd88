"""The outputs of a model in the Open Inference Protocol equal its predictions."""

import numpy as np
import pytest

from muslin.data.dataset import Target
from muslin.models.prediction import Predictions
from muslin.models.predictor import Predictor
from muslin.server.open_inference.inference_request import InputLimits
from muslin.server.open_inference.metadata import model_configuration, model_metadata
from muslin.server.open_inference.outputs import output_tensor, outputs_of
from muslin.server.open_inference.tensors import json_values
from small_models import LABEL, small_bundle, with_calibration, with_ood_detector

TAGS = Target("tags", ("red", "long", "new"), "multilabel")
IMAGES = [np.full((8, 8, 1), gray, np.uint8) for gray in (3, 60, 110, 200, 255)]


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    bundle = with_ood_detector(with_calibration(small_bundle(LABEL, TAGS)), 0.05, 0.95)
    return Predictor(bundle).predict(IMAGES, precision=0.9)


def tensor(predictions: Predictions, name: str, n_classes: int = 0) -> list[object]:
    output = outputs_of([LABEL, TAGS])[name]
    found = output_tensor(output, predictions.arrays[output.target], predictions.precision, n_classes)
    assert len(found.values) == len(IMAGES)
    return [json_values(found._replace(values=row)) for row in np.atleast_2d(found.values.T).T]


def test_probabilities_are_those_of_the_predictions(predictions: Predictions) -> None:
    for name in ("label", "tags"):
        expected = [list(each.predictions[name].probabilities.values()) for each in predictions]
        assert tensor(predictions, name) == expected


def test_predicted_classes_and_labels(predictions: Predictions) -> None:
    assert tensor(predictions, "label.predicted") == [[each.predictions["label"].label] for each in predictions]
    expected = [[name in (each.predictions["tags"].labels or ()) for name in TAGS.classes] for each in predictions]
    assert tensor(predictions, "tags.predicted") == expected


def test_decisions_and_their_guarantee(predictions: Predictions) -> None:
    for name in ("label", "tags"):
        decisions = [each.predictions[name].decision for each in predictions]
        assert tensor(predictions, f"{name}.decision") == [[each] for each in decisions]
        expected = [[0.9 if each == "accept" else 0.0] for each in decisions]
        assert tensor(predictions, f"{name}.guarantee") == expected
    assert {"accept", "out of scope"} <= {each.predictions["label"].decision for each in predictions}


def test_classification_has_the_highest_values_first(predictions: Predictions) -> None:
    found = tensor(predictions, "label", n_classes=2)
    for texts, each in zip(found, predictions, strict=True):
        probabilities = each.predictions["label"].probabilities
        best = sorted(probabilities, key=lambda name: -probabilities[name])[:2]
        parts = [str(text).split(":") for text in texts]  # type: ignore[attr-defined]
        assert [label for _, _, label in parts] == best
        assert [LABEL.classes[int(place)] for _, place, _ in parts] == best
        assert [float(value) for value, _, _ in parts] == [probabilities[name] for name in best]
    assert all(len(texts) == 3 for texts in tensor(predictions, "label", n_classes=100))  # type: ignore[arg-type]


def test_every_output_can_be_a_classification(predictions: Predictions) -> None:
    """Image clients ask for it for whatever outputs a model has."""
    decisions = [each.predictions["label"].decision for each in predictions]
    places = ["accept", "review", "out of scope"]
    expected = [[f"1.0:{places.index(each)}:{each}"] for each in decisions]
    assert tensor(predictions, "label.decision", n_classes=1) == expected
    assert tensor(predictions, "label.predicted", n_classes=1)[1] == ["1.0:2:Bag"]
    assert {len(texts) for texts in tensor(predictions, "tags.predicted", n_classes=2)} == {2}  # type: ignore[arg-type]
    assert ["0.9:0:precision"] in tensor(predictions, "label.guarantee", n_classes=5)


def test_small_probability_has_no_exponent_in_a_classification() -> None:
    output = outputs_of([LABEL])["label"]
    arrays = Predictor(small_bundle()).predict([IMAGES[1]]).arrays["label"]
    probabilities = np.array([[1e-7, 0, 1]], np.float32)
    found = output_tensor(output, arrays._replace(probabilities=probabilities), 0.9, 3)
    assert found.values.tolist() == [["1.0:2:Bag", "0.0000001:0:Trouser", "0.0:1:Shirt"]]


def test_target_named_as_a_further_output_keeps_its_name() -> None:
    outputs = outputs_of([Target("a", ("x", "y")), Target("a.decision", ("x", "y"))])
    assert outputs["a.decision"].target == "a.decision"
    assert outputs["a.decision_"].target == "a"
    assert len(outputs) == 8


def test_metadata_and_configuration_agree() -> None:
    limits = InputLimits((8, 8, 1), 64)
    metadata = model_metadata("m", "d", [LABEL, TAGS], limits)
    configuration = model_configuration("m", [LABEL, TAGS], limits)
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
    assert metadata["properties"]["label.classes"] == '["Trouser", "Shirt", "Bag"]'
    assert all(isinstance(value, str) for value in metadata["properties"].values())
    for output, configured in zip(metadata["outputs"], configuration["output"], strict=True):
        assert output["name"] == configured["name"]
        assert output["shape"][1:] == configured.get("reshape", {"shape": configured["dims"]})["shape"]
        datatype = {"BYTES": "TYPE_STRING"}.get(output["datatype"], f"TYPE_{output['datatype']}")
        assert configured["data_type"] == datatype
