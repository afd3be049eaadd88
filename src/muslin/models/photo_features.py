"""Features of photos, from the cache where it has them, on all cores or by an executor's workers."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_content import PhotoContent, read_photo
from muslin.data.photos import ordered_map
from muslin.execution import Executor
from muslin.machine import physical_cores
from muslin.messages import Message
from muslin.models import runtime
from muslin.models.feature_graph import FeatureGraph
from muslin.models.feature_shards import Found, features_by_workers
from muslin.models.photo_pipeline import AHEAD_PER_THREAD, BATCH

Known = Callable[[bytes], NDArray[np.floating[Any]] | None]
"""The features of a photo with this digest, if the caller has them; safe in threads."""


@dataclass(frozen=True, eq=False)
class PhotoFeatures:
    """What a graph gives for a photo.

    Attributes:
        name: the photo's.
        digest: of its content, `muslin.data.photo_content.PhotoContent.digest`; empty where it cannot be read.
        features: float32 (features,), or what the caller has; None where it cannot be read.
        error: why it cannot be read.
    """

    name: str
    digest: bytes
    features: NDArray[np.floating[Any]] | None = None
    error: Message | None = None


def photo_features(
    graph: FeatureGraph,
    photos: Iterable[tuple[str, Any]],
    known: Known = lambda digest: None,
    *,
    threads: int | None = None,
    executor: Executor | None = None,
) -> Generator[PhotoFeatures]:
    """The features of photos in order, from the cache where it has them; a few dozen photos are in memory at a time.

    Args:
        photos: pairs of a name and an image, as `Predictor.predict_named` takes them.
        threads: by default the physical cores.
        executor: its workers compute the features of photos in files, which are the same, bit for bit.

    Raises:
        BundleError: as of `FeatureGraph.run`.
        ExecutionError: as of `Executor.map`.
    """
    session = runtime.session(graph.model)  # one thread: the threads are outside
    remaining = iter(photos)
    batches = iter(lambda: list(islice(remaining, BATCH)), [])
    threads = threads or physical_cores()
    try:
        if executor is not None:
            yield from _by_workers(graph, session, known, batches, threads, executor)
            return
        work = partial(features_of_batch, graph, session, known)
        for batch in ordered_map(work, batches, threads, AHEAD_PER_THREAD):
            yield from batch
    finally:
        graph.cache.flush()


def features_of_batch(
    graph: FeatureGraph, session: Any, known: Known, photos: Sequence[tuple[str, Any]]
) -> list[PhotoFeatures]:
    """The features of a few photos, in this thread; see `photo_features`."""
    batch = _look_up(graph, known, photos)
    return batch.completed(graph, batch.computed(graph, session))


def _by_workers(
    graph: FeatureGraph,
    session: Any,
    known: Known,
    batches: Iterable[Sequence[tuple[str, Any]]],
    threads: int,
    executor: Executor,
) -> Iterator[PhotoFeatures]:
    waiting: deque[_Batch] = deque()

    def look_up(photos: Sequence[tuple[str, Any]]) -> _Batch:
        batch = _look_up(graph, known, photos)
        return batch.without_content(graph, session)

    def sent() -> Iterator[list[PhotoContent]]:
        for batch in ordered_map(look_up, batches, threads, AHEAD_PER_THREAD):
            waiting.append(batch)
            yield [content for _, content in batch.missing]

    for found in features_by_workers(graph, sent(), executor):
        yield from waiting.popleft().completed(graph, found)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Photos of which some have their features or their problem.

    Attributes:
        photos: what is known of each.
        places: of the others.
        missing: the others' names and contents, or images.
    """

    photos: list[PhotoFeatures]
    places: list[int]
    missing: list[tuple[str, Any]]

    def computed(self, graph: FeatureGraph, session: Any) -> list[Found]:
        """The features of the others."""
        return graph.features_of(session, [graph.read(name, source) for name, source in self.missing])

    def completed(self, graph: FeatureGraph, found: Sequence[Found]) -> list[PhotoFeatures]:
        """All photos; what was found of those in files, whose content will come again, is cached."""
        photos = list(self.photos)
        for place, (name, source), each in zip(self.places, self.missing, found, strict=True):
            if isinstance(each, Message):
                photos[place] = PhotoFeatures(name, b"", error=each)
                continue
            photos[place] = PhotoFeatures(name, photos[place].digest, each.features)
            if isinstance(source, PhotoContent):
                graph.cache.add(photos[place].digest, each)
        return photos

    def without_content(self, graph: FeatureGraph, session: Any) -> "_Batch":
        """The same, where what is no file, or cannot be opened, is done here."""
        is_sent = [isinstance(source, PhotoContent) for _, source in self.missing]
        here = _Batch(self.photos, *self._only([not each for each in is_sent]))
        return _Batch(here.completed(graph, here.computed(graph, session)), *self._only(is_sent))

    def _only(self, chosen: Sequence[bool]) -> tuple[list[int], list[tuple[str, Any]]]:
        places = [place for place, is_chosen in zip(self.places, chosen, strict=True) if is_chosen]
        return places, [each for each, is_chosen in zip(self.missing, chosen, strict=True) if is_chosen]


def _look_up(graph: FeatureGraph, known: Known, photos: Sequence[tuple[str, Any]]) -> _Batch:
    """What is known of photos, and the contents of the others."""
    batch = _Batch([], [], [])
    for place, (name, source) in enumerate(photos):
        content = read_photo(name, source)
        digest = digest_of(content, source)
        features = known(digest) if digest else None
        if features is None and content and (row := graph.cache.get(digest)):
            features = row.features
        if features is None:
            batch.places.append(place)
            batch.missing.append((name, content or source))
        batch.photos.append(PhotoFeatures(name, digest, features))
    return batch


def digest_of(content: PhotoContent | None, source: Any) -> bytes:
    """By which a photo is known again: of its content (`read_photo`) or of pixels in memory; empty of neither."""
    if content is not None:
        return content.digest
    if isinstance(source, np.ndarray):
        return hashlib.sha256(repr(source.shape).encode() + np.ascontiguousarray(source).tobytes()).digest()
    return b""
