"""Bytes → pixels: the only place that decodes images.

Pixels are uint8 (height, width, channels), from the top left, 1 channel (gray) or 3 (red, green, blue).
"""

import ctypes
import io
import logging
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    Image,
    ImageChops,
    Jpeg2KImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    _imaging,
)
from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile

from muslin.errors import ImageError
from muslin.images.decoding_limits import PIXEL_BUDGET, check_decoding_work, image_file
from muslin.images.file_kinds import link_error, unsupported_content
from muslin.images.pillow_warnings import without_pillow_warnings
from muslin.library_errors import reason_of
from muslin.messages import Message
from muslin.storage.local_path import url_of

# Importing these four makes Image.open know them without loading every plugin Pillow has; preinit brings in
# BMP, GIF, JPEG, PNM and PNG.
_PLUGINS = (AvifImagePlugin, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin)
Image.preinit()

# The error that follows reports what Pillow logs about a damaged file; without a handler it would go to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _silence_libtiff() -> None:
    """Take from libtiff, which Pillow loads, what prints about damaged files past Python's standard error."""
    library = ctypes.CDLL(_imaging.__file__)
    with suppress(AttributeError):  # Windows does not show the functions of a library within another
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


_silence_libtiff()

Pixels = NDArray[np.uint8]

MAX_BYTES = 20_000_000
"""Size of a file; photos of phones are smaller."""

MAX_PIXELS = 50_000_000
"""Width times height of an image; cameras of phones make as many."""

MAX_AVIF_PIXELS = 40_000_000
"""Decoding an AVIF takes 23 bytes per pixel, twice as many as other formats."""

BAND_PIXELS = 2_000_000
"""Pixels that are composited at a time, so that a large image is not copied as a whole."""

MAX_FULL_DECODE_PIXELS = 2_000_000
"""JPEGs up to this size are always decoded whole, so that the same photo saved without loss in another format gives the
same image, by which a model recognises it. At this size that takes 34 ms in place of 14, scaled to 224 px; at 12
megapixels it would take 199 ms in place of 24 (processor time of one core of a Xeon, the fastest of 3 runs)."""

