"""Short vectors of the network's features, by which similar photos are found."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.ood import normalize_rows

VECTOR = "\1feature vector"
"""A name that no target and no tensor in a file can have, because of the control character."""

WIDTH = 128
"""Numbers in a vector. The cosine of two is that of the features with a standard error of at most 1/√128, 0.09."""

DTYPE = np.dtype("<f2")
"""Of a vector that is stored."""


def feature_vectors(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of unit length, float32 (n, WIDTH), of features, float32 (n, width); zeros stay zeros.

    The projection is random and always the same, so that vectors of different runs can be compared.
    Source: Johnson and Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert space, 1984.
    """
    # einsum, because the threads of NumPy's BLAS spin beside those of ONNX Runtime; see `ood_graph`
    return normalize_rows(np.einsum("nf,fw->nw", features, _projection(features.shape[1])))


def product_vector(vectors: Sequence[NDArray[np.float32]]) -> bytes | None:
    """The vector of a product from those of its photos, float32 (WIDTH,) each: WIDTH numbers of DTYPE, of unit length.

    None where no photo has one, or they are zeros.
    """
    if not vectors:
        return None
    [mean] = normalize_rows(np.mean(np.stack(vectors), axis=0, keepdims=True))
    return mean.astype(DTYPE).tobytes() if mean.any() else None


@lru_cache(maxsize=4)
def _projection(width: int) -> NDArray[np.float32]:
    """float32 (width, WIDTH)."""
    return np.random.default_rng(width).standard_normal((width, WIDTH), dtype=np.float32)
