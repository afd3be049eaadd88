"""A network as far as its features: images in, features out, without torch and without a target."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_content import PhotoContent, read_photo
from muslin.data.photos import ordered_map
from muslin.errors import BundleError
from muslin.machine import physical_cores
from muslin.messages import Message
from muslin.models import runtime
from muslin.models.bundle import Bundle, Preprocessing
from muslin.models.bundle_checks import check_tensor
from muslin.models.checked_graphs import graph_cost
from muslin.models.feature_cache import CachedFeatures, FeatureCache
from muslin.models.graph_outputs import FEATURES, features_output
from muslin.models.photo_pipeline import AHEAD_PER_THREAD, BATCH
from muslin.models.photo_reading import read_image
from muslin.models.seen_images import digest_images

ONE_IMAGE = 1
"""Golden images that the check of the cost counts: none are run when a graph is opened."""


@dataclass(frozen=True)
class FeatureGraph:
    """What features are taken with; equal ones give the same features.

    Attributes:
        network: the network's name.
        weights: a digest of the weights, in hexadecimal.
        preprocessing: the image that the graph takes.
        model: an ONNX file, from `pixels` to `output`, float32 (n, features).
        output: the name of the features among its outputs.
    """

    network: str
    weights: str
    preprocessing: Preprocessing
    model: bytes = field(repr=False)
    output: str = FEATURES

    @classmethod
    def of(cls, bundle: Bundle) -> "FeatureGraph":
        """That of a model.

        Raises:
            BundleError: the model gives no features.
        """
        output = features_output(_output_names(bundle.model), bundle.targets)
        if output is None:
            raise BundleError("model_without_features")
        name = str(bundle.network.get("name", ""))
        return cls(name, hashlib.sha256(bundle.model).hexdigest(), bundle.preprocessing, bundle.model, output)

    def check(self) -> None:
        """Refuse a graph that does more than compute, or that costs too much.

        Raises:
            BundleError: see `muslin.models.checked_graphs.graph_cost`.
        """
        graph_cost(self.model, self.preprocessing.shape, ONE_IMAGE)

    @cached_property
    def cache(self) -> FeatureCache:
        """What is kept of its features on the disk, also by trainings."""
        shape, transform = self.preprocessing.shape, self.preprocessing.transform
        return FeatureCache(self.network, shape, transform, self.weights)

    def run(self, session: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features of images, uint8 (n, height, width, channels): float32 (n, features).

        Raises:
            BundleError: the graph cannot be run, or its features are no finite numbers.
        """
        [features] = runtime.run_session(session, [self.output], {"pixels": pixels})
        check_tensor(self.output, features, np.dtype(np.float32), (len(pixels), np.shape(features)[-1]))
        if not np.isfinite(features).all():
            raise BundleError("prediction_range", name=self.output)
        return np.asarray(features)


def _output_names(model: bytes) -> list[str]:
    return [entry.name for entry in runtime.session(model).get_outputs()]


@dataclass(frozen=True, eq=False)
class PhotoFeatures:
    """What a graph gives for a photo.

    Attributes:
        name: the photo's.
        digest: of its content, `muslin.data.photo_content.PhotoContent.digest`; empty where it cannot be read.
        features: float32 (features,); None where it cannot be read.
        error: why it cannot be read.
    """

    name: str
    digest: bytes
    features: NDArray[np.float32] | None = None
    error: Message | None = None


def photo_features(
    graph: FeatureGraph,
    photos: Iterable[tuple[str, Any]],
    known: Callable[[bytes], NDArray[np.float32] | None] = lambda digest: None,
    *,
    threads: int | None = None,
) -> Iterator[PhotoFeatures]:
    """The features of photos in order, from the cache where it has them; a few dozen photos are in memory at a time.

    Args:
        photos: pairs of a name and an image, as `Predictor.predict_named` takes them.
        known: the features of a photo with this digest, if the caller has them; safe in threads.
        threads: by default the physical cores.
    """
    session = runtime.session(graph.model)  # one thread: the threads are outside
    work = partial(_features_of_batch, graph, session, known)
    remaining = iter(photos)
    batches = iter(lambda: list(islice(remaining, BATCH)), [])
    try:
        for batch in ordered_map(work, batches, threads or physical_cores(), AHEAD_PER_THREAD):
            yield from batch
    finally:
        graph.cache.flush()


def _features_of_batch(
    graph: FeatureGraph,
    session: Any,
    known: Callable[[bytes], NDArray[np.float32] | None],
    batch: Sequence[tuple[str, Any]],
) -> list[PhotoFeatures]:
    found: dict[int, PhotoFeatures] = {}
    decoded: dict[int, tuple[bytes, NDArray[np.uint8]]] = {}
    for place, (name, source) in enumerate(batch):
        content = read_photo(name, source)
        digest = digest_of(content, source)
        features = known(digest) if digest else None
        if features is None and content and (row := graph.cache.get(digest)):
            features = row.features
        if features is not None:
            found[place] = PhotoFeatures(name, digest, features)
            continue
        image = read_image(name, content or source, graph.preprocessing, None)
        if image.pixels is None:
            found[place] = PhotoFeatures(name, b"", error=cast(Message | None, image.prediction.error))
        else:
            decoded[place] = digest, image.pixels
    if decoded:
        pixels = np.stack([shown for _, shown in decoded.values()])
        rows = graph.run(session, pixels)
        for place, (digest, shown), row in zip(decoded, decoded.values(), rows, strict=True):
            found[place] = PhotoFeatures(batch[place][0], digest, row)
            if hasattr(batch[place][1], "content"):  # a photo in a file, whose content will come again
                graph.cache.add(digest, CachedFeatures(digest_images([shown]).tobytes(), row))
    return [found[place] for place in range(len(batch))]


def digest_of(content: PhotoContent | None, source: Any) -> bytes:
    """By which a photo is known again: of its content (`read_photo`) or of pixels in memory; empty of neither."""
    if content is not None:
        return content.digest
    if isinstance(source, np.ndarray):
        return hashlib.sha256(repr(source.shape).encode() + np.ascontiguousarray(source).tobytes()).digest()
    return b""
