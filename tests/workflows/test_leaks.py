"""Copies of one photo in two parts, or under two labels: said by every command, and measured apart."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import invoke
from muslin.data.dataset import PARTS, Split
from muslin.errors import DataError
from muslin.models.seen_images import digest_images
from muslin.workflows.run_folder import Run
from muslin.workflows.selected_part import SeenCounts, without_copies

SETTINGS = ("--recipe", "quick", "--epochs", 1, "--set", "batch_size=8", "--set", "image_size=32")


def noise(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)


def copy(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.read_bytes())


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """Folders with parts: two test photos are training photos, one of them under another label."""
    root = tmp_path / "photos"
    for number in range(12):
        for place, kind in enumerate(("dress", "hat")):
            for offset, part in enumerate(PARTS):
                noise(root / part / kind / f"{number}.png", 100 * place + 20 * offset + number)
    copy(root / "train/dress/3.png", root / "test/dress/leak.png")
    copy(root / "train/dress/4.png", root / "test/hat/leak.png")
    return root


def leak_message(fixes: list[dict[str, Any]]) -> dict[str, Any]:
    [message] = [fix for fix in fixes if fix["code"] == "copies_in_two_parts" and fix["params"]["part"] == "test"]
    params: dict[str, Any] = message["params"]
    return params


def test_leaks_between_given_parts_are_said_by_every_command(leaking: Path, tmp_path: Path, capfd: Any) -> None:
    run = Run(tmp_path / "run")
    trained = invoke(capfd, "train", leaking, *SETTINGS, "-o", run.folder, "--json")
    assert trained.code == 0, trained
    expected = {"other": "train", "count": 2, "names": ["test/dress/leak.png", "test/hat/leak.png"]}
    assert expected.items() <= leak_message(trained.json["fixes"]).items()
    assert any(line.startswith("test images that are copies") for line in trained.err.splitlines())
    assert "test images that are copies" in run.report.read_text()
    written = json.loads((run.folder / "evaluation.json").read_text())["targets"]["label"]["reliability"]["leaks"]
    seen = json.loads((run.folder / "evaluation.json").read_text())["seen_images"]
    assert seen == {"n": 26, "train": 2, "validation": 0, "set_aside": True}
    assert written["n"] == 0, "the two copies are set aside"
    assert Run(run.folder).record["data"]["split_sizes"]["test"] == 24

    evaluated = invoke(capfd, "evaluate", run.folder, leaking, "--json")
    assert expected.items() <= leak_message(evaluated.json["fixes"]).items()
    assert {fix["code"] for fix in evaluated.json["fixes"]} >= {"copies_with_other_labels"}
    assert evaluated.json["targets"]["label"]["reliability"]["leaks"] == written
    assert any(line.startswith("test images that are copies") for line in evaluated.err.splitlines())

    everything = invoke(capfd, "evaluate", run.folder, leaking, "--split", "all", "--json")
    assert expected.items() <= leak_message(everything.json["fixes"]).items()

    compared = invoke(capfd, "compare", run.folder, run.folder, leaking, "--json")
    assert expected.items() <= leak_message(compared.json["fixes"]).items()


@pytest.mark.parametrize("layout", ["table", "test file", "parquet"])
def test_leaks_are_found_in_every_layout(layout: str, leaking: Path, tmp_path: Path) -> None:
    files = sorted(leaking.glob("*/*/*.png"))
    rows = {part: [f"{f.relative_to(leaking)},{f.parent.name},{part}" for f in files if part in f.parts]
            for part in PARTS}  # fmt: skip
    options: dict[str, Any] = {"read_options": {"target": "label", "split_column": "part"}}
    data = leaking / "shop.csv"
    if layout == "test file":
        options = {"test": leaking / "test.csv", "read_options": {"target": "label"}}
        (leaking / "test.csv").write_text("\n".join(["image,label", *(r[: r.rindex(",")] for r in rows["test"])]))
        data.write_text("\n".join(["image,label", *(r[: r.rindex(",")] for r in rows["train"])]))
    else:
        data.write_text("\n".join(["image,label,part", *(row for part in PARTS for row in rows[part])]))
    if layout == "parquet":
        from muslin.data.convert import convert

        data = convert(data, "parquet", tmp_path / "shop.parquet", read_options=options["read_options"]).path
        options = {}
    settings = {"epochs": 1, "batch_size": 8, "image_size": 32}
    run = muslin.train(data, recipe="quick", out=tmp_path / "run", settings=settings, **options)
    leaks = [f["params"]["count"] for f in run.record["data"]["fixes"] if f["code"] == "copies_in_two_parts"]
    assert sum(leaks) == 2, "of photos in training, or in the validation set drawn from it"


def test_copies_of_photos_without_parts_do_not_leak(leaking: Path, tmp_path: Path, capfd: Any) -> None:
    whole = tmp_path / "whole"
    for file in leaking.glob("train/*/*.png"):
        copy(file, whole / file.parent.name / file.name)
        copy(file, whole / file.parent.name / f"copy-{file.name}")
    run = Run(tmp_path / "run")
    trained = invoke(capfd, "train", whole, *SETTINGS, "-o", run.folder, "--json")
    [copies] = [fix for fix in trained.json["fixes"] if fix["code"] == "copies_found"]
    assert copies["params"]["n"] == 24
    assert copies["hint"]
    for result in (run.folder / "evaluation.json", None):
        text = result.read_text() if result else invoke(capfd, "evaluate", run.folder, whole, "--json").out
        assert json.loads(text)["targets"]["label"]["reliability"]["leaks"]["n"] == 0


def test_sets_lose_the_images_of_earlier_sets() -> None:
    images = np.repeat(np.arange(8, dtype=np.uint8), 4).reshape(8, 2, 2, 1)
    digests = digest_images(images[[0, 1, 2, 0, 3, 4, 1, 3, 5, 5]])
    parts = Split(train=np.arange(3), validation=np.arange(3, 6), test=np.arange(6, 10))
    found, counts = without_copies("shop", parts, digests)
    assert (found.train.tolist(), found.validation.tolist(), found.test.tolist()) == ([0, 1, 2], [4, 5], [8, 9])
    assert counts == {
        "validation": SeenCounts(n=3, train=1, validation=0, set_aside=True),
        "test": SeenCounts(n=4, train=1, validation=1, set_aside=True),
    }


def test_test_set_of_training_images_is_refused_before_training(leaking: Path, tmp_path: Path) -> None:
    for file in leaking.glob("test/*/*.png"):
        file.unlink()
    for file in leaking.glob("train/*/*.png"):
        copy(file, leaking / "test" / file.parent.name / file.name)
    with pytest.raises(DataError) as error:
        muslin.train(leaking, recipe="quick", out=tmp_path / "run", settings={"batch_size": 8, "image_size": 32})
    assert error.value.code == "all_images_seen"
    assert {"n": 24, "train": 24, "validation": 0}.items() <= error.value.params.items()
    assert not (tmp_path / "run").exists()
