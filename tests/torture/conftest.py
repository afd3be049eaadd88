"""What the tortures share: how many rounds, a server of commands, and small files of every kind."""

from collections.abc import Iterator
from typing import Any

import pytest
from downloads import serving_dataset
from fork_server import ForkServer
from inputs import Inputs, make_inputs


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
