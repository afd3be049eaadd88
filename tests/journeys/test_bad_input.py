"""Invalid data, models and images: refused by a code and parameters, in one line, without leaving a run."""

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import FinishedRun, error_object, invoke, refusal, run
from idx_files import images_file, labels_file, write_part
from muslin.data.dataset import pixel_array
from muslin.data.synthetic import SyntheticDataset
from muslin.data.writers.csv import write_images
from muslin.messages import Message

FEW = ["--epochs", 1, "--set", "batch_size=20"]
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@dataclass(frozen=True)
class Garments:
    """80 synthetic garments as arrays, and as the content of the files that hold them."""

    pixels: Any
    labels: Any
    images: bytes
    label_file: bytes
    csv: bytes


@pytest.fixture(scope="module")
def sound(synthetic: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory) -> Garments:
    pixels, labels = pixel_array(synthetic.dataset)[:80], synthetic.dataset.labels["label"][:80]
    path = tmp_path_factory.mktemp("sound") / "garments.csv"
    write_images(pixels, [synthetic.dataset.targets[0].classes[label] for label in labels], path)
    return Garments(pixels, labels, images_file(pixels), labels_file(labels), path.read_bytes())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capfd: Any, *words: object) -> Any:
    """The error of a command that fails and leaves no run: `code`, `message`, `hint` and `params`."""
    error = error_object(invoke(capfd, *words, "--json"))
    assert not list(Path().rglob("run.json"))
    assert not list(Path().glob("runs/*"))
    return error


def assert_error(error: Any, code: str, **params: object) -> None:
    assert error["code"] == code, error
    assert params.items() <= error["params"].items(), error


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


DAMAGED_IDX: dict[str, tuple[str, Callable[[Garments], bytes], str, dict[str, object]]] = {
    "images cut off": (IMAGES, lambda g: g.images[:-5], "idx_length", {"found": 62_731, "expected": 62_736}),
    "header cut off": (IMAGES, lambda g: g.images[:9], "idx_header", {"found": 9, "expected": 16}),
    "images too long": (IMAGES, lambda g: g.images + b"\0", "idx_too_long", {"expected": 62_736}),
    "images empty": (IMAGES, lambda g: b"", "file_empty", {}),
    "no images": (IMAGES, lambda g: images_file(g.pixels[:0]), "idx_empty", {"count": 0, "height": 28}),
    "magic of labels": (IMAGES, lambda g: images_file(g.pixels, magic=2049), "idx_magic", {"expected": "0x00000803"}),
    "unknown magic": (IMAGES, lambda g: b"\x89PNG" + g.images[4:], "idx_magic", {"expected": "0x00000803"}),
    "a count beyond all files": (
        IMAGES,
        lambda g: images_file(g.pixels, count=2**32 - 1),
        "idx_length",
        {"expected": (2**32 - 1) * 28 * 28 + 16},
    ),
    "gzip cut off": (IMAGES, lambda g: gzip.compress(g.images)[:-2000], "gzip_cut_off", {}),
    "gzip damaged": (IMAGES, lambda g: gzip.compress(g.images, mtime=0)[:40] + bytes(9999), "gzip_damaged", {}),
    "labels cut off": (LABELS, lambda g: g.label_file[:-1], "idx_length", {"found": 87, "expected": 88}),
    "labels empty": (LABELS, lambda g: b"", "file_empty", {}),
    "magic of images": (LABELS, lambda g: labels_file(g.labels, magic=2051), "idx_magic", {"expected": "0x00000801"}),
    "fewer labels": (
        LABELS,
        lambda g: labels_file(g.labels[:79]),
        "label_count",
        {"path": f"set/{IMAGES}", "labels": LABELS, "found": 79, "expected": 80},
    ),
    "a label of 10": (
        LABELS,
        lambda g: g.label_file[:25] + b"\x0a" + g.label_file[26:],
        "label_range",
        {"found": 10, "position": 17},
    ),
}


@pytest.mark.parametrize("damage", DAMAGED_IDX)
def test_a_damaged_idx_file_is_named(damage: str, sound: Garments, here: Path, capfd: Any) -> None:
    write_part(here / "set", "train", sound.pixels, sound.labels)
    name, content, code, params = DAMAGED_IDX[damage]
    (here / "set" / name).write_bytes(content(sound))
    for words in (("train", "set", *FEW), ("look", "set")):
        assert_error(refused(capfd, *words), code, **{"path": f"set/{name}", **params})


