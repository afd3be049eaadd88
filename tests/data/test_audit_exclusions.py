"""CSV files that name samples: safe in spreadsheets, read back unchanged, applied exactly."""

import csv
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muslin.data.audit.exclusions import (
    escape_formula,
    exclude_samples,
    read_exclusions,
    unescape_formula,
    write_exclusions,
)
from muslin.data.dataset import join
from muslin.errors import DataError
from refusals import refuses

ODD = ["=1+1", "+49", "-x.jpg", "@SUM(A1)", "'quoted", "a,b", 'say "hi".jpg', "two\nlines", "短裙.jpg", " x ", "\ttab"]


def test_any_name_is_read_back_and_none_is_a_formula(tmp_path):
    path = tmp_path / "exclude.csv"
    write_exclusions(path, ("part", "id", "findings"), [("train", name, "blank") for name in ODD])
    assert read_exclusions(path) == [("train", name) for name in ODD]
    with path.open(newline="") as file:
        cells = [cell for row in list(csv.reader(file))[1:] for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@given(st.text())
def test_escaping_is_reversible(text):
    assert unescape_formula(escape_formula(text)) == text
    assert not escape_formula(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_file_saved_by_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "choices.csv"
    path.write_bytes("\ufeffid,part,remark\r\ntrain/3,train,no\r\ntest/1,,\r\n".encode())
    assert read_exclusions(path) == [("train", "train/3"), ("", "test/1")]


@pytest.mark.parametrize(
    ("content", "code", "row"),
    [
        (b"", "exclusions_without_id", None),
        (b"name,label\nx,y\n", "exclusions_without_id", None),
        (b"part,id\ntrain,a\ntrain\n", "exclusion_id_missing", 3),
        (b'part,id\ntrain,"x\n', "exclusions_not_csv", 2),
    ],
)
def test_a_file_without_ids_is_refused(tmp_path, content, code, row):
    path = tmp_path / "exclude.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_exclusions(path)
    assert (error.value.code, error.value.params["path"]) == (code, str(path))
    assert error.value.params.get("row") == row


@pytest.mark.parametrize("name", ["no.csv", "."])
def test_a_missing_file_and_a_folder_are_refused(tmp_path, name):
    with pytest.raises(DataError) as error:
        read_exclusions(tmp_path / name)
    assert error.value.code == "exclusions_unreadable"


def test_names_with_control_characters_are_excluded_as_utf_8(tmp_path, synthetic):
    data = synthetic.dataset
    ids = np.array(["caf\udce9.jpg", "\x1b[2J.jpg", *map(str, data.ids[2:])], dtype=object)
    data = dataclasses.replace(data, ids=ids)
    write_exclusions(tmp_path / "exclude.csv", ("part", "id"), [("", name) for name in ids[:2]])
    assert (tmp_path / "exclude.csv").read_text(encoding="utf-8") == "part,id\n,caf\\udce9.jpg\n,\\x1b[2J.jpg\n"
    kept = exclude_samples(data, read_exclusions(tmp_path / "exclude.csv"), "exclude.csv")
    assert list(kept.ids) == list(ids[2:])


def test_exactly_the_named_samples_are_excluded(synthetic):
    parts = np.array(["train"] * 150 + ["test"] * 50, dtype=object)
    data = dataclasses.replace(synthetic.dataset, parts=parts)
    kept = exclude_samples(data, [("train", "3"), ("", "17"), ("test", "199"), ("train", "3")], "exclude.csv")
    assert len(kept) == 197
    assert not {"3", "17", "199"} & set(kept.ids)
    assert (kept.images[3] == data.images[4]).all()
    assert kept.labels["label"][3] == data.labels["label"][4]
    assert kept.parts[-1] == "test"
    assert kept.fixes[-1].code == "samples_excluded"
    assert kept.fixes[-1].params == {"excluded": 3, "count": 200, "path": "exclude.csv"}
    assert len(data) == 200


def test_unknown_samples_are_an_error_that_names_them(synthetic):
    parts = np.array(["train"] * 150 + ["test"] * 50, dtype=object)
    data = dataclasses.replace(synthetic.dataset, parts=parts)
    with pytest.raises(DataError) as error:
        exclude_samples(data, [("", "x1"), ("train", "199"), ("", "3"), ("", "x2"), ("", "x3")], "e.csv")
    assert error.value.code == "excluded_samples_unknown"
    assert (error.value.params["count"], error.value.params["names"]) == (4, ["x1", "train/199", "x2"])
    with pytest.raises(DataError) as error:
        exclude_samples(synthetic.dataset, [("train", "3")], "e.csv")
    assert error.value.params["names"] == ["train/3"]


def test_excluding_everything_is_an_error(synthetic):
    with pytest.raises(DataError) as error:
        exclude_samples(synthetic.dataset, [("", str(i)) for i in range(200)], "e.csv")
    assert error.value.code == "everything_excluded"


def test_decisions_on_training_data_hold_beside_a_test_set(synthetic):
    train, test = (synthetic.dataset.take(np.arange(first, first + 9)) for first in (0, 5))
    joined = join({"train": train, "test": test})
    kept = exclude_samples(joined, [("", "7"), ("train", "3"), ("test", "12")], "exclude.csv")
    assert set(joined.ids) - set(kept.ids) == {"train/7", "train/3", "test/12"}
    with refuses("excluded_samples_unknown", names=["12"]):
        exclude_samples(joined, [("", "12")], "exclude.csv")
