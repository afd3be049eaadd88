"""Fixtures that more than one room of tests uses. Worlds that belong to one room live beside its tests."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from command_line import CommandResult, FinishedRun, run
from idx_files import write_part
from muslin.data import read
from muslin.data.dataset import pixel_array
from muslin.data.synthetic import SyntheticDataset, make_garments

# No test depends on the time that it takes, also not on a machine that others use
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

LONG_ROUNDS = 10
"""From so many rounds on, all commands are tortured, not one of each kind, and long tests run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=2, help="how often tests/torture disturbs each command")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--rounds") < LONG_ROUNDS:
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    """How often each command is tortured: a handful, or as `--rounds` says."""
    return int(request.config.getoption("--rounds"))


@pytest.fixture(scope="session")
def is_long(rounds: int) -> bool:
    """Whether this is the long form."""
    return rounds >= LONG_ROUNDS


@pytest.fixture(scope="session")
def synthetic() -> SyntheticDataset:
    """200 gray 28×28 garments of five classes, all labels right, no duplicates."""
    return make_garments(200, seed=1)


@pytest.fixture(scope="session")
def synthetic_colour() -> SyntheticDataset:
    """60 colour garments of 40×40 pixels."""
    return make_garments(60, seed=2, size_px=40, colour=True)


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """A folder of this worker of pytest-xdist, and what `make` says of it: one worker makes it, the others copy it.

    Args:
        make: fills the folder that it gets; what it returns can be written as JSON.
    """
    root = tmp_path_factory.getbasetemp()
    shared = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / f"shared-{name}"
    said, lock = shared.with_suffix(".json"), shared.with_suffix(".lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        if not said.exists():
            shutil.rmtree(shared, ignore_errors=True)  # of a worker that failed
            shared.mkdir()
            said.write_text(json.dumps(make(shared)))
    own = tmp_path_factory.mktemp(name) / name
    shutil.copytree(shared, own)
    return own, json.loads(said.read_text())


def finished_run(tmp_path_factory: pytest.TempPathFactory, name: str, *words: object) -> FinishedRun:
    """A run by `muslin train WORDS… --json`."""

    def make(folder: Path) -> dict[str, Any]:
        done = run("train", *words, "--out", "run", "--json", cwd=folder)
        assert done.code == 0, done
        return asdict(done)

    folder, done = made_once(tmp_path_factory, name, make)
    return FinishedRun(folder / "run", CommandResult(**done))


@pytest.fixture(scope="session")
def fashion_slice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder fashion-mnist of IDX files: the first 2,400 train and 600 test images of the real ones."""
    folder = tmp_path_factory.mktemp("slice") / "fashion-mnist"
    for prefix, part, count in (("train", "train", 2400), ("t10k", "test", 600)):
        some = read("fashion-mnist").part(part)
        write_part(folder, prefix, pixel_array(some)[:count], some.labels["label"][:count])
    return folder


@pytest.fixture(scope="session")
def sliced_run(fashion_slice: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run on the slice of Fashion-MNIST, by `muslin train … --json`."""
    return finished_run(tmp_path_factory, "sliced", fashion_slice, "--epochs", 4, "--set", "batch_size=64")


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run on all of Fashion-MNIST with the recipe quick, made once for all tests that are marked slow."""
    return finished_run(tmp_path_factory, "whole", "fashion-mnist")
