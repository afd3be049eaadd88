"""Bundle + images → Predictions, with ONNX Runtime: no torch, and nothing that trains.

Read from `Predictor.predict` down: images are decoded and transformed by `muslin.images`, stacked into batches and
given to the graph, which does the rest.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.archives import FolderNotes, walk
from muslin.data.dataset import Target
from muslin.data.photos import IMAGE_SUFFIXES, is_hidden, ordered_map
from muslin.errors import BundleError, DataError, ImageError, RecipeError, unknown
from muslin.evaluation.precision_choice import Acceptance, acceptance_table, of_products
from muslin.evaluation.selective import (
    DEFAULT_PRECISION,
    AcceptancePolicy,
    acceptance_policy,
    calibrate_probabilities,
    check_guarantee,
    triage,
)
from muslin.evaluation.thresholds import change_thresholds, default_thresholds
from muslin.machine import physical_cores
from muslin.models import runtime
from muslin.models.bundle import FEATURES, PROBABILITY_RANGE, Bundle, check_tensor, open_bundle
from muslin.models.container import locating_errors
from muslin.models.input_cache import DigestedPhotos, image_key
from muslin.models.output_cache import OOD_SCORE, OutputCache, PhotoOutput
from muslin.models.photo_pipeline import batch_size, infer_stream
from muslin.models.photo_reading import ReadImage, read_image
from muslin.models.prediction import Prediction, target_prediction
from muslin.models.product_prediction import ProductPrediction, ProductRule, predict_products
from muslin.models.runtime import Sessions, run_session, runtime_errors
from muslin.models.seen_images import digest_images
from muslin.storage.boundary import UNBOUNDED, boundary_of
from muslin.storage.local_path import check_local

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

GOLDEN_TOLERANCE = 1e-3
"""How far a golden image's probabilities may be from the sealed ones. Absolute.

