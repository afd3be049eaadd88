"""What people decided on the images of a data set: labels and exclusions, who and when, in files beside the data.

`muslin train --corrections` reads `corrections/NAME.csv`, and `--exclude` reads `corrections/NAME.excluded.csv`. Both
are written anew from `corrections/NAME.journal`, which is only ever appended to. A decision is acknowledged once the
journal and the table are on the disk.
"""

import hashlib
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.exclusions import csv_text, read_sample_rows
from muslin.data.audit.labels import YES_NO
from muslin.data.dataset import Target
from muslin.errors import BundleError, DataError, StorageError
from muslin.models.json_schema import AnyOf, Array, Choice, Number, check_schema
from muslin.review.clock import now_text
from muslin.storage.atomic import reserve, storage_errors, write_atomically
from muslin.storage.boundary import is_below
from muslin.storage.file_names import file_stem
from muslin.storage.outputs import read_side_file
from muslin.studio.data_sets import OpenData
from muslin.studio.decision_journal import Appender, DecisionJournal

FOLDER = "corrections"
LABEL_COLUMNS = ("part", "id", "target", "label", "who", "when")
EXCLUDED_COLUMNS = ("part", "id", "who", "when")

Kind = Literal["label", "exclude", "include", "undo"]
KINDS: tuple[Kind, ...] = ("label", "exclude", "include", "undo")

BYTES_PER_CHARACTER = 16
"""Of a decision, in the journal and the table together: 4 in UTF-8 or 6 escaped in each, and quotes."""

ROW_BYTES = 1000
"""Of a decision's other columns, with room to spare."""

Subject = tuple[str, str, str]
"""What a decision is about: the image's id, the target ("" of an exclusion), and of a multilabel target the class."""


@dataclass(frozen=True)
class NewImageDecision:
    """A decision that a page sends.

    Attributes:
        request: made once by the page, and sent again after a lost connection.
        label: of the kind `label` the label; one of several labels an image is written `lace: yes` or `lace: no`.
        undoes: of the kind `undo` the number of the decision that is taken back.
        after: the number of the last decision on the same that the page knows; 0 for none.
    """

    request: str
    kind: Kind
    part: str
    id: str
    target: str = ""
    label: str = ""
    undoes: int = 0
    after: int = 0


@dataclass(frozen=True)
class ImageDecision:
    """A decision in the journal; see NewImageDecision. `number` counts all of the data set's, from 1."""

    number: int
    request: str
    kind: Kind
    part: str
    id: str
    target: str
    label: str
    undoes: int
    who: str
    when: str


_NUMBER = Number(0, 2**53, int)
_OF_DECISION = {each.name: str for each in fields(ImageDecision)}
_RECORD = {
    "before": Array(AnyOf((str, None)), 2, 2),
    "decisions": [_OF_DECISION | {"number": _NUMBER, "kind": Choice(KINDS), "undoes": _NUMBER}],
}
"""Of the journal: what `check_schema` takes."""


@dataclass(frozen=True)
class ImageReceipt:
    """What a page is told of its decision.

    Attributes:
        is_repeated: whether it was there already.
        earlier: the decision of somebody else, or in another tab, that this one replaces and the page did not know of.
    """

    number: int
    is_repeated: bool
    earlier: ImageDecision | None


