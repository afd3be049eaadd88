"""Features of photos from a frozen backbone: extracted once, then cached by the photos' content.

The backbone runs in ONNX Runtime, a few photos at a time in each thread, which decodes them as well: no core waits for
another, and memory does not grow with the photos. One photo's features do not depend on the others in its batch, so it
does not matter which of them come from the cache.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from muslin.data.photo_content import PhotoContent, read_photo
from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.errors import ImageError, StoppedError
from muslin.execution import Executor
from muslin.extras import require_extra
from muslin.learn.networks import NETWORKS, Network, layer_shapes
from muslin.learn.pretrained import Weights, backbone_weights
from muslin.learn.recipes import IMAGENET
from muslin.messages import Log, Message, no_log
from muslin.models import runtime
from muslin.models.bundle import Preprocessing
from muslin.models.feature_cache import FeatureCache
from muslin.models.feature_graph import FeatureGraph
from muslin.models.feature_shards import Found, features_by_workers
from muslin.models.seen_images import IMAGE_DIGEST_BYTES, ImageDigests
from muslin.storage.scratch import ScratchArray

EXTRACTION_BATCH = 4
"""Photos in a batch. More are no faster on a processor (measured), and take more memory."""

LOG_EVERY_S = 5


@dataclass(frozen=True, eq=False)
class Features:
    """Features of samples in order, on disk; `rows[i]` is the row of sample i in the file.

    `image_digests[i]` is that of the image that sample i's features are of, and `took_s` the time of their extraction.
    """

    file: ScratchArray
    rows: NDArray[np.int64]
    image_digests: ImageDigests
    took_s: float = 0.0

    @property
    def width(self) -> int:
        return self.file.shape[0]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: NDArray[np.integer[Any]]) -> "Features":
        """The features of the samples at `indices`, in that order."""
        return replace(self, rows=self.rows[indices], image_digests=self.image_digests[indices])

    def blocks(self, size: int = 4096) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All samples, in the order that reads fastest: (samples, float32 (samples, width)) at a time."""
        order = np.argsort(self.rows, kind="stable")
        for start in range(0, len(order), size):
            samples = order[start : start + size]
            first, last = int(self.rows[samples[0]]), int(self.rows[samples[-1]])
            if last - first < 2 * size:
                yield samples, self.file.read(first, last - first + 1)[self.rows[samples] - first]
            else:
                yield samples, np.concatenate([self.file.read(int(row), 1) for row in self.rows[samples]])


def extract(
    images: ResizedPhotos,
    network: Network,
    weights: Weights,
    *,
    threads: int,
    log: Log = no_log,
    should_stop: Callable[[], bool] = lambda: False,
    executor: Executor | None = None,
) -> tuple[Features, dict[int, Message]]:
    """The features of every photo; and by its index the problem of each that cannot be read (its row is zero).

    Features are taken from muslin's cache where it has them, and added to it.

    Args:
        network: its backbone is used, for images of the photos' size.
        weights: of the backbone.
        log: called with a sentence every few seconds.
        should_stop: called after every few photos.
        executor: its workers extract the features instead of `threads` of this process. The features are the same, bit
            for bit.

    Raises:
        ExecutionError: as of `Executor.map`.
        StoppedError: `should_stop()` became true. The features so far are in the cache.
        StorageError: the disk has no room for the features.
    """
    started = time.perf_counter()
    cache = _feature_cache(images, network, weights)
    digests = list(images.digests())
    first_with = _first_with(digests)  # of identical photos only the first is extracted
    file = ScratchArray(len(digests), layer_shapes(network)[-1][:1], np.float32)
    image_digests = np.zeros((len(digests), IMAGE_DIGEST_BYTES), np.uint8)
    missing = _read_cached(cache, first_with, file, image_digests)
    batches = extraction_batches(missing)
    graph = feature_graph(images, network, weights) if missing else None
    problems: dict[int, Message] = {}
    done, logged_at = 0, time.perf_counter()
    try:
        for found in _extracted(images, batches, graph, threads, executor) if graph else ():
            for index, each in found.items():
                if isinstance(each, Message):
                    problems[index] = each
                    continue
                file.write(index, each.features)
                image_digests[index] = np.frombuffer(each.image_digest, np.uint8)
                cache.add(digests[index], each)
            done += len(found)
            if time.perf_counter() - logged_at > LOG_EVERY_S:
                logged_at = time.perf_counter()
                log(Message("features_extracted", done=done, n=len(missing), network=network.name))
            if should_stop() and done < len(missing):
                raise StoppedError("extraction_stopped", done=done, n=len(missing))
    finally:
        cache.flush()
    row_of = np.array([first_with[digest] for digest in digests], dtype=np.int64)
    unreadable = {i: problem_of(images, i) for i, row in enumerate(row_of) if int(row) in problems}
    return Features(file, row_of, image_digests[row_of], time.perf_counter() - started), unreadable


def extraction_batches(indices: Sequence[int]) -> list[Sequence[int]]:
    """The indices of photos, EXTRACTION_BATCH at a time."""
    return [indices[first : first + EXTRACTION_BATCH] for first in range(0, len(indices), EXTRACTION_BATCH)]


