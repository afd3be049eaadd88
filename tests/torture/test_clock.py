"""The clock of the computer set back between two steps, or wrong from the start: nothing depends on it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fork_server import Job
from inputs import SGD
from victims import commands, victim

from command_line import environment, run

TEN_YEARS_BACK = "-10y"
BEFORE_ZIP = "@1975-01-01 00:00:00"
"""An archive cannot hold times before 1980."""

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

YEAR_S = 365 * 86_400

ATTEMPTS = 10
"""To kill a command before its end."""

needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="needs Debian's package faketime")


def run_at(clock: str, job: Job) -> None:
    """Run a command to its end while the clock shows an earlier time."""
    variables = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    changed = environment(**job.environment, **variables)
    shown = subprocess.check_output([sys.executable, "-c", "import time; print(time.time())"], env=changed)
    assert float(shown) < time.time() - 9 * YEAR_S, "a library that cannot be loaded is ignored"
    done = run(*job.words, cwd=job.cwd, env=changed)
    assert done.code == 0, done


@needs_faketime
@pytest.mark.parametrize("name", commands(["train sgd", "tag csv"], ["tag csv"]))
def test_clock_set_back_before_resume_changes_nothing(name, server, inputs, tiny, tmp_path):
    disturbed = victim(name, inputs, tiny)
    (tmp_path / "whole").mkdir()
    assert server.run(disturbed.job(tmp_path / "whole")).code == 0
    kept = {"train sgd": "run/history.jsonl", "tag csv": "tagged.csv.partial"}[name]
    for attempt in range(ATTEMPTS):
        killed = tmp_path / f"killed-{attempt}"
        killed.mkdir()
        running = server.start(disturbed.job(killed))
        while not (killed / kept).exists() and not running.poll():
            pass
        if running.kill().was_killed and (killed / kept).exists():
            break
    else:
        raise AssertionError(f"none of {ATTEMPTS} was killed before its end, the last one: {running.ended}")
    run_at(TEN_YEARS_BACK, disturbed.job(killed))
    assert disturbed.outcome(killed) == disturbed.outcome(tmp_path / "whole")


@needs_faketime
@pytest.mark.parametrize("name", commands(["tag xlsx", "evaluate", "folders", "parquet"], ["tag xlsx", "evaluate"]))
def test_clock_before_1980_changes_no_file(name, server, inputs, tiny, tmp_path):
    disturbed = victim(name, inputs, tiny)
    for folder in ("now", "then"):
        (tmp_path / folder).mkdir()
    assert server.run(disturbed.job(tmp_path / "now")).code == 0
    run_at(BEFORE_ZIP, disturbed.job(tmp_path / "then"))
    assert disturbed.outcome(tmp_path / "then") == disturbed.outcome(tmp_path / "now")


@pytest.mark.long
def test_inputs_from_the_future_are_read(server, inputs, tmp_path):
    """Their times lie ahead of the clock once it was set back."""
    data = Path(shutil.copy(inputs.garments, tmp_path))
    os.utime(data, (2**32, 2**32))
    words = ["train", data, *SGD, "--epochs", "1", "--out", tmp_path / "run"]
    assert server.run(Job(words, tmp_path, inputs.environment(tmp_path / "cache"))).code == 0
    for path in (tmp_path / "run").iterdir():
        os.utime(path, (2**32, 2**32))
    words = ["evaluate", tmp_path / "run", data, "--json"]
    assert server.run(Job(words, tmp_path, inputs.environment(tmp_path / "cache"))).code == 0
