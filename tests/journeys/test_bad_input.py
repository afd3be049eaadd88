"""Data, models and images that are not what they should be: one line that says what, where and what to do."""

import gzip
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import FinishedRun, invoke, refusal, run
from idx_files import images_file, labels_file, write_part
from muslin.data.dataset import pixel_array
from muslin.data.formats import pixels_csv
from muslin.data.synthetic import SyntheticDataset

FEW = ["--epochs", 1, "--set", "batch_size=20"]
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@dataclass(frozen=True)
class Garments:
    """80 drawn garments as arrays, and as the content of the files that hold them."""

    pixels: Any
    labels: Any
    images: bytes
    answers: bytes
    csv: bytes


@pytest.fixture(scope="module")
def sound(drawn: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory) -> Garments:
    pixels, labels = pixel_array(drawn.dataset)[:80], drawn.dataset.labels["label"][:80]
    path = tmp_path_factory.mktemp("sound") / "garments.csv"
    pixels_csv.write(pixels, [drawn.dataset.targets[0].classes[label] for label in labels], path)
    return Garments(pixels, labels, images_file(pixels), labels_file(labels), path.read_bytes())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capfd: Any, *words: object) -> str:
    """What training or evaluating said in its one line; no run is left."""
    said = refusal(invoke(capfd, *words))
    assert not list(Path().rglob("run.json"))
    assert not list(Path().glob("runs/*"))
    assert re.fullmatch(r".+[^.]\. [A-Z`].*[.?]|.*Check the path\.|.+ Known: .+\.", said), (
        "what is wrong; what to do"
    )
    return said


# --- IDX


def cell(row: int, column: int, value: bytes) -> Callable[[bytes], bytes]:
    """A CSV with another value in one place; row 0 is the header."""

    def change(content: bytes) -> bytes:
        rows = [line.split(b",") for line in content.splitlines()]
        rows[row][column] = value
        return b"\n".join(map(b",".join, rows)) + b"\n"

    return change


def labelled(label: bytes | None) -> Callable[[bytes], bytes]:
    """A CSV with the same label in every row, or without the column."""

    def change(content: bytes) -> bytes:
        header, *rows = content.splitlines()
        if label is None:
            return b"\n".join(row.split(b",", 1)[1] for row in (header, *rows))
        return b"\n".join([header, *(label + b"," + row.split(b",", 1)[1] for row in rows)])

    return change


def narrower(columns: int) -> Callable[[bytes], bytes]:
    """A CSV without its last columns."""
    return lambda content: b"\n".join(row.rsplit(b",", columns)[0] for row in content.splitlines())


