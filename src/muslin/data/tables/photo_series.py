"""Columns that together hold the photos of one product: `front_image` and `back_image`, or `image_1`, `image_2`, …"""

from collections.abc import Callable, Sequence

from muslin.data.photo_roles import shows_product
from muslin.data.photos import Photo
from muslin.data.tables.cells import Cell
from muslin.data.tables.table_file import TableFile

SAMPLE_CELLS = 200
"""Cells of a column of which the photos are looked up."""


def columns_of_product(
    table: TableFile, first: str, locate: Callable[[Cell], object], looks_like_photo: Callable[[Cell], bool]
) -> tuple[list[str], list[str]]:
    """The columns with photos of the product that `first` shows, in the table's order, with `first`; and the columns
    that are called so, but whose photos were not found.

    A column of which most photos are those of another one is left out.

    Args:
        locate: gives the Photo that a cell names, or anything else for none.
        looks_like_photo: whether a cell that names no photo is called as a file is.
    """
    names = [name for name in dict.fromkeys(table.columns) if name and (name == first or shows_product(name))]
    if not shows_product(first) or len(names) < 2:
        return [first], []
    samples = _filled_cells(table, names)
    found = {n: {photo for cell in samples[n] if isinstance(photo := locate(cell), Photo)} for n in names}
    chosen: list[str] = []
    for name in sorted((name for name in names if found[name]), key=lambda name: name != first):
        if all(2 * len(found[name] & found[other]) <= len(found[name]) for other in chosen):
            chosen.append(name)
    lost = [n for n in names if not found[n] and any(map(looks_like_photo, samples[n]))]
    return [name for name in names if name in chosen], lost


def _filled_cells(table: TableFile, names: Sequence[str]) -> dict[str, list[Cell]]:
    """Per column its first SAMPLE_CELLS cells that are not empty."""
    cells: dict[str, list[Cell]] = {name: [] for name in names}
    for _, row in table.rows(names):
        for name, cell in zip(names, row, strict=True):
            if cell and len(cells[name]) < SAMPLE_CELLS:
                cells[name].append(cell)
        if all(len(each) == SAMPLE_CELLS for each in cells.values()):
            break
    return cells
