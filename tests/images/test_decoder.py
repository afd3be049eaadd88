"""Decoding the images people have, refusing what is none, and fitting what is one to a model."""

import io
import struct
import time
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


def encoded(picture: Image.Image | np.ndarray, format: str, **options) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.ascontiguousarray(picture))
    file = io.BytesIO()
    image.save(file, format.split(",")[0], **options)
    return file.getvalue()


def png(width, height, bits, colour_type, raw: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand, for what Pillow does not write: 16 bits of colour, and lies."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = len(raw) // height if height and raw else 0
    lines = b"".join(b"\0" + raw[i * rows : (i + 1) * rows] for i in range(height if raw else 0))
    header = struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


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
def test_a_photo_is_turned_as_its_exif_orientation_says(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(STORED[orientation](FLAG), format, exif=exif, **(LOSSLESS | LOSSY)[format])

    decoded = decode(content)

    assert decoded.pixels.shape == FLAG.shape
    assert np.abs(decoded.pixels.astype(int) - FLAG).mean() < 4
    assert decoded.notes == (() if orientation == 1 else (f"turned as EXIF orientation {orientation} says",))


def test_damaged_exif_is_no_reason_to_lose_the_photo():
    content = encoded(
        FLAG, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage", quality=95, subsampling=0
    )
    assert np.abs(decode(content).pixels.astype(int) - FLAG).mean() < 4


# ── Colour models and depths ─────────────────────────────────────────────────────────────────────────────

INKS = {(0, 0, 0, 0): WHITE, (0, 255, 255, 0): RED, (255, 255, 0, 0): BLUE, (0, 0, 0, 255): (0, 0, 0)}


@pytest.mark.parametrize(("inks", "colour"), INKS.items())
def test_cmyk_is_converted_whether_its_ink_is_inverted_or_not(inks, colour):
    picture = np.full((16, 16, 4), inks, dtype=np.uint8)
    tiff = encoded(Image.frombytes("CMYK", (16, 16), picture.tobytes()), "TIFF")
    adobe = encoded(Image.frombytes("CMYK", (16, 16), picture.tobytes()), "JPEG", quality=100)
    # The same ink without Adobe's mark, and then not inverted: Pillow writes what it is given inverted.
    marked = encoded(Image.frombytes("CMYK", (16, 16), (255 - picture).tobytes()), "JPEG", quality=100)
    mark = marked.index(b"\xff\xee")
    plain = marked[:mark] + marked[mark + 2 + int.from_bytes(marked[mark + 2 : mark + 4], "big") :]
    assert b"Adobe" in adobe
    assert b"Adobe" not in plain

    for content in (tiff, adobe, plain):
        decoded = decode(content)
        assert np.abs(decoded.pixels.astype(int) - colour).max() <= 2
        assert decoded.notes == ("CMYK converted to RGB",)


def test_16_bit_gray_becomes_8_bit_in_proportion():
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    big = (values * 257).astype(">u2")
    pgm = b"P5 16 16 65535\n" + big.tobytes()
    tiff = encoded(Image.frombytes("I;16", (16, 16), (values * 257).astype("<u2").tobytes()), "TIFF")
    for content in (png(16, 16, 16, 0, big.tobytes()), pgm, tiff):
        assert np.array_equal(decode(content).pixels[:, :, 0], values)


def test_16_bit_colour_becomes_8_bit_in_proportion():
    values = (FLAG.astype(np.uint16) * 257).astype(">u2")
    assert np.array_equal(decode(png(64, 40, 16, 2, values.tobytes())).pixels, FLAG)


def test_16_bit_gray_with_alpha_is_laid_on_white_and_stays_gray():
    values = np.array([[[0, 65535], [0, 0], [40 * 257, 65535]]], dtype=">u2")
    decoded = decode(png(3, 1, 16, 4, values.tobytes()))
    assert decoded.pixels.tolist() == [[[0], [255], [40]]]
    assert decoded.notes == ("transparency laid on white",)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_whose_white_is_unknown_are_refused(mode):
    with pytest.raises(ImageError, match="no value is known to be white"):
        decode(encoded(Image.new(mode, (4, 4), 70_000), "TIFF"))


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
            png(
                64,
                40,
                16,
                2,
                (FLAG.astype(np.uint16) * 257).astype(">u2").tobytes(),
                (b"tRNS", b"\0\0\xff\xff\0\0"),
            ),
            without_green,
        ),
    }


