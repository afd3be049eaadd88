"""The report: one page that holds everything, whatever the run was like."""

import io
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from synthetic_evaluations import Photos, report

from muslin.data.dataset import Dataset, PixelImages, Split, Target
from muslin.errors import StorageError
from muslin.evaluation import evaluate
from muslin.evaluation.reliability import trust
from muslin.evaluation.selective import calibrated, calibration_data_from
from muslin.reporting.report import insights
from muslin.reporting.report.report import Report, write_report
from muslin.reporting.terminal.reliability import print_trust
from muslin.text import percent

FILES = {
    "report.html",
    *(f"{name}.svg" for name in ("counts", "network", "curves", "classes", "confusion", "reliability")),
}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A page taken apart; fails on elements that are not closed in order, as SVG and HTML both want."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def _page(report: Report, folder: Path) -> Page:
    return Page(write_report(folder, report).read_text(encoding="utf-8"))


def test_the_report_tells_an_owner_which_answers_may_be_taken(tmp_path: Path) -> None:
    small = report()
    raw_probabilities = small.probabilities.astype(np.float32)
    labels = small.labels[small.split.test]
    target = Target("label", small.evaluation.classes)
    calibration_data = calibration_data_from(target, np.tile(labels, 40), np.tile(raw_probabilities, (40, 1)))
    found = trust(
        target,
        labels,
        raw_probabilities,
        calibrated(target, raw_probabilities, calibration_data),
        calibration_data,
        precision=0.75,
    )
    assert found is not None
    page = _page(replace(small, trust=found), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"taken.svg"}
    accepted = found.at_wanted
    assert accepted.share > 0
    assert f"takes {percent(accepted.share)} of the test images by itself" in page.text
    assert any(attributes.get("href") == "#taken" for _, attributes in page.elements)
    assert ("Fewer were right than wanted" in page.text) == bool(found.short)
    none = trust(target, labels, raw_probabilities, raw_probabilities, None)
    said = _page(replace(small, trust=none), tmp_path).text
    assert "takes none by itself" in said
    assert "no held-out images to decide by" in said


def test_fewer_right_than_wanted_is_said_on_the_page_and_in_the_terminal(tmp_path: Path) -> None:
    small = report()
    raw_probabilities = small.probabilities.astype(np.float32)
    target = Target("label", small.evaluation.classes)
    found = trust(target, small.labels[small.split.test], raw_probabilities, raw_probabilities, None)
    assert found is not None
    assert found.short == ()
    row = found.at_wanted
    accepted = replace(row.decisions[0], n=50, accuracy=0.97, interval=(0.9, 0.99))
    missed = replace(found, accepted=(replace(row, decisions=(accepted, *row.decisions[1:])),))
    assert missed.short == ((0.98, 0.97),)
    said = re.sub("\u00a0", " ", _page(replace(small, trust=missed), tmp_path).text)
    assert "Fewer were right than wanted at 98 %: 97.0 %." in said
    print_trust(missed, file=(out := io.StringIO()))
    assert "fewer right than wanted: 97.0 % instead of 98 %" in out.getvalue()


