"""Bytes to pixels: the only place that decodes an image, and the only place that fits one to a model.

Pixels are uint8 (height, width, channels), from the top left, 1 channel (gray) or 3 (red, green, blue).
"""

import io
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
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

from muslin.errors import ImageError

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
class DecodedImage:
    """An image as pixels, and what had to be done to get them.

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
    min_side_px: int | None = None,
    name: str | None = None,
    upright: bool = True,
) -> DecodedImage:
    """An image's pixels, upright and opaque, whatever kind of file it is in.

    Read are JPEG, PNG, GIF, WebP, TIFF, BMP, PNM, JPEG 2000, and AVIF where Pillow can; told apart by
    content, not by suffix. EXIF orientation is applied, the first frame or page taken, transparency laid on
    white, CMYK becomes RGB, 16 bits become 8 in proportion. Colour profiles are not applied. A gray file
    stays gray.

    Args:
        source: the file's content, or its path.
        max_pixels: width times height above which it is refused, by its header, before anything is decoded.
        max_bytes: the size of the file above which it is refused unread.
        min_side_px: lets a JPEG be decoded at a half, a quarter or an eighth of its size, which is faster,
            with the shorter side never below this, unless it already is in the file.
        name: what to call it in messages; by default its path.
        upright: whether to turn it as EXIF says; a TIFF always is.

    Raises:
        ImageError: it is missing, empty, too large, cut off, damaged, or no image of a kind that is read.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the image")
    data = _bytes(source, name, max_bytes)
    kind = _kind(data, name)
    try:
        with _without_pillow_warnings(), Image.open(io.BytesIO(data), formats=[kind]) as image:
            if image.width * image.height > max_pixels:
                raise _TooManyPixelsError(f"is {image.width:,}×{image.height:,} pixels")
            return _decoded(image, kind, data, min_side_px, upright)
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
    # whichever it is, this one image cannot be had, and the others must go on.
    except Exception as error:
        reason = str(error) or type(error).__name__
        if reason.startswith("Unsupported"):
            raise ImageError(f"{name}: is {kind} of a kind that is not read ({reason}). {HINT}") from error
        how = "cut off" if "truncated" in reason.lower() or isinstance(error, EOFError) else "damaged"
        raise ImageError(f"{name}: is {kind}, but {how} ({reason}). Copy it again.") from error


def read_header(data: bytes, *, name: str) -> tuple[int, int, str]:
    """Height, width and mode (`RGB`, `L`, `CMYK`, `I;16`, … as Pillow has them) as an image's header says, undecoded.

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
        ImageError: the array is not such an image.
    """
    picture = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    check_pixels(picture)
    file = io.BytesIO()
    to_pil(picture).save(file, "PNG")
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
            raise ImageError(f"{name}: is a folder, not an image.") from error
        except (OSError, ValueError) as error:
            raise ImageError(f"{name}: cannot be read ({error}). Check the path.") from error
    if not data:
        raise ImageError(f"{name}: is empty (0 bytes). Copy it again.")
    if len(data) > max_bytes:
        raise ImageError(f"{name}: is larger than {max_bytes / 1e6:,.0f} MB, the most that is read.")
    return data


SIGNATURES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
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

