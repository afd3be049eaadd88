"""Names for colours, from a table that a shop can edit: several shades stand for one name."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muslin.colour.cielab import srgb_to_lab
from muslin.data.tables import open_table
from muslin.errors import DataError, unknown
from muslin.text import MAX_NAME_CHARACTERS, is_safe_name

NAME, HEX = "name", "hex"
"""Columns of the table. Each other column holds the names in another language, such as `zh`."""

BUILTIN = "named_colours.csv"

HEX_COLOUR = re.compile(r"#?([0-9A-Fa-f]{6})")

MAX_SHADES = 1000
"""Of a table: each pixel is compared with all of them."""

LIGHTNESS_WEIGHT = 0.5
"""Of differences in lightness against those of hue and chroma: folds and shadows change the lightness of a cloth much,
its hue little."""

BLOCK = 4096
"""Pixels that are compared with the shades at a time."""


@dataclass(frozen=True, eq=False)
class NamedColours:
    """Shades with their names.

    Attributes:
        names: of the colours, in the order of the table.
        shades: float32 (shades, 3), CIELAB.
        colour_of_shade: int64 (shades,), index into `names`.
    """

    names: tuple[str, ...]
    shades: NDArray[np.float32]
    colour_of_shade: NDArray[np.int64]

    def nearest(self, lab: NDArray[np.float32]) -> NDArray[np.int64]:
        """The index in `names` of the colour of the nearest shade.

        Args:
            lab: float32 (n, 3), CIELAB.

        Returns:
            int64 (n,).
        """
        weights = np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32)
        shades, found = self.shades * weights, []
        for start in range(0, len(lab), BLOCK):
            pixels = lab[start : start + BLOCK] * weights
            distances = (shades**2).sum(axis=1) - 2 * pixels @ shades.T  # less the same for all shades of a pixel
            found.append(self.colour_of_shade[distances.argmin(axis=1)])
        return np.concatenate(found) if found else np.zeros(0, np.int64)


def builtin_table() -> bytes:
    """The content of the table of colours that comes with muslin: CSV with the columns `name`, `zh` and `hex`."""
    return (files("muslin.colour") / BUILTIN).read_bytes()


def read_named_colours(path: Path | None = None, language: str | None = None) -> NamedColours:
    """A table with the columns `name` and `hex`, such as `navy` and `#1c2440`; a name can have several rows.

    Args:
        path: CSV or any other table; by default the one that comes with muslin.
        language: the column with the names to use, such as `zh`; an empty cell means the one in `name`.

    Raises:
        DataError: the table cannot be read, has no such column, no row or too many, or a row is wrong.
    """
    table = open_table(path or Path(str(files("muslin.colour") / BUILTIN)))
    shown = str(path or BUILTIN)
    if missing := next((column for column in (NAME, HEX) if column not in table.columns), None):
        raise DataError("colour_column_missing", path=shown, column=missing)
    languages = [column for column in table.columns if column not in (NAME, HEX)]
    if language and language not in languages:
        raise DataError("colour_language_unknown", path=shown, **unknown(language, languages))
    index: dict[str, int] = {}
    shades: list[list[int]] = []
    colours: list[int] = []
    for row in table.rows([NAME, HEX, *([language] if language else [])]):
        key, code, *names = map(str, row.cells)
        place = {"path": shown, "row": row.number}
        name = next(filter(None, names), key)
        if not name or not is_safe_name(name):
            raise DataError("colour_name_unsafe", **place, name=ascii(name)[:60], maximum=MAX_NAME_CHARACTERS)
        if not (match := HEX_COLOUR.fullmatch(code)):
            raise DataError("colour_code_invalid", **place, value=code[:60])
        if len(shades) == MAX_SHADES:
            raise DataError("too_many_shades", path=shown, maximum=MAX_SHADES)
        shades.append(list(bytes.fromhex(match[1])))
        colours.append(index.setdefault(name, len(index)))
    if not shades:
        raise DataError("no_rows", path=shown)
    return NamedColours(tuple(index), srgb_to_lab(np.array(shades, np.uint8)), np.array(colours, np.int64))
