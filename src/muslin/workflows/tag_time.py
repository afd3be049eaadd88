"""How long a tagging takes, measured on a few of its products before it starts."""

import time
from collections.abc import Iterator
from itertools import islice

from muslin.messages import Log, Message
from muslin.models.photo_reading import read_image
from muslin.workflows.tag_job import TagJob
from muslin.workflows.tag_rows import is_predicted
from muslin.workflows.work_time import MIN_S, here_and_there

SAMPLE = 12
"""Products that are measured, spread over the catalogue. What the network gives for their photos is cached, so that
nothing is computed twice."""

MIN_PRODUCTS = 20 * SAMPLE
"""Fewer are tagged before it is of interest how long they take."""


def log_tagging_time(job: TagJob, done: int, log: Log) -> None:
    """Say about how long the products after the first `done` take here and, with an executor, on its workers, which are
    taken to be as fast as this machine."""
    left = job.catalogue.products - done
    if left < MIN_PRODUCTS:
        return
    seconds = list(_seconds(job, done, max(1, left // SAMPLE)))
    of_one_core = sum(seconds) / len(seconds) * left
    expected = here_and_there(of_one_core, job.predictor.threads, job.options.executor)
    if expected["here_s"] >= MIN_S:
        log(Message("tagging_expected", count=left, **expected))


def _seconds(job: TagJob, done: int, step: int) -> Iterator[float]:
    """Of every so many products after the first `done` the time of one core."""
    predictor, preprocessing = job.predictor, job.predictor.bundle.preprocessing
    predictor.run_graph(predictor.bundle.golden_pixels[:1], 1, in_threads=True)  # the first one takes longer
    for number, product in islice(enumerate(job.catalogue.rows), done, None, step):
        started = time.perf_counter()
        for name, photo, _ in job.catalogue.rows.find(product) if is_predicted(job, number, product) else ():
            predictor.infer_read([read_image(name, photo, preprocessing, predictor.cache)], True)
        yield time.perf_counter() - started
