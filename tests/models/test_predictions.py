"""Predictions are a lazy sequence over arrays, and equal what the plain graph and the formulas give."""

import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from muslin.data.dataset import Target
from muslin.errors import DataError
from muslin.evaluation.selective import DECISIONS
from muslin.models.bundle import Bundle, seal
from muslin.models.graph_outputs import FEATURES
from muslin.models.predictor import CHUNK, Predictor
from small_models import LABEL, SIDE, small_bundle, with_calibration, with_ood_detector

TAGS = Target("tags", ("new", "sale", "linen"), "multilabel")


def full_bundle() -> Bundle:
    return with_calibration(with_ood_detector(small_bundle(), 0.2, 0.6))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(full_bundle(), threads=2)


def images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Each of one brightness, so that all decisions occur."""
    values = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 1), np.uint8)
    return np.broadcast_to(values, (count, SIDE, SIDE, 1)).copy()


def test_predictions_follow_from_the_plain_session(predictor: Predictor) -> None:
    bundle, pixels = predictor.bundle, images(300)
    session = onnxruntime.InferenceSession(bundle.model, providers=["CPUExecutionProvider"])
    raw, features = session.run(["label", FEATURES], {"pixels": pixels})
    scores = raw.astype(np.float64) ** (1 / bundle.calibration_data["label"].temperature[0])
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    detector = bundle.ood_detector
    assert detector is not None
    is_ood = detector.ood_score(features) > detector.threshold
    threshold = predictor.rules.policies(0.9)["label"].accept_thresholds[0]
    expected = ["out of scope" if odd else "accept" if p.max() >= threshold else "review"
                for odd, p in zip(is_ood, probabilities, strict=True)]  # fmt: skip
    found = predictor.predict(pixels, precision=0.9)
    assert [each.predictions["label"].decision for each in found] == expected
    assert set(expected) == set(DECISIONS)
    for each, p in zip(found, probabilities, strict=True):
        predicted = each.predictions["label"]
        assert predicted.label == LABEL.classes[p.argmax()]
        assert list(predicted.probabilities.values()) == pytest.approx(p.tolist(), abs=1e-6)
        assert predicted.probability == predicted.probabilities[predicted.label]
        assert predicted.runner_up == LABEL.classes[p.argsort()[-2]]


def test_arrays_have_a_row_per_readable_image(predictor: Predictor) -> None:
    pixels = images(CHUNK + 6)
    given: list[Any] = [*pixels[:3], b"no image", *pixels[3:], b"", np.full((40, 30), 9, np.uint8)]
    predictions = predictor.predict(given, precision=0.9)
    arrays = predictions.arrays["label"]
    assert predictions.readable.tolist() == [i for i in range(len(given)) if i not in (3, CHUNK + 7)]
    assert arrays.probabilities.shape == (CHUNK + 7, 3)
    for row, place in enumerate(predictions.readable):
        predicted = predictions[int(place)].predictions["label"]
        assert LABEL.classes[arrays.predicted[row]] == predicted.label
        assert DECISIONS[arrays.decisions[row]] == predicted.decision
        assert float(arrays.probabilities[row].max()) == pytest.approx(predicted.probability, abs=1e-7)
    assert predictions[3].error
    assert predictions[3].predictions == {}


def test_predictions_are_a_sequence(predictor: Predictor) -> None:
    predictions = predictor.predict(images(5))
    assert len(predictions) == 5
    assert predictions[-1] == predictions[4] == list(predictions)[4]
    assert predictions[1:3] == list(predictions)[1:3]
    assert predictions == list(predictions)
    assert predictions != predictor.predict(images(5, seed=1))
    assert repr(predictions) == "<Predictions for 5 images>"
    with pytest.raises(IndexError):
        predictions[5]


def test_probabilities_by_class_are_like_a_dict(predictor: Predictor) -> None:
    [prediction] = predictor.predict(images(1))
    probabilities = prediction.predictions["label"].probabilities
    by_class = dict(probabilities)
    assert probabilities == by_class
    assert list(probabilities) == list(LABEL.classes)
    assert str(probabilities) == str(by_class)
    assert json.dumps(prediction.to_dict()).count("Trouser") >= 1
    with pytest.raises(KeyError):
        probabilities["no class"]


def test_each_way_to_ask_gives_the_same_bits(predictor: Predictor) -> None:
    """Batches of 1 to 64, arrays and files, a stream, and outputs from the cache."""
    pixels = images(CHUNK + 1)
    expected = predictor.predict(pixels)
    assert [predictor.predict(image)[0].predictions for image in pixels] == [each.predictions for each in expected]
    assert list(predictor.predict_iter(list(pixels))) == expected
    assert predictor.predict(list(pixels)) == expected
    assert predictor.predict(pixels[:, :, :, 0]) == expected
    files = [file_of(image[:, :, 0]) for image in pixels]
    assert predictor.predict(files) == expected
    for size in (2, 3, 17, 64):
        parts = [predictor.predict(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        assert [each.predictions for part in parts for each in part] == [each.predictions for each in expected]


def file_of(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_labels_of_several_labels_an_image() -> None:
    predictor = Predictor(with_calibration(small_bundle(TAGS)))
    for each in predictor.predict(images(20)):
        predicted = each.predictions["tags"]
        thresholds = predictor.thresholds["tags"]
        labels = [n for (n, p), t in zip(predicted.probabilities.items(), thresholds, strict=True) if p >= t]
        assert list(predicted.labels or ()) == labels
        assert predicted.probability == max(predicted.probabilities.values())


def test_precision_is_chosen_as_on_the_command_line(predictor: Predictor) -> None:
    chosen = predictor.rules.choose()
    assert chosen.precision == predictor.predict(images(1)).precision
    assert [note.code for note in chosen.notes] == ["precision_chosen"]
    given = predictor.predict(images(200), precision=chosen.precision)
    assert predictor.predict(images(200)) == given
    assert given.precision == chosen.precision


def test_bad_options_are_refused(predictor: Predictor) -> None:
    for options, code in (({"precision": 1.0}, "precision_range"), ({"guarantee": "some"}, "guarantee_unknown")):
        with pytest.raises(DataError) as error:
            predictor.predict(images(1), **options)  # type: ignore[arg-type]
        assert error.value.code == code


def test_other_thresholds_have_rules_of_their_own() -> None:
    predictor = Predictor(with_calibration(small_bundle(Target("season", ("summer", "winter")))))
    before = predictor.rules.policies(0.9)
    changed = predictor.with_thresholds({"winter": 0.99})
    assert changed.rules.policies(0.9)["season"].label_thresholds == (0.99,)
    assert predictor.rules.policies(0.9) is before
    bright = np.full((SIDE, SIDE), 150, np.uint8)
    labels = [each.predict(bright)[0].predictions["season"].label for each in (predictor, changed)]
    assert labels == ["winter", "summer"]


def test_threads_can_share_predictions_and_rules() -> None:
    predictor, pixels = Predictor(full_bundle(), threads=2), images(40)
    precisions = (0.9, 0.95, 0.98, None)
    expected = [list(Predictor(full_bundle(), threads=2).predict(pixels, precision=p)) for p in precisions]
    found: list[bool] = []

    def ask(start: threading.Barrier, first: int) -> None:
        start.wait()
        for i in range(8):
            place = (first + i) % len(precisions)
            found.append(predictor.predict(pixels, precision=precisions[place]) == expected[place])

    start = threading.Barrier(4)
    threads = [threading.Thread(target=ask, args=(start, i)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 32


def test_a_stream_of_photos_takes_bounded_memory(tmp_path: Path) -> None:
    """2,000 photos of 300×300 in colour would take 540 MB decoded; the process may grow by less than 100 MB."""
    seal(small_bundle(channels=3), tmp_path / "m.muslin")
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    program = """
import muslin, sys
from pathlib import Path
model, path = muslin.open("m.muslin", threads=2), Path("a.jpg")
peak = lambda: next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
assert sum(p.error is None for p in model.predict_iter(path for _ in range(128))) == 128
before = peak()
assert sum(p.error is None for p in model.predict_iter(path for _ in range(2000))) == 2000
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert int(done.stdout) < 100_000
