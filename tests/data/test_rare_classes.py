"""Rare classes merged or dropped: small tables whose answer can be counted by hand, and any table at all."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import drawn

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


def test_rare_classes_are_merged_into_other_after_the_rest_and_it_is_said_which_and_how_many():
    merged = reduce_rare_classes(labelled(*WARDROBE), 3)
    assert merged.target().classes == ("coat", "dress", "other")
    assert names_of(merged) == ["coat"] * 3 + ["other"] + ["dress"] * 3 + ["", "other", "other"]
    assert merged.fixes == (
        "kind: 2 classes of fewer than 3 images merged into 'other'; 3 images: belt (1), tie (2)",
    )


def test_or_dropped_which_makes_their_labels_unknown():
    dropped = reduce_rare_classes(labelled(*WARDROBE), "3", "drop")
    assert dropped.target().classes == ("coat", "dress")
    assert names_of(dropped) == ["coat"] * 3 + [""] + ["dress"] * 3 + ["", "", ""]
    assert "2 classes of fewer than 3 images dropped, their labels unknown; 3 images" in dropped.fixes[0]


def test_a_class_of_the_data_that_is_called_other_takes_them_and_keeps_its_place():
    merged = reduce_rare_classes(labelled("Other", "tie", "coat", "coat", "skirt", "skirt", "skirt"), 2)
    assert merged.target().classes == ("Other", "coat", "skirt")
    assert names_of(merged) == ["Other", "Other", "coat", "coat", "skirt", "skirt", "skirt"]


def test_what_would_be_rare_even_together_is_dropped_and_that_is_said():
    dropped = reduce_rare_classes(labelled(*WARDROBE, "coat", "dress"), 4)
    assert dropped.target().classes == ("coat", "dress")
    assert "since together they are 3" in dropped.fixes[0]


def test_nothing_rare_changes_nothing():
    whole = labelled(*WARDROBE)
    assert reduce_rare_classes(whole, 1) == whole


def test_too_few_classes_left_is_an_error_with_the_numbers():
    with pytest.raises(DataError, match=r"1 of its 3 classes would be left with 4 images or more"):
        reduce_rare_classes(labelled(*["coat"] * 5, "tie", "belt"), 4)
    left = reduce_rare_classes(labelled(*["coat"] * 5, "tie", "belt"), 4, strict=False)
    assert left.target().classes == ("belt", "coat", "tie")
    assert "left as it is" in left.fixes[0]


@pytest.mark.parametrize(
    ("least", "rare", "message"),
    [
        ("none", None, "give a number of images"),
        ("0", None, "give a number of images"),
        ("-3", None, "give a number of images"),
        ("knd=3", None, "no target is called 'knd'. Did you mean kind"),
        ("3", "dorp", "Did you mean drop"),
    ],
)
def test_what_cannot_be_meant_is_refused(least, rare, message):
    with pytest.raises(DataError, match=message):
        reduce_rare_classes(labelled(*WARDROBE), least, rare)


def test_of_several_labels_the_merged_one_is_yes_where_any_is_and_no_only_where_all_are():
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
def test_whatever_the_table_no_class_stays_rare_and_no_index_depends_on_a_part(names, least, way, random):
    if not any(names):
        return
    parts = [random.choice(["train", "validation", "test"]) for _ in names]
    before = labelled(*names, parts=parts)
    after = reduce_rare_classes(before, least, way, strict=False)
    if any("left as it is" in said for said in after.fixes):
        assert names_of(after) == names
        return
    counts = Counter(names_of(after))
    assert all(counts[name] >= least for name in after.target().classes)
    for name, now in zip(names, names_of(after), strict=True):
        assert now in (name, "other", "")
        if name and Counter(names)[name] >= least:
            assert now == name
    shuffled = reduce_rare_classes(labelled(*names, parts=parts[::-1]), least, way, strict=False)
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
        for i, (kind, number, image) in enumerate(drawn(12)):
            name = f"{kind}{number}.png"
            image.save(folder / "images" / name)
            rows.writerow((name, kind, ["lace", "silk"][i % 2] if i < 4 else ["wool", "linen"][i % 2]))
    return folder / "garments.csv"


def test_a_run_with_rare_classes_says_so_repeats_it_resumes_with_it_and_is_evaluated_with_it(
    catalogue, tmp_path, capfd
):
    targets = ["--target", "kind", "--target", "fabric"]
    rare = ["--min-per-class", "fabric=4", "--rare", "fabric=drop"]
    reading = {"target": ["kind", "fabric"], "min_per_class": ("fabric=4",), "rare": ("fabric=drop",)}
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
    assert "fabric: 2 classes of fewer than 4 images dropped" in resumed.err
    assert "lace (2), silk (2)" in resumed.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"]["classes"] == {"kind": ["dress", "hat", "shirt"], "fabric": ["linen", "wool"]}
    assert "--min-per-class fabric=4 --rare fabric=drop" in record["command"]

    judged = invoke(
        capfd, "evaluate", tmp_path / "run", catalogue, *targets, *rare, "--split", "all", "--json"
    )
    assert judged.code == 0, judged.err
    assert judged.json["targets"]["fabric"]["n"] == 32
    assert "lace (2)" in judged.err


def test_it_is_seen_before_training_by_look_and_audit(catalogue, tmp_path, capfd):
    looked = invoke(capfd, "look", catalogue, "--min-per-class", "fabric=3", "--json").json
    assert looked["targets"]["fabric"]["classes"] == {"linen": 16, "wool": 16, "other": 4}
    assert any("lace (2), silk (2)" in said for said in looked["fixes"])

    audited = invoke(
        capfd, "audit", catalogue, "--target", "fabric", "--min-per-class", 4, "--only", "small_class",
        "-o", tmp_path / "audit",
    )  # fmt: skip
    assert audited.code == 0, audited.err
    assert "merged into 'other'" in audited.err
    assert "--target fabric --min-per-class 4" in audited.out


def test_rare_without_a_number_is_an_error(catalogue):
    with pytest.raises(DataError, match="Add --min-per-class"):
        read(catalogue, target="kind", rare="drop")
