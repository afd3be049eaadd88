"""Reading IDX files, sound and damaged."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from idx_files import labels_file, write_part
from muslin.data import read
from muslin.data.synthetic import SyntheticDataset
from muslin.errors import DataError


@pytest.fixture
def folder(tmp_path: Path, synthetic: SyntheticDataset) -> Path:
    """A folder like Fashion-MNIST's: 150 train and 50 test images."""
    pixels, labels = synthetic.dataset.images.pixels, synthetic.dataset.labels["label"]
    for prefix, part in (("train", slice(0, 150)), ("t10k", slice(150, 200))):
        write_part(tmp_path, prefix, pixels[part], labels[part])
    return tmp_path


def refused(code: str, path: Path) -> DataError:
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.code == code
    return error.value


def test_a_folder_gives_both_parts_train_first(folder, synthetic):
    dataset = read(folder)

    assert dataset.format == "idx"
    assert np.array_equal(dataset.images.pixels, synthetic.dataset.images.pixels)
    assert np.array_equal(dataset.labels["label"], synthetic.dataset.labels["label"])
    assert dataset.target().classes == ("0", "1", "2", "3", "4")
    assert list(dataset.parts) == ["train"] * 150 + ["test"] * 50
    assert (dataset.ids[0], dataset.ids[-1]) == ("train/0", "test/49")


def test_gzip_is_detected_by_content_not_by_name(folder, synthetic):
    for path in folder.iterdir():
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(read(folder).images.pixels, synthetic.dataset.images.pixels)

    for path in list(folder.iterdir()):
        path.rename(path.with_name(f"{path.name}.gz")).write_bytes(
            gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
        )
    assert np.array_equal(read(folder).images.pixels, synthetic.dataset.images.pixels)


def test_a_file_of_images_finds_its_labels(folder, synthetic):
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.rename(folder / "t10k-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(labels_file(synthetic.true_labels[150:]))
    )

    dataset = read(folder / "t10k-images-idx3-ubyte")

    assert len(dataset) == 50
    assert dataset.parts is None
    assert np.array_equal(dataset.labels["label"], synthetic.true_labels[150:])


def test_two_single_files_become_train_and_test(folder):
    joined = read(folder / "train-images-idx3-ubyte", test=folder / "t10k-images-idx3-ubyte")

    assert joined.fingerprint == read(folder).fingerprint
    assert list(joined.ids) == list(read(folder).ids)


def test_names_with_dots_are_read_too(folder):
    before = read(folder).fingerprint
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert read(folder).fingerprint == before


def test_a_file_and_its_gzipped_copy_are_read_once(folder):
    before = read(folder).fingerprint
    plain = folder / "train-images-idx3-ubyte"
    plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))

    dataset = read(folder)

    assert dataset.fingerprint == before
    assert dataset.fixes[0].code == "duplicates_skipped"
    assert dataset.fixes[0].params["files"] == ["train-images-idx3-ubyte.gz"]


DAMAGES = {
    "cut off": (lambda content: content[:-100], "idx_length", {"found": 117_516, "expected": 117_616}),
    "cut off in the header": (lambda content: content[:11], "idx_header", {"found": 11, "expected": 16}),
    "too long": (lambda content: content + b"x", "idx_too_long", {"expected": 117_616}),
    "another magic number": (
        lambda content: b"\x00\x00\x08\x04" + content[4:],
        "idx_magic",
        {"expected": "0x00000803"},
    ),
    "empty": (lambda content: b"", "file_empty", {}),
    "no images in it": (lambda content: struct.pack(">4I", 2051, 0, 28, 28), "idx_empty", {"count": 0}),
    "a count beyond all memory": (
        lambda content: struct.pack(">4I", 2051, 2**32 - 1, 28, 28) + content[16:],
        "idx_length",
        {"expected": (2**32 - 1) * 28 * 28 + 16},
    ),
}


@pytest.mark.parametrize(("damage", "code", "params"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_a_damaged_file_of_images_is_refused_with_its_numbers(folder, damage, code, params, zipped):
    path = folder / "train-images-idx3-ubyte"
    content = damage(path.read_bytes())
    path.write_bytes(gzip.compress(content) if zipped else content)

    error = refused(code, folder)
    assert params.items() <= error.params.items()
    assert error.params["path"] == str(path)
    assert "\n" not in str(error)


def test_a_gzip_file_that_was_cut_off_is_named(folder):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes())[:-50])
    assert refused("gzip_cut_off", folder).params["path"] == str(path)


def test_a_gzip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("muslin.data.expansion.FREE_BYTES", 100_000)
    content = struct.pack(">4I", 2051, 1000, 28, 28) + bytes(784_000)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(gzip.compress(content))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels_file(np.zeros(1000)))
    assert refused("idx_length", tmp_path).params["expected"] == 784_016

    (tmp_path / "zeros.csv").write_bytes(gzip.compress(b"label,p1,p2,p3,p4\n" + b"0,0,0,0,0\n" * 100_000))
    limit = max(100_000, 200 * (tmp_path / "zeros.csv").stat().st_size)
    assert refused("content_too_large", tmp_path / "zeros.csv").params["max_bytes"] == limit


def test_a_label_outside_0_to_9_is_refused_with_its_place(folder):
    labels = np.zeros(150)
    labels[17] = 10
    (folder / "train-labels-idx1-ubyte").write_bytes(labels_file(labels))
    error = refused("label_range", folder)
    assert (error.params["found"], error.params["position"], error.params["n"]) == (10, 17, 1)


def test_more_images_than_labels_are_refused_with_both_counts(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(labels_file(np.zeros(149)))
    error = refused("label_count", folder)
    assert (error.params["found"], error.params["expected"]) == (149, 150)


def test_missing_labels_are_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert refused("idx_labels_missing", folder).params["labels"] == "t10k-labels-idx1-ubyte"


def test_a_file_of_labels_alone_is_refused(folder):
    refused("idx_labels_only", folder / "train-labels-idx1-ubyte")


def test_an_option_without_effect_on_idx_is_refused(folder):
    with pytest.raises(DataError) as error:
        read(folder, shape=(28, 28))
    assert error.value.code == "format_option_unused"
