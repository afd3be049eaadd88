"""Words on images: in a font that has their letters, cut or broken to the width there is."""

import unicodedata
from functools import lru_cache

from PIL import ImageDraw, ImageFont

from muslin.reporting.colours import LIGHT, rgb

OWN = ""
"""Stands for the font that comes with Pillow. It has only ASCII and a few signs."""

# Where the system has these, they have most of the world's letters.
WIDER_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "arial.ttf",
    "msyh.ttc",
    "NotoSansSC-Regular.otf",
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write(draw: ImageDraw.ImageDraw, x: float, y: float, words: str, size_px: int, colour: str) -> None:
    """Draw one line of `words` with its upper left corner at (x, y), in a colour of `LIGHT`.

    A letter that no font here has loses its accent or becomes `?`.
    """
    name = _best(words, size_px)
    written = "".join(letter if _has(name, size_px, letter) else _without_accent(letter) for letter in words)
    draw.text((x, y), written, fill=rgb(LIGHT[colour]), font=font_for(words, size_px))


def font_for(words: str, size_px: int) -> Font:
    """Pillow's own font, or the first of the system's with all letters of `words`, or most of them."""
    return _loaded(_best(words, size_px), size_px) or ImageFont.load_default(size_px)


def cut(words: str, size_px: int, width_px: float) -> str:
    """`words`, or where too wide their two ends around `…`, because names often differ at the end."""
    font = font_for(words, size_px)
    if font.getlength(words) <= width_px:
        return words

    def keeping(letters: int) -> str:
        head = letters - letters // 2
        return f"{words[:head].rstrip()}…{words[len(words) - letters // 2 :].lstrip()}"

    fits, too_many = 0, len(words)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if font.getlength(keeping(middle)) <= width_px:
            fits = middle
        else:
            too_many = middle
    return keeping(fits)


def wrapped(words: str, size_px: int, width_px: float) -> list[str]:
    """At most two lines, the second cut where needed; a line break in `words` is kept."""
    if "\n" in words:
        return [cut(line, size_px, width_px) for line in words.split("\n")[:2]]
    font = font_for(words, size_px)
    first, rest = "", words.split()
    while rest and font.getlength(f"{first} {rest[0]}".strip()) <= width_px:
        first = f"{first} {rest.pop(0)}".strip()
    if not first and rest:  # a word longer than a line
        return [cut(words, size_px, width_px)]
    return [first, cut(" ".join(rest), size_px, width_px)] if rest else [first]


@lru_cache(maxsize=1024)
def _best(words: str, size_px: int) -> str:
    names = (OWN,) if words.isascii() else (OWN, *WIDER_FONTS)
    return max(names, key=lambda name: sum(_has(name, size_px, letter) for letter in words))


@lru_cache(maxsize=64)
def _loaded(name: str, size_px: int) -> Font | None:
    try:
        font = ImageFont.truetype(name, size_px) if name else ImageFont.load_default(size_px)
    except OSError:
        return None
    # the other engine is there only where the system has FriBidi, and refuses some text altogether
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    return font


@lru_cache(maxsize=4096)
def _has(name: str, size_px: int, letter: str) -> bool:
    """Whether the font draws `letter` as anything but its sign for a missing letter."""
    font = _loaded(name, size_px)
    if font is None:
        return False
    drawn, missing = font.getmask(letter), font.getmask("\uffff")
    return letter.isspace() or drawn.size != missing.size or bytes(drawn) != bytes(missing)


def _without_accent(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"
