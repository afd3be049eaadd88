"""Decoding images, refusing other files, and transforming images for a model."""

import io
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from muslin.errors import ImageError
from muslin.images import TRANSFORMS, apply_transform, decode, encode_png
from muslin.images.decode_worker import decode_in_worker
from muslin.images.decoder import is_gray
from muslin.images.decoding_limits import PixelBudget
from muslin.messages import Message
from refusals import refuses

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FLAG = np.zeros((40, 64, 3), dtype=np.uint8)
"""Red at the top left, green at the top right, blue at the bottom left, black at the bottom right."""
FLAG[:20, :32], FLAG[:20, 32:], FLAG[20:, :32] = RED, GREEN, BLUE

HAS_AVIF = "AVIF" in Image.SAVE or (Image.init() and "AVIF" in Image.SAVE)
LOSSLESS = {
    "PNG": {},
    "TIFF": {},
    "TIFF, LZW": {"compression": "tiff_lzw"},
    "BMP": {},
    "PPM": {},
    "WEBP": {"lossless": True},
    "JPEG2000": {},
}
LOSSY = {"JPEG": {"quality": 95, "subsampling": 0}} | ({"AVIF": {"quality": 100}} if HAS_AVIF else {})


def encoded(source: Image.Image | np.ndarray, format: str, **options) -> bytes:
    image = source if isinstance(source, Image.Image) else Image.fromarray(np.ascontiguousarray(source))
    file = io.BytesIO()
    image.save(file, format.split(",")[0], **options)
    return file.getvalue()


def codes(notes) -> list[str]:
    return [note.code for note in notes]


