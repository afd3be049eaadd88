"""Words for the parts of a data set, in names of folders and files and in cells of tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from muslin.errors import DataError, unknown

PART_NAMES = {
    name: part
    for part, names in {
        "train": "train training training_set train_set training-set",
        "validation": "validation val valid validate validation_set val_set dev devel development publictest",
        "test": "test testing test_set test-set privatetest",
    }.items()
    for name in names.split()
}
"""FER2013 has a public and a private test set."""

SPLIT_NAMES = frozenset({"split", "part", "partition", "subset", "usage"})
"""Names of columns that hold the part."""

EVALUATION_NAMES = frozenset({"eval", "evaluation", "holdout", "hold_out", "hold-out", "heldout", "devtest"})
"""What can be the test or the validation part."""

SUFFIX = re.compile(r"[ _-]*(set|data|split|images|imgs?|photos|\d+)$")
"""What can follow a part's name, as in `train_images` and `val2017`."""


def is_part_name(name: str) -> bool:
    """Whether `name` means a part whatever stands beside it."""
    word = _plain_word(name)
    return word in PART_NAMES or word in EVALUATION_NAMES


def parts_by_name(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Of `names`, those of folders in `path`, each that means a part, and the part.

    Where none means one, words that all have before them do not count: `seg_train` and `seg_test`. `eval`, `holdout`
    and the like are the test part; where another name means that, the validation part.

    Raises:
        DataError: both parts have names of their own.
    """
    words = {name: _plain_word(name) for name in sorted(set(names))}
    beginnings = {re.sub(r"[^ _-]+$", "", name.strip()) for name in words}
    endings = {name: _plain_word(re.split("[ _-]", name.strip())[-1]) for name in words}
    if len(beginnings) == 1 and not any(map(is_part_name, words)) and sum(map(is_part_name, endings.values())) > 1:
        words = endings
    found = {name: PART_NAMES[word] for name, word in words.items() if word in PART_NAMES}
    for name in (name for name, word in words.items() if word in EVALUATION_NAMES):
        free = [part for part in ("test", "validation") if part not in found.values()]
        if not free:
            raise DataError("part_unclear", path=str(path), name=name, names=sorted(found))
        found[name] = free[0]
    return found


def are_parts(counts: Mapping[str, int]) -> bool:
    """Whether most filled cells of a column mean parts: then another cell is a mistake in it.

    Args:
        counts: the number of rows with each cell.
    """
    n_filled = sum(n for cell, n in counts.items() if cell)
    return 2 * sum(n for cell, n in counts.items() if is_part_name(cell)) > n_filled


def parts_of_cells(path: Path, cells: Sequence[str], numbers: Sequence[int], guessed: str | None = None) -> list[str]:
    """The part that each cell of a table's column means.

    Args:
        guessed: the column, where nobody named it.

    Raises:
        DataError: a cell means none; the error names the first such row by its number.
    """
    part_of = parts_by_name(path, cells)
    for row, cell in zip(numbers, cells, strict=True):
        if cell not in part_of:
            raise DataError(
                "split_value_unknown", path=str(path), row=row, guessed=guessed, **unknown(cell, PART_NAMES)
            )
    return [part_of[cell] for cell in cells]


def _plain_word(name: str) -> str:
    word = name.strip().lower()
    return word if word in PART_NAMES else SUFFIX.sub("", word)
