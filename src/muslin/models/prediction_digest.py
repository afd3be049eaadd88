"""A digest of everything in a bundle that its predictions depend on."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from muslin.models.bundle import Bundle

NOT_IN_PREDICTIONS = frozenset(
    {"weights", "golden_pixels", "golden_probabilities", "network", "provenance", "seen_images"}
)
"""Fields of a Bundle that no prediction depends on. Every other field counts, also one that is added later."""


def prediction_digest(bundle: Bundle) -> str:
    """SHA-256, in hexadecimal; equal for bundles whose predictions and decisions are equal for every image."""
    digest = hashlib.sha256()
    for field in fields(bundle):
        if field.name not in NOT_IN_PREDICTIONS:
            digest.update(field.name.encode())
            for piece in _pieces(getattr(bundle, field.name)):
                digest.update(len(piece).to_bytes(8, "little") + piece)
    return digest.hexdigest()


def _pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, np.ndarray):
        yield repr((value.dtype.str, value.shape)).encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Mapping) or is_dataclass(value):
        named = value if isinstance(value, Mapping) else vars(value)
        yield repr(sorted(named)).encode()
        for name in sorted(named):
            yield from _pieces(named[name])
    else:
        yield repr(value).encode()
