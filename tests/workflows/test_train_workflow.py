"""The one flow, called from Python: what it makes, what it refuses, and that an interruption leaves no trace."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, load_file

import muslin
from muslin.data.convert import write_csv
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target, pixel_array
from muslin.data.reader import ReadArguments
from muslin.data.synthetic import SyntheticDataset, make_garments
from muslin.errors import DataError, MuslinError, StoppedError
from muslin.learn.recipes import recipe, recipe_from_dict
from muslin.models.bundle import open_bundle
from muslin.workflows import run_results
from muslin.workflows import train as train_workflow
from muslin.workflows.run_folder import Run, command_to_repeat, split_for_recipe
from muslin.workflows.run_schema import READ_OPTIONS
from refusals import refuses

SMALL = {"epochs": 2, "batch_size": 40}


@pytest.fixture(scope="module")
def run(synthetic: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def csv(synthetic: SyntheticDataset, tmp_path: Path) -> Path:
    [path] = write_csv(replace(synthetic.dataset, name="garments"), tmp_path)
    return path


def stopping_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps - 1))
    return lambda: next(left, None) is None


def weights(run: Run) -> dict[str, Any]:
    return load(open_bundle(run.model).weights)


def test_run_records_data_recipe_and_test_metrics(run: Run, synthetic: SyntheticDataset) -> None:
    record = run.record
    assert record["status"] == "finished"
    assert record["recipe"]["name"] == "quick"
    assert record["recipe"]["epochs"] == record["epochs"] == len(run.history) == 2
    assert record["seed"] == 0
    assert record["data"]["fingerprint"] == synthetic.dataset.fingerprint
    assert record["data"]["split_sizes"] == {"train": 133, "validation": 27, "test": 40}
    assert sum(record["data"]["counts"]["label"]["train"]) == 133
    assert record["versions"]["torch"].startswith("2.")
    assert record["machine"]["cores"] >= 1
    written = json.loads((run.folder / "evaluation.json").read_text())
    evaluation = written["targets"]["label"]
    assert evaluation["n"] == record["test"]["label"]["n"] == 40
    assert evaluation["accuracy"] == record["test"]["label"]["accuracy"]
    assert evaluation["accuracy_interval"] == record["test"]["label"]["interval"]
    assert evaluation["accuracy"] > 0.5, "five kinds of garment, a fifth each"


def test_recorded_metrics_are_those_of_the_bundle(run: Run, synthetic: SyntheticDataset) -> None:
    parts = split_for_recipe(synthetic.dataset, recipe_from_dict(run.record["recipe"]), 0)
    again = muslin.evaluate(str(run.model), synthetic.dataset.take(parts.test)).evaluations["label"]
    assert again.accuracy == run.record["test"]["label"]["accuracy"]
    provenance = open_bundle(run.model).provenance
    assert provenance["test"] == run.record["test"]
    assert provenance["command"] == run.record["command"]


def test_recorded_command_repeats_the_run(csv: Path, tmp_path: Path, capfd: Any) -> None:
    import shlex

    from command_line import invoke

    settings = {"epochs": 1, "batch_size": 32, "widths": "8,16", "label_smoothing": 0.2, "flip": False}
    first = muslin.train(
        csv, seed=3, settings=settings, read_options={"shape": (28, 28)}, out=tmp_path / "a", recipe="quick"
    )
    command, *words = shlex.split(first.record["command"])
    assert command == "muslin"
    assert invoke(capfd, *words, "--out", tmp_path / "b").code == 0
    again = Run(tmp_path / "b")
    assert again.record["recipe"] == first.record["recipe"]
    assert open_bundle(again.model).weights == open_bundle(first.model).weights


def test_model_is_kept_where_its_results_fail(
    run: Run, synthetic: SyntheticDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, messages = Run(tmp_path / "run"), list[Any]()

    def out_of_memory(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(run_results, "leaked_into", out_of_memory)
    with pytest.raises(MemoryError):
        muslin.train(synthetic.dataset, settings=SMALL, out=place.folder, log=messages.append)
    assert (messages[-1].code, messages[-1].params["path"]) == ("run_model_kept", str(place.model))
    kept, whole = open_bundle(place.model), open_bundle(run.model)
    assert kept.weights == whole.weights
    assert kept.calibration_data == whole.calibration_data
    assert place.record["status"] == "training"
    monkeypatch.undo()
    assert muslin.resume(place.folder, synthetic.dataset).record["test"] == run.record["test"]


def test_resumed_run_has_the_weights_of_an_uninterrupted_one(
    run: Run, synthetic: SyntheticDataset, tmp_path: Path
) -> None:
    place = tmp_path / "it's here"
    with pytest.raises(StoppedError) as stopped:
        muslin.train(synthetic.dataset, settings=SMALL, out=place, should_stop=stopping_after(3))
    assert (stopped.value.code, stopped.value.params["step"]) == ("training_stopped", 3)
    assert shlex.split(stopped.value.params["command"]) == ["muslin", "train", "--resume", str(place)]
    assert Run(place).record["status"] == "training"
    assert not Run(place).model.exists()
    for _ in range(2):
        with pytest.raises(StoppedError):
            muslin.resume(place, synthetic.dataset, should_stop=stopping_after(1))
    messages: list[Any] = []
    resumed = muslin.resume(place, synthetic.dataset, log=messages.append)
    assert [message.code for message in messages] == ["resuming_from_checkpoint", "validation_too_small"]
    assert messages[0].params == {"epoch": 1, "epochs": 2}
    assert resumed.record["status"] == "finished"
    assert open_bundle(resumed.model).weights == open_bundle(run.model).weights
    whole, pieces = load_file(run.checkpoint), load_file(resumed.checkpoint)
    assert whole.keys() == pieces.keys()
    assert all(np.array_equal(whole[name], pieces[name]) for name in whole)
    assert [{**row, "elapsed_s": 0} for row in resumed.history] == [{**row, "elapsed_s": 0} for row in run.history]


def test_run_stopped_before_its_first_checkpoint_is_resumed(
    run: Run, synthetic: SyntheticDataset, tmp_path: Path
) -> None:
    with pytest.raises(StoppedError):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "a", should_stop=stopping_after(1))
    (tmp_path / "a" / "checkpoint.safetensors").unlink()
    messages: list[Any] = []
    resumed = muslin.resume(tmp_path / "a", synthetic.dataset, log=messages.append)
    assert [message.code for message in messages] == ["resuming_without_checkpoint", "validation_too_small"]
    assert open_bundle(resumed.model).weights == open_bundle(run.model).weights


def test_resume_removes_partial_files(run: Run, synthetic: SyntheticDataset, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "a", should_stop=stopping_after(1))
    (tmp_path / "a" / ".checkpoint.safetensors.0123456789abcdef.part").write_bytes(b"half")
    history = tmp_path / "a" / "history.jsonl"
    history.write_text('{"epoch": 1, "lo\n')
    with refuses("history_damaged", path=str(history)):
        muslin.resume(tmp_path / "a", synthetic.dataset)
    history.unlink()
    muslin.resume(tmp_path / "a", synthetic.dataset)
    assert not [path for path in (tmp_path / "a").iterdir() if path.name.startswith(".")]


def test_resume_returns_a_finished_run_unchanged(run: Run, synthetic: SyntheticDataset) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    messages: list[Any] = []
    assert muslin.resume(run.folder, log=messages.append) == run
    assert muslin.resume(run.folder, synthetic.dataset, log=messages.append) == run
    assert [message.code for message in messages] == ["run_finished"] * 2
    assert {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_finished_run_without_its_model_is_finished_again(
    run: Run, synthetic: SyntheticDataset, tmp_path: Path
) -> None:
    shutil.copytree(run.folder, tmp_path / "a")
    Run(tmp_path / "a").model.unlink()
    again = muslin.resume(tmp_path / "a", synthetic.dataset)
    assert open_bundle(again.model).weights == open_bundle(run.model).weights
    assert again.record["status"] == "finished"


def test_training_file_is_refused_as_test_set(csv: Path, tmp_path: Path) -> None:
    (again := tmp_path / "again.csv").symlink_to(csv)
    for same in (csv, again):
        with refuses("test_is_training"):
            muslin.train(csv, test=same, settings=SMALL, out=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_resume_refuses_other_data(run: Run, synthetic: SyntheticDataset, csv: Path, tmp_path: Path) -> None:
    other = make_garments(200, seed=9).dataset
    with refuses("run_data_changed"):
        muslin.resume(run.folder, other)
    with pytest.raises(StoppedError):
        muslin.train(csv, settings=SMALL, out=tmp_path / "a", should_stop=stopping_after(1))
    labels = synthetic.dataset.labels["label"].copy()
    labels[0] = (labels[0] + 1) % 5
    one_label = replace(synthetic.dataset, labels={"label": labels})
    for data in (other, one_label, synthetic.dataset.take(np.arange(199))):
        with refuses("run_data_changed"):
            muslin.resume(tmp_path / "a", data)
    csv.write_text(csv.read_text().replace("shirt", "coat"))
    with refuses("run_data_changed"):
        muslin.resume(tmp_path / "a")


def test_resume_refuses_other_groups_and_says_so(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    groups = np.arange(200).astype(str).astype(object)
    grouped = replace(synthetic.dataset, groups=groups)
    pairs = replace(synthetic.dataset, groups=np.repeat(groups[:100], 2))
    as_products = replace(synthetic.dataset, products=pairs.groups)
    assert len({each.fingerprint for each in (synthetic.dataset, grouped, pairs, as_products)}) == 4
    for data, others, hint in ((synthetic.dataset, grouped, "groups"), (grouped, pairs, None)):
        out = tmp_path / str(hint)
        with pytest.raises(StoppedError):
            muslin.train(data, settings=SMALL, out=out, should_stop=stopping_after(1))
        with pytest.raises(DataError) as error:
            muslin.resume(out, others)
        assert (error.value.code, error.value.hint_code) == ("run_data_changed", hint)
    renamed = replace(grouped, groups=np.array([f"g{name}" for name in groups], dtype=object))
    assert renamed.fingerprint == grouped.fingerprint


def test_resume_asks_for_data_that_were_in_memory(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "a", should_stop=stopping_after(1))
    with refuses("run_data_in_memory", path=str(tmp_path / "a")):
        muslin.resume(tmp_path / "a")


def test_run_is_resumed_from_any_folder_and_with_moved_data(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(csv.parent)
    with pytest.raises(StoppedError):
        muslin.train("garments.csv", settings=SMALL, out="a", should_stop=stopping_after(1))
    assert "train garments.csv " in Run(Path("a")).record["command"], "as it was typed: no path of this machine"
    monkeypatch.chdir("/")
    with pytest.raises(StoppedError):
        muslin.resume(tmp_path / "a", should_stop=stopping_after(1))
    csv.rename(tmp_path / "moved.csv")
    with refuses("data_unknown", name=str(csv)):
        muslin.resume(tmp_path / "a")
    assert muslin.resume(tmp_path / "a", tmp_path / "moved.csv").record["status"] == "finished"


def test_resume_refuses_a_folder_without_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "run.json").write_text("[]")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text('{"status": "trai')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text('{"status": "training"}')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "run.json").write_text("[" * 100_000)
    for name in ("nothing", "file", "list", "half", "deep"):
        with refuses("run_missing", path=str(tmp_path / name)):
            muslin.resume(tmp_path / name)
    with refuses("run_record_edited", path=str(tmp_path / "other")):
        muslin.resume(tmp_path / "other")


def leaves(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every text, number and empty list in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items:
        yield where
    for key, item in items:
        yield from leaves(item, (*where, key))


def test_any_edited_field_of_a_run_is_refused_before_training(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    run = Run(tmp_path / "a")
    with refuses("training_stopped"):
        muslin.train(synthetic.dataset, settings=SMALL, out=run.folder, should_stop=stopping_after(1))
    content, checkpoint = (run.folder / "run.json").read_text(), run.checkpoint.read_bytes()
    places = list(leaves(json.loads(content)))
    assert len(places) > 50
    for *above, last in places:
        record = json.loads(content)
        inner = record
        for key in above:
            inner = inner[key]
        inner[last] = 7 if inner[last] != 7 else "8"
        (run.folder / "run.json").write_text(json.dumps(record))
        with refuses("run_record_edited", path=str(run.folder)):
            muslin.resume(run.folder, synthetic.dataset)
    assert run.checkpoint.read_bytes() == checkpoint


def edited(value: Any) -> list[Any]:
    """Other values in the place of one in a record: near it, of another type, and out of any range."""
    near = f"{value}x" if isinstance(value, str) else not value if isinstance(value, bool) else value
    near = near / 2 + 1 if isinstance(near, float) else near + 1 if type(near) is int else near or "x"
    return [near, None if value is not None else 1, [], {"a": 1}, -1, 10**18, "../x", True]


@pytest.mark.parametrize("begun", [False, True], ids=["before the first step", "after a step"])
def test_a_resealed_record_is_refused_before_training(begun: bool, synthetic: SyntheticDataset, tmp_path: Path) -> None:
    """Somebody edits any field of run.json and computes its digest again."""
    run, data, steps = Run(tmp_path / "a"), synthetic.dataset, []
    options = train_workflow.TrainOptions(settings=SMALL)
    train_workflow.start_run(train_workflow.plan_training(data, options, train_workflow.Callbacks()), run.folder)
    if begun:
        with refuses("training_stopped"):
            muslin.resume(run.folder, data, should_stop=stopping_after(1))
    original, checkpoint = run.record, run.checkpoint.read_bytes()
    refused = set()
    for *above, last in leaves(original):
        for value in edited(_at(original, (*above, last))):
            record = json.loads(json.dumps(original))
            _at(record, above)[last] = value
            if json.dumps(record) == json.dumps(original):
                continue
            digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
            (run.folder / "run.json").write_text(json.dumps(record | {"sha256": digest}))
            with pytest.raises(MuslinError) as error:
                muslin.resume(run.folder, data, on_progress=steps.append)
            refused.add(error.value.code)
    assert refused == {"run_record_invalid", "checkpoint_settings"}
    assert (steps, run.checkpoint.read_bytes()) == ([], checkpoint)
    run.write_record(original)
    assert muslin.resume(run.folder, data).record["status"] == "finished"


def _at(value: Any, place: Iterable[Any]) -> Any:
    for key in place:
        value = value[key]
    return value


def test_a_checkpoint_of_another_learning_rate_is_refused(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    for name, rate in (("a", 0.01), ("b", 0.02)):
        with refuses("training_stopped"):
            muslin.train(
                synthetic.dataset,
                settings=SMALL | {"learning_rate": rate},
                out=tmp_path / name,
                should_stop=stopping_after(1),
            )
    Run(tmp_path / "a").checkpoint.write_bytes(Run(tmp_path / "b").checkpoint.read_bytes())
    with refuses("checkpoint_settings", path=str(Run(tmp_path / "a").checkpoint)):
        muslin.resume(tmp_path / "a", synthetic.dataset)


def test_a_run_that_another_process_trains_is_not_resumed(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    with refuses("training_stopped"):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "a", should_stop=stopping_after(1))
    code = f"""
