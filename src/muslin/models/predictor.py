"""Bundle + images → Predictions, with ONNX Runtime: no torch, and nothing that trains.

Read from `Predictor.predict` down: `image_inputs` names images, `photo_pipeline` reads photos in threads,
`graph_runner` gives batches to the graph, `decision_rules` has what decides, and `prediction` what comes out.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.data.photo_roles import ProductPhoto
from muslin.data.photos import ordered_map
from muslin.errors import BundleError, RecipeError
from muslin.evaluation.selective import calibrate_probabilities, triage
from muslin.evaluation.thresholds import change_thresholds
from muslin.execution import Executor
from muslin.machine import has_int8_products, physical_cores
from muslin.messages import Message
from muslin.models.bundle import Bundle, open_bundle
from muslin.models.container import locating_errors
from muslin.models.decision_rules import DecisionRules
from muslin.models.feature_vectors import VECTOR, feature_vectors
from muslin.models.graph_outputs import OOD_SCORE
from muslin.models.graph_runner import Floats, GraphRunner, Pixels, check_golden_images
from muslin.models.graph_variant import FLOAT32, INT8
from muslin.models.image_inputs import named_images, ready_pixels
from muslin.models.input_cache import DigestedPhotos, image_key
from muslin.models.model_output import ModelOutput, Values, rows_of, stack_values
from muslin.models.output_cache import OutputCache, PhotoOutput
from muslin.models.photo_pipeline import batch_size, infer_stream
from muslin.models.photo_reading import ReadImage, read_image
from muslin.models.photo_shards import infer_in_shards
from muslin.models.prediction import Prediction, Predictions, UnnamedImages
from muslin.models.product_prediction import ProductPrediction, ProductRule, predict_products
from muslin.models.seen_images import digest_images
from muslin.storage.local_path import check_local

MODEL_FILE = "model.muslin"
"""The bundle's name in a run's folder."""

CHUNK = 64
"""Photos that are journalled together."""


class Predictor:
    """A bundle that predicts. Safe to use from several threads at once.

    Attributes:
        bundle: the model; its `model` is the graph that predicts.
        graph: the graph's name, one of `muslin.models.graph_variant.GRAPHS`.
        graph_note: which graph `open` chose, and why; None where the model has only one, or the caller named it.
        rules: what decides on its predictions.
        has_vectors: whether predictions have a `vector`.
        threads: threads of the network and of the decoding; by default the physical cores.
        path: the file from which `open` read the bundle; None for a bundle in memory.

    Errors call the bundle `name`: its path, where it has one. With `check`, the golden images are predicted and
    compared; only a bundle edited on purpose is opened without it.

    Raises:
        BundleError: the graph cannot be run, does not fit the bundle, or its probabilities for the golden images are
            not the sealed ones.
        RecipeError: fewer threads than one.
    """

    def __init__(
        self, bundle: Bundle, threads: int | None = None, name: str = "bundle", *, check: bool = True,
        graph: str = FLOAT32,
    ) -> None:  # fmt: skip
        with locating_errors(path=name):
            bundle = bundle.with_graph(graph)
        self.bundle, self.graph = bundle, graph
        self.graph_note: Message | None = None
        self.threads = physical_cores() if threads is None else threads
        if self.threads < 1:
            raise RecipeError("threads_range", found=self.threads)
        self.path: Path | None = None
        self.cache: OutputCache | None = None
        self.executor: Executor | None = None
        self.has_vectors = False
        self.name = name
        self.rules = DecisionRules(bundle)
        self._graph = GraphRunner(bundle, self.threads, name)
        if check:
            with locating_errors(path=name):
                check_golden_images(self._graph, bundle, graph)

    def __repr__(self) -> str:
        return f"<Predictor of {self.name}: {', '.join(target.name for target in self.targets)}>"

    @classmethod
    def open(
        cls, path: str | Path, threads: int | None = None, name: str | None = None, *, graph: str | None = None
    ) -> "Predictor":
        """Open a .muslin file, or the one in a run's folder.

        Args:
            name: what errors call the file; by default its path.
            graph: `float32` or `int8`; by default `int8` where the model has such a graph, the processor multiplies
                8-bit numbers quickly, and the golden images get the sealed probabilities; else `float32`.

        Raises:
            BundleError: see `muslin.models.bundle.open_bundle`; or the folder holds no model, or not this graph.
        """
        check_local(path)
        path = Path(path)
        if os.path.isdir(path):
            path = path / MODEL_FILE
            if not path.exists():
                raise BundleError("bundle_missing", "run", path=name or str(path))
        predictor = cls.of(open_bundle(path, name), threads, name or str(path), graph=graph)
        predictor.path = path
        return predictor

    @classmethod
    def of(cls, bundle: Bundle, threads: int | None, name: str, *, graph: str | None = None) -> "Predictor":
        """The predictor of a bundle that is read already; arguments and errors as `open`."""
        if graph is not None:
            return cls(bundle, threads, name, graph=graph)
        if bundle.int8 is None or not has_int8_products():
            return cls(bundle, threads, name)
        try:
            predictor = cls(bundle, threads, name, graph=INT8)
        except BundleError as error:
            if error.code != "golden_mismatch":
                raise
            predictor = cls(bundle, threads, name)
            predictor.graph_note = Message("graph_mismatch")
        else:
            predictor.graph_note = Message("graph_int8")
        return predictor

    @property
    def targets(self) -> tuple[Target, ...]:
        """The bundle's targets, in order."""
        return self.bundle.targets

    @property
    def batch_size(self) -> int:
        """Images that a run of the graph usually takes: as many as fit the processor's caches, and memory."""
        return self._graph.batch_size

    @property
    def max_batch_size(self) -> int:
        """Images that a run of the graph has memory for."""
        return self._graph.max_batch_size

    @property
    def thresholds(self) -> dict[str, tuple[float, ...]]:
        """Minimum probabilities for predicting a label, for every target that has any (`Bundle.thresholds`)."""
        return dict(self.rules.thresholds)

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
        twin.rules = DecisionRules(twin.bundle)
        return twin

    def with_cache(self) -> "Predictor":
        """The same predictor, which caches the network's output for photos in files, by their content.

        Only photos whose content is new are decoded then; predictions are the same.
        """
        twin = copy(self)
        twin.cache = OutputCache(self.bundle, vectors=self.has_vectors)
        return twin

    def with_executor(self, executor: Executor) -> "Predictor":
        """The same predictor, for which an executor decodes photos in files and runs the network on them.

        Predictions are the same, to the bit.
        """
        twin = copy(self)
        twin.executor = executor
        return twin

    def with_vectors(self) -> "Predictor":
        """The same predictor, whose predictions and outputs have vectors, if the graph gives features."""
        twin = copy(self)
        twin.has_vectors = self._graph.features is not None
        return twin.with_cache() if self.cache else twin

    def predict(
        self, images: Any, *, precision: float | None = None, guarantee: str = "overall", allow_outside: bool = False
    ) -> Predictions:
        """One Prediction per image, in order.

        Args:
            images: one image or several: paths, a file's bytes, arrays uint8 (height, width) or (height, width,
                channels), PIL images. A folder stands for the images in and below it, in order of their names, without
                hidden ones.
            precision: precision target of the accepted predictions, from 0.5 to below 1; by default the one that
                `muslin predict` chooses, see `muslin.evaluation.precision_choice.choose_precision`.
            guarantee: `overall` or `per-class`; see `muslin.evaluation.selective.AcceptancePolicy`.
            allow_outside: also open what a link in a folder names outside of it.

        Raises:
            DataError: a folder without images; or `precision` or `guarantee` is out of range.
        """
        # a longer list is copied chunk by chunk
        pixels = (
            None
            if isinstance(images, list) and len(images) > CHUNK
            else ready_pixels(images, self.bundle.preprocessing)
        )
        if pixels is None:
            chunks = list(self._predict_chunks(named_images(images, allow_outside), precision, guarantee))
            return Predictions.concat(chunks)
        return self.decide(UnnamedImages(len(pixels)), self.run_graph(pixels), precision, guarantee)

    def predict_iter(
        self, images: Any, *, precision: float | None = None, guarantee: str = "overall", allow_outside: bool = False
    ) -> Iterator[Prediction]:
        """`predict`, one image after the other, for any number of images: a few dozen are in memory at a time."""
        yield from self.predict_named(named_images(images, allow_outside), precision=precision, guarantee=guarantee)

    def predict_named(
        self, images: Iterable[tuple[str, Any]], *, precision: float | None = None, guarantee: str = "overall"
    ) -> Iterator[Prediction]:
        """`predict_iter` for pairs of a name and an image. No image is a folder.

        An image may also be a `Photo`, or an ImageError: the reason why it cannot be read.
        """
        for chunk in self._predict_chunks(images, precision, guarantee):
            yield from chunk

    def predict_products(
        self, products: Mapping[str, Any], *, precision: float | None = None, guarantee: str = "overall"
    ) -> Iterator[ProductPrediction]:
        """One ProductPrediction per product, in order, from all its photos; a few dozen images are in memory at a time.

        The photos' calibrated probabilities are combined (`muslin.evaluation.products.combine`). A model that was
        trained on products has calibrated the result again, and its guarantee holds per product. Any other model's
        guarantee holds per photo: a product is accepted only where all its photos are, with the same label. Products
        whose photos contradict each other, or show the packaging alone, go to review. Photos out of scope are left out;
        where at least half are, so is the product.

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
        products: Iterable[tuple[str, Iterable[ProductPhoto | tuple[str, Any]]]],
        *,
        precision: float | None = None,
        guarantee: str = "overall",
    ) -> Iterator[ProductPrediction]:
        """`predict_products` for pairs of a name and images, which are those of `predict_named` or have a role."""
        precision, rule = self.product_rule(precision, guarantee)
        predict_photos = partial(self.predict_named, precision=precision, guarantee=guarantee)
        yield from predict_products(predict_photos, products, rule)

    def product_rule(self, precision: float | None = None, guarantee: str = "overall") -> tuple[float, ProductRule]:
        """The precision target of accepted products, also for their photos, and what decides on them.

        Raises:
            DataError: `precision` or `guarantee` is out of range.
        """
        precision = self.rules.precision(precision, guarantee, per_product=True)
        policies = self.rules.policies(precision, guarantee, per_product=True, explain=False)
        return precision, ProductRule(self.targets, self.bundle.product_calibration, policies)

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
        return self._to_output(self.run_graph(pixels, batch_size))

    def infer_photos(self, images: DigestedPhotos) -> ModelOutput:
        """As `infer`, of readable photos; with a cache only those are decoded whose output it lacks."""
        keys = [image_key(digest) for digest in images.image_digests()]
        values: dict[bytes, Values] = {}
        new: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if self.cache and (cached := self.cache.get(key)):
                values[key] = cached.values
            else:
                new[key] = index
        items = list(new.items())
        size = batch_size(self._graph.batch_size, self.threads)
        batches = [items[start : start + size] for start in range(0, len(items), size)]

        def infer(batch: Sequence[tuple[bytes, int]]) -> list[Values]:
            pixels = np.stack([images[index] for _, index in batch])
            rows = rows_of(self.run_graph(pixels, len(batch), in_threads=True))
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
        return self._to_output(stack_values([values[key] for key in keys]))

    def infer_raw(self, pixels: Pixels) -> tuple[dict[str, Floats], Floats | None]:
        """Raw probabilities per target's name, and the features, float32 (n, features): the input of the heads.

        The features are None where the graph has no such output.
        """
        targets, features = [target.name for target in self.targets], self._graph.features
        if features is None:
            return self._graph.run(pixels, names=targets), None
        outputs = self._graph.run(pixels, names=[*targets, features])
        return {name: outputs[name] for name in targets}, outputs[features]

    def to_output(self, raw_probabilities: Mapping[str, Floats], features: Floats | None) -> ModelOutput:
        """The output of `infer` for the results of `infer_raw`."""
        detector, values = self.bundle.ood_detector, dict(raw_probabilities)
        if detector is not None and features is not None:
            values[OOD_SCORE] = detector.ood_score(features)[:, None]
        return self._to_output(values)

    def _predict_chunks(
        self, images: Iterable[tuple[str, Any]], precision: float | None, guarantee: str
    ) -> Iterator[Predictions]:
        """The predictions for named images, some dozen at a time."""
        self.rules.for_predictions(precision, guarantee)  # refuses bad options before any work
        for named, values in self._infer_chunks(images):
            yield self.decide(named, values, precision, guarantee)

    def decide(
        self, images: Sequence[Prediction], values: Values, precision: float | None, guarantee: str
    ) -> Predictions:
        """The predictions from those without predictions, and the values of the readable images, as of `run_graph`.

        Raises:
            DataError: `precision` or `guarantee` is out of range.
        """
        precision, policies = self.rules.for_predictions(precision, guarantee)
        probabilities, is_ood = self._calibrated(values), self._is_ood(values)
        arrays = {t.name: triage(t, probabilities[t.name], policies[t.name], is_ood) for t in self.targets}
        if self.has_vectors:
            vectors = iter(values[VECTOR])
            images = [image if image.error else replace(image, vector=next(vectors)) for image in images]
        return Predictions(self.targets, images, arrays, precision)

    def _infer_chunks(self, images: Iterable[tuple[str, Any]]) -> Iterator[tuple[list[Prediction], Values]]:
        """Named images, as predictions without predictions, and the values of the readable ones; at least one chunk.

        Arrays that need no transform go to the network as they are; from the first other image on, threads read them.
        """
        images = iter(images)
        chunk = list(islice(images, CHUNK))
        while (pixels := ready_pixels([image for _, image in chunk], self.bundle.preprocessing)) is not None:
            yield [Prediction(name, {}) for name, _ in chunk], self.run_graph(pixels)
            if not (chunk := list(islice(images, CHUNK))):
                return
        no_pixels = np.empty((0, *self.bundle.preprocessing.shape), np.uint8)
        for read in self.infer_named(chain(chunk, images)):
            rows = [image.values for image in read if image.values is not None]
            yield [image.prediction for image in read], stack_values(rows) if rows else self.run_graph(no_pixels)

    def infer_named(self, images: Iterable[tuple[str, Any]]) -> Iterator[list[ReadImage]]:
        """Named images with their values, which can be cached, some dozen at a time."""
        try:
            if self.executor:
                yield from infer_in_shards(images, self.executor, self)
                return
            read = partial(read_image, preprocessing=self.bundle.preprocessing, cache=self.cache)
            size = batch_size(self._graph.batch_size, self.threads)
            chunk: list[ReadImage] = []
            for batch in infer_stream(images, read, self.infer_read, threads=self.threads, batch_size=size):
                chunk += batch
                if len(chunk) >= CHUNK // 2:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk
        finally:
            if self.cache:
                self.cache.flush()

    def infer_read(self, images: Sequence[ReadImage], in_threads: bool) -> list[ReadImage]:
        """The images with their values, of which some may be cached; the others are then cached too.

        The network takes them one by one, so that no bit of an image's values depends on which others come with it:
        which are cached, where a job was resumed, what runs it.

        Args:
            in_threads: whether other threads do the same.
        """
        new = [image.pixels for image in images if image.pixels is not None]
        if not new:
            return list(images)
        fresh = iter(rows_of(self.run_graph(np.stack(new), 1, in_threads=in_threads)))
        return [image if image.pixels is None else image.with_values(next(fresh), self.cache) for image in images]

    def run_graph(self, pixels: Pixels, batch_size: int | None = None, *, in_threads: bool = False) -> Values:
        """What the graph gives for `pixels`, as of `GraphRunner.run`, and the vectors that are asked for."""
        features = self._graph.features if self.has_vectors else None
        names = None if features is None else [*self._graph.names, features]
        values = self._graph.run(pixels, batch_size, names=names, in_threads=in_threads)
        if features is not None:
            values[VECTOR] = feature_vectors(values.pop(features))
        return values

    def _to_output(self, values: Values) -> ModelOutput:
        raw = {target.name: values[target.name] for target in self.targets}
        return ModelOutput(raw, self._calibrated(values), self._is_ood(values), values.get(VECTOR))

    def _calibrated(self, values: Values) -> dict[str, Floats]:
        data = self.bundle.calibration_data
        return {t.name: calibrate_probabilities(t, values[t.name], data.get(t.name)) for t in self.targets}

    def _is_ood(self, values: Values) -> NDArray[np.bool_] | None:
        scores, threshold = values.get(OOD_SCORE), self.rules.ood_threshold
        if scores is None or threshold is None:
            return None
        return np.array([scores.item() > threshold]) if len(scores) == 1 else scores[:, 0] > threshold
