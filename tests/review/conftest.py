"""Each test of a store runs twice: in SQLite, and in a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import StoreSettings
from review_stores import PostgreSQL
from small_models import small_bundle


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be made."""
    if request.param == "sqlite":
        return str(tmp_path / "shop.db")
    server = request.getfixturevalue("postgresql")
    assert isinstance(server, PostgreSQL)
    return server.url()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.muslin"
    seal(small_bundle(), path)
    return path


@pytest.fixture
def store(place: str, model: Path) -> Iterator[Store]:
    """An empty store with `small_bundle` as its model, and a random sample of a fifth."""
    with Store.create(place, model, who="Ada", settings=StoreSettings(spot_checks=0.2)) as made:
        yield made