Processors add in different orders, which moved float32 probabilities by less than 3e-6; a scale of 1/256 instead of
1/255 moves one in 16 images by 4e-3, two swapped classes by tenths (docs/reference/bundle.md).
"""

MODEL_FILE = "model.muslin"
"""The bundle's name in a run's folder."""

_BATCH_VALUES = 256 * 28 * 28  # pixel values in a batch: keeps the cores busy, and fits their caches
_MAX_BATCH_VALUES = 2**28  # values of all tensors for a batch: 1 GiB of float32
CHUNK = 64
"""Photos that are journalled together."""


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """A model's output for `n` images, before any decision.

    Attributes:
        raw_probabilities: per target's name float32 (n, classes): the network's own probabilities.
        probabilities: the same, calibrated where the bundle has calibration data.
        is_ood: bool (n,): whether an image is out of distribution; None where the bundle has no OOD detector.
    """

    raw_probabilities: Mapping[str, Floats]
    probabilities: dict[str, Floats]
    is_ood: NDArray[np.bool_] | None


def concat_outputs(outputs: Sequence[ModelOutput]) -> ModelOutput:
    """The outputs for one or more batches of images as one."""
    if len(outputs) == 1:
        return outputs[0]

    def concat(attribute: str) -> dict[str, Floats]:
        batches: list[dict[str, Floats]] = [getattr(output, attribute) for output in outputs]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

    is_ood = [output.is_ood for output in outputs if output.is_ood is not None]
    return ModelOutput(concat("raw_probabilities"), concat("probabilities"), np.concatenate(is_ood) if is_ood else None)


class Predictor:
    """A bundle that predicts. Safe to use from several threads at once.

    Attributes:
        bundle: the model.
        threads: threads of the network and of the decoding; by default the physical cores.
        path: the file from which `open` read the bundle; None for a bundle in memory.

    Errors call the bundle `name`: its path, where it has one. With `check`, the golden images are predicted and
    compared; only a bundle edited on purpose is opened without it.

    Raises:
        BundleError: the graph cannot be run, does not fit the bundle, or its probabilities for the golden images are
            not the sealed ones.
        RecipeError: fewer threads than one.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, name: str = "bundle", *, check: bool = True) -> None:
        self.bundle = bundle
        self.threads = physical_cores() if threads is None else threads
        if self.threads < 1:
            raise RecipeError("threads_range", found=self.threads)
        self.path: Path | None = None
        self.cache: OutputCache | None = None
        self.name = name
        per_batch = _BATCH_VALUES // math.prod(bundle.preprocessing.shape)
        self._batch_size = max(1, min(per_batch, _MAX_BATCH_VALUES // bundle.cost.values))
        with locating_errors(path=name):
            self._sessions = Sessions(lambda threads: _checked_session(bundle, threads), self.threads)
            if check:
                self._check_golden_images()

    def __repr__(self) -> str:
        return f"<Predictor of {self.name}: {', '.join(target.name for target in self.targets)}>"

    @classmethod
    def open(cls, path: str | Path, threads: int | None = None, name: str | None = None) -> "Predictor":
        """Open a .muslin file, or the one in a run's folder.

        Args:
            name: what errors call the file; by default its path.

        Raises:
            BundleError: see `muslin.models.bundle.open_bundle`; or the folder holds no model.
        """
        check_local(path)
        path = Path(path)
        if os.path.isdir(path):
            path = path / MODEL_FILE
            if not path.exists():
                raise BundleError("bundle_missing", "run", path=name or str(path))
        predictor = cls(open_bundle(path, name), threads, name=name or str(path))
        predictor.path = path
        return predictor

    @property
    def targets(self) -> tuple[Target, ...]:
        """The bundle's targets, in order."""
        return self.bundle.targets

    @property
    def thresholds(self) -> dict[str, tuple[float, ...]]:
        """Minimum probabilities for predicting a label, for every target that has any (`Bundle.thresholds`)."""
        return default_thresholds(self.targets) | dict(self.bundle.thresholds)

    def with_thresholds(self, changes: Mapping[str, float]) -> "Predictor":
        """The same predictor with other thresholds.

        Args:
            changes: numbers from 0 to 1 by the name of a target or a class; "" changes all. Of two classes, the
                minimum probability for predicting the named one (the second, for a target's name or "").

        Raises:
            DataError: an unknown name, or a number out of range.
        """
        twin = copy(self)
        thresholds = change_thresholds(self.targets, self.bundle.thresholds, changes)
        twin.bundle = replace(self.bundle, thresholds=thresholds)
        return twin

    def with_cache(self) -> "Predictor":
        """The same predictor, which caches the network's output for photos in files, by their content.

        Only photos whose content is new are decoded then; predictions are the same.
        """
        twin = copy(self)
        twin.cache = OutputCache(self.bundle)
        return twin

    def predict(
        self,
        images: Any,
        *,
        precision: float = DEFAULT_PRECISION,
        guarantee: str = "overall",
        allow_outside: bool = False,
    ) -> list[Prediction]:
        """One Prediction per image, in order.

        Args:
            images: one image or several: paths, a file's bytes, arrays uint8 (height, width) or (height, width,
                channels), PIL images. A folder stands for the images in and below it, in order of their names, without
                hidden ones.
            precision: precision target of the accepted predictions, from 0.5 to below 1.
            guarantee: `overall` or `per-class`; see `muslin.evaluation.selective.AcceptancePolicy`.
            allow_outside: also open what a link in a folder names outside of it.

        Raises:
            DataError: a folder without images; or `precision` or `guarantee` is out of range.
        """
        named = named_images(images, allow_outside)
        return list(self.predict_named(named, precision=precision, guarantee=guarantee))

    def predict_iter(
        self,
        images: Any,
        *,
        precision: float = DEFAULT_PRECISION,
        guarantee: str = "overall",
        allow_outside: bool = False,
    ) -> Iterator[Prediction]:
        """`predict`, one image after the other, for any number of images: a few dozen are in memory at a time."""
        yield from self.predict_named(named_images(images, allow_outside), precision=precision, guarantee=guarantee)

    def predict_named(
        self, images: Iterable[tuple[str, Any]], *, precision: float = DEFAULT_PRECISION, guarantee: str = "overall"
    ) -> Iterator[Prediction]:
        """`predict_iter` for pairs of a name and an image. No image is a folder.

        An image may also be a `Photo`, or an ImageError: the reason why it cannot be read.
        """
        policies = self.policies(precision, guarantee)
        for chunk in self._infer_stream(images):
            yield from self._predict_chunk(chunk, policies)

    def predict_products(
        self, products: Mapping[str, Any], *, precision: float = DEFAULT_PRECISION, guarantee: str = "overall"
    ) -> Iterator[ProductPrediction]:
        """One ProductPrediction per product, in order, from all its photos; a few dozen images are in memory at a time.

        The photos' calibrated probabilities are combined (`muslin.evaluation.products.combine`). A model that was
        trained on products has calibrated the result again, and its guarantee holds per product. Any other model's
        guarantee holds per photo: a product is accepted only where all its photos are, with the same label. Products
        whose photos contradict each other go to review. Photos out of scope are left out; where at least half are, so
        is the product.

        Args:
            products: per product's name its images, as `predict` takes them.
            precision, guarantee: of the accepted products, as of `predict`.

        Raises:
            DataError: a folder without images; or `precision` or `guarantee` is out of range.
        """
        named = ((name, named_images(images)) for name, images in products.items())
        yield from self.predict_named_products(named, precision=precision, guarantee=guarantee)

    def predict_named_products(
        self,
        products: Iterable[tuple[str, Iterable[tuple[str, Any]]]],
        *,
        precision: float = DEFAULT_PRECISION,
        guarantee: str = "overall",
    ) -> Iterator[ProductPrediction]:
        """`predict_products` for pairs of a name and images, which are those of `predict_named`."""
        policies = self.product_policies(precision, guarantee)
        rule = ProductRule(self.targets, self.bundle.product_calibration, policies)
        predict_photos = partial(self.predict_named, precision=precision, guarantee=guarantee)
        yield from predict_products(predict_photos, products, rule)

    def predict_pixels(self, pixels: Pixels, batch_size: int | None = None) -> dict[str, Floats]:
        """Calibrated probabilities for images of the size that the network takes.

        Args:
            pixels: uint8 (n, height, width, channels) of the bundle's preprocessing.
            batch_size: images at a time; by default as many as fit the processor's caches.

        Returns:
            Per target's name float32 (n, classes), 0 to 1, columns in the target's order of classes.

        Raises:
            DataError: `pixels` has another type or shape.
        """
        return self.infer(pixels, batch_size).probabilities

    def infer(self, pixels: Pixels, batch_size: int | None = None) -> ModelOutput:
        """The model's output before any decision; arguments and errors as `predict_pixels`."""
        names = _output_names(self.bundle)
        batches = self._run(pixels, names, batch_size)
        return concat_outputs([self.to_output(batch, batch.get(FEATURES)) for batch in batches])

    def infer_photos(self, images: DigestedPhotos) -> ModelOutput:
        """As `infer`, of readable photos; with a cache only those are decoded whose output it lacks."""
        keys = [image_key(digest) for digest in images.image_digests()]
        values: dict[bytes, Mapping[str, Floats]] = {}
        new: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if self.cache and (cached := self.cache.get(key)):
                values[key] = cached.values
            else:
                new[key] = index
        items = list(new.items())
        size = batch_size(self._batch_size, self.threads)
        batches = [items[start : start + size] for start in range(0, len(items), size)]

        def infer(batch: Sequence[tuple[bytes, int]]) -> list[Mapping[str, Floats]]:
            pixels = np.stack([images[index] for _, index in batch])
            rows: list[Mapping[str, Floats]] = list(self._infer_each(pixels, in_threads=True))
            for image, row in zip(pixels, rows, strict=True) if self.cache else ():
                assert self.cache
                # by what was decoded now: the file can have changed
                self.cache.add(image_key(digest_images([image]).tobytes()), PhotoOutput(row, ()))
            return rows

        try:
            for batch, rows in zip(batches, ordered_map(infer, batches, self.threads), strict=True):
                values.update(zip([key for key, _ in batch], rows, strict=True))
        finally:
            if self.cache:
                self.cache.flush()
        return self._to_output({name: np.stack([values[key][name] for key in keys]) for name in values[keys[0]]})

    def infer_raw(self, pixels: Pixels) -> tuple[dict[str, Floats], Floats | None]:
        """Raw probabilities per target's name, and the features, float32 (n, features): the input of the heads.

        The features are None where the graph has no such output.
        """
        names = [target.name for target in self.targets]
        if FEATURES in {entry.name for entry in self._sessions.get().get_outputs()}:
            names.append(FEATURES)
        batches = list(self._run(pixels, names))
        outputs = {name: np.concatenate([batch[name] for batch in batches]) for name in names}
        features = outputs.pop(FEATURES, None)
        return outputs, features

    def to_output(self, raw_probabilities: Mapping[str, Floats], features: Floats | None) -> ModelOutput:
        """The output of `infer` for the results of `infer_raw`."""
        detector, values = self.bundle.ood_detector, dict(raw_probabilities)
        if detector is not None and features is not None:
            values[OOD_SCORE] = detector.ood_score(features)[:, None]
        return self._to_output(values)

    def _to_output(self, values: Mapping[str, Floats]) -> ModelOutput:
        """Of raw probabilities per target's name, and OOD scores (n, 1) where there are any."""
        detector, data = self.bundle.ood_detector, self.bundle.calibration_data
        raw = {t.name: values[t.name] for t in self.targets}
        calibrated = {t.name: calibrate_probabilities(t, raw[t.name], data.get(t.name)) for t in self.targets}
        scores = values.get(OOD_SCORE)
        is_ood = scores[:, 0] > detector.threshold if detector is not None and scores is not None else None
        return ModelOutput(raw, calibrated, is_ood)

    def policies(self, precision: float = DEFAULT_PRECISION, guarantee: str = "overall") -> dict[str, AcceptancePolicy]:
        """Per target's name the policy at `precision`; see `muslin.evaluation.selective.acceptance_policy`."""
        data, thresholds = self.bundle.calibration_data, self.thresholds
        return {
            t.name: acceptance_policy(t, data.get(t.name), precision, guarantee, thresholds.get(t.name, ()))
            for t in self.targets
        }

    def product_policies(
        self, precision: float = DEFAULT_PRECISION, guarantee: str = "overall"
    ) -> dict[str, AcceptancePolicy]:
        """As `policies`, for products; of a target without calibration data of products, its policy for photos."""
        policies = self.policies(precision, guarantee)
        for target in self.targets:
            if (data := self.bundle.product_calibration.get(target.name)) is not None:
                thresholds = self.thresholds.get(target.name, ())
                policy = acceptance_policy(target, data, precision, guarantee, thresholds)
                unsupported = tuple(map(of_products, policy.unsupported))
                policies[target.name] = replace(policy, unsupported=unsupported)
        return policies

    def acceptance(self, guarantee: str = "overall", *, per_product: bool = False) -> Acceptance:
        """How much can be accepted at which precision; see `muslin.evaluation.precision_choice`.

        Args:
            per_product: of products, each with all its photos; empty where the model knows no products.

        Raises:
            DataError: `guarantee` is neither `overall` nor `per-class`.
        """
        data, thresholds, scope = self.bundle.calibration_data, self.thresholds, check_guarantee(guarantee)
        if per_product:
            data = self.bundle.product_calibration
        return {
            t.name: acceptance_table(t, data[t.name], scope, thresholds.get(t.name, ()))
            for t in self.targets
            if t.name in data
        }

    def _predict_chunk(
        self, images: Sequence[ReadImage], policies: Mapping[str, AcceptancePolicy]
    ) -> Iterator[Prediction]:
        readable = [image.values for image in images if image.values is not None]
        if readable:
            output = self._to_output({name: np.stack([each[name] for each in readable]) for name in readable[0]})
            triages = {
                t.name: triage(t, output.probabilities[t.name], policies[t.name], output.is_ood) for t in self.targets
            }
        rows = iter(range(len(readable)))
        for image in images:
            prediction = image.prediction
            if image.values is not None:
                row = next(rows)
                predictions = {
                    t.name: target_prediction(t, output.probabilities[t.name][row], triages[t.name], row)
                    for t in self.targets
                }
                prediction = replace(prediction, predictions=predictions)
            yield prediction

    def _infer_stream(self, images: Iterable[tuple[str, Any]]) -> Iterator[list[ReadImage]]:
        """Named images with the network's output, which can be cached, some dozen at a time."""
        read = partial(read_image, preprocessing=self.bundle.preprocessing, cache=self.cache)
        size = batch_size(self._batch_size, self.threads)
        chunk: list[ReadImage] = []
        try:
            for batch in infer_stream(images, read, self._infer_images, threads=self.threads, batch_size=size):
                chunk += batch
                if len(chunk) >= CHUNK // 2:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk
        finally:
            if self.cache:
                self.cache.flush()

    def _infer_images(self, images: Sequence[ReadImage], in_threads: bool) -> list[ReadImage]:
        """The images with their output, of which some may be cached; the others are then cached too."""
        new = [image.pixels for image in images if image.pixels is not None]
        fresh = self._infer_each(np.stack(new), in_threads) if new else iter(())
        return [image if image.pixels is None else image.with_values(next(fresh), self.cache) for image in images]

    def _infer_each(self, pixels: Pixels, in_threads: bool = False) -> Iterator[dict[str, Floats]]:
        """The values of a PhotoOutput for each image, whose bits do not depend on the others in its batch.

        Args:
            in_threads: whether other threads do the same, so that each is to use one core.
        """
        detector = self.bundle.ood_detector
        size = len(pixels) if in_threads else None
        for batch in self._run(pixels, _output_names(self.bundle), size, in_threads):
            for row in range(len(next(iter(batch.values())))):
                values = {target.name: batch[target.name][row] for target in self.targets}
                if detector:
                    values[OOD_SCORE] = detector.ood_score(batch[FEATURES][row : row + 1])
                yield values

    def _run(
        self, pixels: Pixels, names: list[str], batch_size: int | None = None, in_threads: bool = False
    ) -> Iterator[dict[str, Floats]]:
        """The graph's outputs of these names, one batch of images at a time; one empty batch for no images."""
        shape = self.bundle.preprocessing.shape
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
            found = f"{pixels.dtype} {pixels.shape}"
            raise DataError("pixels_shape", found=found, expected=_batch_type(shape))
        widths = {target.name: len(target.classes) for target in self.targets}
        if detector := self.bundle.ood_detector:
            widths[FEATURES] = detector.reference_features.shape[1]
        if not len(pixels):
            yield {name: np.empty((0, widths.get(name, 0)), np.float32) for name in names}
        session, size = self._sessions.get(in_threads), max(1, batch_size or self._batch_size)
        for start in range(0, len(pixels), size):
            batch = pixels[start : start + size]
            with locating_errors(path=self.name):
                outputs = dict(zip(names, run_session(session, names, {"pixels": batch}), strict=True))
                for name, output in outputs.items():
                    width = widths.get(name) or getattr(output, "shape", (0, 0))[-1]
                    check_tensor(name, output, np.float32, (len(batch), width))
                    low, high = (-np.inf, np.inf) if name == FEATURES else PROBABILITY_RANGE
                    if not (np.isfinite(output) & (output >= low) & (output <= high)).all():
                        raise BundleError("prediction_range", name=name)
            yield outputs

    def _check_golden_images(self) -> None:
        probabilities, _ = self.infer_raw(self.bundle.golden_pixels)
        for target in self.targets:
            found, expected = probabilities[target.name], self.bundle.golden_probabilities[target.name]
            difference = np.abs(found - expected)
            if not (difference <= GOLDEN_TOLERANCE).all():  # NaN is not either
                worst = np.argmax(np.nan_to_num(difference, nan=np.inf))
                image, column = np.unravel_index(worst, expected.shape)
                raise BundleError(
                    "golden_mismatch", image=int(image), class_name=target.classes[column],
                    found=float(found[image, column]), expected=float(expected[image, column]),
                )  # fmt: skip


def _output_names(bundle: Bundle) -> list[str]:
    return [target.name for target in bundle.targets] + [FEATURES] * (bundle.ood_detector is not None)


def _checked_session(bundle: Bundle, threads: int) -> Any:
    """A session whose inputs and outputs are those that the bundle promises."""
    from muslin.images import TRANSFORMS

    transform, shape = bundle.preprocessing.transform, bundle.preprocessing.shape
    if transform not in TRANSFORMS:
        raise BundleError("bundle_transform", **unknown(transform, TRANSFORMS))
    session = runtime.session(bundle.model, threads=threads)
    with runtime_errors():  # a name may not be UTF-8
        inputs = {entry.name: (entry.type, list(entry.shape)) for entry in session.get_inputs()}
        outputs = [entry.name for entry in session.get_outputs()]
    kind, sizes = inputs.get("pixels", ("", []))
    is_any_n = bool(sizes) and not isinstance(sizes[0], int)
    if len(inputs) != 1 or kind != "tensor(uint8)" or not is_any_n or tuple(sizes[1:]) != shape:
        found = [f"{name}: {kind} {sizes}" for name, (kind, sizes) in inputs.items()]
        raise BundleError("graph_input", found=found, expected=_batch_type(shape))
    for name in _output_names(bundle):
        if name not in outputs:
            raise BundleError("graph_output", name=name, found=outputs)
    return session


def _batch_type(shape: tuple[int, ...]) -> str:
    return f"uint8 (n, {', '.join(map(str, shape))})"


# --- images as users give them → pixels


def named_images(images: Any, allow_outside: bool = False) -> Iterator[tuple[str, Any]]:
    """Every image, as `predict` takes them, with its name: its path, or its position."""
    for position, image in enumerate([images] if _is_one_image(images) else images):
        if not isinstance(image, str | os.PathLike):
            yield f"images[{position}]", image
        elif not os.path.isdir(image):
            yield os.fspath(image), Path(image)
        else:
            yield from _folder_images(Path(image), allow_outside)


def images_by_folder(images: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Named images as products: each folder with the images in it, in the order of the folders' first images."""
    folders: dict[str, list[tuple[str, Any]]] = {}
    for name, image in images:
        folders.setdefault(os.path.dirname(name) or os.curdir, []).append((name, image))
    yield from folders.items()


def _is_one_image(images: Any) -> bool:
    if isinstance(images, np.ndarray):  # (n, height, width) is several, (height, width, channels) is one
        return images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3, 4))
    return isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Iterable)


def _folder_images(folder: Path, allow_outside: bool) -> list[tuple[str, Any]]:
    """The images in and below a folder by their paths, each a StoredImage; what leads outside is an error."""
    notes = FolderNotes()
    found: dict[Path, Any] = {}
    for name, photo in walk(folder, notes, UNBOUNDED if allow_outside else boundary_of(folder)):
        if Path(name).suffix.lower() in IMAGE_SUFFIXES and not is_hidden(name):
            found[folder / name] = photo
    for name in notes.outside:
        path = folder / name
        if not is_hidden(name) and (path.suffix.lower() in IMAGE_SUFFIXES or path.is_dir()):
            found[path] = ImageError("photo_outside", "link", path=str(path))
    if not found:
        raise DataError("folder_without_images", path=str(folder), suffixes=sorted(IMAGE_SUFFIXES))
    return [(str(path), found[path]) for path in sorted(found)]