def test_the_report_holds_every_part_and_every_image_is_also_a_file(tmp_path: Path) -> None:
    page = _page(report(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {"data", "network", "learning", "figures", "confusion", "reliability", "predictions"} <= ids
    assert {"confused", "mistakes", "made"} <= ids
    titles = [text for text in page.words if text.strip()]
    for title in ("Images per class", "Confusion matrix", "Loss by epoch", "Accuracy by epoch"):
        assert title in titles
    assert "muslin train drawn" in page.text


def test_two_classes_have_their_curves_and_the_figures_at_the_threshold(tmp_path: Path) -> None:
    from sklearn.metrics import precision_score, recall_score

    made = report(("flat", "worn"), unknown=3)
    page = _page(made, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"roc.svg", "precision-recall.svg"}
    labels = made.dataset.labels["label"][made.split.test]
    known = labels >= 0
    said = made.probabilities[known, 1] >= 0.5
    assert made.evaluation.binary
    for words in (
        f"precision: of those, rightly {100 * precision_score(labels[known], said):.1f} %",
        f"recall: of worn, found {100 * recall_score(labels[known], said):.1f} %",
        f"Area {made.evaluation.binary.roc_area:.3f}",
        "worn from a probability of 0.50 on",
    ):
        assert words in page.text.replace("\u00a0", " ")
    (scripts,) = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == {}


def test_the_headline_says_how_often_the_model_is_right(tmp_path: Path) -> None:
    made = report()
    page = _page(made, tmp_path)
    right, n = made.evaluation.right, made.evaluation.n
    assert f"Right on {right} of {n} test images: {100 * right / n:.1f} %" in page.text
    low, high = made.evaluation.accuracy_interval
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in page.text


def test_the_page_needs_nothing_from_outside_and_runs_nothing(tmp_path: Path) -> None:
    page = _page(report(), tmp_path)
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base")
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "srcset", "action", "data"):
            assert re.match(r"(data:|#)", attributes.get(key, "#"))
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|@import|url\(", text)


def test_names_are_shown_as_they_are_and_never_become_part_of_the_page(tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", '"quotes" & <b onload="x">', "短裙", "👟 shoe", "x" * 60)
    page = _page(
        report(names, run={"command": "muslin train '<img src=x>'", "recipe": {"name": "<i>"}}), tmp_path
    )
    assert "script" not in {tag for tag, _ in page.elements}
    for name in names:
        assert name in page.text
    assert "muslin train '<img src=x>'" in page.text


def test_screen_readers_find_headings_in_order_tables_with_captions_and_texts_for_images(
    tmp_path: Path,
) -> None:
    page = _page(report(), tmp_path)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") > 0
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in page.elements if tag == "th")
    assert all("alt" in attributes for tag, attributes in page.elements if tag == "img")
    assert all(attributes.get("role") == "img" for tag, attributes in page.elements if tag == "svg")
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in attributes.get("aria-labelledby", "").split():
            assert name in ids
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_right_and_wrong_predictions_are_told_apart_in_words_marks_and_frames(tmp_path: Path) -> None:
    page = _page(report(), tmp_path)
    kinds = [attributes.get("class", "") for tag, attributes in page.elements if tag == "figure"]
    assert "judged right" in kinds
    assert "judged wrong" in kinds
    assert "✓" in page.words
    assert "✗" in page.words
    assert "wrong:" in page.words
    assert re.search(r"\.judged\.wrong img\{border:3px dashed", (tmp_path / "report.html").read_text())


def test_a_model_without_mistakes_is_not_credited_with_more_than_was_seen(tmp_path: Path) -> None:
    page = _page(report(perfect=True, history=[]), tmp_path)
    assert "120 of 120 test images: 100.0 %" in page.text
    assert "Nothing, on these 120 images" in page.text
    assert "wrong on up to 3.1 %" in page.text


@pytest.mark.parametrize("classes", [2, 10, 30, 64])
def test_few_and_many_classes_make_a_page_of_reasonable_size(classes: int, tmp_path: Path) -> None:
    names = [f"a rather long name of the class with number {i}" for i in range(classes)]
    page = _page(report(names, n_test=40 * classes), tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    assert names[-1] in page.text
    assert ("with the most mistakes are shown" in page.text) == (classes > 30)


def test_a_class_without_test_images_and_images_without_class_are_said_to_be_so(tmp_path: Path) -> None:
    page = _page(report(tested=(0, 1), unknown=7), tmp_path)
    assert "no test images of bag" in page.text
    assert "7 have no known class and are left out" in page.text


def test_photos_of_any_size_are_shown_and_only_a_few_are_decoded(tmp_path: Path) -> None:
    photos = Photos(4000 + 1000 + 2000)
    _page(report([f"class {i}" for i in range(1000)], images=photos, n_test=2000), tmp_path)
    assert photos.asked < 500
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_a_run_of_one_epoch_with_nothing_recorded_still_has_a_report(tmp_path: Path) -> None:
    history = [{"epoch": 1, "train_loss": 0.7, "train_accuracy": 0.6, "validation_loss": None}]
    page = _page(report(run={}, history=history), tmp_path)
    assert "Loss by epoch" in page.text


def test_the_settings_of_the_recipe_are_all_listed(tmp_path: Path) -> None:
    recipe = {
        "name": "quick",
        "batch_size": 256,
        "widths": [32, 64],
        "flip": True,
        "split_seed": None,
        "translate_px": 2,
    }
    run = {
        "recipe": recipe,
        "seed": 3,
        "machine": {"memory_gb": 7.6},
        "train_s": 75.2,
        "versions": {"torch": "2.13"},
    }
    text = _page(report(run=run), tmp_path).text
    for words in (
        "batch size 256",
        "widths 32, 64",
        "flip yes",
        "split seed none",
        "translate (px) 2",
        "seed 3",
    ):
        assert words in text
    for words in ("memory (GB) 7.6", "1 min 15 s", "torch 2.13"):
        assert words in text


def test_a_file_name_that_is_no_unicode_does_not_keep_the_report_from_being_written(tmp_path: Path) -> None:
    made = report()
    mistake = replace(made.evaluation.mistakes[0], id="caf\udce9.png")
    evaluation = replace(made.evaluation, mistakes=(mistake,))
    assert "caf?.png" in _page(replace(made, evaluation=evaluation), tmp_path).text


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(blocked / "run", report())


def test_the_report_on_ten_thousand_test_images_is_there_in_a_moment(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 30_000)
    scores = random.normal(size=(10_000, 10)) + 3 * np.eye(10)[labels[20_000:]]
    probabilities = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype(np.float32)
    names = tuple(f"class {i}" for i in range(10))
    dataset = Dataset(
        "large",
        "drawn",
        PixelImages(random.integers(0, 256, (30_000, 28, 28, 1), dtype=np.uint8)),
        (Target("label", names),),
        {"label": labels},
        np.arange(30_000).astype(object),
    )
    small = report()
    split = Split(np.arange(20_000), np.arange(0), np.arange(20_000, 30_000), "the data's own")
    evaluation = evaluate(labels[20_000:], probabilities, names)
    started = time.process_time()
    write_report(
        tmp_path, Report({}, small.network, small.history, evaluation, dataset, split, probabilities)
    )
    assert (
        time.process_time() - started < 6
    )  # 1.0 s on a quiet machine; this guards against loops over all images


def _said(labels: list[int], probabilities: list[list[float]], history: list[dict[str, float]]) -> str:
    true, raw_probabilities = np.array(labels), np.array(probabilities)
    hints = insights.next_steps(
        evaluate(true, raw_probabilities, ("a", "b")), history, true, raw_probabilities
    )
    return " ".join(hint.text for hint in hints)


def test_the_advice_follows_the_figures() -> None:
    sure, unsure = [0.99, 0.01], [0.6, 0.4]
    right = _said([0, 1] * 100, [sure, sure[::-1]] * 100, [])
    assert "Try it on images of your own" in right
    half = _said([0, 1] * 100, [sure] * 200, [])
    assert "weakest class is b" in half
    assert "100 mistakes were made with 95 % certainty" in half
    assert "too sure" in half
    modest = _said([0, 1] * 100, [unsure, unsure[::-1]] * 100, [])
    assert "not sure enough" in modest
    by_heart = [{"epoch": e, "train_accuracy": 0.99, "validation_accuracy": 0.9} for e in range(1, 4)]
    assert "knows its training images better" in _said([0, 1] * 100, [sure, sure[::-1]] * 100, by_heart)
    risen = [{"epoch": e, "validation_loss": loss} for e, loss in enumerate((1.0, 0.5, 0.6, 0.7), 1)]
    assert "lowest in epoch 2 of 4" in _said([0, 1] * 100, [sure, sure[::-1]] * 100, risen)
    assert "only 5 test images of a" in _said([0, 1] * 5, [sure, sure[::-1]] * 5, [])


def test_a_difference_that_may_be_chance_is_not_held_against_a_class() -> None:
    labels = [0] * 10 + [1] * 10
    probabilities = [[0.9, 0.1]] * 9 + [[0.1, 0.9]] * 11
    assert "weakest" not in _said(labels, probabilities, [])
