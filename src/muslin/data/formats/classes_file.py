"""`classes.txt`: the classes of a folder of data in order, one a line, where its files alone do not say them.

Files that hold labels as numbers (IDX, pixels in a CSV) mean line N + 1 by the number N. Folders of photos are called
like these lines, a `/` and the like written as in a URL (`T-shirt%2Ftop`).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from muslin.data.dataset import Dataset, Target
from muslin.errors import DataError

NAME = "classes.txt"
MOST_BYTES = 2**20


def parsed(content: bytes) -> tuple[str, ...] | None:
    """The classes in a file's content; None where it is no such list."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        return None
    names = tuple(line.removesuffix("\r") for line in lines if line.strip())
    return names if names and len(set(names)) == len(names) and len(content) <= MOST_BYTES else None


def written(classes: Sequence[str]) -> bytes:
    """The content of a file that says `classes`.

    Raises:
        DataError: a class's name does not fit in a line.
    """
    content = "".join(f"{name}\n" for name in classes).encode("utf-8", "replace")
    if parsed(content) != tuple(classes):
        raise DataError(f"the classes {', '.join(map(repr, classes[:5]))} cannot be listed one a line.")
    return content


def named(dataset: Dataset, folder: Path) -> Dataset:
    """`dataset`, whose classes are numbers, with the names that `folder`'s file has for them, if it has one."""
    path = folder / NAME
    if not path.is_file() or len(dataset.targets) != 1:
        return dataset
    with path.open("rb") as file:
        names = parsed(file.read(MOST_BYTES + 1))
    numbers = dataset.targets[0].classes
    if names is None or not all(c.isdecimal() and int(c) < len(names) for c in numbers):
        return replace(dataset, fixes=(*dataset.fixes, f"{NAME} passed over: it does not fit the labels"))
    target = dataset.targets[0]
    labels = dataset.labels[target.name].copy()
    for index, number in enumerate(numbers):
        labels[dataset.labels[target.name] == index] = int(number)
    return replace(dataset, targets=(Target(target.name, names),), labels={target.name: labels})
