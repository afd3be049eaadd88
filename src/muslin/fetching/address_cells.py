"""The addresses of photos in a table: the columns that hold them, and the addresses in a cell."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from muslin.data.photos import IMAGE_SUFFIXES
from muslin.data.tables import Cell, TableFile
from muslin.data.tables.columns import check_column
from muslin.data.tables.identifier_names import joined_words
from muslin.data.tables.table_file import BLANK, check_width
from muslin.errors import DataError
from muslin.fetching.address import START

KNOWN_NAMES = frozenset({
    "imagesrc", "variantimage", "productimageurl", "variantimageurl",  # Shopify, before and since 2025
    "images", "bilder", "imágenes", "immagini", "immagine", "afbeeldingen",  # WooCommerce
    "image", "imagelink", "additionalimagelink", "imageurl", "imageurls", "image1", "mainimage", "mainimageurl",
    "imgurl", "imgsrc", "photo", "photos", "photourl", "picture", "pictures", "pictureurl", "thumbnail", "bild",
    "bildurl", "foto", "fotos", "图片", "图片链接", "主图",
})  # fmt: skip
"""Names, their words joined, of columns whose addresses are those of photos, whatever the addresses look like."""

MIN_SHARE = 0.5
"""Of a column's cells, those with the address of a photo."""

_BETWEEN = re.compile(r"[\s,;|]+(?=(?:https?:)?//)", re.IGNORECASE)
"""Between two addresses in a cell; commas, spaces and the like are in addresses too."""

_QUOTED = re.compile(r"""["']([^"']+)["']""")
_AROUND = BLANK + ",;|"


def texts_in(cell: Cell) -> list[str]:
    """The addresses in a cell as they are written, or whatever else it holds; none for an empty cell.

    >>> texts_in("https://a.example/w_80,h_80/1.jpg, https://a.example/2.jpg")
    ['https://a.example/w_80,h_80/1.jpg', 'https://a.example/2.jpg']
    """
    if isinstance(cell, tuple):
        return [text for each in cell for text in texts_in(each)]
    quoted = _QUOTED.findall(cell) if cell.startswith(("[", "(", "{")) else []
    if "{" in cell:  # objects of JSON, as shop systems have one for each photo
        quoted = [text for text in quoted if is_address(text)]
    parts = quoted or _BETWEEN.split(cell)
    return [text for part in parts if (text := part.strip(_AROUND))]


def is_address(text: str) -> bool:
    """Whether a text begins as an address of http or https, or as `//cdn.example/…`."""
    return bool(START.match(text))


def address_columns(table: TableFile, asked: Sequence[str] = ()) -> list[str]:
    """The columns with the addresses of photos: those `asked` for, or those that are called so or whose addresses end
    as names of photos do.

    Raises:
        DataError: there is no such column; or one that is asked for has no address.
    """
    check_width(table)
    for name in asked:
        check_column(table.path, name, table.columns)
    names = list(asked) or [name for name in dict.fromkeys(table.columns) if name]
    filled: Counter[str] = Counter()
    addresses: Counter[str] = Counter()
    of_photos: Counter[str] = Counter()
    for _, cells in table.rows(names):
        for name, cell in zip(names, cells, strict=True):
            if cell:
                filled[name] += 1
                texts = texts_in(cell)
                addresses[name] += any(map(is_address, texts))
                of_photos[name] += any(map(_ends_as_photo, texts))
    chosen = [
        name
        for name in names
        if addresses[name] and (asked or _is_named_so(name) or of_photos[name] >= MIN_SHARE * filled[name])
    ]
    if not chosen:
        others = [name for name in names if 2 * addresses[name] >= filled[name] > 0]
        raise DataError("no_addresses", path=str(table.path), columns=list(asked), others=others)
    return chosen


def addresses_in_rows(table: TableFile, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Per row its number and the texts in its cells of these columns, each once."""
    for number, cells in table.rows(columns):
        yield number, unique(text for cell in cells for text in texts_in(cell))


def unique(texts: Iterable[str]) -> list[str]:
    """Each text once, in the order in which they first come."""
    return list(dict.fromkeys(texts))


def _is_named_so(name: str) -> bool:
    return joined_words(name) in KNOWN_NAMES


def _ends_as_photo(text: str) -> bool:
    path = re.split(r"[?#]", text, maxsplit=1)[0]
    return is_address(text) and PurePosixPath(unquote(path)).suffix.lower() in IMAGE_SUFFIXES
