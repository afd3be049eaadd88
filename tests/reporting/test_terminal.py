"""Tables as someone sees them in a pipe of 80 columns."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from synthetic_evaluations import evaluation_of, report_inputs

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.messages import Message
from muslin.models.prediction import Prediction
from muslin.reporting.terminal.console import console_for, print_table
from muslin.reporting.terminal.dataset import print_dataset
from muslin.reporting.terminal.evaluation import print_evaluation
from muslin.reporting.terminal.predictions import print_predictions, wrap_path
from muslin.text import duration, interval_text, percent, plural, short_count, word_list
from small_models import prediction_of


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def _dataset(**changes: Any) -> Dataset:
    values: dict[str, Any] = {
        "name": "drawn",
        "format": "drawn",
        "images": PixelImages(np.zeros((6, 28, 28, 1), dtype=np.uint8)),
        "targets": (Target("label", ("boot", "[red]bag[/]")),),
        "labels": {"label": np.array([0, 1, 1, -1, 1, 0])},
        "ids": np.array(list("abcdef"), dtype=object),
        "parts": np.array(["train"] * 4 + ["test"] * 2, dtype=object),
        "origin": "drawn for a test",
        "fixes": ("1 row without an image passed over",),
    }
    return Dataset(**{**values, **changes})


def _printed(function: Any, *arguments: Any) -> str:
    out = io.StringIO()
    function(*arguments, file=out)
    assert all(len(line) <= 80 for line in out.getvalue().splitlines())
    assert "\x1b" not in out.getvalue()
    return out.getvalue()


def test_data_set_is_shown_with_class_counts_and_fixes() -> None:
    printed = _printed(print_dataset, _dataset())
    rows = {line.split()[0]: line.split()[1:3] for line in printed.splitlines() if line.split()}
    assert rows["boot"] == ["1", "1"]
    assert rows["[red]bag[/]"] == ["2", "1"]
    assert rows["(unknown)"] == ["1", "0"]
    assert "6 images, the first 28×28 px gray" in printed
    assert "1 row without an image passed over" in printed
    assert "█" in printed


def test_data_set_without_parts_or_with_labels_is_counted() -> None:
    assert "images" in _printed(print_dataset, _dataset(parts=None))
    tags = np.array([[1, 0], [1, 1], [0, 0], [-1, 0], [1, 0], [0, 1]], dtype=np.int8)
    target = Target("tags", ("red", "long"), "multilabel")
    printed = _printed(print_dataset, _dataset(targets=(target,), labels={"tags": tags}, parts=None))
    rows = {line.split()[0]: line.split()[1] for line in printed.splitlines() if len(line.split()) > 1}
    assert (rows["red"], rows["long"], rows["(unknown)"]) == ("3", "2", "1")


def test_data_set_without_labels_or_images_is_shown() -> None:
    assert "no labels" in _printed(print_dataset, _dataset(targets=(), labels={}))
    empty = _dataset().take(np.array([], dtype=np.int64))
    assert "0 images" in _printed(print_dataset, empty)


def test_evaluation_is_shown_with_intervals_and_pairs() -> None:
    evaluation = evaluation_of(
        report_inputs(("coat", "shirt", "an exceedingly long name of a class that has to be folded"))
    )
    printed = _printed(print_evaluation, evaluation)
    accuracy = percent(evaluation.accuracy)
    assert f"accuracy {accuracy}: {evaluation.correct} of {evaluation.n} correct" in printed
    coat = evaluation.per_class[0]
    low, high = coat.recall_interval
    assert coat.recall is not None
    assert f"{100 * coat.recall:.1f} ({100 * low:.1f}–{100 * high:.1f})" in printed
    assert "most confused pairs" in printed


def test_evaluation_without_errors_says_so() -> None:
    assert "no errors" in _printed(print_evaluation, evaluation_of(report_inputs(perfect=True)))


NOTE = "converted as the data set's authors did"


SHIRT = {"Shirt": 0.9123, "Coat": 0.05}


def _prediction(image: str, by_class: Mapping[str, float] = SHIRT, *labels: str) -> Prediction:
    return Prediction(image, {"label": prediction_of(by_class, "review", labels=labels or None)}, (NOTE,))


def test_predictions_are_shown_with_runner_up_and_errors() -> None:
    rows = [
        _prediction("a.png"),
        Prediction("b.jpg", {}, error=Message("image_type", path="b.jpg", found="int")),
        Prediction("c.png", {}, error="c\x1b[31m.png: no image"),
    ]
    printed = _printed(print_predictions, rows)
    assert "Shirt   91.2 %   Coat        5.0 %   review" in printed
    assert f"\n{rows[1].error}\n" in printed
    assert "c\\x1b[31m.png: no image" in printed
    assert f"1 image: {NOTE}" in printed


def test_long_path_is_broken_at_its_separators() -> None:
    path = "runs/demo-20261127-034928/test-0.png"
    printed = _printed(print_predictions, [_prediction(path, {"Ankle boot": 0.9})])
    lines = [line.split("   ")[0].strip() for line in printed.splitlines()]
    assert lines[2:4] == ["runs/demo-20261127-034928/", "test-0.png"]
    assert wrap_path("C:\\shop\\photos\\a.jpg", 12) == ["C:\\shop\\", "photos\\a.jpg"]
    assert wrap_path("/srv/a.png", 40) == ["/srv/a.png"]


def test_multilabel_predictions_are_listed_by_probability() -> None:
    probabilities = {"red": 0.7, "long": 0.9, "wool": 0.1}
    row = _prediction("a.png", probabilities, "red", "long")
    assert "long 90.0 %, red 70.0 %" in _printed(print_predictions, [row])


def test_no_predictions_print_nothing() -> None:
    assert _printed(print_predictions, []) == ""


def test_numbers_are_formatted_for_people() -> None:
    assert percent(0.99996) == ">99.9 %"
    assert percent(1.0) == "100.0 %"
    assert percent(0.00001) == "<0.1 %"
    assert percent(0.0) == "0.0 %"
    assert interval_text((0.9066, 0.9177)) == "90.7 to 91.8 %"
    assert interval_text((0.99963, 1.0)) == ">99.9 to 100.0 %"
    assert plural(1, "image") == "1 image"
    assert plural(2, "class", "classes") == "2 classes"
    assert [short_count(n) for n in (9_999, 389_376, 4_207_000, 3_100_000_000)] == ["9,999", "389 k", "4.2 M", "3.1 G"]
    assert [duration(s) for s in (14.21, 59.99, 754, 7500)] == ["14.2 s", "1 min", "12 min 34 s", "2 h 5 min"]
    assert [word_list(names) for names in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a, b and c"]


@pytest.mark.parametrize(("width", "line"), [(21, "longsleeve x    1,000"), (20, "longsleeve x   1,000")])
def test_table_parts_columns_less_before_it_breaks_a_cell(width: int, line: str) -> None:
    out = io.StringIO()
    console = console_for(out)
    console.width = width
    print_table(console, "fr", ("class", "images"), [("longsleeve x", "1,000")])
    assert out.getvalue().splitlines()[-1].rstrip() == line


def test_lines_of_tables_do_not_end_in_blanks() -> None:
    out = io.StringIO()
    print_table(
        console_for(out), "rl", ("precision", ""), [("90 %", "highest possible"), None, ("95 %", ""), ("98 %", "")]
    )
    lines = out.getvalue().split("\n")
    assert lines == [line.rstrip() for line in lines]
    assert lines[3:] == ["", "     95 %", "     98 %", ""]