DAMAGED_IDX: dict[str, tuple[str, Callable[[Garments], bytes], str]] = {
    "images cut off": (IMAGES, lambda g: g.images[:-5], "62,736 bytes in all, but the file has only 62,731"),
    "images cut in the header": (
        IMAGES,
        lambda g: g.images[:9],
        "is cut off in its header, after 9 bytes of 16",
    ),
    "images go on": (IMAGES, lambda g: g.images + b"\0", "62,736 bytes in all, but more follow"),
    "images empty": (IMAGES, lambda g: b"", "is empty. Fetch or copy it again"),
    "images hold none": (
        IMAGES,
        lambda g: images_file(g.pixels[:0]),
        "0 images of 28×28, so there is nothing in it",
    ),
    "magic of labels": (
        IMAGES,
        lambda g: images_file(g.pixels, magic=2049),
        "starts with 0x00000801, not 0x00000803",
    ),
    "unknown magic": (IMAGES, lambda g: b"\x89PNG" + g.images[4:], "starts with 0x89504e47, not 0x00000803"),
    "a count beyond all files": (
        IMAGES,
        lambda g: images_file(g.pixels, count=2**32 - 1),
        "4,294,967,295 images",
    ),
    "gzip cut off": (IMAGES, lambda g: gzip.compress(g.images)[:-2000], "the gzip file is cut off after"),
    "gzip damaged": (
        IMAGES,
        lambda g: gzip.compress(g.images, mtime=0)[:40] + bytes(9999),
        "the gzip file is damaged",
    ),
    "labels cut off": (
        LABELS,
        lambda g: g.answers[:-1],
        "80 labels, 88 bytes in all, but the file has only 87",
    ),
    "labels empty": (LABELS, lambda g: b"", "is empty. Fetch or copy it again"),
    "magic of images": (
        LABELS,
        lambda g: labels_file(g.labels, magic=2051),
        "starts with 0x00000803, not 0x00000801",
    ),
    "fewer labels": (
        LABELS,
        lambda g: labels_file(g.labels[:79]),
        "images, but train-labels-idx1-ubyte holds 79 labels",
    ),
    "a label of 10": (
        LABELS,
        lambda g: g.answers[:25] + b"\x0a" + g.answers[26:],
        "label 10 at position 17 is outside 0–9",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED_IDX)
def test_damaged_idx_files_are_named_with_what_was_found(
    damage: str, sound: Garments, here: Path, capfd: Any
) -> None:
    write_part(here / "set", "train", sound.pixels, sound.labels)
    name, content, reason = DAMAGED_IDX[damage]
    (here / "set" / name).write_bytes(content(sound))
    for words in (("train", "set", *FEW), ("look", "set")):
        said = refused(capfd, *words)
        assert f"set/{name}" in said or (name == LABELS and f"set/{IMAGES} holds" in said)
        assert reason in said


def test_idx_files_that_do_not_belong_together_are_said(sound: Garments, here: Path, capfd: Any) -> None:
    write_part(here / "set", "train", sound.pixels, sound.labels)
    (here / "set" / LABELS).rename(here / "set" / "labels")
    assert f"the file of its labels, {LABELS}, is not beside it. Put it there" in refused(
        capfd, "train", "set"
    )
    write_part(here / "sizes", "train", sound.pixels, sound.labels)
    write_part(here / "sizes", "t10k", sound.pixels[:, :20, :20], sound.labels)
    assert "sizes: the parts' images differ in size: 28×28 and 20×20" in refused(capfd, "train", "sizes")


# --- CSV

DAMAGED_CSV: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "too few values": (
        lambda c: c[: c.rindex(b",")] + b"\n",
        "row 81 of x.csv has 783 pixel values; expected 784",
    ),
    "too many values": (lambda c: c[:-1] + b",0\n", "row 81 of x.csv has 785 pixel values; expected 784"),
    "cut in the middle of a row": (lambda c: c[: c.rindex(b",", 0, -500)], "row 81 of x.csv has"),
    "256": (cell(40, 3, b"256"), "row 41 of x.csv, column 'pixel3': 256 is outside 0–255"),
    "negative": (cell(80, 784, b"-1"), "row 81 of x.csv, column 'pixel784': -1 is outside 0–255"),
    "a fraction": (cell(1, 1, b"0.5"), "row 2 of x.csv, column 'pixel1': '0.5' is not a whole number"),
    "a word": (cell(2, 5, b"black"), "row 3 of x.csv, column 'pixel5': 'black' is not a whole number"),
    "no value": (cell(2, 5, b""), "row 3 of x.csv, column 'pixel5': no value"),
    "a number without end": (cell(2, 5, b"9" * 5000), "row 3 of x.csv, column 'pixel5'"),
    "an open quote": (cell(2, 0, b'"shirt'), "row 3 of x.csv has a quote that does not end on its line"),
    "a line break in a label": (
        cell(2, 0, b'"line\nbreak"'),
        "row 3 of x.csv has a quote that does not end on",
    ),
    "not UTF-8": (cell(2, 0, b"\xff\xfe\xfd"), "x.csv: the label"),
    "a pixel that is not UTF-8": (cell(2, 3, b"\xff"), "row 3 of x.csv is not UTF-8 at its byte"),
    "only a header": (lambda c: c.splitlines()[0] + b"\n", "x.csv: has a header, but no rows"),
    "no labels": (labelled(None), "x: no sample has a label"),
    "empty labels": (labelled(b""), "x.csv: the column 'label' is empty in every row"),
    "one class": (labelled(b"a"), "x: the training images have one class only ('a') for 'label'"),
    "no square": (narrower(4), "x.csv: 780 pixel values are neither a square gray nor a square RGB image."),
    "gzip cut off": (lambda c: gzip.compress(c)[:-3000], "x.csv: the gzip file is cut off after"),
    "nothing": (lambda c: b"", "x.csv: an empty file"),
    "blank lines": (lambda c: b"\n\n\n", "x.csv: an empty file"),
    "UTF-16": (lambda c: c.decode().encode("utf-16"), "x.csv: UTF-16 text (save it as UTF-8)"),
    "a web page": (lambda c: b"<!DOCTYPE html><html>Not found</html>", "x.csv: an HTML page"),
    "an image": (lambda c: b"\x89PNG\r\n\x1a\n" + bytes(99), "x.csv: a PNG image"),
    "a zip": (lambda c: b"PK\x03\x04" + bytes(99), "x.csv: a zip file"),
    "prose": (
        lambda c: b"It was the best of times,\nit was the worst",
        "x.csv: a text file that begins with 'It was",
    ),
    "bytes": (lambda c: bytes(range(256)) * 9, "x.csv: a binary file"),
}


