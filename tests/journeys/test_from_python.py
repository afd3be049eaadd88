"""The same job from Python, with the names that `muslin` offers."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import FinishedRun
from muslin.data.dataset import pixel_array
from muslin.data.synthetic import SyntheticDataset


def test_from_files_to_predictions_in_four_lines(garments: Path, tmp_path: Path) -> None:
    run = muslin.train(garments, settings={"epochs": 6, "batch_size": 32}, out=tmp_path / "run")
    model = muslin.open(run.model)
    dataset = muslin.read(garments)
    predictions = model.predict([dataset.images[i] for i in range(20)])
    correct = [
        prediction.predictions["label"].label == dataset.target().classes[dataset.labels["label"][i]]
        for i, prediction in enumerate(predictions)
    ]
    assert sum(correct) >= 16, "most of these garments are in the training set"
    evaluation = muslin.evaluate(model, dataset).evaluations["label"]
    assert evaluation.n == 60, "the fifth that training held out"
    assert evaluation.accuracy > 0.8
    assert muslin.evaluate(model, dataset, muslin.EvaluateOptions(split="all")).evaluations["label"].n == 300
    assert isinstance(run, muslin.Run)
    assert isinstance(evaluation, muslin.Evaluation)


def test_paths_images_and_arrays_get_the_same_prediction(sliced_run: FinishedRun, tmp_path: Path) -> None:
    image = muslin.read("fashion-mnist").part("test").images[0]
    path = tmp_path / "boot.png"
    Image.fromarray(image[:, :, 0]).save(path)
    model = muslin.open(sliced_run.folder)
    forms = (path, str(path), path.read_bytes(), image, Image.open(path))
    predictions = [model.predict(one)[0].predictions["label"] for one in forms]
    assert all(prediction == predictions[0] for prediction in predictions)
    assert predictions[0].label == "Ankle boot"
    assert predictions[0].probability > 0.5
    assert sum(predictions[0].probabilities.values()) == pytest.approx(1, abs=1e-5)
    probabilities = model.predict_pixels(image[np.newaxis])["label"]
    assert probabilities.max() == np.float32(predictions[0].probability)


def test_a_product_photo_is_converted_like_fashion_mnist(
    sliced_run: FinishedRun, synthetic_colour: SyntheticDataset, tmp_path: Path
) -> None:
    photo = Image.fromarray(pixel_array(synthetic_colour.dataset)[0]).resize((400, 400))
    photo.save(tmp_path / "photo.jpg")
    [prediction] = muslin.open(sliced_run.folder).predict(tmp_path / "photo.jpg")
    assert prediction.error is None
    assert any("28" in note and "inverted" in note for note in prediction.notes), prediction.notes


def test_every_error_is_a_muslin_error(sliced_run: FinishedRun, garments: Path, tmp_path: Path) -> None:
    model = muslin.open(sliced_run.folder)
    (tmp_path / "x.muslin").write_bytes(b"no model")
    for wrong in (
        lambda: muslin.read(tmp_path / "nothing"),
        lambda: muslin.read("fashion-mnits"),
        lambda: muslin.open(tmp_path / "x.muslin"),
        lambda: muslin.open(tmp_path),
        lambda: muslin.train(garments, recipe="quik"),
        lambda: muslin.train(garments, out=garments),
        lambda: muslin.resume(tmp_path),
        lambda: muslin.evaluate(sliced_run.folder, garments),
        lambda: muslin.evaluate(model, muslin.read(garments)),
        lambda: model.predict(tmp_path / "empty"),
        lambda: model.predict_pixels(np.zeros((1, 5, 5, 1), np.uint8)),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(muslin.MuslinError):
            wrong()


def test_every_public_name_can_be_imported() -> None:
    assert sorted(dir(muslin)) == sorted(muslin.__all__)
    for name in muslin.__all__:
        assert getattr(muslin, name) is not None
    assert {"read", "train", "resume", "open", "evaluate", "MuslinError", "ImageClassifier"} <= set(muslin.__all__)
    assert muslin.__version__ == version("muslin")
    assert not hasattr(muslin, "nothing")
    with pytest.raises(ImportError):
        from muslin import nothing  # type: ignore[attr-defined]  # noqa: F401


def test_importing_muslin_imports_nothing_heavy() -> None:
    script = (
        "import sys; before = set(sys.modules); import muslin; muslin.__all__, dir(muslin);"
        "print(sorted({n.split('.')[0] for n in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    roots = set(eval(done.stdout))
    assert "muslin" in roots
    assert not roots & {"numpy", "torch", "onnx", "onnxruntime", "PIL", "sklearn", "scipy", "pyarrow", "click", "rich"}
