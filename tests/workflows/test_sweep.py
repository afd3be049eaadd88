"""Many trainings on the same data: each is that of `muslin train`, the best is chosen by validation, all can go on."""

import csv
import json
import shutil
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import error_object, invoke, refusal
from muslin.cli.sweep_commands import parse_seeds
from muslin.data.convert import write_csv
from muslin.data.synthetic import SyntheticDataset, make_garments
from muslin.distributed.in_process import InProcess
from muslin.distributed.tasks import shard_lost
from muslin.errors import StoppedError
from muslin.execution import Shard, ShardOutcome
from muslin.models.bundle import open_bundle
from muslin.workflows import sweep as sweep_workflow
from muslin.workflows.run_folder import Run
from muslin.workflows.sweep import SweepControl, resume_sweep
from muslin.workflows.sweep_plan import SweepFolder, SweepOptions, variants_of
from muslin.workflows.sweep_results import SweepResult
from muslin.workflows.sweep_variant import write_run
from muslin.workflows.training_data import Callbacks
from muslin.workflows.training_plan import TrainOptions
from refusals import refuses

SMALL = {"epochs": ["2"], "batch_size": ["40"]}
TRAINING = TrainOptions(read_options={"shape": (28, 28)})
TIMES = ("started", "train_s", "elapsed_s", "train_s", "expected_s")


@pytest.fixture(scope="module")
def table(synthetic: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    [path] = write_csv(replace(synthetic.dataset, name="garments"), tmp_path_factory.mktemp("data"))
    return path


@pytest.fixture(scope="module")
def small_sweep(table: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    options = SweepOptions(["quick"], [0, 1], SMALL, TRAINING)
    return sweep_workflow.sweep(table, options, out=tmp_path_factory.mktemp("sweeps") / "here")


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in (*TIMES, "sha256")}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def assert_same_run(one: Run, other: Run) -> None:
    """Two runs' folders are equal but for times."""
    names = [sorted(str(p.relative_to(run.folder)) for p in run.folder.rglob("*")) for run in (one, other)]
    assert names[0] == names[1]
    assert without_times(one.record) == without_times(other.record)
    assert without_times(one.history) == without_times(other.history)
    bundles = [open_bundle(run.model) for run in (one, other)]
    assert bundles[0].weights == bundles[1].weights
    assert bundles[0].model == bundles[1].model
    assert bundles[0].calibration_data == bundles[1].calibration_data
    assert without_times(bundles[0].provenance) == without_times(bundles[1].provenance)
    evaluations = [without_times(json.loads((run.folder / "evaluation.json").read_text())) for run in (one, other)]
    assert evaluations[0] == evaluations[1]


def test_variant_is_the_run_of_train_alone(small_sweep: SweepResult, table: Path, tmp_path: Path) -> None:
    options = SweepOptions(["quick"], [0, 1], SMALL, TRAINING)
    by_worker = sweep_workflow.sweep(
        table, replace(options, seeds=[1]), out=tmp_path / "sent", control=SweepControl(InProcess())
    )
    settings = {name: value for name, [value] in SMALL.items()}
    alone = muslin.train(
        table, recipe="quick", seed=1, settings=settings, read_options={"shape": (28, 28)},
        out=tmp_path / "quick-seed-1",
    )  # fmt: skip
    assert_same_run(Run(small_sweep.folder / "quick-seed-1"), alone)
    sent = Run(by_worker.folder / "quick-seed-1")
    threads = sent.record["compute"]["threads"]
    with_threads = muslin.train(
        table, recipe="quick", seed=1, settings=settings, read_options={"shape": (28, 28)}, threads=threads,
        out=tmp_path / "again" / "quick-seed-1",
    )  # fmt: skip
    assert_same_run(sent, with_threads)
    assert f"--threads {threads}" in sent.record["command"]


def test_photos_reach_a_worker_by_content(tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos", 60)
    (photos / "dress" / "torn.jpg").write_bytes(next((photos / "dress").iterdir()).read_bytes()[:400])
    settings = {"weights": ["random"], "network": ["efficientnet-lite0"], "image_size": ["32"]}
    options = SweepOptions(["photo"], [3], settings, TrainOptions(threads=1))
    found = sweep_workflow.sweep(photos, options, out=tmp_path / "sent", control=SweepControl(InProcess()))
    alone = muslin.train(
        photos, recipe="photo", seed=3, settings={name: value for name, [value] in settings.items()}, threads=1,
        out=tmp_path / "photo-seed-3",
    )  # fmt: skip
    assert_same_run(Run(found.folder / "photo-seed-3"), alone)
    assert [each["name"] for each in alone.record["data"]["unreadable"]] == ["dress/torn.jpg"]


def photo_folder(folder: Path, count: int) -> Path:
    dataset = make_garments(count, seed=5, size_px=40, colour=True).dataset
    for index in range(count):
        path = folder / dataset.targets[0].classes[dataset.labels["label"][index]] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[index]).save(path)
    return folder


def test_best_by_validation_is_named_with_its_test_metric(small_sweep: SweepResult) -> None:
    best = small_sweep.best
    assert best is not None
    scores = [result.score or 0 for result in small_sweep.results]
    assert best is small_sweep.results[int(np.argmax(scores))]
    assert small_sweep.test == Run(small_sweep.folder / best.variant.name).record["test"]
    for result in small_sweep.results:
        metric = result.validation["label"]
        assert metric["n"] == 27
        assert metric["interval"][0] <= metric["accuracy"] <= metric["interval"][1]
    rows = list(csv.DictReader((small_sweep.folder / "sweep.csv").read_text().splitlines()))
    assert [row["variant"] for row in rows] == ["quick-seed-0", "quick-seed-1"]
    assert [row["best"] for row in rows] == [str(int(result is best)) for result in small_sweep.results]
    assert [float(row["value"]) for row in rows] == scores
    assert "test" not in "".join(rows[0]), "the test set is looked at for the best alone"


def test_of_equal_variants_the_first_is_the_best(small_sweep: SweepResult) -> None:
    first, second = small_sweep.results
    equal = replace(second, validation=first.validation)
    assert replace(small_sweep, results=(first, equal)).best is first
    assert replace(small_sweep, results=(equal, first)).best is equal
    assert replace(small_sweep, results=(first, equal)).within_chance == [equal]


def test_failed_variant_is_named_and_the_others_go_on(table: Path, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "sweep"
    words = ["sweep", table, "--shape", "28x28", "--recipes", "quick", "--set", "epochs=1", "--out", out]
    done = invoke(capfd, *words, "--set", "batch_size=900,40", "--json")
    error = error_object(done) if done.err.count("\n") == 1 else done.json["error"]
    assert error["code"] == "sweep_variants_failed"
    assert error["params"]["names"] == ["quick-batch_size=900-seed-0"]
    assert [variant["status"] for variant in done.json["variants"]] == ["failed", "finished"]
    assert done.json["variants"][0]["problem"]["code"] == "batch_too_large"
    assert done.json["best"] == "quick-batch_size=40-seed-0"
    assert "1 of 2: quick-batch_size=900-seed-0 failed" in done.err
    before = (out / "quick-batch_size=40-seed-0" / "run.json").stat().st_mtime_ns
    again = invoke(capfd, "sweep", "--resume", out, "--json")
    assert again.json["error"]["code"] == "sweep_variants_failed"
    assert (out / "quick-batch_size=40-seed-0" / "run.json").stat().st_mtime_ns == before


class Losing(InProcess):
    """An executor whose workers all end with the first variant."""

    def outcomes(
        self, task: str, shards: Iterable[Shard], shared: Any
    ) -> Generator[tuple[int, ShardOutcome], None, None]:
        first, *others = shards
        for number, found in super().outcomes(task, others, shared):
            yield number + 1, found
        yield 0, shard_lost(first)


def test_variant_that_ends_its_workers_is_named(table: Path, tmp_path: Path) -> None:
    options = SweepOptions(["quick"], [0, 1], SMALL, TRAINING)
    found = sweep_workflow.sweep(table, options, out=tmp_path / "sweep", control=SweepControl(Losing()))
    assert [result.status for result in found.results] == ["failed", "finished"]
    assert (found.results[0].problem or {})["code"] == "shard_lost"
    assert found.best is found.results[1]


def stopping_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps - 1))
    return lambda: next(left, None) is None


