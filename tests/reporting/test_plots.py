"""Drawings are well-formed, stay within their edges, and show the metrics."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from synthetic_evaluations import NETWORK

from muslin.evaluation import Evaluation, evaluate_multiclass
from muslin.reporting.svg import plots
from muslin.reporting.svg.network_diagram import network_diagram
from muslin.reporting.svg.svg import (
    inline_svg,
    integer_ticks,
    nice_ticks,
    shorten_text,
    spread_apart,
    text_width,
    wrap_text,
)

SVG = "{http://www.w3.org/2000/svg}"
AWKWARD = ("<script>alert('x')</script>", 'a "quoted" & <b>', "短裙" * 20, "👟", "x" * 60, "nul\x00byte\x1b[31m")


def _evaluation(
    classes: int, n: int = 400, names: tuple[str, ...] | None = None, separation: float = 2.0
) -> Evaluation:
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, n)
    scores = random.normal(size=(n, classes)) + separation * np.eye(classes)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return evaluate_multiclass(labels, probabilities, names or [f"class {i}" for i in range(classes)])


def _history(epochs: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "train_accuracy": 1 - 0.4 / epoch,
            "validation_loss": 1.2 / epoch,
            "validation_accuracy": 1 - 0.5 / epoch,
            **more,
        }
        for epoch in range(1, epochs + 1)
    ]


def _drawings() -> Iterator[tuple[str, str]]:
    awkward = _evaluation(len(AWKWARD), names=AWKWARD)
    perfect = evaluate_multiclass(np.array([0, 1]), np.eye(2), ("a", "b"))
    absent = evaluate_multiclass(np.array([0, 0]), np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), ("a", "b", "c"))
    for epochs in (0, 1, 2, 12, 50):
        yield f"curves of {epochs}", plots.learning_curves(_history(epochs))
    yield (
        "curves without validation",
        plots.learning_curves(_history(3, validation_loss=None, validation_accuracy=None)),
    )
    yield "curves with NaN", plots.learning_curves(_history(3, train_loss=float("nan")))
    yield "curves at the top", plots.learning_curves(_history(3, train_accuracy=1.0, validation_accuracy=1.0))
    yield "curves of one value", plots.learning_curves(_history(3, train_loss=0.0, validation_loss=0.0))
    for classes in (2, 10, 30):
        evaluation = _evaluation(classes)
        yield f"confusion of {classes}", plots.confusion_matrix_plot(evaluation)
        yield f"bars of {classes}", plots.class_metric_bars(evaluation)
        yield f"reliability of {classes}", plots.reliability_diagram(evaluation)
    for name, evaluation in (("awkward", awkward), ("perfect", perfect), ("absent", absent)):
        yield f"{name} confusion", plots.confusion_matrix_plot(evaluation)
        yield f"{name} bars", plots.class_metric_bars(evaluation)
        yield f"{name} reliability", plots.reliability_diagram(evaluation)
    yield "counts", plots.class_count_bars({"train": dict.fromkeys(AWKWARD, 5), "test": {AWKWARD[0]: 1}})
    yield "no counts", plots.class_count_bars({"train": {"a": 0}})
    yield "network", network_diagram(NETWORK)
    yield "bare network", network_diagram({"input": [1, 1, 1], "layers": []})


@pytest.mark.parametrize(("name", "drawing"), [pytest.param(*pair, id=pair[0]) for pair in _drawings()])
def test_drawing_is_a_complete_file_within_its_edges(name: str, drawing: str) -> None:
    root = ElementTree.fromstring(drawing)
    assert root.get("role") == "img"
    ids = {element.get("id"): element for element in root.iter() if element.get("id")}
    for named in (root.get("aria-labelledby") or "").split():
        assert ids[named].text
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for element in root.iter():
        assert element.tag != f"{SVG}script"
        for place in re.findall(r"(?<![\w-])(?:nan|inf)(?![\w-])", " ".join(map(str, element.attrib.values()))):
            raise AssertionError(f"{name}: {place} in {element.attrib}")
    panels = [root, *root.iter(f"{SVG}g")]
    for rect in (child for panel in panels for child in panel.findall(f"{SVG}rect")):
        if rect.get("width") == "100%":
            continue
        x, y = float(rect.get("x", 0)), float(rect.get("y", 0))
        assert -0.1 <= x <= width + 0.1
        assert float(rect.get("width", 0)) >= 0
        assert y + float(rect.get("height", 0)) <= height + 0.1
    assert "http" not in drawing.replace('xmlns="http://www.w3.org/2000/svg"', "", 1)


def test_inline_drawing_has_no_style_or_name_space() -> None:
    inside = inline_svg(plots.confusion_matrix_plot(_evaluation(3)))
    assert "<style>" not in inside
    assert "xmlns" not in inside
    assert 'role="img"' in inside


def test_confusion_matrix_shows_counts_and_names_pairs() -> None:
    evaluation = _evaluation(4)
    root = ElementTree.fromstring(plots.confusion_matrix_plot(evaluation))
    shown = sorted(text.text for text in root.iter(f"{SVG}text") if (text.text or "").isdigit())
    rows = evaluation.confusion
    expected = [str(rows[i][j]) for i in range(4) for j in range(4) if rows[i][j] or i == j]
    assert shown == sorted(expected)
    worst = evaluation.confused_pairs[0]
    assert f"class {worst.true} predicted as class {worst.predicted}: {worst.count} times" in ElementTree.tostring(
        root, encoding="unicode"
    )


def test_frequent_errors_stand_out_in_the_confusion_matrix() -> None:
    labels = np.repeat([0, 1], 10)
    predicted = np.array([0] * 6 + [1] * 4 + [1] * 9 + [0])
    root = ElementTree.fromstring(
        plots.confusion_matrix_plot(evaluate_multiclass(labels, np.eye(2)[predicted], ("a", "b")))
    )
    cells = {
        next(iter(group.iter(f"{SVG}text"))).text: next(iter(group.iter(f"{SVG}rect")))
        for group in root.iter(f"{SVG}g")
    }
    assert cells["6"].get("class") == cells["9"].get("class") == "ink"
    assert cells["4"].get("class") == cells["1"].get("class") == "accent"
    assert float(cells["4"].get("fill-opacity", 1)) > float(cells["1"].get("fill-opacity", 1))


def test_confusion_matrix_of_selected_classes() -> None:
    drawing = plots.confusion_matrix_plot(_evaluation(30), [3, 17])
    assert "class 17" in drawing
    assert ">class 5<" not in drawing


def test_weakest_class_comes_first() -> None:
    labels = np.array([0] * 10 + [1] * 10)
    predicted = np.array([0] * 10 + [1] * 5 + [0] * 5)
    drawing = plots.class_metric_bars(evaluate_multiclass(labels, np.eye(3)[predicted], ("good", "weak", "absent")))
    assert drawing.index(">weak<") < drawing.index(">good<") < drawing.index(">absent<")
    assert "no test images" in drawing


def test_learning_curve_of_one_epoch_shows_its_points() -> None:
    root = ElementTree.fromstring(plots.learning_curves(_history(1)))
    assert len(list(root.iter(f"{SVG}circle"))) == 2
    assert ">50.0 %<" in plots.learning_curves(_history(1))


def test_learning_curve_by_step_without_epochs() -> None:
    drawing = plots.learning_curves([{"step": 100, "train_loss": 1.0}, {"step": 200, "train_loss": 0.5}], ["loss"])
    assert ">step<" in drawing
    assert ">200<" in drawing


def test_network_diagram_explains_each_layer_kind_once() -> None:
    drawing = network_diagram({**NETWORK, "layers": [*NETWORK["layers"], NETWORK["layers"][1]]})
    assert drawing.count("looks everywhere for small patterns") == 1
    assert "8 kernels of 3×3×1" in drawing
    assert "800 inputs to 3 outputs" in drawing
    assert "&lt;new kind&gt;" in drawing
    assert "10×10×8" in drawing
    assert "1,234 parameters, 57 k multiplications per image" in drawing


@pytest.mark.parametrize(("low", "high"), [(0.0, 2.3), (0.71, 0.9312), (0.0, 1e-6), (120.0, 54_000.0), (0.0, 1.0)])
def test_ticks_are_round_and_enclose_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high, 5)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])
    assert 3 <= len(ticks) <= 8
    leading = (ticks[1] - ticks[0]) / 10 ** np.floor(np.log10(ticks[1] - ticks[0]) + 1e-9)
    assert any(abs(leading - step) < 1e-6 for step in (1, 2, 2.5, 5))


@pytest.mark.parametrize("last", [1, 2, 6, 7, 11, 50, 137, 1000])
def test_epoch_ticks_are_integers_from_first_to_last(last: int) -> None:
    ticks = integer_ticks(1, last)
    assert (ticks[0], ticks[-1]) == (1, last)
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 8


def test_overlapping_labels_are_moved_apart() -> None:
    moved = spread_apart([100.0, 104.0], 30)
    assert moved[1] - moved[0] == pytest.approx(30)
    assert spread_apart([10.0, 90.0], 30) == [10.0, 90.0]


def test_shortened_name_keeps_both_ends() -> None:
    fitted = shorten_text("A rather long class name number 17", 12, 120)
    assert fitted.startswith("A r")
    assert fitted.endswith("17")
    assert text_width(fitted, 12) <= 120
    assert shorten_text("short", 12, 120) == "short"


def test_wrapped_text_keeps_all_its_words() -> None:
    words = "each channel's mean becomes 0 and spread 1, then a learned shift"
    lines = wrap_text(words, 12, 150)
    assert " ".join(lines) == words
    assert all(text_width(line, 12) <= 150 for line in lines)
