"""Trainings and promotions that a page starts, in real processes."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_review_routes import Page

import muslin
from muslin.data.synthetic import make_garments
from muslin.review.store import Store
from muslin.review.values import NewDecision, StoreSettings
from muslin.studio.review_routes import ReviewRoom
from muslin.workflows.review_add import add_catalogue
from review_shop import make_review_shop

MAX_S = 300


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    place = make_review_shop(tmp_path / "shop", 60)
    room = ReviewRoom.of(tmp_path / "shop", place)
    yield Page(room)
    room.close()


def ended(page: Page, which: str = "work") -> Any:
    """What was last started, once it runs no more."""
    end = time.monotonic() + MAX_S
    while (work := page.post("work")[which])["is_running"]:
        assert time.monotonic() < end, work
        time.sleep(0.05)
    return work


def pid_of_work(cache: Path) -> int:
    (state,) = cache.rglob("state.json")
    while (pid := json.loads(state.read_bytes())["pid"]) is None:
        time.sleep(0.01)
    return int(pid)


def test_a_store_on_which_nothing_was_started_says_so(page):
    assert page.post("work") == {"work": None, "forecast": None, "is_allowed": True}


def test_a_training_that_cannot_be_is_told(page):
    assert page.post("train")["work"]["is_running"]
    assert ended(page)["error"]["code"] == "review_nothing_decided"


def test_a_forecast_that_cannot_be_is_told(page):
    assert page.refusal("forecast", target="size").code == "request_choice"
    assert page.post("forecast", class_name="Bag")["forecast"]["kind"] == "forecast"
    assert ended(page, "forecast")["error"]["code"] == "forecast_recipe"


def test_a_forecast_and_a_training_keep_each_others_result(page):
    page.post("forecast")
    assert page.refusal("train").code == "review_work_running"
    ended(page, "forecast")
    page.post("train")
    assert page.refusal("forecast").code == "review_work_running"
    assert ended(page)["error"]["code"] == "review_nothing_decided"
    assert page.post("work")["forecast"]["error"]["code"] == "forecast_recipe"


def test_a_store_has_one_work_at_a_time(page):
    page.post("train")
    error = page.refusal("train")
    assert (error.code, error.status) == ("review_work_running", 409)
    ended(page)


def test_killed_work_is_told_and_can_start_again(page, tmp_path):
    page.post("train")
    os.kill(pid_of_work(tmp_path / "cache"), signal.SIGKILL)
    assert ended(page)["error"]["code"] == "review_work_ended"
    assert page.post("train")["work"]["is_running"]
    ended(page)


def test_only_models_of_the_store_can_be_promoted(page):
    for digest in ("", "0" * 64, "/etc/passwd", "model.muslin"):
        assert page.refusal("promote", digest=digest).code == "request_choice"
    active = page.post("models")["active"]
    for margin in (-0.1, 1, "2", True, None):
        assert page.refusal("promote", digest=active, margin=margin).code == "request_value"
    page.post("promote", digest=active, margin=0.1)
    assert ended(page)["error"]["code"] == "promotion_active"


def test_an_unnamed_store_trains_where_its_data_are_below(tmp_path):
    shop, elsewhere = tmp_path / "shop", tmp_path / "elsewhere"
    make_review_shop(shop, 60)
    make_review_shop(elsewhere, 60, str(shop / "other.db"))
    sources = [{"data": str(elsewhere / "catalogue.csv")}, {"data": str(shop), "read_options": {"allow_outside": True}}]
    for number, source in enumerate(sources):
        Store.create(
            shop / f"{number}.db", shop / "model.muslin", who="Ada", settings=StoreSettings(data=source)
        ).close()
    room = ReviewRoom.of(shop)
    page = Page(room)
    for name in ("other.db", "0.db", "1.db"):
        assert page.refusal("train", store=name).code == "review_serve_needed"
        assert page.post("work", store=name) == {"work": None, "forecast": None, "is_allowed": False}
    assert page.post("train")["work"]["is_running"]
    assert ended(page)["error"]["code"] == "review_nothing_decided"
    room.close()


@pytest.mark.slow
def test_a_candidate_is_trained_and_promoted_while_no_studio_runs(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    trained, new = make_garments(120, seed=3), make_garments(60, seed=4)
    source = write_garments(trained, shop / "first")
    settings = {"epochs": 2, "batch_size": 20, "max_steps": 12}
    run = muslin.train(source, recipe="quick", out=shop / "run", settings=settings)
    with Store.create(
        shop / "shop.db", run.model, who="Ada", settings=StoreSettings(data=run.record["source"], spot_checks=0.5)
    ) as store:
        add_catalogue(store, write_garments(new, shop / "catalogue"))
        names = new.dataset.targets[0].classes
        store.decide(
            [
                NewDecision(
                    product.id, "label", "value", str(product.id), product.fingerprint, store.active.digest,
                    names[new.true_labels[int(product.photos[0].split(".")[0])]],
                )
                for product in store.products()
            ],
            "Ada",
        )  # fmt: skip
    place = str(shop / "shop.db")
    room = ReviewRoom.of(shop, place)
    page = Page(room)
    page.post("train")
    assert page.post("stop")["work"]["is_running"]
    stopped = ended(page)
    assert stopped["result"] is None
    assert stopped["error"]["code"].endswith("_stopped")  # by which the page knows that nothing failed
    page.post("train")
    room.close()

    room = ReviewRoom.of(shop, place)
    page = Page(room)
    work = ended(page)
    assert work["error"] is None
    assert work["lines"]
    candidate = work["result"]["digest"]
    assert candidate in {model["digest"] for model in page.post("models")["models"]}
    page.post("promote", digest=candidate)
    result = ended(page)["result"]
    assert result["digest"] == candidate
    assert result["is_promoted"] == (not result["refusals"]) == (page.post("models")["active"] == candidate)
    if not result["is_promoted"]:
        page.post("promote", digest=candidate, margin=0.99)
        assert ended(page)["result"]["is_promoted"]
    room.close()


def write_garments(garments: Any, folder: Path) -> Path:
    """A table of photos with their classes."""
    folder.mkdir(parents=True)
    names = garments.dataset.targets[0].classes
    rows = ["image,label"]
    for number, (pixels, label) in enumerate(zip(garments.dataset.images.pixels, garments.true_labels, strict=True)):
        Image.fromarray(np.asarray(pixels[..., 0])).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{names[label]}")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder / "table.csv"
