"""What a user has before a journey begins: files of pictures, and a home of their own."""

from dataclasses import replace
from pathlib import Path

import pytest

from muslin.data.drawn import draw
from muslin.data.known import write_csv


@pytest.fixture(scope="session")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """garments.csv: 300 drawn pictures, 28×28 gray, five classes by name."""
    [path] = write_csv(replace(draw(300, seed=3).dataset, name="garments"), tmp_path_factory.mktemp("data"))
    return path
