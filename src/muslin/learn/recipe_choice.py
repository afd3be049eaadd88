"""The recipe that suits a data set: what `--recipe auto` chooses, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from muslin.data.dataset import Dataset
from muslin.data.draws import evenly_spaced
from muslin.data.photos import PhotoImages
from muslin.errors import ImageError
from muslin.extras import install_command
from muslin.images import read_header
from muslin.learn.networks import is_backbone
from muslin.learn.pretrained import has_imagenet_weights
from muslin.learn.recipes import RECIPES, LinearProbeRecipe, Recipe, recipe, settings
from muslin.messages import Message

AUTO = "auto"
"""The name that means: the recipe that suits the data."""

FROM_SCRATCH = "small-photo"
"""The recipe for photos without pretrained weights."""

SMALL_PX = (32, 128)
"""The longest side of images for which `small-photo` is made."""

MAX_IMAGES_SEEN = 320_000
"""Images that `small-photo` sees in all epochs: 16 times 20,000. Half an hour on two cores."""

SAMPLED_HEADERS = 64
"""Photos, evenly spaced over the set, whose headers are read for their size and mode."""

GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})
"""Names in Pillow."""


@dataclass(frozen=True)
class RecipeChoice:
    """A recipe, and why.

    Attributes:
        reason: if muslin chose it.
        expected_s: seconds that it is expected to take on this machine, if measured.
        alternative: a recipe that suits the images as well; only a trial shows which is better.
    """

    recipe: Recipe
    reason: Message | None = None
    expected_s: float | None = None
    alternative: LinearProbeRecipe | None = None


def base_recipe(changes: Mapping[str, Any]) -> Recipe:
    """`small-photo`, or `photo` where only that reads the changed settings. Checks the settings before data are read.

    Raises:
        RecipeError: a setting is unknown or out of range.
    """
    unread = changes.keys() - settings(type(RECIPES[FROM_SCRATCH])).keys()
    return recipe("photo" if unread and _reads_all("photo", changes) else FROM_SCRATCH, **changes)


def choose_recipe(dataset: Dataset, train_count: int, changes: Mapping[str, Any]) -> RecipeChoice:
    """The recipe for `dataset`, by the images' size and channels, their number, and the installed weights.

    Args:
        train_count: number of training images.
        changes: settings that the user changes in whichever recipe is chosen.

    Raises:
        RecipeError: a setting is unknown, out of range, or not read by the recipe.
    """
    in_files = isinstance(dataset.images, PhotoImages)
    gray, side = _gray_and_side(dataset)
    longest_px = side or SMALL_PX[1] + 1
    network = str(changes.get("network", RECIPES["photo"].network))
    suits_photo = _reads_all("photo", changes) and is_backbone(network)
    name, code = FROM_SCRATCH, "chose_small_photo"
    probe = None
    if in_files and suits_photo and (has_imagenet_weights(network) or "weights" in changes):
        probe = recipe("photo", **changes)
    if in_files and longest_px > SMALL_PX[1] and suits_photo:
        if probe:
            return RecipeChoice(probe, Message("chose_photo", side=side))
        code = "chose_small_photo_without_weights"
    elif gray or longest_px < SMALL_PX[0] or (not in_files and longest_px > SMALL_PX[1]):
        name, code = "quick", "chose_quick"
    row, fitted = RECIPES[name], {}
    if in_files and longest_px < row.image_size:
        fitted["image_size"] = max(longest_px, 16)
    if name == FROM_SCRATCH and "epochs" not in changes and train_count * row.epochs > MAX_IMAGES_SEEN:
        fitted["epochs"] = max(round(MAX_IMAGES_SEEN / train_count), 2)
    epochs = {"epochs": fitted.get("epochs"), "full_epochs": row.epochs}
    slower = "tutorial" if gray else FROM_SCRATCH
    reason = Message(code, side=side, **epochs, install=install_command("train"), slower=slower)
    comparable = name == FROM_SCRATCH and "epochs" not in changes  # which are another thing in a linear probe
    alternative = probe if comparable and isinstance(probe, LinearProbeRecipe) else None
    return RecipeChoice(recipe(name, **{**fitted, **changes}), reason, alternative=alternative)


def _reads_all(name: str, changes: Mapping[str, Any]) -> bool:
    return changes.keys() <= settings(type(RECIPES[name])).keys()


def _gray_and_side(dataset: Dataset) -> tuple[bool, int | None]:
    """Whether all images are gray, and photos also at most `SMALL_PX[1]` long; and the median of their longest sides,
    None if unknown. Of photos by a sample of their headers."""
    images = dataset.images
    if not isinstance(images, PhotoImages):
        height, width, channels = images[0].shape if len(images) else (1, 1, 1)
        return channels == 1, max(height, width)
    longest, modes = [], set()
    for index in evenly_spaced(len(images), SAMPLED_HEADERS).tolist():
        photo = images.photos[index]
        try:
            height, width, mode = read_header(photo.content(), name=photo.name)
        except ImageError:
            continue  # reported when the photos are decoded
        if photo.box:
            left, top, right, bottom = photo.box
            height, width = bottom - top, right - left
        longest.append(max(height, width))
        modes.add(mode)
    side = int(median(longest)) if longest else None
    return side is not None and modes <= GRAY_MODES and side <= SMALL_PX[1], side
