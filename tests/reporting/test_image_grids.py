"""Images of images: what one sees is what is in the pixels."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.errors import DataError
from muslin.reporting.image_grids import (
    CELL_PX,
    RAMP,
    apply_colour,
    contact_sheet,
    data_uri,
    mean_images,
    png_bytes,
    resize_to_edge,
    sample_indices,
    sample_per_class,
    sample_sheet,
    terminal_image,
)
from muslin.reporting.pil_text import cut, font_for, wrapped


def _opened(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def _boot(size: int = 28, channels: int = 1) -> NDArray[np.uint8]:
    """An image in which every pixel differs from its neighbours."""
    return np.random.default_rng(size).integers(0, 256, (size, size, channels)).astype(np.uint8)


def test_a_small_image_is_enlarged_by_a_whole_factor_without_inventing_values() -> None:
    image = _boot()
    enlarged = np.asarray(resize_to_edge(image, 112))
    assert np.array_equal(enlarged, image[:, :, 0].repeat(4, axis=0).repeat(4, axis=1))


def test_a_photo_is_made_smaller_and_keeps_its_shape() -> None:
    photo = np.zeros((900, 600, 3), dtype=np.uint8)
    assert resize_to_edge(photo, 150).size == (100, 150)
    assert resize_to_edge(np.zeros((1, 4000, 3), dtype=np.uint8), 150).size == (150, 1)


def test_a_single_image_survives_as_png() -> None:
    for image in (_boot(), _boot(30, 3)):
        assert np.array_equal(_opened(png_bytes(image)).reshape(image.shape), image)


def test_false_colours_rise_in_brightness_with_the_pixel() -> None:
    steps = apply_colour(np.arange(256, dtype=np.uint8)[None, :, None], "false").reshape(256, 3)
    brightness = steps @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) > -1.0).all()  # rounding to whole values lets single steps stand still
    assert len({tuple(step) for step in steps.tolist()}) > 230
    assert tuple(steps[0]) == (68, 1, 84)
    assert tuple(steps[255]) == (253, 231, 37)


def test_a_coloured_image_can_be_shown_gray_and_in_false_colours() -> None:
    image = _boot(8, 3)
    assert apply_colour(image, "own").shape == (8, 8, 3)
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
def test_what_is_no_image_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match="an image"):
        apply_colour(pixels)


def test_an_unknown_colour_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="Known: own, gray, false"):
        apply_colour(_boot(), "sepia")  # type: ignore[arg-type]


def test_a_contact_sheet_holds_every_pixel_of_its_images() -> None:
    images = [_boot(), _boot(20)]
    sheet = _opened(contact_sheet(images, ["boot", "shoe"], columns=2, scale=4))
    gray = sheet[:, :, 0]
    for image in images:
        wanted = image[:, :, 0].repeat(4, axis=0).repeat(4, axis=1)
        places = np.argwhere(gray == wanted[0, 0])
        height, width = wanted.shape
        assert any(np.array_equal(gray[y : y + height, x : x + width], wanted) for y, x in places)


def test_a_contact_sheet_has_as_many_columns_as_asked_for() -> None:
    images = [_boot()] * 6
    two = _opened(contact_sheet(images, [""] * 6, columns=2))
    three = _opened(contact_sheet(images, [""] * 6, columns=3))
    assert three.shape[1] - two.shape[1] == CELL_PX + 16
    assert two.shape[0] > three.shape[0]


def test_right_and_wrong_differ_by_shape_not_only_by_colour() -> None:
    """Seen without colour, a wrong answer still has a broken frame that a right one has not."""
    sheets = [
        np.asarray(
            Image.open(io.BytesIO(contact_sheet([_boot()], ["boot"], marks=[mark]))).convert("L"), np.int64
        )
        for mark in (True, False)
    ]
    right, wrong = (sheet < 160 for sheet in sheets)
    left_edge = 24 - 4
    frame = [dark[24 : 24 + CELL_PX, left_edge : left_edge + 3].mean() for dark in (right, wrong)]
    assert frame[0] == 0
    assert 0.4 < frame[1] < 0.9  # broken: neither absent nor solid


def test_a_caption_too_many_or_too_few_is_named() -> None:
    with pytest.raises(DataError, match="1 captions for 2 images"):
        contact_sheet([_boot()] * 2, ["boot"])
    with pytest.raises(DataError, match="1 marks for 2 images"):
        contact_sheet([_boot()] * 2, ["boot"] * 2, marks=[True])
    with pytest.raises(DataError, match="no image"):
        contact_sheet([], [])
    with pytest.raises(DataError, match="columns 0"):
        contact_sheet([_boot()], ["boot"], columns=0)


def test_a_long_caption_keeps_both_its_ends_within_the_width() -> None:
    for name in ("a very long class name that ends in seventeen 17", "x" * 200, "短" * 80, "👟" * 30):
        for line in wrapped(name, 13, 100):
            assert font_for(line, 13).getlength(line) <= 100
    assert cut("a very long class name number 17", 13, 110).endswith("17")
    assert cut("short", 13, 110) == "short"


def test_captions_in_any_script_are_drawn() -> None:
    names = ["robe d'été", "短裙", "👟 shoe", "<b>&\"'", "Łódź", ""]
    empty = contact_sheet([_boot()] * 6, [" "] * 6)
    assert contact_sheet([_boot()] * 6, names) != empty


def test_a_small_image_stands_in_a_page_whole_and_a_photo_small() -> None:
    assert data_uri(_boot()).startswith("data:image/png;base64,")
    photo = np.random.default_rng(0).integers(0, 256, (1200, 900, 3)).astype(np.uint8)
    assert data_uri(photo).startswith("data:image/jpeg;base64,")
    assert len(data_uri(photo)) < 30_000


def test_the_mean_image_is_the_mean() -> None:
    pixels = np.array([[[[10]]], [[[20]]], [[[200]]]], dtype=np.uint8)
    found = mean_images(PixelImages(pixels), np.array([0, 0, 2]), 3)
    assert found[0] is not None
    assert found[0].tolist() == [[[15]]]
    assert found[1] is None
    assert found[2] is not None
    assert found[2].tolist() == [[[200]]]


def test_the_mean_of_many_images_does_not_overflow() -> None:
    pixels = np.full((9000, 2, 2, 1), 255, dtype=np.uint8)
    mean = mean_images(PixelImages(pixels), np.zeros(9000, dtype=np.int64), 1)[0]
    assert mean is not None
    assert (mean == 255).all()


class _Photos(list[NDArray[np.uint8]]):
    def take(self, indices: NDArray[np.int64]) -> "_Photos":
        return _Photos(self[int(i)] for i in indices)


def test_photos_of_any_size_have_a_mean_too() -> None:
    photos = _Photos([np.full((30, 90, 3), 100, np.uint8), np.full((80, 20, 1), 50, np.uint8)])
    mean = mean_images(photos, np.array([0, 0]), 1, edge_px=16)[0]
    assert mean is not None
    assert mean.shape == (16, 16, 3)
    assert (mean == 75).all()


def test_a_sample_has_some_of_each_class_and_is_the_same_again() -> None:
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


def test_one_can_ask_for_images_of_one_class() -> None:
    assert sample_indices(_dataset(), class_name="bag").tolist() == [1, 2, 4]
    assert len(sample_indices(_dataset(), count=2)) == 2
    with pytest.raises(DataError, match=r"no class 'bags'\. Did you mean bag\?"):
        sample_indices(_dataset(), class_name="bags")
    with pytest.raises(DataError, match="ask for 1 or more"):
        sample_indices(_dataset(), count=0)


def test_a_sample_sheet_is_drawn_from_a_data_set() -> None:
    assert _opened(sample_sheet(_dataset())).ndim == 3
    assert _opened(sample_sheet(_dataset(), np.array([3]), colour="false")).ndim == 3


def test_a_image_in_a_terminal_without_colours_goes_from_dark_to_bright() -> None:
    ramp = np.linspace(0, 255, 20, dtype=np.uint8)[None, :, None].repeat(2, axis=0)
    (line,) = terminal_image(ramp, 20, colour=False).split("\n")
    assert line.lstrip() == "".join(RAMP[i] for i in range(10) for _ in range(2)).lstrip()


def test_a_image_in_a_terminal_shows_each_pixel_in_its_colour() -> None:
    image = np.array([[[1, 2, 3]], [[4, 5, 6]]], dtype=np.uint8)
    assert terminal_image(image, 1, colour=True) == "\x1b[38;2;1;2;3;48;2;4;5;6m▀\x1b[0m"


def test_a_image_in_a_terminal_fits_the_width_there_is() -> None:
    for size, width, columns in ((28, 56, 56), (28, 60, 56), (28, 20, 20), (1, 3, 3)):
        lines = terminal_image(_boot(size), width, colour=True).split("\n")
        assert {line.count("▀") for line in lines} == {columns}
        assert len(lines) == -(-columns // 2)  # two pixels a line, and characters are twice as high as wide
    photo = np.zeros((40, 500, 3), dtype=np.uint8)
    assert len(terminal_image(photo, 100, colour=False).split("\n")) == 4


def test_a_pipe_gets_characters_instead_of_colours() -> None:
    assert "\x1b" not in terminal_image(_boot(), 28)
    with pytest.raises(DataError, match="0 columns"):
        terminal_image(_boot(), 0)
