"""Reading CSV files of pixels in every spelling, and naming the row that cannot be read."""

import contextlib
import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spreadsheets import workbook

from muslin.data import read
from muslin.data.formats import pixels
from muslin.data.formats.digit_parser import DigitParser
from muslin.data.formats.pixel_layout import find_layout
from muslin.data.formats.pixel_text import parse_cells, read_text
from muslin.data.formats.read_options import ReadOptions
from muslin.data.synthetic import SyntheticDataset, make_garments
from muslin.data.tables import peek_text
from muslin.data.writers.csv import write_images
from muslin.errors import DataError
from muslin.messages import Message

COUNT = 30


@pytest.fixture(scope="module")
def world() -> SyntheticDataset:
    return make_garments(COUNT, seed=4)


def codes(dataset) -> list[str]:
    return [fix.code for fix in dataset.fixes]


def refused(code: str, path: Path, **options) -> DataError:
    with pytest.raises(DataError) as error:
        read(path, **options)
    assert error.value.code == code
    return error.value


def csv_text(
    synthetic, *, delimiter=",", label="first", header=True, names=False, first_pixel=1, pixel="pixel{}"
) -> str:
    """The images as a CSV; each argument is something that differs between the files people have."""
    rows = synthetic.dataset.images.pixels.reshape(len(synthetic.dataset), -1)
    classes = synthetic.dataset.target().classes
    texts = [classes[i] if names else str(i) for i in synthetic.true_labels]
    lines = [[pixel.format(i) for i in range(first_pixel, first_pixel + rows.shape[1])]] if header else []
    lines += [list(map(str, row)) for row in rows]
    column = (["label"] if header else []) + texts
    if label == "first":
        lines = [[cell, *line] for cell, line in zip(column, lines, strict=True)]
    elif label == "last":
        lines = [[*line, cell] for cell, line in zip(column, lines, strict=True)]
    return "".join(delimiter.join(line) + "\n" for line in lines)


def assert_is(dataset, synthetic, *, classes=("0", "1", "2", "3", "4")):
    assert np.array_equal(dataset.images.pixels, synthetic.dataset.images.pixels)
    if classes is None:
        assert dataset.targets == ()
    else:
        assert dataset.target().classes == classes
        assert np.array_equal(dataset.labels[dataset.target().name], synthetic.true_labels)


@pytest.mark.parametrize(
    ("delimiter", "label", "header", "names"),
    list(itertools.product([",", ";", "\t", "|"], ["first", "last", None], [True, False], [True, False])),
)
def test_every_layout_gives_the_same_images_and_labels(tmp_path, world, delimiter, label, header, names):
    path = tmp_path / "garments.csv"
    path.write_text(csv_text(world, delimiter=delimiter, label=label, header=header, names=names))

    classes = None if label is None else world.dataset.target().classes if names else ("0", "1", "2", "3", "4")
    assert_is(read(path), world, classes=classes)


SPELLINGS = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "no newline at the end": lambda text: text.rstrip("\n").encode(),
    "CRLF, but not at the end": lambda text: text.rstrip("\n").replace("\n", "\r\n").encode(),
    "everything quoted": lambda text: "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()
    ).encode(),
    "spaces after commas": lambda text: text.replace(",", ", ").encode(),
    "spaces instead of commas": lambda text: text.replace(",", " ").encode(),
    "aligned with spaces": lambda text: "".join(
        " ".join(f"{cell:>3}" for cell in line.split(",")) + "\n" for line in text.splitlines()
    ).encode(),
    "leading zeros": lambda text: text.replace(",0,", ",000,").encode(),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
def test_every_spelling_gives_the_same_images_and_labels(tmp_path, world, spelled, header):
    path = tmp_path / "garments.csv"
    path.write_bytes(spelled(csv_text(world, header=header)))
    assert_is(read(path), world)


def test_default_output_of_savetxt_is_read(tmp_path, world):
    rows = np.array([line.split(",") for line in csv_text(world, header=False).splitlines()], dtype=float)
    np.savetxt(tmp_path / "garments.txt", rows)
    assert_is(read(tmp_path / "garments.txt"), world)


@pytest.mark.parametrize("first_pixel", [0, 1])
@pytest.mark.parametrize("pixel", ["pixel{}", "px_{}", "{}"])
def test_pixels_can_be_counted_from_0_or_1(tmp_path, world, first_pixel, pixel):
    path = tmp_path / "garments.csv"
    path.write_text(csv_text(world, first_pixel=first_pixel, pixel=pixel))
    assert_is(read(path), world)


