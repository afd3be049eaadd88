"""Bytes to pixels: the only place that decodes a picture, and the only place that fits one to a model.

Pixels are uint8 (height, width, channels), from the top left, 1 channel (gray) or 3 (red, green, blue).
"""

import io
import logging
import re
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    ExifTags,
    Image,
    ImageChops,
    Jpeg2KImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from muslin.errors import ImageError, nearest

# Importing these four makes Image.open know them without loading every plugin Pillow has; preinit brings in
# BMP, GIF, JPEG, PNM and PNG.
_PLUGINS = (AvifImagePlugin, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin)
Image.preinit()

# What Pillow logs about a damaged file is said in the error that follows; without a handler it went to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

Pixels = NDArray[np.uint8]

WHITE = 255
TIFF_SUBFILE_TYPE = 254
TIFF_IS_REDUCED = 1
TIFF_PHOTOMETRIC = 262
TIFF_WHITE_IS_ZERO = 0
TIFF_DNG_VERSION = 50706
HINT = "Save it as JPEG or PNG."


class _TooManyPixelsError(Exception):
    """The header says more pixels than the limit."""


class _NotReadError(Exception):
    """It may well be sound, but it is of a kind that is not read; says which, and what to do."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture as pixels, and what had to be done to get them.

    Attributes:
        pixels: uint8 (height, width, 1 or 3), upright; not to be written in.
        notes: short sentences, such as `turned as EXIF orientation 6 says` or `first frame of 12`.
    """

    pixels: Pixels
    notes: tuple[str, ...] = ()


def decode(
    source: bytes | str | Path,
    *,
    max_pixels: int = 50_000_000,
    max_bytes: int = 20_000_000,
    at_least_px: int | None = None,
    name: str | None = None,
    upright: bool = True,
) -> Decoded:
    """A picture's pixels, upright and opaque, whatever kind of file it is in.

    Read are JPEG, PNG, GIF, WebP, TIFF, BMP, PNM, JPEG 2000, and AVIF where Pillow can; told apart by
    content, not by suffix. EXIF orientation is applied, the first frame or page taken, transparency laid on
    white, CMYK becomes RGB, 16 bits become 8 in proportion. Colour profiles are not applied. A gray file
    stays gray.

    Args:
        source: the file's content, or its path.
        max_pixels: width times height above which it is refused, by its header, before anything is decoded.
        max_bytes: the size of the file above which it is refused unread.
        at_least_px: lets a JPEG be decoded at a half, a quarter or an eighth of its size, which is faster,
            with the shorter side never below this, unless it already is in the file.
        name: what to call it in messages; by default its path.
        upright: whether to turn it as EXIF says; a TIFF always is.

    Raises:
        ImageError: it is missing, empty, too large, cut off, damaged, or no picture of a kind that is read.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the picture")
    data = _bytes(source, name, max_bytes)
    kind = _kind(data, name)
    try:
        with _without_pillow_warnings(), Image.open(io.BytesIO(data), formats=[kind]) as image:
            if image.width * image.height > max_pixels:
                raise _TooManyPixelsError(f"is {image.width:,}×{image.height:,} pixels")
            return _decoded(image, kind, data, at_least_px, upright)
    except (_TooManyPixelsError, Image.DecompressionBombError) as error:
        what = error if isinstance(error, _TooManyPixelsError) else "is far too large"
        raise ImageError(
            f"{name}: {what}; at most {max_pixels / 1e6:,.0f} million pixels are decoded. Scale it down."
        ) from error
    except MemoryError as error:
        raise ImageError(f"{name}: does not fit in this machine's memory. Scale it down.") from error
    except _NotReadError as error:
        raise ImageError(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: {_odd_header(kind)}") from error
    # Pillow's decoders raise a dozen kinds of errors on damaged data (OSError, SyntaxError, struct.error, …);
    # whichever it is, this one picture cannot be had, and the others must go on.
    except Exception as error:
        reason = str(error) or type(error).__name__
        if reason.startswith("Unsupported"):
            raise ImageError(f"{name}: is {kind} of a kind that is not read ({reason}). {HINT}") from error
        how = "cut off" if "truncated" in reason.lower() or isinstance(error, EOFError) else "damaged"
        raise ImageError(f"{name}: is {kind}, but {how} ({reason}). Copy it again.") from error


def header(data: bytes, *, name: str) -> tuple[int, int, str]:
    """Height, width and mode (`RGB`, `L`, `CMYK`, `I;16`, … as Pillow has them) as a picture's header says, undecoded.

    Raises:
        ImageError: it is empty, of a kind that is not read, or its header is damaged.
    """
    kind = _kind(_bytes(data, name, len(data)), name)
    try:
        with _without_pillow_warnings(), Image.open(io.BytesIO(data), formats=[kind]) as image:
            return image.height, image.width, image.mode
    except Exception as error:  # as in decode
        raise ImageError(f"{name}: {_odd_header(kind)}") from error


def _odd_header(kind: str) -> str:
    return f"is {kind} with a header cut off, damaged or of a kind that is not read. Copy it again, or save it as JPEG."


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of uint8 (height, width, 1 or 3), or of gray (height, width); with no metadata in it.

    Raises:
        ImageError: the array is not such a picture.
    """
    picture = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    _check(picture)
    file = io.BytesIO()
    _image(picture).save(file, "PNG")
    return file.getvalue()


