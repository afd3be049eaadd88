"""What a model gives for photos before any decision, cached on the disk by the photos' content.

Decisions are not cached: they follow from the cached output, whatever the precision, the thresholds or the calibration.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_content import versions
from muslin.machine import processor
from muslin.messages import Message
from muslin.models.bundle import Bundle
from muslin.models.feature_vectors import VECTOR, WIDTH
from muslin.models.graph_outputs import OOD_SCORE
from muslin.storage.row_cache import RowCache, name_of_parts, shrink

CACHE_FORMAT = 3
"""Rises when a cached row or the decoding change; rows of another format are not found."""


@dataclass(frozen=True, eq=False)
class PhotoOutput:
    """What a model gives for one photo, before any decision.

    Attributes:
        values: per target's name float32 (classes,), the raw probabilities; under OOD_SCORE float32 (1,), of a model
            with an OOD detector; and where it is asked for, under VECTOR float32 (WIDTH,), see
            `muslin.models.feature_vectors`.
        notes: what was done to the photo on its way to the network.
    """

    values: Mapping[str, NDArray[np.float32]]
    notes: tuple[str, ...]


class OutputCache:
    """Cached outputs of one model. Thread-safe.

    A row is found by a photo's content (`PhotoContent.digest`), or by an image as the model takes it
    (`muslin.models.input_cache.image_key`), by which `evaluate` knows copies in other files. It belongs to
    everything else that its bits depend on: the graph, the preprocessing, the OOD detector, the versions of what
    decodes and computes, and the processor.

    Args:
        vectors: whether a row has the photo's feature vector too.
    """

    def __init__(self, bundle: Bundle, *, vectors: bool = False) -> None:
        self._widths = {target.name: len(target.classes) for target in bundle.targets}
        if bundle.ood_detector:
            self._widths[OOD_SCORE] = 1
        if vectors:
            self._widths[VECTOR] = WIDTH
        self._rows = RowCache(_name(bundle, vectors))

    def get(self, key: bytes) -> PhotoOutput | None:
        """The output for a photo or an image with this key; None where it is not cached."""
        if (row := self._rows.get(key)) is None:
            return None
        bounds = [0, *np.cumsum([4 * width for width in self._widths.values()]).tolist()]
        try:
            arrays = [np.frombuffer(row[start:end], "<f4") for start, end in pairwise(bounds)]
            if any(len(each) != width for each, width in zip(arrays, self._widths.values(), strict=True)):
                return None
            notes = tuple(Message(code, **params) for code, params in json.loads(row[bounds[-1] :]))
        except (ValueError, TypeError, KeyError):
            return None
        return PhotoOutput(dict(zip(self._widths, arrays, strict=True)), notes)

    def add(self, key: bytes, output: PhotoOutput) -> None:
        """Cache the output for a photo or an image."""
        values = b"".join(output.values[name].astype("<f4").tobytes() for name in self._widths)
        notes = json.dumps([[note.code, dict(note.params)] for note in output.notes if isinstance(note, Message)])
        self._rows.add(key, values + notes.encode())

    def flush(self) -> None:
        """Write what was added, and keep the limits of the cache."""
        if self._rows.flush():
            shrink()


def _name(bundle: Bundle, vectors: bool) -> str:
    installed = versions("muslin", "PIL", "numpy", "onnxruntime")
    model, detector = hashlib.sha256(bundle.model).hexdigest(), ""
    if bundle.ood_detector:
        detector = hashlib.sha256(bundle.ood_detector.reference_features.astype("<f4").tobytes()).hexdigest()
    targets = [(target.name, len(target.classes)) for target in bundle.targets]
    kind = "outputs with vectors" if vectors else "outputs"
    return name_of_parts(kind, CACHE_FORMAT, model, bundle.preprocessing, targets, detector, installed, processor())
