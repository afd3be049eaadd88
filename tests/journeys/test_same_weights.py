"""The same images give the same weights, whatever the format of their files."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import muslin
from command_line import invoke, run
from muslin.data import read
from muslin.data.convert import write_csv
from muslin.models.bundle import open_bundle

SETTINGS: dict[str, Any] = {"epochs": 1, "batch_size": 128}


@pytest.fixture(scope="module")
def csv_files(fashion_slice: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The slice as Kaggle's two files, as `muslin get --csv` writes them."""
    return write_csv(read(fashion_slice), tmp_path_factory.mktemp("csv"))


@pytest.fixture(scope="module")
def from_idx(fashion_slice: Path, tmp_path_factory: pytest.TempPathFactory) -> muslin.Run:
    return muslin.train(fashion_slice, settings=SETTINGS, out=tmp_path_factory.mktemp("idx") / "run")


def test_csv_files_give_the_same_weights_as_the_idx_files(
    csv_files: list[Path], from_idx: muslin.Run, tmp_path: Path, capfd: Any
) -> None:
    train, test = csv_files
    assert [path.name for path in csv_files] == ["fashion-mnist_train.csv", "fashion-mnist_test.csv"]
    words = ["train", train, "--test", test, "--epochs", 1, "--set", "batch_size=128", "--out", tmp_path / "run"]
    assert invoke(capfd, *words, "--json").json["test"] == from_idx.record["test"]
    ours, theirs = open_bundle(tmp_path / "run" / "model.muslin"), open_bundle(from_idx.model)
    assert ours.weights == theirs.weights
    assert ours.model == theirs.model
    assert ours.targets == theirs.targets
    assert ours.targets[0].classes[6] == "Shirt"
    assert ours.provenance["data"]["fingerprint"] == theirs.provenance["data"]["fingerprint"]


def test_csv_dialects_give_the_same_weights(csv_files: list[Path], from_idx: muslin.Run, tmp_path: Path) -> None:
    def respelled(path: Path) -> Path:
        """Without a header, the label last, semicolons, CRLF, a byte order mark, gzipped under another suffix."""
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        text = "".join(";".join([*row[1:], row[0]]) + "\r\n" for row in rows)
        other = tmp_path / f"{path.stem}.data"
        other.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode(), 1))
        return other

    train, test = map(respelled, csv_files)
    run = muslin.train(train, test=test, settings=SETTINGS, read_options={"target": "last"}, out=tmp_path / "run")
    assert open_bundle(run.model).weights == open_bundle(from_idx.model).weights


def test_weights_depend_on_the_seed_not_the_process(fashion_slice: Path, from_idx: muslin.Run, tmp_path: Path) -> None:
    words = ["train", fashion_slice, "--epochs", 1, "--set", "batch_size=128", "--out", "run"]
    assert run(*words, cwd=tmp_path).code == 0
    assert open_bundle(tmp_path / "run" / "model.muslin").weights == open_bundle(from_idx.model).weights
    other = muslin.train(fashion_slice, settings=SETTINGS, seed=1, out=tmp_path / "other")
    assert open_bundle(other.model).weights != open_bundle(from_idx.model).weights


def test_shuffled_rows_change_the_fingerprint_not_the_classes(
    csv_files: list[Path], from_idx: muslin.Run, tmp_path: Path
) -> None:
    header, *rows = csv_files[0].read_text().splitlines(keepends=True)
    (tmp_path / "fashion-mnist_train.csv").write_text(header + "".join(reversed(rows)))
    shuffled = read(tmp_path / "fashion-mnist_train.csv", test=csv_files[1])
    assert shuffled.fingerprint != from_idx.record["data"]["fingerprint"]
    assert list(shuffled.targets[0].classes) == from_idx.record["data"]["classes"]["label"]


@pytest.mark.slow
def test_data_from_get_csv_are_the_registered_data(tmp_path: Path, whole_run: Any) -> None:
    """`muslin get --csv`, then reading: what the whole run was trained on, so its weights are those of the CSV."""
    assert run("get", "fashion-mnist", "--csv", "files", cwd=tmp_path).code == 0
    looked = run("look", "files/fashion-mnist_train.csv", "--json", cwd=tmp_path).json
    assert looked["images"] == 60_000
    assert looked["targets"]["label"]["classes"]["Shirt"] == 6_000
    both = read(tmp_path / "files" / "fashion-mnist_train.csv", test=tmp_path / "files" / "fashion-mnist_test.csv")
    assert both.fingerprint == json.loads((whole_run.folder / "run.json").read_text())["data"]["fingerprint"]