# ── What kind of file it is ──────────────────────────────────────────────────────────────────────────────


def _bytes(source: bytes | str | Path, name: str, max_bytes: int) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            with Path(source).open("rb") as file:
                data = file.read(max_bytes + 1)
        except FileNotFoundError as error:
            raise ImageError(f"{name}: no such file. Check the path.") from error
        except IsADirectoryError as error:
            raise ImageError(f"{name}: is a folder, not a picture.") from error
        except (OSError, ValueError) as error:
            raise ImageError(f"{name}: cannot be read ({error}). Check the path.") from error
    if not data:
        raise ImageError(f"{name}: is empty (0 bytes). Copy it again.")
    if len(data) > max_bytes:
        raise ImageError(f"{name}: is larger than {max_bytes / 1e6:,.0f} MB, the most that is read.")
    return data


READ: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n(?!....CgBI)", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\x00(?!....CR\x02)|MM\x00[*+]", re.DOTALL)),
    ("AVIF", re.compile(rb"....ftyp(avif|avis|mi[af]1.{0,64}?avi[fs])", re.DOTALL)),
    ("JPEG2000", re.compile(rb"\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  \r\n\x87\n")),
    ("PPM", re.compile(rb"P[1-6]\s")),
    ("BMP", re.compile(rb"BM.{4}\x00\x00", re.DOTALL)),
)
"""Pillow's name of each format that is read, and how such a file begins."""

# A byte order mark, comments and the XML declaration may come before the element that tells HTML from SVG.
# Atomic, so that no file can make the match take long.
MARKUP = rb"(?:\xef\xbb\xbf)?(?>\s+|<\?xml.*?\?>|<!--.*?-->)*+"

REFUSED: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    # what a camera keeps beside its raw samples is a TIFF of small previews
    ("a camera's raw file (CR2)", re.compile(rb"II\*\x00....CR\x02", re.DOTALL)),
    ("HEIC", re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)),
    ("a video (MP4)", re.compile(rb"....ftyp", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("PDF", re.compile(rb".{0,1000}?%PDF-", re.DOTALL)),
    ("Photoshop (PSD)", re.compile(rb"8BPS")),
    ("PostScript (EPS)", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("an icon (ICO)", re.compile(rb"\x00\x00[\x01\x02]\x00(?!\x00\x00)", re.DOTALL)),
    ("PNG as only Apple's programs read it (CgBI)", re.compile(rb"\x89PNG\r\n\x1a\n....CgBI", re.DOTALL)),
    ("HTML", re.compile(MARKUP + rb"<(!doctype )?html\b", re.IGNORECASE | re.DOTALL)),
    ("SVG", re.compile(MARKUP + rb"<(!doctype )?svg\b", re.IGNORECASE | re.DOTALL)),
    ("XML or HTML", re.compile(MARKUP + rb"<[a-z!?]", re.IGNORECASE | re.DOTALL)),
    ("a zip file", re.compile(rb"PK\x03\x04")),
    ("a gzip file", re.compile(rb"\x1f\x8b")),
)
"""Kinds of files that are met where a picture was expected, refused by name."""


def _kind(data: bytes, name: str) -> str:
    start = data[:4096]
    for kind, pattern in READ:
        if pattern.match(start):
            if kind not in Image.OPEN:
                raise ImageError(f"{name}: is {kind}, which this Pillow was built without. {HINT}")
            return kind
    for kind, pattern in REFUSED:
        if pattern.match(start):
            raise ImageError(f"{name}: is {kind}, which is not read. {HINT}")
    raise ImageError(f"{name}: is no kind of picture that is read (it begins with {start[:8]!r}). {HINT}")


# ── From Pillow's image to upright, opaque pixels ────────────────────────────────────────────────────────

TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, 1),
}
"""What makes a picture upright, per EXIF orientation (Exif 2.32, tag 0x0112)."""