def _extracted(
    images: ResizedPhotos, batches: list[Sequence[int]], graph: FeatureGraph, threads: int, executor: Executor | None
) -> Iterator[dict[int, Found]]:
    """For each batch of indices, in order, what is found of each photo."""
    if executor is not None:
        yield from _by_workers(images, batches, graph, executor)
        return
    extract_batch = batch_extractor(images, graph)
    yield from parallel_map(lambda i: extract_batch(batches[i]), len(batches), threads)


def batch_extractor(images: ResizedPhotos, graph: FeatureGraph) -> Callable[[Sequence[int]], dict[int, Found]]:
    """A function of photos' indices, which runs the backbone on them together. Safe in threads."""
    session = runtime.session(graph.model)  # of one thread: the threads are outside

    def extract_batch(indices: Sequence[int]) -> dict[int, Found]:
        decoded = [_pixels_or_problem(images, index) for index in indices]
        return dict(zip(indices, graph.features_of(session, decoded), strict=True))

    return extract_batch


def _by_workers(
    images: ResizedPhotos, batches: list[Sequence[int]], graph: FeatureGraph, executor: Executor
) -> Iterator[dict[int, Found]]:
    waiting: deque[tuple[list[int], dict[int, Found]]] = deque()

    def contents() -> Iterator[list[PhotoContent]]:
        for batch in batches:
            read = {index: read_photo(images.photos[index].name, images.photos[index]) for index in batch}
            problems: dict[int, Found] = {i: problem_of(images, i) for i, content in read.items() if content is None}
            waiting.append(([index for index in batch if index not in problems], problems))
            yield [content for content in read.values() if content is not None]

    for found in features_by_workers(graph, contents(), executor):
        indices, problems = waiting.popleft()
        yield dict(zip(indices, found, strict=True)) | problems


def problem_of(images: ResizedPhotos, index: int) -> Message:
    """The reason why a photo cannot be read, with its own name: identical files have one row."""
    found = _pixels_or_problem(images, index)
    return found if isinstance(found, Message) else Message("photo_readable_only_later", path=images.photos[index].name)


def _pixels_or_problem(images: ResizedPhotos, index: int) -> NDArray[np.uint8] | Message:
    try:
        return images[index]
    except ImageError as error:
        return error.message


def uncached_photos(images: ResizedPhotos, network: Network, weights: Weights) -> NDArray[np.int64]:
    """The rising indices of the photos whose features `extract` would not find in the cache; of copies the first."""
    first_with, cache = _first_with(images.digests()), _feature_cache(images, network, weights)
    return np.array(sorted(i for digest, i in first_with.items() if cache.get(digest) is None), dtype=np.int64)


def _first_with(digests: Iterable[bytes]) -> dict[bytes, int]:
    """Per digest the index of the first photo that has it."""
    first: dict[bytes, int] = {}
    for index, digest in enumerate(digests):
        first.setdefault(digest, index)
    return first


def _read_cached(
    cache: FeatureCache, first_with: dict[bytes, int], file: ScratchArray, image_digests: ImageDigests
) -> list[int]:
    """Copy what is cached of the photos at the values of `first_with` to their rows; the indices of the others."""
    missing = []
    for digest, index in first_with.items():
        row = cache.get(digest)
        if row is None or row.features.shape != file.shape:
            missing.append(index)
            continue
        image_digests[index] = np.frombuffer(row.image_digest, np.uint8)
        file.write(index, row.features)
    return missing


def _feature_cache(images: ResizedPhotos, network: Network, weights: Weights) -> FeatureCache:
    """What is kept of the features of this backbone for images of this size."""
    return FeatureCache(network.name, network.input_shape, images.transform, _weights_digest(weights))


def feature_graph(images: ResizedPhotos, network: Network, weights: Weights) -> FeatureGraph:
    """The backbone, from images to their features."""
    preprocessing = Preprocessing(*network.input_shape, images.transform)
    return FeatureGraph(network.name, _weights_digest(weights), preprocessing, _backbone_model(network, weights))


def _weights_digest(weights: Weights) -> str:
    return hashlib.sha256(save(weights)).hexdigest()


def _backbone_model(network: Network, weights: Weights) -> bytes:
    """The ONNX file of the backbone, without heads: from images to their features."""
    from muslin.learn.export import onnx_graph

    backbone = replace(network, heads={}, tta_flip=False)
    return bytes(onnx_graph(backbone, weights).SerializeToString(deterministic=True))


def imagenet_graph(name: str) -> FeatureGraph:
    """The backbone called `name` with its ImageNet weights, which features are taken from without torch from here on.

    Raises:
        MissingPartError: the package with the weights, or torch, is not installed.
        RecipeError: no such weights exist.
    """
    spec = NETWORKS[name]
    size = spec.native_image_size or 0
    network = Network(name, (size, size, 3), tuple(spec.build((), 0.0)), {}, "softmax")
    require_extra("train")
    weights = backbone_weights(network, IMAGENET)
    preprocessing = Preprocessing(size, size, 3, "fit")
    return FeatureGraph(name, _weights_digest(weights), preprocessing, _backbone_model(network, weights))