def test_columns_sorted_by_name_are_sorted_by_number(tmp_path, world):
    lines = [line.split(",") for line in csv_text(world, label=None).splitlines()]
    by_name = sorted(range(784), key=lines[0].__getitem__)
    path = tmp_path / "garments.csv"
    path.write_text("\n".join(",".join(line[i] for i in by_name) for line in lines))

    dataset = read(path)

    assert_is(dataset, world, classes=None)
    assert codes(dataset) == ["columns_sorted"]


def test_the_index_of_pandas_is_skipped_and_reported(tmp_path, world):
    lines = csv_text(world).splitlines()
    path = tmp_path / "garments.csv"
    path.write_text("\n".join([f"Unnamed: 0,{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]))

    dataset = read(path)

    assert_is(dataset, world)
    assert dataset.fixes == (Message("columns_skipped", columns=["Unnamed: 0"]),)


def test_blank_lines_are_skipped_and_counted(tmp_path, world):
    path = tmp_path / "garments.csv"
    header, _, rows = csv_text(world).partition("\n")
    path.write_text(f"{header}\n" + rows.replace("\n", "\n\n", 4) + "\n\n")

    dataset = read(path)

    assert_is(dataset, world)
    assert dataset.fixes == (Message("blank_lines", n=6),)


def test_the_guessed_label_side_is_reported_and_can_be_chosen(tmp_path, world):
    path = tmp_path / "garments.csv"
    path.write_text(csv_text(world, header=False, label="last"))

    assert read(path).fixes == (Message("label_side_guessed", side="last", columns=785),)
    assert read(path, target="last").fixes == ()
    assert_is(read(path, target="last"), world)


def test_the_only_column_that_is_no_pixel_is_the_label(tmp_path, world):
    path = tmp_path / "garments.csv"
    path.write_text(csv_text(world).replace("label", "garment", 1))

    dataset = read(path)

    assert dataset.target().name == "garment"
    assert dataset.fixes == (Message("label_column_guessed", column="garment"),)


def test_two_possible_label_columns_are_named(tmp_path, world):
    path = tmp_path / "garments.csv"
    lines = csv_text(world).splitlines()
    path.write_text("\n".join([f"class,{lines[0]}", *(f"7,{line}" for line in lines[1:])]))

    assert refused("label_ambiguous", path).params["choices"] == ["class", "label"]
    assert_is(read(path, target="label"), world)
    assert refused("column_unknown", path, target="labl").params["nearest"] == "label"


def test_a_row_without_a_label_is_unknown_and_counted(tmp_path, world):
    lines = csv_text(world, names=True).splitlines()
    lines[3] = lines[3][lines[3].index(",") :]
    path = tmp_path / "garments.csv"
    path.write_text("\n".join(lines))

    dataset = read(path)

    assert list(np.flatnonzero(dataset.labels["label"] == -1)) == [2]
    assert dataset.target().classes == world.dataset.target().classes
    assert dataset.fixes == (
        Message("images_without_label", target="label", count=1, names=[dataset.ids[2]], more=None),
    )


def test_numbers_as_labels_are_classes_in_numeric_order(tmp_path):
    rows = [f"{label},0,1,2,3" for label in (10, 9, 2, 10)]
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(["label,pixel1,pixel2,pixel3,pixel4", *rows]))

    dataset = read(path)

    assert dataset.target().classes == ("2", "9", "10")
    assert list(dataset.labels["label"]) == [2, 1, 0, 2]


def test_labels_written_as_3_0_are_3(tmp_path, world):
    path = tmp_path / "garments.csv"
    lines = csv_text(world).splitlines()
    path.write_text("\n".join([lines[0], *(line.replace(",", ".0,", 1) for line in lines[1:])]))
    assert_is(read(path), world)


# ── Other numbers, other tables ──────────────────────────────────────────────────────────────────────────


def with_pixels(synthetic, spelled, delimiter=","):
    """The images as a CSV whose pixels are spelled by a function of their value."""
    lines = [line.split(",") for line in csv_text(synthetic, names=True).splitlines()]
    rows = [[label, *(spelled(int(cell)) for cell in cells)] for label, *cells in lines[1:]]
    return "".join(delimiter.join(row) + "\n" for row in [lines[0], *rows])


NUMBERS = {
    "212.0": (lambda value: f"{value}.0", ",", []),
    "2.12e2": (lambda value: f"{value:.2e}", ",", []),
    "scaled to 0..1": (lambda value: f"{value / 255:.6f}", ",", ["pixels_scaled"]),
    "scaled, scientific": (lambda value: f"{value / 255:.5e}", ",", ["pixels_scaled"]),
    "decimal comma": (lambda value: f"{value / 255:.4f}".replace(".", ","), ";", ["pixels_scaled"]),
    "quoted decimal comma": (lambda value: f'"{value / 255:.4f}"'.replace(".", ","), ",", ["pixels_scaled"]),
    "quoted": (lambda value: f'"{value}"', "\t", []),
}


@pytest.mark.parametrize(("spelled", "delimiter", "fixes"), NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("header", [True, False])
def test_decimal_and_scaled_pixels_give_the_same_images(tmp_path, world, spelled, delimiter, fixes, header):
    path = tmp_path / "garments.csv"
    text = with_pixels(world, spelled, delimiter)
    path.write_text(text if header else text.partition("\n")[2])

    dataset = read(path)

    assert_is(dataset, world, classes=world.dataset.target().classes)
    assert codes(dataset) == fixes if header else set(codes(dataset)) >= set(fixes)


def test_fractions_of_0_to_255_are_rounded_and_counted(tmp_path, world):
    path = tmp_path / "garments.csv"
    path.write_text(with_pixels(world, lambda value: f"{value - 0.25}" if value else "0"))
    dataset = read(path)
    assert np.array_equal(dataset.images.pixels, world.dataset.images.pixels)
    assert dataset.fixes == (Message("pixels_rounded", n=int((dataset.images.pixels > 0).sum())),)


def test_pixels_from_minus_1_to_1_are_refused_with_their_range(tmp_path, world):
    path = tmp_path / "garments.csv"
    path.write_text(with_pixels(world, lambda value: f"{value / 127.5 - 1:.4f}"))
    error = refused("pixel_range", path)
    assert (error.params["row"], error.params["column"], error.params["low"]) == (2, "pixel1", -1)


PARTS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


@pytest.mark.parametrize("separator", [" ", "  ", ", "])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_pixels_in_one_cell_are_read_as_of_fer2013(tmp_path, world, separator, header, scaled):
    rows = world.dataset.images.pixels.reshape(COUNT, -1).tolist()
    usages = [list(PARTS)[i // 10] for i in range(COUNT)]
    lines = ["emotion,pixels,Usage"] if header else []
    for label, row, usage in zip(world.true_labels, rows, usages, strict=True):
        cell = separator.join(f"{value / 255:.6f}" if scaled else str(value) for value in row)
        lines.append(f'{label},"[{cell}]",{usage}' if "," in cell else f"{label},{cell},{usage}")
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines))

    dataset = read(path)

    assert_is(dataset, world)
    assert dataset.target().name == ("emotion" if header else "label")
    assert dataset.parts.tolist() == [PARTS[usage] for usage in usages]


@pytest.mark.parametrize("layout", ["wide", "list", "nested list", "text"])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, np.float64])
def test_pixels_in_parquet_are_read(tmp_path, world, layout, kind):
    images = world.dataset.images.pixels[..., 0].astype(kind)
    images = images / kind(255) if kind == np.float64 else images
    flat = images.reshape(COUNT, -1)
    columns = {"split": ["train"] * 20 + ["val"] * 10, "label": world.true_labels}
    if layout == "wide":
        columns |= {f"pixel{i}": flat[:, i] for i in range(784)}
    elif layout == "text":
        columns["pixels"] = [" ".join(map(str, row)) for row in flat.tolist()]
    else:
        columns["image"] = (flat if layout == "list" else images).tolist()
    path = tmp_path / "garments.parquet"
    pq.write_table(pa.table(columns), path)

    dataset = read(path)

    assert_is(dataset, world)
    assert dataset.parts.tolist() == ["train"] * 20 + ["validation"] * 10
    assert codes(dataset) == (["pixels_scaled"] if kind == np.float64 else [])


def test_a_missing_pixel_in_parquet_is_named_by_row_and_column(tmp_path):
    path = tmp_path / "tiny.parquet"
    pq.write_table(pa.table({"label": [1, 2], **{f"pixel{i}": [3, None if i == 2 else 7] for i in range(4)}}), path)
    error = refused("pixel_value", path)
    assert (error.params["row"], error.params["column"], error.params["found"]) == (2, "pixel2", "")


@pytest.mark.parametrize("suffix", [".jsonl", ".xlsx"])
def test_pixels_in_json_lines_and_workbooks_are_read(tmp_path, world, suffix):
    rows = world.dataset.images.pixels.reshape(COUNT, -1).tolist()
    path = tmp_path / f"garments{suffix}"
    if suffix == ".xlsx":
        header = ["label", *(f"pixel{i}" for i in range(784))]
        workbook(path, [header, *([int(label), *row] for label, row in zip(world.true_labels, rows, strict=True))])
    else:
        lines = [{"label": int(label), "pixels": row} for label, row in zip(world.true_labels, rows, strict=True)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert_is(read(path), world)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("spelled", [str, "{}.0".format])
def test_other_encodings_give_the_same_images(tmp_path, world, encoding, spelled):
    path = tmp_path / "garments.csv.gz"
    text = with_pixels(world, spelled).replace("dress", "robe d'été")
    path.write_bytes(gzip.compress(text.encode(encoding)))
    classes = tuple(name.replace("dress", "robe d'été") for name in world.dataset.target().classes)
    dataset = read(path)
    assert np.array_equal(dataset.images.pixels, world.dataset.images.pixels)
    assert set(dataset.target().classes) == set(classes)


def test_a_sep_line_and_titles_are_no_images(tmp_path, world):
    path = tmp_path / "garments.csv"
    for above in ("sep=;\n", "Garments of 2024\n\n"):
        path.write_text(above + csv_text(world, delimiter=";"))
        assert_is(read(path), world)


def test_a_usage_column_beside_wide_pixels_becomes_the_parts(tmp_path, world):
    lines = csv_text(world).splitlines()
    usages = ["Usage", *(list(PARTS)[i // 10] for i in range(COUNT))]
    path = tmp_path / "garments.csv"
    path.write_text("\n".join(f"{line},{usage}" for line, usage in zip(lines, usages, strict=True)))
    dataset = read(path)
    assert_is(dataset, world)
    assert dataset.parts.tolist() == [PARTS[usage] for usage in usages[1:]]


@pytest.mark.parametrize("row", [6, 103])
def test_an_unknown_part_near_or_far_is_named_by_its_line(tmp_path, row):
    lines = ["label,split,pixel1,pixel2,pixel3,pixel4", *["1,train,0,0,0,0"] * (row - 3), "", "1,trian,0,0,0,0"]
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(lines))
    error = refused("split_value_unknown", path)
    assert (error.params["row"], error.params["name"], error.params["guessed"]) == (row, "trian", "split")


def test_several_labels_are_targets_if_they_are_named(tmp_path, world):
    lines = csv_text(world, names=True).splitlines()
    path = tmp_path / "garments.csv"
    path.write_text("\n".join([f"colour,{lines[0]}", *(f"{i % 2},{line}" for i, line in enumerate(lines[1:]))]))
    assert [target.name for target in read(path, target=["label", "colour"]).targets] == ["label", "colour"]


def test_columns_between_the_pixels_are_skipped_and_reported(tmp_path, world):
    lines = [line.split(",") for line in csv_text(world).splitlines()]
    path = tmp_path / "garments.csv"
    lines = [[*line[:9], "x" if i else "note", *line[9:]] for i, line in enumerate(lines)]
    path.write_text("\n".join(map(",".join, lines)))
    dataset = read(path, target="label")
    assert_is(dataset, world)
    assert dataset.fixes == (Message("columns_skipped", columns=["note"]),)


def test_a_folder_with_a_table_for_each_part_is_read(tmp_path, world):
    for name, rows in (("fashion_train.csv", slice(0, 20)), ("fashion_test.csv", slice(20, 30))):
        labels = [str(label) for label in world.true_labels[rows]]
        write_images(world.dataset.images.pixels[rows], labels, tmp_path / name)
    dataset = read(tmp_path)
    assert_is(dataset, world)
    assert dataset.parts.tolist() == ["train"] * 20 + ["test"] * 10


@pytest.mark.parametrize("header", ["image,label,a,b\n", ""])
@pytest.mark.parametrize("cells", ["1,2", '"[0.1, 0.2, 0.3, 0.4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7]",2'])
def test_rows_that_name_photos_are_no_pixels(tmp_path, header, cells):
    path = tmp_path / "photos.csv"
    path.write_text(header + "".join(f"{i}.jpg,{'dress' if i % 2 else 'hat'},{cells}\n" for i in range(6)))
    assert pixels.detect(path) is None


TIDIED = {
    "the header again": lambda lines: [*lines[:9], lines[0], *lines[9:]],
    "delimiters at the end": lambda lines: [lines[0], *(f"{line}," for line in lines[1:])],
    "rows of delimiters": lambda lines: [*lines[:9], "," * 784, *lines[9:]],
    "a comment": lambda lines: ["# exported today", *lines],
    "the header as a comment": lambda lines: [f"# {lines[0]}", *lines[1:]],
}


@pytest.mark.parametrize("change", TIDIED.values(), ids=TIDIED)
def test_lines_without_an_image_are_skipped(tmp_path, world, change):
    path = tmp_path / "garments.csv"
    path.write_text("\n".join(change(csv_text(world).splitlines())))
    assert_is(read(path), world)


def test_numpy_savetxt_is_read(tmp_path, world):
    path = tmp_path / "garments.csv"
    images = world.dataset.images.pixels.reshape(COUNT, -1)
    np.savetxt(path, np.c_[world.true_labels, images / 255], delimiter=",")
    dataset = read(path)
    assert_is(dataset, world)
    assert set(codes(dataset)) == {"label_side_guessed", "decimal_labels", "pixels_scaled"}


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["True", "FALSE"], ("false", "true")),
        (["007", "7", "x"], ("007", "7", "x")),
        (["07", "8"], ("7", "8")),
        (["x" * 5000, "8"], ("8", "x" * 5000)),
    ],
)
def test_labels_keep_their_names(tmp_path, cells, classes):
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(["label,pixel1,pixel2,pixel3,pixel4", *(f"{cell},0,1,2,3" for cell in cells)]))
    assert read(path).target().classes == classes


