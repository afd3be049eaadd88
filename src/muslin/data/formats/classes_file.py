"""`classes.txt`: the class names of a data folder in order, one per line, where its files do not hold them.

In files with numbers as labels (IDX, pixels in a CSV), number N means line N + 1. Folders of photos are named like the
lines, with `/` and the like percent-encoded (`T-shirt%2Ftop`).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from muslin.data.dataset import Dataset, Target
from muslin.data.gzip_files import read_head
from muslin.errors import DataError
from muslin.messages import Message

NAME = "classes.txt"
MAX_BYTES = 2**20


def parse_classes(content: bytes) -> tuple[str, ...] | None:
    """The class names in the file's content; None where it is not a list of distinct names."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        return None
    names = tuple(line.removesuffix("\r") for line in lines if line.strip())
    return names if names and len(set(names)) == len(names) and len(content) <= MAX_BYTES else None


def format_classes(classes: Sequence[str]) -> bytes:
    """The content of a file that lists `classes`.

    Raises:
        DataError: a class name does not fit in a line.
    """
    content = "".join(f"{name}\n" for name in classes).encode("utf-8", "replace")
    if parse_classes(content) != tuple(classes):
        raise DataError("classes_not_listable", names=list(classes[:5]))
    return content


def use_class_names(dataset: Dataset, folder: Path) -> Dataset:
    """`dataset`, whose classes are numbers, with the names from the file in `folder`, if there is one."""
    path = folder / NAME
    if not path.is_file() or len(dataset.targets) != 1:
        return dataset
    names = parse_classes(read_head(path, MAX_BYTES + 1))
    numbers = dataset.targets[0].classes
    if names is None or not all(c.isdecimal() and int(c) < len(names) for c in numbers):
        return replace(dataset, fixes=(*dataset.fixes, Message("classes_file_skipped", name=NAME)))
    target = dataset.targets[0]
    labels = dataset.labels[target.name].copy()
    for index, number in enumerate(numbers):
        labels[dataset.labels[target.name] == index] = int(number)
    return replace(dataset, targets=(Target(target.name, names),), labels={target.name: labels})
