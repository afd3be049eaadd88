"""The model from whose weights a training starts, and the images that it has seen: the new model has seen them too."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Split
from muslin.errors import RecipeError, TrainingError
from muslin.learn.networks import is_backbone
from muslin.learn.pretrained import muslin_file
from muslin.learn.recipes import FineTuneRecipe, LinearProbeRecipe, Recipe, cross_fitting_folds
from muslin.messages import Message
from muslin.models.bundle import open_bundle
from muslin.models.seen_images import ImageDigests, ImageRole, SeenImages
from muslin.workflows.selected_part import unseen_indices


@dataclass(frozen=True, eq=False)
class StartModel:
    """A model whose backbone a training takes over.

    Attributes:
        path: its file.
        seen_images: the images that it was trained and validated on.
    """

    path: Path
    seen_images: SeenImages

    @property
    def record(self) -> dict[str, str]:
        """What `run.json` says of it."""
        with self.path.open("rb") as file:
            return {"path": str(self.path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def start_settings(weights: str) -> dict[str, Any]:
    """The settings `network` and `image_size` of the muslin model that a setting `weights` names.

    Empty where it names no such model, or one without a backbone, which `open_start_model` refuses.

    Raises:
        BundleError: the model cannot be opened.
    """
    path = muslin_file(weights)
    if path is None:
        return {}
    bundle = open_bundle(path)
    network, height, width = bundle.network.get("name"), bundle.preprocessing.height, bundle.preprocessing.width
    return {"network": network, "image_size": height} if is_backbone(network) and height == width else {}


def open_start_model(recipe: Recipe, transform: str) -> StartModel | None:
    """The model that the recipe's setting `weights` names; None where it names none.

    Args:
        transform: of the data; its images can be recognised only if they are made as those of the model.

    Raises:
        BundleError: the model cannot be opened.
        RecipeError: it has another network or another input than the recipe, or does not say what it was trained on.
    """
    path = muslin_file(recipe.weights) if isinstance(recipe, FineTuneRecipe | LinearProbeRecipe) else None
    if path is None:
        return None
    bundle = open_bundle(path)
    network = str(bundle.network.get("name", ""))
    if network != recipe.network:
        expected = network if is_backbone(network) else None
        raise RecipeError(
            "start_network", path=str(path), found=network or None, expected=recipe.network, network=expected
        )
    height, width, channels = bundle.preprocessing.shape
    if bundle.preprocessing.shape != (recipe.image_size, recipe.image_size, 3):
        size = width if height == width and channels == 3 else None
        found = f"{width}×{height}×{channels}"
        raise RecipeError("start_image_size", path=str(path), found=found, expected=recipe.image_size, size=size)
    if bundle.preprocessing.transform != transform:
        raise RecipeError("start_transform", path=str(path), found=bundle.preprocessing.transform, expected=transform)
    if bundle.seen_images is None:
        raise RecipeError("start_without_images", path=str(path))
    return StartModel(path, bundle.seen_images)


def without_start_images(
    start: StartModel, name: str, parts: Split, digests: ImageDigests, recipe: Recipe
) -> tuple[Split, NDArray[np.bool_], list[Message]]:
    """The parts without validation images that `start` was trained on and test images that it has seen.

    Returns:
        Also bool (n,), of all images those that `start` was trained on, which calibrate nothing; and notes.

    Raises:
        DataError: it has seen all images of a part.
        TrainingError: it was trained on all images that would calibrate the new model.
    """
    roles, kept, calibrating = start.seen_images.roles(digests), {}, parts.validation
    if cross_fitting_folds(recipe):
        calibrating = np.concatenate([parts.train, parts.validation])
    notes = [Message("start_model", path=str(start.path), n=sum(start.seen_images.counts().values()))]
    trained_on = roles == ImageRole.TRAIN
    if len(calibrating) and trained_on[calibrating].all():
        raise TrainingError("start_has_seen_all", path=str(start.path), name=name)
    for part, is_seen in (("validation", trained_on), ("test", roles != ImageRole.NEW)):
        indices = getattr(parts, part)
        if n_seen := int(is_seen[indices].sum()):
            shown = np.where(is_seen[indices], roles[indices], ImageRole.NEW).astype(np.int8)
            kept[part] = indices[unseen_indices(name, shown)]
            notes.append(Message("start_images_set_aside", part=part, n=len(indices), seen=n_seen))
    return replace(parts, **kept), trained_on, notes
