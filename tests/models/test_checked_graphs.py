"""A graph that passed its checks is opened without them; anything else is checked."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from muslin.errors import BundleError
from muslin.models import checked_graphs
from muslin.models.bundle import seal
from muslin.models.checked_graphs import graph_cost, with_ood_score
from muslin.models.graph_outputs import OOD_SCORE
from muslin.models.predictor import Predictor
from muslin.storage.remembered import remembered_folder
from small_models import SIDE, small_bundle, with_ood_detector

SHAPE = (SIDE, SIDE, 1)
MODULES = "import sys\nfrom muslin.cli import _run_command\n_run_command(sys.argv[1:])\nprint('onnx' in sys.modules)"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return remembered_folder()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The graphs that are checked from now on."""
    checked: list[bytes] = []
    check_graph = checked_graphs.check_graph
    monkeypatch.setattr(checked_graphs, "check_graph", lambda model: checked.append(model) or check_graph(model))
    return checked


def test_a_graph_is_checked_once(checks):
    model = small_bundle().model
    assert graph_cost(model, SHAPE, 3) == graph_cost(model, SHAPE, 3)
    assert checks == [model]


def test_anything_else_is_checked_again(checks, monkeypatch):
    model = small_bundle().model
    graph_cost(model, SHAPE, 3)
    changed = onnx.load_from_string(model)
    changed.producer_name = "other"
    graph_cost(changed.SerializeToString(), SHAPE, 3)
    graph_cost(model, SHAPE, 4)
    monkeypatch.setattr(checked_graphs, "_code", lambda: b"of other checks")
    graph_cost(model, SHAPE, 3)
    assert len(checks) == 4


def test_a_refused_graph_is_refused_again(checks, folder):
    for _ in range(2):
        with pytest.raises(BundleError):
            graph_cost(small_bundle().model[:-5], SHAPE, 3)
    assert len(checks) == 2
    assert not folder.exists()


def test_a_damaged_result_is_checked_again(checks, folder):
    model = small_bundle().model
    cost = graph_cost(model, SHAPE, 3)
    (entry,) = folder.iterdir()
    entry.write_bytes(entry.read_bytes().replace(b"values", b"valves"))
    assert graph_cost(model, SHAPE, 3) == cost
    assert len(checks) == 2


def test_the_addition_makes_one_valid_graph():
    bundle = with_ood_detector(small_bundle(), 0.49, 0.5)
    assert bundle.ood_detector
    before = onnx.load_from_string(bundle.model)
    after = onnx.load_from_string(with_ood_score(bundle.model, bundle.ood_detector, bundle.targets))
    onnx.checker.check_model(after)
    assert [*after.graph.node][: len(before.graph.node)] == [*before.graph.node]
    assert [entry.name for entry in after.graph.output][-1] == OOD_SCORE
    assert after.opset_import == before.opset_import


def test_a_second_predict_imports_no_onnx(tmp_path):
    model, photo = tmp_path / "model.muslin", tmp_path / "photo.png"
    seal(with_ood_detector(small_bundle(), 0.49, 0.5), model)
    for path in remembered_folder().glob("*"):
        path.unlink()
    Image.fromarray(np.full((SIDE, SIDE), 90, np.uint8)).save(photo)
    words = [sys.executable, "-c", MODULES, "predict", str(model), str(photo)]
    first, second = (subprocess.run(words, check=True, capture_output=True, text=True).stdout for _ in range(2))
    assert (first.split()[-1], second.split()[-1]) == ("True", "False")
    assert first.split()[:-1] == second.split()[:-1]
    assert Predictor.open(model).predict(photo) == Predictor.open(model).predict(photo)
