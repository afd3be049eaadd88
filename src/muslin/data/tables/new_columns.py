"""Columns that are added to a table under names that it does not have."""

from collections.abc import Sequence

from muslin.data.tables.cells import AddedColumn
from muslin.data.tables.table_file import TableFile
from muslin.messages import Message


def free_names(table: TableFile, columns: Sequence[AddedColumn]) -> tuple[tuple[AddedColumn, ...], list[str]]:
    """Columns to add to a table, and a note for each whose name was taken, so that it gets another one."""
    taken = {name.strip().casefold() for name in table.columns}
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
