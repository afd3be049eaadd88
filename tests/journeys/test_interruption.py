"""Runs that are killed, interrupted and resumed: real processes, real signals, the same weights in the end."""

import json
import random
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from wholeness import Watch

from command_line import COMMAND, invoke, last_line, refusal, run, start
from muslin.messages import Message
from muslin.models.bundle import open_bundle

JOBS = {
    "quick": ["--epochs", "12", "--set", "batch_size=32", "--set", "flip=yes", "--seed", "5"],
    "tutorial": ["--epochs", "12", "--set", "batch_size=32", "--set", "widths=16,16,32", "--seed", "5"],
}
KILLS = {"quick": 12, "tutorial": 8}
TURNS = ("run.json", "history.jsonl", "checkpoint.safetensors", "model.muslin", "evaluation.json", "report.html")


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
def whole(
    request: pytest.FixtureRequest, garments: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Job, float]:
    """A run that nobody interrupted, and how many seconds it took."""
    job = Job(request.param, garments, tmp_path_factory.mktemp("whole") / "run")
    started = time.monotonic()
    job.finish()
    return job, time.monotonic() - started


def killed(job: Job, moment: random.Random, most_s: float) -> str | None:
    """Begin or go on, and kill the process at a random moment; the file it had written last, None if it had ended.

    Half the moments are anywhere between the start and the end; half are just after a file came or changed,
    since some phases take a twentieth of a second and others, such as loading torch, most of the time.
    """
    turn = moment.choice([None, moment.choice(TURNS)])
    wait_s = moment.uniform(0, most_s if turn is None else 0.25)
    written: list[str] = []
    with job.begin() as process:
        begun = time.monotonic()
        while process.poll() is None:
            written += job.watch.look()
            if turn in written:
                turn, begun = None, time.monotonic()
            if turn is None and time.monotonic() - begun >= wait_s:
                process.kill()
                break
            time.sleep(0.01)
        _, errors = process.communicate()
    written += job.watch.look()
    if process.returncode == 0:
        return None
    assert process.returncode == -signal.SIGKILL, errors
    return written[-1] if written else "none"


def test_killed_and_resumed_run_has_the_same_weights(whole: tuple[Job, float], tmp_path: Path) -> None:
    uninterrupted, took_s = whole
    moment = random.Random(uninterrupted.recipe)
    expected, places, runs = uninterrupted.outcome(), [], 0
    while len(places) < KILLS[uninterrupted.recipe]:
        job = Job(uninterrupted.recipe, uninterrupted.data, tmp_path / f"run {runs}")
        runs += 1
        for _ in range(4):
            place = killed(job, moment, took_s)
            if place is None:
                break
            places.append(place)
        job.finish()
        found = job.outcome()
        for name in expected:
            assert found[name] == expected[name], (name, places)
        assert job.watch.looked > 10
    assert len(set(places)) >= 3, f"the kills came at few kinds of moments: {places}"
    print(f"last written before a kill: {places}")


def test_ctrl_c_and_sigterm_stop_after_the_step(whole: tuple[Job, float], tmp_path: Path) -> None:
    uninterrupted, _ = whole
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
    assert "stopping after this step" in err
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


@pytest.mark.parametrize("whole", ["quick"], indirect=True)
def test_second_ctrl_c_stops_at_once_and_keeps_the_checkpoint(whole: tuple[Job, float], tmp_path: Path) -> None:
    uninterrupted, _ = whole
    job = Job(uninterrupted.recipe, uninterrupted.data, tmp_path / "run")
    with job.begin() as process:
        while not (job.folder / "checkpoint.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        while "stopping after this step" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (1, 130), "1 where the step ended before the second one came"
    assert "Traceback" not in err
    job.finish()
    assert job.outcome() == uninterrupted.outcome()


def test_finished_run_is_not_trained_again(whole: tuple[Job, float], capfd: Any) -> None:
    job, _ = whole
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in job.folder.iterdir()}
    done = invoke(capfd, "train", "--resume", job.folder, "--json")
    assert (done.code, done.err) == (0, f"{Message('run_finished')}\n")
    assert done.json["run"] == str(job.folder)
    assert invoke(capfd, "train", "--resume", job.folder).out.startswith("accuracy ")
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in job.folder.iterdir()} == before


def test_resume_refuses_other_data_and_leaves_the_run(whole: tuple[Job, float], tmp_path: Path, capfd: Any) -> None:
    job, _ = whole
    other = tmp_path / "other.csv"
    lines = job.data.read_text().splitlines(keepends=True)
    other.write_text("".join(lines[:-1]))
    before = {path.name: path.stat().st_mtime_ns for path in job.folder.iterdir()}
    message = refusal(invoke(capfd, "train", other, "--resume", job.folder))
    assert message == str(Message("run_data_changed", path=str(job.folder), name="other"))
    assert {path.name: path.stat().st_mtime_ns for path in job.folder.iterdir()} == before
