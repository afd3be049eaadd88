"""Features of photos, cached on the disk by the photos' content: one cache for trainings, audits and indexes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_content import versions
from muslin.models.seen_images import IMAGE_DIGEST_BYTES
from muslin.storage.row_cache import RowCache, name_of_parts, shrink

CACHE_FORMAT = 5
"""Rises when a cached row or the decoding change; rows of another format are not found."""


class CachedFeatures(NamedTuple):
    """The digest of the image that the network takes, IMAGE_DIGEST_BYTES, and its features, float32 (width,)."""

    image_digest: bytes
    features: NDArray[np.float32]


class FeatureCache:
    """The features that one network gives for photos, by `PhotoContent.digest`. Thread-safe.

    A row belongs to everything else that its bits depend on: the network, the preprocessing, and the versions of what
    decodes and computes.

    Args:
        network: its name.
        shape, transform: the image that it takes, as in `muslin.models.bundle.Preprocessing`.
        weights: a digest of its weights, in hexadecimal.
    """

    def __init__(self, network: str, shape: tuple[int, int, int], transform: str, weights: str) -> None:
        installed = versions("muslin", "PIL", "onnxruntime")
        self._rows = RowCache(name_of_parts(CACHE_FORMAT, network, shape, transform, weights, installed))

    def get(self, digest: bytes) -> CachedFeatures | None:
        """The features of a photo with this content; None where they are not cached."""
        row = self._rows.get(digest)
        if row is None or len(row) <= IMAGE_DIGEST_BYTES or len(row) % 4:
            return None
        return CachedFeatures(row[:IMAGE_DIGEST_BYTES], np.frombuffer(row[IMAGE_DIGEST_BYTES:], "<f4"))

    def add(self, digest: bytes, row: CachedFeatures) -> None:
        """Cache the features of a photo."""
        self._rows.add(digest, row.image_digest + row.features.astype("<f4").tobytes())

    def flush(self) -> None:
        """Write what was added, and keep the limits of the cache."""
        self._rows.flush()
        shrink()