@pytest.mark.parametrize("damage", DAMAGED_CSV)
def test_a_damaged_csv_is_named_with_the_row(damage: str, sound: Garments, here: Path, capfd: Any) -> None:
    change, reason = DAMAGED_CSV[damage]
    (here / "x.csv").write_bytes(change(sound.csv))
    assert reason in refused(capfd, "train", "x.csv", *FEW)


def test_rows_without_a_label_are_left_out_and_the_rest_is_learned(
    sound: Garments, here: Path, capfd: Any
) -> None:
    header, *rows = sound.csv.splitlines()
    some = [b"," + row.split(b",", 1)[1] if i % 10 == 0 else row for i, row in enumerate(rows)]
    (here / "x.csv").write_bytes(b"\n".join([header, *some]))
    told = invoke(capfd, "train", "x.csv", *FEW, "--out", "run", "--json").json
    assert told["test"]["n"] in (14, 15), "a fifth of 72"
    record = json.loads((here / "run" / "run.json").read_text())
    assert any("rows without a label" in repair for repair in record["data"]["fixes"])
    assert "8 samples without a label left out" in record["data"]["split"]


def test_classes_may_be_called_anything(sound: Garments, here: Path, capfd: Any) -> None:
    names = ["👗 Kleid", 'with "quotes", commas', "<b>bold</b>", "=cmd|'/C calc'!A0", "x" * 200]
    pixels_csv.write(sound.pixels, [names[i % 5] for i in range(80)], here / "x.csv")
    assert invoke(capfd, "train", "x.csv", *FEW, "--out", "run").code == 0
    assert invoke(capfd, "look", "x.csv", "--json").json["targets"]["label"]["classes"].keys() == set(names)
    assert invoke(capfd, "look", "x.csv", "--class", names[1], "-o", "sheet.png").code == 0
    assert invoke(capfd, "look", "x.csv", "--index", 0, "-o", "0.png").code == 0
    for words in (
        ("look", "x.csv"),
        ("inspect", "run"),
        ("evaluate", "run", "x.csv"),
        ("predict", "run", "0.png"),
    ):
        said = invoke(capfd, *words)
        assert said.code == 0, said
        assert any(name in said.out for name in (names[0], names[2])), "as they are"
    answer = json.loads(invoke(capfd, "predict", "run", "0.png", "--json").out)
    assert answer["predictions"]["label"]["probabilities"].keys() == set(names)


