"""Images for people: enlarged, in false colours, on contact sheets, in an HTML page, as text for the terminal.

Pixels are uint8 (height, width) or (height, width, channels) with 1 or 3 channels. Small images are enlarged by
whole factors without smoothing, so that a pixel stays a square; photos are reduced with a smoothing filter.
"""

import base64
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from muslin.errors import DataError, unknown
from muslin.images.decoder import Pixels
from muslin.reporting.colours import LIGHT, viridis
from muslin.reporting.terminal.console import console_for
from muslin.text import shorten_middle, wrap_lines

ColourMode = Literal["original", "gray", "false"]
"""`original`: as the image is; `gray`: its luminance; `false`: its luminance in the colour map viridis."""

CELL_PX = 112  # four times Fashion-MNIST's 28
PIXELATED_PX = 64  # images up to this size are shown with their pixels as squares
CAPTION_PX, TITLE_PX = 13, 17
RAMP = " .:-=+*#%@"  # ten levels from dark to bright, as on a terminal with a dark background


def apply_colour(pixels: Pixels, colour: ColourMode = "original") -> Pixels:
    """The image in `colour`: uint8 (height, width) for gray, (height, width, 3) otherwise.

    Raises:
        DataError: `pixels` is no image, or `colour` is unknown.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,)):
        raise DataError("image_array", dtype=str(pixels.dtype), shape=str(pixels.shape))
    if not pixels.size:
        raise DataError("image_without_pixels", shape=str(pixels.shape))
    modes = ("original", "gray", "false")
    if colour not in modes:
        raise DataError("colour_unknown", **unknown(colour, modes))
    flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if colour == "original":
        return flat
    if flat.ndim == 3:
        flat = np.asarray(Image.fromarray(flat).convert("L"))
    return flat if colour == "gray" else viridis()[flat]


def resize_to_edge(pixels: Pixels, edge_px: int) -> Image.Image:
    """The image with its longer edge at most `edge_px`, as near to it as whole factors allow."""
    image = Image.fromarray(apply_colour(pixels))
    longest = max(image.size)
    if longest > edge_px:
        size = [max(1, round(side * edge_px / longest)) for side in image.size]
        return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    factor = edge_px // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def png_bytes(image: Image.Image | Pixels) -> bytes:
    """The image as the bytes of a PNG file."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(apply_colour(image))
    image.save(buffer := io.BytesIO(), "PNG", optimize=image.width * image.height < 10_000)
    return buffer.getvalue()


def is_small(pixels: Pixels) -> bool:
    """Whether a page shows the image enlarged, its pixels as squares."""
    return bool(max(pixels.shape[:2]) <= PIXELATED_PX)