@pytest.mark.parametrize(
    "line", ["[1, 2, 3]", "{}", '{"label": "\\ud800", "pixels": [' + "1, " * 15 + "2]}", "{" * 9999]
)
def test_strange_json_lines_are_read_or_refused(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_text(f"{line}\n{line}\n")
    pixels.detect(path)
    with contextlib.suppress(DataError):
        read(path, format="pixels")


@pytest.mark.parametrize("text", ["1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8\n" * 3, "train\n" * 3])
def test_a_single_column_is_refused_with_a_reason(tmp_path, text):
    path = tmp_path / "tiny.txt"
    path.write_text(text)
    with pytest.raises(DataError):
        read(path, format="pixels")


# ── Sizes ────────────────────────────────────────────────────────────────────────────────────────────────


def write_pixels(path: Path, pixels) -> Path:
    write_images(pixels, [str(i % 2) for i in range(len(pixels))], path)
    return path


def test_3072_values_are_a_32_by_32_rgb_image(tmp_path):
    synthetic = make_garments(6, seed=1, size_px=32, colour=True)
    dataset = read(write_pixels(tmp_path / "c.csv", synthetic.dataset.images.pixels))
    assert np.array_equal(dataset.images.pixels, synthetic.dataset.images.pixels)


def test_an_image_that_is_not_square_needs_a_shape(tmp_path):
    pixels = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5, 1)
    path = write_pixels(tmp_path / "c.csv", pixels)

    assert refused("shape_unknown", path).params["found"] == 30
    assert np.array_equal(read(path, shape=(6, 5)).images.pixels, pixels)
    error = refused("shape_differs", path, shape=(5, 5))
    assert (error.params["found"], error.params["expected"], error.params["shape"]) == (30, 25, "5×5×1")


