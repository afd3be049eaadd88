"""Images for people show what is in the pixels."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFont

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.errors import DataError
from muslin.reporting.image_grids import (
    CELL_PX,
    RAMP,
    SheetSection,
    _caption_lines,
    apply_colour,
    contact_sheet,
    data_uri,
    png_bytes,
    resize_to_edge,
    terminal_image,
)
from muslin.reporting.samples import mean_images, sample_indices, sample_per_class


def _opened(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def _boot(size: int = 28, channels: int = 1) -> NDArray[np.uint8]:
    """An image in which every pixel differs from its neighbours."""
    return np.random.default_rng(size).integers(0, 256, (size, size, channels)).astype(np.uint8)


def test_small_image_is_enlarged_by_a_whole_factor() -> None:
    image = _boot()
    enlarged = np.asarray(resize_to_edge(image, 112))
    assert np.array_equal(enlarged, image[:, :, 0].repeat(4, axis=0).repeat(4, axis=1))


def test_photo_is_reduced_and_keeps_its_aspect_ratio() -> None:
    photo = np.zeros((900, 600, 3), dtype=np.uint8)
    assert resize_to_edge(photo, 150).size == (100, 150)
    assert resize_to_edge(np.zeros((1, 4000, 3), dtype=np.uint8), 150).size == (150, 1)


def test_png_keeps_every_pixel() -> None:
    for image in (_boot(), _boot(30, 3)):
        assert np.array_equal(_opened(png_bytes(image)).reshape(image.shape), image)


def test_false_colours_get_brighter_with_the_pixel() -> None:
    steps = apply_colour(np.arange(256, dtype=np.uint8)[None, :, None], "false").reshape(256, 3)
    brightness = steps @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) > -1.0).all()  # rounding to whole values lets single steps stand still
    assert len({tuple(step) for step in steps.tolist()}) > 230
    assert tuple(steps[0]) == (68, 1, 84)
    assert tuple(steps[255]) == (253, 231, 37)


def test_colour_image_in_gray_and_in_false_colours() -> None:
    image = _boot(8, 3)
    assert apply_colour(image, "original").shape == (8, 8, 3)
    assert apply_colour(image, "gray").shape == (8, 8)
    assert apply_colour(image, "false").shape == (8, 8, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 1)),
        np.zeros((4, 4, 2), dtype=np.uint8),
        np.zeros(4, dtype=np.uint8),
        np.zeros((0, 4, 1), dtype=np.uint8),
    ],
)
def test_array_that_is_no_image_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError) as error:
        apply_colour(pixels)
    assert error.value.code == ("image_array" if pixels.size else "image_without_pixels")


def test_unknown_colour_is_refused_with_the_choices() -> None:
    with pytest.raises(DataError) as error:
        apply_colour(_boot(), "sepia")  # type: ignore[arg-type]
    assert error.value.code == "colour_unknown"
    assert error.value.params["choices"] == ["false", "gray", "original"]


def _sheet(images: list[NDArray[np.uint8]], captions: list[str], **options: int) -> NDArray[np.uint8]:
    return _opened(contact_sheet([SheetSection("", images, captions)], **options))


def test_contact_sheet_holds_every_pixel_of_its_images() -> None:
    images = [_boot(), _boot(20)]
    gray = _sheet(images, ["boot", "shoe"], columns=2)[:, :, 0]
    for image in images:
        scale = CELL_PX // len(image)
        expected = image[:, :, 0].repeat(scale, axis=0).repeat(scale, axis=1)
        height, width = expected.shape
        corners = np.argwhere(gray == expected[0, 0])
        assert any(np.array_equal(gray[y : y + height, x : x + width], expected) for y, x in corners)


def test_contact_sheet_has_the_given_number_of_columns() -> None:
    images, captions = [_boot()] * 6, [""] * 6
    two, three = _sheet(images, captions, columns=2), _sheet(images, captions, columns=3)
    assert three.shape[1] - two.shape[1] == CELL_PX + 16
    assert two.shape[0] > three.shape[0]


def test_sections_stand_below_each_other_under_their_titles() -> None:
    section = SheetSection("boots", [_boot()], ["boot"])
    one, two = _opened(contact_sheet([section])), _opened(contact_sheet([section] * 2))
    untitled = _sheet([_boot()], ["boot"])
    assert two.shape[0] - one.shape[0] > CELL_PX
    assert one.shape[0] > untitled.shape[0]


def test_long_caption_keeps_both_ends_within_the_width() -> None:
    font = ImageFont.load_default(13)
    for name in ("a very long class name that ends in seventeen 17", "x" * 200, "短" * 80, "👟" * 30):
        for line in _caption_lines(name, 100):
            assert font.getlength(line) <= 100
    assert _caption_lines("a very long class name that ends in number 17", 110)[-1].endswith("17")
    assert _caption_lines("short", 110) == ["short"]
    assert _caption_lines("1: boot\n2: bag", 110) == ["1: boot", "2: bag"]


def test_captions_lose_accents_and_characters_the_font_lacks() -> None:
    assert _caption_lines("robe d'été", 500) == ["robe d'ete"]
    assert _caption_lines("短裙 A", 500) == ["?? A"]
    names = ["robe d'été", "短裙", "👟 shoe", "<b>&\"'", "Łódź", ""]
    assert not np.array_equal(_sheet([_boot()] * 6, names), _sheet([_boot()] * 6, [" "] * 6))


def test_page_holds_small_images_whole_and_photos_reduced() -> None:
    assert data_uri(_boot()).startswith("data:image/png;base64,")
    photo = np.random.default_rng(0).integers(0, 256, (1200, 900, 3)).astype(np.uint8)
    assert data_uri(photo).startswith("data:image/jpeg;base64,")
    assert len(data_uri(photo)) < 30_000


def test_mean_image_is_the_mean() -> None:
    pixels = np.array([[[[10]]], [[[20]]], [[[200]]]], dtype=np.uint8)
    found = mean_images(PixelImages(pixels), np.array([0, 0, 2]), 3)
    assert found[0] is not None
    assert found[0].tolist() == [[[15]]]
    assert found[1] is None
    assert found[2] is not None
    assert found[2].tolist() == [[[200]]]


def test_mean_of_many_images_does_not_overflow() -> None:
    pixels = np.full((9000, 2, 2, 1), 255, dtype=np.uint8)
    mean = mean_images(PixelImages(pixels), np.zeros(9000, dtype=np.int64), 1)[0]
    assert mean is not None
    assert (mean == 255).all()


class _Photos(list[NDArray[np.uint8]]):
    def take(self, indices: NDArray[np.int64]) -> "_Photos":
        return _Photos(self[int(i)] for i in indices)


def test_photos_of_different_sizes_have_a_mean() -> None:
    photos = _Photos([np.full((30, 90, 3), 100, np.uint8), np.full((80, 20, 1), 50, np.uint8)])
    mean = mean_images(photos, np.array([0, 0]), 1, edge_px=16)[0]
    assert mean is not None
    assert mean.shape == (16, 16, 3)
    assert (mean == 75).all()


def test_sample_per_class_is_the_same_for_a_seed() -> None:
    labels = np.array([0, 0, 0, 0, 2, -1])
    chosen = sample_per_class(labels, 3, 2, seed=1)
    assert labels[chosen].tolist() == [0, 0, 2]
    assert chosen.tolist() == sample_per_class(labels, 3, 2, seed=1).tolist()


def _dataset() -> Dataset:
    labels = np.array([0, 1, 1, -1, 1, 0])
    return Dataset(
        "drawn",
        "drawn",
        PixelImages(np.stack([_boot()] * 6)),
        (Target("label", ("boot", "bag")),),
        {"label": labels},
        np.array([str(i) for i in range(6)], dtype=object),
    )


def test_sample_can_be_limited_to_one_class() -> None:
    assert sample_indices(_dataset(), class_name="bag").tolist() == [1, 2, 4]
    assert len(sample_indices(_dataset(), count=2)) == 2
    with pytest.raises(DataError) as error:
        sample_indices(_dataset(), class_name="bags")
    assert error.value.code == "class_unknown"
    assert error.value.params["nearest"] == "bag"
    with pytest.raises(DataError) as error:
        sample_indices(_dataset(), count=0)
    assert error.value.code == "sample_size"


def test_terminal_image_without_colour_uses_a_ramp() -> None:
    ramp = np.linspace(0, 255, 20, dtype=np.uint8)[None, :, None].repeat(2, axis=0)
    (line,) = terminal_image(ramp, 20, colour=False).split("\n")
    assert line.lstrip() == "".join(RAMP[i] for i in range(10) for _ in range(2)).lstrip()


def test_terminal_image_shows_each_pixel_in_its_colour() -> None:
    image = np.array([[[1, 2, 3]], [[4, 5, 6]]], dtype=np.uint8)
    assert terminal_image(image, 1, colour=True) == "\x1b[38;2;1;2;3;48;2;4;5;6m▀\x1b[0m"


def test_terminal_image_fits_the_width() -> None:
    for size, width, columns in ((28, 56, 56), (28, 60, 56), (28, 20, 20), (1, 3, 3)):
        lines = terminal_image(_boot(size), width, colour=True).split("\n")
        assert {line.count("▀") for line in lines} == {columns}
        assert len(lines) == -(-columns // 2)  # two pixels a line, and characters are twice as high as wide
    photo = np.zeros((40, 500, 3), dtype=np.uint8)
    assert len(terminal_image(photo, 100, colour=False).split("\n")) == 4


def test_pipe_gets_characters_instead_of_colours() -> None:
    assert "\x1b" not in terminal_image(_boot(), 28)
