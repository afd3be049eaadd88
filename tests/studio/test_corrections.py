"""Decisions on the images of a data set: written before they are told, by several studios, where `train` reads them."""

import csv
import json
import multiprocessing
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mounted_disk import mounted_disk, unwritable_folder
from muslin.data.audit.corrections import read_corrections
from muslin.data.audit.exclusions import read_exclusions
from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.errors import DataError, StorageError
from muslin.messages import Message, no_log
from muslin.studio import decision_journal
from muslin.studio.corrections import Corrections, NewImageDecision, decision_files
from muslin.studio.data_routes import MAX_DECISIONS, MAX_TEXT
from muslin.workflows.training_plan import TrainOptions, edit_dataset
from refusals import refuses

LABEL = Target("label", ("bag", "coat: no", "shirt"))
TAGS = Target("tags", ("lace", "wool"), "multilabel")


def label(request: str, sample: str, name: str, after: int = 0, target: str = "label") -> NewImageDecision:
    return NewImageDecision(request, "label", "train", sample, target, name, after=after)


def opened(root: Path, *targets: Target) -> Corrections:
    return Corrections(root.resolve(), "imports/shop", targets or (LABEL,))


def in_table(found: Corrections) -> list[tuple[str, str]]:
    return [(each.id, each.label) for each in read_corrections(found.labels_path)]


def test_a_decision_is_where_train_reads_it(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.decide([label("1", "=a", "shirt"), NewImageDecision("2", "exclude", "train", "b")], "Li")
    assert in_table(found) == [("=a", "shirt")]
    assert read_exclusions(found.excluded_path) == [("train", "b")]
    with found.labels_path.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["who"], row["part"], row["target"]) == ("Li", "train", "label")
    assert row["when"]


def test_a_data_set_named_excluded_has_files_of_its_own(tmp_path: Path) -> None:
    names = ["shop", "shop.excluded", "shop.excluded_"]
    found = [Corrections(tmp_path.resolve(), name, (LABEL,)) for name in names]
    assert len({path for each in found for path in (each.labels_path, each.excluded_path)}) == 2 * len(names)
    for name, each in zip(names, found, strict=True):
        each.decide([label("1", name, "shirt"), NewImageDecision("2", "exclude", "train", f"not {name}")], "Li")
    for name, each in zip(names, found, strict=True):
        assert in_table(each) == [(name, "shirt")]
        assert read_exclusions(each.excluded_path) == [("train", f"not {name}")]
        files = decision_files(tmp_path, name)
        assert tmp_path / str(files["corrections"]) == each.labels_path


@pytest.mark.parametrize("name", ["x" * 255, "衣" * 85, f"imports/{'衣' * 85}"])
def test_a_data_set_with_the_longest_name_has_decisions(tmp_path: Path, name: str) -> None:
    names = [name, name[:-1] + "y"]
    for each in names:
        found = Corrections(tmp_path.resolve(), each, (LABEL,))
        found.decide([label("1", each, "shirt"), NewImageDecision("2", "exclude", "train", f"not {each}")], "Li")
    for each in names:
        files = decision_files(tmp_path, each)
        assert [row.id for row in read_corrections(tmp_path / str(files["corrections"]))] == [each]
        assert read_exclusions(tmp_path / str(files["exclude"])) == [("train", f"not {each}")]


def test_the_last_label_counts_and_undo_brings_back(tmp_path: Path) -> None:
    found = opened(tmp_path)
    [first] = found.decide([label("1", "a", "shirt")], "Li")
    [second] = found.decide([label("2", "a", "coat: no", first.number)], "Li")
    assert in_table(found) == [("a", "coat: no")]
    found.decide([NewImageDecision("3", "undo", "train", "a", "label", undoes=second.number)], "Li")
    assert in_table(found) == [("a", "shirt")]
    found.decide([NewImageDecision("4", "undo", "train", "a", "label", undoes=first.number)], "Li")
    assert in_table(found) == []
    assert len(found.history()) == 4