def test_an_ambiguous_file_without_header_needs_a_shape(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text((",".join(["7"] * 49) + "\n") * 3)  # 7×7 gray, or a label and 4×4 RGB

    assert refused("label_or_pixel", path).params["choices"] == ["7×7×1", "4×4×3"]
    assert read(path, shape=(7, 7)).targets == ()
    assert read(path, shape=(4, 4, 3)).images.pixels.shape == (3, 4, 4, 3)


def test_rows_larger_than_a_block_are_read_too(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 250, 250, 3), dtype=np.uint8)
    assert np.array_equal(read(write_pixels(tmp_path / "c.csv", pixels)).images.pixels, pixels)


# ── What cannot be read ──────────────────────────────────────────────────────────────────────────────────


def last_cell(value):
    return lambda line: f"{line.rsplit(',', 1)[0]},{value}"


ROW_DAMAGES = {
    "too short": (lambda line: line.rsplit(",", 1)[0], "pixel_count", {"found": 783, "expected": 784}),
    "too long": (lambda line: f"{line},3", "pixel_count", {"found": 785, "expected": 784}),
    "256": (last_cell(256), "pixel_range", {"column": "pixel784", "found": "256", "high": 256}),
    "1000": (last_cell(1000), "pixel_range", {"found": "1000"}),
    "-1": (last_cell(-1), "pixel_range", {"found": "-1", "low": -1}),
    "1e3": (last_cell("1e3"), "pixel_range", {"found": "1e3"}),
    "a word": (last_cell("abc"), "pixel_value", {"found": "abc"}),
    "nothing": (last_cell(""), "pixel_value", {"found": ""}),
    "nan": (last_cell("nan"), "pixel_value", {"found": "nan"}),
    "hundreds of digits": (last_cell("9" * 5000), "pixel_range", {"found": "9" * 40}),
    "a zero byte": (last_cell("\0"), "pixel_value", {"found": "\0"}),
}