class Corrections:
    """The decisions on one data set. Safe to use from several threads, and by several studios on one folder.

    Args:
        root: the studio's folder, absolute, with links resolved.
        name: the data set's, as `muslin.studio.data_sets` names it.
        targets: the data set's.
    """

    def __init__(self, root: Path, name: str, targets: Sequence[Target]) -> None:
        folder, stem = root / FOLDER, _stem(name)
        self.labels_path = folder / f"{stem}.csv"
        self.excluded_path = folder / f"{stem}.excluded.csv"
        self._root, self._targets = root, targets
        self._multilabel = {target.name for target in targets if target.kind == "multilabel"}
        self._journal = DecisionJournal(folder / f"{stem}.journal", _is_record)
        self._lock = threading.RLock()
        self._n_read = 0
        self._decisions: dict[int, ImageDecision] = {}
        self._of_request: dict[str, int] = {}
        self._stacks: dict[Subject, list[int]] = {}

    def current(self) -> list[ImageDecision]:
        """The decision that counts on each subject, oldest first.

        Raises:
            StorageError: the journal cannot be read.
        """
        with self._lock:
            self._check_place()
            self._follow(self._journal.refresh())
            return self._standing()

    def history(self) -> list[ImageDecision]:
        """All decisions, also those that were taken back, oldest first."""
        with self._lock:
            self._check_place()
            self._follow(self._journal.refresh())
            return list(self._decisions.values())

    def damaged(self) -> int:
        """How many lines of the journal cannot be read. What the tables have of them is taken over again."""
        with self._lock:
            self._check_place()
            self._follow(self._journal.refresh())
            return self._journal.damaged

    def decide(self, new: Sequence[NewImageDecision], who: str) -> list[ImageReceipt]:
        """Write these decisions; they are in the journal and in the tables on the disk when this returns.

        Raises:
            DataError: one undoes a decision that there is not, or the table was edited and cannot be read.
            StorageError: the disk is full, the folder is not writable, or another studio holds the journal.
        """
        with self._lock:
            self._check_place()
            with self._journal.appending() as file:
                self._follow(False)
                self._adopt_edits(file)
                self._check_room(new, who)
                receipts = self._append(file, new, who)
                self._write_tables()
        return receipts

    def _check_room(self, new: Sequence[NewImageDecision], who: str) -> None:
        """Refuse decisions that the journal would still take and the tables would not: they are told as refused."""
        tables = sum(path.stat().st_size for path in (self.labels_path, self.excluded_path) if path.exists())
        words = sum(len(f"{each.part}{each.id}{each.target}{each.label}{who}") for each in new)
        with storage_errors(self.labels_path), tempfile.TemporaryFile(dir=self.labels_path.parent, buffering=0) as file:
            reserve(file.fileno(), tables + BYTES_PER_CHARACTER * words + ROW_BYTES * len(new))

    # ── The journal ──────────────────────────────────────────────────────────────────────────────────────

    def _append(self, file: Appender, new: Sequence[NewImageDecision], who: str) -> list[ImageReceipt]:
        when, receipts, added = now_text(), [], []
        number, known = self._last_number(), dict(self._of_request)
        for each in new:
            if each.request in known:
                receipts.append(ImageReceipt(known[each.request], True, None))
                continue
            undone = self._decisions.get(each.undoes)
            if each.kind == "undo" and undone is None:
                raise DataError("decision_unknown", number=each.undoes)
            number += 1
            values = {name: value for name, value in asdict(each).items() if name != "after"}
            decision = ImageDecision(number=number, who=who, when=when, **values)
            last = self._last(self._subject(undone or decision))
            is_known = last is None or last.number <= each.after or last.number == each.undoes
            receipts.append(ImageReceipt(number, False, None if is_known else last))
            added.append(decision)
            known[each.request] = number
        if added:
            self._record(file, added)
        return receipts

    def _last_number(self) -> int:
        """The highest number that a decision can have, also one in a damaged line, which has more bytes than decisions.

        A page that still knows such a decision must not undo another one.
        """
        return max(max(self._decisions, default=0), self._journal.size if self._journal.damaged else 0)

    def _record(self, file: Appender, decisions: Sequence[ImageDecision]) -> None:
        before = [_digest(path) for path in (self.labels_path, self.excluded_path)]
        file.append({"before": before, "decisions": [asdict(each) for each in decisions]})
        self._follow(False)

    def _follow(self, is_other: bool) -> None:
        """Take in the journal's records that are new."""
        if is_other:
            self._n_read, self._decisions, self._of_request, self._stacks = 0, {}, {}, {}
        for record in self._journal.records[self._n_read :]:
            for values in record["decisions"]:
                self._take(ImageDecision(**values))
        self._n_read = len(self._journal.records)

    def _take(self, decision: ImageDecision) -> None:
        if decision.number in self._decisions:  # of two journals that somebody joined
            return
        self._decisions[decision.number] = decision
        self._of_request[decision.request] = decision.number
        if decision.kind != "undo":
            self._stacks.setdefault(self._subject(decision), []).append(decision.number)
        elif undone := self._decisions.get(decision.undoes):
            stack = self._stacks.get(self._subject(undone), [])
            if undone.number in stack:
                stack.remove(undone.number)

    def _subject(self, decision: ImageDecision) -> Subject:
        if decision.kind not in ("label", "undo"):
            return decision.id, "", ""
        target = decision.target or (self._targets[0].name if len(self._targets) == 1 else "")
        return decision.id, target, decision.label.rpartition(": ")[0] if target in self._multilabel else ""

    def _last(self, subject: Subject) -> ImageDecision | None:
        stack = self._stacks.get(subject)
        return self._decisions[stack[-1]] if stack else None

    def _standing(self) -> list[ImageDecision]:
        return [self._decisions[number] for number in sorted(stack[-1] for stack in self._stacks.values() if stack)]

    # ── The tables ───────────────────────────────────────────────────────────────────────────────────────

    def _tables(self) -> tuple[str, str]:
        """The corrected labels and the excluded images as CSV."""
        standing = self._standing()
        labels = [(d.part, d.id, d.target, d.label, d.who, d.when) for d in standing if d.kind == "label"]
        excluded = [(d.part, d.id, d.who, d.when) for d in standing if d.kind == "exclude"]
        return csv_text(LABEL_COLUMNS, labels), csv_text(EXCLUDED_COLUMNS, excluded)

    def _write_tables(self) -> None:
        is_first = (True, False)  # a table of corrections is there from the first decision on
        for path, text, is_made in zip((self.labels_path, self.excluded_path), self._tables(), is_first, strict=True):
            content = text.encode(errors="backslashreplace")
            there = _content(path)
            if there == content or (there is None and not is_made and text.count("\n") < 2):
                continue
            write_atomically(path, content)

    def _adopt_edits(self, file: Appender) -> None:
        """Take over what a person changed in the tables, or what another program wrote there, as decisions."""
        known = [{_digest_of(text.encode(errors="backslashreplace"))} for text in self._tables()]
        if self._journal.records:
            for digests, before in zip(known, self._journal.records[-1]["before"], strict=True):
                digests.add(before)  # a kill between the journal and the table
        added: list[ImageDecision] = []
        tables: tuple[tuple[Kind, Path], ...] = ("label", self.labels_path), ("exclude", self.excluded_path)
        for (kind, path), digests in zip(tables, known, strict=True):
            digest = _digest(path)
            if digest is not None and digest not in digests:
                added += self._edits(kind)
        if added:
            numbered = enumerate(added, self._last_number() + 1)
            self._record(file, [replace(each, number=n, request=f"file/{n}") for n, each in numbered])

    def _edits(self, kind: Kind) -> list[ImageDecision]:
        """The differences of an edited table from the journal, without numbers."""
        path, when = (self.labels_path if kind == "label" else self.excluded_path), now_text()
        found = []
        for _, row in read_sample_rows(path):
            label = row.get("suggested", row.get("label", "")) if kind == "label" else ""
            target = row.get("target", "") if kind == "label" else ""
            if label or kind != "label":  # an audit's row without a suggestion corrects nothing
                values = {name: row.get(name, "") for name in ("part", "id", "who")}
                found.append(
                    ImageDecision(
                        0, "", kind, target=target, label=label, undoes=0, when=row.get("when") or when, **values
                    )
                )
        of_subject = {self._subject(each): each for each in found}
        new = []
        for subject, each in of_subject.items():
            last = self._last(subject)
            if last is None or (last.kind, last.label) != (each.kind, each.label):
                new.append(each)
        gone = [last for last in self._standing() if last.kind == kind and self._subject(last) not in of_subject]
        undone = [
            ImageDecision(0, "", "undo", last.part, last.id, last.target, "", last.number, "", when) for last in gone
        ]
        return new + undone

    def _check_place(self) -> None:
        """Refuse a folder of corrections that a link leads out of the studio's folder."""
        real = os.path.realpath(self.labels_path.parent)
        if not is_below(real, str(self._root)):
            raise StorageError("corrections_outside", path=str(self.labels_path.parent))


