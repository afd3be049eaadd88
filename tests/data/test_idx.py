"""Reading MNIST's and Fashion-MNIST's own files, sound and damaged."""

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
def folder(tmp_path: Path, drawn: SyntheticDataset) -> Path:
    """A folder like Fashion-MNIST's: 150 train and 50 test images."""
    pixels, labels = drawn.dataset.images.pixels, drawn.dataset.labels["label"]
    for prefix, part in (("train", slice(0, 150)), ("t10k", slice(150, 200))):
        write_part(tmp_path, prefix, pixels[part], labels[part])
    return tmp_path


def test_a_folder_gives_both_parts_train_first(folder, drawn):
    dataset = read(folder)

    assert dataset.format == "idx"
    assert np.array_equal(dataset.images.pixels, drawn.dataset.images.pixels)
    assert np.array_equal(dataset.labels["label"], drawn.dataset.labels["label"])
    assert dataset.target().classes == ("0", "1", "2", "3", "4")
    assert list(dataset.parts) == ["train"] * 150 + ["test"] * 50
    assert (dataset.ids[0], dataset.ids[-1]) == ("train/0", "test/49")


def test_gzipped_files_are_known_by_their_first_bytes_not_by_their_names(folder, drawn):
    for path in folder.iterdir():
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(read(folder).images.pixels, drawn.dataset.images.pixels)

    for path in list(folder.iterdir()):
        path.rename(path.with_name(f"{path.name}.gz")).write_bytes(
            gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
        )
    assert np.array_equal(read(folder).images.pixels, drawn.dataset.images.pixels)


def test_a_file_of_images_finds_its_labels_beside_it_gzipped_or_not(folder, drawn):
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.rename(folder / "t10k-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(labels_file(drawn.true_labels[150:]))
    )

    dataset = read(folder / "t10k-images-idx3-ubyte")

    assert len(dataset) == 50
    assert dataset.parts is None
    assert np.array_equal(dataset.labels["label"], drawn.true_labels[150:])


def test_two_single_files_become_train_and_test(folder):
    joined = read(folder / "train-images-idx3-ubyte", test=folder / "t10k-images-idx3-ubyte")

    assert joined.fingerprint == read(folder).fingerprint
    assert list(joined.ids) == list(read(folder).ids)


def test_the_dotted_names_that_some_mirrors_use_are_known_too(folder):
    before = read(folder).fingerprint
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert read(folder).fingerprint == before


def test_a_file_that_is_there_twice_is_read_once_and_that_is_said(folder):
    before = read(folder).fingerprint
    plain = folder / "train-images-idx3-ubyte"
    plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))

    dataset = read(folder)

    assert dataset.fingerprint == before
    assert "train-images-idx3-ubyte.gz" in dataset.fixes[0]


DAMAGES = {
    "cut off": (lambda content: content[:-100], "117,616 bytes in all.*117,516"),
    "cut off in the header": (lambda content: content[:11], "header"),
    "too long": (lambda content: content + b"x", "more follow"),
    "another magic number": (lambda content: b"\x00\x00\x08\x04" + content[4:], "0x00000804"),
    "empty": (lambda content: b"", "empty"),
    "no images in it": (lambda content: struct.pack(">4I", 2051, 0, 28, 28), "nothing in it"),
    "a count beyond all memory": (
        lambda content: struct.pack(">4I", 2051, 2**32 - 1, 28, 28) + content[16:],
        "4,294,967,295",
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_a_damaged_file_of_images_is_refused_with_the_numbers_found(folder, damage, said, zipped):
    path = folder / "train-images-idx3-ubyte"
    content = damage(path.read_bytes())
    path.write_bytes(gzip.compress(content) if zipped else content)

    with pytest.raises(DataError, match=said) as caught:
        read(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gzip_file_that_was_cut_off_is_named(folder):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes())[:-50])
    with pytest.raises(DataError, match=f"{path}: the gzip file is cut off"):
        read(folder)


def test_a_gzip_file_that_grows_beyond_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("muslin.data.gzip_files.FREE_BYTES", 100_000)
    content = struct.pack(">4I", 2051, 1000, 28, 28) + bytes(784_000)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(gzip.compress(content))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels_file(np.zeros(1000)))
    with pytest.raises(DataError, match="784,016 bytes in all"):
        read(tmp_path)

    (tmp_path / "zeros.csv").write_bytes(gzip.compress(b"label,p1,p2,p3,p4\n" + b"0,0,0,0,0\n" * 100_000))
    with pytest.raises(DataError, match="grows beyond"):
        read(tmp_path / "zeros.csv")


def test_a_label_outside_0_to_9_is_refused_with_its_place(folder):
    labels = np.zeros(150)
    labels[17] = 10
    (folder / "train-labels-idx1-ubyte").write_bytes(labels_file(labels))
    with pytest.raises(DataError, match="label 10 at position 17"):
        read(folder)


def test_more_images_than_labels_are_refused_with_both_counts(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(labels_file(np.zeros(149)))
    with pytest.raises(DataError, match=r"150 images.*149 labels"):
        read(folder)


def test_missing_labels_are_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte, is not beside it"):
        read(folder)


def test_who_gives_the_labels_is_pointed_to_the_images(folder):
    with pytest.raises(DataError, match="holds labels"):
        read(folder / "train-labels-idx1-ubyte")


def test_an_option_that_means_nothing_to_idx_is_refused(folder):
    with pytest.raises(DataError, match="shape"):
        read(folder, shape=(28, 28))
