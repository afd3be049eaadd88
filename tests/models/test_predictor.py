"""A predictor predicts like the sealed network, for any image, and gives coded errors."""

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

import muslin
from muslin.data.dataset import Target
from muslin.errors import BundleError, DataError, RecipeError
from muslin.machine import physical_cores
from muslin.messages import Message, plain
from muslin.models.bundle import Bundle, seal
from muslin.models.graph_runner import GOLDEN_TOLERANCE
from muslin.models.predictor import Predictor
from small_models import LABEL, SIDE, brightness_model, expected_probabilities, small_bundle, with_model

SEASON = Target("season", ("summer", "winter"))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_bundle(), threads=1)


def gray(value: int, side: int = SIDE) -> NDArray[np.uint8]:
    return np.full((side, side), value, np.uint8)


def file_of(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


# --- whole data sets


def test_probabilities_of_10000_images_are_correct(predictor: Predictor) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (10_000, SIDE, SIDE, 1), np.uint8)
    probabilities = predictor.predict_pixels(pixels)
    assert list(probabilities) == ["label"]
    assert probabilities["label"].dtype == np.float32
    np.testing.assert_allclose(probabilities["label"], expected_probabilities(LABEL, pixels), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100, None])
def test_the_batch_size_changes_no_prediction(batch_size: int | None, predictor: Predictor) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (7, SIDE, SIDE, 1), np.uint8)
    probabilities = predictor.predict_pixels(pixels, batch_size)["label"]
    np.testing.assert_allclose(probabilities, expected_probabilities(LABEL, pixels), atol=1e-6)


def test_each_target_gets_its_own_prediction() -> None:
    predictor = Predictor(small_bundle(LABEL, SEASON, channels=3))
    pixels = np.random.default_rng(3).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    probabilities = predictor.predict_pixels(pixels)
    assert [target.name for target in predictor.targets] == list(probabilities) == ["label", "season"]
    for target in (LABEL, SEASON):
        np.testing.assert_allclose(probabilities[target.name], expected_probabilities(target, pixels), atol=1e-6)


def test_no_images_give_no_predictions(predictor: Predictor) -> None:
    assert predictor.predict_pixels(np.empty((0, SIDE, SIDE, 1), np.uint8))["label"].shape == (0, 3)
    assert predictor.predict([]) == []


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, SIDE, SIDE), np.uint8),
        np.zeros((2, SIDE, SIDE, 3), np.uint8),
        np.zeros((2, SIDE, SIDE + 1, 1), np.uint8),
        np.zeros((2, SIDE, SIDE, 1), np.float32),
        np.zeros((2, SIDE, SIDE, 1), np.int64),
        [],
        "shirt.png",
    ],
    ids=str,
)
def test_pixels_of_another_type_or_shape_are_refused(pixels: Any, predictor: Predictor) -> None:
    with pytest.raises(DataError) as error:
        predictor.predict_pixels(pixels)
    assert (error.value.code, error.value.params["expected"]) == ("pixels_shape", "uint8 (n, 8, 8, 1)")


# --- images


def test_a_prediction_is_one_line_of_json(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "shirt.png"
    path.write_bytes(file_of(gray(255)))
    (prediction,) = predictor.predict(str(path))
    predicted = prediction.predictions["label"]
    assert (predicted.label, predicted.runner_up) == ("Bag", "Shirt")
    assert predicted.probability == pytest.approx(1 / (1 + np.exp(-5) + np.exp(-10)), abs=1e-6)
    assert predicted.runner_up_probability == pytest.approx(predicted.probability * np.exp(-5), abs=1e-6)
    line = json.loads(json.dumps(prediction.to_dict()))
    assert line == {
        "image": str(path),
        "predictions": {
            "label": {
                "label": "Bag",
                "probability": predicted.probability,
                "runner_up": "Shirt",
                "runner_up_probability": predicted.runner_up_probability,
                "probabilities": dict(predicted.probabilities),
                "decision": "review",  # this model has no calibration data
                "prediction_set": ["Bag", "Shirt", "Trouser"],
            }
        },
        "notes": [],
        "error": None,
    }
    assert list(line["predictions"]["label"]["probabilities"]) == ["Trouser", "Shirt", "Bag"]
    assert len(str(predicted.probability)) <= 10  # 0.9932617, and not 0.9932616949081421


def test_paths_bytes_arrays_and_pil_images_predict_the_same(predictor: Predictor, tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE), np.uint8)
    content = file_of(pixels)
    path = tmp_path / "a.png"
    path.write_bytes(content)
    forms = [str(path), path, content, pixels, pixels[:, :, None], Image.fromarray(pixels), Image.open(path)]
    together = predictor.predict(forms)
    alone = [predictor.predict(form)[0] for form in forms]
    names = [str(path), str(path), *(f"images[{place}]" for place in range(2, 7))]
    assert [prediction.image for prediction in together] == names
    assert len({str(prediction.predictions) for prediction in [*together, *alone]}) == 1
    assert not any(prediction.error for prediction in together)


