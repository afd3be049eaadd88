"""Registered data sets: recognised by the name of their files, and written as CSV."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from idx_files import put
from muslin.data import read, registry
from muslin.data.convert import write_csv
from muslin.data.registry import RegisteredDataset
from muslin.data.synthetic import SyntheticDataset
from muslin.data.writers.csv import write_images
from muslin.errors import DataError, StorageError


@pytest.fixture
def row(tiny: RegisteredDataset, synthetic: SyntheticDataset, monkeypatch: pytest.MonkeyPatch) -> RegisteredDataset:
    """The small data set as a row of DATASETS, with its classes."""
    row = replace(tiny, classes=synthetic.dataset.target().classes)
    monkeypatch.setitem(registry.DATASETS, "tiny", row)
    return row


def test_csv_files_read_back_as_the_same_arrays(row, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSLIN_DATA", str(put(tmp_path / "mine", contents)))
    original = read("tiny")

    train, test = write_csv(original, tmp_path / "csv")
    again = read(train, test=test)

    assert (train.name, test.name) == ("tiny_train.csv", "tiny_test.csv")
    assert train.read_text().splitlines()[0] == ",".join(["label", *(f"pixel{i}" for i in range(1, 785))])
    assert train.read_text().splitlines()[1].split(",")[0] == "0"
    assert again.fingerprint == original.fingerprint
    assert again.target().classes == row.classes
    assert np.array_equal(again.images.pixels, original.images.pixels)


def test_numbers_in_a_folder_with_a_registered_name_become_names(row, contents, tmp_path):
    dataset = read(put(tmp_path / "tiny", contents))
    assert dataset.target().classes == row.classes
    assert dataset.transform == "fashion-mnist"
    assert "class names of tiny" in dataset.origin


def test_a_folder_with_another_name_keeps_its_numbers(row, contents, tmp_path):
    dataset = read(put(tmp_path / "renamed", contents))
    assert dataset.target().classes == tuple(map(str, range(len(row.classes))))
    assert dataset.transform == "fit"


def test_a_csv_with_a_registered_name_gets_the_class_names(row, synthetic, tmp_path):
    few = synthetic.dataset.take(np.arange(20))
    path = write_csv(replace(few, name="tiny-20"), tmp_path)[0]
    assert read(path).target().classes == row.classes


def test_images_of_another_size_are_not_a_registered_data_set(row, tmp_path):
    path = tmp_path / "tiny.csv"
    write_images(np.zeros((4, 8, 8, 1), dtype=np.uint8), ["0", "1", "0", "1"], path)
    assert read(path).target().classes == ("0", "1")


def test_a_test_file_with_a_registered_name_names_both_parts(row, synthetic, tmp_path):
    train = tmp_path / "mine.csv"
    write_images(synthetic.dataset.images.pixels[:20], [str(i) for i in synthetic.true_labels[:20]], train)
    test = write_csv(replace(synthetic.dataset.take(np.arange(150, 200)), name="tiny"), tmp_path)[0]

    dataset = read(train, test=test)

    assert dataset.target().classes == row.classes
    assert np.array_equal(dataset.labels["label"], np.r_[synthetic.true_labels[:20], synthetic.true_labels[150:]])


def test_a_path_with_a_registered_name_is_read_as_a_path(row, contents, tmp_path, monkeypatch):
    put(tmp_path / "tiny", contents)
    monkeypatch.chdir(tmp_path)
    assert read(Path("tiny")).origin.startswith("tiny, IDX files")
    assert read("./tiny").origin.startswith("tiny, IDX files")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(DataError) as error:
        registry.lookup("fashion-mnits")
    assert error.value.code == "dataset_unknown"
    assert error.value.params["nearest"] == "fashion-mnist"


def test_a_csv_is_never_half_written(synthetic, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as error:
        write_csv(synthetic.dataset, tmp_path / "file")
    assert error.value.code == "path_occupied"


@pytest.mark.slow
def test_fashion_mnist_is_the_same_from_idx_and_from_csv(tmp_path):
    original = read("fashion-mnist")
    assert len(original) == 70_000
    assert list(np.bincount(original.labels["label"])) == [7000] * 10
    assert original.target().classes[9] == "Ankle boot"

    train, test = write_csv(original, tmp_path)
    again = read(train, test=test)

    assert again.fingerprint == original.fingerprint
    assert again.transform == "fashion-mnist"
