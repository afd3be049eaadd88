"""What the studio has open: models, uploads and the last inspections, each up to a small number."""

import asyncio
import base64
import json
import math
import threading
from collections import OrderedDict
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.data.photos import IMAGE_SUFFIXES
from muslin.errors import DataError, MuslinError
from muslin.explain.inspection import InspectedModel, Inspection, accuracy_before_and_after, predicted_classes
from muslin.images import encode_png
from muslin.images.decode_worker import decode_in_worker
from muslin.studio.data_sets import DataSets
from muslin.studio.inspection_cache import InspectionCache
from muslin.studio.made_once import MadeOnce
from muslin.studio.model_files import MODEL_SUFFIXES, file_within
from muslin.studio.model_worker import open_within_limits
from muslin.studio.uploads import UploadCache
from muslin.studio.validation_worker import ValidationImages, validation_images
from muslin.studio.walk_examples import Examples, labelled_examples, max_examples
from muslin.web.requests import Body, choice_of, integer_of, text_of, value_of

MODELS_KEPT = 3  # open models; each takes a few times its file's size in memory, up to some 100 MB
MAX_DRAWING_PX = 128  # side of a drawing, which travels in the page's link
ACCURACY_IMAGES = 500  # they take seconds, and give a 95 % interval of at most ± 4.4 points
OPENERS = 2  # models that are opened at a time
MAX_VALIDATION_BYTES = 200_000_000  # of the images of runs that stay in memory
IMAGE_KINDS = ("file", "upload", "golden", "drawing", "sample", "example")

ModelKey = tuple[Path, int, int]
"""A model's path, time of change and size."""


