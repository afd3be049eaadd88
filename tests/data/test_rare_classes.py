"""Rare classes merged or dropped: small tables counted by hand, and random tables."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import make_photos

from command_line import invoke
from muslin.data import read
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.rare_classes import reduce_rare_classes
from muslin.errors import DataError, StoppedError
from muslin.workflows import train as train_workflow


def labelled(*names: str, parts: list[str] | None = None) -> Dataset:
    """One sample a name; "" is unknown. Classes are sorted."""
    classes = tuple(sorted({name for name in names if name}))
    return Dataset(
        name="garments",
        format="table",
        images=PixelImages(np.zeros((len(names), 2, 2, 1), dtype=np.uint8)),
        targets=(Target("kind", classes),),
        labels={"kind": np.array([classes.index(name) if name else UNKNOWN for name in names])},
        ids=np.array([str(i) for i in range(len(names))], dtype=object),
        parts=None if parts is None else np.array(parts, dtype=object),
    )


def names_of(dataset: Dataset) -> list[str]:
    target = dataset.target()
    return [("" if i == UNKNOWN else target.classes[i]) for i in dataset.labels[target.name]]


WARDROBE = ("coat", "coat", "coat", "belt", "dress", "dress", "dress", "", "tie", "tie")


def test_rare_classes_are_merged_into_other_and_listed():
    merged = reduce_rare_classes(labelled(*WARDROBE), 3)
    assert merged.target().classes == ("coat", "dress", "other")
    assert names_of(merged) == ["coat"] * 3 + ["other"] + ["dress"] * 3 + ["", "other", "other"]
    fix = merged.fixes[0]
    assert fix.code == "rare_classes_merged"
    assert (fix.params["n"], fix.params["images"], fix.params["other"]) == (2, 3, "other")
    assert fix.params["classes"] == ["belt (1)", "tie (2)"]


def test_dropped_classes_have_unknown_labels():
    dropped = reduce_rare_classes(labelled(*WARDROBE), "3", "drop")
    assert dropped.target().classes == ("coat", "dress")
    assert names_of(dropped) == ["coat"] * 3 + [""] + ["dress"] * 3 + ["", "", ""]
    fix = dropped.fixes[0]
    assert fix.code == "rare_classes_dropped"
    assert (fix.params["n"], fix.params["images"], fix.params["too_few"]) == (2, 3, None)


def test_an_existing_class_other_is_used_and_keeps_its_index():
    merged = reduce_rare_classes(labelled("Other", "tie", "coat", "coat", "skirt", "skirt", "skirt"), 2)
    assert merged.target().classes == ("Other", "coat", "skirt")
    assert names_of(merged) == ["Other", "Other", "coat", "coat", "skirt", "skirt", "skirt"]


def test_classes_rare_even_together_are_dropped():
    dropped = reduce_rare_classes(labelled(*WARDROBE, "coat", "dress"), 4)
    assert dropped.target().classes == ("coat", "dress")
    assert dropped.fixes[0].code == "rare_classes_dropped"
    assert dropped.fixes[0].params["too_few"] == 3


def test_data_without_rare_classes_are_unchanged():
    whole = labelled(*WARDROBE)
    assert reduce_rare_classes(whole, 1) == whole


def test_too_few_classes_left_is_an_error_with_the_numbers():
    with pytest.raises(DataError) as error:
        reduce_rare_classes(labelled(*["coat"] * 5, "tie", "belt"), 4)
    assert error.value.code == "too_few_classes_left"
    assert [error.value.params[name] for name in ("n", "total", "minimum")] == [1, 3, 4]
    left = reduce_rare_classes(labelled(*["coat"] * 5, "tie", "belt"), 4, strict=False)
    assert left.target().classes == ("belt", "coat", "tie")
    assert left.fixes[0].code == "rare_classes_kept"


@pytest.mark.parametrize(
    ("minimum", "rare", "code", "params"),
    [
        ("none", None, "min_per_class_invalid", {"value": "none"}),
        ("0", None, "min_per_class_invalid", {"value": "0"}),
        ("-3", None, "min_per_class_invalid", {"value": "-3"}),
        ("knd=3", None, "target_unknown", {"name": "knd", "nearest": "kind"}),
        ("3", "dorp", "rare_action_unknown", {"name": "dorp", "nearest": "drop"}),
    ],
)
def test_an_invalid_option_is_refused(minimum, rare, code, params):
    with pytest.raises(DataError) as error:
        reduce_rare_classes(labelled(*WARDROBE), minimum, rare)
    assert error.value.code == code
    assert params.items() <= error.value.params.items()


def test_a_merged_label_is_yes_where_any_is_and_no_where_all_are():
    cells = [[1, 1, 0], [1, 0, 1], [1, 0, 0], [0, UNKNOWN, 0], [1, 0, UNKNOWN], [UNKNOWN, 1, UNKNOWN]]
    several = Dataset(
        name="garments",
        format="table",
        images=PixelImages(np.zeros((6, 2, 2, 1), dtype=np.uint8)),
        targets=(Target("tags", ("red", "lace", "silk"), "multilabel"),),
        labels={"tags": np.array(cells, dtype=np.int8)},
        ids=np.array(list("abcdef"), dtype=object),
    )
    merged = reduce_rare_classes(several, 3)
    assert merged.target().classes == ("red", "other")
    assert merged.labels["tags"][:, 1].tolist() == [1, 1, 0, UNKNOWN, UNKNOWN, 1]
    dropped = reduce_rare_classes(several, 3, "drop")
    assert dropped.target().classes == ("red",)
    assert dropped.labels["tags"].dtype == np.int8


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["", "a", "b", "c", "d", "other", "Z"]), min_size=1, max_size=40),
    st.integers(1, 12),
    st.sampled_from(["merge", "drop"]),
    st.randoms(use_true_random=False),
)
def test_no_class_stays_rare_and_no_index_depends_on_a_part(names, minimum, action, random):
    if not any(names):
        return
    parts = [random.choice(["train", "validation", "test"]) for _ in names]
    before = labelled(*names, parts=parts)
    after = reduce_rare_classes(before, minimum, action, strict=False)
    if any(fix.code == "rare_classes_kept" for fix in after.fixes):
        assert names_of(after) == names
        return
    counts = Counter(names_of(after))
    assert all(counts[name] >= minimum for name in after.target().classes)
    for name, now in zip(names, names_of(after), strict=True):
        assert now in (name, "other", "")
        if name and Counter(names)[name] >= minimum:
            assert now == name
    shuffled = reduce_rare_classes(labelled(*names, parts=parts[::-1]), minimum, action, strict=False)
    assert shuffled.target() == after.target()
    assert names_of(shuffled) == names_of(after)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 36 photos: `kind` has three classes of 12; `fabric` two large ones and two of 2 photos each."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    with (folder / "garments.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "kind", "fabric"))
        for i, (kind, number, image) in enumerate(make_photos(12)):
            name = f"{kind}{number}.png"
            image.save(folder / "images" / name)
            rows.writerow((name, kind, ["lace", "silk"][i % 2] if i < 4 else ["wool", "linen"][i % 2]))
    return folder / "garments.csv"


def test_a_run_with_rare_classes_is_resumed_and_evaluated(catalogue, tmp_path, capfd):
    targets = ["--target", "kind", "--target", "fabric"]
    rare = ["--min-per-class", "fabric=4", "--rare-classes", "fabric=drop"]
    reading = {"target": ["kind", "fabric"], "min_per_class": ("fabric=4",), "rare_classes": ("fabric=drop",)}
    answers = iter([False, True])
    with pytest.raises(StoppedError):
        train_workflow.train(
            catalogue,
            read_options=reading,
            settings={"epochs": 2, "image_size": 28, "batch_size": 8},
            out=tmp_path / "run",
            should_stop=lambda: next(answers, True),
        )
    resumed = invoke(capfd, "train", "--resume", tmp_path / "run")
    assert resumed.code == 0, resumed.err
    assert "lace (2) and silk (2)" in resumed.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"]["classes"] == {"kind": ["dress", "hat", "shirt"], "fabric": ["linen", "wool"]}
    assert "--min-per-class fabric=4 --rare-classes fabric=drop" in record["command"]

    evaluated = invoke(capfd, "evaluate", tmp_path / "run", catalogue, *targets, *rare, "--split", "all", "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["targets"]["fabric"]["n"] == 32
    assert "lace (2)" in evaluated.err


def test_look_and_audit_merge_rare_classes(catalogue, tmp_path, capfd):
    looked = invoke(capfd, "look", catalogue, "--min-per-class", "fabric=3", "--json").json
    assert looked["targets"]["fabric"]["classes"] == {"linen": 16, "wool": 16, "other": 4}
    assert any("lace (2) and silk (2)" in str(fix) for fix in looked["fixes"])

    audited = invoke(
        capfd, "audit", catalogue, "--target", "fabric", "--min-per-class", 4, "--check", "small_class",
        "-o", tmp_path / "audit",
    )  # fmt: skip
    assert audited.code == 0, audited.err
    assert "'other'" in audited.err
    assert "--target fabric" in audited.out
    assert "--min-per-class 4" in audited.out


def test_rare_without_a_minimum_is_refused(catalogue):
    with pytest.raises(DataError) as error:
        read(catalogue, target="kind", rare_classes="drop")
    assert error.value.code == "rare_without_minimum"