UNSUPPORTED: tuple[tuple[str, re.Pattern[bytes]], ...] = (
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
"""Kinds of files that are met where an image was expected, refused by name."""


def _kind(data: bytes, name: str) -> str:
    start = data[:4096]
    for kind, pattern in SIGNATURES:
        if pattern.match(start):
            if kind not in Image.OPEN:
                raise ImageError(f"{name}: is {kind}, which this Pillow was built without. {HINT}")
            return kind
    for kind, pattern in UNSUPPORTED:
        if pattern.match(start):
            raise ImageError(f"{name}: is {kind}, which is not read. {HINT}")
    raise ImageError(f"{name}: is no kind of image that is read (it begins with {start[:8]!r}). {HINT}")


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
"""What makes an image upright, per EXIF orientation (Exif 2.32, tag 0x0112)."""


def _decoded(
    image: Image.Image, kind: str, data: bytes, min_side_px: int | None, upright: bool
) -> DecodedImage:
    notes = []
    frames = _frames(image)
    if frames != 1:
        what = "page" if kind == "TIFF" else "image" if kind == "JPEG" else "frame"
        notes.append(f"first {what} of {frames or 'several'}")
    orientation = 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image)
        orientation = _orientation(image)  # Pillow turns a TIFF itself, while loading
    if kind == "JPEG" and min_side_px and image.mode in ("L", "RGB"):
        image.draft(None, (min_side_px, min_side_px))
    _load(image)
    if kind != "TIFF":
        orientation = _orientation(image)
    pixels, more = _opaque(image, kind, data)
    if orientation in TURNS and (upright or kind == "TIFF"):
        notes.append(f"turned as EXIF orientation {orientation} says")
        if kind != "TIFF":
            pixels = TURNS[orientation](pixels)
    return DecodedImage(np.ascontiguousarray(pixels), (*notes, *more))


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
    except Exception:  # damaged metadata are no reason to lose the image
        return 1


def _opaque(image: Image.Image, kind: str, data: bytes) -> tuple[Pixels, list[str]]:
    """uint8 pixels of 1 or 3 channels, with transparency laid on white."""
    if image.mode in ("I", "F", "LAB") or image.mode.startswith("I;16"):
        return _from_16_bits(image, kind)
    if image.mode == "CMYK":
        # Adobe stores ink inverted and marks the file; Pillow assumes so even where the mark is missing.
        inverted = kind == "JPEG" and "adobe" not in image.info
        inks = ImageChops.invert(image) if inverted else image
        return to_array(inks.convert("RGB")), ["CMYK converted to RGB"]
    # Bytes 24 and 25 of a PNG are 16 bits, and gray with alpha: Pillow opens that as RGBA.
    gray = image.mode in ("1", "L", "LA", "La") or _has_gray_palette(image)
    gray = gray or (kind == "PNG" and data[24:26] == b"\x10\x04")
    if not image.has_transparency_data:
        mode = "L" if gray else "RGB"
        return to_array(image if image.mode == mode else image.convert(mode)), []  # convert copies even then
    _adapt_transparent_colour(image, kind, data)
    alpha_image = image.convert("RGBA")
    alpha = alpha_image.getchannel("A")
    on_white = Image.new("RGB", image.size, (WHITE, WHITE, WHITE))
    on_white.paste(alpha_image.convert("RGB"), mask=alpha)
    pixels = to_array(on_white)
    notes = ["transparency laid on white"] if alpha.getextrema() != (WHITE, WHITE) else []
    return (pixels[:, :, :1] if gray else pixels), notes


def _has_gray_palette(image: Image.Image) -> bool:
    """Whether every colour that a palette image uses is a gray, as in a GIF of a gray image."""
    if image.mode != "P":
        return False
    colours = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    used = np.flatnonzero(image.histogram())
    return int(used[-1]) < len(colours) and is_gray(colours[np.newaxis, used])


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
    """A PNG names its transparent colour in its own 2, 4 or 16 bits, but Pillow holds the image in 8."""
    colour = image.info.get("transparency")
    if isinstance(colour, tuple) and max(colour) > WHITE:
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    bits = data[24] if kind == "PNG" else 8
    if isinstance(colour, int) and image.mode == "L" and bits < 8:
        image.info["transparency"] = colour * WHITE // (2**bits - 1)


def to_array(image: Image.Image) -> Pixels:
    pixels = np.asarray(image, dtype=np.uint8)  # a view of bytes: a copy to write in took a tenth of decoding
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def to_pil(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def check_pixels(pixels: NDArray[Any]) -> None:
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


def is_gray(pixels: Pixels) -> bool:
    return pixels.shape[2] == 1 or bool((pixels == pixels[:, :, :1]).all())