WHITE = 255
TIFF_IS_REDUCED = 1
TIFF_WHITE_IS_ZERO = 0


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image, upright.

    Attributes:
        content: as Pillow's image of the mode L or RGB, or as `pixels`.
        notes: what was done beyond decoding, such as a rotation or a choice of frame.
        full_size: (height, width) of the pixels, before a JPEG was decoded at a smaller size.
    """

    content: Image.Image | Pixels
    notes: tuple[Message, ...] = ()
    full_size: tuple[int, int] = (0, 0)

    @property
    def pixels(self) -> Pixels:
        """uint8 (height, width, 1 or 3), read-only."""
        if isinstance(self.content, Image.Image):
            object.__setattr__(self, "content", to_array(self.content))  # in place of the image: memory for one of them
        assert isinstance(self.content, np.ndarray)
        return self.content

    @property
    def image(self) -> Image.Image:
        """Pillow's image of the mode L or RGB, of which transforms need no array."""
        return self.content if isinstance(self.content, Image.Image) else to_pil(self.content)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of `pixels`."""
        if isinstance(self.content, Image.Image):
            return self.content.height, self.content.width, len(self.content.mode)  # L or RGB
        return self.content.shape


def decode(
    source: bytes | str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    min_side_px: int | None = None,
    max_full_pixels: int = MAX_FULL_DECODE_PIXELS,
    name: str | None = None,
    upright: bool = True,
) -> DecodedImage:
    """An image's pixels, upright and opaque, for any supported format.

    Supported are JPEG, PNG, GIF, WebP, TIFF, BMP, PNM, JPEG 2000, and AVIF where Pillow can; the content decides, not
    the suffix. EXIF orientation is applied, the first frame or page used, transparency composited on white, CMYK
    converted to RGB, 16 bits scaled to 8. Colour profiles are not applied. A gray file stays gray.

    Args:
        source: the file's content, or its path.
        max_pixels: maximum width times height, checked in the header before anything is decoded; of an AVIF at most
            MAX_AVIF_PIXELS.
        max_bytes: maximum size of the file, checked before it is read.
        min_side_px: allows a JPEG of more than `max_full_pixels` to be decoded at a half, a quarter or an eighth
            of its size, which is faster; its shorter side stays at least this long, unless the file's own is shorter.
        max_full_pixels: other than the default only for people's eyes; see MAX_FULL_DECODE_PIXELS.
        name: name in messages; by default the path.
        upright: whether to apply the EXIF orientation; a TIFF is always upright.

    Raises:
        ImageError: it is missing, empty, too large, cut off, damaged, or in no supported format.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the image")
    data = read_bytes(source, name, max_bytes)
    kind = file_kind(data, name)
    check_decoding_work(data, name, kind)
    try:
        with without_pillow_warnings, _opened(data, name, kind) as image:
            width, height = image.size
            max_pixels = min(max_pixels, MAX_AVIF_PIXELS if kind == "AVIF" else max_pixels)
            if width * height > max_pixels:
                raise ImageError("too_many_pixels", name=name, width=width, height=height, max_pixels=max_pixels)
            draft_px = min_side_px if width * height > max_full_pixels else None
            with PIXEL_BUDGET.taking(width * height):
                return _decode_image(image, name, kind, data, draft_px, upright)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", name=name, max_pixels=max_pixels) from error
    except MemoryError as error:
        raise ImageError("image_memory", name=name) from error
    except UnidentifiedImageError as error:
        raise ImageError("image_header", name=name, kind=kind) from error
    # Pillow's decoders raise a dozen kinds of errors on damaged data (OSError, SyntaxError, struct.error, …);
    # each of them costs only this image.
    except Exception as error:
        reason = reason_of(error)
        if reason.startswith("Unsupported"):  # Pillow's own words for every feature that it lacks
            raise ImageError("image_variant", name=name, kind=kind, reason=reason) from error
        is_cut_off = "truncated" in str(error).lower() or isinstance(error, EOFError)
        code = "image_cut_off" if is_cut_off else "image_damaged"
        raise ImageError(code, name=name, kind=kind, reason=reason) from error


def read_header(data: bytes, *, name: str) -> tuple[int, int, str]:
    """Height, width and mode (`RGB`, `L`, `CMYK`, `I;16`, … as in Pillow) from an image's header, without decoding.

    Raises:
        ImageError: it is empty, in no supported format, or its header is damaged.
    """
    kind = file_kind(read_bytes(data, name, len(data)), name)
    check_decoding_work(data, name, kind)
    try:
        with without_pillow_warnings, _opened(data, name, kind) as image:
            return image.height, image.width, image.mode
    except ImageError:
        raise
    except Exception as error:  # as in decode
        raise ImageError("image_header", name=name, kind=kind) from error


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file, without metadata, of uint8 (height, width, 1 or 3), or of gray (height, width).

    Raises:
        ImageError: the array is not such an image.
    """
    image = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    check_pixels(image)
    file = io.BytesIO()
    to_pil(image).save(file, "PNG")
    return file.getvalue()


def read_bytes(source: bytes | str | Path, name: str, max_bytes: int) -> bytes:
    """A file's content, from its path or as it is.

    Raises:
        ImageError: it is missing, a folder, empty, unreadable, or larger than `max_bytes`.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            with Path(source).open("rb") as file:
                data = file.read(max_bytes + 1)
        except FileNotFoundError as error:
            if url := url_of(source):
                raise ImageError("path_is_url", url=url) from error
            raise link_error(Path(source), name) or ImageError("image_missing", name=name) from error
        except IsADirectoryError as error:
            raise ImageError("image_is_folder", name=name) from error
        except (OSError, ValueError) as error:
            raise ImageError("image_unreadable", name=name, reason=reason_of(error)) from error
    if not data:
        raise ImageError("image_empty", name=name)
    if len(data) > max_bytes:
        raise ImageError("image_bytes", name=name, max_mb=max_bytes / 1e6)
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
"""Per supported format, by Pillow's name, the start of such a file."""


