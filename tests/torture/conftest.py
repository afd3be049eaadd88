"""What the tortures share: how many rounds, a server of commands, and small files of every kind."""

from collections.abc import Iterator
from typing import Any

import pytest
from downloads import serving_dataset
from fork_server import ForkServer
from inputs import Inputs, make_inputs

LONG_ROUNDS = 10
"""From so many rounds on, all commands are tortured, not one of each kind."""


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
def server() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A registered data set on a real server."""
    with serving_dataset(tmp_path_factory.mktemp("served")) as dataset:
        yield dataset
