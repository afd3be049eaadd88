"""Edits of an image, with results worked out by hand."""

import numpy as np
import pytest

from muslin.explain.image_edits import IMAGE_EDITS, edge_colour, edit_image


@pytest.fixture(params=[1, 3], ids=["gray", "colour"])
def pixels(request: pytest.FixtureRequest) -> np.ndarray:
    image = np.full((6, 8, request.param), 7, np.uint8)
    image[2:4, 3:5] = np.random.default_rng(0).integers(0, 256, (2, 2, request.param))
    return image


@pytest.mark.parametrize(("x_px", "y_px"), [(2, 0), (-3, 1), (0, -2), (100, 0)])
def test_translation_moves_pixels_and_fills_with_the_edge(pixels: np.ndarray, x_px: int, y_px: int) -> None:
    expected = np.full_like(pixels, 7)
    for y in range(6):
        for x in range(8):
            if 0 <= y + y_px < 6 and 0 <= x + x_px < 8:
                expected[y + y_px, x + x_px] = pixels[y, x]
    edited = edit_image(pixels, {"translate_x": x_px, "translate_y": y_px})
    np.testing.assert_array_equal(edited, expected)


def test_rotation_by_a_half_turn_reverses_both_axes(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(edit_image(pixels, {"rotate": 180}), pixels[::-1, ::-1])


def test_brightness_contrast_and_inversion_are_linear(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(edit_image(pixels, {"invert": 1}), 255 - pixels)
    brighter = edit_image(pixels, {"brightness": 0.2})
    np.testing.assert_array_equal(brighter, np.clip(np.rint(pixels + 51.0), 0, 255))
    flat = edit_image(pixels, {"contrast": 0.0})
    assert np.unique(flat).tolist() == [128]


def test_neutral_amounts_change_nothing(pixels: np.ndarray) -> None:
    neutral = {name: amount for name, (_, _, amount) in IMAGE_EDITS.items()}
    np.testing.assert_array_equal(edit_image(pixels, neutral), pixels)
    assert edge_colour(pixels).tolist() == [7] * pixels.shape[2]