def file_kind(data: bytes, name: str) -> str:
    """The format of an image by its content, one of SIGNATURES.

    Raises:
        ImageError: it is none of them.
    """
    start = data[:4096]
    for kind, pattern in SIGNATURES:
        if pattern.match(start):
            if kind not in Image.OPEN:
                raise ImageError("pillow_lacks_format", name=name, kind=kind)
            return kind
    if error := unsupported_content(start, name):
        raise error
    raise ImageError("not_an_image", name=name)


def _opened(data: bytes, name: str, kind: str) -> ImageFile:
    """As `Image.open` opens a file of one format, without its other work, which doubles the time for a small image.

    Its check of the number of pixels is left to the caller.

    Raises:
        UnidentifiedImageError: its header is damaged, or Pillow was built without the format.
    """
    opens, accepts = Image.OPEN[kind]
    if accepts is not None and accepts(data[:16]) is not True:
        raise UnidentifiedImageError
    try:
        return opens(image_file(data, name, kind), "")
    except (SyntaxError, IndexError, TypeError, struct.error) as error:
        raise UnidentifiedImageError from error


ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Per EXIF orientation (Exif 2.32, tag 0x0112), the operation that makes an image upright."""

TURNING = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


def _decode_image(
    image: Image.Image, name: str, kind: str, data: bytes, draft_px: int | None, upright: bool
) -> DecodedImage:
    notes = []
    frames = _frame_count(image)
    if frames != 1:
        code = {"TIFF": "first_page", "JPEG": "first_image"}.get(kind, "first_frame")
        notes.append(Message(code, n=frames or None))
    orientation = 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        if Tag.DNGVersion in tags or tags.get(Tag.NewSubfileType, 0) & TIFF_IS_REDUCED:
            raise ImageError("raw_preview", name=name)
        orientation = _orientation(image)  # Pillow makes a TIFF upright itself, while loading
    full_size = image.height, image.width
    if kind == "JPEG" and draft_px and image.mode in ("L", "RGB"):
        image.draft(None, (draft_px, draft_px))
    _load(image, name)
    if kind == "TIFF":
        full_size = image.height, image.width
    else:
        orientation = _orientation(image)
    opaque, more_notes = _opaque(image, name, kind, data)
    if orientation in ORIENTATIONS and (upright or kind == "TIFF"):
        notes.append(Message("exif_orientation", orientation=orientation))
        if kind != "TIFF":
            opaque = opaque.transpose(ORIENTATIONS[orientation])
            full_size = full_size[::-1] if orientation in TURNING else full_size
    return DecodedImage(opaque, (*notes, *more_notes), full_size)


def _load(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except OSError as error:
        if image.format != "TIFF" or not str(error).startswith("decoder error"):
            raise
        # only libtiff's stderr tells damaged data from a compression that it was built without
        compression = str(image.info.get("compression"))
        raise ImageError("tiff_compression", name=name, compression=compression) from error


def _frame_count(image: Image.Image) -> int:
    """Number of frames or pages; 0 where they are not counted, although there are more than one."""
    try:
        if image.format == "TIFF":  # counting its pages takes time that grows with their square
            return _page_count_up_to_two(image)
        count = int(getattr(image, "n_frames", 1))
        image.seek(0)
    except Exception:  # as in decode: damaged data, but not necessarily in the first frame
        return 0
    return count


def _page_count_up_to_two(image: Image.Image) -> int:
    """1, or 0 for more pages."""
    try:
        image.seek(1)
    except EOFError:
        return 1
    image.seek(0)
    return 0


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(Tag.Orientation, 1))
    except Exception:  # an image with damaged metadata is still an image
        return 1


def _opaque(image: Image.Image, name: str, kind: str, data: bytes) -> tuple[Image.Image, list[Message]]:
    """The image in the mode L or RGB, with transparency composited on white."""
    if image.mode in ("I", "F", "LAB") or image.mode.startswith("I;16"):
        pixels, notes = _from_16_bits(image, name, kind)
        return to_pil(pixels), notes
    if image.mode == "CMYK":
        # Adobe stores ink inverted and marks the file; Pillow assumes so even where the mark is missing.
        inverted = kind == "JPEG" and "adobe" not in image.info
        inks = ImageChops.invert(image) if inverted else image
        return inks.convert("RGB"), [Message("cmyk_converted")]
    # Bytes 24 and 25 of a PNG are 16 bits, and gray with alpha: Pillow opens that as RGBA.
    gray = image.mode in ("1", "L", "LA", "La") or _has_gray_palette(image)
    gray = gray or (kind == "PNG" and data[24:26] == b"\x10\x04")
    if not image.has_transparency_data:
        mode = "L" if gray else "RGB"
        return image if image.mode == mode else image.convert(mode), []  # convert copies even then
    _adapt_transparent_colour(image, kind, data)
    pixels, is_transparent = _on_white(image, gray)
    return to_pil(pixels), [Message("transparency_on_white")] if is_transparent else []


def _on_white(image: Image.Image, gray: bool) -> tuple[Pixels, bool]:
    """The image composited on white, band by band, and whether any pixel is not opaque."""
    width, height = image.size
    pixels = np.empty((height, width, 1 if gray else 3), np.uint8)
    rows, is_transparent = max(1, BAND_PIXELS // width), False
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height))).convert("RGBA")
        alpha = band.getchannel("A")
        on_white = Image.new("RGB", band.size, (WHITE, WHITE, WHITE))
        on_white.paste(band.convert("RGB"), mask=alpha)
        pixels[top : top + rows] = np.asarray(on_white)[:, :, : pixels.shape[2]]
        is_transparent |= alpha.getextrema() != (WHITE, WHITE)
    return pixels, is_transparent


def _has_gray_palette(image: Image.Image) -> bool:
    """Whether every colour that a palette image uses is gray, as in a GIF of a gray image."""
    if image.mode != "P":
        return False
    colours = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    used = np.flatnonzero(image.histogram())
    return int(used[-1]) < len(colours) and is_gray(colours[np.newaxis, used])


def _from_16_bits(image: Image.Image, name: str, kind: str) -> tuple[Pixels, list[Message]]:
    """Gray of 16 bits, scaled so that 65,535 becomes 255."""
    values = np.asarray(image)
    # Pillow opens 16 bits of a PNM file as I, but also 32 bits of a TIFF, where no value is defined as white.
    if not (image.mode.startswith("I;16") or (image.mode == "I" and kind != "TIFF")):
        raise ImageError("sample_type", name=name, kind=kind, mode=image.mode)
    values = values.astype(np.uint32)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if tags.get(Tag.PhotometricInterpretation) == TIFF_WHITE_IS_ZERO:
        values = 65_535 - values
    pixels = ((values * WHITE + 32_767) // 65_535).astype(np.uint8)[:, :, np.newaxis]
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[values == transparent] = WHITE
        return pixels, [Message("transparency_on_white")]
    return pixels, []


def _adapt_transparent_colour(image: Image.Image, kind: str, data: bytes) -> None:
    """Scale the transparent colour of a PNG, which has the file's 2, 4 or 16 bits, to Pillow's 8."""
    colour = image.info.get("transparency")
    if isinstance(colour, tuple) and max(colour) > WHITE:
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    bits = data[24] if kind == "PNG" else 8
    if isinstance(colour, int) and image.mode == "L" and bits < 8:
        image.info["transparency"] = colour * WHITE // (2**bits - 1)


def to_array(image: Image.Image) -> Pixels:
    """Read-only uint8 (height, width, channels) of an image of the mode L or RGB."""
    # np.asarray does the same, and takes 15 µs longer
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)


def to_pil(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def check_pixels(pixels: NDArray[Any]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ImageError("image_pixels", dtype=str(pixels.dtype), shape=pixels.shape)


def is_gray(pixels: Pixels) -> bool:
    """Whether all channels are equal; a row in the middle tells it of most photos."""
    return pixels.shape[2] == 1 or all(
        np.array_equal(part[..., 0], part[..., channel])
        for part in (pixels[len(pixels) // 2], pixels)
        for channel in (1, 2)
    )