from pathlib import Path
from muslin.storage.locks import locked_folder
with locked_folder(Path({str(tmp_path / "a")!r}), "run_locked"):
    print("locked", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with refuses("run_locked", path=str(tmp_path / "a")):
            muslin.resume(tmp_path / "a", synthetic.dataset)
        other.communicate(b"\n", timeout=30)
    assert muslin.resume(tmp_path / "a", synthetic.dataset).record["status"] == "finished"


def test_folder_with_content_is_refused_and_untouched(run: Run, synthetic: SyntheticDataset, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with refuses("folder_not_empty", path=str(tmp_path / "mine")):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "mine")
    with refuses("run_exists", path=str(run.folder)):
        muslin.train(synthetic.dataset, settings=SMALL, out=run.folder)
    with refuses("path_occupied"):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "mine" / "notes.txt" / "run")
    with refuses("write_failed"):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / ("x" * 300))
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


def test_folder_with_partial_files_counts_as_empty(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    (tmp_path / ".run.json.0123456789abcdef.part").write_text("{")
    with pytest.raises(StoppedError):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path, should_stop=stopping_after(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "run.json"]


def test_runs_without_out_get_their_own_folders(
    synthetic: SyntheticDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20260101-120000")
    for _ in range(3):
        with pytest.raises(StoppedError):
            muslin.train(synthetic.dataset, settings=SMALL, should_stop=stopping_after(1))
    assert sorted(os.listdir("runs")) == [
        f"{synthetic.dataset.name}-quick-20260101-120000{end}" for end in ("", "-2", "-3")
    ]


def test_refused_trainings_leave_no_folder(
    synthetic: SyntheticDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, place = synthetic.dataset, tmp_path / "run"

    def with_labels(labels: Any) -> Dataset:
        return replace(dataset, labels={"label": np.asarray(labels, dtype=np.int64)})

    tiny = replace(dataset, images=PixelImages(pixel_array(dataset)[:, :5, :5]))
    parts = np.array(["train"] * 100 + ["test"] * 100, dtype=object)
    only_in_test = replace(with_labels([0, 1] * 50 + [2] * 100), parts=parts)
    for refused, settings, code in (
        (dataset, {"batch_size": 512}, "batch_too_large"),
        (with_labels([0] * 200), SMALL, "too_few_classes"),
        (with_labels([UNKNOWN] * 200), SMALL, "unlabelled"),
        (only_in_test, SMALL, "class_not_trained"),
        (tiny, SMALL, "images_too_small"),
        (dataset, {"batch": 5}, "setting_unknown"),
        (dataset, {"epochs": 0}, "setting_out_of_range"),
        (dataset, {"widths": (), **SMALL}, "widths_missing"),
        (replace(dataset, parts=np.full(200, "test", dtype=object)), SMALL, "no_training_part"),
        (dataset, {"split_seed": 2**32}, "setting_out_of_range"),
    ):
        with refuses(code):
            muslin.train(refused, settings=settings, out=place)
    with refuses("recipe_unknown", nearest="quick"):
        muslin.train(dataset, recipe="quik", out=place)
    with refuses("max_unreadable_out_of_range"):
        muslin.train(dataset, max_unreadable=float("nan"), out=place)
    for seed in (-1, 2**32):
        with refuses("seed_out_of_range", seed=seed):
            muslin.train(dataset, seed=seed, out=place)
    assert not place.exists()


def test_unlabelled_images_are_in_no_part_and_no_metric(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    labels = synthetic.dataset.labels["label"].copy()
    labels[::4] = UNKNOWN
    some = replace(synthetic.dataset, labels={"label": labels})
    run = muslin.train(some, settings=SMALL, out=tmp_path / "a")
    assert sum(run.record["data"]["split_sizes"].values()) == 150
    notes = {note.code: note.params for note in split_for_recipe(some, recipe_from_dict(run.record["recipe"]), 0).notes}
    assert 50 in notes["unlabelled_excluded"].values()
    assert muslin.evaluate(run.model, some, muslin.EvaluateOptions(split="all")).evaluations["label"].n == 150
    none = replace(synthetic.dataset, labels={"label": np.full(200, UNKNOWN)})
    with refuses("target_unlabelled"):
        muslin.evaluate(run.model, none)
    with refuses("no_targets"):
        muslin.evaluate(run.model, replace(synthetic.dataset, targets=(), labels={}))


def test_two_targets_are_trained_together(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    bright = (pixel_array(synthetic.dataset).mean(axis=(1, 2, 3)) > 60).astype(np.int64)
    two = replace(
        synthetic.dataset,
        targets=(*synthetic.dataset.targets, Target("cloth", ("dark", "bright"))),
        labels={**synthetic.dataset.labels, "cloth": bright},
    )
    run = muslin.train(two, settings=SMALL, out=tmp_path / "a")
    assert run.record["test"].keys() == {"label", "cloth"}
    [answer] = muslin.open(run.model).predict(pixel_array(two)[0])
    assert answer.predictions.keys() == {"label", "cloth"}
    assert set(answer.predictions["cloth"].probabilities) == {"dark", "bright"}
    assert muslin.evaluate(run.model, two).evaluations.keys() == {"label", "cloth"}


def test_evaluate_refuses_an_unknown_class_by_name(run: Run, synthetic: SyntheticDataset) -> None:
    other = replace(synthetic.dataset, targets=(Target("label", ("bag", "dress", "hat", "shoe", "trouser")),))
    with refuses("classes_unknown", DataError):
        muslin.evaluate(run.model, other)


def test_evaluate_refuses_an_unknown_part(run: Run, synthetic: SyntheticDataset) -> None:
    parts = np.array(["train", "test"] * 100, dtype=object)
    divided = replace(synthetic.dataset, parts=parts)
    result = muslin.evaluate(run.model, divided)
    assert result.evaluations["label"].n + result.seen_images.train + result.seen_images.validation == 100
    assert muslin.evaluate(run.model, divided, muslin.EvaluateOptions(split="all")).evaluations["label"].n == 200
    assert (
        muslin.evaluate(run.model, synthetic.dataset, muslin.EvaluateOptions(split="all")).evaluations["label"].n == 200
    )
    for dataset in (divided, synthetic.dataset):
        with refuses("part_name", nearest="test"):
            muslin.evaluate(run.model, dataset, muslin.EvaluateOptions(split="tset"))
    with refuses("no_such_part"):
        muslin.evaluate(run.model, divided, muslin.EvaluateOptions(split="validation"))


def test_training_without_torch_is_refused_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # which Python takes for a module that is not there
    with refuses("extra_not_installed", extra="train", packages=["torch"]):
        muslin.train(tmp_path / "nothing.csv", out=tmp_path / "run")


def test_progress_is_reported_after_every_step(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    reports: list[Any] = []
    run = muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "a", on_progress=reports.append)
    steps = reports[0].steps
    assert [(report.epoch, report.step) for report in reports] == [(e, s) for e in (1, 2) for s in range(1, steps + 1)]
    assert [report.row["epoch"] for report in reports if report.row] == [1, 2]
    assert all(report.images_per_s > 0 and report.left_s >= 0 for report in reports)
    assert reports[-1].left_s == 0
    assert [report.row for report in reports if report.row] == run.history


def test_training_restores_torch_settings(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    import torch

    def arithmetic() -> tuple[Any, ...]:
        smallest = np.full(1, 5e-324)
        return (
            bool((smallest * 1.0 > 0).all()),  # numbers near zero are not taken for zero
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        )

    torch.set_num_threads(2)
    before = arithmetic()
    assert before[0]
    muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "a")
    assert arithmetic() == before
    with pytest.raises(StoppedError):
        muslin.train(synthetic.dataset, settings=SMALL, out=tmp_path / "b", should_stop=stopping_after(1))
    assert arithmetic() == before


def test_evaluate_splits_training_data_as_training_did(tmp_path):
    from muslin.workflows.selected_part import select_part

    dataset = make_garments(300, seed=4).dataset
    run = muslin.train(dataset, out=tmp_path / "run", settings={"epochs": 1, "batch_size": 50})
    predictor = muslin.open(run.model)
    selected = select_part(predictor, dataset, "test")
    assert (selected.part, len(selected.images)) == ("test", run.record["test"]["label"]["n"])
    assert muslin.evaluate(run.model, dataset).evaluations["label"].accuracy == run.record["test"]["label"]["accuracy"]
    other = make_garments(60, seed=5).dataset
    selected = select_part(predictor, other, "test")
    assert (selected.part, len(selected.images)) == ("all", 60)


def test_model_without_digests_is_evaluated_on_all_data(run: Run, synthetic: SyntheticDataset) -> None:
    predictor = muslin.Predictor(replace(open_bundle(run.model), seen_images=None))
    result = muslin.evaluate(predictor, synthetic.dataset)
    assert (result.seen_images, result.evaluations["label"].n) == (None, 200)
    assert "seen_images_unknown" in [fix.code for fix in result.dataset.fixes]


def test_run_is_resumed_with_moved_train_and_test_files(synthetic, tmp_path):
    dataset = synthetic.dataset
    half = len(dataset) // 2
    before, after = tmp_path / "before", tmp_path / "after"
    for name, part in (("learn", np.arange(half)), ("judge", np.arange(half, len(dataset)))):
        write_csv(replace(dataset.take(part), name=name, parts=None), before)
    files = sorted(path.name for path in before.iterdir())
    judge, learn = files
    with pytest.raises(StoppedError):
        muslin.train(
            before / learn, test=before / judge, settings=SMALL, out=tmp_path / "run", should_stop=stopping_after(2)
        )
    before.rename(after)
    run = muslin.resume(tmp_path / "run", after / learn, test=after / judge)
    assert run.record["status"] == "finished"


def test_train_command_writes_read_options_of_any_kind() -> None:
    reading = {"shape": (28, 28), "target": ["a", "b"], "group": "who", "min_per_class": 20}
    command = command_to_repeat({"data": "x.csv", "test": None, "read_options": reading}, recipe("quick"), 0)
    assert "--shape 28x28 --target a --target b --group who --min-per-class 20" in command


def test_schema_of_records_knows_every_option_of_read() -> None:
    assert {"format", *ReadArguments.__annotations__} <= set(READ_OPTIONS)