def test_arrays_hold_one_image_or_several(predictor: Predictor) -> None:
    assert len(predictor.predict(np.zeros((5, SIDE, SIDE), np.uint8))) == 5
    assert len(predictor.predict(np.zeros((5, SIDE, SIDE, 1), np.uint8))) == 5
    assert len(predictor.predict(np.zeros((SIDE, SIDE, 3), np.uint8))) == 1
    assert len(predictor.predict(np.zeros((SIDE, SIDE), np.uint8))) == 1


def test_pil_images_predict_like_their_files(tmp_path: Path) -> None:
    predictor = Predictor(small_bundle(channels=3))
    see_through = np.zeros((SIDE, SIDE, 4), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    left_bright = np.zeros((SIDE, SIDE, 3), np.uint8)
    left_bright[:, :4] = 255
    images = {
        "a.png": file_of(see_through),
        "b.png": file_of(np.full((SIDE, SIDE), 30_000, np.uint16)),
        "c.jpg": file_of(left_bright, "JPEG", exif=turned, quality=95),
        "d.gif": file_of(gray(90), "GIF"),
    }
    for name, content in images.items():
        (tmp_path / name).write_bytes(content)
    cmyk = Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0))
    cmyk.save(tmp_path / "e.tif")
    paths = sorted(tmp_path.iterdir())
    from_files = predictor.predict(paths)
    with contextlib.ExitStack() as still_open:
        from_images = predictor.predict([still_open.enter_context(Image.open(path)) for path in paths])
    assert from_files[0].predictions["label"].label == "Bag"  # transparency on white is bright
    assert any("EXIF orientation 6" in note for note in from_images[2].notes)
    for file, image in zip(from_files, from_images, strict=True):
        assert file.error is None
        assert image.error is None
        assert file.predictions == image.predictions


def test_a_photo_is_resized_with_a_note(predictor: Predictor) -> None:
    (prediction,) = predictor.predict(np.full((200, 100, 3), 255, np.uint8))
    assert prediction.predictions["label"].label == "Bag"
    assert any("100×200" in note for note in prediction.notes)


