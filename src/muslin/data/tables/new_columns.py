"""Columns that are added to a table, under names that it does not have and in an encoding that holds them."""

import re
from collections.abc import Sequence

from muslin.data.tables.cells import AddedColumn
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.table_file import TableFile
from muslin.errors import DataError
from muslin.messages import Message

_RENAMED = re.compile(r"muslin_(.+?)(?:_[0-9]+)?")


def free_names(table: TableFile, columns: Sequence[AddedColumn]) -> tuple[tuple[AddedColumn, ...], list[str]]:
    """Columns to add to a table, and a note for each whose name was taken, so that it gets another one."""
    taken = _taken_names(table)
    added, notes = [], []
    for column in columns:
        name, number = column.name, 1
        while name.casefold() in taken:
            name, number = f"muslin_{column.name}{f'_{number}' if number > 1 else ''}", number + 1
        if name != column.name:
            notes.append(Message("column_name_taken", column=column.name, new_name=name))
        taken.add(name.casefold())
        added.append(AddedColumn(name, column.kind))
    return tuple(added), list(notes)


def added_columns(table: TableFile, original: TableFile) -> list[str]:
    """The columns that a copy of the table `original` has beside those of the original."""
    taken = _taken_names(original)
    return [name for name in table.columns if name.strip().casefold() not in taken]


def asked_names(name: str) -> tuple[str, ...]:
    """What an added column can have been called before `free_names`: as it is, or without what was put around it.

    >>> asked_names("tag"), asked_names("muslin_tag_2")
    (('tag',), ('muslin_tag_2', 'tag'))
    """
    renamed = _RENAMED.fullmatch(name)
    return (name, renamed[1]) if renamed else (name,)


def _taken_names(table: TableFile) -> set[str]:
    return {name.strip().casefold() for name in table.columns}


def check_encodable(table: TableFile, name: str) -> None:
    """Refuse a name that the table's encoding cannot hold.

    Raises:
        DataError: it cannot.
    """
    if isinstance(table, Delimited):
        try:
            name.encode(table.encoding)
        except UnicodeEncodeError as error:
            raise DataError("tag_not_encodable", path=str(table.path), encoding=table.encoding, name=name) from error
