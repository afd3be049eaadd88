"""A linear probe's int8 graph has a head, calibration and golden images of its own, and says what it
costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import muslin
from muslin import machine
from muslin.data.synthetic import make_garments
from muslin.errors import BundleError, RecipeError
from muslin.models import predictor as predictor_module
from muslin.models.bundle import open_bundle, seal
from muslin.models.graph_runner import GOLDEN_TOLERANCES
from muslin.models.predictor import Predictor
from muslin.workflows import int8_graph
from muslin.workflows.evaluate import evaluate
from muslin.workflows.run_folder import Run
from muslin.workflows.tag import TagOptions, tag

pytestmark = pytest.mark.slow

SMALL = {"network": "efficientnet-lite0", "weights": "random", "image_size": 32, "epochs": 5, "int8": "on", "folds": 3}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    garments = make_garments(240, seed=2, size_px=40, colour=True).dataset
    (target,) = garments.targets
    for number, pixels in enumerate(garments.images):
        place = folder / target.classes[garments.labels[target.name][number]]
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    said: list[str] = []
    out = tmp_path_factory.mktemp("int8") / "run"
    run = muslin.train(photos, recipe="photo", out=out, settings=SMALL, log=said.append)
    return run, said


def test_the_second_graph_predicts_much_the_same(trained: tuple[Run, list[str]], photos: Path) -> None:
    run, _ = trained
    float32, int8 = (Predictor.open(run.model, graph=graph) for graph in ("float32", "int8"))
    assert (float32.graph, int8.graph) == ("float32", "int8")
    assert float32.bundle.model != int8.bundle.model
    files = sorted(photos.rglob("*.png"))[:40]
    labels = [[p.predictions["label"].label for p in each.predict(files)] for each in (float32, int8)]
    assert np.mean(np.array(labels[0]) == np.array(labels[1])) > 0.6


def test_calibration_and_ood_detector_are_drawn_from_the_graph(trained: tuple[Run, list[str]]) -> None:
    bundle = open_bundle(trained[0].model)
    assert bundle.int8 is not None
    own, other = bundle.calibration_data["label"], bundle.int8.calibration_data["label"]
    assert len(own) == len(other)
    assert not np.array_equal(own.confidence, other.confidence)
    assert bundle.ood_detector
    assert bundle.int8.ood_detector
    predictor = Predictor(bundle, graph="int8")
    _, features = predictor.infer_raw(bundle.golden_pixels)
    of_float, of_int8 = (each.ood_score(features) for each in (bundle.ood_detector, bundle.int8.ood_detector))
    assert not np.array_equal(of_float, of_int8)
    assert predictor.bundle.ood_detector is bundle.int8.ood_detector


def test_training_says_what_8_bits_cost_in_accuracy(trained: tuple[Run, list[str]], photos: Path) -> None:
    run, said = trained
    (cost,) = [message for message in said if getattr(message, "code", "") == "int8_accuracy"]
    found = run.record["int8"]["targets"]["label"]
    assert found["n"] == cost.params["n"] == 240 - run.record["data"].get("n_unlabelled", 0)
    assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    assert cost.params["difference"] == 100 * found["difference"]
    assert open_bundle(run.model).provenance["int8"] == run.record["int8"]


def test_samples_that_were_chosen_do_not_measure_the_cost(photos: Path, tmp_path: Path) -> None:
    data = muslin.read(photos)
    data = replace(data, drawn_at_random=np.arange(len(data)) % 4 > 0)
    run = muslin.train(data, recipe="photo", out=tmp_path / "run", settings=SMALL)
    counts = run.record["data"]["drawn_at_random"]
    assert run.record["int8"]["targets"]["label"]["n"] == sum(counts.values()) == 180
    assert open_bundle(run.model).int8 is not None


def test_the_8_bits_of_a_convolution_span_its_activation(trained: tuple[Run, list[str]]) -> None:
    bundle = open_bundle(trained[0].model)
    assert bundle.int8 is not None
    float32, int8 = ([node.op_type for node in onnx.ModelProto.FromString(model).graph.node]
                     for model in (bundle.model, bundle.int8.model))  # fmt: skip
    assert "Clip" in float32
    assert "Clip" not in int8  # else a convolution's sums are rounded before ReLU6, in much larger steps
    assert float32.count("Conv") == int8.count("Conv")


@pytest.mark.parametrize(("allowed", "is_kept"), [(1.0, True), (-1.0, False)])
def test_auto_leaves_out_a_graph_that_may_lose_too_much(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: float, is_kept: bool
) -> None:
    monkeypatch.setattr(machine, "has_int8_products", lambda: True)
    monkeypatch.setattr(int8_graph, "MIN_SPEEDUP", 0.0)
    monkeypatch.setattr(int8_graph, "MAX_COST", allowed)
    said: list[str] = []
    settings = SMALL | {"int8": "auto"}
    run = muslin.train(photos, recipe="photo", out=tmp_path / "run", settings=settings, log=said.append)
    codes = [getattr(message, "code", "") for message in said]
    assert "int8_accuracy" in codes
    assert ("int8_costly" in codes) != is_kept
    assert ("int8" in run.record) == is_kept
    assert (open_bundle(run.model).int8 is not None) == is_kept


def test_a_bundle_with_two_graphs_is_sealed_and_read_alike(trained: tuple[Run, list[str]], tmp_path: Path) -> None:
    bundle = open_bundle(trained[0].model)
    seal(bundle, tmp_path / "again.muslin")
    assert open_bundle(tmp_path / "again.muslin") == bundle
    assert (tmp_path / "again.muslin").read_bytes() == Path(trained[0].model).read_bytes()


def test_the_default_graph_is_the_one_that_is_right_here(trained, monkeypatch) -> None:
    model = trained[0].model
    monkeypatch.setattr(predictor_module, "has_int8_products", lambda: True)
    assert Predictor.open(model).graph == "int8"
    assert Predictor.open(model).graph_note.code == "graph_int8"
    monkeypatch.setitem(GOLDEN_TOLERANCES, "int8", -1.0)  # as on a processor where sums overflow
    assert Predictor.open(model).graph == "float32"
    assert Predictor.open(model).graph_note.code == "graph_mismatch"
    with pytest.raises(BundleError) as error:
        Predictor.open(model, graph="int8")
    assert error.value.code == "golden_mismatch"
    monkeypatch.setattr(predictor_module, "has_int8_products", lambda: False)
    assert Predictor.open(model).graph == "float32"


def test_outputs_of_one_graph_are_not_taken_for_the_others(trained, photos: Path) -> None:
    model, files = trained[0].model, sorted(photos.rglob("*.png"))[:6]
    plain = [Predictor.open(model, graph=graph).predict(files) for graph in ("float32", "int8")]
    for _ in range(2):
        cached = [Predictor.open(model, graph=graph).with_cache().predict(files) for graph in ("float32", "int8")]
        assert cached == plain
    assert plain[0] != plain[1]


def test_each_graph_is_evaluated_and_tags(trained, photos: Path, tmp_path: Path) -> None:
    model = trained[0].model
    results = [
        evaluate(Predictor.open(model, graph=graph), photos).evaluations["label"] for graph in ("float32", "int8")
    ]
    assert results[0].n == results[1].n
    for graph in ("float32", "int8"):
        tag(model, photos, tmp_path / f"{graph}.csv", TagOptions(graph=graph))
    assert (tmp_path / "float32.csv").read_bytes() != (tmp_path / "int8.csv").read_bytes()


def test_a_model_without_a_second_graph_says_so(tmp_path: Path) -> None:
    from small_models import small_bundle

    seal(small_bundle(), tmp_path / "small.muslin")
    assert Predictor.open(tmp_path / "small.muslin").graph_note is None
    with pytest.raises(BundleError) as error:
        Predictor.open(tmp_path / "small.muslin", graph="int8")
    assert (error.value.code, error.value.params["name"]) == ("graph_missing", "int8")


def test_int8_is_refused_where_it_is_not_read() -> None:
    from muslin.learn.recipes import recipe

    for name, changes in (("quick", {}), ("photo-tuned", {}), ("photo", {"tta_flip": True})):
        with pytest.raises(RecipeError):
            recipe(name, int8="on", **changes)


def test_a_processor_is_known_by_its_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (
        ("flags\t\t: fpu avx2 avx512_vnni\n", True),
        ("flags\t\t: fpu avx2 avx512bw\n", False),
        ("Features\t: fp asimd asimddp\n", True),
        ("", False),
    ):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
        assert machine.has_int8_products() == expected
