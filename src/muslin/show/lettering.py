"""Words on pictures: in a font that has their letters, cut or broken to the width there is."""

import unicodedata
from functools import lru_cache

from PIL import ImageDraw, ImageFont

from muslin.show.colours import LIGHT, rgb


def write(draw: ImageDraw.ImageDraw, x: float, y: float, words: str, size_px: int, colour: str) -> None:
    """Draw one line of `words` with its upper left corner at (x, y), in a colour of `LIGHT`."""
    font = font_for(words, size_px)
    draw.text((x, y), _writable(words, font), fill=rgb(LIGHT[colour]), font=font)


# Pillow's own font has only ASCII; these, where the system has them, have most of the world's letters.
_WIDER_FONTS = (
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
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=32)
def _loaded(name: str, size_px: int) -> _Font | None:
    try:
        return ImageFont.truetype(name, size_px) if name else ImageFont.load_default(size_px)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(name: str, size_px: int, letter: str) -> bool:
    """Whether the font draws `letter` as anything but its sign for a missing letter."""
    font = _loaded(name, size_px)
    if font is None:
        return False
    missing = font.getmask("\uffff")
    drawn = font.getmask(letter)
    return letter.isspace() or drawn.size != missing.size or bytes(drawn) != bytes(missing)


@lru_cache(maxsize=1024)
def font_for(words: str, size_px: int) -> _Font:
    """Pillow's own font, or the first of the system's with all letters of `words`, or most of them."""
    names = ("",) if words.isascii() else ("", *_WIDER_FONTS)
    best = max(names, key=lambda name: sum(_has(name, size_px, letter) for letter in words))
    return _loaded(best, size_px) or ImageFont.load_default(size_px)


def _writable(words: str, font: _Font) -> str:
    """`words` with letters that the font lacks replaced: é by e, others by ?."""
    if words.isascii():
        return words
    missing = bytes(font.getmask("\uffff"))
    return "".join(
        letter
        if letter.isspace() or bytes(font.getmask(letter)) != missing
        else unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"
        for letter in words
    )


def cut(words: str, size_px: int, width_px: float) -> str:
    """`words`, or as much of their beginning as fits `width_px`, ending in `…`."""
    font = font_for(words, size_px)
    if font.getlength(words) <= width_px:
        return words
    while words and font.getlength(words.rstrip() + "…") > width_px:
        words = words[:-1]
    return words.rstrip() + "…"


def wrapped(words: str, size_px: int, width_px: float) -> list[str]:
    """At most two lines; a line break in `words` is kept."""
    if "\n" in words:
        return [cut(line, size_px, width_px) for line in words.split("\n")[:2]]
    font = font_for(words, size_px)
    first, rest = "", words.split()
    while rest and font.getlength(f"{first} {rest[0]}".strip()) <= width_px:
        first = f"{first} {rest.pop(0)}".strip()
    if not first and rest:  # one word longer than a line
        fits = max((n for n in range(1, len(rest[0])) if font.getlength(rest[0][:n]) <= width_px), default=1)
        first, rest[0] = rest[0][:fits], rest[0][fits:]
    return [first, cut(" ".join(rest), size_px, width_px)] if rest else [first]