@pytest.mark.parametrize(("damage", "code", "params"), ROW_DAMAGES.values(), ids=ROW_DAMAGES)
@pytest.mark.parametrize("row", [2, 17, COUNT + 1])
def test_a_row_that_cannot_be_read_is_named_by_its_line(tmp_path, world, damage, code, params, row):
    lines = csv_text(world).splitlines()
    lines[row - 1] = damage(lines[row - 1])
    path = tmp_path / "garments.csv"
    path.write_text("\n".join(lines))

    error = refused(code, path)
    assert params.items() <= error.params.items()
    assert (error.params["path"], error.params["row"]) == (str(path), row)
    assert "\n" not in str(error)


@pytest.mark.parametrize(("row", "code"), [(17, "csv_quote_open"), (117, "open_quote")])
def test_an_open_quote_is_named_by_its_line(tmp_path, row, code):
    lines = ["label,pixel1,pixel2,pixel3,pixel4", *["1,0,10,200,255"] * 150]
    lines[row - 1] = f'"{lines[row - 1]}'
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(lines))
    assert row in refused(code, path).params.values()


def test_the_row_is_correct_far_into_a_file(tmp_path):
    lines = ["label,pixel1,pixel2,pixel3,pixel4", "", *["1,0,10,200,255"] * 50_000, "", "1,0,10,200,2555", "1,0,0,0,0"]
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(lines))
    error = refused("pixel_range", path)
    assert (error.params["row"], error.params["found"]) == (50_004, "2555")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "format_not_detected"),
        (b"\n \n", "format_not_detected"),
        (b"label,pixel1,pixel2,pixel3,pixel4\n", "no_rows"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "format_not_detected"),
        (b"<!DOCTYPE html><html></html>", "not_a_table"),
        (b"x" * 300_000, "format_not_detected"),
        ("label,pixel1\n1,2\n".encode("utf-16"), "photo_column_not_found"),
    ],
)
def test_a_file_without_pixels_is_refused(tmp_path, content, code):
    path = tmp_path / "garments.csv"
    path.write_bytes(content)
    assert refused(code, path).params["path"] == str(path)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "table_empty"),
        (b"\xef\xbb\xbf\n", "table_empty"),
        ("label,pixel1".encode("utf-16"), "no_rows"),
        (b"label,p1\n\0,0\n", "not_a_table"),
        (b"label,p1\n1," + b"2" * (2**24 + 2**20), "csv_line"),
        (b"label,p1\n" + b"1,2\n" * 200 + b"1," + b"2" * (2**24 + 2**20), "line_too_long"),
    ],
)
def test_a_file_read_as_pixels_by_request_is_refused_by_code(tmp_path, content, code):
    path = tmp_path / "garments.csv"
    path.write_bytes(content)
    refused(code, path, format="pixels")


