"""Nothing is left out in silence: every command counts it on the console and names it in `--json`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import error_object, invoke
from muslin.workflows.run_folder import Run

SMALL = ("--recipe", "quick", "--epochs", 1, "--set", "batch_size=8", "--set", "image_size=32")
BROKEN = ["dress/cut-off.png", "dress/page.jpg", "hat/empty.jpg"]
READING = {"other_files_skipped", "folders_without_photos"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two classes, three that cannot be read, a text file and an empty folder; and a model of them."""
    root = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(0)
    for place, kind in enumerate(("dress", "hat")):
        (root / "photos" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(100 * place, 100 * place + 90, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "photos" / kind / f"{number}.png")
    content = (root / "photos/dress/0.png").read_bytes()
    (root / "photos/dress/cut-off.png").write_bytes(content[: len(content) // 2])
    (root / "photos/dress/page.jpg").write_text("<!DOCTYPE html><html>404</html>")
    (root / "photos/hat/empty.jpg").write_bytes(b"")
    (root / "photos/hat/notes.txt").write_text("a note")
    (root / "photos/skirt").mkdir()
    muslin.train(
        root / "photos", recipe="quick", out=root / "run", settings={"epochs": 1, "batch_size": 8, "image_size": 32}
    )
    return root


def codes(rows: list[dict[str, Any]]) -> list[str]:
    return [row["code"] for row in rows]


@pytest.mark.parametrize(
    "words",
    [
        ("train", "photos", *SMALL, "-o", "again"),
        ("evaluate", "run", "photos"),
        ("compare", "run", "run", "photos"),
        ("audit", "photos", "--check", "unreadable", "-o", "audit"),
    ],
    ids=lambda words: words[0],
)
def test_what_is_left_out_is_counted_and_named(
    words: tuple[Any, ...], shop: Path, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "run"):
        (tmp_path / name).symlink_to(shop / name)
    result = invoke(capfd, *words, "--json")
    assert result.code == 0, result
    facts = result.json.get("overview", result.json)
    assert set(codes(facts["fixes"])) >= READING
    assert [photo["name"] for photo in facts["unreadable"]] == BROKEN
    assert codes([photo["reason"] for photo in facts["unreadable"]]) == ["image_cut_off", "image_format", "image_empty"]
    counted = [line for line in result.err.splitlines() if line.startswith("unreadable photos left out: 1")]
    assert len(counted) == 3, result.err
    assert all(any(name in line for line in counted) for name in BROKEN)
    assert sum("skirt" in line for line in result.err.splitlines()) == 1, "each fix is one line"


def test_look_convert_and_tag_say_what_they_leave_out(shop: Path, tmp_path: Path, capfd: Any) -> None:
    look = invoke(capfd, "look", shop / "photos", "--json")
    assert set(codes(look.json["fixes"])) == READING
    assert "skirt" in look.err
    convert = invoke(capfd, "convert", shop / "photos", tmp_path / "copy", "--to", "folders", "--json")
    assert set(codes(convert.json["fixes"])) == READING
    rows = [row["params"]["names"] for row in convert.json["warnings"] if row["code"] == "unreadable_copied"]
    assert sorted(rows) == [[name] for name in BROKEN[1:]], "the header of the third is whole"
    tag = invoke(capfd, "tag", shop / "run", shop / "photos", "-o", tmp_path / "tags.csv", "--json")
    [unreadable] = [note for note in tag.json["notes"] if note["code"] == "photos_not_tagged"]
    assert unreadable["params"]["names"] == BROKEN
    assert set(codes(tag.json["notes"])) >= READING


def test_the_report_names_what_was_left_out(shop: Path) -> None:
    run = Run(shop / "run")
    page = run.report.read_text(encoding="utf-8")
    assert all(text in page for text in (*BROKEN, "skirt", "3 unreadable photos"))
    assert [photo["name"] for photo in run.record["data"]["unreadable"]] == BROKEN


def test_only_unreadable_photos_are_no_fault_of_the_split(tmp_path: Path, capfd: Any) -> None:
    for place in ("a/1", "a/2", "b/1"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / f"{place}.jpg").write_bytes(b"")
    error = error_object(invoke(capfd, "train", tmp_path, "--json"))
    assert (error["code"], error["params"]["count"]) == ("no_readable_photo", 3)
    assert error["params"]["reason"]["code"] == "image_empty"
