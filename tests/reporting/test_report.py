"""The report: one page that holds everything."""

import io
import re
from collections.abc import Sequence
from cProfile import Profile
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic_evaluations import Photos, evaluation_of, report_inputs

from muslin.data.dataset import Dataset, PixelImages, Split, Target
from muslin.errors import StorageError
from muslin.evaluation import Evaluation, evaluate_multiclass, evaluate_multilabel
from muslin.evaluation.reliability import Predictions, Reliability, measure_reliability
from muslin.evaluation.selective import calibrate_probabilities, fit_calibration_data
from muslin.reporting.report import insights
from muslin.reporting.report.multi_target import write_reports
from muslin.reporting.report.report import ReportInputs, write_target_report
from muslin.reporting.terminal.reliability import print_reliability
from muslin.text import interval_text, percent, plural

FILES = {
    *("report.html", "class_counts.svg", "network.svg", "learning_curves.svg", "class_metrics.svg"),
    *("confusion_matrix.svg", "reliability_diagram.svg"),
}
VOID = {"meta", "link", "img", "br", "wbr", "hr", "input"}


class Page(HTMLParser):
    """The elements and the text of a page; fails on elements that are not closed in order."""

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


def _page(inputs: ReportInputs, folder: Path) -> Page:
    return Page(write_target_report(folder, inputs, "label").read_text(encoding="utf-8"))


def _test_set(inputs: ReportInputs) -> tuple[Target, NDArray[np.integer[Any]], NDArray[np.float32]]:
    """The target, its true labels and its probabilities."""
    target = Target("label", inputs.evaluations["label"].classes)
    return target, inputs.test_labels("label"), inputs.probabilities["label"].astype(np.float32)


def _with_reliability(inputs: ReportInputs, reliability: Reliability) -> ReportInputs:
    evaluation = replace(inputs.evaluations["label"], reliability=reliability)
    return replace(inputs, evaluations={"label": evaluation})


def test_report_shows_decisions_and_coverage(tmp_path: Path) -> None:
    small = report_inputs()
    target, labels, raw = _test_set(small)
    calibration_data = fit_calibration_data(target, np.tile(labels, 40), np.tile(raw, (40, 1)))
    calibrated_probabilities = calibrate_probabilities(target, raw, calibration_data)
    predictions = Predictions(labels, raw, calibrated_probabilities)
    found = measure_reliability(target, predictions, calibration_data, precision=0.75)
    assert found is not None
    page = _page(_with_reliability(small, found), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"risk_coverage.svg"}
    accepted = found.at_target
    assert accepted.coverage > 0
    counts = f"accepts {accepted.decisions[0].n} of {plural(found.n, 'test image')} on its own"
    assert f"{counts}: {percent(accepted.coverage)} ({interval_text(accepted.coverage_interval)})" in page.text
    assert any(attributes.get("href") == "#reliability" for _, attributes in page.elements)
    assert ("accuracy is below the precision target" in page.text) == bool(found.missed_targets)
    none = measure_reliability(target, Predictions(labels, raw, raw), None)
    assert none is not None
    text = _page(_with_reliability(small, none), tmp_path).text
    assert "a person must check every prediction" in text
    assert "A dot marks" in page.text
    assert "A dot marks" not in text
    assert all(sentence in text for sentence in none.at_target.unsupported)


def test_line_never_breaks_before_the_extension(tmp_path: Path) -> None:
    small = report_inputs()
    evaluation = small.evaluations["label"]
    assert isinstance(evaluation, Evaluation)
    shown = {
        "shirts/c9d7f3a0-4e2b-9aef.jpg": 'shirts/<wbr>c9d7f3a0-4e2b-<wbr><span class="unbroken">9aef.jpg</span>',
        "a.jpg": '<wbr><span class="unbroken">a.jpg</span>',
        "no extension": "no extension",
        "folder.d/plain": "folder.d/<wbr>plain",
        "shirt 2.0 of it all": "shirt 2.0 of it all",
    }
    errors = tuple(replace(evaluation.confident_errors[0], id=name) for name in shown)
    evaluations = {"label": replace(evaluation, confident_errors=errors)}
    html = write_target_report(tmp_path, replace(small, evaluations=evaluations), "label").read_text(encoding="utf-8")
    assert [text for text in shown.values() if f'<span class="note">{text}</span>' not in html] == []