def refused(code: str, *args, **options) -> ImageError:
    with pytest.raises(ImageError) as error:
        decode(*args, **options)
    assert error.value.code == code
    return error.value


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, bits, colour_type, raw: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand, for what Pillow does not write: 16 bits of colour, and lies."""

    rows = len(raw) // height if height and raw else 0
    lines = b"".join(b"\0" + raw[i * rows : (i + 1) * rows] for i in range(height if raw else 0))
    header = struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


# ── Kinds of files ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("format", "options"), LOSSLESS.items(), ids=LOSSLESS)
def test_lossless_colour_is_decoded_exactly(format, options):
    decoded = decode(encoded(FLAG, format, **options))
    assert np.array_equal(decoded.pixels, FLAG)
    assert decoded.pixels.flags.c_contiguous
    assert decoded.notes == ()


@pytest.mark.parametrize(("format", "options"), LOSSY.items(), ids=LOSSY)
def test_lossy_colour_is_decoded_closely(format, options):
    assert np.abs(decode(encoded(FLAG, format, **options)).pixels.astype(int) - FLAG).mean() < 4


def test_a_progressive_jpeg_is_the_same_image():
    plain, progressive = (encoded(FLAG, "JPEG", progressive=p) for p in (False, True))
    assert b"\xff\xc2" in progressive
    assert np.abs(decode(plain).pixels.astype(int) - decode(progressive).pixels).mean() < 1


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "GIF", "JPEG", "JPEG2000"])
def test_a_gray_file_stays_one_channel(format):
    gray = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (30, 1))
    pixels = decode(encoded(gray, format)).pixels
    assert pixels.shape == (30, 60, 1)
    assert np.abs(pixels[:, :, 0].astype(int) - gray).max() <= (3 if format == "JPEG" else 0)


def test_a_wrong_suffix_does_not_matter(tmp_path):
    path = tmp_path / "shirt.jpg"
    path.write_bytes(encoded(FLAG, "PNG"))
    assert np.array_equal(decode(path).pixels, FLAG)
    assert np.array_equal(decode(str(path)).pixels, FLAG)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1)])
def test_extreme_sizes_are_decoded(size):
    pixels = np.full((*size, 3), (10, 20, 30), dtype=np.uint8)
    assert np.array_equal(decode(encoded(pixels, "PNG")).pixels, pixels)


def test_one_bit_is_black_and_white():
    board = Image.fromarray(np.eye(9, dtype=bool))
    for format in ("PNG", "TIFF", "PPM", "BMP"):
        pixels = decode(encoded(board, format)).pixels
        assert np.array_equal(pixels[:, :, 0], np.eye(9, dtype=np.uint8) * 255), format


# ── Orientation ──────────────────────────────────────────────────────────────────────────────────────────

STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),  # a camera turned clockwise stores it turned anticlockwise
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("format", [*sorted(LOSSLESS.keys() - {"BMP", "PPM", "JPEG2000"}), *LOSSY])
def test_the_exif_orientation_is_applied(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(STORED[orientation](FLAG), format, exif=exif, **(LOSSLESS | LOSSY)[format])

    decoded = decode(content)

    assert decoded.pixels.shape == FLAG.shape
    assert np.abs(decoded.pixels.astype(int) - FLAG).mean() < 4
    expected = () if orientation == 1 else (Message("exif_orientation", orientation=orientation),)
    assert decoded.notes == expected


def test_a_photo_with_damaged_exif_is_decoded():
    content = encoded(FLAG, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage", quality=95, subsampling=0)
    assert np.abs(decode(content).pixels.astype(int) - FLAG).mean() < 4


# ── Colour models and depths ─────────────────────────────────────────────────────────────────────────────

INKS = {(0, 0, 0, 0): WHITE, (0, 255, 255, 0): RED, (255, 255, 0, 0): BLUE, (0, 0, 0, 255): (0, 0, 0)}


@pytest.mark.parametrize(("inks", "colour"), INKS.items())
def test_cmyk_is_converted_with_and_without_inverted_ink(inks, colour):
    pixels = np.full((16, 16, 4), inks, dtype=np.uint8)
    tiff = encoded(Image.frombytes("CMYK", (16, 16), pixels.tobytes()), "TIFF")
    adobe = encoded(Image.frombytes("CMYK", (16, 16), pixels.tobytes()), "JPEG", quality=100)
    # The same ink without Adobe's mark, and then not inverted: Pillow writes what it is given inverted.
    marked = encoded(Image.frombytes("CMYK", (16, 16), (255 - pixels).tobytes()), "JPEG", quality=100)
    mark = marked.index(b"\xff\xee")
    plain = marked[:mark] + marked[mark + 2 + int.from_bytes(marked[mark + 2 : mark + 4], "big") :]
    assert b"Adobe" in adobe
    assert b"Adobe" not in plain

    for content in (tiff, adobe, plain):
        decoded = decode(content)
        assert np.abs(decoded.pixels.astype(int) - colour).max() <= 2
        assert codes(decoded.notes) == ["cmyk_converted"]


def test_16_bit_gray_is_scaled_to_8_bit():
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    big = (values * 257).astype(">u2")
    pgm = b"P5 16 16 65535\n" + big.tobytes()
    tiff = encoded(Image.frombytes("I;16", (16, 16), (values * 257).astype("<u2").tobytes()), "TIFF")
    for content in (png(16, 16, 16, 0, big.tobytes()), pgm, tiff):
        assert np.array_equal(decode(content).pixels[:, :, 0], values)


def test_16_bit_colour_is_scaled_to_8_bit():
    values = (FLAG.astype(np.uint16) * 257).astype(">u2")
    assert np.array_equal(decode(png(64, 40, 16, 2, values.tobytes())).pixels, FLAG)


def test_16_bit_gray_with_alpha_stays_gray_on_white():
    values = np.array([[[0, 65535], [0, 0], [40 * 257, 65535]]], dtype=">u2")
    decoded = decode(png(3, 1, 16, 4, values.tobytes()))
    assert decoded.pixels.tolist() == [[[0], [255], [40]]]
    assert codes(decoded.notes) == ["transparency_on_white"]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_without_a_defined_white_are_refused(mode):
    refused("sample_type", encoded(Image.new(mode, (4, 4), 70_000), "TIFF"))


def transparent_images():
    half = np.dstack([FLAG, np.full((40, 64), 255, np.uint8)])
    half[:, 32:, 3] = 0
    expected = FLAG.copy()
    expected[:, 32:] = 255
    palette = Image.fromarray(FLAG).quantize(4)
    green = int(np.asarray(palette)[0, 63])
    without_green = FLAG.copy()
    without_green[:20, 32:] = 255
    return {
        "RGBA PNG": (encoded(half, "PNG"), expected),
        "RGBA WebP": (encoded(half, "WEBP", lossless=True, exact=True), expected),
        "palette PNG, one colour transparent": (encoded(palette, "PNG", transparency=green), without_green),
        "palette GIF, one colour transparent": (encoded(palette, "GIF", transparency=green), without_green),
        "RGB PNG, one colour transparent": (encoded(FLAG, "PNG", transparency=GREEN), without_green),
        "16-bit RGB PNG, one colour transparent": (
            png(64, 40, 16, 2, (FLAG.astype(np.uint16) * 257).astype(">u2").tobytes(), (b"tRNS", b"\0\0\xff\xff\0\0")),
            without_green,
        ),
    }


@pytest.mark.parametrize("name", transparent_images())
def test_transparency_is_composited_on_white_and_noted(name):
    content, expected = transparent_images()[name]
    decoded = decode(content)
    assert np.array_equal(decoded.pixels, expected)
    assert codes(decoded.notes) == ["transparency_on_white"]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_transparent_gray_value_of_few_bits_becomes_white(bits):
    """The value is named in the file's own bits, so 1 of 0 to 3 is what becomes 85."""
    step = 255 // (2**bits - 1)
    row = {2: b"\x1b", 4: b"\x01\x23", 8: b"\0\1\2\3"}[bits]  # the values 0, 1, 2, 3
    decoded = decode(png(4, 1, bits, 0, row, (b"tRNS", b"\0\1")))
    assert decoded.pixels.ravel().tolist() == [0, 255, 2 * step, 3 * step]
    assert codes(decoded.notes) == ["transparency_on_white"]