# --- what is no data set, or does not fit


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nothing.csv", "nothing.csv: no such file or folder"),
        ("empty", "empty: an empty folder, not a data set in a known format. Known: idx"),
        ("other", "other: a folder with a.txt, b.txt, c.txt, …, not a data set in a known format"),
        ("/dev/null", "/dev/null: an empty file"),
        ("/proc/self/mem", "/proc/self/mem"),
        ("x\0y", "no such file or folder"),
        ("x" * 5000, "no such file or folder"),
    ],
)
def test_what_is_no_data_set_is_said_to_be_none(path: str, reason: str, here: Path, capfd: Any) -> None:
    (here / "empty").mkdir()
    (here / "other").mkdir()
    for name in "abcd":
        (here / "other" / f"{name}.txt").write_text("x")
    for words in (("train", path), ("look", path)):
        assert reason in refused(capfd, *words)


def test_images_too_small_for_a_network_are_said_to_be(sound: Garments, here: Path, capfd: Any) -> None:
    write_part(here / "tiny", "train", sound.pixels[:, :5, :5], sound.labels)
    for recipe in ("quick", "tutorial"):
        said = refused(capfd, "train", "tiny", "--recipe", recipe, *FEW)
        assert said.startswith("images of 5×5 px are too small for the network")
        assert said.endswith("Use larger images or another recipe.")


def test_fewer_images_than_a_batch_are_counted_and_a_batch_is_proposed(
    sound: Garments, here: Path, capfd: Any
) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    said = refused(capfd, "train", "x.csv")
    assert said.startswith("x: 53 training images are fewer than a batch of ")
    option = said.rsplit("smaller batch: ", 1)[1].rstrip(".")
    assert invoke(capfd, "train", "x.csv", *option.split(), "--epochs", 1, "--out", "run").code == 0


def test_a_test_part_with_a_class_never_seen_in_training_is_refused_by_name(
    sound: Garments, here: Path, capfd: Any
) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    (here / "test.csv").write_bytes(sound.csv.replace(b"shoe", b"hat"))
    said = refused(capfd, "train", "x.csv", "--test", "test.csv", *FEW)
    assert said.startswith(
        "test: 'hat' is a class of 'label' never seen in training. Known: bag, dress, shirt,"
    )
    write_part(here / "set", "train", sound.pixels[:40], sound.labels[:40])
    write_part(
        here / "set", "t10k", sound.pixels[40:], np.where(sound.labels[40:] == 4, 9, sound.labels[40:])
    )
    said = refused(capfd, "train", "set", *FEW)
    assert said.startswith("set: class '9' is in the test part (8 images) but never seen in training.")


def test_a_test_file_that_does_not_fit_is_said(sound: Garments, here: Path, capfd: Any) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    write_part(here / "set", "train", sound.pixels[:, :20, :20], sound.labels)
    (here / "colour.csv").write_bytes(
        b"label," + b",".join(b"pixel%d" % i for i in range(3072)) + b"\n" + b"bag" + b",0" * 3072
    )
    for data, test, reason in (
        ("x.csv", "set", "set is already divided into parts. Leave out --test, or give single files."),
        ("set", "x.csv", "set is already divided into parts."),
        ("fashion-mnist", "x.csv", "fashion-mnist has its own test part. Leave out --test."),
        ("x.csv", "fashion-mnist", "fashion-mnist"),
        ("x.csv", "nothing.csv", "nothing.csv: no such file or folder."),
        ("x.csv", f"set/{IMAGES}", "The parts' images differ in size"),
        ("x.csv", "colour.csv", "The parts' images differ in size"),
    ):
        assert reason in refused(capfd, "train", data, "--test", test, *FEW)


# --- models


