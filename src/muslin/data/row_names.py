"""Names of rows of which no cell says the group or the product: each is one of its own."""

import re
from collections import Counter
from collections.abc import Iterable


def row_names(numbers: Iterable[int]) -> list[str]:
    """A name for each row, by its number; tables that were joined have rows of the same number."""
    seen = Counter[int]()
    names = []
    for number in numbers:
        seen[number] += 1
        names.append(f"(row {number})" if seen[number] == 1 else f"(row {number}, table {seen[number]})")
    return names


def is_row_name(name: str) -> bool:
    """Whether `row_names` gave the name, which says nothing about the rows of another table."""
    return re.fullmatch(r"\(row \d+(, table \d+)?\)", name) is not None