def test_a_label_that_is_not_utf_8_is_read_as_cp1252_and_said(tmp_path, world):
    path = tmp_path / "garments.csv"
    path.write_bytes(csv_text(world, names=True).encode().replace(b"dress", b"dr\xe8ss"))
    dataset = read(path)
    assert "drèss" in dataset.target().classes
    assert codes(dataset) == ["encoding_guessed"]


def test_a_gzipped_csv_that_was_cut_off_is_named(tmp_path, world):
    path = tmp_path / "garments.csv.gz"
    path.write_bytes(gzip.compress(csv_text(world).encode())[:-200])
    assert refused("gzip_cut_off", path).params["path"] == str(path)


def test_an_unknown_format_is_refused_with_the_nearest_name(tmp_path, world):
    path = tmp_path / "garments.csv"
    path.write_text(csv_text(world))
    assert refused("format_unknown", path, format="pixel").params["nearest"] == "pixels"


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_what_is_written_is_read_back_the_same(tmp_path_factory, data):
    count, side, channels = (
        data.draw(st.integers(1, 9)),
        data.draw(st.integers(2, 6)),
        data.draw(st.sampled_from([1, 3])),
    )
    values = data.draw(st.binary(min_size=count * side**2 * channels, max_size=count * side**2 * channels))
    pixels = np.frombuffer(values, np.uint8).reshape(count, side, side, channels)
    name = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).map(lambda t: f"a{t}")
    labels = data.draw(st.lists(name, min_size=count, max_size=count))
    path = tmp_path_factory.mktemp("written") / "x.csv"

    write_images(pixels, labels, path)
    dataset = read(path)

    assert np.array_equal(dataset.images.pixels, pixels)
    classes = dataset.target().classes
    assert [classes[i] for i in dataset.labels["label"]] == labels


