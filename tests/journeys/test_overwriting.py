"""No command writes onto what is there, unless --overwrite says so, and then never onto an input or a special file."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from command_line import CommandResult, error_object, invoke
from muslin.cli.options import COMMANDS
from muslin.data.convert import convert
from muslin.data.dataset import Target
from muslin.messages import table
from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.sklearn import ImageClassifier
from muslin.storage.outputs import Output
from muslin.workflows.compare import _sheets
from muslin.workflows.evaluate import evaluate
from muslin.workflows.review_add import add_catalogue
from muslin.workflows.review_init import init
from muslin.workflows.tag import TagOptions, tag
from refusals import refuses
from small_models import LABEL, SIDE, small_bundle

WORDS = {
    "tag": "tag model.muslin shop.csv --taxonomy tags.csv --images photos -o {out}.csv",
    "tag folders": "tag model.muslin photos -o {out}.jsonl",
    "evaluate": "evaluate model.muslin shop.csv --images photos --target kind -o {out}.json",
    "evaluate folders": "evaluate model.muslin photos -o {out}.json",
    "compare": "compare model.muslin second.muslin shop.csv --images photos --target kind -o {out}.png",
    "look": "look shop.csv --images photos --target kind -o {out}.png",
    "explain": "explain model.muslin photos/Bag/0.png -o {out}.html",
    "export": "export model.muslin --onnx {out}.onnx",
    "review export": "review export shop.db -o {out}.csv",
}
"""Commands that write one file: the words, where {out} is the output without its suffix."""

INPUTS = {
    "tag": ["model.muslin", "shop.csv", "tags.csv", "photos/Bag/0.png", "photos/Trouser/3.png"],
    "tag folders": ["model.muslin", "photos/Bag/0.png"],
    "evaluate": ["model.muslin", "shop.csv", "photos/Bag/0.png", "photos/Trouser/3.png"],
    "evaluate folders": ["model.muslin", "photos/Bag/0.png"],
    "compare": ["model.muslin", "second.muslin", "shop.csv", "photos/Trouser/3.png"],
    "look": ["shop.csv", "photos/Trouser/3.png"],
    "explain": ["model.muslin", "photos/Bag/0.png"],
    "export": ["model.muslin"],
    "review export": ["shop.db", "shop.csv", "photos/Bag/0.png", "photos/Trouser/3.png"],
}
"""Per command files that it reads."""

FOLDERS = ("audit", "get", "convert", "train", "review train")
"""Commands that write folders; each has a test of its own."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Models, eight photos in folders of their classes, a table that names them, and a taxonomy; nothing changes.

    For `review export` also a store of the table.
    """
    seal(small_bundle(), tmp_path / "model.muslin")
    seal(small_bundle(Target("label", tuple(reversed(LABEL.classes)))), tmp_path / "second.muslin")
    rows = ["image,kind"]
    for kind, brightness in (("Bag", 255), ("Trouser", 0)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(4):
            name = f"{kind}/{i}.png"
            Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(tmp_path / "photos" / name)
            rows.append(f"{name},{kind}")
    (tmp_path / "shop.csv").write_text("\n".join(rows))
    (tmp_path / "tags.csv").write_text("tag,name\nBag,bag\nTrouser,trousers\nShirt,shirt\n")
    if "review export" in request.node.name:
        init(str(tmp_path / "shop.db"), tmp_path / "model.muslin", who="Ada")
        with Store.open(tmp_path / "shop.db") as store:
            add_catalogue(store, tmp_path / "shop.csv", {"images": str(tmp_path / "photos")})
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    after = contents(tmp_path)
    assert {name: after.get(name) for name in before} == before


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def words(name: str, out: str, *more: str) -> list[str]:
    return [*WORDS[name].format(out=out).split(), *more]


def suffix(name: str) -> str:
    return re.sub(r".*\{out\}", "", WORDS[name])


TRIED_ELSEWHERE = {
    "colour", "colour-table", "fetch", "fill", "similar build", "similar duplicates", "similar find", "sweep",
}  # fmt: skip
"""By the tests of their own workflows."""


def test_every_command_with_an_output_is_tried() -> None:
    def writes(command: click.Command) -> bool:
        return any({"--out", "--csv", "--onnx"} & set(option.opts) for option in command.params)

    with_output = {name for name, command in COMMANDS.items() if writes(command)}
    assert with_output - TRIED_ELSEWHERE | {"convert"} == {*(name.removesuffix(" folders") for name in WORDS), *FOLDERS}


@pytest.mark.parametrize("name", WORDS)
def test_a_file_is_replaced_only_with_overwrite(name: str, shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = shop / f"out{suffix(name)}"
    out.write_text("by hand")
    assert_refused(invoke(capfd, *words(name, "out")), "output_exists")
    assert out.read_text() == "by hand"
    assert invoke(capfd, *words(name, "out", "--overwrite")).code == 0
    assert out.read_bytes() != b"by hand"
    assert [path.name for path in shop.iterdir() if "part" in path.name] == []


@pytest.mark.parametrize("name", WORDS)
def test_a_new_file_is_written_without_overwrite(name: str, shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(capfd, *words(name, "deep/out")).code == 0
    assert (shop / f"deep/out{suffix(name)}").stat().st_size
    assert len(list((shop / "deep").iterdir())) == 1


@pytest.mark.parametrize("kind", ["fifo", "link", "broken link", "folder"])
@pytest.mark.parametrize("name", WORDS)
def test_special_files_are_refused_before_the_work(
    name: str, kind: str, shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, target = shop / f"out{suffix(name)}", shop / "target"
    target.write_text("mine")
    if kind == "fifo":
        os.mkfifo(out)
    elif kind == "folder":
        out.mkdir()
    else:
        out.symlink_to("target" if kind == "link" else "nowhere")
    before = out.lstat()
    code = "output_is_folder" if kind == "folder" else "output_not_regular"
    assert_refused(invoke(capfd, *words(name, "out", "--overwrite")), code)
    after = out.lstat()  # looking at a link changes the time of its last use
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    assert target.read_text() == "mine"
    assert not (shop / "nowhere").exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("how", ["link", "hard link"])
@pytest.mark.parametrize(("name", "source"), [(name, source) for name in INPUTS for source in INPUTS[name]])
def test_an_input_under_any_name_is_refused(
    name: str, source: str, how: str, overwrite: bool, shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = shop / f"out{suffix(name)}"
    if how == "link":
        out.symlink_to(source)
    else:
        os.link(source, out)
    result = invoke(capfd, *words(name, "out", *(["--overwrite"] if overwrite else [])))
    # a hard link to a photo in a folder of data is found only by reading the data
    assert_refused(result, "output_is_input", "output_not_regular", "output_exists")
    assert os.path.samefile(out, source)


def test_the_table_itself_is_refused_as_its_output(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for out in ("shop.csv", "./photos/../shop.csv"):
        error = error_object(invoke(capfd, "tag", "model.muslin", "shop.csv", "-o", out, "--overwrite", "--json"))
        assert (error["code"], error["params"]["name"]) == ("output_is_input", "shop.csv")


def assert_refused(result: CommandResult, *codes: str) -> None:
    """The command failed with the hint of one of the codes, which all differ, and printed no result."""
    assert result.code == 1, result
    assert result.out == "", result
    *_, line = result.err.splitlines()
    parts = [table("en")[code]["hint"] for code in codes]
    assert any(part in line for part in parts), result


def test_labels_beside_idx_images_are_an_input(shop: Path) -> None:
    convert("photos", "idx", "idx")
    images, labels = sorted(path for path in Path("idx").iterdir() if "ubyte" in path.name)
    with refuses("output_is_input", name=str(labels)):
        evaluate("model.muslin", images, out=Output(labels, overwrite=True))


def test_copies_of_a_registered_data_set_are_inputs(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = shop / "fashion-mnist"
    copy.mkdir()
    (copy / "train-images-idx3-ubyte").write_text("images")
    monkeypatch.setenv("MUSLIN_DATA", str(copy))
    with refuses("output_in_data", name=str(copy)):
        evaluate("model.muslin", "fashion-mnist", out=copy / "new.json")


def test_audits_and_csv_files_are_kept(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    audit = ("audit", "shop.csv", "--images", "photos", "--target", "kind", "--check", "identical")
    assert invoke(capfd, *audit, "-o", "audit").code == 0
    (shop / "audit" / "exclude.csv").write_text("by hand")
    assert_refused(invoke(capfd, *audit, "-o", "audit"), "output_exists")
    assert (shop / "audit" / "exclude.csv").read_text() == "by hand"
    assert invoke(capfd, *audit, "-o", "audit", "--overwrite").code == 0
    assert_refused(invoke(capfd, "audit", "audit/clean.csv", "-o", "audit", "--overwrite"), "output_is_input")
    (shop / "csv").mkdir()
    (shop / "csv" / "fashion-mnist_test.csv").write_text("by hand")
    assert_refused(invoke(capfd, "get", "fashion-mnist", "--csv", "csv"), "output_exists")


def test_conversions_and_runs_are_new(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (shop / "there").mkdir()
    (shop / "there" / "mine").write_text("by hand")
    for to in ("folders", "csv", "idx", "parquet"):
        assert_refused(invoke(capfd, "convert", "photos", "there", "--to", to), "already_exists")
        assert_refused(invoke(capfd, "convert", "photos", "photos/new", "--to", to), "output_in_data")
    assert_refused(invoke(capfd, "train", "missing", "--out", "there"), "folder_not_empty")


def test_overwrite_needs_an_output(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("evaluate model.muslin photos", "look shop.csv", "explain model.muslin photos/Bag/0.png", "get x"):
        assert_refused(invoke(capfd, *command.split(), "--overwrite"), "option_needs")


def test_a_resumed_job_that_was_finished_is_compared(shop: Path) -> None:
    tag("model.muslin", "photos", "out.csv")
    result = tag("model.muslin", "photos", "out.csv", TagOptions(resume=True))
    assert result.products == 8
    Path("out.csv").write_text("by hand")
    with refuses("output_exists"):
        tag("model.muslin", "photos", "out.csv", TagOptions(resume=True))
    assert Path("out.csv").read_text() == "by hand"


def test_a_planted_journal_is_not_followed(shop: Path) -> None:
    (shop / "mine").write_text("")
    (shop / "out.csv.partial").symlink_to("mine")
    with refuses("side_file_foreign"):
        tag("model.muslin", "photos", "out.csv")
    assert (shop / "mine").read_text() == ""


def test_two_targets_of_similar_names_get_two_sheets(shop: Path) -> None:
    targets = Target("a/b", LABEL.classes), Target("a b", LABEL.classes), Target("a?b", LABEL.classes)
    sheets = _sheets(Output(Path("sheet.png"), overwrite=True), [target.name for target in targets])
    assert [sheet.path.name for sheet in sheets.values()] == ["sheet-a_b.png", "sheet-a b.png", "sheet-a_b-2.png"]
    assert all(sheet.overwrite for sheet in sheets.values())


def test_a_saved_estimator_keeps_an_older_file(shop: Path) -> None:
    model = ImageClassifier(epochs=1).fit(np.arange(20 * 196, dtype=np.uint8).reshape(20, 14, 14), [0, 1] * 10)
    with refuses("output_exists"):
        model.save("model.muslin")
    model.save("new.muslin")
    model.save("new.muslin", overwrite=True)
