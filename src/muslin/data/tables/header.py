"""Where the header of a table is, and the names of its columns."""

from collections.abc import Sequence


def name_columns(cells: Sequence[str]) -> tuple[str, ...]:
    """The columns' names: cells of the header without spaces around them; empty where a column has none.

    pandas writes its index as a first column without a name, which is called `column 1`.
    """
    names = [cell.strip() for cell in cells]
    return (names[0] or "column 1", *names[1:])