@settings(max_examples=300)
@given(st.lists(st.lists(st.text("0123456789,;\n -x", max_size=5), min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_digit_parser_agrees_with_int(lines):
    """Whatever it does not refuse is exactly what Python makes of each cell."""
    text = "".join(",".join(cells) + "\n" for cells in lines)
    columns = len(lines[0])
    parsed = DigitParser(columns, ",", 1000).parse(text.encode())
    expected = [line.split(",") for line in text.split("\n")[:-1]]
    if parsed is not None:
        assert parsed.tolist() == [[int(cell) for cell in row] for row in expected]
    plain = all(
        len(row) == columns and all(c.isdecimal() and len(c) < 4 and int(c) < 256 for c in row) for row in expected
    )
    assert (parsed is not None) == (plain and len(text) > 3)


@settings(max_examples=200)
@given(st.lists(st.text("0123456789.eE+- x_", max_size=6), min_size=4, max_size=4))
def test_decimals_are_read_as_float_reads_them(tmp_path_factory, cells):
    """Whatever stands in a cell, the image or the error is that of the cell-by-cell reader."""
    rows = [["hat", *["0.5"] * 9], ["dress", *["7.25"] * 5, *cells]]
    path = tmp_path_factory.mktemp("decimals") / "x.csv"
    path.write_text("\n".join(map(",".join, [["label", *(f"pixel{i}" for i in range(9))], *rows])) + "\n")
    table, first = peek_text(path), 2
    layout = find_layout(path, table.columns, rows, ReadOptions())
    expected = found = None
    with contextlib.suppress(DataError):
        expected = parse_cells(table, list(enumerate(rows, first)), layout).pixels
    with contextlib.suppress(DataError):
        found = np.concatenate([block.pixels for block in read_text(table, first, layout)])
    assert (found is None) == (expected is None)
    assert found is None or np.array_equal(found, expected)


@pytest.mark.parametrize("max_values", [0, 2**24])
def test_parquet_of_many_columns_is_read_in_pieces(tmp_path, world, monkeypatch, max_values):
    monkeypatch.setattr(pixels, "COLUMNS_AT_ONCE", 100)
    monkeypatch.setattr(pixels, "MAX_GROUP_VALUES", max_values)
    values = world.dataset.images.pixels.reshape(COUNT, -1)
    columns = {"label": [f"class {i % 3}" for i in range(COUNT)], **{f"pixel{i}": v for i, v in enumerate(values.T)}}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet", row_group_size=7)
    dataset = read(tmp_path / "x.parquet")
    assert np.array_equal(dataset.images.pixels.reshape(COUNT, -1), values)
    assert dataset.labels["label"].tolist() == [i % 3 for i in range(COUNT)]


def test_the_digit_parser_reads_every_pair_of_values():
    values = np.random.default_rng(0).permutation(np.repeat(np.arange(256, dtype=np.uint8), 256)).reshape(-1, 64)
    text = "".join(",".join(map(str, row)) + "\n" for row in values.tolist()).encode()
    assert np.array_equal(DigitParser(64, ",", len(text)).parse(text), values)