def test_idx_files_that_do_not_match_are_refused(sound: Garments, here: Path, capfd: Any) -> None:
    write_part(here / "set", "train", sound.pixels, sound.labels)
    (here / "set" / LABELS).rename(here / "set" / "labels")
    assert_error(refused(capfd, "train", "set"), "idx_labels_missing", labels=LABELS)
    write_part(here / "sizes", "train", sound.pixels, sound.labels)
    write_part(here / "sizes", "t10k", sound.pixels[:, :20, :20], sound.labels)
    assert_error(refused(capfd, "train", "sizes"), "sizes_differ", path="sizes", sizes=["28×28", "20×20"])


# --- CSV


def pixel(row: int, column: str, found: str) -> tuple[str, dict[str, object]]:
    return "pixel_value", {"row": row, "column": column, "found": found}


def outside(row: int, column: str, found: str) -> tuple[str, dict[str, object]]:
    return "pixel_range", {"row": row, "column": column, "found": found}


DAMAGED_CSV: dict[str, tuple[Callable[[bytes], bytes], str, dict[str, object]]] = {
    "too few values": (
        lambda c: c[: c.rindex(b",")] + b"\n",
        "pixel_count",
        {"row": 81, "found": 783, "expected": 784},
    ),
    "too many values": (lambda c: c[:-1] + b",0\n", "pixel_count", {"row": 81, "found": 785}),
    "cut in the middle of a row": (lambda c: c[: c.rindex(b",", 0, -500)], "pixel_count", {"row": 81}),
    "256": (cell(40, 3, b"256"), *outside(41, "pixel3", "256")),
    "negative": (cell(80, 784, b"-1"), *outside(81, "pixel784", "-1")),
    "a negative fraction": (cell(1, 1, b"-0.5"), *outside(2, "pixel1", "-0.5")),
    "a word": (cell(2, 5, b"black"), *pixel(3, "pixel5", "black")),
    "no value": (cell(2, 5, b""), *pixel(3, "pixel5", "")),
    "a number without end": (cell(2, 5, b"9" * 5000), *outside(3, "pixel5", "9" * 40)),
    "an open quote": (cell(2, 0, b'"shirt'), "csv_quote_open", {"line": 3}),
    "a line break in a label": (cell(2, 0, b'"line\nbreak"'), "open_quote", {"row": 3}),
    "neither UTF-8 nor cp1252": (cell(2, 0, b"\x81\x8d"), "text_encoding", {"path": "x.csv"}),
    "a pixel that is not UTF-8": (cell(2, 3, b"\xff"), "pixel_value", {"row": 3}),
    "only a header": (lambda c: c.splitlines()[0] + b"\n", "no_rows", {"path": "x.csv"}),
    "no labels": (labelled(None), "unlabelled", {"name": "x", "n": 80}),
    "empty labels": (labelled(b""), "label_column_empty", {"path": "x.csv", "column": "label"}),
    "one class": (labelled(b"a"), "too_few_classes", {"name": "x", "target": "label", "only": "a"}),
    "no square": (narrower(4), "shape_unknown", {"path": "x.csv", "found": 780}),
    "gzip cut off": (lambda c: gzip.compress(c)[:-3000], "gzip_cut_off", {"path": "x.csv"}),
    "nothing": (lambda c: b"", "", {}),
    "blank lines": (lambda c: b"\n\n\n", "", {}),
    "a web page": (lambda c: b"<!DOCTYPE html><html>Not found</html>", "not_a_table", {"path": "x.csv"}),
    "an image": (lambda c: b"\x89PNG\r\n\x1a\n" + bytes(99), "", {}),
    "a zip": (lambda c: b"PK\x03\x04" + bytes(99), "archive_damaged", {"path": "x.csv"}),
    "prose": (lambda c: b"It was the best of times,\nit was the worst", "", {}),
    "bytes": (lambda c: bytes(range(256)) * 9, "not_a_table", {"path": "x.csv"}),
}
"""Per damage the changed file, and the error; without a code the file has no known format."""


@pytest.mark.parametrize("damage", DAMAGED_CSV)
def test_a_damaged_csv_is_named_with_the_row(damage: str, sound: Garments, here: Path, capfd: Any) -> None:
    change, code, params = DAMAGED_CSV[damage]
    (here / "x.csv").write_bytes(change(sound.csv))
    assert_error(refused(capfd, "train", "x.csv", *FEW), code or "format_not_detected", **(params or {"path": "x.csv"}))