def test_unreadable_images_are_errors_and_others_are_predicted(predictor: Predictor, tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    good.write_bytes(file_of(gray(255)))
    whole = file_of(np.random.default_rng(5).integers(0, 256, (99, 99), np.uint8), "JPEG")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole[: len(whole) // 2])
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    cut_image = Image.open(cut)
    given = [
        good,
        cut,
        empty,
        tmp_path / "nowhere.png",
        "a\0b.png",
        "x" * 5000,
        b"<html>no</html>",
        None,
        7,
        np.zeros((SIDE, SIDE), np.float64),
        np.zeros(5, np.uint8),
        np.zeros((SIDE, SIDE, 4), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
        cut_image,
        good,
    ]
    predictions = predictor.predict(given)
    cut_image.close()
    assert len(predictions) == len(given)
    assert [p.image for p in predictions[:4]] == [str(p) for p in given[:4]]
    assert [p.error is None for p in predictions] == [True, *[False] * 13, True]
    assert predictions[0].predictions == predictions[-1].predictions != {}
    for prediction in predictions[1:-1]:
        assert prediction.predictions == {}
        assert prediction.error
        assert "\n" not in prediction.error
        assert prediction.to_dict()["error"] == plain(prediction.error)
    assert str(cut) in str(predictions[1].error)
    error = predictions[7].error
    assert isinstance(error, Message)
    assert (error.code, error.params) == ("image_type", {"path": "images[7]", "found": "NoneType"})


def test_a_folder_is_its_images_in_order(predictor: Predictor, tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "c/d.jpg", ".hidden.png", ".git/e.png", "Thumbs.db", "notes.txt", "labels.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(file_of(gray(200), "JPEG" if name.endswith("jpg") else "PNG"))
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "folder.png").mkdir()
    predictions = predictor.predict(tmp_path)
    assert [Path(p.image).relative_to(tmp_path).as_posix() for p in predictions] == [
        "a.PNG",
        "b.png",
        "c/d.jpg",
        "logo.svg",
    ]
    assert [p.error is None for p in predictions] == [True, True, True, False]
    assert len(predictor.predict([tmp_path / "b.png", str(tmp_path)])) == 5


def test_links_that_leave_a_folder_are_named_and_not_followed(predictor: Predictor, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for place in (folder / "a", elsewhere):
        place.mkdir(parents=True)
        (place / "1.png").write_bytes(file_of(gray(200), "PNG"))
    (folder / "linked.png").symlink_to(elsewhere / "1.png")
    (folder / "linked folder").symlink_to(elsewhere)
    (folder / "inside.png").symlink_to(folder / "a/1.png")
    (folder / "inside folder").symlink_to(folder / "a")
    found = {Path(each.image).relative_to(folder).as_posix(): each.error for each in predictor.predict(folder)}
    codes = {name: error and error.code for name, error in found.items()}
    refused = {"linked.png": "photo_outside", "linked folder": "photo_outside"}
    assert codes == {"a/1.png": None, "inside.png": None} | refused
    allowed = predictor.predict(folder, allow_outside=True)
    assert [each.error for each in allowed] == [None] * 4


def test_a_folder_without_images_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError) as error:
        predictor.predict(tmp_path)
    assert (error.value.code, error.value.params["path"]) == ("folder_without_images", str(tmp_path))


def test_an_endless_iterator_is_predicted_lazily(predictor: Predictor) -> None:
    taken = 0

    def images() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        while True:
            taken += 1
            yield gray(taken % 256)

    predictions = predictor.predict_iter(images())
    for number in range(300):
        assert next(predictions).image == f"images[{number}]"
        assert taken <= number + 100


def test_a_target_of_one_class_has_no_runner_up() -> None:
    predictor = Predictor(small_bundle(Target("label", ("Bag",))))
    predicted = predictor.predict(gray(3))[0].predictions["label"]
    assert (predicted.label, predicted.probability, predicted.runner_up, predicted.runner_up_probability) == (
        "Bag",
        1,
        None,
        None,
    )


def test_threads_can_share_a_predictor(predictor: Predictor) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (500, SIDE, SIDE, 1), np.uint8)
    expected = predictor.predict_pixels(pixels)["label"]
    wrong = []

    def ask() -> None:
        for _ in range(10):
            if not np.array_equal(predictor.predict_pixels(pixels)["label"], expected):
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- opening


def test_a_file_and_its_runs_folder_open_the_same(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "model.muslin")
    from_file = muslin.open(tmp_path / "model.muslin")
    from_folder = muslin.open(str(tmp_path))
    image = gray(77)
    assert from_file.predict(image) == from_folder.predict(image)
    assert from_file.bundle == from_folder.bundle


def test_a_folder_or_file_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.muslin").write_bytes(file_of(gray(1)))
    for path, code, named in (
        (tmp_path, "bundle_missing", tmp_path / "model.muslin"),
        (tmp_path / "nowhere.muslin", "bundle_missing", tmp_path / "nowhere.muslin"),
        (tmp_path / "no.muslin", "bundle_not_zip", tmp_path / "no.muslin"),
    ):
        with pytest.raises(BundleError) as error:
            Predictor.open(path)
        assert (error.value.code, error.value.params["path"]) == (code, str(named))
    assert error.value.status == 422
    with pytest.raises(BundleError) as error:
        Predictor.open(tmp_path, name="shown")
    assert (error.value.status, error.value.params["path"]) == (404, "shown")


def test_threads_default_to_the_physical_cores() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)
    assert Predictor(small_bundle()).threads == physical_cores()
    assert Predictor(small_bundle(), threads=1).threads == 1
    for threads in (0, -2):
        with pytest.raises(RecipeError) as error:
            Predictor(small_bundle(), threads=threads)
        assert (error.value.code, error.value.params["found"]) == ("threads_range", threads)


# --- golden images


def changed(model: onnx.ModelProto, name: str, value: NDArray[Any]) -> onnx.ModelProto:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(value), name))
    return model


def refusal(bundle: Bundle) -> BundleError:
    with pytest.raises(BundleError) as error:
        Predictor(bundle)
    assert error.value.params["path"] == "bundle"
    return error.value


def test_a_graph_that_scales_differently_fails_on_golden_images() -> None:
    for scale in (1.0, 1 / 128, 0.9 / 255):
        error = refusal(with_model(small_bundle(), changed(brightness_model(), "scale", np.float32(scale))))
        assert error.code == "golden_mismatch"
        assert abs(error.params["found"] - error.params["expected"]) > GOLDEN_TOLERANCE
        assert error.params["class_name"] in LABEL.classes


