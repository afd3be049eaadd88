"""The training loop, to be read from top to bottom."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from muslin.data.dataset import UNKNOWN
from muslin.errors import TrainingError
from muslin.learn.accelerate import Engine, apply
from muslin.learn.batches import epoch_batches, generator, steps_per_epoch
from muslin.learn.checkpoint import load_checkpoint, save_checkpoint
from muslin.learn.modules import Net, logits, to_batch
from muslin.learn.optimizers import optimizers_for
from muslin.learn.recipes import Recipe

Labels = dict[str, NDArray[np.integer[Any]]]
"""Per target's name, int64 (count,): a class's index or UNKNOWN."""


@dataclass(frozen=True)
class Progress:
    """Where training is after a step, for a person who waits."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_s: float
    left_s: float
    row: dict[str, Any] | None  # the epoch's line of the history, at its end


class Stopped(TrainingError):  # noqa: N818  # not an error: it was asked for
    """Training was asked to stop; its checkpoint is kept."""


def fit(
    net: Net,
    train: tuple[NDArray[np.uint8], Labels],
    validation: tuple[NDArray[np.uint8], Labels],
    recipe: Recipe,
    *,
    seed: int,
    engine: Engine,
    checkpoint: Path | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint_every_s: float = 5.0,
) -> list[dict[str, Any]]:
    """Train `net` in place and return its history, one row per epoch.

    Pixels are uint8 (count, height, width, channels). If `checkpoint` exists, training goes on from there and ends
    with the weights it would have had without the interruption, bit for bit (same machine, same engine).

    Raises:
        Stopped: `stop()` became true; the step was finished and the checkpoint written.
        TrainingError: the loss is no longer a number.
    """
    apply(engine)
    pixels, labels = train
    answers = {name: torch.from_numpy(values.astype(np.int64)) for name, values in labels.items()}
    steps = steps_per_epoch(len(pixels), recipe)
    total_steps = steps * recipe.epochs
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    optimizers = optimizers_for(net, recipe)
    net.prepare(pixels)

    history: list[dict[str, Any]] = []
    done, elapsed_s, loss_sum, right, seen = 0, 0.0, 0.0, 0, 0
    if checkpoint and checkpoint.exists():
        saved = load_checkpoint(checkpoint, net, optimizers)
        history, done, elapsed_s = saved["history"], saved["done"], saved["elapsed_s"]
        loss_sum, right, seen = saved["loss_sum"], saved["right"], saved["seen"]

    def save() -> None:
        if checkpoint:
            state = {"history": history, "done": done, "elapsed_s": elapsed_s + time.perf_counter() - started}
            save_checkpoint(
                checkpoint, net, optimizers, state | {"loss_sum": loss_sum, "right": right, "seen": seen}
            )

    started = saved_at = time.perf_counter()
    done_before, seen_now = done, 0
    for epoch in range(done // steps, recipe.epochs):
        net.train()
        for step, indices, batch in epoch_batches(
            pixels, recipe, seed=seed, epoch=epoch, first_step=done % steps
        ):
            rate = learning_rate_factor(recipe, done, total_steps)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * rate
            net.random = generator(seed, "dropout", done)
            with torch.autocast("cpu", torch.bfloat16, enabled=engine.precision == "bfloat16"):
                scores = net(to_batch(batch))
            here = {name: values[torch.from_numpy(indices)] for name, values in answers.items()}
            loss = loss_of(scores, here, recipe)
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()

            done += 1
            loss_value = loss.item()
            if not math.isfinite(loss_value):
                raise TrainingError(
                    f"the loss is {loss_value} at step {done} of {total_steps}: training has run away. "
                    f"Try a smaller learning rate: --set learning_rate={recipe.learning_rate / 4:g}."
                )
            loss_sum += loss_value * len(indices)
            right += count_right(scores, here)
            seen += len(indices)
            seen_now += len(indices)
            row: dict[str, Any] | None = None
            if step == steps - 1:
                checked = judge(net, *validation, recipe)
                row = {
                    "epoch": epoch + 1,
                    "train_loss": loss_sum / seen,
                    "train_accuracy": right / (seen * len(answers)),
                    "validation_loss": checked[0],
                    "validation_accuracy": checked[1],
                    "learning_rate": recipe.learning_rate * rate,
                    "elapsed_s": elapsed_s + time.perf_counter() - started,
                }
                history.append(row)
                loss_sum, right, seen = 0.0, 0, 0
                net.train()
            now = time.perf_counter()
            tell(
                Progress(
                    epoch=epoch + 1,
                    epochs=recipe.epochs,
                    step=step + 1,
                    steps=steps,
                    loss=history[-1]["train_loss"] if row else loss_sum / seen,
                    accuracy=history[-1]["train_accuracy"] if row else right / (seen * len(answers)),
                    images_per_s=seen_now / (now - started),
                    left_s=(total_steps - done) * (now - started) / (done - done_before),
                    row=row,
                )
            )
            asked_to_stop = stop()
            if row or asked_to_stop or now - saved_at > checkpoint_every_s:
                save()
                saved_at = time.perf_counter()
            if asked_to_stop and done < total_steps:
                raise Stopped(f"stopped after step {done:,} of {total_steps:,}; everything so far is kept.")
    net.eval()
    return history


def learning_rate_factor(recipe: Recipe, done: int, total: int) -> float:
    """What the learning rates are multiplied by at the step after `done` of `total` steps."""
    if recipe.schedule == "constant":
        return 1.0
    climb = recipe.warmup * total
    return (done + 1) / climb if done + 1 < climb else (total - done) / max(total - climb, 1)


def loss_of(scores: dict[str, Tensor], labels: dict[str, Tensor], recipe: Recipe) -> Tensor:
    """The mean cross-entropy over the pictures whose label is known, added up over the targets."""
    losses = []
    for name, values in scores.items():
        losses.append(
            F.cross_entropy(
                logits(values.float(), recipe.activation),
                labels[name],
                ignore_index=UNKNOWN,
                label_smoothing=recipe.label_smoothing,
                reduction="sum",
            )
            / (labels[name] != UNKNOWN).sum().clamp(min=1)
        )
    return torch.stack(losses).sum()


def count_right(scores: dict[str, Tensor], labels: dict[str, Tensor]) -> int:
    """How many answers are right, over all targets."""
    return sum(int((values.argmax(1) == labels[name]).sum()) for name, values in scores.items())


@torch.no_grad()
def judge(
    net: Net, pixels: NDArray[np.uint8], labels: Labels, recipe: Recipe, batch_size: int = 1000
) -> tuple[float | None, float | None]:
    """(mean loss, accuracy) of `net` as it will answer, over pictures it does not learn from; None without any."""
    if not len(pixels):
        return None, None
    net.eval()
    loss, right, known = 0.0, 0, 0
    for start in range(0, len(pixels), batch_size):
        probabilities = net.probabilities(to_batch(pixels[start : start + batch_size]))
        for name, values in probabilities.items():
            truth = torch.from_numpy(labels[name][start : start + batch_size].astype(np.int64))
            loss += float(
                F.nll_loss(values.clamp(min=1e-7).log(), truth, ignore_index=UNKNOWN, reduction="sum")
            )
            right += int((values.argmax(1) == truth).sum())
            known += int((truth != UNKNOWN).sum())
    return (loss / known, right / known) if known else (None, None)
