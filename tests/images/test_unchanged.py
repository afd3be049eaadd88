"""What is said to be unchanged for many images at once is unchanged for each."""

import numpy as np
import pytest

from muslin.images import TRANSFORMS, apply_transform, is_unchanged


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_unchanged_images_are_unchanged(transform: str, channels: int) -> None:
    random = np.random.default_rng(0)
    found = set()
    for _ in range(60):
        pixels = random.integers(0, 256, (3, 6, 5, channels), np.uint8)
        corners = random.integers(0, 2, (3, 2, 2, 1), np.uint8) * 255
        pixels[:, ::5, ::4] = corners
        each = [apply_transform(image, transform, (6, 5, channels)) for image in pixels]
        same = all(note is None and (after == image).all() for (after, note), image in zip(each, pixels, strict=True))
        found.add((is_unchanged(pixels, transform), same))
        alone = [is_unchanged(pixels[place : place + 1], transform) for place in range(len(pixels))]
        assert all(alone) == is_unchanged(pixels, transform)
    assert (True, False) not in found
    assert (True, True) in found or channels == 3
    assert not is_unchanged(pixels, "no such transform")
