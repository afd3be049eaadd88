"""`muslin recipes`: how accurate each recipe was, and how long it would train on this machine."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from command_line import run
from garment_files import write_garment_folders
from muslin.data.photos import PhotoImages
from muslin.errors import StoppedError
from muslin.learn.recipes import LADDER, RECIPES
from muslin.messages import Message, no_log
from muslin.reporting.terminal.recipes import print_recipes
from muslin.workflows.assumed_data import assumed_data
from muslin.workflows.run_folder import split_for_recipe
from muslin.workflows.training_data import Callbacks
from muslin.workflows.training_offers import RecipeOffer, TrainingOffers, offer_for_assumed_data

SUMMARIES = {name: row.summary for name, row in RECIPES.items()}
MACHINE = {"processor": "a processor", "cores": 2}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_garment_folders(tmp_path_factory.mktemp("small"), 40)


def test_recipes_prints_accuracy_and_time_for_own_data(small: Path) -> None:
    done = run("recipes", small, "--json", cwd=small.parent)
    assert done.code == 0, done
    printed = json.loads(done.out)
    assert printed["machine"]["cores"] >= 1
    (found,) = printed["data"]
    assert (found["chosen"], found["is_assumed"]) == ("quick", False)
    assert [offer["recipe"] for offer in found["offers"]] == [*LADDER, "tutorial"]
    assert all(offer["expected_s"] > 0 for offer in found["offers"])
    quick = RECIPES["quick"].benchmark
    assert quick is not None
    assert found["offers"][0]["benchmark"] == asdict(quick)


def text_of(*found: TrainingOffers) -> str:
    out = io.StringIO()
    print_recipes([asdict(each) for each in found], SUMMARIES, MACHINE, out)
    return out.getvalue()


def test_table_has_time_accuracy_and_where_it_was_measured() -> None:
    quick = RecipeOffer("quick", "whitened-4", 2, 75.0, RECIPES["quick"].benchmark)
    broken = RecipeOffer("meticulous", "whitened-2-shortcuts", 16, problem=Message("one_fold"))
    untimed = RecipeOffer("small-photo", "whitened-2", 16, settings={"batch_size": 7, "image_size": 40})
    counts = {"train": 50_000, "validation": 10_000, "test": 10_000}
    reason = Message("recipes_timing", n=3)
    offers = TrainingOffers("shop\x1b", {}, counts, "quick", reason, (quick, broken, untimed), ())
    text = text_of(offers)
    rows = {line.split()[0]: " ".join(line.split()) for line in reversed(text.splitlines()) if line}
    assert rows["50,000"] == "50,000 training images of shop\\x1b"
    assert rows["quick"] == "quick 1 min 15 s 90.8 % fashion-mnist, 5 seeds"
    assert str(Message("one_fold")) in " ".join(text.split())
    assert rows["small-photo"] == "small-photo – – not measured"
    assert "small-photo: timed with --set batch_size=7 --set image_size=40\n" in text
    assert text.count("timed with") == 1
    assert reason in text
    assert SUMMARIES["quick"] in text
    assert "a processor, 2 cores" in text
    assert "muslin recipes DATA" not in text
    assert "muslin recipes DATA" in text_of(TrainingOffers("x", {}, counts, "quick", None, (quick,), (), True))


def test_options_of_reading_need_data(tmp_path: Path) -> None:
    for words in (["--test", "x.csv"], ["--format", "pixels"]):
        done = run("recipes", *words, "--json", cwd=tmp_path)
        assert json.loads(done.out)["error"]["code"] == "option_needs"


def test_assumed_data_have_the_parts_of_public_data() -> None:
    with assumed_data() as (images, photos):
        for each, name in ((images, "quick"), (photos, "photo")):
            split, n = split_for_recipe(each.dataset, RECIPES[name], 0), sum(each.counts.values())
            growth = n / len(each.dataset)
            assert growth * len(split.train) == pytest.approx(each.counts["train"], rel=0.02)
            assert growth * len(split.validation) == pytest.approx(each.counts["validation"], rel=0.15)
        assert images.dataset.images[0].shape == (28, 28, 1)
        assert isinstance(photos.dataset.images, PhotoImages)


def test_timing_of_assumed_data_can_be_stopped() -> None:
    with pytest.raises(StoppedError) as error:
        offer_for_assumed_data(Callbacks(no_log, should_stop=lambda: True))
    assert error.value.params["done"] == 0