def test_rows_without_a_label_are_excluded(sound: Garments, here: Path, capfd: Any) -> None:
    header, *rows = sound.csv.splitlines()
    some = [b"," + row.split(b",", 1)[1] if i % 10 == 0 else row for i, row in enumerate(rows)]
    (here / "x.csv").write_bytes(b"\n".join([header, *some]))
    summary = invoke(capfd, "train", "x.csv", *FEW, "--out", "run", "--json").json
    assert summary["test"]["label"]["n"] in (14, 15), "a fifth of 72"
    record = json.loads((here / "run" / "run.json").read_text())
    fixes = [fix["code"] if isinstance(fix, dict) else fix for fix in record["data"]["fixes"]]
    assert "images_without_label" in fixes
    assert Message("unlabelled_excluded", n=8) in record["data"]["split"]


def test_classes_can_have_any_name(sound: Garments, here: Path, capfd: Any) -> None:
    names = ["👗 Kleid", 'with "quotes", commas', "<b>bold</b>", "=cmd|'/C calc'!A0", "x" * 200]
    write_images(sound.pixels, [names[i % 5] for i in range(80)], here / "x.csv")
    assert invoke(capfd, "train", "x.csv", *FEW, "--out", "run").code == 0
    assert invoke(capfd, "look", "x.csv", "--json").json["targets"]["label"]["classes"].keys() == set(names)
    assert invoke(capfd, "look", "x.csv", "--class", names[1], "-o", "sheet.png").code == 0
    assert invoke(capfd, "look", "x.csv", "--index", 0, "-o", "0.png").code == 0
    for words in (("look", "x.csv"), ("inspect", "run"), ("evaluate", "run", "x.csv"), ("predict", "run", "0.png")):
        result = invoke(capfd, *words)
        assert result.code == 0, result
        assert any(name in result.out for name in (names[0], names[2])), "as they are"
    answer = json.loads(invoke(capfd, "predict", "run", "0.png", "--json").out)
    assert answer["predictions"]["label"]["probabilities"].keys() == set(names)


# --- what is no data set, or does not fit


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nothing.csv", "data_unknown"),
        ("empty", "format_not_detected"),
        ("other", "format_not_detected"),
        ("/dev/null", "format_not_detected"),
        ("/proc/self/mem", None),
        ("x\0y", "data_unknown"),
        ("x" * 5000, "data_unknown"),
    ],
)
def test_a_path_without_a_data_set_is_refused(path: str, code: str | None, here: Path, capfd: Any) -> None:
    (here / "empty").mkdir()
    (here / "other").mkdir()
    for name in "abcd":
        (here / "other" / f"{name}.txt").write_text("x")
    for words in (("train", path), ("look", path)):
        error = refused(capfd, *words)
        assert code in (None, error["code"])
        assert path in (error["params"].get("path"), error["params"].get("name"))


def test_images_too_small_for_a_network_are_refused(sound: Garments, here: Path, capfd: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (len(sound.labels), 5, 5, 1), dtype=np.uint8)
    write_part(here / "tiny", "train", noise, sound.labels)
    for recipe in ("quick", "tutorial"):
        error = refused(capfd, "train", "tiny", "--recipe", recipe, *FEW)
        assert_error(error, "images_too_small", height=5, width=5)


def test_fewer_images_than_a_batch_are_refused(sound: Garments, here: Path, capfd: Any) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    message = " ".join(
        refused(capfd, "train", "x.csv", "--set", "batch_size=100")[name] for name in ("message", "hint")
    )
    option = message[message.index("--set") :].split(".")[0]
    assert invoke(capfd, "train", "x.csv", *option.split(), "--epochs", 1, "--out", "run").code == 0


def test_a_class_that_only_the_test_part_has_is_refused(sound: Garments, here: Path, capfd: Any) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    (here / "test.csv").write_bytes(sound.csv.replace(b"shoe", b"hat"))
    error = refused(capfd, "train", "x.csv", "--test", "test.csv", *FEW)
    assert_error(error, "classes_unknown", dataset="test", target="label", classes=["hat"])
    write_part(here / "set", "train", sound.pixels[:40], sound.labels[:40])
    labels = np.where(sound.labels[40:] == 4, 9, sound.labels[40:])
    write_part(here / "set", "t10k", sound.pixels[40:], labels)
    error = refused(capfd, "train", "set", *FEW)
    assert_error(error, "class_not_trained", name="set", label="9", part="test", n=8)


