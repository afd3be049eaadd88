"""CSV files that correct labels: those that an audit suggests, and those that a person decided."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from muslin.data.audit.exclusions import known_indices, read_sample_rows, sample_indices
from muslin.data.audit.labels import YES_NO
from muslin.data.dataset import Dataset, Target
from muslin.errors import DataError, unknown
from muslin.messages import Log, Message, examples

COLUMNS = ("part", "id", "target", "label", "suggested", "other", "wrong_probability")
"""Of an audit's corrections.csv and labels.csv: `label` is the given label, `suggested` the one to correct it to, empty
where a person must decide; `other` is the most probable other label."""

APPLIED_COLUMNS = ("part", "id", "target", "label")
"""Of the copy that a run keeps: `label` is the correct one."""


class Correction(NamedTuple):
    """A label to set; one of several labels an image is written `lace: yes` or `lace: no`.

    `part` is empty for any, `target` for the only one, and `given` where the table does not say what was given.
    """

    part: str
    id: str
    target: str
    label: str
    given: str
    row: int


def read_corrections(path: Path) -> list[Correction]:
    """The corrections of a CSV with the columns `id` and `label`, and possibly `part` and `target`.

    Where there is a column `suggested`, that is the correct label and `label` the given one; a row without a suggestion
    corrects nothing.

    Raises:
        DataError: as `read_sample_rows`; the file lacks the column `label`, or a row has no label.
    """
    corrections = []
    for row, cells in read_sample_rows(path):
        if "label" not in cells:
            raise DataError("corrections_without_label", path=str(path))
        label, given = cells["label"], ""
        if "suggested" in cells:
            label, given = cells["suggested"], label
            if not label:
                continue
        if not label:
            raise DataError("correction_label_missing", path=str(path), row=row)
        corrections.append(Correction(cells.get("part", ""), cells["id"], cells.get("target", ""), label, given, row))
    return corrections


def corrections_of(dataset: Dataset, corrections: Sequence[Correction], log: Log) -> list[Correction]:
    """The corrections of the targets that were read, where a person chose some of them; the others are logged."""
    targets = {target.name for target in dataset.targets}
    others = [each.target for each in corrections if each.target and each.target not in targets]
    if others:
        log(Message("corrections_of_other_targets", n=len(others), names=sorted(set(others))))
    return [each for each in corrections if not each.target or each.target in targets]


def known_corrections(dataset: Dataset, corrections: Sequence[Correction]) -> list[Correction]:
    """The corrections of images and labels that the data have."""
    indices = known_indices(dataset, [(each.part, each.id) for each in corrections])
    return [
        each for each, index in zip(corrections, indices, strict=True) if index is not None and _is_known(dataset, each)
    ]


def _is_known(dataset: Dataset, correction: Correction) -> bool:
    try:
        _label(_target(dataset, correction, ""), correction.label, correction.row, "")
    except DataError:
        return False
    return True


def correct_labels(dataset: Dataset, corrections: Sequence[Correction], path: str) -> Dataset:
    """`dataset` with corrected labels.

    Args:
        path: where the corrections are from, for errors and the list of fixes.

    Raises:
        DataError: a sample, a target or a class that the data do not have; two corrections of one label; or a given
            label that is not that of the data.
    """
    indices = sample_indices(dataset, [(each.part, each.id) for each in corrections], path)
    labels = {name: values.copy() for name, values in dataset.labels.items()}
    corrected: dict[tuple[str, int, int | None], int] = {}
    others, n_changed = [], 0
    for each, index in zip(corrections, indices, strict=True):
        target = _target(dataset, each, path)
        column, value = _label(target, each.label, each.row, path)
        if corrected.setdefault((target.name, index, column), value) != value:
            raise DataError("label_corrected_twice", path=path, row=each.row, name=each.id, target=target.name)
        cell = index if column is None else (index, column)
        if each.given and dataset.labels[target.name][cell] not in (
            _label(target, each.given, each.row, path)[1],
            value,
        ):
            others.append(each.id)
        n_changed += int(labels[target.name][cell] != value)
        labels[target.name][cell] = value
    if others:
        raise DataError("corrections_of_other_labels", path=path, dataset=dataset.name, **examples(others))
    fix = Message("labels_corrected", n=len(corrected), changed=n_changed, path=path)
    if not corrected:
        fix = Message("labels_not_corrected", path=path)
    return replace(dataset, labels=labels, fixes=(*dataset.fixes, fix))


def _target(dataset: Dataset, correction: Correction, path: str) -> Target:
    targets = {target.name: target for target in dataset.targets}
    if correction.target in targets:
        return targets[correction.target]
    if not correction.target and len(targets) == 1:
        return dataset.targets[0]
    names = unknown(correction.target, targets)
    raise DataError("correction_target_unknown", path=path, row=correction.row, **names)


def _label(target: Target, label: str, row: int, path: str) -> tuple[int | None, int]:
    """The column (None of a multiclass target) and the value of a label as a row writes it."""
    name, column, value = label, None, None
    if target.kind == "multilabel":
        name, _, answer = label.rpartition(": ")
        value = YES_NO.index(answer) if answer in YES_NO else None
        if name in target.classes:
            column = target.classes.index(name)
        choices = [f"{name}: {answer}" for name in target.classes for answer in YES_NO]
    else:
        value = target.classes.index(name) if name in target.classes else None
        choices = list(target.classes)
    if value is None or (target.kind == "multilabel" and column is None):
        raise DataError("correction_label_unknown", path=path, row=row, target=target.name, **unknown(label, choices))
    return column, value
