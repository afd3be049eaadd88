"""Where images lie on a map on which similar ones are near each other, and the vectors by which they are compared.

Both are computed by a job and kept in muslin's cache. Without a run's features, images are compared by small versions
of them, which finds copies, colours and outlines, not kinds of things.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from muslin.errors import MuslinError
from muslin.evaluation.ood import normalize_rows
from muslin.images.decoder import Pixels, to_pil
from muslin.storage.atomic import cache_folder, write_atomically
from muslin.studio.data_sets import OpenData

MAX_POINTS = 5_000
"""Of a map: t-SNE of more takes minutes, and its points cover each other."""

SIDE = 12
"""Images are compared in so many rows and columns."""

COMPONENTS = 40
"""Principal components that t-SNE takes: what is left out of small images is noise."""

BLOCK = 64
"""Images that are read at a time."""

CACHE_FORMAT = 1

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SimilarityMap:
    """A map of a data set.

    Attributes:
        method: `t-sne` or `pca`.
        by: `features` of a run's model, or `pixels`.
        indices: int64 (points,), the images on the map.
        points: float32 (points, 2), from 0 to 1.
        vectors: float32 (count, width) of unit length, of all images; zeros of those without.
    """

    method: str
    by: str
    indices: NDArray[np.int64]
    points: Floats
    vectors: Floats


def make_map(opened: OpenData, vectors: Floats | None, report: Callable[[float], object]) -> SimilarityMap:
    """The map of a data set by these vectors, or else by small versions of its images.

    Args:
        vectors: float32 (count, width) of unit length, zeros where there is none.
        report: called with the share that is done, from 0 to 1.
    """
    by = "pixels" if vectors is None else "features"
    if vectors is None:
        vectors = small_image_vectors(opened, lambda done: report(0.6 * done))
    known = np.flatnonzero(vectors.any(axis=1))
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:MAX_POINTS])
    method, points = _flattened(vectors[chosen])
    report(1.0)
    return SimilarityMap(method, by, chosen, points, vectors)


def small_image_vectors(opened: OpenData, report: Callable[[float], object] = lambda done: None) -> Floats:
    """float32 (count, width): each image as SIDE × SIDE pixels, without their mean over all images, of unit length."""
    count, rows = len(opened), np.zeros((len(opened), SIDE * SIDE * 3), np.float32)
    is_read = np.zeros(count, bool)
    for start in range(0, count, BLOCK):
        indices = range(start, min(start + BLOCK, count))
        for index, pixels in zip(indices, opened.thumbnails(indices, 4 * SIDE), strict=True):
            if not isinstance(pixels, MuslinError):
                rows[index], is_read[index] = _small_row(pixels), True
        report(min(1.0, (start + BLOCK) / count))
    rows[is_read] -= rows[is_read].mean(axis=0)
    return np.asarray(normalize_rows(rows), np.float32)


def _small_row(pixels: Pixels) -> Floats:
    image = to_pil(pixels).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(np.asarray(image, np.float32).reshape(-1) / np.float32(255), np.float32)


def _flattened(vectors: Floats) -> tuple[str, Floats]:
    """The method, and points from 0 to 1."""
    if len(vectors) < 3:
        return "pca", np.full((len(vectors), 2), 0.5, np.float32)
    components = _principal(vectors, min(COMPONENTS, len(vectors) - 1, vectors.shape[1]))
    method, points = "pca", components[:, :2]
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        pass
    else:
        perplexity = float(min(30, max(2, (len(vectors) - 1) // 3)))
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(components)
        method = "t-sne"
    if points.shape[1] < 2:
        points = np.pad(points, ((0, 0), (0, 1)))
    low, high = points.min(axis=0), points.max(axis=0)
    return method, ((points - low) / np.maximum(high - low, 1e-9)).astype(np.float32)


def _principal(vectors: Floats, n: int) -> Floats:
    """float32 (count, n): the projections on the first `n` principal components."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ directions[:, ::-1][:, :n], np.float32)


# ── The cache ────────────────────────────────────────────────────────────────────────────────────────────


def map_path(opened: OpenData, root: Path, run: str, run_version: str) -> Path:
    """Where the map of a data set is kept; another one for each version of the data, and of the run."""
    key = repr((CACHE_FORMAT, str(root), opened.name, opened.version, run, run_version))
    return cache_folder() / "maps" / f"{hashlib.sha256(key.encode(errors='backslashreplace')).hexdigest()[:32]}.npz"


def save_map(path: Path, found: SimilarityMap) -> None:
    """Write a map.

    Raises:
        StorageError: the cache cannot be written.
    """
    names, vectors = np.array([found.method, found.by]), found.vectors.astype(np.float16)
    np.savez(buffer := io.BytesIO(), names=names, indices=found.indices, points=found.points, vectors=vectors)
    write_atomically(path, buffer.getvalue())


def load_map(path: Path) -> SimilarityMap | None:
    """The map at `path`; None where there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays: dict[str, Any] = {name: found[name] for name in ("names", "indices", "points", "vectors")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    method, by = arrays["names"].tolist()
    return SimilarityMap(method, by, arrays["indices"], arrays["points"], arrays["vectors"].astype(np.float32))