def _decoded(image: Image.Image, kind: str, data: bytes, at_least_px: int | None, upright: bool) -> Decoded:
    notes = []
    frames = _frames(image)
    if frames != 1:
        what = "page" if kind == "TIFF" else "picture" if kind == "JPEG" else "frame"
        notes.append(f"first {what} of {frames or 'several'}")
    orientation = 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image)
        orientation = _orientation(image)  # Pillow turns a TIFF itself, while loading
    if kind == "JPEG" and at_least_px and image.mode in ("L", "RGB"):
        image.draft(None, (at_least_px, at_least_px))
    _load(image)
    if kind != "TIFF":
        orientation = _orientation(image)
    pixels, more = _opaque(image, kind, data)
    if orientation in TURNS and (upright or kind == "TIFF"):
        notes.append(f"turned as EXIF orientation {orientation} says")
        if kind != "TIFF":
            pixels = TURNS[orientation](pixels)
    return Decoded(np.ascontiguousarray(pixels), (*notes, *more))


def _check_tiff(image: TiffImagePlugin.TiffImageFile) -> None:
    tags = image.tag_v2
    if TIFF_DNG_VERSION in tags or tags.get(TIFF_SUBFILE_TYPE, 0) & TIFF_IS_REDUCED:
        raise _NotReadError(f"is a camera's raw file, of which TIFF shows a small preview only. {HINT}")


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except OSError as error:
        if image.format != "TIFF" or not str(error).startswith("decoder error"):
            raise
        # libtiff tells only stderr whether the data are damaged or packed as it was not built to read
        how = image.info.get("compression")
        raise _NotReadError(
            f"is TIFF, but damaged, or its compression ({how}) is not read. Copy it again, or save it as JPEG."
        ) from error


def _frames(image: Image.Image) -> int:
    """How many frames or pages there are; 0 where they cannot be counted, though the first may be sound."""
    try:
        count = int(getattr(image, "n_frames", 1))
        image.seek(0)
    except Exception:  # as in decode: damaged data, but not necessarily in what is wanted
        return 0
    return count


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata are no reason to lose the picture
        return 1


def _opaque(image: Image.Image, kind: str, data: bytes) -> tuple[Pixels, list[str]]:
    """uint8 pixels of 1 or 3 channels, with transparency laid on white."""
    if image.mode in ("I", "F", "LAB") or image.mode.startswith("I;16"):
        return _from_16_bits(image, kind)
    if image.mode == "CMYK":
        # Adobe stores ink inverted and marks the file; Pillow assumes so even where the mark is missing.
        inverted = kind == "JPEG" and "adobe" not in image.info
        inks = ImageChops.invert(image) if inverted else image
        return _array(inks.convert("RGB")), ["CMYK converted to RGB"]
    # Bytes 24 and 25 of a PNG are 16 bits, and gray with alpha: Pillow opens that as RGBA.
    gray = image.mode in ("1", "L", "LA", "La") or _has_gray_palette(image)
    gray = gray or (kind == "PNG" and data[24:26] == b"\x10\x04")
    if not image.has_transparency_data:
        mode = "L" if gray else "RGB"
        return _array(image if image.mode == mode else image.convert(mode)), []  # convert copies even then
    _adapt_transparent_colour(image, kind, data)
    alpha_image = image.convert("RGBA")
    alpha = alpha_image.getchannel("A")
    on_white = Image.new("RGB", image.size, (WHITE, WHITE, WHITE))
    on_white.paste(alpha_image.convert("RGB"), mask=alpha)
    pixels = _array(on_white)
    notes = ["transparency laid on white"] if alpha.getextrema() != (WHITE, WHITE) else []
    return (pixels[:, :, :1] if gray else pixels), notes


