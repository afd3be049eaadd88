"""How long an index takes, measured on a few of its photos before it is built."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_roles import ProductPhoto
from muslin.execution import Executor
from muslin.machine import physical_cores
from muslin.messages import Log, Message
from muslin.models import runtime
from muslin.models.feature_graph import FeatureGraph
from muslin.models.photo_features import features_of_batch
from muslin.workflows.work_time import MIN_S, here_and_there

SAMPLE = 12
"""Photos that are measured, spread over all. Their features are cached, so that nothing is computed twice."""

MIN_PHOTOS = 20 * SAMPLE
"""Fewer are computed before it is of interest how long they take."""


def log_expected_time(
    graph: FeatureGraph,
    photos: Sequence[tuple[int, ProductPhoto]],
    known: Mapping[bytes, NDArray[np.float16]],
    executor: Executor | None,
    log: Log,
) -> None:
    """Say about how long the features of the photos take here and, with an executor, on its workers."""
    if len(photos) < MIN_PHOTOS:
        return
    session = runtime.session(graph.model)
    graph.run(session, np.zeros((1, *graph.preprocessing.shape), np.uint8))  # the first one takes longer
    sample = photos[:: len(photos) // SAMPLE]
    started = time.perf_counter()
    for _, photo in sample:
        features_of_batch(graph, session, known.get, [(photo.name, photo.image)])
    of_one_core_s = (time.perf_counter() - started) / len(sample) * len(photos)
    expected = here_and_there(of_one_core_s, physical_cores(), executor)
    if expected["here_s"] >= MIN_S:
        log(Message("extraction_expected", n=len(photos), **expected))
