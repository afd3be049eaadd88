"""Features of photos from a frozen backbone: extracted once, then cached by the photos' content.

The backbone runs in ONNX Runtime, a few photos at a time in each thread, which decodes them as well: no core waits for
another, and memory does not grow with the photos. One photo's features do not depend on the others in its batch, so it
does not matter which of them come from the cache.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.errors import ImageError, StoppedError, StorageError
from muslin.learn.networks import Network, layer_shapes
from muslin.learn.pretrained import Weights
from muslin.messages import Log, Message, no_log
from muslin.models import runtime
from muslin.models.seen_images import IMAGE_DIGEST_BYTES, ImageDigests, digest_images
from muslin.storage.atomic import cache_folder, remove_partial_files, write_atomically
from muslin.storage.scratch import ScratchArray

EXTRACTION_BATCH = 4
"""Photos in a batch. More are no faster on a processor (measured), and take more memory."""

CACHE_FILE_ROWS = 500
"""Photos whose features are written to the cache together: the most that a kill loses."""

MAX_CACHE_BYTES = 2 * 10**9
"""Of the cache of features; the oldest go first. 5 kB a photo."""

LOG_EVERY_S = 5

CACHE_FORMAT = 3
"""Rises when the arrays of a cached file or the decoding change; files of another format are not found."""

CACHED_ARRAYS = ("photos", "images", "features")
"""Arrays of a cached file: digests of the photos' files and of the images that the network takes, and the features."""

CachedRow = tuple[bytes, NDArray[np.uint8], NDArray[np.float32]]
"""A photo's row of each of these arrays."""

ExtractedBatch = tuple[dict[int, tuple[NDArray[np.uint8], NDArray[np.float32]]], dict[int, Message]]
"""By a photo's index its image's digest and its features; and the problem of each that cannot be read."""


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
) -> tuple[Features, dict[int, Message]]:
    """The features of every photo; and by its index the problem of each that cannot be read (its row is zero).

    Features are taken from muslin's cache where it has them, and added to it.

    Args:
        network: its backbone is used, for images of the photos' size.
        weights: of the backbone.
        log: called with a sentence every few seconds.
        should_stop: called after every few photos.

    Raises:
        StoppedError: `should_stop()` became true. The features so far are in the cache.
        StorageError: the disk has no room for the features.
    """
    started = time.perf_counter()
    cache = FeatureCache(_cache_key(images, network, weights))
    digests = list(images.digests())
    first_with: dict[bytes, int] = {}  # of identical photos only the first is extracted
    for index, digest in enumerate(digests):
        first_with.setdefault(digest, index)
    file = ScratchArray(len(digests), layer_shapes(network)[-1][:1], np.float32)
    image_digests = np.zeros((len(digests), IMAGE_DIGEST_BYTES), np.uint8)
    missing = _read_cached(cache, first_with, file, image_digests)
    size = EXTRACTION_BATCH
    batches = [missing[start : start + size] for start in range(0, len(missing), size)]
    extract_batch = _batch_extractor(images, network, weights) if missing else lambda indices: ({}, {})
    problems: dict[int, Message] = {}
    fresh: list[CachedRow] = []
    done, logged_at = 0, time.perf_counter()
    try:
        for rows, unreadable in parallel_map(lambda i: extract_batch(batches[i]), len(batches), threads):
            problems |= unreadable
            for index, (image_digest, row) in rows.items():
                file.write(index, row)
                image_digests[index] = image_digest
                fresh.append((digests[index], image_digest, row))
            if len(fresh) >= CACHE_FILE_ROWS:
                cache.add(fresh)
                fresh = []
            done += len(rows) + len(unreadable)
            if time.perf_counter() - logged_at > LOG_EVERY_S:
                logged_at = time.perf_counter()
                log(f"extracted the features of {done:,} of {len(missing):,} photos with {network.name}")
            if should_stop() and done < len(missing):
                raise StoppedError("extraction_stopped", done=done, n=len(missing))
    finally:
        cache.add(fresh)
        cache.shrink_to(MAX_CACHE_BYTES)
    row_of = np.array([first_with[digest] for digest in digests], dtype=np.int64)
    unreadable = {i: _photo_problem(images, i) for i, row in enumerate(row_of) if int(row) in problems}
    return Features(file, row_of, image_digests[row_of], time.perf_counter() - started), unreadable


