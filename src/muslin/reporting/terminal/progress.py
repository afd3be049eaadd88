"""The progress of training and tagging: a live line on a terminal, and a plain line for some epochs also in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from muslin.evaluation.intervals import wilson_interval
from muslin.printing import escaped_output, log
from muslin.reporting.terminal.console import console_for
from muslin.text import duration, short_interval

if TYPE_CHECKING:
    from muslin.learn.training_loop import Progress


MAX_EPOCH_LINES = 10
"""Of more epochs, the first, about as many between and the last have a line; `history.jsonl` has all."""


@contextmanager
def training_progress() -> Iterator[Callable[["Progress"], None]]:
    """A function to call after every step. It writes to standard error; standard output is for results."""
    if not sys.stderr.isatty():
        yield _print_epoch
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as ProgressBar

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), TextColumn("{task.description}"))
    with ProgressBar(*columns, console=console_for(sys.stderr)) as bar, escaped_output():
        task = bar.add_task("starting", epoch="")

        def show(progress: "Progress") -> None:
            bar.update(
                task,
                total=1.0,
                completed=progress.share,
                epoch=f"{progress.epoch}/{progress.epochs}",
                description=(
                    f"loss {progress.loss:.3f}  accuracy {progress.accuracy:.1%}  "
                    f"{_speed(progress)}{duration(progress.left_s)} left"
                ),
            )
            if _has_line(progress):
                bar.console.print(_epoch_line(progress), highlight=False)

        yield show


@contextmanager
def tagging_progress(unit: str = "products") -> Iterator[Callable[[int, int], None]]:
    """A function to call with the number of finished and of all products, or what `unit` names; silent in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, products: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console_for(sys.stderr)) as bar, escaped_output():
        task, done_before = bar.add_task("", total=None), -1
        start = time.monotonic()

        def show(done: int, products: int) -> None:
            nonlocal done_before
            if done_before < 0:  # products of an interrupted job have no speed
                done_before = done
            rate = (done - done_before) / max(time.monotonic() - start, 1e-9)
            bar.update(task, total=products, completed=done, description=f"{rate:,.0f} {unit}/s")

        yield show


def _print_epoch(progress: "Progress") -> None:
    if _has_line(progress):
        log(_epoch_line(progress))


def _has_line(progress: "Progress") -> bool:
    """Whether the end of an epoch is said. Not of a linear probe, whose log says how it ended."""
    if progress.row is None or progress.images_per_s is None:
        return False
    every = -(-progress.epochs // MAX_EPOCH_LINES)
    return progress.epoch in (1, progress.epochs) or progress.epoch % every == 0


def _epoch_line(progress: "Progress") -> str:
    row, validation = progress.row or {}, ""
    if row["validation_loss"] is not None:
        validation = f"  validation loss {row['validation_loss']:.3f} accuracy {_accuracy_on(row)}"
    return (
        f"epoch {progress.epoch}/{progress.epochs}  loss {row['train_loss']:.3f} accuracy "
        f"{row['train_accuracy']:.1%} of {row['train_images']:,}"
        f"{validation}  {_speed(progress)}{duration(progress.left_s)} left"
    )


def _accuracy_on(row: Mapping[str, Any]) -> str:
    """`92.9% of 10,000 (92.4–93.4)`: the validation accuracy, the number of images and the 95 % interval."""
    accuracy, n = row["validation_accuracy"], row["validation_images"]
    return f"{accuracy:.1%} of {n:,} ({short_interval(wilson_interval(round(accuracy * n), n))})"


def _speed(progress: "Progress") -> str:
    return "" if progress.images_per_s is None else f"{progress.images_per_s:,.0f} images/s  "
