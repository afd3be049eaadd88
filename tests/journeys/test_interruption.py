"""Runs that are interrupted and resumed: real processes, real signals, the same weights in the end."""

import json
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from command_line import COMMAND, invoke, last_line, refusal, run, start
from muslin.messages import Message
from muslin.models.bundle import open_bundle
from wholeness import Watch

JOBS = {
    "quick": ["--epochs", "12", "--set", "batch_size=32", "--set", "flip=yes", "--seed", "5"],
    "tutorial": ["--epochs", "12", "--set", "batch_size=32", "--set", "widths=16,16,32", "--seed", "5"],
}


@dataclass
class Job:
    """One training by the command line that may be begun, watched, killed and gone on with."""

    recipe: str
    data: Path
    folder: Path
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.folder)

    @property
    def words(self) -> list[object]:
        """What a user types next: the same again until there is a run, then --resume."""
        if self.watch.status is None:
            return ["train", self.data, "--recipe", self.recipe, *JOBS[self.recipe], "--out", self.folder]
        return ["train", "--resume", self.folder]

    def begin(self) -> "subprocess.Popen[str]":
        return start(*self.words, cwd=self.data.parent)

    def finish(self) -> None:
        done = run(*self.words, "--json", cwd=self.data.parent)
        assert done.code == 0, done.err
        self.watch.look()
        assert self.watch.status == "finished"
        assert not [path for path in self.folder.iterdir() if path.name.startswith(".")]

    def outcome(self) -> dict[str, Any]:
        """Everything that must not depend on where a run was interrupted."""
        bundle = open_bundle(self.folder / "model.muslin")
        history = (self.folder / "history.jsonl").read_text().splitlines()
        return {
            "weights": bundle.weights,
            "model": bundle.model,
            "checkpoint": {
                name: value.tobytes() for name, value in load_file(self.folder / "checkpoint.safetensors").items()
            },
            "history": [{**json.loads(row), "elapsed_s": None} for row in history],
            "evaluation": (self.folder / "evaluation.json").read_bytes(),
        }


@pytest.fixture(scope="module", params=sorted(JOBS))
def whole(request: pytest.FixtureRequest, garments: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run that nobody interrupted."""
    job = Job(request.param, garments, tmp_path_factory.mktemp("whole") / "run")
    job.finish()
    return job


def test_ctrl_c_and_sigterm_stop_after_the_step(whole: Job, tmp_path: Path) -> None:
    uninterrupted = whole
    number = {"quick": signal.SIGINT, "tutorial": signal.SIGTERM}[uninterrupted.recipe]
    job = Job(uninterrupted.recipe, uninterrupted.data, tmp_path / "a run")
    with job.begin() as process:
        while not (job.folder / "history.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert "stopping soon" in err
    assert "Traceback" not in err
    message = last_line(err)
    assert message.startswith(f"muslin: {job.folder}: ")
    job.watch.look()
    assert job.watch.status == "training"
    command, *words = shlex.split(message[message.rindex("muslin train") :])
    assert command == COMMAND.name
    assert run(*words, cwd=Path("/")).code == 0
    job.watch.look()
    assert job.outcome() == uninterrupted.outcome()


DYING = """
import os, signal, sys
from muslin.{module} import {function} as call
import muslin.{module} as module
def killed(*arguments):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
module.{function} = killed
import muslin.cli
muslin.cli.main()
"""
"""muslin as a process that is killed before or after a function does its work."""


@pytest.fixture(scope="module")
def excluding(garments: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[object], Path]:
    """A training without one image, but for its folder, and the run of it that nobody disturbed."""
    here = tmp_path_factory.mktemp("excluding")
    (here / "without.csv").write_text("part,id\n,3\n")
    options = ["--epochs", "1", "--set", "batch_size=32", "--exclude", here / "without.csv"]
    training = ["train", garments, "--recipe", "tutorial", *options, "--out"]
    done = run(*training, here / "run", cwd=here)
    assert done.code == 0, done.err
    return training, here / "run"


@pytest.mark.parametrize("before", ["pass", "call(*arguments)"], ids=["before", "after"])
@pytest.mark.parametrize("where", ["data.audit.exclusions write_exclusions", "learn.checkpoint start_checkpoint"])
def test_a_start_that_was_killed_can_be_repeated(
    where: str, before: str, excluding: tuple[list[object], Path], tmp_path: Path
) -> None:
    (training, undisturbed), (module, function) = excluding, where.split()
    program = DYING.format(module=module, function=function, before=before)
    words = [sys.executable, "-c", program, *training, tmp_path / "run"]
    assert subprocess.run(list(map(str, words)), capture_output=True, timeout=120).returncode == -signal.SIGKILL
    assert not (tmp_path / "run/run.json").exists()
    done = run(*training, tmp_path / "run", cwd=tmp_path)
    assert done.code == 0, done.err
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in undisturbed.iterdir()}
    weights = [open_bundle(folder / "model.muslin").weights for folder in (tmp_path / "run", undisturbed)]
    assert weights[0] == weights[1]


ENDLESS = """
import time
from pathlib import Path
import muslin.learn.training_loop as module
update_weights = module.update_weights
def endless(*arguments):
    update_weights(*arguments)
    if Path({checkpointed!r}).exists():
        Path({reached!r}).touch()
        time.sleep(3600)
module.update_weights = endless
import muslin.cli
muslin.cli.main()
"""
"""muslin as a process whose first step after `checkpointed` is there does not end; it makes `reached` in that step."""


@pytest.mark.parametrize("whole", ["quick"], indirect=True)
def test_second_ctrl_c_stops_at_once_and_keeps_the_checkpoint(whole: Job, tmp_path: Path) -> None:
    uninterrupted = whole
    job, reached = Job(uninterrupted.recipe, uninterrupted.data, tmp_path / "run"), tmp_path / "reached"
    program = ENDLESS.format(checkpointed=str(job.folder / "history.jsonl"), reached=str(reached))
    words = [sys.executable, "-c", program, *map(str, job.words)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not reached.exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.stderr
            assert any("stopping soon" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    with safe_open(job.folder / "checkpoint.safetensors", "numpy") as checkpoint:
        assert "state" in checkpoint.metadata(), "the steps of the first epoch"
    job.finish()
    assert job.outcome() == uninterrupted.outcome()


def test_finished_run_is_not_trained_again(whole: Job, capfd: Any) -> None:
    job = whole
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in job.folder.iterdir()}
    done = invoke(capfd, "train", "--resume", job.folder, "--json")
    assert (done.code, done.err) == (0, f"{Message('run_finished')}\n")
    assert done.json["run"] == str(job.folder)
    assert invoke(capfd, "train", "--resume", job.folder).out.startswith("accuracy ")
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in job.folder.iterdir()} == before


def test_resume_refuses_other_data_and_leaves_the_run(whole: Job, tmp_path: Path, capfd: Any) -> None:
    job = whole
    other = tmp_path / "other.csv"
    lines = job.data.read_text().splitlines(keepends=True)
    other.write_text("".join(lines[:-1]))
    before = {path.name: path.stat().st_mtime_ns for path in job.folder.iterdir()}
    message = refusal(invoke(capfd, "train", other, "--resume", job.folder))
    assert message == str(Message("run_data_changed", path=str(job.folder), name="other"))
    assert {path.name: path.stat().st_mtime_ns for path in job.folder.iterdir()} == before
