"""Photos that show several garments are cropped to the box of each."""

import numpy as np
import pytest

from muslin.errors import ImageError
from muslin.images import crop_to_box

PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def test_a_crop_holds_the_pixels_of_its_box() -> None:
    assert (crop_to_box(PIXELS, (2, 1, 6, 4), "a.jpg") == PIXELS[1:4, 2:6]).all()


def test_a_box_over_the_edges_ends_at_them() -> None:
    assert (crop_to_box(PIXELS, (-3, -2, 100, 2), "a.jpg") == PIXELS[:2]).all()


@pytest.mark.parametrize("box", [(7, 0, 9, 5), (0, 5, 7, 9), (-5, -5, 0, 0), (3, 3, 3, 4)])
def test_a_box_outside_is_refused_with_the_size(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ImageError) as error:
        crop_to_box(PIXELS, box, "a.jpg")
    assert error.value.code == "box_outside"
    assert error.value.params == {"name": "a.jpg", "box": box, "width": 7, "height": 5}
