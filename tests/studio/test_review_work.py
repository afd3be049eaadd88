"""Training and promoting from the page: in a process of its own, for a store that the user named."""

import time
from pathlib import Path
from typing import Any

import pytest

from muslin.errors import MuslinError
from muslin.studio.review_stores import OpenStore, ReviewStores
from muslin.studio.review_work import ReviewWork, Work
from review_shop import make_review_shop

WAIT_S = 60


def done(works: ReviewWork, opened: OpenStore) -> Work:
    deadline = time.monotonic() + WAIT_S
    while (work := works.of(opened)) is not None and work.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert work is not None
    return work


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    stores = ReviewStores(tmp_path, make_review_shop(tmp_path / "shop", 20))
    yield stores.get("shop/shop.db")
    stores.close()


def test_a_training_that_cannot_be_tells_why_and_another_can_begin(tmp_path: Path, opened: OpenStore) -> None:
    works = ReviewWork(tmp_path)
    works.start(opened, "train", "Ada")
    with pytest.raises(MuslinError) as running:
        works.start(opened, "train", "Ada")
    assert running.value.code == "review_work_running"
    work = done(works, opened)
    assert work.result is None
    assert work.error is not None
    assert work.error.code != "review_work_ended"
    assert str(tmp_path) not in str(work.to_dict())
    works.start(opened, "undo_promotion", "Ada")
    assert done(works, opened).to_dict()["error"].code == "review_no_promotion"


def test_a_store_that_lies_in_the_folder_trains_nothing(tmp_path: Path) -> None:
    make_review_shop(tmp_path / "shop", 4)
    stores = ReviewStores(tmp_path)
    with pytest.raises(MuslinError) as refused:
        ReviewWork(tmp_path).start(stores.get("shop/shop.db"), "train", "Ada")
    assert refused.value.code == "review_serve_needed"
    stores.close()


def test_the_end_of_the_studio_ends_the_work(tmp_path: Path, opened: OpenStore) -> None:
    works = ReviewWork(tmp_path)
    work = works.start(opened, "train", "Ada")
    works.close()
    assert not work.process.is_alive()
