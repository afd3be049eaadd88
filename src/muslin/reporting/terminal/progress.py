"""Training's progress, for whoever waits: a live line on a terminal, one plain line per epoch in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from muslin.text import duration


class ProgressLike(Protocol):
    """What is shown of a step; `muslin.learn.training_loop.Progress` is one."""

    @property
    def epoch(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def images_per_s(self) -> float: ...
    @property
    def left_s(self) -> float: ...
    @property
    def row(self) -> dict[str, Any] | None: ...


@contextmanager
def training_progress() -> Iterator[Callable[[ProgressLike], None]]:
    """A function to call after every step. Writes to standard error, so that standard output stays for results."""
    if not sys.stderr.isatty():
        yield _plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", epoch="")

        def show(step: ProgressLike) -> None:
            bar.update(
                task,
                total=step.epochs * step.steps,
                completed=(step.epoch - 1) * step.steps + step.step,
                epoch=f"{step.epoch}/{step.epochs}",
                description=(
                    f"loss {step.loss:.3f}  accuracy {step.accuracy:.1%}  "
                    f"{step.images_per_s:,.0f} images/s  {duration(step.left_s)} left"
                ),
            )
            if step.row:
                bar.console.print(_line(step), highlight=False)

        yield show


@contextmanager
def tagging_progress() -> Iterator[Callable[[int, int], None]]:
    """A function to call with how many products are done and how many there are; quiet in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, products: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task, before = bar.add_task("", total=None), -1
        begun = time.monotonic()

        def show(done: int, products: int) -> None:
            nonlocal before
            before = done if before < 0 else before  # what an earlier call did is not this one's speed
            rate = (done - before) / max(time.monotonic() - begun, 1e-9)
            bar.update(task, total=products, completed=done, description=f"{rate:,.0f} products/s")

        yield show


def _plain(step: ProgressLike) -> None:
    if step.row:
        print(_line(step), file=sys.stderr, flush=True)


def _line(step: ProgressLike) -> str:
    row = step.row or {}
    checked = (
        f"  validation loss {row['validation_loss']:.3f} accuracy {row['validation_accuracy']:.1%}"
        if row["validation_loss"] is not None
        else ""
    )
    return (
        f"epoch {step.epoch}/{step.epochs}  loss {row['train_loss']:.3f} accuracy {row['train_accuracy']:.1%}"
        f"{checked}  {step.images_per_s:,.0f} images/s  {duration(step.left_s)} left"
    )