@pytest.mark.parametrize("with_workers", [False, True])
def test_interrupted_sweep_resumes(small_sweep: SweepResult, table: Path, tmp_path: Path, with_workers: bool) -> None:
    options = SweepOptions(["quick"], [0, 1], SMALL, TRAINING)
    control = SweepControl(callbacks=Callbacks(should_stop=stopping_after(9)))
    with pytest.raises(StoppedError) as stopped:
        sweep_workflow.sweep(table, options, out=tmp_path / "here", control=control)
    assert stopped.value.code == "sweep_stopped"
    assert stopped.value.params["command"] == f"muslin sweep --resume {tmp_path / 'here'}"
    first, second = (Run(tmp_path / "here" / name) for name in ("quick-seed-0", "quick-seed-1"))
    assert [run.record["status"] for run in (first, second)] == ["finished", "training"]
    finished_at = first.model.stat().st_mtime_ns
    resumed = resume_sweep(tmp_path / "here", control=SweepControl(InProcess() if with_workers else None))
    assert first.model.stat().st_mtime_ns == finished_at
    assert [result.status for result in resumed.results] == ["finished", "finished"]
    assert open_bundle(second.model).weights == open_bundle(small_sweep.folder / "quick-seed-1/model.muslin").weights
    messages: list[Any] = []
    resume_sweep(tmp_path / "here", control=SweepControl(callbacks=Callbacks(log=messages.append)))
    assert [message.code for message in messages] == ["sweep_finished"]
    assert not [path for path in (tmp_path / "here").iterdir() if path.name.startswith(".")]


