"""A real server with a small model, for each file of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from muslin.models.bundle import seal
from server_process import Served, running_server
from small_models import small_bundle, with_calibration, with_ood_detector


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes, which are the darker, the brighter and the brightest images of 8×8 gray pixels, with
    calibration data and an OOD detector."""
    path = tmp_path_factory.mktemp("models") / "small.muslin"
    seal(with_ood_detector(with_calibration(small_bundle()), 0.05, 0.95), path)
    return path


@pytest.fixture(scope="module")
def served(small_model: Path) -> Iterator[Served]:
    """A server of `small_model`."""
    with running_server(str(small_model)) as server:
        yield server