@pytest.mark.parametrize("name", transparent_images())
def test_transparency_is_laid_on_white_and_that_is_said(name):
    content, expected = transparent_images()[name]
    decoded = decode(content)
    assert np.array_equal(decoded.pixels, expected)
    assert decoded.notes == ("transparency laid on white",)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gray_of_few_bits_has_its_one_transparent_value_laid_on_white(bits):
    """The value is named in the file's own bits, so 1 of 0 to 3 is what becomes 85."""
    step = 255 // (2**bits - 1)
    row = {2: b"\x1b", 4: b"\x01\x23", 8: b"\0\1\2\3"}[bits]  # the values 0, 1, 2, 3
    decoded = decode(png(4, 1, bits, 0, row, (b"tRNS", b"\0\1")))
    assert decoded.pixels.ravel().tolist() == [0, 255, 2 * step, 3 * step]
    assert decoded.notes == ("transparency laid on white",)


def test_half_transparent_black_is_middle_gray_and_gray_with_alpha_stays_gray():
    picture = np.zeros((4, 4, 2), dtype=np.uint8)
    picture[:, :, 1] = 128
    pixels = decode(encoded(picture, "PNG")).pixels
    assert pixels.shape == (4, 4, 1)
    assert set(pixels.ravel()) == {127}


def test_an_alpha_channel_that_hides_nothing_is_not_worth_a_note():
    opaque = np.dstack([FLAG, np.full((40, 64), 255, np.uint8)])
    assert decode(encoded(opaque, "PNG")).notes == ()


def test_a_palette_image_is_decoded_to_its_colours():
    assert np.array_equal(decode(encoded(Image.fromarray(FLAG).quantize(4), "PNG")).pixels, FLAG)