def test_what_is_no_model_is_refused(sliced_run: FinishedRun, here: Path, capfd: Any) -> None:
    model = (sliced_run.folder / "model.muslin").read_bytes()
    flipped = bytearray(model)
    flipped[len(model) // 2] ^= 1
    contents = {
        "empty": (b"", "is empty"),
        "text": (b"hello", "is not a .muslin file (no zip). Give a file that muslin train has made."),
        "cut": (model[:-100], "was cut off, added to, or packed by another program"),
        "half": (model[: len(model) // 2], "was cut off, added to, or packed by another program"),
        "longer": (model + b"\n", "was cut off, added to, or packed by another program"),
        "flipped": (bytes(flipped), "Get the file again from where it came."),
    }
    for name, (content, _) in contents.items():
        (here / f"{name}.muslin").write_bytes(content)
    with zipfile.ZipFile("zip.muslin", "w") as archive:
        archive.writestr("manifest.json", "{}")
    (here / "folder.muslin").mkdir()
    others = {
        "zip": "was cut off, added to, or packed by another program",
        "folder": "there is no such file. Give a run's folder whose training has ended.",
        "none": "there is no such file. Check the path.",
    }
    Image.new("L", (28, 28)).save("black.png")
    for name, reason in ({name: reason for name, (_, reason) in contents.items()} | others).items():
        for words in (
            ("inspect", f"{name}.muslin"),
            ("predict", f"{name}.muslin", "black.png"),
            ("evaluate", f"{name}.muslin", "fashion-mnist"),
        ):
            said = refusal(invoke(capfd, *words))
            assert said.startswith(f"{name}.muslin")
            assert reason in said


def test_a_run_that_is_still_training_has_no_model_yet(
    sliced_run: FinishedRun, here: Path, capfd: Any
) -> None:
    shutil.copytree(sliced_run.folder, "run", ignore=lambda folder, names: {"model.muslin", "report.html"})
    Image.new("L", (28, 28)).save("black.png")
    for words in (("inspect", "run"), ("predict", "run", "black.png"), ("evaluate", "run", "fashion-mnist")):
        assert refusal(invoke(capfd, *words)) == (
            "run/model.muslin: there is no such file. Give a run's folder whose training has ended."
        )


def test_data_that_do_not_fit_a_model_are_refused(
    sound: Garments, sliced_run: FinishedRun, here: Path, capfd: Any
) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    rows = [line.split(b",", 1)[1] for line in sound.csv.splitlines()]
    (here / "unlabelled.csv").write_bytes(b"\n".join(rows))
    write_part(here / "set", "train", sound.pixels[:, :20, :20], sound.labels)
    for words, reason in (
        (
            ("x.csv",),
            "x: 'bag', 'dress', 'shirt', 'shoe', 'trouser' are classes of 'label' never seen in training.",
        ),
        (("unlabelled.csv",), "unlabelled: has no labels, so there is nothing to compare with."),
        (
            ("set", "--split", "all"),
            "pixels are uint8 (80, 20, 20, 1); this model takes uint8 (count, 28, 28, 1).",
        ),
        (("set",), "set has no part 'test'. Parts here: train."),
        (("nothing",), "nothing: no such file or folder."),
    ):
        assert reason in refusal(invoke(capfd, "evaluate", sliced_run.folder, *words))


# --- once more as real processes


def test_a_real_process_says_it_in_one_line_too(sound: Garments, here: Path) -> None:
    write_part(here / "set", "train", sound.pixels, sound.labels)
    (here / "set" / IMAGES).write_bytes(sound.images[:-5])
    (here / "x.csv").write_bytes(cell(40, 3, b"256")(sound.csv))
    for words, reason in (
        (("train", "set"), "It was cut off or is damaged: copy it again."),
        (("train", "x.csv"), "row 41 of x.csv, column 'pixel3': 256 is outside 0–255"),
        (("train", "x.csv", "--recipe", "turorial"), "Did you mean tutorial?"),
        (("inspect", "x.csv"), "is not a .muslin file"),
    ):
        assert reason in refusal(run(*words, cwd=here))
    assert sorted(path.name for path in here.iterdir()) == ["set", "x.csv"]
