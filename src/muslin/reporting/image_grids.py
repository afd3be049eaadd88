"""Images of images: enlarged, in false colours, on contact sheets, as text for the terminal.

Pixels are uint8 (height, width) or (height, width, channels) with 1 or 3 channels. Small images are
enlarged by whole factors without smoothing, so that a pixel stays a square; photos are made smaller smoothly.
"""

import base64
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from muslin.data.dataset import UNKNOWN, Dataset, Images, PixelImages
from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.errors import DataError, ImageError, nearest
from muslin.reporting.colours import LIGHT, rgb, viridis
from muslin.reporting.pil_text import cut, font_for, wrapped, write

Colour = Literal["own", "gray", "false"]
"""`own`: as the image is; `gray`: its luminance; `false`: its luminance from dark violet to yellow."""

Pixels = NDArray[np.uint8]

CELL_PX = 112  # four times Fashion-MNIST's 28
RAMP = " .:-=+*#%@"  # ten levels from dark to bright, as on a terminal with a dark background


def apply_colour(pixels: Pixels, colour: Colour = "own") -> Pixels:
    """The image in `colour`: uint8 (height, width) for gray, (height, width, 3) otherwise.

    Raises:
        DataError: `pixels` is no image, or `colour` is unknown.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,)):
        raise DataError(f"an image is {pixels.dtype} {pixels.shape}; expected uint8 (height, width, 1 or 3).")
    if not pixels.size:
        raise DataError(f"an image has no pixels: its shape is {pixels.shape}.")
    if colour not in ("own", "gray", "false"):
        raise DataError(f"no colour {colour!r}. Known: own, gray, false.")
    flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if colour == "own":
        return flat
    if flat.ndim == 3:
        flat = np.asarray(Image.fromarray(flat).convert("L"))
    return flat if colour == "gray" else viridis()[flat]


def resize_to_edge(pixels: Pixels, edge_px: int) -> Image.Image:
    """The image with its longer edge at most `edge_px`, as near to it as whole factors allow."""
    picture = Image.fromarray(apply_colour(pixels))
    longest = max(picture.size)
    if longest > edge_px:
        size = [max(1, round(side * edge_px / longest)) for side in picture.size]
        return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    factor = edge_px // longest
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def png_bytes(picture: Image.Image | Pixels) -> bytes:
    """The image as a PNG file's bytes."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(apply_colour(picture))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=image.width * image.height < 10_000)
    return buffer.getvalue()


def data_uri(pixels: Pixels, edge_px: int = 144) -> str:
    """The image for an HTML page: a small one whole, as PNG; a larger one as JPEG of at most `edge_px`."""
    plain = apply_colour(pixels)
    if max(plain.shape[:2]) <= 64:
        return "data:image/png;base64," + base64.b64encode(png_bytes(plain)).decode()
    buffer = io.BytesIO()
    resize_to_edge(plain, edge_px).save(buffer, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True)
class SheetSection:
    """A titled block of a contact sheet. `marks`, where given: True right, False wrong, None neither."""

    title: str
    pictures: Sequence[Pixels]
    captions: Sequence[str]
    marks: Sequence[bool | None] | None = None


def contact_sheet(
    pictures: Sequence[Pixels] | Pixels,
    captions: Sequence[str],
    *,
    columns: int = 8,
    scale: int | None = None,
    colour: Colour = "own",
    marks: Sequence[bool | None] | None = None,
    title: str = "",
) -> bytes:
    """Images in rows with a caption under each, as a PNG file's bytes.

    Args:
        images: uint8 (height, width, channels) each; sizes may differ.
        captions: one per image; long ones are broken in two lines, then cut with `…`.
        columns: images in a row, at least 1.
        scale: whole factor by which every image is enlarged; by default the largest for a cell of 112 px,
            and photos are made smaller to fit it.
        colour: see `Colour`.
        marks: True draws a tick, False a cross and a heavy broken frame, None neither.
        title: one line above.

    Raises:
        DataError: not as many captions or marks as images, no image, or columns or scale below 1.
    """
    section = SheetSection(title, list(pictures), captions, marks)
    return contact_sheets([section], columns=columns, scale=scale, colour=colour)