def data_uri(pixels: Pixels, edge_px: int = 144) -> str:
    """The image for an HTML page: a small one unchanged, as PNG; a larger one as JPEG of at most `edge_px`."""
    if is_small(pixels):
        return png_uri(pixels)
    resize_to_edge(pixels, edge_px).save(buffer := io.BytesIO(), "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def png_uri(image: Image.Image | Pixels) -> str:
    """The image unchanged for an HTML page."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()


@dataclass(frozen=True)
class SheetSection:
    """A block of a contact sheet: a title, and images with a caption each."""

    title: str
    images: Sequence[Pixels]
    captions: Sequence[str]


def contact_sheet(sections: Sequence[SheetSection], *, columns: int = 8, colour: ColourMode = "original") -> bytes:
    """Blocks of images with captions, one block under the other, as the bytes of a PNG file.

    Captions use the font that comes with Pillow, which has ASCII only: letters lose their accents, other characters
    become `?`. A long caption is broken into two lines, then shortened in its middle.

    Args:
        sections: at least one image in all; the sizes of images may differ.
        columns: images in a row.
    """
    blocks = [
        [resize_to_edge(apply_colour(pixels, colour), CELL_PX) for pixels in section.images] for section in sections
    ]
    images = [image for block in blocks for image in block]
    cell = max(CELL_PX, *(image.width for image in images))
    tallest = max(image.height for image in images)
    columns = min(columns, max(len(block) for block in blocks))
    margin, gap, line, heading = 24, 16, 17, 36
    captions = [[_caption_lines(caption, cell) for caption in section.captions] for section in sections]
    row_height = tallest + 8 + line * max(len(lines) for block in captions for lines in block) + gap
    titles, tiles, top = [], [], margin
    for section, block, block_captions in zip(sections, blocks, captions, strict=True):
        if section.title:
            titles.append((section.title, top))
            top += heading
        for number, (image, lines) in enumerate(zip(block, block_captions, strict=True)):
            row, column = divmod(number, columns)
            tiles.append((image, lines, margin + column * (cell + gap), top + row * row_height + tallest))
        top += -(-len(block) // columns) * row_height
    width = 2 * margin + columns * cell + (columns - 1) * gap
    sheet = Image.new("RGB", (width, top + margin - gap), LIGHT["paper"])
    draw = ImageDraw.Draw(sheet)
    title_font, caption_font = ImageFont.load_default(TITLE_PX), ImageFont.load_default(CAPTION_PX)
    for title, top in titles:
        text = shorten_middle(_ascii(title), width - 2 * margin, title_font.getlength)
        draw.text((margin, top), text, LIGHT["ink"], title_font)
    for image, lines, left, bottom in tiles:
        x, y = left + (cell - image.width) // 2, bottom - image.height
        sheet.paste(image, (x, y))
        draw.rectangle((x - 1, y - 1, x + image.width, bottom), outline=LIGHT["rule"])
        for number, text in enumerate(lines):
            indent = (cell - caption_font.getlength(text)) / 2
            draw.text((left + indent, bottom + 8 + number * line), text, LIGHT["ink"], caption_font)
    return png_bytes(sheet)


def _caption_lines(caption: str, width_px: float) -> list[str]:
    """At most two lines, the second shortened where needed; a line break in `caption` is kept."""
    measure = ImageFont.load_default(CAPTION_PX).getlength
    lines = _ascii(caption).split("\n")
    if len(lines) == 1:
        first, *rest = wrap_lines(lines[0], width_px, measure) or [""]
        lines = [first, " ".join(rest)] if rest else [first]
    return [shorten_middle(line, width_px, measure) for line in lines[:2]]


def _ascii(text: str) -> str:
    """`text` in the characters of Pillow's own font."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letters).encode("ascii", "replace").decode()


def terminal_image(pixels: Pixels, width: int = 56, *, colour: bool | None = None) -> str:
    """The image as lines of text, `width` columns wide or the whole factor below it.

    Each character stands for two pixels, one above the other: half a block in 24-bit colours where `colour`,
    or one of ten characters from dark to bright. By default colour is used where the terminal shows it.
    """
    shown = apply_colour(pixels)
    height, across = shown.shape[:2]
    if width >= across:
        shown = shown.repeat(width // across, axis=0).repeat(width // across, axis=1)
    else:
        size = (width, max(1, round(height * width / across)))
        shown = np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.LANCZOS))
    if len(shown) % 2:
        shown = np.concatenate([shown, shown[-1:]])
    if not (_supports_colour() if colour is None else colour):
        gray = apply_colour(shown, "gray").astype(np.uint16)
        level = (gray[::2] + gray[1::2]) // 2 * len(RAMP) // 256
        return "\n".join("".join(RAMP[i] for i in row).rstrip() for row in level)
    rgb = shown if shown.ndim == 3 else shown[:, :, None].repeat(3, axis=2)
    cell = "\x1b[38;2;{};{};{};48;2;{};{};{}m▀"
    # per character the pixel above and the one below
    rows = np.concatenate([rgb[::2], rgb[1::2]], axis=2).tolist()
    return "\n".join("".join(cell.format(*pair) for pair in row) + "\x1b[0m" for row in rows)


def _supports_colour() -> bool:
    console = console_for()  # its colour system is None where there is no terminal
    return console.color_system == "truecolor" and console.encoding.lower().startswith("utf")