def decision_files(root: Path, name: str) -> dict[str, str | None]:
    """What `train` takes as `corrections` and `exclude`: paths below `root`; None where nobody has decided."""
    stem = _stem(name)
    names = {"corrections": f"{FOLDER}/{stem}.csv", "exclude": f"{FOLDER}/{stem}.excluded.csv"}
    return {key: path if (root / path).is_file() else None for key, path in names.items()}


def corrected_labels(opened: OpenData, standing: Sequence[ImageDecision], target: str) -> NDArray[np.integer[Any]]:
    """A target's labels with the decisions, as in `muslin.data.dataset.Dataset.labels`.

    Decisions on images or classes that the data no longer have change nothing.
    """
    labels, classes = opened.labels(target).copy(), opened.target(target)
    assert classes is not None
    numbers = {name: number for number, name in enumerate(classes.classes)}
    for each in standing:
        index = opened.index_of(each.id)
        if each.kind != "label" or index is None or each.target not in (target, ""):
            continue
        if classes.kind == "multiclass":
            if each.label in numbers:
                labels[index] = numbers[each.label]
            continue
        name, _, answer = each.label.rpartition(": ")
        if name in numbers and answer in YES_NO:
            labels[index, numbers[name]] = YES_NO.index(answer)
    return labels


def _stem(name: str) -> str:
    """How the files of a data set's decisions begin: the corrections of `X.excluded` are not the exclusions of `X`."""
    stem = f"{name}_" if name.rstrip("_").endswith(".excluded") else name
    above, slash, last = stem.rpartition("/")
    return f"{above}{slash}{file_stem(last)}"


def _is_record(value: Any) -> bool:
    try:
        check_schema(value, _RECORD)
    except BundleError:
        return False
    return True


def _content(path: Path) -> bytes | None:
    file = read_side_file(path)
    if file is None:
        return None
    with file, storage_errors(path):
        return file.read()


def _digest(path: Path) -> str | None:
    content = _content(path)
    return None if content is None else _digest_of(content)


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
