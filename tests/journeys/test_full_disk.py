"""Real file systems that are full or read-only, at each moment of a training; and going on once there is room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from command_line import error_object, invoke, refusal
from mounted_disk import mounted_disk
from muslin.errors import StorageError
from muslin.models.bundle import open_bundle
from muslin.storage.outputs import Output
from muslin.workflows.run_folder import Run
from refusals import refuses
from wholeness import Watch

WORDS = ["--epochs", 3, "--set", "batch_size=64", "--set", "widths=16,16"]


@dataclass(frozen=True)
class Disk:
    """A small file system of its own."""

    folder: Path

    def leave(self, size_bytes: int) -> None:
        """Fill it until only so many bytes are free."""
        self.make_room()
        free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize
        (self.folder / "ballast").write_bytes(bytes(free - size_bytes))

    def make_room(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """16 MiB, in memory."""
    with mounted_disk(tmp_path / "disk", "16m") as folder:
        yield Disk(folder)


@pytest.fixture(scope="module")
def roomy(garments: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run where there is room."""
    from muslin import train

    settings = {"epochs": 3, "batch_size": 64, "widths": "16,16"}
    return train(garments, settings=settings, out=tmp_path_factory.mktemp("roomy") / "run").folder


def as_good_as(folder: Path, roomy: Path) -> None:
    ours, theirs = open_bundle(folder / "model.muslin"), open_bundle(roomy / "model.muslin")
    assert ours.weights == theirs.weights
    assert ours.model == theirs.model
    assert (folder / "evaluation.json").read_bytes() == (roomy / "evaluation.json").read_bytes()
    Watch(folder).look()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_disk_full_at_the_start_leaves_no_run(garments: Path, disk: Disk, capfd: Any) -> None:
    disk.leave(0)
    error = error_object(invoke(capfd, "train", garments, *WORDS, "--out", disk.folder / "run", "--json"))
    assert error["code"] == "disk_full"
    assert error["params"]["path"] == f"{disk.folder}/run/checkpoint.safetensors"
    assert [path.name for path in disk.folder.iterdir()] == ["ballast"]


@pytest.mark.parametrize("checkpoints", [0.5, 1.5])
def test_a_disk_full_during_training_keeps_the_checkpoint(
    checkpoints: float, garments: Path, roomy: Path, disk: Disk, capfd: Any
) -> None:
    """Room for half a checkpoint: none is ever whole. Room for one and a half: the first is, and stays."""
    run = disk.folder / "run"
    size = (roomy / "checkpoint.safetensors").stat().st_size
    disk.leave(int(size * checkpoints) + 16_384)
    result = invoke(capfd, "train", garments, *WORDS, "--out", run)
    assert (result.code, result.out) == (1, "")
    _the_choice, *progress, message = result.err.splitlines()
    assert len(progress) == int(checkpoints) + 1, "an epoch is told, then kept: the last one told was not"
    assert message.startswith(f"muslin: {run}/checkpoint.safetensors: ")
    assert f"muslin train --resume {run}" in message
    Watch(run).look()
    assert Watch(run).status == "training"
    with safe_open(run / "checkpoint.safetensors", "numpy") as checkpoint:  # without a step until one is kept
        assert ("state" in checkpoint.metadata()) == (checkpoints > 1)
    assert not (run / "model.muslin").exists()

    again = invoke(capfd, "train", "--resume", run)
    assert again.code == 1
    assert f"{run}/" in again.err
    disk.make_room()
    assert invoke(capfd, "train", "--resume", run).code == 0
    as_good_as(run, roomy)
    ours, theirs = load_file(run / "checkpoint.safetensors"), load_file(roomy / "checkpoint.safetensors")
    assert all((ours[name] == theirs[name]).all() for name in theirs)


@pytest.mark.parametrize("fails_at", ["model.muslin", "evaluation.json", "report.html", "run.json"])
def test_a_disk_full_while_sealing_loses_nothing(fails_at: str, roomy: Path, disk: Disk, capfd: Any) -> None:
    """From where a run stands when its last step is done: the rest is written to a disk with too little room."""
    run = disk.folder / "run"
    run.mkdir()
    for name in ("history.jsonl", "checkpoint.safetensors"):
        shutil.copy(roomy / name, run)
    Run(run).write_record(Run(roomy).record | {"status": "training"})

    pages = {path.name: -(-path.stat().st_size // 4096) for path in roomy.iterdir()}
    there = ("history.jsonl", "checkpoint.safetensors", "run.json")
    before = {
        "model.muslin": 1,  # the history is written once more
        "evaluation.json": pages["model.muslin"],
        "report.html": sum(count for name, count in pages.items() if name not in (*there, "report.html")),
        "run.json": sum(count for name, count in pages.items() if name not in there),
    }
    disk.leave(4096 * before[fails_at])
    result = invoke(capfd, "train", "--resume", run)
    assert (result.code, result.out) == (1, "")
    assert f"{run}/{fails_at}: " in result.err
    assert f"muslin train --resume {run}" in result.err
    watch = Watch(run)
    watch.look()
    assert watch.status == "training"
    assert fails_at == "run.json" or fails_at not in watch.known
    disk.make_room()
    assert invoke(capfd, "train", "--resume", run).code == 0
    as_good_as(run, roomy)


def test_other_files_are_complete_or_absent_too(garments: Path, roomy: Path, disk: Disk, capfd: Any) -> None:
    sheet, figures, csv = disk.folder / "sheet.png", disk.folder / "figures.json", disk.folder / "csv"
    figures.write_text("old")
    disk.leave(4096)
    for words in (
        ("look", garments, "-o", sheet),
        ("evaluate", roomy, garments, "-o", figures),
        ("get", "fashion-mnist", "--csv", csv),
    ):
        result = invoke(capfd, *words)
        if words[0] == "get":  # it first says what it gets
            result = replace(result, out="")
        assert f"{disk.folder}/" in refusal(result)
    assert figures.read_text() == "old"
    assert sorted(path.name for path in disk.folder.rglob("*")) == ["ballast", "csv", "figures.json"]


def test_a_read_only_disk_is_reported(garments: Path, roomy: Path, disk: Disk, capfd: Any) -> None:
    shutil.copytree(roomy, disk.folder / "run")
    shutil.copytree(roomy, disk.folder / "half")
    half = Run(disk.folder / "half")
    half.write_record(half.record | {"status": "training"})
    subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
    train = ("train", garments, *WORDS, "--out", disk.folder / "new", "--json")
    assert error_object(invoke(capfd, *train))["code"] == "write_denied"
    sheet = disk.folder / "sheet.png"
    assert refusal(invoke(capfd, "look", garments, "-o", sheet)).startswith(f"{sheet}: ")
    with refuses("write_denied", StorageError, path=str(sheet)):
        Output(sheet).check()  # before the work, which can take hours, and not after it
    assert f"{disk.folder}/half/" in refusal(invoke(capfd, "train", "--resume", disk.folder / "half"))
    assert invoke(capfd, "train", "--resume", disk.folder / "run").code == 0, "finished, so nothing is written"
    assert invoke(capfd, "evaluate", disk.folder / "run", garments).code == 0
    assert invoke(capfd, "inspect", disk.folder / "run").code == 0


@pytest.mark.parametrize("place", ["/proc/run", "/dev/null/run", "/sys/run"])
def test_a_place_that_cannot_be_written_is_reported(place: str, garments: Path, capfd: Any) -> None:
    error = error_object(invoke(capfd, "train", garments, *WORDS, "--out", place, "--json"))
    assert error["code"] in ("write_denied", "path_occupied", "write_failed")
    assert error["params"]["path"] == place
