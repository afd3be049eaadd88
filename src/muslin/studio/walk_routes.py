"""The paths below /api/walk: what a learner's six steps and "my own photo" need beside the pages of a model."""

from collections.abc import Callable
from typing import Any

import numpy as np

from muslin.errors import DataError
from muslin.images import encode_png
from muslin.studio.shown_paths import without_folders
from muslin.studio.walk_photo import compare_photo, crop, even_ground, nearest_images
from muslin.studio.walk_record import training_of
from muslin.studio.workspace import Workspace, walk_target
from muslin.web.requests import Body, integer_of, number_of, text_of, value_of

CROP_FROM_PX = 1024  # a photo is decoded no smaller than this before a part of it is cut out
CROP_SIDES = ("left", "top", "right", "bottom")


def walk(workspace: Workspace, body: Body) -> dict[str, Any]:
    """The training of a model, and the images that the walk is taken over."""
    name = text_of(body, "model")
    target = walk_target(workspace.model(name))
    training, examples, reason = training_of(workspace.root, name), None, None
    try:
        examples = workspace.examples(name).to_dict()
    except DataError as error:
        reason = error
    return {
        "target": target.name,
        "classes": list(target.classes),
        "training": training,
        "examples": examples,
        "reason": reason and without_folders(reason.message),
    }


def compare(workspace: Workspace, body: Body) -> dict[str, Any]:
    """A photo beside the images that the model knows, as the network takes them, and the decision on it."""
    inspection = workspace.inspection(body)
    model = inspection.inspected
    target, name = walk_target(model), text_of(value_of(body, "inspection", dict), "model")
    predictor = inspection.model.predictor
    pixels = inspection.pixels
    prediction = predictor.predict([pixels])[0].predictions[target.name]
    try:
        examples = workspace.examples(name)
        known, labels = examples.pixels, examples.labels
    except DataError:
        known, labels = model.bundle.golden_pixels, None
    nearest: list[int] = []
    if labels is not None:
        of_class = np.flatnonzero(labels == target.classes.index(prediction.label))
        nearest = of_class[nearest_images(pixels, known[of_class])].tolist() if len(of_class) else []
    return {
        "known": len(known),
        "comparisons": compare_photo(pixels, known) if len(known) else [],
        "nearest": nearest,
        "label": prediction.label,
        "probability": float(prediction.probability),
        "decision": prediction.decision,
    }


def cut_out(workspace: Workspace, body: Body) -> dict[str, Any]:
    """A part of an image, by request with a white ground, kept as an upload."""
    pixels = workspace.thumbnail_pixels(body, CROP_FROM_PX)
    left, top, right, bottom = (number_of(body, side, 0, 1) for side in CROP_SIDES)
    part = crop(pixels, min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    part = even_ground(part, integer_of(body, "ground", 0, 255))
    key, decoded = workspace.uploads.add(encode_png(np.ascontiguousarray(part)))
    height, width, _ = decoded.pixels.shape
    return {"image": f"upload:{key}", "width": width, "height": height, "notes": decoded.notes}


WALK_ROUTES: dict[str, Callable[[Workspace, Body], Any]] = {"walk": walk, "walk/compare": compare, "walk/crop": cut_out}
"""The paths below /api/, all POST."""
