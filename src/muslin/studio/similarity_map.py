"""Where images lie on a map on which similar ones are near each other, and the vectors by which they are compared.

Both are computed by a job and kept in muslin's cache. Without a run's features, images are compared by small versions
of them, which finds copies, colours and outlines, not kinds of things.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
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

ITERATIONS = 500
"""Of t-SNE. 1,000 take twice as long, and lower the divergence from 1.76 to 1.63 for 3,781 photos."""

BLOCK = 64
"""Images that are read at a time."""

CACHE_FORMAT = 2

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
        is_first: whether it is a first view, which is shown until t-SNE is done.
    """

    method: str
    by: str
    indices: NDArray[np.int64]
    points: Floats
    vectors: Floats
    is_first: bool = False


def make_map(
    opened: OpenData,
    vectors: Floats | None,
    report: Callable[[float], object],
    keep: Callable[[SimilarityMap], object] = lambda found: None,
) -> SimilarityMap:
    """The map of a data set by these vectors, or else by small versions of its images.

    Args:
        vectors: float32 (count, width) of unit length, zeros where there is none.
        report: called with the share that is done, from 0 to 1.
        keep: called with the first view, by principal components, before t-SNE begins.
    """
    by = "pixels" if vectors is None else "features"
    if vectors is None:
        vectors = small_image_vectors(opened, lambda done: report(0.6 * done))
    known = np.flatnonzero(vectors.any(axis=1))
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:MAX_POINTS])
    if len(chosen) < 3:
        return SimilarityMap("pca", by, chosen, np.full((len(chosen), 2), 0.5, np.float32), vectors)
    components = _principal(vectors[chosen], COMPONENTS)
    first = SimilarityMap("pca", by, chosen, _from_0_to_1(components), vectors, is_first=True)
    keep(first)
    points = _t_sne(components)
    report(1.0)
    return replace(first, is_first=False) if points is None else SimilarityMap("t-sne", by, chosen, points, vectors)


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


def _t_sne(components: Floats) -> Floats | None:
    """Points from 0 to 1; None without scikit-learn."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return None
    perplexity = float(min(30, max(2, (len(components) - 1) // 3)))
    method = TSNE(2, perplexity=perplexity, init="pca", max_iter=ITERATIONS, random_state=0)
    return _from_0_to_1(method.fit_transform(components))


def _from_0_to_1(points: Floats) -> Floats:
    """The first two columns, each from 0 to 1."""
    points = points[:, :2] if points.shape[1] > 1 else np.pad(points, ((0, 0), (0, 1)))
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / np.maximum(high - low, 1e-9), np.float32)


def _principal(vectors: Floats, n: int) -> Floats:
    """float32 (count, at most n): the projections on the first principal components."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ directions[:, ::-1][:, : min(n, len(vectors) - 1)], np.float32)


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
    names = np.array([found.method, found.by, "first" if found.is_first else "final"])
    vectors = found.vectors.astype(np.float16)
    np.savez(buffer := io.BytesIO(), names=names, indices=found.indices, points=found.points, vectors=vectors)
    write_atomically(path, buffer.getvalue())


def load_map(path: Path) -> SimilarityMap | None:
    """The map at `path`; None where there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays: dict[str, Any] = {name: found[name] for name in ("names", "indices", "points", "vectors")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    method, by, stage = arrays["names"].tolist()
    vectors = arrays["vectors"].astype(np.float32)
    return SimilarityMap(method, by, arrays["indices"], arrays["points"], vectors, is_first=stage == "first")
