"""The training loop, to be read from top to bottom."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from muslin.data.photos import ResizedPhotos
from muslin.errors import StoppedError, TrainingError
from muslin.learn.batches import Images, epoch_batches, generator, steps_per_epoch, total_steps
from muslin.learn.checkpoint import load_checkpoint, save_checkpoint
from muslin.learn.frozen_prefix import frozen_prefix
from muslin.learn.losses import class_weights, count_correct, mean_accuracy, positive_rates
from muslin.learn.microbatches import MicroBatches
from muslin.learn.modules import Net
from muslin.learn.optimizers import optimizers_for
from muslin.learn.recipes import Recipe, eval_image_size, train_image_size
from muslin.learn.torch_setup import ComputeSettings, apply_compute_settings, restore_torch_settings

Labels = dict[str, NDArray[np.integer[Any]]]
"""Per target's name, int64 (count,): a class's index or UNKNOWN; or int8 (count, classes): 1, 0 or UNKNOWN."""


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


@dataclass
class State:
    """What a run needs to go on, besides the weights and the optimizers' state; kept in its checkpoint.

    `done` counts steps over all epochs; the others add up the epoch under way: `loss_sum` over the `seen` images,
    and per target the answers that are `right` of those that are `known`.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    done: int = 0
    elapsed_s: float = 0.0
    loss_sum: float = 0.0
    seen: int = 0
    right: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)


@restore_torch_settings()
def fit(
    net: Net,
    train: tuple[Images, Labels],
    validation: tuple[Images, Labels],
    recipe: Recipe,
    *,
    seed: int,
    compute: ComputeSettings,
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_every_s: float = 5.0,
) -> list[dict[str, Any]]:
    """Train `net` in place and return its history, one row per epoch.

    If `checkpoint` exists, training goes on from there and ends
    with the weights it would have had without the interruption, bit for bit (same machine, same engine).

    Raises:
        Stopped: `stop()` became true; the step was finished and the checkpoint written.
        TrainingError: the loss is no longer a number.
    """
    apply_compute_settings(compute)
    images, labels = train
    answers = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in labels.items()}
    weights = {
        name: class_weights(values, net.network.heads[name].filters, recipe)
        for name, values in answers.items()
    }
    steps = steps_per_epoch(len(images), recipe)
    total = total_steps(len(images), recipe)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    optimizers = optimizers_for(net, recipe)
    if not isinstance(images, ResizedPhotos):
        net.fit_normalisation(images)
    if not recipe.frozen_blocks:  # else the heads know it
        for name in net.network.multilabel:
            net.init_prior_bias(name, positive_rates(answers[name]))
    state = State()
    if checkpoint and checkpoint.exists():
        state = State(**load_checkpoint(checkpoint, net, optimizers))
    if recipe.frozen_blocks:
        net.freeze_prefix(frozen_prefix(net, recipe.frozen_blocks, compute.threads))
    parts = MicroBatches(net, recipe, compute, weights)
    started, saved_at = time.perf_counter() - state.elapsed_s, state.elapsed_s
    resumed_at, resumed_s = state.done, state.elapsed_s

    for epoch in range(state.done // steps, math.ceil(total / steps)):
        parts.train()
        first = state.done % steps
        for step, indices, batch in epoch_batches(images, recipe, seed=seed, epoch=epoch, first_step=first):
            rate = learning_rate_factor(recipe, state.done, total)
            here = {name: values[torch.from_numpy(indices)].long() for name, values in answers.items()}
            size = train_image_size(recipe, epoch, net.network.input_shape[:2])
            draws = partial(generator, seed, "dropout", state.done)
            loss, scores = parts.backward(batch, here, size, draws)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * rate
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            state.done += 1
            state.loss_sum += finite(loss, state.done, total, recipe) * len(indices)
            state.seen += len(indices)
            count_correct(scores, here, state.right, state.known)
            state.elapsed_s = time.perf_counter() - started
            progress = progress_of(state, epoch, step, steps, total, recipe, resumed_at, resumed_s)
            if step == steps - 1 or state.done == total:
                judged_at = eval_image_size(recipe, epoch, net.network.input_shape[:2])
                validation_loss, validation_accuracy = parts.evaluate_network(*validation, judged_at)
                state.elapsed_s = time.perf_counter() - started
                row = {
                    "epoch": epoch + 1,
                    "train_loss": progress.loss,
                    "train_accuracy": progress.accuracy,
                    "validation_loss": validation_loss,
                    "validation_accuracy": validation_accuracy,
                    "learning_rate": recipe.learning_rate * rate,
                    "elapsed_s": state.elapsed_s,
                }
                state.history.append(row)
                state = replace(state, loss_sum=0.0, seen=0, right={}, known={})
                progress = replace(progress, row=row)
            on_progress(progress)
            stopping = should_stop() and state.done < total
            if checkpoint and (progress.row or stopping or state.elapsed_s - saved_at > checkpoint_every_s):
                save_checkpoint(checkpoint, net, optimizers, asdict(state))
                saved_at = state.elapsed_s
            if stopping:
                raise StoppedError("training_stopped", step=state.done, steps=total)
            if state.done == total:
                break
    net.frozen_prefix = None
    net.eval()
    return state.history


def progress_of(
    state: State,
    epoch: int,
    step: int,
    steps: int,
    total: int,
    recipe: Recipe,
    resumed_at: int,
    resumed_s: float,
) -> Progress:
    """Where training is after `step` of `epoch`; the speed is measured since this process took over."""
    here_s = max(state.elapsed_s - resumed_s, 1e-9)
    done_here = state.done - resumed_at
    return Progress(
        epoch=epoch + 1,
        epochs=recipe.epochs,
        step=step + 1,
        steps=steps,
        loss=state.loss_sum / state.seen,
        accuracy=mean_accuracy(state.right, state.known) or 0.0,
        images_per_s=done_here * recipe.batch_size / here_s,
        left_s=(total - state.done) * here_s / done_here,
        row=None,
    )


def finite(loss: float, done: int, total: int, recipe: Recipe) -> float:
    """`loss`, if it still is a number.

    Raises:
        TrainingError: it is not.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} at step {done} of {total}: training has run away. "
            f"Try a smaller learning rate: --set learning_rate={recipe.learning_rate / 4:g}."
        )
    return loss


def learning_rate_factor(recipe: Recipe, done: int, total: int) -> float:
    """What the learning rates are multiplied by at the step after `done` of `total` steps."""
    if recipe.schedule == "constant":
        return 1.0
    climb = recipe.warmup * total
    return (done + 1) / climb if done + 1 < climb else (total - done) / max(total - climb, 1)
