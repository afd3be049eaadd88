"""The whole job on all of Fashion-MNIST: from the files to a classifier that is evaluated and used."""

import json
from pathlib import Path
from typing import Any

import pytest

from command_line import FinishedRun, invoke, last_line
from muslin.models.bundle import open_bundle
from muslin.workflows.run_folder import Run

pytestmark = pytest.mark.slow


def test_quick_reaches_90_percent_in_every_output(whole_run: FinishedRun, capfd: Any) -> None:
    summary = json.loads(last_line(whole_run.result.out))
    accuracy, (low, high) = summary["test"]["label"]["accuracy"], summary["test"]["label"]["interval"]
    assert summary["test"]["label"]["n"] == 10_000
    assert accuracy > 0.9
    assert low < accuracy < high
    assert 0.010 < high - low < 0.013, "a 95 % interval at nine in ten of 10,000"
    written = json.loads((whole_run.folder / "evaluation.json").read_text())["targets"]["label"]
    again = invoke(capfd, "evaluate", whole_run.folder, "fashion-mnist", "--split", "test", "--json").json
    leaks = again["targets"]["label"]["reliability"].pop("leaks")
    assert leaks["n"] >= 0, "evaluate also searches for near-copies of training images"
    assert written["reliability"].pop("leaks")["n"] == 0, "no two images are identical"
    assert again["targets"]["label"] == written
    assert written["accuracy"] == accuracy
    assert open_bundle(whole_run.folder / "model.muslin").provenance["test"] == summary["test"]
    assert f"{100 * accuracy:.1f}" in (whole_run.folder / "report.html").read_text()


def test_the_split_has_the_expected_sizes(whole_run: FinishedRun) -> None:
    data = Run(whole_run.folder).record["data"]
    assert data["split_sizes"] == {"train": 50_000, "validation": 10_000, "test": 10_000}
    assert data["counts"]["label"]["test"] == [1000] * 10
    assert data["counts"]["label"]["validation"] == [1000] * 10, "each class keeps its share"


def test_predict_classifies_images_written_by_look(whole_run: FinishedRun, tmp_path: Path, capfd: Any) -> None:
    names = []
    for index in range(20):
        names.append(tmp_path / f"{index}.png")
        assert invoke(capfd, "look", "fashion-mnist", "--split", "test", "--index", index, "-o", names[-1]).code == 0
    result = invoke(capfd, "predict", whole_run.folder, *names, "--json")
    predictions = [json.loads(line)["predictions"]["label"]["label"] for line in result.out.splitlines()]
    true = (
        "Ankle boot,Pullover,Trouser,Trouser,Shirt,Trouser,Coat,Shirt,Sandal,Sneaker,"
        "Coat,Sandal,Sneaker,Dress,Coat,Trouser,Pullover,Coat,Bag,T-shirt/top"
    )
    assert sum(a == b for a, b in zip(predictions, true.split(","), strict=True)) >= 16


def test_shirts_have_the_lowest_recall(whole_run: FinishedRun) -> None:
    metrics = json.loads((whole_run.folder / "evaluation.json").read_text())["targets"]["label"]
    recall = {row["name"]: row["recall"] for row in metrics["per_class"]}
    assert min(recall, key=recall.__getitem__) == "Shirt"
    assert recall["Trouser"] > 0.95
    assert sum(map(sum, metrics["confusion"])) == 10_000
    pairs = [
        {metrics["classes"][pair["true"]], metrics["classes"][pair["predicted"]]} for pair in metrics["confused_pairs"]
    ]
    assert any("Shirt" in pair for pair in pairs[:3])