def test_half_transparent_black_is_middle_gray():
    half = np.zeros((4, 4, 2), dtype=np.uint8)
    half[:, :, 1] = 128
    pixels = decode(encoded(half, "PNG")).pixels
    assert pixels.shape == (4, 4, 1)
    assert set(pixels.ravel()) == {127}


def test_an_opaque_alpha_channel_is_not_noted():
    opaque = np.dstack([FLAG, np.full((40, 64), 255, np.uint8)])
    assert decode(encoded(opaque, "PNG")).notes == ()


def test_a_palette_image_is_decoded_to_its_colours():
    assert np.array_equal(decode(encoded(Image.fromarray(FLAG).quantize(4), "PNG")).pixels, FLAG)


# ── Several images in one file ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("format", "code"),
    [("GIF", "first_frame"), ("WEBP", "first_frame"), ("PNG", "first_frame"), ("TIFF", "first_page")],
)
def test_the_first_of_several_frames_is_used_and_noted(format, code):
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    decoded = decode(encoded(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert np.array_equal(decoded.pixels, np.full((32, 32, 3), RED))
    assert decoded.notes == (Message(code, n=None if format == "TIFF" else 3),)


# ── Scaled decoding ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("min_side_px", [1, 28, 100, 125, 126, 499, 1000, 5000])
def test_a_jpeg_is_never_decoded_below_the_minimum_side(min_side_px):
    content = encoded(np.zeros((1000, 2400, 3), np.uint8), "JPEG")
    height, width, _ = decode(content, min_side_px=min_side_px).pixels.shape
    assert min(height, width) >= min(min_side_px, 1000)
    assert height in (125, 250, 500, 1000)
    assert height == 1000 or height < 2 * max(min_side_px, 63) or height == 125


def test_only_large_jpegs_are_decoded_at_a_smaller_size():
    large = np.repeat(np.repeat(FLAG, 32, axis=0), 32, axis=1)
    assert decode(encoded(large[::2, ::2], "JPEG"), min_side_px=160).pixels.shape == (640, 1024, 3)
    small = decode(encoded(large, "JPEG", quality=95), min_side_px=160).pixels
    assert small.shape == (160, 256, 3)
    assert np.abs(small[40, 64].astype(int) - RED).max() < 8
    assert decode(encoded(large, "PNG"), min_side_px=160).pixels.shape == large.shape


# ── What is refused ──────────────────────────────────────────────────────────────────────────────────────

OTHERS = {
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "SVG after a declaration": (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -- b -->\n<svg/>", "SVG"),
    "SVG after a document type": (b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC 'x'><svg/>", "SVG"),
    "HTML saved as .jpg": (b"\n<!DOCTYPE html>\n<html><body>404", "HTML"),
    "HTML": (b"<HTML><img src='a.svg'>", "HTML"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "HEIC by its other brand": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
    "a video": (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "MP4 video"),
    "JPEG XL": (b"\xff\x0a" + bytes(20), "JPEG XL"),
    "Photoshop": (b"8BPS\0\x01", "PSD"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
    "a zip": (b"PK\x03\x04" + bytes(20), "a zip file"),
    "an icon": (b"\0\0\1\0\2\0\x10\x10" + bytes(20), "ICO"),
    "a PNG of an iPhone app": (
        b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI\x50\0\x20\2" + bytes(20),
        "PNG as only Apple's programs read it (CgBI)",
    ),
    "Canon's raw file": (b"II*\0\x10\0\0\0CR\2\0" + bytes(20), "camera raw (CR2)"),
}
NOTHING = {
    "text": (b"hello", "not_an_image"),
    "a TGA, which starts like an icon": (b"\0\0\2\0\0\0\0\0" + bytes(20), "not_an_image"),
    "an empty file": (b"", "image_empty"),
    "one byte": (b"\xff", "not_an_image"),
}


@pytest.mark.parametrize("tag", [{254: 1}, {50706: b"\1\4\0\0"}], ids=["NEF", "DNG"])
def test_the_preview_in_a_raw_file_is_not_used_as_the_photo(tag):
    refused("raw_preview", encoded(FLAG, "TIFF", tiffinfo=tag))


def test_an_unsupported_variant_is_not_called_damaged():
    bitmap = bytearray(encoded(FLAG, "BMP"))
    bitmap[30] = 6  # the compression that means bit fields with alpha
    assert refused("image_variant", bytes(bitmap)).params["kind"] == "BMP"
    tiff = encoded(FLAG, "TIFF", compression="tiff_lzw")
    damaged = tiff[:8] + bytes(200) + tiff[208:]
    assert refused("tiff_compression", damaged).params["compression"] == "tiff_lzw"


@pytest.mark.parametrize(("content", "kind"), OTHERS.values(), ids=OTHERS)
def test_other_kinds_of_files_are_refused_by_name(tmp_path, content, kind):
    path = tmp_path / "shirt.jpg"
    path.write_bytes(content)
    error = refused("image_format", path)
    assert error.params == {"name": str(path), "kind": kind}
    assert "\n" not in str(error)


@pytest.mark.parametrize(("content", "code"), NOTHING.values(), ids=NOTHING)
def test_a_file_without_an_image_is_refused(tmp_path, content, code):
    path = tmp_path / "shirt.jpg"
    path.write_bytes(content)
    assert refused(code, path).params["name"] == str(path)


@pytest.mark.parametrize("piece", [b"<!---->", b"<?xml?>", b" ", b"<!--", b"<"])
def test_no_markup_makes_the_sniffing_slow(piece):
    """In a process that ends at its limit, where a pattern tries all ways to divide the markup."""
    code = "image_format" if piece == b"<!--" else "not_an_image"
    with refuses(code, ImageError, name="page.html"):
        decode_in_worker(piece * 20_000, name="page.html")


@pytest.mark.parametrize("format", [*LOSSLESS, *LOSSY, "GIF"])
def test_a_truncated_photo_is_named(tmp_path, format):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = encoded(noise, format, **(LOSSLESS | LOSSY).get(format, {}))
    path = tmp_path / "shirt"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError) as error:
        decode(path)
    assert error.value.code in ("image_cut_off", "image_damaged", "image_header", "tiff_compression")
    assert error.value.params["name"] == str(path)
    for length in range(1, len(content), max(1, len(content) // 60)):
        with suppress(ImageError):  # and nothing else; an image that lacks but its end mark is decoded
            decode(content[:length])


SOUND = [encoded(FLAG, format, **options) for format, options in (LOSSLESS | LOSSY | {"GIF": {}}).items()]


@settings(max_examples=300, deadline=None)
@given(
    content=st.sampled_from(SOUND),
    damage=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=5),
)
def test_damaged_bytes_give_pixels_or_an_image_error(content, damage):
    damaged = bytearray(content)
    for place, change in damage:
        damaged[int(place * len(damaged))] ^= change
    try:
        pixels = decode(bytes(damaged), max_pixels=1_000_000).pixels
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] in (1, 3)


@pytest.mark.parametrize("side", [7_100, 10_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    bomb = png(side, side, 8, 2, b"")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert refused("too_many_pixels", bomb).params["max_pixels"] == 50_000_000
    assert warned == []


def test_the_limits_can_be_chosen():
    content = encoded(FLAG, "PNG")
    error = refused("too_many_pixels", content, max_pixels=64 * 40 - 1)
    assert (error.params["width"], error.params["height"]) == (64, 40)
    assert decode(content, max_pixels=64 * 40).pixels.shape == (40, 64, 3)
    refused("image_bytes", content, max_bytes=len(content) - 1)
    assert decode(content, max_bytes=len(content)).pixels.shape == (40, 64, 3)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused("image_missing", tmp_path / "none.png")
    refused("image_is_folder", tmp_path)
    refused("image_unreadable", "a\0b")


def test_many_threads_decode_and_restore_the_warnings():
    before = list(warnings.filters)
    contents = SOUND * 8
    with ThreadPoolExecutor(8) as pool:
        shapes = list(pool.map(lambda content: decode(content).pixels.shape, contents))
    assert set(shapes) == {(40, 64, 3)}
    assert list(warnings.filters) == before


def test_encode_png_writes_the_pixels_and_no_metadata():
    for pixels in (FLAG, FLAG[:, :, :1], FLAG[:, :, 0]):
        content = encode_png(pixels)
        assert np.array_equal(decode(content).pixels, pixels.reshape(40, 64, -1))
        with Image.open(io.BytesIO(content)) as image:
            assert image.info == {}
    for nothing in (FLAG.astype(float), FLAG[:, :, :2], FLAG[:0], np.zeros(3, np.uint8)):
        with pytest.raises(ImageError):
            encode_png(nothing)


# ── From an image to what a model takes ─────────────────────────────────────────────────────────────────

GRAY_28 = (28, 28, 1)


@pytest.fixture(scope="module")
def garment(synthetic):
    """A shirt, light on black, as Fashion-MNIST's images are."""
    return synthetic.dataset.images[2]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_an_image_of_the_right_kind_is_unchanged(transform, garment):
    palette = Image.fromarray(garment[:, :, 0]).convert("P")
    for content in (
        encode_png(garment),
        encode_png(np.repeat(garment, 3, axis=2)),
        encoded(palette, "PNG"),
        encoded(garment[:, :, 0], "GIF"),
    ):
        pixels, note = apply_transform(decode(content).pixels, transform, GRAY_28)
        assert np.array_equal(pixels, garment)
        assert note is None


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 10_000, 3), (10_000, 1, 1), (28, 28, 3), (300, 200, 1), (31, 28, 3)])
@pytest.mark.parametrize("size", [GRAY_28, (64, 48, 3)])
def test_every_image_gets_the_models_size_and_a_note(transform, shape, size):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    transformed, note = apply_transform(pixels, transform, size)
    assert transformed.shape == size
    assert transformed.dtype == np.uint8
    assert note


def product_photo(height=600, width=400, background=255, garment=0) -> np.ndarray:
    """A garment of one colour, 100 wide and 400 high, off the centre of a photo of one ground."""
    photo = np.full((height, width, 3), background, dtype=np.uint8)
    photo[150:550, 220:320] = garment
    return photo


def test_a_photo_on_white_becomes_light_on_black_and_centred():
    pixels, note = apply_transform(product_photo(), "fashion-mnist", GRAY_28)
    expected = np.zeros(GRAY_28, dtype=np.uint8)
    expected[:, 10:17] = 255  # 100 of 400 is 7 of 28, in the middle
    assert np.array_equal(pixels, expected)
    assert note == Message("fashion_mnist_light", before="400×600", trimmed="100×400", small="7×28", size="28×28")


def test_edges_within_5_percent_of_the_corner_are_trimmed():
    photo = product_photo()
    photo[20:30, 50:60] = 255 - 12
    assert apply_transform(photo, "fashion-mnist", GRAY_28)[1].params["trimmed"] == "100×400"
    photo[20:30, 50:60] = 255 - 14
    assert apply_transform(photo, "fashion-mnist", GRAY_28)[1].params["trimmed"] == "270×530"


def test_rows_and_columns_are_subsampled_not_mixed():
    stripes = np.zeros((280, 280, 1), dtype=np.uint8)
    stripes[:, ::2] = 200  # any filter would make one gray of these
    pixels = apply_transform(stripes[:, 1:], "fashion-mnist", GRAY_28)[0]
    assert len(np.unique(pixels)) > 1


def test_sharpening_changes_outlines_and_not_plain_cloth():
    photo = np.full((28, 56, 3), 100, dtype=np.uint8)
    photo[:, 28:] = 140
    photo[:, :, 2] += 1  # not gray, or it would be taken as it is
    photo[[0, 0, -1, -1], [0, -1, 0, -1]] = 255  # corners unlike all else, so that nothing is trimmed
    pixels = apply_transform(photo, "fashion-mnist", (28, 56, 1))[0][14, :, 0].astype(int)
    assert pixels[[5, 50]].tolist() == [155, 115]
    # exp(-1/2) + 2 exp(-1) of the Gaussian lie beyond the outline; all of it and its middle once more is the scale.
    step = 40 * 1.3423 / (4.8976 + 1)
    assert pixels[[27, 28]].tolist() == [155 + round(step), 115 - round(step)]


@pytest.mark.parametrize("enlarge", [Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
def test_an_enlarged_fashion_mnist_image_is_only_scaled_back(garment, enlarge):
    large = np.asarray(Image.fromarray(garment[:, :, 0]).resize((280, 280), enlarge))
    for source in (large[:, :, np.newaxis], decode(encoded(Image.fromarray(large).convert("RGB"), "JPEG")).pixels):
        pixels, note = apply_transform(source, "fashion-mnist", GRAY_28)
        assert np.abs(pixels.astype(int) - garment).mean() < 6
        assert note.code == "light_image_fitted"


def test_a_photo_on_a_dark_ground_is_not_inverted():
    pixels, note = apply_transform(
        product_photo(background=(20, 10, 30), garment=(200, 180, 190)), "fashion-mnist", GRAY_28
    )
    assert pixels[14, 14] > 150
    assert pixels[0, 0] < 30
    assert note.code == "fashion_mnist_dark"


def test_a_small_gray_photo_on_white_is_inverted():
    photo = np.full(GRAY_28, 255, dtype=np.uint8)
    photo[4:24, 10:18] = 40
    pixels, note = apply_transform(photo, "fashion-mnist", GRAY_28)
    assert np.array_equal(pixels, 255 - photo)
    assert note.code == "image_inverted"


def test_a_blank_photo_becomes_a_blank_image():
    pixels, note = apply_transform(product_photo(garment=255), "fashion-mnist", GRAY_28)
    assert set(pixels.ravel()) == {0}
    assert note


def test_fit_centres_the_whole_image_on_its_edge_colour():
    photo = np.full((50, 100, 3), (250, 240, 230), dtype=np.uint8)
    photo[20:30, 40:60] = 0
    pixels, note = apply_transform(photo, "fit", (40, 40, 3))
    assert note == Message("image_fitted", before="100×50", after="40×20", size="40×40")
    assert (pixels[[0, 5, 35, 39]] == (250, 240, 230)).all()
    assert (pixels[20, 20] == 0).all()


def test_fit_notes_a_change_of_channels():
    gray, note = apply_transform(np.full((28, 28, 3), RED, dtype=np.uint8), "fit", GRAY_28)
    assert set(gray.ravel()) == {76}
    assert note == Message("channels_changed", mode="gray")


def test_an_unknown_transform_is_refused_with_the_nearest():
    with pytest.raises(ImageError) as error:
        apply_transform(FLAG, "fashion_mnist", GRAY_28)
    assert error.value.code == "transform_unknown"
    assert error.value.params["nearest"] == "fashion-mnist"


def test_an_image_is_the_same_as_pixels_and_for_pillow():
    for content in (encoded(FLAG, "JPEG"), encoded(FLAG[..., :1].squeeze(), "PNG"), encoded(FLAG, "GIF")):
        shape, image = decode(content).shape, decode(content).image
        decoded = decode(content)
        assert decoded.pixels.shape == decoded.shape == shape
        assert np.array_equal(np.asarray(image).reshape(shape), decoded.pixels)
        assert np.array_equal(np.asarray(decoded.image), np.asarray(image))
        assert not decoded.pixels.flags.writeable


@pytest.mark.parametrize("size", [GRAY_28, (40, 30, 3)], ids=["gray", "colour"])
def test_padding_has_the_median_colour_of_the_edge(size):
    noise = np.random.default_rng(3).integers(0, 256, (33, 120, 3), np.uint8)
    image = noise if size[2] == 3 else np.asarray(Image.fromarray(noise).convert("L"))[:, :, np.newaxis]
    edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    padded = apply_transform(noise, "fit", size)[0]
    assert padded[0, 0].tolist() == np.median(edges, axis=0).round().tolist()


# ── Work that a small file can ask for ───────────────────────────────────────────────────────────────────


def refusal(content: bytes) -> ImageError:
    with pytest.raises(ImageError) as error:
        decode(content)
    return error.value


def test_a_jpeg_with_its_last_scan_repeated_is_refused():
    content = encoded(FLAG, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    repeated = content[:-2] + content[last:-2] * 100 + content[-2:]
    assert refusal(repeated).code == "too_many_scans"


@pytest.mark.parametrize("kind", [b"P2", b"P5"])
def test_a_pnm_file_full_of_comments_is_refused(kind):
    assert refusal(kind + b"\n" + b"#x\n" * 300_000 + b"2 2\n255\n1 1 1 1 ").code == "image_header"
    assert refusal(kind + b"\n#" + b"x" * 900_000 + b"\n2 2\n255\n1 1 1 1 ").code == "image_header"


def test_a_plain_pnm_file_with_comments_between_pixels_is_refused():
    assert refusal(b"P2\n2 2\n255\n" + b"#x\n" * 300_000 + b"1 1 1 1\n").code == "image_header"


def test_pnm_files_with_a_few_comments_are_read():
    content = b"P2 # written by hand\n# 2021\n2 2\n# white\n255\n0 255\n255 0\n"
    assert decode(content).pixels[:, :, 0].tolist() == [[0, 255], [255, 0]]


def test_pages_of_a_tiff_are_not_counted():
    frames = [Image.new("L", (4, 4), i % 256) for i in range(40)]
    decoded = decode(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    assert decoded.notes == (Message("first_page", n=None),)


def test_a_large_transparent_image_is_composited_as_a_small_one():
    random = np.random.default_rng(0)
    rgba = random.integers(0, 256, (1500, 3000, 4), np.uint8)
    pixels = decode(encoded(rgba, "PNG")).pixels
    part = decode(encoded(rgba[:10, :10], "PNG")).pixels
    assert np.array_equal(pixels[:10, :10], part)
    assert np.array_equal(decode(encoded(rgba[-10:], "PNG")).pixels, pixels[-10:])


def test_pixel_budget_lets_a_large_image_wait_for_small_ones():
    budget, order = PixelBudget(100), []

    def large():
        with budget.taking(1000):  # more than all of it: alone
            order.append("large")

    with budget.taking(60), budget.taking(40):
        thread = threading.Thread(target=large)
        thread.start()
        thread.join(0.2)
        order.append("small")
    thread.join(10)
    assert order == ["small", "large"]


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_damaged_tiffs_print_nothing(compression: str, capfd) -> None:
    content = encoded(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8), "TIFF", compression=compression)
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        damaged = bytearray(content)
        damaged[random.integers(len(content))] ^= 255
        with suppress(ImageError):
            decode(bytes(damaged), name="scan.tif")
            refused -= 1
        refused += 1
    assert refused > 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("place", [(0, 0, 2), (4, 4, 1), (8, 8, 0)])
def test_one_pixel_of_colour_makes_an_image_no_gray_one(place: tuple[int, int, int]) -> None:
    pixels = np.repeat(np.arange(81, dtype=np.uint8).reshape(9, 9, 1), 3, axis=2)
    assert is_gray(pixels)
    pixels[place] += 1
    assert not is_gray(pixels)


def between(kind: str, head: int, pieces: bytes) -> bytes:
    """A file with `pieces` after its first `head` bytes."""
    content = encoded(FLAG, kind)
    return content[:head] + pieces + content[head:]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff" + bytes(500_000),
        between("JPEG", 2, b"\xff" * 500_000),
        between("JPEG", 2, b"\xff\xfe\x00\x02" * 100_000),
        between("PNG", 33, png_chunk(b"abCd", b"") * 40_000),
        between("PNG", 33, png_chunk(b"IDAT", b"") * 40_000),
        encoded(FLAG, "GIF")[:-1] + bytes(500_000),
    ],
    ids=["zeros", "fill bytes", "JPEG segments", "PNG chunks", "IDAT chunks", "zeros in a GIF"],
)
def test_a_file_of_very_many_pieces_is_refused(content: bytes):
    assert refusal(content).code == "too_many_reads"


def test_a_long_animation_is_read():
    noise = np.random.default_rng(0).integers(0, 256, (120, 96, 96), np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert len(file.getvalue()) > 1_000_000
    assert decode(file.getvalue()).pixels.shape == (96, 96, 1)