def _has_gray_palette(image: Image.Image) -> bool:
    """Whether every colour that a palette picture uses is a gray, as in a GIF of a gray picture."""
    if image.mode != "P":
        return False
    colours = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    used = np.flatnonzero(image.histogram())
    return int(used[-1]) < len(colours) and _is_gray(colours[np.newaxis, used])


def _from_16_bits(image: Image.Image, kind: str) -> tuple[Pixels, list[str]]:
    """Gray of 16 bits, scaled so that 65,535 becomes 255."""
    values = np.asarray(image)
    # A PNM file's 16 bits come as I, but so do a TIFF's 32, of which nothing says which value is white.
    if not (image.mode.startswith("I;16") or (image.mode == "I" and kind != "TIFF")):
        what = {"I": "32-bit or signed", "F": "floating-point", "LAB": "CIE Lab"}[image.mode]
        raise _NotReadError(
            f"is {kind} with {what} samples, of which no value is known to be white. "
            "Save it with 8 or 16 bits a sample."
        )
    values = values.astype(np.uint32)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if tags.get(TIFF_PHOTOMETRIC) == TIFF_WHITE_IS_ZERO:
        values = 65_535 - values
    pixels = ((values * WHITE + 32_767) // 65_535).astype(np.uint8)[:, :, np.newaxis]
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[values == transparent] = WHITE
        return pixels, ["transparency laid on white"]
    return pixels, []


def _adapt_transparent_colour(image: Image.Image, kind: str, data: bytes) -> None:
    """A PNG names its transparent colour in its own 2, 4 or 16 bits, but Pillow holds the picture in 8."""
    colour = image.info.get("transparency")
    if isinstance(colour, tuple) and max(colour) > WHITE:
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    bits = data[24] if kind == "PNG" else 8
    if isinstance(colour, int) and image.mode == "L" and bits < 8:
        image.info["transparency"] = colour * WHITE // (2**bits - 1)


def _array(image: Image.Image) -> Pixels:
    pixels = np.asarray(image, dtype=np.uint8)  # a view of bytes: a copy to write in took a tenth of decoding
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def _check(pixels: NDArray[Any]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ImageError(f"Pixels are {pixels.dtype} {pixels.shape}; expected uint8 (height, width, 1 or 3).")


_quiet = threading.Lock()
_quiet_now: "list[warnings.catch_warnings[None]]" = []


@contextmanager
def _without_pillow_warnings() -> Iterator[None]:
    """Pillow warns of odd metadata and of large sizes; the former do not matter, the latter are checked here.

    The list of warning filters is one for all threads, so the first one in changes it and the last one out
    changes it back.
    """
    with _quiet:
        context = warnings.catch_warnings()
        if not _quiet_now:
            context.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_now.append(context)
    try:
        yield
    finally:
        with _quiet:
            if len(_quiet_now) == 1:
                _quiet_now[0].__exit__(None, None, None)
                _quiet_now.clear()
            else:
                _quiet_now.pop()


# ── From a picture to what a model takes ─────────────────────────────────────────────────────────────────

Size = tuple[int, int, int]
"""(height, width, channels) in pixels."""

CLOSE = 0.05
"""How near a colour must be to another to count as the same: 5 % of the distance from black to white."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a conversion: its name, and the picture after it.

    `may_be_left_out` is whether the model could take the picture without it.
    """

    name: str
    pixels: Pixels
    may_be_left_out: bool = False


class Way:
    """What happens to a picture while it is converted, step by step.

    Args:
        without: names of steps to leave out, for seeing what difference they make. Others are made as ever.
    """

    def __init__(self, without: Collection[str] = ()) -> None:
        self.without = frozenset(without)
        self.steps: list[Step] = []

    def step(self, name: str, after: Pixels, instead: Callable[[], Pixels] | None = None) -> Pixels:
        """Note a step; `instead` gives the picture where it is left out, None where it cannot be."""
        pixels = instead() if instead is not None and name in self.without else after
        self.steps.append(Step(name, pixels, instead is not None))
        return pixels


def convert(pixels: Pixels, conversion: str, size: Size, way: Way | None = None) -> tuple[Pixels, str | None]:
    """A picture as a model takes it, and a sentence saying what was done to it.

    Args:
        pixels: uint8 (height, width, 1 or 3).
        conversion: a row of CONVERSIONS.
        size: what the model takes.
        way: notes every step, and may leave some out.

    Returns:
        uint8 of shape `size`; the sentence is None where the picture was taken as it is: it already had the
        height and the width, and the channels too, or three equal ones where one is wanted.

    Raises:
        ImageError: the pixels are no picture, or there is no such conversion.
    """
    _check(pixels)
    if conversion not in CONVERSIONS:
        raise ImageError(f"No conversion is called {conversion!r}. {nearest(conversion, CONVERSIONS)}")
    return CONVERSIONS[conversion](pixels, size, way)


def fit(pixels: Pixels, size: Size, way: Way | None = None) -> tuple[Pixels, str | None]:
    """The whole picture, scaled to fit (Lanczos, antialiased) and centred on the colour of its own edge."""
    way = way or Way()
    height, width, channels = size
    picture = _with_channels(pixels, channels)
    if picture.shape != pixels.shape:
        way.step("gray" if channels == 1 else "colour", picture)
    if picture.shape == size:
        as_it_is = pixels.shape == size or _is_gray(pixels)
        return picture, None if as_it_is else f"colour changed to {'gray' if channels == 1 else 'RGB'}"
    scaled = way.step("scaled", _scaled(picture, size))
    edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    border = np.median(np.concatenate(edges), axis=0).round().astype(np.uint8)
    return way.step("padded", _centred(scaled, size, border), lambda: _stretched(picture, size)), (
        f"scaled from {_size(pixels)} to {_size(scaled)} and centred on {width}×{height}"
    )


def fashion_mnist(pixels: Pixels, size: Size, way: Way | None = None) -> tuple[Pixels, str | None]:
    """A product photo as Fashion-MNIST's authors converted theirs: light on black, gray, 28×28.

    As published (Xiao, Rasul and Vollgraf, arXiv 1708.07747, section 2): trim edges close to the corners'
    colour (within 5 %), scale the longest edge by leaving out rows and columns, sharpen (Gaussian of radius
    and standard deviation 1.0), extend to the full size around the centre, negate, gray. The paper does not
    say with what it extends; here it is the corners' colour, which for their photos is white.

    Subsampling is kept although it wastes most of a photo, because the training pictures were made so: a network
    trained on them was right more often with it than with a Lanczos filter on garments on a plain white ground
    (77 and 73 % of 500 drawn ones), and less often only on snapshots in cluttered rooms (27 and 32 % of 1,442 of
    the clothing data set), which are no product photos and for which neither is of use.

    Three kinds of pictures are not dark on light, so the published way would turn them inside out: those that
    were converted before (gray, of the right size) are taken as they are; those that were converted before
    and then enlarged (gray, with black corners) are only scaled; photos on a dark background are not negated.
    A gray picture of the right size that has four white corners was not converted before: it is negated only.
    (In each of Fashion-MNIST's 70,000 pictures at least two corners are 12 or less.)
    """
    way = way or Way()
    height, width, channels = size
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    gray = _is_gray(pixels)
    if gray and pixels.shape[:2] == (height, width):
        if (corners < (1 - CLOSE) * WHITE).any():
            return _with_channels(pixels, channels), None
        picture = _with_channels(pixels, channels)
        return way.step(
            "negated", WHITE - picture, lambda: picture
        ), "negated, since Fashion-MNIST is light on black"
    if gray and (corners <= CLOSE * WHITE).all():
        picture, how = fit(pixels, size, way)
        return picture, f"already light on black, as Fashion-MNIST is: {how}"
    trimmed = way.step("trimmed", _trimmed(pixels), lambda: pixels)
    sample = way.step("subsampled", _subsampled(trimmed, size))
    small = way.step("sharpened", _sharpened(sample), lambda: sample)
    background = np.median(corners, axis=0)
    picture = way.step("padded", _centred(small, size, background.round().astype(np.uint8)))
    dark = background.mean() < WHITE / 2
    cut = "" if trimmed.shape == pixels.shape else f"trimmed from {_size(pixels)} to {_size(trimmed)}, "
    steps = (
        f"{cut}subsampled to {_size(small)}, sharpened, "
        f"extended to {width}×{height}, {'not negated (its background is dark)' if dark else 'negated'}, gray"
    )
    if not dark:
        light = picture
        picture = way.step("negated", WHITE - light, lambda: light)
    in_gray = way.step("gray", _with_channels(picture, 1))
    return _with_channels(in_gray, channels), (f"converted as Fashion-MNIST's authors did: {steps}")


CONVERSIONS: dict[str, Callable[[Pixels, Size, Way | None], tuple[Pixels, str | None]]] = {
    "fit": fit,
    "fashion-mnist": fashion_mnist,
}
"""What `Dataset.conversion` and a bundle may name."""


def _is_gray(pixels: Pixels) -> bool:
    return pixels.shape[2] == 1 or bool((pixels == pixels[:, :, :1]).all())


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    """1 or 3 channels; gray is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601)."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, :1] if _is_gray(pixels) else _array(_image(pixels).convert("L"))


def _inside(pixels: Pixels, size: Size) -> tuple[int, int]:
    """The height and width of `pixels` scaled so that the longest edge just fits into `size`."""
    scale = min(size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    return max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))


def _scaled(pixels: Pixels, size: Size) -> Pixels:
    height, width = _inside(pixels, size)
    return _array(_image(pixels).resize((width, height), Image.Resampling.LANCZOS))


def fit_inside(pixels: Pixels, side_px: int) -> Pixels:
    """The picture made smaller, smoothly, so that neither side is longer than `side_px`."""
    return _scaled(pixels, (side_px, side_px, pixels.shape[2]))


def cut_to(pixels: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """What lies in `box`, (left, top, right, bottom) in px within the picture, brought to `size`, (height, width)."""
    # bilinear: half the time of Lanczos, and nobody looks at what is made anew in each epoch
    cut = _image(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return _array(cut).reshape(*size, -1)


def _stretched(pixels: Pixels, size: Size) -> Pixels:
    return _array(_image(pixels).resize((size[1], size[0]), Image.Resampling.LANCZOS))


def _subsampled(pixels: Pixels, size: Size) -> Pixels:
    """As ImageMagick's -sample: of each cell of the grid, the pixel in its middle."""
    height, width = _inside(pixels, size)
    rows = ((np.arange(height) + 0.5) * pixels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * pixels.shape[1] / width).astype(int)
    return pixels[np.ix_(rows, columns)]


def _trimmed(pixels: Pixels) -> Pixels:
    """Without the edges close to a corner's colour, as ImageMagick's -trim: each edge has its own corner."""
    rows, columns = _unlike(pixels, pixels[0, 0])
    _, columns_right = _unlike(pixels, pixels[0, -1])
    rows_below, _ = _unlike(pixels, pixels[-1, 0])
    if not (len(rows) and len(columns_right) and len(rows_below)):
        return pixels
    trimmed = pixels[rows[0] : rows_below[-1] + 1, columns[0] : columns_right[-1] + 1]
    return trimmed if trimmed.size else pixels


def _unlike(pixels: Pixels, colour: Pixels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and the columns in which any pixel is not close to `colour`."""
    distance = np.zeros(pixels.shape[:2], dtype=np.uint16)
    for channel, value in enumerate(colour):
        # Far more than close is as good as any; cut off there, three of them fit in 16 bits.
        squares = np.minimum((np.arange(256) - int(value)) ** 2, 20_000).astype(np.uint16)
        distance += squares[pixels[:, :, channel]]
    unlike = distance > len(colour) * (CLOSE * WHITE) ** 2
    return np.flatnonzero(unlike.any(axis=1)), np.flatnonzero(unlike.any(axis=0))


def _sharpened(pixels: Pixels) -> Pixels:
    """As ImageMagick's -sharpen 1x1: minus a 3×3 Gaussian, with twice its sum in the centre."""
    offsets = np.arange(-1, 2)
    gaussian = np.exp(-(offsets[:, np.newaxis] ** 2 + offsets**2) / 2)
    kernel = -gaussian
    kernel[1, 1] = 2 * gaussian.sum()
    kernel /= kernel.sum()
    padded = np.pad(pixels.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width, _ = pixels.shape
    sharp = np.zeros(pixels.shape)
    for y in range(3):
        for x in range(3):
            sharp += kernel[y, x] * padded[y : y + height, x : x + width]
    return np.clip(np.rint(sharp), 0, WHITE).astype(np.uint8)


def _centred(pixels: Pixels, size: Size, colour: Pixels) -> Pixels:
    """`pixels` in the middle of a canvas of `size`'s height and width, filled with `colour`."""
    height, width, channels = pixels.shape
    canvas = np.empty((size[0], size[1], channels), dtype=np.uint8)
    canvas[:] = colour
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
