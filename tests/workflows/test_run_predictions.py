"""The predictions of a run for its own images: the numbers of its report, kept in the cache, image by image."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import muslin
from command_line import FinishedRun
from muslin.data.convert import write_csv
from muslin.data.dataset import UNKNOWN, Target
from muslin.data.synthetic import SyntheticDataset
from muslin.workflows.run_folder import Run
from muslin.workflows.run_predictions import RunPredictions, known_predictions, parts_of_run, run_predictions
from refusals import refuses

SMALL = {"epochs": 1, "batch_size": 40}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def corrected(synthetic: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str, str]:
    """A run on a table without parts, with one corrected label and one excluded image; the names of both images."""
    here = tmp_path_factory.mktemp("corrected")
    [table] = write_csv(replace(synthetic.dataset, name="garments"), here)
    dataset = muslin.read(table)
    changed, without = str(dataset.ids[7]), str(dataset.ids[3])
    (here / "corrections.csv").write_text(f"id,label\n{changed},{dataset.targets[0].classes[-1]}\n")
    (here / "excluded.csv").write_text(f"id\n{without}\n")
    files = {"corrections": here / "corrections.csv", "exclude": here / "excluded.csv"}
    return muslin.train(table, settings=SMALL, recipe="quick", out=here / "run", **files), changed, without


def test_predictions_of_a_run_are_those_of_its_report(sliced_run: FinishedRun) -> None:
    run = Run(sliced_run.folder)
    shares: list[float] = []
    found = run_predictions(run, on_progress=shares.append)
    assert shares == [500 / 600, 1]
    target = found.target()
    correct = found.predicted[target.name] == found.labels[target.name]
    assert correct.mean() == run.record["test"]["label"]["accuracy"]
    assert found.indices.tolist() == list(range(2400, 3000))
    assert found.ids[0] == "test/0"
    assert found.confidence(target) == pytest.approx(found.probabilities["label"].max(axis=1))
    assert found.vectors is not None
    assert np.linalg.norm(found.vectors.astype(np.float32), axis=1) == pytest.approx(1, abs=1e-2)


def test_parts_of_a_run_are_those_it_was_trained_with(sliced_run: FinishedRun) -> None:
    run = Run(sliced_run.folder)
    parts = parts_of_run(run.record)
    found = {part: run_predictions(run, part) for part in parts}
    assert {part: len(each) for part, each in found.items()} == run.record["data"]["split_sizes"]
    indices = np.concatenate([each.indices for each in found.values()])
    assert len(np.unique(indices)) == 3000


def test_cached_predictions_need_no_data(sliced_run: FinishedRun, tmp_path: Path) -> None:
    run = Run(tmp_path / "copy")
    shutil.copytree(sliced_run.folder, run.folder)
    assert known_predictions(run) is None
    computed, known = run_predictions(run), known_predictions(run)
    assert known is not None
    assert (known.ids == computed.ids).all()
    assert known.targets == computed.targets
    for name in ("labels", "probabilities", "predicted", "decisions"):
        assert (getattr(known, name)["label"] == getattr(computed, name)["label"]).all()
    (run.folder / "model.muslin").write_bytes(b"another model")
    assert known_predictions(run) is None


def test_labels_are_the_corrected_ones_without_excluded(corrected: tuple[Run, str, str]) -> None:
    run, changed, without = corrected
    found = [run_predictions(run, part) for part in ("test", "validation", "train")]
    labels = {id_: each.labels["label"][i] for each in found for i, id_ in enumerate(each.ids)}
    places = {id_: each.indices[i] for each in found for i, id_ in enumerate(each.ids)}
    assert labels[changed] == len(found[0].target().classes) - 1
    assert places[changed] == 7
    assert without not in labels


def test_unfinished_and_unknown_runs_are_refused(corrected: tuple[Run, str, str], tmp_path: Path) -> None:
    run = Run(tmp_path / "copy")
    shutil.copytree(corrected[0].folder, run.folder)
    with refuses("part_name"):
        run_predictions(run, "tests")
    (run.folder / "model.muslin").unlink()
    with refuses("bundle_missing"):
        run_predictions(run)
    with refuses("run_missing"):
        run_predictions(Run(tmp_path / "nowhere"))


def test_loss_is_the_cross_entropy_of_known_labels() -> None:
    one, several = Target("kind", ("a", "b")), Target("tags", ("x", "y"), "multilabel")
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5], [1, 0]], np.float32)
    labels = {"kind": np.array([1, UNKNOWN, 1]), "tags": np.array([[1, 0], [1, UNKNOWN], [UNKNOWN, UNKNOWN]], np.int8)}
    both = {"kind": probabilities, "tags": probabilities}
    found = RunPredictions(
        "test", (one, several), np.array(list("012"), object), np.arange(3), None, labels, both, labels, {}, None
    )
    assert found.loss(one) == pytest.approx([np.log(4), np.nan, -np.log(1e-12)], nan_ok=True)
    assert found.loss(several) == pytest.approx([np.log(4 / 3), np.log(2), np.nan], nan_ok=True)