def test_a_test_file_that_does_not_fit_is_refused(sound: Garments, here: Path, capfd: Any) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    write_part(here / "set", "train", sound.pixels[:, :20, :20], sound.labels)
    (here / "colour.csv").write_bytes(
        b"label," + b",".join(b"pixel%d" % i for i in range(3072)) + b"\n" + b"bag" + b",0" * 3072
    )
    for data, test, code in (
        ("x.csv", "set", "test_part_exists"),
        ("set", "x.csv", "test_part_exists"),
        ("fashion-mnist", "x.csv", "test_part_exists"),
        ("x.csv", "fashion-mnist", "test_is_dataset"),
        ("x.csv", "nothing.csv", "data_unknown"),
        ("x.csv", f"set/{IMAGES}", "sizes_differ"),
        ("x.csv", "colour.csv", "sizes_differ"),
    ):
        assert_error(refused(capfd, "train", data, "--test", test, *FEW), code)


# --- models


def test_a_file_that_is_no_model_is_refused(sliced_run: FinishedRun, here: Path, capfd: Any) -> None:
    model = (sliced_run.folder / "model.muslin").read_bytes()
    flipped = bytearray(model)
    flipped[len(model) // 2] ^= 1
    contents = {
        "empty": b"",
        "text": b"hello",
        "cut": model[:-100],
        "half": model[: len(model) // 2],
        "longer": model + b"\n",
        "flipped": bytes(flipped),
    }
    for name, content in contents.items():
        (here / f"{name}.muslin").write_bytes(content)
    with zipfile.ZipFile("zip.muslin", "w") as archive:
        archive.writestr("manifest.json", "{}")
    (here / "folder.muslin").mkdir()
    Image.new("L", (28, 28)).save("black.png")
    for name in [*contents, "zip", "folder", "none"]:
        codes = set()
        for words in (
            ("inspect", f"{name}.muslin"),
            ("predict", f"{name}.muslin", "black.png"),
            ("evaluate", f"{name}.muslin", "fashion-mnist"),
        ):
            assert refusal(invoke(capfd, *words)).startswith(f"{name}.muslin")
            codes.add(error_object(invoke(capfd, *words, "--json"))["code"])
        assert len(codes) == 1
        assert (codes == {"bundle_missing"}) == (name in ("folder", "none"))


def test_a_run_that_is_still_training_has_no_model(sliced_run: FinishedRun, here: Path, capfd: Any) -> None:
    shutil.copytree(sliced_run.folder, "run", ignore=lambda folder, names: {"model.muslin", "report.html"})
    Image.new("L", (28, 28)).save("black.png")
    for words in (("inspect", "run"), ("predict", "run", "black.png"), ("evaluate", "run", "fashion-mnist")):
        error = error_object(invoke(capfd, *words, "--json"))
        assert_error(error, "bundle_missing", path="run/model.muslin")


def test_data_that_do_not_fit_a_model_are_refused(
    sound: Garments, sliced_run: FinishedRun, here: Path, capfd: Any
) -> None:
    (here / "x.csv").write_bytes(sound.csv)
    rows = [line.split(b",", 1)[1] for line in sound.csv.splitlines()]
    (here / "unlabelled.csv").write_bytes(b"\n".join(rows))
    write_part(here / "set", "train", sound.pixels[:, :20, :20], sound.labels)
    for words, code, notes in (
        (("x.csv",), "classes_unknown", 0),
        (("unlabelled.csv",), "no_targets", 0),
        (("set", "--split", "all"), "pixels_shape", 1),  # that numbers are used as class indices
        (("set",), "no_such_part", 0),
        (("nothing",), "data_unknown", 0),
    ):
        result = invoke(capfd, "evaluate", sliced_run.folder, *words, "--json")
        *said, refusal_line = result.err.splitlines(keepends=True)
        assert len(said) == notes, result
        assert_error(error_object(replace(result, err=refusal_line)), code)


# --- once more as real processes


def test_a_real_process_refuses_in_one_line_too(sound: Garments, here: Path) -> None:
    write_part(here / "set", "train", sound.pixels, sound.labels)
    (here / "set" / IMAGES).write_bytes(sound.images[:-5])
    (here / "x.csv").write_bytes(cell(40, 3, b"256")(sound.csv))
    for words, named in (
        (("train", "set"), f"set/{IMAGES}"),
        (("train", "x.csv"), "x.csv"),
        (("inspect", "x.csv"), "x.csv"),
    ):
        assert named in refusal(run(*words, cwd=here))
    assert sorted(path.name for path in here.iterdir()) == ["set", "x.csv"]
