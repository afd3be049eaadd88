"""Several targets with unknown labels: trained, sealed, evaluated, reported and predicted together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import muslin
from muslin.data.dataset import UNKNOWN, Dataset, Target, pixel_array
from muslin.data.synthetic import make_garments
from muslin.errors import StoppedError
from muslin.models.predictor import Predictor

SETTINGS = {"epochs": 8, "batch_size": 32}


def products(count: int = 400) -> Dataset:
    garments = make_garments(count, seed=7).dataset
    label, pixels = garments.labels["label"], pixel_array(garments)
    bright = (pixels.max(axis=(1, 2, 3)) > 180).astype(np.int64)
    tags = np.stack([np.isin(label, (1, 2)), label == 3, bright == 1], axis=1).astype(np.int8)
    labels = {"label": label.copy(), "cloth": bright, "tags": tags}
    random = np.random.default_rng(0)
    for values in labels.values():
        values[random.random(values.shape) < 0.4] = UNKNOWN
    targets = (
        *garments.targets,
        Target("cloth", ("dark", "bright")),
        Target("tags", ("upper", "shoe", "bright"), "multilabel"),
    )
    return replace(garments, targets=targets, labels=labels)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> muslin.Run:
    return muslin.train(products(), settings=SETTINGS, out=tmp_path_factory.mktemp("several") / "run")


def test_every_target_is_learned_evaluated_and_reported(run: muslin.Run) -> None:
    content = json.loads((run.folder / "evaluation.json").read_text())["targets"]
    assert list(content) == ["label", "cloth", "tags"]
    assert content["label"]["accuracy"] > 0.7
    tags = content["tags"]
    assert tags["micro"]["f1"] > 0.75
    assert 0.3 < tags["unlabelled_fraction"] < 0.5
    page = run.report.read_text()
    for number, name in enumerate(content, 1):
        assert f'href="targets/{number}-{name}/report.html"' in page
        assert (run.folder / "targets" / f"{number}-{name}" / "report.html").exists()
    assert page.count('class="cards"') == 2


def test_each_target_is_calibrated_decided_and_reported(run: muslin.Run) -> None:
    predictor = Predictor.open(run.model)
    assert list(predictor.bundle.calibration_data) == ["label", "cloth", "tags"]
    assert predictor.bundle.ood_detector is not None
    decisions = {
        precision: [
            prediction.predictions["cloth"].decision
            for prediction in predictor.predict([products(60).images[i] for i in range(60)], precision=precision)
        ]
        for precision in (0.5, 0.999)
    }
    assert "accept" in decisions[0.5]
    assert "accept" not in decisions[0.999]  # some dozen validation images cannot guarantee that
    content = json.loads((run.folder / "evaluation.json").read_text())["targets"]
    assert list(content) == ["label", "cloth", "tags"]
    for number, (name, evaluation) in enumerate(content.items(), 1):
        assert len(evaluation["reliability"]["selective"]) == 5
        page = (run.folder / "targets" / f"{number}-{name}" / "report.html").read_text()
        assert 'id="reliability"' in page


def test_predictions_use_the_sealed_thresholds_of_each_target(run: muslin.Run) -> None:
    predictor = Predictor.open(run.model)
    assert len(predictor.bundle.thresholds["tags"]) == 3
    image = products(10).images[0]
    predictions = predictor.predict(image)[0].to_dict()["predictions"]
    assert list(predictions) == ["label", "cloth", "tags"]
    probabilities, thresholds = predictions["tags"]["probabilities"], predictor.thresholds["tags"]
    expected = [
        name for name, threshold in zip(probabilities, thresholds, strict=True) if probabilities[name] >= threshold
    ]
    assert predictions["tags"]["labels"] == expected
    everything = predictor.with_thresholds({"tags": 0.0, "cloth/dark": 1.0}).predict(image)[0].predictions
    assert everything["tags"].labels == ("upper", "shoe", "bright")
    assert everything["cloth"].label == "bright"


def test_resumed_training_with_several_targets_is_identical(run: muslin.Run, tmp_path: Path) -> None:
    steps = iter(range(100))
    with pytest.raises(StoppedError):
        muslin.train(products(), settings=SETTINGS, out=tmp_path / "run", should_stop=lambda: next(steps) >= 12)
    resumed = muslin.resume(tmp_path / "run", products())
    assert Predictor.open(resumed.model).bundle.weights == Predictor.open(run.model).bundle.weights


@pytest.mark.parametrize("kind", ["root", "balanced"])
def test_class_weights_of_rare_classes(kind: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 2, "class_weights": kind}
    run = muslin.train(products(200), settings=settings, out=tmp_path / "run")
    assert np.isfinite(run.history[-1]["train_loss"])
