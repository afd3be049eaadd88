"""Labels that name no class are unlabelled on request, and proposed otherwise; no target is guessed in silence."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import error_object, invoke
from muslin.data import read
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.junk_labels import drop_junk_labels, junk_proposals
from muslin.models.bundle import seal
from muslin.workflows.evaluate import EvaluateOptions, evaluate
from refusals import refuses
from small_models import SIDE, small_bundle


def dataset_of(target: Target, labels: list[int] | list[list[int]]) -> Dataset:
    images, values = PixelImages(np.zeros((len(labels), 4, 4, 1), np.uint8)), np.array(labels)
    ids = np.array([str(i) for i in range(len(labels))], dtype=object)
    return Dataset("shop", "table", images, (target,), {target.name: values}, ids)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of 12 photos: kind with two classes and two labels that are none, and colour."""
    monkeypatch.chdir(tmp_path)
    rows = ["image,kind,colour"]
    kinds = ["Bag", "Trouser", "Bag", "Trouser", "unbekannt", "Other"]
    for i, kind in enumerate(kinds * 2):
        Image.fromarray(np.full((SIDE, SIDE), 255 if kind == "Bag" else 20 * i, np.uint8)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{kind},{'red' if i % 3 else 'blue'}")
    (tmp_path / "shop.csv").write_text("\n".join(rows))
    return tmp_path


def test_junk_labels_are_unlabelled_and_counted() -> None:
    data = dataset_of(Target("kind", ("Bag", "Not sure", "Hat", "Other")), [0, 1, 2, 3, 1, UNKNOWN])
    left = drop_junk_labels(data, "NOT  SURE, other,skip")
    assert left.targets == (Target("kind", ("Bag", "Hat")),)
    assert left.labels["kind"].tolist() == [0, UNKNOWN, 1, UNKNOWN, UNKNOWN, UNKNOWN]
    dropped, missing = left.fixes
    assert (dropped.code, dropped.params["count"]) == ("labels_made_unknown", 3)
    assert dropped.params["names"] == ["Not sure (2)", "Other (1)"]
    assert (missing.code, missing.params["names"]) == ("junk_not_found", ["skip"])


def test_junk_name_with_a_comma_is_one_class() -> None:
    data = dataset_of(Target("kind", ("Bag", "None, or other", "Hat", "or other")), [0, 1, 2, 3])
    assert drop_junk_labels(data, "none, or other").targets[0].classes == ("Bag", "Hat", "or other")
    assert drop_junk_labels(data, ["none, or other", "or other"]).targets[0].classes == ("Bag", "Hat")


def test_image_with_only_junk_among_several_labels_is_unlabelled() -> None:
    data = dataset_of(Target("tags", ("new", "unknown"), "multilabel"), [[1, 1], [0, 1], [0, 0]])
    left = drop_junk_labels(data, "unknown")
    assert left.labels["tags"].tolist() == [[1], [UNKNOWN], [0]]


def test_junk_that_leaves_one_class_is_refused() -> None:
    data = dataset_of(Target("kind", ("Bag", "Other")), [0, 1])
    with refuses("junk_is_almost_all", target="kind", names=["Other"], n=1):
        drop_junk_labels(data, "Other")
    assert drop_junk_labels(data, "Other", strict=False).targets == data.targets


@pytest.mark.parametrize(
    "name", ["Not sure", "OTHER", "Sonstiges", "Inconnu", "Otros", "不确定", "その他", "Другое", "?"]
)
def test_junk_names_are_proposed_in_several_languages(name: str) -> None:
    [note] = junk_proposals(dataset_of(Target("kind", ("Bag", "Hat", name)), [0, 1, 2, 2]))
    assert (note.code, note.params["names"], note.params["count"]) == ("labels_may_be_junk", [name], 2)
    assert junk_proposals(dataset_of(Target("kind", ("Bag", name)), [0, 1])) == [], "one class is no classification"


def test_classes_that_only_contain_a_junk_name_are_not_proposed() -> None:
    names = ("Skipper jacket", "Mother of pearl", "Otherwear", "Unknown Pleasures T-shirt")
    assert junk_proposals(dataset_of(Target("kind", names), [0, 1, 2, 3])) == []


@pytest.mark.parametrize("command", ["look", "audit", "convert", "train"])
def test_commands_read_junk_as_unlabelled(command: str, shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    more = {
        "look": [], "audit": ["--check", "dark"], "convert": ["out", "--to", "csv"],
        "train": ["--recipe", "small-photo", "--epochs", "1", "--set", "batch_size=2"],
    }[command]  # fmt: skip
    options = ["--target", "kind", "--junk", "Other", "--junk", "unbekannt", "--json"]
    result = invoke(capfd, command, "shop.csv", *more, *options)
    assert result.code == 0
    assert "Other (2) and unbekannt (2)" in result.err + result.out


def test_proposal_is_printed_with_the_option_to_give(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = invoke(capfd, "look", "shop.csv", "--target", "kind")
    assert '--junk "Other,unbekannt"' in " ".join(result.out.split())
    again = invoke(capfd, "look", "shop.csv", "--target", "kind", "--junk", "Other,unbekannt")
    assert "may be no classes" not in again.out


def test_two_candidates_for_the_label_are_named(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    error = error_object(invoke(capfd, "train", "shop.csv", "--json"))
    assert (error["code"], error["params"]["columns"]) == ("label_column_ambiguous", ["kind", "colour"])
    table = shop / "named.csv"
    table.write_text((shop / "shop.csv").read_text().replace("image,kind,", "image,category,"))
    [note] = [fix for fix in read(table).fixes if fix.code == "label_column_chosen"]
    assert (note.params["column"], note.params["others"]) == ("category", ["colour"])
    assert not [fix for fix in read(table, target="category").fixes if fix.code == "label_column_chosen"]


def test_evaluation_reads_the_columns_of_the_models_targets(shop: Path) -> None:
    seal(small_bundle(Target("kind", ("T-shirt/top", "Trouser", "Bag"))), shop / "model.muslin")
    options = EvaluateOptions(read_options={"junk": "other,unbekannt"})
    result = evaluate("model.muslin", "shop.csv", options)
    assert list(result.evaluations) == ["kind"]
    assert result.evaluations["kind"].n == 8
    assert not [fix for fix in result.dataset.fixes if fix.code == "label_column_chosen"]
    with refuses("classes_unknown", target="kind"):
        evaluate("model.muslin", "shop.csv")
