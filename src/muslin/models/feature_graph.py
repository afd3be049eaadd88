"""A network as far as its features: images in, features out, without torch and without a target."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError
from muslin.messages import Message
from muslin.models import runtime
from muslin.models.bundle import Bundle, Preprocessing
from muslin.models.bundle_checks import check_tensor
from muslin.models.checked_graphs import graph_cost
from muslin.models.feature_cache import CachedFeatures, FeatureCache
from muslin.models.graph_outputs import FEATURES, features_output
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

    def read(self, name: str, source: Any) -> NDArray[np.uint8] | Message:
        """An image as the graph takes it, of one that `Predictor.predict_named` takes; or why it cannot be read."""
        image = read_image(name, source, self.preprocessing, None)
        return cast(Message, image.prediction.error) if image.pixels is None else image.pixels

    def features_of(
        self, session: Any, images: Sequence[NDArray[np.uint8] | Message]
    ) -> list[CachedFeatures | Message]:
        """The features of images as of `read`, which go through the network together; what is no image stays.

        Args:
            session: of `model`, with one thread. Safe in threads.

        Raises:
            BundleError: as of `run`.
        """
        found: dict[int, CachedFeatures | Message] = {
            i: each for i, each in enumerate(images) if isinstance(each, Message)
        }
        readable = {i: each for i, each in enumerate(images) if not isinstance(each, Message)}
        if readable:
            rows = self.run(session, np.stack(list(readable.values())))
            for i, digest, row in zip(readable, digest_images(readable.values()), rows, strict=True):
                found[i] = CachedFeatures(digest.tobytes(), row)
        return [found[i] for i in range(len(images))]


def _output_names(model: bytes) -> list[str]:
    return [entry.name for entry in runtime.session(model).get_outputs()]
