"""How long a sweep takes, measured before it starts."""

from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

from muslin import machine
from muslin.data.dataset import Dataset
from muslin.errors import MuslinError
from muslin.learn.recipes import LinearProbeRecipe, recipe
from muslin.messages import Message
from muslin.workflows.expected_time import expected_train_s
from muslin.workflows.sweep_plan import Variant
from muslin.workflows.training_plan import TrainOptions

if TYPE_CHECKING:
    from muslin.workflows.sweep import SweepControl


def log_sweep_time(
    dataset: Dataset, variants: Sequence[Variant], shared: TrainOptions, control: "SweepControl"
) -> dict[str, float]:
    """Say about how long the variants take here and, with an executor, with its workers; measured by short trials.

    Workers are taken to be as fast as this machine.

    Returns:
        By their names, seconds of the variants with the threads that they get.
    """
    workers = control.executor.status().workers if control.executor else None
    seconds = _seconds(dataset, variants, shared.threads)
    here_s = sum(_seconds(dataset, variants, None) if workers else seconds)
    there_s = makespan(sorted(seconds, reverse=True), workers) if workers else None
    if here_s:
        control.callbacks.log(
            Message("sweep_expected", n=len(variants), here_s=here_s, workers=workers or None, there_s=there_s)
        )
    return {variant.name: each for variant, each in zip(variants, seconds, strict=True)}


def _seconds(dataset: Dataset, variants: Sequence[Variant], threads: int | None) -> list[float]:
    """Of each variant, with one trial for all seeds; 0 where none is possible. The features of photos, which are
    cached, are counted once."""
    measured: dict[str, float] = {}
    seconds = []
    for variant in variants:
        row = recipe(variant.recipe, **variant.settings)
        key = repr(row.to_dict())
        if key not in measured:
            try:
                with machine.limited_cores(threads):
                    measured[key] = expected_train_s(dataset, row, variant.seed)
            except MuslinError:  # which the training will say
                measured[key] = 0.0
            seconds.append(measured[key])
        else:
            seconds.append(0.0 if isinstance(row, LinearProbeRecipe) else measured[key])
    return seconds


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Until all are done, where each worker takes the next as soon as it is free.

    >>> makespan([3, 1, 1, 1], 2)
    3.0
    """
    free_at = [0.0] * workers
    heapify(free_at)
    for each in seconds:
        heapreplace(free_at, free_at[0] + each)
    return max(free_at)
