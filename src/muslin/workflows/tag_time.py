"""How long a tagging takes, measured on a few of its products before it starts; and what an executor has to say."""

import time
from collections.abc import Iterator
from itertools import islice

from muslin.execution import Executor
from muslin.messages import Log, Message
from muslin.models.photo_reading import read_image
from muslin.workflows.tag_job import TagJob
from muslin.workflows.tag_rows import is_predicted

SAMPLE = 12
"""Products that are measured, spread over the catalogue. What the network gives for their photos is cached, so that
nothing is computed twice."""

MIN_PRODUCTS = 20 * SAMPLE
"""Fewer are tagged before it is of interest how long they take."""

MIN_S = 60.0
"""What takes less is not said."""


def log_expected_time(job: TagJob, done: int, log: Log) -> None:
    """Say about how long the products after the first `done` take here and, with an executor, on its workers, which are
    taken to be as fast as this machine."""
    left = job.catalogue.products - done
    if left < MIN_PRODUCTS:
        return
    seconds = list(_seconds(job, done, max(1, left // SAMPLE)))
    of_one_core = sum(seconds) / len(seconds) * left
    here_s = of_one_core / job.predictor.threads
    if here_s < MIN_S:
        return
    workers, there_s = None, None
    if job.options.executor:
        status = job.options.executor.status()
        workers = status.workers or None
        there_s = of_one_core / (status.cores or status.workers) if workers else None
    log(Message("tagging_expected", count=left, here_s=here_s, workers=workers, there_s=there_s))


def _seconds(job: TagJob, done: int, step: int) -> Iterator[float]:
    """Of every so many products after the first `done` the time of one core."""
    predictor, preprocessing = job.predictor, job.predictor.bundle.preprocessing
    predictor.run_graph(predictor.bundle.golden_pixels[:1], 1, in_threads=True)  # the first one takes longer
    for number, product in islice(enumerate(job.catalogue.rows), done, None, step):
        started = time.perf_counter()
        for name, photo, _ in job.catalogue.rows.find(product) if is_predicted(job, number, product) else ():
            predictor.infer_read([read_image(name, photo, preprocessing, predictor.cache)], True)
        yield time.perf_counter() - started


class ExecutorNotes:
    """What became of an executor's workers while it worked, said once each."""

    def __init__(self, executor: Executor | None, log: Log) -> None:
        self._executor, self._log = executor, log
        self._n_left_out = 0
        self._retried = executor.status().retried if executor else 0

    def tell(self) -> None:
        """Say which machines that came do not take part."""
        for error in self._executor.status().left_out[self._n_left_out :] if self._executor else ():
            self._log(error.message)
            self._n_left_out += 1

    def end(self) -> None:
        """Say how often work was given to another worker."""
        if self._executor and (count := self._executor.status().retried - self._retried):
            self._log(Message("shards_retried", count=count))