# ── Several images in one file ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("format", "note"),
    [
        ("GIF", "first frame of 3"),
        ("WEBP", "first frame of 3"),
        ("PNG", "first frame of 3"),
        ("TIFF", "first page of 3"),
    ],
)
def test_of_several_frames_or_pages_the_first_is_taken_and_that_is_said(format, note):
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    decoded = decode(encoded(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert np.array_equal(decoded.pixels, np.full((32, 32, 3), RED))
    assert decoded.notes == (note,)


# ── Scaled decoding ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("min_side_px", [1, 28, 100, 125, 126, 499, 1000, 5000])
def test_a_jpeg_is_scaled_down_while_decoding_but_never_below_what_is_needed(min_side_px):
    content = encoded(np.zeros((1000, 1600, 3), np.uint8), "JPEG")
    height, width, _ = decode(content, min_side_px=min_side_px).pixels.shape
    assert min(height, width) >= min(min_side_px, 1000)
    assert height in (125, 250, 500, 1000)
    assert height == 1000 or height < 2 * max(min_side_px, 63) or height == 125


def test_scaled_decoding_keeps_the_image_and_other_formats_whole():
    large = np.repeat(np.repeat(FLAG, 16, axis=0), 16, axis=1)
    small = decode(encoded(large, "JPEG", quality=95), min_side_px=80).pixels
    assert small.shape == (80, 128, 3)
    assert np.abs(small[20, 32].astype(int) - RED).max() < 8
    assert decode(encoded(large, "PNG"), min_side_px=80).pixels.shape == large.shape


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
    "a video": (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "video"),
    "JPEG XL": (b"\xff\x0a" + bytes(20), "JPEG XL"),
    "Photoshop": (b"8BPS\0\x01", "Photoshop"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
    "a zip": (b"PK\x03\x04" + bytes(20), "zip"),
    "text": (b"hello", "no kind of image"),
    "an icon": (b"\0\0\1\0\2\0\x10\x10" + bytes(20), "icon"),
    "a TGA, which begins as an icon does": (
        b"\0\0\2\0\0\0\0\0" + bytes(20),
        "no kind of image",
    ),
    "a PNG out of an iPhone's program": (
        b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI\x50\0\x20\2" + bytes(20),
        "CgBI",
    ),
    "Canon's raw file": (b"II*\0\x10\0\0\0CR\2\0" + bytes(20), "raw file"),
    "nothing": (b"", r"empty \(0 bytes\)"),
    "one byte": (b"\xff", "no kind of image"),
}


@pytest.mark.parametrize("tag", [{254: 1}, {50706: b"\1\4\0\0"}], ids=["NEF", "DNG"])
def test_the_preview_in_a_cameras_raw_file_is_not_taken_for_the_photo(tag):
    with pytest.raises(ImageError, match="raw file, of which TIFF shows a small preview"):
        decode(encoded(FLAG, "TIFF", tiffinfo=tag))


def test_a_sound_file_of_a_kind_that_is_not_read_is_not_called_damaged():
    bitmap = bytearray(encoded(FLAG, "BMP"))
    bitmap[30] = 6  # the compression that means bit fields with alpha
    with pytest.raises(ImageError, match=r"BMP of a kind that is not read \(Unsupported BMP compression"):
        decode(bytes(bitmap))
    tiff = encoded(FLAG, "TIFF", compression="tiff_lzw")
    damaged = tiff[:8] + bytes(200) + tiff[208:]
    with pytest.raises(ImageError, match=r"TIFF, but damaged, or its compression \(tiff_lzw\) is not read"):
        decode(damaged)


@pytest.mark.parametrize(("content", "said"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_image_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "shirt.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=said) as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_no_markup_makes_the_sniffing_slow():
    start = time.perf_counter()
    for hostile in (b"<!---->" * 3000, b"<?xml?>" * 3000, b" " * 20_000, b"<!--" * 5000, b"<" * 20_000):
        with pytest.raises(ImageError):
            decode(hostile)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("format", [*LOSSLESS, *LOSSY, "GIF"])
def test_a_truncated_photo_is_named_and_nothing_else_is_raised(tmp_path, format):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = encoded(noise, format, **(LOSSLESS | LOSSY).get(format, {}))
    path = tmp_path / "shirt"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=f"{path}: is .* (cut off|damaged)"):
        decode(path)
    for length in range(1, len(content), max(1, len(content) // 60)):
        with suppress(ImageError):  # and nothing else; an image that lacks but its end mark is decoded
            decode(content[:length])


SOUND = [encoded(FLAG, format, **options) for format, options in (LOSSLESS | LOSSY | {"GIF": {}}).items()]


@settings(max_examples=300, deadline=None)
@given(
    content=st.sampled_from(SOUND),
    damage=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=5),
)
def test_damaged_bytes_give_pixels_or_an_image_error_never_anything_else(content, damage):
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
def test_a_bomb_is_refused_by_its_header_as_an_error_not_a_warning(side):
    bomb = png(side, side, 8, 2, b"")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match="at most 50 million pixels"):
            decode(bomb)
    assert warned == []


def test_the_limits_can_be_chosen():
    content = encoded(FLAG, "PNG")
    with pytest.raises(ImageError, match="64×40 pixels"):
        decode(content, max_pixels=64 * 40 - 1)
    assert decode(content, max_pixels=64 * 40).pixels.shape == (40, 64, 3)
    with pytest.raises(ImageError, match="larger than"):
        decode(content, max_bytes=len(content) - 1)
    assert decode(content, max_bytes=len(content)).pixels.shape == (40, 64, 3)


def test_a_file_that_is_not_there_or_is_a_folder_is_said_to_be(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        decode("a\0b")


def test_many_threads_decode_at_once_and_leave_the_warnings_as_they_were():
    before = list(warnings.filters)
    contents = SOUND * 8
    with ThreadPoolExecutor(8) as pool:
        shapes = list(pool.map(lambda content: decode(content).pixels.shape, contents))
    assert set(shapes) == {(40, 64, 3)}
    assert list(warnings.filters) == before


def test_a_png_we_write_holds_the_pixels_and_nothing_else():
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
def garment(drawn):
    """A shirt, light on black, as Fashion-MNIST's images are."""
    return drawn.dataset.images[2]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_image_of_the_right_kind_is_taken_as_it_is(transform, garment):
    palette = Image.fromarray(garment[:, :, 0]).convert("P")
    for content in (
        encode_png(garment),
        encode_png(np.repeat(garment, 3, axis=2)),
        encoded(palette, "PNG"),
        encoded(garment[:, :, 0], "GIF"),
    ):
        pixels, said = apply_transform(decode(content).pixels, transform, GRAY_28)
        assert np.array_equal(pixels, garment)
        assert said is None


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 10_000, 3), (10_000, 1, 1), (28, 28, 3), (300, 200, 1), (31, 28, 3)]
)
@pytest.mark.parametrize("size", [GRAY_28, (64, 48, 3)])
def test_every_image_becomes_one_of_the_models_size_and_what_was_done_is_said(transform, shape, size):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    converted, said = apply_transform(pixels, transform, size)
    assert converted.shape == size
    assert converted.dtype == np.uint8
    assert said


def product_photo(height=600, width=400, background=255, garment=0) -> np.ndarray:
    """A garment of one colour, 100 wide and 400 high, off the centre of a photo of one ground."""
    photo = np.full((height, width, 3), background, dtype=np.uint8)
    photo[150:550, 220:320] = garment
    return photo


def test_a_product_photo_on_white_becomes_light_on_black_trimmed_and_centred():
    pixels, said = apply_transform(product_photo(), "fashion-mnist", GRAY_28)
    expected = np.zeros(GRAY_28, dtype=np.uint8)
    expected[:, 10:17] = 255  # 100 of 400 is 7 of 28, in the middle
    assert np.array_equal(pixels, expected)
    assert said == (
        "converted as Fashion-MNIST's authors did: trimmed from 400×600 to 100×400, subsampled to 7×28, "
        "sharpened, extended to 28×28, negated, gray"
    )


def test_edges_within_5_percent_of_the_corner_are_trimmed_and_farther_ones_are_not():
    photo = product_photo()
    photo[20:30, 50:60] = 255 - 12
    assert "to 100×400" in apply_transform(photo, "fashion-mnist", GRAY_28)[1]
    photo[20:30, 50:60] = 255 - 14
    assert "to 270×530" in apply_transform(photo, "fashion-mnist", GRAY_28)[1]


def test_rows_and_columns_are_left_out_and_not_mixed():
    stripes = np.zeros((280, 280, 1), dtype=np.uint8)
    stripes[:, ::2] = 200  # any filter would make one gray of these
    pixels = apply_transform(stripes[:, 1:], "fashion-mnist", GRAY_28)[0]
    assert len(np.unique(pixels)) > 1


def test_sharpening_makes_more_of_outlines_and_nothing_of_plain_cloth():
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
    for picture in (
        large[:, :, np.newaxis],
        decode(encoded(Image.fromarray(large).convert("RGB"), "JPEG")).pixels,
    ):
        pixels, said = apply_transform(picture, "fashion-mnist", GRAY_28)
        assert np.abs(pixels.astype(int) - garment).mean() < 6
        assert said.startswith("already light on black")


def test_a_photo_on_a_dark_ground_is_not_turned_inside_out():
    pixels, said = apply_transform(
        product_photo(background=(20, 10, 30), garment=(200, 180, 190)), "fashion-mnist", GRAY_28
    )
    assert pixels[14, 14] > 150
    assert pixels[0, 0] < 30
    assert "not negated" in said


def test_a_small_gray_photo_on_white_is_negated():
    photo = np.full(GRAY_28, 255, dtype=np.uint8)
    photo[4:24, 10:18] = 40
    pixels, said = apply_transform(photo, "fashion-mnist", GRAY_28)
    assert np.array_equal(pixels, 255 - photo)
    assert "negated" in said


def test_a_blank_photo_becomes_a_blank_image():
    pixels, said = apply_transform(product_photo(garment=255), "fashion-mnist", GRAY_28)
    assert set(pixels.ravel()) == {0}
    assert said


def test_fit_keeps_the_whole_image_centred_on_the_colour_of_its_edge():
    photo = np.full((50, 100, 3), (250, 240, 230), dtype=np.uint8)
    photo[20:30, 40:60] = 0
    pixels, said = apply_transform(photo, "fit", (40, 40, 3))
    assert said == "scaled from 100×50 to 40×20 and centred on 40×40"
    assert (pixels[[0, 5, 35, 39]] == (250, 240, 230)).all()
    assert (pixels[20, 20] == 0).all()


def test_fit_says_when_only_the_channels_changed():
    gray, said = apply_transform(np.full((28, 28, 3), RED, dtype=np.uint8), "fit", GRAY_28)
    assert set(gray.ravel()) == {76}
    assert said == "colour changed to gray"


def test_an_unknown_conversion_is_refused_with_the_nearest_name():
    with pytest.raises(ImageError, match="Did you mean fashion-mnist"):
        apply_transform(FLAG, "fashion_mnist", GRAY_28)
