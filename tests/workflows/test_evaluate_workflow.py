"""A model judged on a shop's table: what may be taken, which season is weak, what leaked from training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import FinishedRun, invoke, refusal
from muslin.data import read
from muslin.data.convert import write_csv
from muslin.data.dataset import Dataset
from muslin.data.synthetic import SyntheticDataset
from muslin.errors import DataError
from muslin.models.bundle import seal
from muslin.workflows.evaluate import judge
from small_models import LABEL, SIDE, small_bundle


def shop(folder: Path) -> Path:
    """120 gray squares; the model calls dark ones Trouser and bright ones Bag, and winter's labels say otherwise."""
    random, rows = np.random.default_rng(0), ["image,label,season,split"]
    (folder / "images").mkdir()
    for number in range(120):
        part, season = ("train", "test")[number % 2], ("summer", "winter", "")[number // 2 % 3]
        bright = random.random() < 0.5
        pixels = random.integers(0, 40, (SIDE, SIDE), dtype=np.uint8) + np.uint8(200 if bright else 0)
        label = ("Bag" if bright else "Trouser") if season != "winter" else "Shirt"
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        rows.append(f"images/{number}.png,{label},{season},{part}")
    for number in (1, 3):  # the test's first two summer photos are in the training part, too
        rows.append(f"images/copy{number}.png,{rows[number + 1].split(',')[1]},summer,train")
        (folder / "images" / f"copy{number}.png").write_bytes(
            (folder / "images" / f"{number}.png").read_bytes()
        )
    (folder / "shop.csv").write_text("\n".join(rows) + "\n")
    seal(small_bundle(LABEL), folder / "model.muslin")
    return folder / "shop.csv"


READING = {"target": "label", "split_column": "split"}
WORDS = ("--target", "label", "--split-column", "split")


def test_the_weak_season_comes_first_and_copies_of_training_photos_are_set_aside(
    tmp_path: Path, capfd: Any
) -> None:
    table = shop(tmp_path)
    found = judge(tmp_path / "model.muslin", table, reading=READING, by="season").reliabilities["label"]
    assert [(s.value, s.n, s.weak) for s in found.slices] == [("winter", 20, True), ("summer", 20, False)]
    assert found.leaks is not None
    assert found.leaks.n == 2
    said = invoke(
        capfd,
        "evaluate",
        tmp_path / "model.muslin",
        table,
        *WORDS,
        "--slice-by",
        "season",
        "-o",
        tmp_path / "e.json",
    )
    assert said.code == 0, said
    assert "worse than the others, by more than chance: winter" in said.out
    assert "2 images nearly identical with training images" in said.out
    assert "carries no held-out images" in said.out
    assert json.loads((tmp_path / "e.json").read_text())["trust"]["label"]["leaks"]["n"] == 2


def test_whoever_judges_a_model_by_what_it_was_made_with_is_told(
    sliced_run: FinishedRun, fashion_slice: Path, drawn: SyntheticDataset, tmp_path: Path
) -> None:
    def told(model: Path, data: Path | Dataset, split: str) -> str:
        sentences: list[str] = []
        judge(model, data, split=split, log=sentences.append)
        return "; ".join(sentences)

    model, whole = sliced_run.folder / "model.muslin", read(fashion_slice)
    csv = write_csv(whole, tmp_path)
    for data, split in ((fashion_slice, "train"), (fashion_slice, "all"), (csv[0], "test")):
        assert "learned from images among these" in told(model, data, split), (data, split)
    for other, split in ((fashion_slice, "test"), (csv[1], "test")):
        assert "the model" not in told(model, other, split), (other, split)

    settings = {"epochs": 1, "batch_size": 40}
    run = muslin.train(drawn.dataset, settings=settings, out=tmp_path / "run")
    assert "learned from" in told(run.model, drawn.dataset, "train")
    assert "confidence was set with these" in told(run.model, drawn.dataset, "validation")
    assert "the model" not in told(run.model, drawn.dataset, "test")


def test_a_column_that_makes_no_slices_and_a_precision_nobody_can_promise_are_refused(
    tmp_path: Path, capfd: Any
) -> None:
    table = shop(tmp_path)
    model = tmp_path / "model.muslin"
    assert "saison" in refusal(invoke(capfd, "evaluate", model, table, *WORDS, "--slice-by", "saison"))
    assert "Nothing can promise 1" in refusal(
        invoke(capfd, "evaluate", model, table, *WORDS, "--precision", 1)
    )
    assert "no columns to go by" in refusal(
        invoke(capfd, "evaluate", model, "fashion-mnist", "--slice-by", "season")
    )
    many = tmp_path / "many.csv"
    lines = table.read_text().splitlines()
    many.write_text("\n".join([f"{lines[0]},sku", *(f"{line},{i}" for i, line in enumerate(lines[1:]))]))
    with pytest.raises(DataError, match="too many to say anything"):
        judge(model, many, reading=READING, by="sku")