def test_an_excluded_image_can_come_back(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.decide([NewImageDecision("1", "exclude", "", "a")], "Li")
    found.decide([NewImageDecision("2", "include", "", "a", after=1)], "Li")
    assert read_exclusions(found.excluded_path) == []


def test_several_labels_of_an_image_are_apart(tmp_path: Path) -> None:
    found = opened(tmp_path, TAGS)
    found.decide([label("1", "a", "lace: yes", target="tags"), label("2", "a", "wool: no", target="tags")], "Li")
    found.decide([label("3", "a", "lace: no", 1, "tags")], "Li")
    assert in_table(found) == [("a", "wool: no"), ("a", "lace: no")]


def test_the_later_of_two_tabs_is_told(tmp_path: Path) -> None:
    here, there = opened(tmp_path), opened(tmp_path)
    here.decide([label("1", "a", "shirt")], "Li")
    [receipt] = there.decide([label("2", "a", "bag")], "Ann")
    assert receipt.earlier is not None
    assert (receipt.earlier.who, receipt.earlier.label) == ("Li", "shirt")
    assert [each.label for each in here.current()] == ["bag"]


def test_a_decision_that_is_sent_again_counts_once(tmp_path: Path) -> None:
    [first] = opened(tmp_path).decide([label("1", "a", "shirt")], "Li")
    [again] = opened(tmp_path).decide([label("1", "a", "shirt")], "Li")
    assert again.is_repeated
    assert again.number == first.number
    assert len(opened(tmp_path).history()) == 1
    twice = opened(tmp_path).decide([label("2", "b", "shirt"), label("2", "b", "shirt")], "Li")
    assert [each.is_repeated for each in twice] == [False, True]
    assert len({each.number for each in twice}) == 1


def test_a_torn_end_of_the_journal_is_dropped(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.decide([label("1", "a", "shirt")], "Li")
    journal = found.labels_path.with_name("shop.journal")
    with journal.open("ab") as file:
        file.write(b'01234567 {"before": [nu')
    assert [each.id for each in opened(tmp_path).current()] == ["a"]
    opened(tmp_path).decide([label("2", "b", "bag")], "Li")
    assert [each.id for each in opened(tmp_path).current()] == ["a", "b"]


def test_what_follows_a_damaged_line_of_the_journal_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(tmp_path)
    for number, name in enumerate("abcde"):
        found.decide([label(str(number), name, "shirt")], "Li")
    journal = found.labels_path.with_name("shop.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:40] + b"?" + lines[1][41:]
    monkeypatch.setattr(decision_journal, "MAX_LINE_BYTES", 10_000)
    lines[3] = b"x" * 11_000 + b"\n"  # longer than any record
    journal.write_bytes(b"".join(lines))
    again = opened(tmp_path)
    assert [each.id for each in again.current()] == ["a", "c", "e"]
    assert again.damaged() == 2
    [receipt] = again.decide([label("9", "f", "bag")], "Bo")
    assert receipt.number > 5, "the number of a decision that a page may still know"
    assert journal.read_bytes().startswith(b"".join(lines))
    later = opened(tmp_path)
    assert {(each.id, each.who) for each in later.current()} == {(name, "Li") for name in "abcde"} | {("f", "Bo")}
    assert sorted(in_table(later)) == [(name, "shirt") for name in "abcde"] + [("f", "bag")]
    later.decide([NewImageDecision("10", "undo", "train", "f", undoes=receipt.number)], "Bo")
    assert [each.id for each in opened(tmp_path).current()].count("f") == 0


DECISION = {
    "number": 1, "request": "r", "kind": "label", "part": "", "id": "a", "target": "label", "label": "shirt",
    "undoes": 0, "who": "Li", "when": "2026-01-01T00:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"{", b"[1]", b'"\xff"', b"[" * 100_000, b"9" * 5000,
        {"before": [None, None]},
        {"decisions": [DECISION]},
        {"before": [], "decisions": [DECISION]},
        {"before": [None, None], "decisions": "abc"},
        *({"before": [None, None], "decisions": [DECISION | change]}
          for change in ({"new": 1}, {"id": []}, {"number": 2**70}, {"kind": "delete"}, {"label": None})),
    ],
)  # fmt: skip
def test_records_of_another_version_count_as_damaged(tmp_path: Path, content: Any) -> None:
    written = content if isinstance(content, bytes) else json.dumps(content).encode()
    found = opened(tmp_path)
    found.labels_path.parent.mkdir(parents=True)
    journal = found.labels_path.with_name("shop.journal")
    journal.write_bytes(b"%08x %s\n" % (zlib.crc32(written), written))
    found.decide([label("1", "b", "bag")], "Li")
    again = opened(tmp_path)
    assert ([each.id for each in again.current()], again.damaged()) == (["b"], 1)


def test_a_journal_joined_to_itself_counts_each_decision_once(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.decide([label("1", "a", "shirt")], "Li")
    journal = found.labels_path.with_name("shop.journal")
    journal.write_bytes(2 * journal.read_bytes())
    assert [each.id for each in opened(tmp_path).current()] == ["a"]


@pytest.mark.parametrize("name", ["shop.journal", "shop.csv"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "link"])
def test_a_file_that_does_not_end_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    found = opened(tmp_path)
    found.labels_path.parent.mkdir(parents=True)
    place = found.labels_path.with_name(name)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero" if kind == "endless" else tmp_path / "elsewhere")
    if name == "shop.journal":
        with refuses("side_file_foreign", StorageError):
            found.current()
    with refuses("side_file_foreign", StorageError):
        found.decide([label("1", "a", "shirt")], "Li")
    assert not (tmp_path / "elsewhere").exists()


def test_as_many_decisions_as_a_page_sends_are_read_again(tmp_path: Path) -> None:
    many = [label(f"{'衣' * 500}{number}"[-500:], f"{number}", "shirt") for number in range(MAX_DECISIONS)]
    opened(tmp_path).decide(many, "裳" * MAX_TEXT)
    again = opened(tmp_path)
    assert (len(again.current()), again.damaged()) == (MAX_DECISIONS, 0)
    assert again.decide(many[:1], "Li")[0].is_repeated


def test_a_table_behind_its_journal_is_written_again(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.decide([label("1", "a", "shirt")], "Li")
    before = found.labels_path.read_bytes()
    found.decide([label("2", "b", "bag")], "Li")
    found.labels_path.write_bytes(before)  # as a kill between the journal and the table leaves it
    opened(tmp_path).decide([label("2", "b", "bag")], "Li")
    assert in_table(found) == [("a", "shirt"), ("b", "bag")]


def test_edits_of_the_table_are_taken_over(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.decide([label("1", "a", "shirt"), label("2", "b", "bag")], "Li")
    found.labels_path.write_text("id,label\na,bag\nc,shirt\n")
    found.decide([label("3", "d", "bag")], "Li")
    assert in_table(found) == [("a", "bag"), ("c", "shirt"), ("d", "bag")]


def test_a_table_without_journal_is_kept(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.labels_path.parent.mkdir(parents=True)
    found.labels_path.write_text("part,id,target,label,suggested\n,a,label,bag,shirt\n,b,label,bag,\n")
    found.decide([label("3", "d", "bag")], "Li")
    assert in_table(found) == [("a", "shirt"), ("d", "bag")]


def test_a_training_takes_the_decisions(tmp_path: Path) -> None:
    assert decision_files(tmp_path, "imports/shop") == {"corrections": None, "exclude": None}
    opened(tmp_path).decide([label("1", "a", "shirt"), NewImageDecision("2", "exclude", "", "b")], "Li")
    files = {"corrections": "corrections/imports/shop.csv", "exclude": "corrections/imports/shop.excluded.csv"}
    assert decision_files(tmp_path, "imports/shop") == files


def test_a_training_of_some_targets_takes_their_decisions(tmp_path: Path) -> None:
    found = opened(tmp_path, LABEL, TAGS)
    found.decide([label("1", "a", "bag"), label("2", "b", "lace: yes", target="tags")], "Li")
    options = TrainOptions(corrections=found.labels_path)
    both = shop_of(LABEL, TAGS)
    edited, _, applied = edit_dataset(both, options, no_log)
    assert (edited.labels["label"].tolist(), edited.labels["tags"].tolist()) == ([0, 2], [[0, 0], [1, 0]])
    assert [each.id for each in applied or ()] == ["a", "b"]
    told: list[str] = []
    options = TrainOptions(corrections=found.labels_path, read_options={"target": "label"})
    edited, _, applied = edit_dataset(shop_of(LABEL), options, told.append)
    assert (edited.labels["label"].tolist(), [each.id for each in applied or ()]) == ([0, 2], ["a"])
    assert next(line.params for line in told if isinstance(line, Message)) == {"n": 1, "names": ["tags"]}
    found.decide([NewImageDecision("3", "undo", "train", "a", undoes=1)], "Li")
    assert edit_dataset(shop_of(LABEL), options, no_log)[2] is None
    with refuses("correction_target_unknown", DataError, name="tags"):
        edit_dataset(shop_of(LABEL), TrainOptions(corrections=found.labels_path), no_log)


def shop_of(*targets: Target) -> Dataset:
    """Two shirts without lace or wool."""
    labels = {"label": np.array([2, 2]), "tags": np.zeros((2, 2), np.int8)}
    ids, parts = np.array(["a", "b"], object), np.array(["train", "train"], object)
    images = PixelImages(np.zeros((2, 4, 4, 1), np.uint8))
    return Dataset("shop", "table", images, targets, {each.name: labels[each.name] for each in targets}, ids, parts)


def test_decisions_on_images_that_are_gone_are_left_out_and_told(tmp_path: Path) -> None:
    opened(tmp_path).decide([label(name, name, "shirt") for name in ("a", "gone")], "Li")
    opened(tmp_path).decide([NewImageDecision(name, "exclude", "train", name) for name in ("b", "gone too")], "Li")
    opened(tmp_path).decide([label("old", "c", "cape")], "Li")
    pixels = PixelImages(np.zeros((3, 2, 2, 1), np.uint8))
    ids, parts = np.array(["a", "b", "c"], object), np.array(["train"] * 3, object)
    found = Dataset("shop", "table", pixels, (LABEL,), {"label": np.zeros(3, np.int64)}, ids, parts)
    files = {key: tmp_path / str(path) for key, path in decision_files(tmp_path, "imports/shop").items()}
    said: list[str] = []
    edited, excluded, corrections = edit_dataset(found, TrainOptions(**files, leaves_out_unknown=True), said.append)
    assert (list(edited.ids), edited.labels["label"].tolist()) == (["a", "c"], [2, 0])
    assert (excluded, [each.id for each in corrections or ()]) == ([("train", "b")], ["a"])
    message = said[0]
    assert isinstance(message, Message)
    assert (message.code, message.params["names"]) == ("edits_left_out", ["gone", "c", "gone too"])
    with refuses("excluded_samples_unknown", DataError):
        edit_dataset(found, TrainOptions(**files), no_log)


def test_an_undo_of_nothing_is_refused(tmp_path: Path) -> None:
    with refuses("decision_unknown", DataError, number=7):
        opened(tmp_path).decide([NewImageDecision("1", "undo", "", "a", undoes=7)], "Li")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "studio").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "studio" / "corrections").symlink_to(tmp_path / "elsewhere")
    with refuses("corrections_outside", StorageError):
        opened(tmp_path / "studio").decide([label("1", "a", "bag")], "Li")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_decision_refused_by_a_full_disk_is_not_kept(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", "1m") as disk:
        found = opened(disk)
        found.decide([label("1", "a", "bag")], "Li")
        with suppress(OSError), open(disk / "other", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass  # until the disk is full; the journal's last block has room for a decision more
        with refuses("disk_full", StorageError):
            found.decide([label("2", "b", "bag")], "Li")
        for each in (found, opened(disk)):
            assert [decision.id for decision in each.current()] == ["a"]
        (disk / "other").unlink()
        assert not found.decide([label("2", "b", "bag")], "Li")[0].is_repeated
        assert in_table(found) == [("a", "bag"), ("b", "bag")]


def test_a_folder_without_write_permission_says_so(tmp_path: Path) -> None:
    with unwritable_folder(tmp_path / "shop") as folder:
        assert opened(folder).current() == []
        with refuses("write_denied", StorageError):
            opened(folder).decide([label("1", "a", "bag")], "Li")


def _decide_many(root: Path, who: str) -> None:
    found = opened(root)
    for n in range(40):
        found.decide([label(f"{who}{n}", f"{who}{n}", "bag")], who)


def test_two_studios_write_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_decide_many, args=(tmp_path, who)) for who in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(in_table(opened(tmp_path))) == sorted((f"{who}{n}", "bag") for who in "ab" for n in range(40))
    assert [each.number for each in opened(tmp_path).history()] == list(range(1, 81))