def contact_sheets(
    sections: Sequence[SheetSection], *, columns: int = 8, scale: int | None = None, colour: Colour = "own"
) -> bytes:
    """Several titled blocks of images, one under the other, with cells of one size; see `contact_sheet`."""
    for section in sections:
        for what, values in (("captions", section.captions), ("marks", section.marks)):
            if values is not None and len(values) != len(section.pictures):
                raise DataError(f"{len(values)} {what} for {len(section.pictures)} images. Give one each.")
    if not any(section.pictures for section in sections):
        raise DataError("no image to show.")
    if columns < 1 or (scale is not None and scale < 1):
        raise DataError(f"columns {columns}, scale {scale}; expected 1 or more.")
    blocks = [
        [_enlarged(apply_colour(pixels, colour), scale) for pixels in section.pictures]
        for section in sections
    ]
    everything = [picture for block in blocks for picture in block]
    cell = max(CELL_PX if scale is None else 96, *(picture.width for picture in everything))
    tallest = max(picture.height for picture in everything)
    columns = min(columns, max(len(block) for block in blocks))

    margin, gap, line, heading = 24, 16, 17, 36
    lines = [[wrapped(words, 13, cell) if words else [] for words in s.captions] for s in sections]
    row_height = tallest + 8 + line * max(len(words) for block in lines for words in block) + gap
    width = 2 * margin + columns * cell + (columns - 1) * gap
    heights = [
        (heading if section.title else 0) + -(-len(block) // columns) * row_height
        for section, block in zip(sections, blocks, strict=True)
    ]
    sheet = Image.new("RGB", (width, 2 * margin - gap + sum(heights)), rgb(LIGHT["paper"]))
    draw = ImageDraw.Draw(sheet)
    top = margin
    for section, block, captions, height in zip(sections, blocks, lines, heights, strict=True):
        below_title = top
        if section.title:
            write(draw, margin, top, cut(section.title, 17, width - 2 * margin), 17, "ink")
            below_title += heading
        for number, picture in enumerate(block):
            left = margin + (number % columns) * (cell + gap)
            bottom = below_title + (number // columns) * row_height + tallest
            x, y = left + (cell - picture.width) // 2, bottom - picture.height
            sheet.paste(picture, (x, y))
            mark = None if section.marks is None else section.marks[number]
            _frame(draw, (x, y, x + picture.width, bottom), mark)
            for place, words in enumerate(captions[number]):
                indent = (cell - font_for(words, 13).getlength(words)) / 2
                tone = "accent" if mark is False else "ink"
                write(draw, left + indent, bottom + 8 + place * line, words, 13, tone)
        top += height
    return png_bytes(sheet)


def _enlarged(pixels: Pixels, scale: int | None) -> Image.Image:
    if scale is None:
        return resize_to_edge(pixels, CELL_PX)
    return Image.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))


def _frame(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], mark: bool | None) -> None:
    """A thin frame; for a right answer with a tick, for a wrong one broken and heavy with a cross."""
    left, top, right, bottom = box
    outline = (left - 1, top - 1, right, bottom)
    if mark is not False:
        draw.rectangle(outline, outline=rgb(LIGHT["mid" if mark else "rule"]))
    else:
        for x in range(left - 4, right + 3, 12):
            for y in (top - 4, bottom + 1):
                draw.rectangle((x, y, min(x + 7, right + 3), y + 2), fill=rgb(LIGHT["accent"]))
        for y in range(top - 4, bottom + 3, 12):
            for x in (left - 4, right + 1):
                draw.rectangle((x, y, x + 2, min(y + 7, bottom + 3)), fill=rgb(LIGHT["accent"]))
    if mark is None:
        return
    x, y = right - 21, top + 2
    draw.ellipse((x, y, x + 18, y + 18), fill=rgb(LIGHT["paper" if mark else "accent"]))
    draw.ellipse((x, y, x + 18, y + 18), outline=rgb(LIGHT["ink" if mark else "accent"]))
    if mark:
        draw.line([(x + 5, y + 9), (x + 8, y + 13), (x + 14, y + 5)], fill=rgb(LIGHT["ink"]), width=2)
    else:
        for start, end in (((5, 5), (13, 13)), ((5, 13), (13, 5))):
            line = [(x + start[0], y + start[1]), (x + end[0], y + end[1])]
            draw.line(line, fill=rgb(LIGHT["on_accent"]), width=2)