class Workspace:
    """The open models, uploads and inspections of one folder. Safe to use from several threads at once.

    Attributes:
        root: the studio's folder, absolute, with links resolved.
        uploads: the uploaded images.
        data: the data sets of the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uploads = UploadCache()
        self.data = DataSets(root)
        self._lock = threading.Lock()  # held only for the tables, never while a model is opened
        self._models: OrderedDict[ModelKey, Future[InspectedModel]] = OrderedDict()
        self._openers = CapacityLimiter(OPENERS)
        self._inspections = InspectionCache()
        self._validation: MadeOnce[Any, ValidationImages] = MadeOnce(MAX_VALIDATION_BYTES, lambda v: v.pixels.nbytes)
        self._examples: MadeOnce[Any, Examples] = MadeOnce(MAX_VALIDATION_BYTES, lambda e: e.pixels.nbytes)

    def model(self, name: str) -> InspectedModel:
        """The model at `name`, opened once as long as its file stays the same. Other models can be used meanwhile.

        Raises:
            BundleError: it cannot be opened.
            DataError: there is no such file in the folder.
        """
        key = self._model_key(name)
        opened, is_new = self._find_or_add(key)
        if is_new:
            self._finish_opening(opened, key, name)
        return opened.result()

    async def open(self, name: str) -> None:
        """`model`, but without taking a thread while another request opens it.

        Raises:
            BundleError, DataError: as `model`.
        """
        key = self._model_key(name)
        opened, is_new = self._find_or_add(key)
        if is_new:
            await to_thread.run_sync(self._finish_opening, opened, key, name, limiter=self._openers)
        await asyncio.shield(asyncio.wrap_future(opened))

    def _find_or_add(self, key: ModelKey) -> tuple[Future[InspectedModel], bool]:
        """The model as it will be open, and whether the caller must open it."""
        with self._lock:
            is_new = key not in self._models
            opened = self._models.setdefault(key, Future())
            self._models.move_to_end(key)
            if len(self._models) > MODELS_KEPT:
                self._models.popitem(last=False)
        return opened, is_new

    def _finish_opening(self, opened: Future[InspectedModel], key: ModelKey, name: str) -> None:
        try:
            opened.set_result(open_within_limits(key[0], name))
        except BaseException as error:
            with self._lock:
                self._models.pop(key, None)
            opened.set_exception(error)

    def inspection(self, body: Body) -> Inspection:
        """The image in the model, with the edits of both, that a request names.

        Raises:
            MuslinError: the request is invalid, or names an absent file.
        """
        named = value_of(body, "inspection", dict)
        key = self._model_key(text_of(named, "model")), json.dumps(named, sort_keys=True)
        return self._inspections.get(key, lambda: self._inspect(key[1]))

    def _model_key(self, name: str) -> ModelKey:
        path = file_within(self.root, name, MODEL_SUFFIXES)
        stat = path.stat()
        return path, stat.st_mtime_ns, stat.st_size

    def _inspect(self, named_json: str) -> Inspection:
        named = json.loads(named_json)
        source, settings = self._image(named)
        return Inspection(
            self.model(named["model"]),
            source,
            decode=decode_in_worker,
            skip=frozenset(step for step, on in value_of(named, "steps", dict).items() if not on),
            image_edits=value_of(named, "image_edits", dict),
            model_edits=tuple(value_of(named, "model_edits", list)),
            **settings,
        )

    def unchanged(self, body: Body) -> Inspection | None:
        """The inspection without any change, where the one that a request names has some."""
        named = body["inspection"]
        if not any(named.get(name) for name in ("steps", "image_edits", "model_edits")):
            return None
        return self.inspection({"inspection": {name: named[name] for name in ("model", "image")}})

    def thumbnail_pixels(self, body: Body, side: int) -> NDArray[np.uint8]:
        """The image that a request names, decoded at no less than `side` pixels: uint8 (height, width, channels)."""
        source, settings = self._image(body)
        if "preprocessed" in settings:
            return np.asarray(source, np.uint8)
        return decode_in_worker(source, name=settings["name"], min_side_px=side).pixels

    def _image(self, named: Body) -> tuple[Any, dict[str, Any]]:
        """The image that a request names: as a file, or as pixels of the model's size; and arguments of Inspection."""
        kind, _, name = text_of(named, "image").partition(":")
        if kind == "file":
            return file_within(self.root, name, IMAGE_SUFFIXES), {"name": name}
        if kind == "upload":
            return self.uploads.get(name), {"name": "upload"}
        if kind == "sample":
            return self._sample(name, named)
        if kind not in IMAGE_KINDS:
            raise MuslinError("request_choice", name="image", choices=[f"{kind}:" for kind in IMAGE_KINDS])
        bundle = self.model(text_of(named, "model")).bundle
        if kind == "drawing":
            return _drawing(name, bundle.preprocessing.shape)
        if kind == "example":
            pixels = self.examples(text_of(named, "model")).pixels
            return pixels[integer_of({"example": name}, "example", 0, len(pixels) - 1)], {"preprocessed": True}
        number = integer_of({"golden": name}, "golden", 0, len(bundle.golden_pixels) - 1)
        return bundle.golden_pixels[number], {"preprocessed": True}

    def _sample(self, name: str, named: Body) -> tuple[Any, dict[str, Any]]:
        """Image `DATA:INDEX` of a data set, where DATA is percent-encoded; as `_image`."""
        data, _, index = name.rpartition(":")
        image = self.data.open(unquote(data)).image(integer_of({"sample": index}, "sample", -1))
        if image.content is not None and image.box is None:
            return image.content, {"name": image.name}
        pixels = image.full_pixels()
        model = named.get("model")
        if not model or self.model(text_of(named, "model")).bundle.preprocessing.shape == pixels.shape:
            return pixels, {"preprocessed": True}
        return encode_png(pixels), {"name": image.name}

    def examples(self, name: str) -> Examples:
        """Labelled images of the run of the model at `name`, with their predictions: those that the walk is taken over.

        Raises:
            DataError: the model has no target with one class per image, its run does not say what it was trained on,
                or the data are not within the folder.
        """
        return self._examples.get(self._model_key(name), lambda: self._predict_examples(name))

    def _predict_examples(self, name: str) -> Examples:
        model = self.model(name)
        target = walk_target(model)
        images = self._validation_images(name, target.name, max_examples(model.bundle.preprocessing.shape))
        probabilities = model.predictor.predict_pixels(images.pixels)[target.name]
        found = labelled_examples(target, images.pixels, images.labels, probabilities, images.part, images.seen)
        if not len(found.labels):
            raise DataError("walk_without_labels", target=target.name)
        return found

    def _validation_images(self, name: str, target: str, count: int) -> ValidationImages:
        key = self._model_key(name)
        return self._validation.get(
            (key, target, count), lambda: validation_images(self.root, key[0], name, target, count)
        )

    def accuracy(self, body: Body) -> dict[str, Any]:
        """The accuracy before and after the edits, on the golden images or on the run's validation or test images.

        Raises:
            DataError: the model's run does not say what it was trained on, or the data are not within the folder.
        """
        inspection = self.inspection(body)
        model = inspection.inspected
        target = next((t for t in model.bundle.targets if t.name == body.get("target")), model.bundle.targets[0])
        on = choice_of(body, "on", "golden", ("golden", "data"))
        count = integer_of(body, "count", ACCURACY_IMAGES, 10_000)
        edited = model.edited(inspection.model_edits)
        part, seen = "golden", None
        if on == "golden" or target.kind != "multiclass":
            pixels = model.bundle.golden_pixels
            labels = predicted_classes(model.predictor, target, model.predictor.predict_pixels(pixels)[target.name])
        else:
            name = text_of(body["inspection"], "model")
            images = self._validation_images(name, target.name, count)
            pixels, labels, part, seen = images.pixels, images.labels, images.part, images.seen
        found = accuracy_before_and_after(model.predictor, edited.predictor, pixels, target, labels)
        return {"on": on, "part": part, "seen_images": seen, "target": target.name} | found


def walk_target(model: InspectedModel) -> Target:
    """The first target with exactly one class for each image.

    Raises:
        DataError: there is none.
    """
    target = next((target for target in model.bundle.targets if target.kind == "multiclass"), None)
    if target is None:
        raise DataError("walk_target")
    return target


def _drawing(text: str, shape: tuple[int, int, int]) -> tuple[Any, dict[str, Any]]:
    """A drawing, one byte a gray pixel, as base64 for links: of the model's size as its pixels, another as a file."""
    height, width, channels = shape
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        content = b""
    pixels, side = np.frombuffer(content, np.uint8), math.isqrt(len(content))
    if len(content) == height * width and max(height, width) <= MAX_DRAWING_PX:
        return pixels.reshape(height, width, 1).repeat(channels, axis=2), {"preprocessed": True}
    if not 8 <= side <= MAX_DRAWING_PX or len(content) != side * side:
        raise MuslinError("drawing_size", height=height, width=width)
    return encode_png(pixels.reshape(side, side, 1)), {"name": "drawing"}
