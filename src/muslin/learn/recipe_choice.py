"""Which recipe suits data: what `--recipe auto` takes, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from muslin.data.dataset import Dataset
from muslin.data.photos import PhotoImages
from muslin.errors import ImageError
from muslin.learn.networks import is_backbone
from muslin.learn.pretrained import INSTALL, has_imagenet_weights
from muslin.learn.recipes import RECIPES, Recipe, recipe

AUTO = "auto"
"""The name that means: whichever recipe suits the data."""

SMALL_PX = (32, 128)
"""The longest side of images that `small-photo` is for."""

PASSED_OVER = 320_000
"""Images that `small-photo` goes through in all where there are many: 16 times 20,000. Half an hour on two cores."""

HEADERS = 64
"""Photos, evenly spread over the set, whose headers are read to tell their size and whether they are gray."""

GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})
"""As Pillow calls them."""


@dataclass(frozen=True)
class Choice:
    """A recipe that was chosen; `why` is a sentence with the reason and the alternative."""

    recipe: Recipe
    why: str


@dataclass(frozen=True)
class ImageProfile:
    """What decides: `longest_px` is the median of the images' longest sides, `seen` what they are, for a person."""

    in_files: bool
    gray: bool
    longest_px: int
    seen: str


def choose_recipe(dataset: Dataset, train_count: int, settings: Mapping[str, Any]) -> Choice:
    """The recipe for `dataset`, by its images' size and channels, their number, and what is installed.

    Args:
        train_count: how many of the images there are to learn from.
        settings: what the user wants changed; it holds against whatever would be chosen.

    Raises:
        RecipeError: a setting is unknown or out of range.
    """
    look = _image_profile(dataset)
    network = RECIPES["photo"].network
    wants_scratch = "widths" in settings or not is_backbone(settings.get("network", network))
    if look.in_files and look.longest_px > SMALL_PX[1] and not wants_scratch:
        if has_imagenet_weights(str(settings.get("network", network))) or "weights" in settings:
            why = (
                f"{look.seen} suit a network that knows ImageNet. More accurate, in minutes for some thousand photos: "
                "--recipe photo-tuned; from scratch: --recipe small-photo"
            )
            return Choice(recipe("photo", **settings), f"recipe photo: {why}")
        why = f"{look.seen}. More accurate, with ImageNet weights, would be the recipe photo: {INSTALL}"
        name = "small-photo"
    elif look.gray or look.longest_px < SMALL_PX[0] or (not look.in_files and look.longest_px > SMALL_PX[1]):
        name, why = "quick", f"{look.seen}. Slower: --recipe {'tutorial' if look.gray else 'small-photo'}"
    else:
        name, why = "small-photo", f"{look.seen}. In a fraction of the time, less accurate: --recipe quick"
    usual, fitting, said = RECIPES[name], {}, ""
    if look.in_files and look.longest_px < usual.image_size:
        fitting["image_size"] = max(look.longest_px, 16)
    if name == "small-photo" and "epochs" not in settings and train_count * usual.epochs > PASSED_OVER:
        fitting["epochs"] = max(round(PASSED_OVER / train_count), 2)
        said = f"; {fitting['epochs']} epochs, as there are many (--epochs {usual.epochs} takes longer)"
    return Choice(recipe(name, **{**fitting, **settings}), f"recipe {name}: {why}{said}")


def _image_profile(dataset: Dataset) -> ImageProfile:
    from muslin.images import read_header

    images = dataset.images
    if not isinstance(images, PhotoImages):
        height, width, channels = images[0].shape if len(images) else (1, 1, 1)
        kind = "gray" if channels == 1 else "colour"
        return ImageProfile(False, channels == 1, max(height, width), f"{kind} images of {width}×{height} px")
    longest, modes = [], set()
    for index in np.unique(np.linspace(0, len(images) - 1, min(len(images), HEADERS)).astype(int)).tolist():
        photo = images.photos[index]
        try:
            height, width, mode = read_header(photo.content(), name=photo.name)
        except ImageError:
            continue  # said when it is to be learned from
        if photo.box:
            left, top, right, bottom = photo.box
            height, width = bottom - top, right - left
        longest.append(max(height, width))
        modes.add(mode)
    if not longest:
        return ImageProfile(True, False, SMALL_PX[1] + 1, "photos")
    side = int(median(longest))
    gray = modes <= GRAY_MODES
    return ImageProfile(
        True, gray and side <= SMALL_PX[1], side, f"{'gray' if gray else 'colour'} photos of about {side} px"
    )