def mean_images(
    images: Images, labels: NDArray[np.integer[Any]], n_classes: int, *, edge_px: int = 96, most: int = 100
) -> list[Pixels | None]:
    """The mean image of every class, uint8; None for a class without images that can be read.

    Images of one size in memory are all used. Photos are decoded one by one, so only the first `most` of a
    class are, each made to fill a square of `edge_px`.
    """
    if isinstance(
        images, ResizedPhotos
    ):  # no larger than they are shown: most of a JPEG need not be decoded then
        images = replace(images, size=(edge_px, edge_px, images.size[2]), cache=None)
    means: list[Pixels | None] = []
    for index in range(n_classes):
        chosen = np.flatnonzero(labels == index)
        if not len(chosen):
            means.append(None)
        elif isinstance(images, PixelImages):
            total = sum(
                images.pixels[part].sum(axis=0, dtype=np.uint32).astype(np.float64)
                for part in np.array_split(chosen, -(-len(chosen) // 4096))  # so that no large copy is made
            )
            means.append(np.rint(total / len(chosen)).astype(np.uint8))
        else:
            total = np.zeros((edge_px, edge_px, 3))
            read = 0
            for picture in parallel_map(partial(_filled, images, chosen, edge_px), min(len(chosen), most)):
                if picture is not None:  # one that cannot be read is not part of the mean
                    total += picture
                    read += 1
            means.append(np.rint(total / read).astype(np.uint8) if read else None)
    return means


def _filled(images: Images, chosen: NDArray[np.integer[Any]], edge_px: int, number: int) -> Pixels | None:
    try:
        return _filling(images[int(chosen[number])], edge_px)
    except ImageError:
        return None


def counts_of(labels: NDArray[np.integer[Any]], n_classes: int) -> NDArray[np.int64]:
    """int64 (n_classes,): how many of the labels, (count,) or (count, n_classes), hold each class."""
    if labels.ndim == 2:
        counts: NDArray[np.int64] = (labels == 1).sum(axis=0, dtype=np.int64)
        return counts
    return np.bincount(labels[labels != UNKNOWN], minlength=n_classes).astype(np.int64)


def _filling(pixels: Pixels, edge_px: int) -> Pixels:
    """The image's middle, as RGB, filling a square."""
    picture = Image.fromarray(apply_colour(pixels)).convert("RGB")
    return np.asarray(ImageOps.fit(picture, (edge_px, edge_px), Image.Resampling.BILINEAR))


def sample_per_class(
    labels: NDArray[np.integer[Any]], n_classes: int, each: int, seed: int = 0
) -> NDArray[np.int64]:
    """Indices of up to `each` images of every class, class by class, drawn at random."""
    random = np.random.default_rng(seed)
    drawn = []
    for index in range(n_classes):
        theirs = np.flatnonzero(labels == index)
        drawn.append(np.sort(random.choice(theirs, min(each, len(theirs)), replace=False)))
    return np.concatenate(drawn).astype(np.int64)


def sample_indices(
    dataset: Dataset,
    *,
    count: int = 25,
    class_name: str | None = None,
    seed: int = 0,
    target: str | None = None,
) -> NDArray[np.int64]:
    """`count` places in the data set drawn at random, in order; only of the class `class_name` where given.

    Raises:
        DataError: no such class or target, no image of it, or `count` below 1.
    """
    if count < 1:
        raise DataError(f"a sample of {count} images; ask for 1 or more.")
    places = np.arange(len(dataset))
    if class_name is not None:
        asked = dataset.target(target)
        if class_name not in asked.classes:
            raise DataError(f"{dataset.name}: no class {class_name!r}. {nearest(class_name, asked.classes)}")
        labels, index = dataset.labels[asked.name], asked.classes.index(class_name)
        places = np.flatnonzero((labels[:, index] == 1) if labels.ndim == 2 else (labels == index))
    if not len(places):
        raise DataError(f"{dataset.name}: no image{f' of {class_name!r}' if class_name else ''} to show.")
    drawn = np.random.default_rng(seed).choice(places, min(count, len(places)), replace=False)
    return np.sort(drawn).astype(np.int64)


def sample_sheet(
    dataset: Dataset,
    indices: NDArray[np.int64] | None = None,
    *,
    columns: int | None = None,
    colour: Colour = "own",
    target: str | None = None,
) -> bytes:
    """The images at `indices` (by default 25 drawn at random), each with its class, as a PNG's bytes."""
    chosen = sample_indices(dataset) if indices is None else indices
    names = [label_text(dataset, int(i), target) or f"{i}" for i in chosen]
    pictures = [dataset.images[int(i)] for i in chosen]
    columns = columns or min(10, max(1, round(len(chosen) ** 0.5)))
    return contact_sheet(pictures, names, columns=columns, colour=colour)


def label_text(dataset: Dataset, index: int, target: str | None = None) -> str:
    """What the image at `index` is: its class, its tags, `unknown`, or nothing where there is no target."""
    if not dataset.targets:
        return ""
    if target is None and len(dataset.targets) > 1:
        return "; ".join(f"{t.name}: {label_text(dataset, index, t.name)}" for t in dataset.targets)
    asked = dataset.target(target)
    label = dataset.labels[asked.name][index]
    if np.ndim(label):
        if not (label != UNKNOWN).any():
            return "unknown"
        return ", ".join(asked.classes[i] for i in np.flatnonzero(np.equal(label, 1))) or "none"
    return asked.classes[int(label)] if int(label) >= 0 else "unknown"


def terminal_image(pixels: Pixels, width: int = 56, *, colour: bool | None = None) -> str:
    """The image as lines of text, `width` columns wide or the whole factor below it.

    Each character stands for two pixels, one above the other: half a block in 24-bit colours where `colour`,
    or one of ten characters from dark to bright. By default colour is used where the terminal shows it.
    """
    if width < 1:
        raise DataError(f"an image {width} columns wide; ask for 1 or more.")
    plain = apply_colour(pixels)
    height, across = plain.shape[:2]
    if width >= across:
        plain = plain.repeat(width // across, axis=0).repeat(width // across, axis=1)
    else:
        size = (width, max(1, round(height * width / across)))
        plain = np.asarray(Image.fromarray(plain).resize(size, Image.Resampling.LANCZOS))
    if len(plain) % 2:
        plain = np.concatenate([plain, plain[-1:]])
    if colour is None:
        colour = _shows_colours()
    if not colour:
        gray = apply_colour(plain, "gray").astype(np.uint16)
        level = (gray[::2] + gray[1::2]) // 2 * len(RAMP) // 256
        return "\n".join("".join(RAMP[i] for i in row).rstrip() for row in level)
    full = plain if plain.ndim == 3 else plain[:, :, None].repeat(3, axis=2)
    return "\n".join(
        "".join(
            "\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*above, *below)
            for above, below in zip(upper, lower, strict=True)
        )
        + "\x1b[0m"
        for upper, lower in zip(full[::2].tolist(), full[1::2].tolist(), strict=True)
    )


def _shows_colours() -> bool:
    from rich.console import Console

    try:
        "▀".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return sys.stdout.isatty() and Console().color_system == "truecolor"
