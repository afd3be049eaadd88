"""A CSV that names samples: written so that no spreadsheet runs it, read back unchanged, applied exactly."""

import csv
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muslin.data.audit.exclusions import guarded, read_names, unguarded, without, write_names
from muslin.errors import DataError

ODD = [
    "=1+1",
    "+49",
    "-x.jpg",
    "@SUM(A1)",
    "'quoted",
    "a,b",
    'say "hi".jpg',
    "two\nlines",
    "短裙.jpg",
    " x ",
    "\ttab",
]


def test_any_name_comes_back_and_none_is_a_formula(tmp_path):
    path = tmp_path / "exclude.csv"
    write_names(path, ("part", "id", "why"), [("train", name, "blank") for name in ODD])
    assert read_names(path) == [("train", name) for name in ODD]
    with path.open(newline="") as file:
        cells = [cell for row in list(csv.reader(file))[1:] for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@given(st.text())
def test_guarding_is_undone_exactly(text):
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_file_saved_by_a_spreadsheet_is_read_too(tmp_path):
    path = tmp_path / "choices.csv"
    path.write_bytes("\ufeffid,part,remark\r\ntrain/3,train,no\r\ntest/1,,\r\n".encode())
    assert read_names(path) == [("train", "train/3"), ("", "test/1")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no column `id`"),
        (b"name,label\nx,y\n", "no column `id`"),
        (b"part,id\ntrain,a\ntrain\n", "line 3 names no id"),
        (b'part,id\ntrain,"x\n', "is no CSV"),
    ],
)
def test_a_file_that_names_nothing_is_refused(tmp_path, content, words):
    path = tmp_path / "exclude.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_names(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_names(tmp_path / "no.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_names(tmp_path)


def test_exactly_the_named_samples_are_dropped(drawn):
    parts = np.array(["train"] * 150 + ["test"] * 50, dtype=object)
    data = dataclasses.replace(drawn.dataset, parts=parts)
    kept = without(data, [("train", "3"), ("", "17"), ("test", "199"), ("train", "3")], "exclude.csv")
    assert len(kept) == 197
    assert not {"3", "17", "199"} & set(kept.ids)
    assert (kept.images[3] == data.images[4]).all()
    assert kept.labels["label"][3] == data.labels["label"][4]
    assert kept.parts[-1] == "test"
    assert kept.fixes[-1] == "3 of 200 samples left out, as exclude.csv says"
    assert len(data) == 200


def test_names_that_the_data_do_not_have_are_an_error_that_lists_them(drawn):
    parts = np.array(["train"] * 150 + ["test"] * 50, dtype=object)
    data = dataclasses.replace(drawn.dataset, parts=parts)
    with pytest.raises(
        DataError, match=r"e\.csv: names x1, 199 in train, x2 and 1 more, which are not in drawn"
    ):
        without(data, [("", "x1"), ("train", "199"), ("", "3"), ("", "x2"), ("", "x3")], "e.csv")
    with pytest.raises(DataError, match="3 in train, which is not in drawn"):
        without(drawn.dataset, [("train", "3")], "e.csv")


def test_leaving_out_everything_is_an_error(drawn):
    with pytest.raises(DataError, match="nothing is left"):
        without(drawn.dataset, [("", str(i)) for i in range(200)], "e.csv")