def test_missed_precision_target_is_on_page_and_terminal(tmp_path: Path) -> None:
    small = report_inputs()
    target, labels, raw = _test_set(small)
    found = measure_reliability(target, Predictions(labels, raw, raw), None)
    assert found is not None
    assert found.missed_targets == ()
    row = found.at_target
    accepted = replace(row.decisions[0], n=50, accuracy=0.97, accuracy_interval=(0.9, 0.99))
    missed = replace(found, selective=(replace(row, decisions=(accepted, *row.decisions[1:])),))
    assert [row.precision_target for row in missed.missed_targets] == [0.98]
    text = _page(_with_reliability(small, missed), tmp_path).text.replace("\u00a0", " ")
    assert "below the precision target at 98 %: 97.0 % of 50 (90.0 to 99.0 %)." in text
    print_reliability(missed, file=(out := io.StringIO()))
    assert "of 50, 97.0 % (90.0–99.0) are correct" in out.getvalue()


def test_report_has_every_section_and_a_file_per_drawing(tmp_path: Path) -> None:
    page = _page(report_inputs(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {"data", "network", "learning-curves", "class-metrics", "confusion-matrix", "reliability"} <= ids
    assert {"predictions", "confused-pairs", "confident-errors", "training-details"} <= ids
    titles = [text for text in page.words if text.strip()]
    for title in ("Images per class", "Confusion matrix", "Loss by epoch", "Accuracy by epoch"):
        assert title in titles
    assert "muslin train drawn" in page.text


def test_report_of_folds_says_the_accuracy_out_of_fold(tmp_path: Path) -> None:
    inputs = report_inputs()
    plain = _page(inputs, tmp_path / "plain").text
    metric = {"accuracy": 0.8125, "interval": [0.5, 0.9], "n": 16, "out_of_fold": True}
    history = [{**row, "out_of_fold": True} for row in inputs.history]
    folded = replace(inputs, run={**inputs.run, "validation": {"label": metric}}, history=history)
    text = _page(folded, tmp_path / "folded").text
    n_fitted = len(inputs.split.train) + len(inputs.split.validation)
    for said in ("Out of fold, 81.2", "on 16 images", f"fitted to the {n_fitted} that are not in the test set"):
        assert said in text
        assert said not in plain


def test_two_classes_have_curves_and_metrics_at_threshold(tmp_path: Path) -> None:
    from sklearn.metrics import precision_score, recall_score

    inputs = report_inputs(("flat", "worn"), unknown=3)
    page = _page(inputs, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"roc_curve.svg", "precision_recall_curve.svg"}
    _, labels, probabilities = _test_set(inputs)
    known = labels >= 0
    predicted = probabilities[known, 1] >= 0.5
    binary = evaluation_of(inputs).binary
    assert binary
    for words in (
        f"precision {100 * precision_score(labels[known], predicted):.1f} %",
        f"recall {100 * recall_score(labels[known], predicted):.1f} %",
        f"Area {binary.roc_auc:.3f}",
        "predicts worn at a probability of 0.50 or more",
    ):
        assert words in page.text.replace("\u00a0", " ")
    (scripts,) = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == {}


def test_headline_is_the_accuracy_with_its_interval(tmp_path: Path) -> None:
    inputs = report_inputs()
    page = _page(inputs, tmp_path)
    evaluation = evaluation_of(inputs)
    accuracy = f"{100 * evaluation.correct / evaluation.n:.1f} %"
    assert f"{accuracy} accuracy on {evaluation.n} test images" in page.text.replace("\u00a0", " ")
    low, high = evaluation.accuracy_interval
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in page.text


def test_page_needs_nothing_from_outside_and_runs_nothing(tmp_path: Path) -> None:
    page = _page(report_inputs(), tmp_path)
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base")
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "srcset", "action", "data"):
            assert re.match(r"(data:|#)", attributes.get(key, "#"))
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|@import|url\(", text)


def test_names_are_escaped(tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", '"quotes" & <b onload="x">', "短裙", "👟 shoe", "x" * 60)
    page = _page(
        report_inputs(names, run={"command": "muslin train '<img src=x>'", "recipe": {"name": "<i>"}}), tmp_path
    )
    assert "script" not in {tag for tag, _ in page.elements}
    for name in names:
        assert name in page.text
    assert "muslin train '<img src=x>'" in page.text


def test_page_is_readable_by_screen_readers(tmp_path: Path) -> None:
    page = _page(report_inputs(), tmp_path)
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


def test_errors_differ_in_words_marks_and_frames(tmp_path: Path) -> None:
    page = _page(report_inputs(), tmp_path)
    kinds = [attributes.get("class", "") for tag, attributes in page.elements if tag == "figure"]
    assert "tile correct" in kinds
    assert "tile incorrect" in kinds
    assert "✓" in page.words
    assert "✗" in page.words
    assert "incorrect:" in page.words
    assert re.search(r"\.tile\.incorrect img\{border:3px dashed", (tmp_path / "report.html").read_text())


def test_model_without_errors_is_not_called_perfect(tmp_path: Path) -> None:
    page = _page(report_inputs(perfect=True, history=[]), tmp_path)
    assert "100.0 % accuracy on 120 test images" in page.text.replace("\u00a0", " ")
    assert "Nothing, on these 120 images" in page.text
    assert "an error rate of up to 3.1 %" in page.text
    assert "The run has no training history" in page.text


@pytest.mark.parametrize("classes", [2, 10, 30, 64])
def test_page_of_few_or_many_classes_stays_small(classes: int, tmp_path: Path) -> None:
    names = [f"a rather long name of the class with number {i}" for i in range(classes)]
    page = _page(report_inputs(names, n_test=40 * classes), tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    assert names[-1] in page.text
    assert ("classes with the most errors, out of" in page.text) == (classes > 30)


def test_untested_classes_and_unknown_labels_are_reported(tmp_path: Path) -> None:
    page = _page(report_inputs(tested=(0, 1), unknown=7), tmp_path)
    assert "test set has no images of bag" in page.text
    assert "class of 7 test images is unknown" in page.text


def test_only_a_few_photos_are_decoded(tmp_path: Path) -> None:
    photos = Photos(4000 + 1000 + 2000)
    _page(report_inputs([f"class {i}" for i in range(1000)], images=photos, n_test=2000), tmp_path)
    assert photos.n_decoded < 500
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_run_of_one_epoch_has_a_report(tmp_path: Path) -> None:
    history = [{"epoch": 1, "train_loss": 0.7, "train_accuracy": 0.6, "validation_loss": None}]
    page = _page(report_inputs(run={}, history=history), tmp_path)
    assert "Loss by epoch" in page.text


def test_all_settings_of_the_recipe_are_listed(tmp_path: Path) -> None:
    recipe = {
        "name": "quick",
        "batch_size": 256,
        "widths": [32, 64],
        "flip": True,
        "split_seed": None,
        "translate_px": 2,
    }
    run = {"recipe": recipe, "seed": 3, "machine": {"memory_gb": 7.6}, "train_s": 75.2, "versions": {"torch": "2.13"}}
    text = _page(report_inputs(run=run), tmp_path).text
    for words in ("batch size 256", "widths 32, 64", "flip yes", "split seed none", "translate (px) 2", "seed 3"):
        assert words in text
    for words in ("memory (GB) 7.6", "1 min 15 s", "torch 2.13"):
        assert words in text


def test_file_name_that_is_not_unicode_is_escaped(tmp_path: Path) -> None:
    inputs = report_inputs()
    evaluation = evaluation_of(inputs)
    error = replace(evaluation.confident_errors[0], id="caf\udce9.png")
    changed = replace(inputs, evaluations={"label": replace(evaluation, confident_errors=(error,))})
    assert "caf\\udce9.png" in _page(changed, tmp_path).text


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError) as error:
        write_target_report(blocked / "run", report_inputs(), "label")
    assert str(blocked) in str(error.value)


def _calls_for_a_report(folder: Path, count: int) -> int:
    """How often functions are called to write the report of a run on `count` images, a third of which are tested."""
    random = np.random.default_rng(0)
    n_train = count - count // 3
    labels = random.integers(0, 10, count)
    scores = random.normal(size=(count // 3, 10)) + 3 * np.eye(10)[labels[n_train:]]
    probabilities = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype(np.float32)
    names = tuple(f"class {i}" for i in range(10))
    dataset = Dataset(
        "large",
        "drawn",
        PixelImages(random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)),
        (Target("label", names),),
        {"label": labels},
        np.arange(count).astype(object),
    )
    split = Split(np.arange(n_train), np.arange(0), np.arange(n_train, count), ("the data's own",))
    inputs = replace(
        report_inputs(),
        run={},
        dataset=dataset,
        split=split,
        evaluations={"label": evaluate_multiclass(labels[n_train:], probabilities, names)},
        probabilities={"label": probabilities},
    )
    with Profile() as profile:
        write_target_report(folder, inputs, "label")
    return sum(each.callcount for each in profile.getstats())


def test_no_loop_over_all_images_makes_the_report(tmp_path: Path) -> None:
    _calls_for_a_report(tmp_path, 300)  # the first one also imports and compiles the templates
    few, many = (_calls_for_a_report(tmp_path, count) for count in (3_000, 30_000))
    assert many - few < 9_000, "a call for each further image that is tested"


def _next_steps(
    labels: list[int], probabilities: list[list[float]], history: Sequence[dict[str, float]] = ()
) -> dict[str, Any]:
    """Per code of a next step its parameters."""
    true, predicted = np.array(labels), np.array(probabilities)
    evaluation = evaluate_multiclass(true, predicted, ("a", "b"))
    return {step.code: step.params for step, _ in insights.next_steps(evaluation, history, true, predicted)}


def test_linear_probe_is_not_advised_to_train_fewer_epochs(tmp_path: Path) -> None:
    history = [{"epoch": n + 1, "train_loss": 0.1, "train_accuracy": 1.0, "validation_loss": 0.1 * (n + 1),
                "validation_accuracy": 0.8} for n in range(4)]  # fmt: skip
    inputs = replace(report_inputs(), history=history)
    assert "fewer epochs" in _page(inputs, tmp_path / "network").text
    probe = {**inputs.run, "recipe": {**inputs.run.get("recipe", {}), "method": "linear_probe"}}
    text = _page(replace(inputs, run=probe), tmp_path / "probe").text
    assert "L-BFGS" in text
    assert "fewer epochs" not in text


def test_next_steps_follow_the_metrics() -> None:
    sure, unsure = [0.99, 0.01], [0.6, 0.4]
    labels, correct = [0, 1] * 100, [sure, sure[::-1]] * 100
    assert set(_next_steps(labels, correct)) == {"insight_none"}
    half = _next_steps(labels, [sure] * 200)
    assert half["insight_weakest_class"]["name"] == "b"
    assert half["insight_confident_errors"] == {"count": 100, "percent": 95}
    assert "insight_overconfident" in half
    assert set(_next_steps(labels, [unsure, unsure[::-1]] * 100)) == {"insight_underconfident"}
    overfitted = [{"epoch": e, "train_accuracy": 0.99, "validation_accuracy": 0.9} for e in range(1, 4)]
    assert set(_next_steps(labels, correct, overfitted)) == {"insight_overfitting"}
    risen = [{"epoch": e, "validation_loss": loss} for e, loss in enumerate((1.0, 0.5, 0.6, 0.7), 1)]
    assert _next_steps(labels, correct, risen) == {"insight_risen_loss": {"best": 2, "last": 4}}
    small = _next_steps([0, 1] * 5, [sure, sure[::-1]] * 5)
    assert small == {"insight_small_class": {"name": "a", "count": 5, "others": 1, "limit": 50}}


def test_class_that_may_be_weak_by_chance_is_not_named() -> None:
    labels = [0] * 10 + [1] * 10
    probabilities = [[0.9, 0.1]] * 9 + [[0.1, 0.9]] * 11
    assert "insight_weakest_class" not in _next_steps(labels, probabilities)


@pytest.fixture
def three_targets() -> ReportInputs:
    """A class, labels of which some are unknown, and a target without any known label; 40 test images."""
    inputs = report_inputs(n_test=40, unknown=4)
    n, random = len(inputs.dataset), np.random.default_rng(2)
    tags = random.integers(-1, 2, (n, 2)).astype(np.int8)
    tag_probabilities = random.random((40, 2))
    targets = (*inputs.dataset.targets, Target("tags", ("red", "long"), "multilabel"), Target("none", ("x", "y")))
    labels = {**inputs.dataset.labels, "tags": tags, "none": np.full(n, -1)}
    tag_evaluation = evaluate_multilabel(tags[inputs.split.test], tag_probabilities, ("red", "long"), (0.5, 0.5))
    return replace(
        inputs,
        dataset=replace(inputs.dataset, targets=targets, labels=labels),
        evaluations={**inputs.evaluations, "tags": tag_evaluation},
        probabilities={
            **inputs.probabilities, "tags": tag_probabilities, "none": np.full((40, 2), 0.5),
        },
    )  # fmt: skip


def test_several_targets_have_an_overview_and_a_page_each(three_targets: ReportInputs, tmp_path: Path) -> None:
    noted = replace(three_targets.dataset, fixes=("rows skipped: 2",))
    overview = Page(write_reports(tmp_path, replace(three_targets, dataset=noted)).read_text(encoding="utf-8"))
    assert "rows skipped: 2" in overview.text
    pages = [attributes["href"] for tag, attributes in overview.elements if tag == "a"]
    assert [page for page in pages if page.startswith("targets/")] == [
        "targets/1-label/report.html",
        "targets/2-tags/report.html",
    ]
    assert "no known labels" in overview.text
    assert "3 targets, predicted by one network" in overview.text
    cards = [attributes.get("class") for tag, attributes in overview.elements if tag == "div"]
    assert {"correct", "incorrect", "unknown"} <= set(cards)
    tags = Page((tmp_path / "targets/2-tags/report.html").read_text(encoding="utf-8"))
    assert "Per-label metrics" in tags.text
    assert (tmp_path / "targets/2-tags/class_metrics.svg").is_file()


def test_images_and_cells_link_to_the_studio(tmp_path: Path) -> None:
    names = ("T-shirt/top", "Shirt & co", "短裙")
    page = _page(report_inputs(names, run={"name": "first run"}), tmp_path)
    notes = {attributes["id"] for _, attributes in page.elements if attributes.get("class") == "studio-note"}
    links = {a["href"][1:] for tag, a in page.elements if tag == "a" and a.get("href", "").startswith("#page=")}
    assert links == notes
    asked = [dict(parse_qsl(link)) for link in links]
    assert all((each["page"], each["run"]) == ("mistakes", "first run") for each in asked)
    assert {each["label"] for each in asked} == set(names)
    assert any("why" in each for each in asked)
    assert any("why" not in each for each in asked)
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert {"role": "group"}.items() <= next(a for a in drawings if "confusion" in a["aria-labelledby"]).items()
    assert "href" not in (tmp_path / "confusion_matrix.svg").read_text()
