"""A sweep by processes of this machine: the weights of one process, and an interruption that it goes on from."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

import muslin
from command_line import run, start
from muslin.data.convert import write_csv
from muslin.data.synthetic import SyntheticDataset
from muslin.models.bundle import open_bundle
from muslin.workflows.run_folder import Run

SMALL = ["--shape", "28x28", "--recipes", "quick", "--set", "batch_size=40", "--threads", 1]
WORDS = [*SMALL, "--set", "epochs=2"]


@pytest.fixture
def table(synthetic: SyntheticDataset, tmp_path: Path) -> Path:
    [path] = write_csv(replace(synthetic.dataset, name="garments"), tmp_path)
    return path


@pytest.mark.long  # four processes import torch
def test_interrupted_sweep_on_processes_resumes(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    command = ["sweep", table, *WORDS, "--seeds", "0-7", "--on", "local:2", "--out", out]
    with start(*command, cwd=tmp_path) as process:
        while not (out / "quick-seed-0" / "run.json").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert f"muslin sweep --resume {out}" in err
    done = run("sweep", "--resume", out, "--on", "local:2", "--json", cwd=tmp_path)
    assert done.code == 0, done
    assert [variant["status"] for variant in done.json["variants"]] == ["finished"] * 8
    settings = {"epochs": 2, "batch_size": 40}
    alone = muslin.train(
        table, recipe="quick", seed=1, settings=settings, threads=1, read_options={"shape": (28, 28)},
        out=tmp_path / "alone",
    )  # fmt: skip
    assert open_bundle(Run(out / "quick-seed-1").model).weights == open_bundle(alone.model).weights


@pytest.mark.long  # two processes import torch
def test_variant_is_kept_while_a_longer_one_is_trained(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    with start(
        "sweep", table, *SMALL, "--set", "epochs=2000,1", "--on", "local:2", "--out", out, cwd=tmp_path
    ) as process:
        while not (out / "quick-epochs=1-seed-0" / "run.json").exists() and process.poll() is None:
            time.sleep(0.05)
        process.kill()
        process.communicate()
    assert not (out / "quick-epochs=2000-seed-0").exists()
    assert open_bundle(Run(out / "quick-epochs=1-seed-0").model).targets[0].name == "label"
