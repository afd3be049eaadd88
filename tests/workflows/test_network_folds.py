"""Cross-fitting of trained networks: `--folds`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import muslin
from muslin.data.synthetic import SyntheticDataset
from muslin.errors import StoppedError
from muslin.learn.training_loop import Progress
from muslin.models.bundle import Bundle, open_bundle
from muslin.workflows.run_folder import Run
from refusals import refuses

FOLDED = {"epochs": 2, "batch_size": 40, "max_steps": 6, "folds": 2}
N_FITTED, MAIN_STEPS, FOLD_STEPS = 160, 6, 4


@pytest.fixture(scope="module")
def reports() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def run(synthetic: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory, reports: list[Progress]) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    options = {"recipe": "quick", "settings": FOLDED}
    return muslin.train(synthetic.dataset, out=folder, on_progress=reports.append, **options)


def stopping_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps - 1))
    return lambda: next(left, None) is None


def bundle_of(run: Run) -> Bundle:
    return open_bundle(run.model)


def test_all_images_but_the_test_set_calibrate_and_train(run: Run, synthetic: SyntheticDataset) -> None:
    bundle = bundle_of(run)
    assert len(bundle.calibration_data["label"]) == N_FITTED
    assert bundle.ood_detector is not None
    assert len(bundle.ood_detector.calibration_scores) == N_FITTED
    assert run.record["images_seen"] == N_FITTED + 2 * 40, "the sealed network was trained on all of them"
    assert not list(run.folder.glob("checkpoint-fold-*"))


def test_validation_metrics_of_folds_are_out_of_fold(run: Run) -> None:
    metrics, data = run.record["validation"]["label"], bundle_of(run).calibration_data["label"]
    assert (metrics["n"], metrics["out_of_fold"]) == (N_FITTED, True)
    assert metrics["accuracy"] == data.correct.mean()
    for row in run.history:
        assert row["validation_images"] == N_FITTED
        assert row["out_of_fold"]
    assert run.history[-1]["validation_accuracy"] == pytest.approx(metrics["accuracy"])


def test_time_left_counts_the_trainings_of_folds(run: Run, reports: list[Progress]) -> None:
    assert len(reports) == MAIN_STEPS + 2 * FOLD_STEPS
    assert [report.share for report in reports[:MAIN_STEPS]] == [(step + 1) / MAIN_STEPS for step in range(MAIN_STEPS)]
    before_last, last = reports[MAIN_STEPS - 2 : MAIN_STEPS]
    # t for the last step, and 2 · MAIN_STEPS · t for the two folds to come
    assert last.left_s == pytest.approx(before_last.left_s * 2 * MAIN_STEPS / (1 + 2 * MAIN_STEPS))
    assert reports[-1].left_s == 0


@pytest.mark.parametrize("steps", [3, MAIN_STEPS + 2, MAIN_STEPS + FOLD_STEPS + 1])
def test_resume_continues_within_and_between_folds(
    run: Run, synthetic: SyntheticDataset, tmp_path: Path, steps: int
) -> None:
    options: dict[str, Any] = {"recipe": "quick", "settings": FOLDED, "out": tmp_path / "half"}
    with pytest.raises(StoppedError):
        muslin.train(synthetic.dataset, should_stop=stopping_after(steps), **options)
    resumed, whole = bundle_of(muslin.resume(tmp_path / "half", synthetic.dataset)), bundle_of(run)
    assert resumed.weights == whole.weights
    for name in ("confidence", "predicted", "correct", "temperature"):
        one, other = (getattr(each.calibration_data["label"], name) for each in (resumed, whole))
        assert np.array_equal(one, other), name
    assert resumed.ood_detector == whole.ood_detector
    assert not list((tmp_path / "half").glob("checkpoint-fold-*"))


def test_folds_of_one_group_are_refused_before_training(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    dataset = synthetic.dataset
    parts = np.where(np.arange(len(dataset)) < 150, "train", "test").astype(object)
    groups = np.where(parts == "train", "one", "other").astype(object)
    grouped = replace(dataset, parts=parts, groups=groups)
    settings = {**FOLDED, "validation_fraction": 0}
    with refuses("one_group"):
        muslin.train(grouped, recipe="quick", settings=settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
