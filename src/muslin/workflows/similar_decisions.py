"""What people decide on pairs of products of an index, and the lock that keeps their decisions."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from muslin.data.audit.exclusions import unescape_formula
from muslin.data.tables import open_table
from muslin.data.tables.columns import check_column
from muslin.errors import DataError
from muslin.similarity.index import NOT_SAME, SAME, Index, open_index, write_index
from muslin.storage.locks import lock
from muslin.storage.outputs import Output

WORDS = {"same": SAME, "the same": SAME, "yes": SAME, "not the same": NOT_SAME, "not same": NOT_SAME, "no": NOT_SAME}
"""What a person can write into the column `decision`."""

COLUMNS = ("product_a", "product_b", "decision")
"""Of a table of decisions."""

Decisions = Mapping[tuple[str, str], int]
"""Per pair of products, by their names, a number of `muslin.similarity.index.VERDICTS`."""


@contextmanager
def locked_index(path: Path) -> Iterator[None]:
    """Hold the lock of an index that is there, so that no decision is lost between reading and writing it.

    Raises:
        StorageError: another process writes it.
    """
    while True:
        try:
            file = path.open("rb")
        except OSError:  # no index yet
            yield
            return
        with file:
            lock(file.fileno(), path, "index_locked")
            if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                yield
                return
            # another process replaced the index before this one had its lock


def decide(path: str | Path, decisions: Decisions) -> Index:
    """Note in an index what a person decided; it stays so when the index is built again.

    Raises:
        DataError: the index cannot be opened, or has no such product; or a pair is one product.
        StorageError: another process writes it, or it cannot be written.
    """
    path = Path(path)
    with locked_index(path):
        index = open_index(path)
        known = dict(index.decisions)
        for (one, other), verdict in decisions.items():
            a, b = sorted((index.number(one, path), index.number(other, path)))
            if a == b:
                raise DataError("pair_of_one_product", name=one)
            known[a, b] = verdict
        decided = replace(index, decisions=known)
        write_index(Output(path, overwrite=True), decided)
    return decided


def read_decisions(path: Path) -> dict[tuple[str, str], int]:
    """The decisions in a table with the columns `product_a`, `product_b` and `decision`; rows without one are open.

    Raises:
        DataError: the table cannot be read, lacks a column, or a decision is none of WORDS.
    """
    table = open_table(path)
    for name in COLUMNS:
        check_column(path, name, table.columns)
    decisions: dict[tuple[str, str], int] = {}
    for number, cells in table.rows(COLUMNS):
        one, other, word = (unescape_formula(str(cell).strip()) for cell in cells)
        if not word:
            continue
        if word.casefold() not in WORDS:
            raise DataError(
                "pair_decision_unknown", path=str(path), row=number, found=word, choices=["same", "not the same"]
            )
        decisions[one, other] = WORDS[word.casefold()]
    return decisions
