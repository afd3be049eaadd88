"""A training on samples that were partly chosen: calibration and metrics rest on the random ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import muslin
from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.synthetic import SyntheticDataset
from muslin.errors import DataError
from muslin.models.bundle import open_bundle
from muslin.workflows.evaluate import EvaluateOptions, evaluate
from muslin.workflows.run_folder import Run

SETTINGS = {"epochs": 1, "batch_size": 40, "max_steps": 3}
N_CHOSEN = 60
N_UNSURE = 15


@pytest.fixture(scope="module")
def data(synthetic: SyntheticDataset) -> Dataset:
    """Some samples chosen, the others drawn at random; of some of these a person was not sure."""
    dataset, number = replace(synthetic.dataset, parts=None), np.arange(len(synthetic.dataset))
    is_unsure = number >= len(number) - N_UNSURE
    labels = {"label": np.where(is_unsure, UNKNOWN, dataset.labels["label"])}
    return replace(dataset, labels=labels, drawn_at_random=number >= N_CHOSEN, no_class={"label": is_unsure})


@pytest.fixture(scope="module", params=[0, 2], ids=["validation set", "folds"])
def run(data: Dataset, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return muslin.train(data, recipe="quick", out=folder, settings={**SETTINGS, "folds": request.param})


def test_random_images_alone_calibrate(run: Run, data: Dataset) -> None:
    record = run.record
    counts, sizes = record["data"]["drawn_at_random"], record["data"]["split_sizes"]
    assert sizes["train"] - counts["train"] == N_CHOSEN, "the chosen ones train"
    assert (counts["validation"], counts["test"]) == (sizes["validation"], sizes["test"])
    bundle = open_bundle(run.model)
    folded = record["recipe"]["folds"] > 0
    expected = counts["validation"] + folded * counts["train"]
    assert len(bundle.calibration_data["label"]) == expected
    assert bundle.provenance["data"]["drawn_at_random"] == counts, "the model itself says it"
    assert sum(sizes.values()) == len(data)


def test_samples_without_a_class_calibrate_as_incorrect(run: Run, data: Dataset) -> None:
    calibration = open_bundle(run.model).calibration_data["label"]
    has_none = np.isnan(calibration.probability_of_true)
    assert 0 < has_none.sum() <= N_UNSURE
    assert not calibration.correct[has_none].any()


def test_chosen_images_are_set_aside_when_evaluated(run: Run, data: Dataset) -> None:
    logged: list[str] = []
    result = evaluate(run.model, data, EvaluateOptions(split="all"), log=logged.append)
    assert result.evaluations["label"].n == len(data) - N_CHOSEN - N_UNSURE
    assert "not_random_set_aside" in [getattr(line, "code", None) for line in logged]


def test_metrics_of_chosen_images_alone_are_refused(run: Run, data: Dataset) -> None:
    with pytest.raises(DataError) as refused:
        evaluate(run.model, data.take(np.arange(N_CHOSEN)), EvaluateOptions(split="all"))
    assert refused.value.code == "no_random_images"


def test_the_run_says_what_its_metrics_rest_on(run: Run, data: Dataset, tmp_path: Path) -> None:
    note = f"{len(data) - N_CHOSEN} images were drawn at random and {N_CHOSEN} were not"
    assert note in run.record["data"]["split"]
    assert note in run.report.read_text(encoding="utf-8")


def test_folds_without_random_images_are_not_trained(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    dataset = synthetic.dataset
    parts = np.where(np.arange(len(dataset)) < 160, "train", "test").astype(object)
    chosen = replace(dataset, parts=parts, drawn_at_random=np.arange(len(dataset)) >= 158)
    logged: list[str] = []
    settings = {**SETTINGS, "folds": 3, "validation_fraction": 0}
    run = muslin.train(chosen, recipe="quick", out=tmp_path / "run", settings=settings, log=logged.append)
    assert len(open_bundle(run.model).calibration_data["label"]) == 2
    assert 1 <= [getattr(line, "code", None) for line in logged].count("fold_trained") <= 2