def _read_cached(
    cache: "FeatureCache", first_with: dict[bytes, int], file: ScratchArray, image_digests: ImageDigests
) -> list[int]:
    """Copy what is cached of the photos at the values of `first_with` to their rows; the indices of the others."""
    missing = dict(first_with)
    for digest, image_digest, row in cache.rows(first_with.keys()):
        index = missing.pop(digest)
        file.write(index, row)
        image_digests[index] = image_digest
    return list(missing.values())


def _photo_problem(images: ResizedPhotos, index: int) -> Message:
    """The reason why a photo cannot be read, with its own name: identical files have one row."""
    try:
        images[index]
    except ImageError as error:
        return error.message
    return Message("photo_readable_only_later", path=images.photos[index].name)


def _batch_extractor(
    images: ResizedPhotos, network: Network, weights: Weights
) -> Callable[[list[int]], ExtractedBatch]:
    """A function of photos' indices. Safe in threads."""
    from muslin.learn.export import onnx_graph

    backbone = replace(network, heads={}, tta_flip=False)
    model = onnx_graph(backbone, weights).SerializeToString(deterministic=True)
    session = runtime.session(model)  # one thread: the threads are outside

    def extract_batch(indices: list[int]) -> ExtractedBatch:
        decoded, problems = {}, {}
        for index in indices:
            try:
                decoded[index] = images[index]
            except ImageError as error:
                problems[index] = error.message
        if not decoded:
            return {}, problems
        rows = session.run(None, {"pixels": np.stack(list(decoded.values()))})[0]
        digested_rows = zip(digest_images(decoded.values()), rows, strict=True)
        return dict(zip(decoded, digested_rows, strict=True)), problems

    return extract_batch


def _cache_key(images: ResizedPhotos, network: Network, weights: Weights) -> str:
    """A digest of everything but the photo itself that its features depend on."""
    from importlib.metadata import version

    versions = [version(name) for name in ("muslin", "pillow", "onnxruntime")]
    digest = hashlib.sha256(save(weights)).hexdigest()
    parts = (CACHE_FORMAT, network.name, network.input_shape, images.transform, digest, versions)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class FeatureCache:
    """Cached features, in files of some hundred photos each, in muslin's cache folder.

    A file is whole or absent and never changes, so several runs can use the cache at once. Its name is the digest of
    its content; a file that is damaged or unreadable counts as absent.
    """

    key: str

    @property
    def folder(self) -> Path:
        return cache_folder() / "features" / self.key

    def rows(self, photos: Collection[bytes]) -> Iterator[CachedRow]:
        """What is cached of `photos`, which are digests of files; each once."""
        left = set(photos)
        for path in sorted(self.folder.glob("*.safetensors")):
            with suppress(OSError, SafetensorError, ValueError, KeyError):
                encoded = path.read_bytes()
                content = load(encoded) if path.stem == _file_name(encoded) else {}
                for photo, image, row in zip(*(content[name] for name in CACHED_ARRAYS), strict=True):
                    if (key := photo.tobytes()) in left:
                        left.remove(key)
                        yield key, image, row

    def add(self, fresh: list[CachedRow]) -> None:
        """Cache features by their photos' digests. They are lost where the disk is full or not writable."""
        if not fresh:
            return
        photos = np.stack([np.frombuffer(photo, np.uint8) for photo, _, _ in fresh])
        images, features = (np.stack(arrays) for arrays in list(zip(*fresh, strict=True))[1:])
        content = save(dict(zip(CACHED_ARRAYS, (photos, images, features), strict=True)))
        with suppress(StorageError):
            write_atomically(self.folder / f"{_file_name(content)}.safetensors", content)

    def shrink_to(self, max_bytes: int) -> None:
        """Remove the oldest files of all caches of features until they take at most `max_bytes`."""
        with suppress(OSError, StorageError):
            for folder in self.folder.parent.glob("*/"):
                remove_partial_files(folder)
            paths = [(path.stat(), path) for path in self.folder.parent.glob("*/*.safetensors")]
            files = [(stat.st_mtime, stat.st_size, path) for stat, path in paths]
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= max_bytes:
                    break
                path.unlink(missing_ok=True)
                total -= size


def _file_name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
