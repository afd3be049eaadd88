"""What a user has before a journey begins: files of images, and a home of their own."""

from dataclasses import replace
from pathlib import Path

import pytest

from muslin.data.convert import write_csv
from muslin.data.synthetic import make_garments


@pytest.fixture(scope="session")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """garments.csv: 300 drawn images, 28×28 gray, five classes by name."""
    [path] = write_csv(replace(make_garments(300, seed=3).dataset, name="garments"), tmp_path_factory.mktemp("data"))
    return path