def test_expected_time_is_said_before_the_first_training(table: Path, tmp_path: Path) -> None:
    messages: list[Any] = []
    control = SweepControl(InProcess(), Callbacks(log=messages.append))
    sweep_workflow.sweep(table, SweepOptions(["quick"], [0, 1], SMALL, TRAINING), out=tmp_path / "a", control=control)
    [message] = [each for each in messages if each.code == "sweep_expected"]
    assert message.params["n"] == 2
    assert message.params["workers"] == 1
    assert message.params["here_s"] > 0
    assert message.params["there_s"] > 0


def test_odd_sweeps_are_refused(small_sweep: SweepResult, table: Path, tmp_path: Path) -> None:
    def start(*recipes: str, **changes: Any) -> None:
        options = SweepOptions(recipes, **{"training": TRAINING, **changes})
        sweep_workflow.sweep(table, options, out=changes.pop("out", None) or tmp_path / "new")

    with refuses("recipe_unknown", name="quik"):
        start("quik")
    with refuses("setting_not_read", name="batch_size", recipe="photo"):
        start("quick", "photo", settings={"batch_size": ["40"]})
    with refuses("sweep_duplicate", name="quick-seed-1"):
        start("quick", seeds=[1, 1])
    with refuses("sweep_duplicate"):
        start("quick", settings={"epochs": ["2", "02"]})
    with refuses("sweep_size", n=0):
        start()
    with refuses("sweep_size", n=1001):
        start("quick", seeds=range(1001))
    with refuses("seed_out_of_range", seed=-1):
        start("quick", seeds=[-1])
    with refuses("threads_out_of_range", threads=0):
        start("quick", training=replace(TRAINING, threads=0))
    assert not (tmp_path / "new").exists()
    with refuses("sweep_exists", path=str(small_sweep.folder)):
        sweep_workflow.sweep(table, SweepOptions(["quick"], training=TRAINING), out=small_sweep.folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with refuses("folder_not_empty"):
        sweep_workflow.sweep(table, SweepOptions(["quick"], training=TRAINING), out=tmp_path / "other")
    with refuses("sweep_weights_file", path="old.muslin"):
        options = SweepOptions(["photo"], settings={"weights": ["old.muslin"]})
        sweep_workflow.sweep(table, options, out=tmp_path / "new", control=SweepControl(InProcess()))


def test_odd_sweep_folders_are_refused(small_sweep: SweepResult, table: Path, tmp_path: Path) -> None:
    with refuses("sweep_missing", path=str(tmp_path)):
        resume_sweep(tmp_path)
    with refuses("path_missing", path=str(tmp_path / "none")):
        resume_sweep(tmp_path / "none")
    folder = shutil.copytree(small_sweep.folder, tmp_path / "copy")
    shutil.rmtree(folder / "quick-seed-1")
    other = make_garments(100, seed=9).dataset
    with refuses("sweep_data_changed", path=str(folder)):
        resume_sweep(folder, other)
    record = json.loads((folder / "sweep.json").read_text())
    record["variants"][1]["name"] = "../elsewhere"
    (folder / "sweep.json").write_text(json.dumps(record))
    with refuses("sweep_record_edited", path=str(folder)):
        resume_sweep(folder)
    record.pop("sha256")
    SweepFolder(folder).write_record(record)
    with refuses("sweep_record_edited", path=str(folder)):
        resume_sweep(folder)


@pytest.mark.parametrize("name", ["../run.json", "/tmp/run.json", "a\\b"])
def test_files_of_a_worker_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    with refuses("worker_files", name="a"):
        write_run({"run.json": b"", "model.muslin": b"", name: b""}, Run(tmp_path / "a"))
    with refuses("worker_files", name="a"):
        write_run({"run.json": b""}, Run(tmp_path / "a"))
    assert not list(tmp_path.iterdir())


def test_seeds_are_numbers_and_ranges() -> None:
    assert parse_seeds("0-2, 7") == (0, 1, 2, 7)
    for text in ("", "a", "3-1", "1--2", "0-99999999", "٣"):
        with refuses("sweep_seeds", value=text):
            parse_seeds(text)
    names = [variant.name for variant in variants_of(SweepOptions(["quick", "brisk"], [1], {"flip": [True, False]}))]
    assert names == [
        "quick-flip=True-seed-1",
        "quick-flip=False-seed-1",
        "brisk-flip=True-seed-1",
        "brisk-flip=False-seed-1",
    ]


def test_sweep_without_data_or_recipes_is_wrong_usage(capfd: Any) -> None:
    assert refusal(invoke(capfd, "sweep", "data.csv"), code=2).startswith("No data or no recipes")
    assert "--recipes" in refusal(invoke(capfd, "sweep", "--resume", "a", "--recipes", "quick"), code=2)


def test_table_on_a_terminal_names_the_best(small_sweep: SweepResult, capfd: Any) -> None:
    done = invoke(capfd, "sweep", "--resume", small_sweep.folder)
    assert small_sweep.best is not None
    assert done.code == 0
    assert f"best by validation: {small_sweep.best.variant.name}" in done.out
    assert "were validated on different images" in done.out