def test_a_graph_with_reordered_classes_fails_on_golden_images() -> None:
    model = changed(brightness_model(), "label.weight", np.array([[0, 10, 5]], np.float32))
    assert refusal(with_model(small_bundle(), model)).code == "golden_mismatch"


def test_a_graph_that_gives_nan_is_refused() -> None:
    error = refusal(with_model(small_bundle(), changed(brightness_model(), "scale", np.float32("nan"))))
    assert error.code == "prediction_range"
    assert error.params["name"] == "label"


def test_rounding_of_another_processor_is_accepted() -> None:
    bundle = small_bundle()
    nudged = bundle.golden_probabilities["label"] + np.float32(GOLDEN_TOLERANCE / 10)
    Predictor(replace(bundle, golden_probabilities={"label": np.minimum(nudged, 1)}))


# --- graphs that do not fit


def misspelt() -> bytes:
    """A graph with a name that is no UTF-8, on which ONNX Runtime used to print."""
    return brightness_model().SerializeToString().replace(b"pixels", b"pix\xffls")


def test_a_graph_that_does_not_run_is_refused_silently(capfd: pytest.CaptureFixture[str]) -> None:
    broken = brightness_model()
    broken.graph.node[2].op_type = "Nonsense"
    loose = brightness_model()
    loose.graph.node[1].input[0] = "nowhere"
    later = brightness_model()
    later.opset_import[0].version = 9999
    codes = {
        "graph_operator",
        "graph_size_unknown",
        "graph_sizes",
        "graph_input",
        "graph_not_runnable",
        "graph_name_unsafe",
    }
    for model in (broken, loose, later, onnx.ModelProto(ir_version=10), misspelt()):
        content = model if isinstance(model, bytes) else model.SerializeToString()
        with pytest.raises(BundleError) as error:
            Predictor(replace(small_bundle(), model=content))
        assert error.value.code in codes
        assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for entry in (*model.graph.input, *model.graph.output):
        entry.name = new if entry.name == old else entry.name
    return model


def fixed_batch() -> onnx.ModelProto:
    model = brightness_model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    return model


def other_input(kind: int) -> onnx.ModelProto:
    model = brightness_model()
    model.graph.input[0].type.tensor_type.elem_type = kind
    return model


def any_shape() -> onnx.ModelProto:
    model = brightness_model()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def second_input() -> onnx.ModelProto:
    model = brightness_model()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    return model


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (renamed(brightness_model(), "pixels", "input_1"), "graph_input"),
        (renamed(brightness_model(), "label", "output_1"), "graph_output"),
        (brightness_model(side=9), "graph_input"),
        (brightness_model(channels=3), "graph_input"),
        (fixed_batch(), "graph_input"),
        (other_input(TensorProto.FLOAT), "graph_input"),
        (second_input(), "graph_input"),
        (any_shape(), "graph_input"),
        (brightness_model(Target("label", ("a", "b"))), "tensor_shape"),
    ],
)
def test_a_graph_for_other_images_or_targets_is_refused(model: onnx.ModelProto, code: str) -> None:
    with pytest.raises(BundleError) as error:
        Predictor(with_model(small_bundle(), model))
    assert error.value.code == code


def test_a_transform_of_a_later_muslin_is_refused() -> None:
    bundle = small_bundle()
    error = refusal(replace(bundle, preprocessing=replace(bundle.preprocessing, transform="cut-out")))
    assert (error.code, error.params["name"]) == ("bundle_transform", "cut-out")


# --- lightness


def test_prediction_imports_nothing_that_trains_or_draws(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "m.muslin")
    (tmp_path / "a.png").write_bytes(file_of(gray(9)))
    program = (
        "import sys, muslin; print(muslin.open('m.muslin').predict('a.png')[0].predictions['label'].label);"
        "heavy = {'torch', 'sklearn', 'scipy', 'pyarrow', 'rich', 'pandas', 'click', 'jinja2'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("Bag\n[]\n", "", 0)


def test_predicting_leaves_no_telemetry_files(tmp_path: Path) -> None:
    """ONNX Runtime 1.32 writes a device id and a database of events into the user's cache unless told not to."""
    seal(small_bundle(), tmp_path / "m.muslin")
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    code = f"import muslin; muslin.open({str(tmp_path / 'm.muslin')!r})"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert not [path.name for path in home.rglob("*") if path.name in ("deviceid", "onnxruntime.db")]
