"""The training loop, to be read from top to bottom."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from muslin.data.photos import ResizedPhotos
from muslin.errors import StoppedError, TrainingError
from muslin.learn.batches import (
    Images,
    epoch_batches,
    generator,
    images_seen,
    steps_per_epoch,
    total_epochs,
    total_steps,
    with_trained_epochs,
)
from muslin.learn.checkpoint import Checkpoint, has_steps, load_checkpoint, save_checkpoint
from muslin.learn.frozen_prefix import frozen_prefix
from muslin.learn.losses import class_weights, count_correct, count_labelled_images, mean_accuracy, positive_rates
from muslin.learn.microbatches import MicroBatches
from muslin.learn.modules import Net
from muslin.learn.optimizers import Optimizer, optimizers_for
from muslin.learn.recipes import FineTuneRecipe, SGDRecipe, eval_image_size, train_image_size
from muslin.learn.torch_setup import ComputeSettings, apply_compute_settings, restore_torch_settings
from muslin.library_errors import reason_of

Labels = dict[str, NDArray[np.integer[Any]]]
"""Per target's name, int64 (count,): a class's index or UNKNOWN; or int8 (count, classes): 1, 0 or UNKNOWN."""

Tensors = Mapping[str, torch.Tensor]
"""Per target's name its scores or labels."""

Evaluated = tuple[float | None, float | None]
"""The loss and the accuracy on the validation set."""

CHECKPOINT_EVERY_S = 5.0


@dataclass(frozen=True)
class Progress:
    """The state of training after a step, for a person who waits.

    `step` of `steps` in `epoch` of `epochs`, from 1 on; `share` of all steps that are done, in 0..1: `max_steps` can
    end the last epoch early; `loss` and `accuracy` of the epoch so far; `row` is the epoch's row of the history, at its
    end. `images_per_s` is None where no images are seen, as in a linear probe.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    share: float
    loss: float
    accuracy: float
    images_per_s: float | None
    left_s: float
    row: dict[str, Any] | None


@dataclass
class State:
    """What a run needs to resume, besides the weights and the optimizers' state; kept in its checkpoint.

    `settings` is a digest of the recipe, the seed and the compute settings. `step` counts over all epochs. Of the
    current epoch: `loss_sum` over its `images` so far, and per target the `correct` predictions and the `labelled`
    ones.
    """

    settings: str
    history: list[dict[str, Any]] = field(default_factory=list)
    step: int = 0
    elapsed_s: float = 0.0
    loss_sum: float = 0.0
    images: int = 0
    correct: dict[str, int] = field(default_factory=dict)
    labelled: dict[str, int] = field(default_factory=dict)

    def add_step(self, loss: float, images: int, scores: Tensors, labels: Tensors) -> None:
        """Count a step with this mean `loss` of its `images`."""
        self.step += 1
        self.loss_sum += loss * images
        self.images += images
        count_correct(scores, labels, self.correct, self.labelled)

    def of_next_epoch(self, row: dict[str, Any]) -> "State":
        """The same at the start of an epoch, after one with this row of the history."""
        return replace(self, history=[*self.history, row], loss_sum=0.0, images=0, correct={}, labelled={})


def first_state(checkpoint: Checkpoint | None, net: Net, optimizers: list[Optimizer], settings: list[Any]) -> State:
    """The state in the checkpoint, if there is one, which also restores `net` and `optimizers`; else a new state.

    Raises:
        TrainingError: the checkpoint is damaged, or was made with other settings.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    if checkpoint is None or not has_steps(checkpoint):
        return State(digest)
    try:
        state = State(**load_checkpoint(checkpoint, net, optimizers))
    except TypeError as error:
        raise TrainingError("checkpoint_invalid", path=str(checkpoint.path), reason=reason_of(error)) from error
    if state.settings != digest:
        raise TrainingError("checkpoint_settings", path=str(checkpoint.path))
    return state


@dataclass(frozen=True)
class TrainingControl:
    """Where a training is kept, who is told of it, and when it stops.

    Attributes:
        checkpoint: where it exists, training resumes from there, and ends with the weights it would have had without
            the interruption, bit for bit (same machine, same compute settings).
        on_progress: called after every step.
        should_stop: asked after every step; once it is true, training stops with a StoppedError.
    """

    checkpoint: Checkpoint | None = None
    on_progress: Callable[[Progress], None] = lambda progress: None
    should_stop: Callable[[], bool] = lambda: False


UNATTENDED = TrainingControl()


@restore_torch_settings()
def fit(
    net: Net, train: tuple[Images, Labels], validation: tuple[Images, Labels], recipe: SGDRecipe, *, seed: int,
    compute: ComputeSettings, control: TrainingControl = UNATTENDED,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train `net` in place and return its history, one row per epoch.

    Raises:
        StoppedError: `control.should_stop()` became true; the step was finished and the checkpoint written.
        TrainingError: the loss is not finite, or the checkpoint was made with another recipe, seed or compute settings.
    """
    apply_compute_settings(compute)
    images, checkpoint = train[0], control.checkpoint
    truths = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in train[1].items()}
    steps, total = steps_per_epoch(len(images), recipe), total_steps(len(images), recipe)
    optimizers = prepare(net, images, truths, recipe)
    state = first_state(checkpoint, net, optimizers, [recipe.to_dict(), seed, asdict(compute)])
    recipe = with_trained_epochs(recipe, len(images))
    micro_batches = first_micro_batches(net, truths, recipe, compute)
    started, saved_at, resumed = time.perf_counter() - state.elapsed_s, state.elapsed_s, replace(state)

    for epoch in range(state.step // steps, recipe.epochs):
        if state.step == total:  # resumed after the last step, in the middle of an epoch
            break
        micro_batches.train()
        first = state.step % steps
        for step, indices, batch in epoch_batches(images, recipe, seed=seed, epoch=epoch, first_step=first):
            batch_labels = {name: values[torch.from_numpy(indices)].long() for name, values in truths.items()}
            size = train_image_size(recipe, epoch, net.network.input_shape[:2])
            random = partial(generator, seed, "dropout", state.step)
            loss, scores = micro_batches.backward(batch, batch_labels, size, random)  # forward and backward
            factor = learning_rate_factor(recipe, state.step, total)
            update_weights(optimizers, factor)

            check_finite(loss, state.step + 1, total, recipe.learning_rate)
            state.add_step(loss, len(indices), scores, batch_labels)
            state.elapsed_s = time.perf_counter() - started
            progress = progress_of(state, resumed, recipe, len(images))
            if step == steps - 1 or state.step == total:
                evaluated = micro_batches.evaluate(
                    *validation, eval_image_size(recipe, epoch, net.network.input_shape[:2])
                )
                state.elapsed_s = time.perf_counter() - started
                row = history_row(state, progress, evaluated, validation[1], recipe.learning_rate * factor)
                state, progress = state.of_next_epoch(row), replace(progress, row=row)
            control.on_progress(progress)
            stopping = control.should_stop() and state.step < total
            if checkpoint and (progress.row or stopping or state.elapsed_s - saved_at > CHECKPOINT_EVERY_S):
                save_checkpoint(checkpoint, net, optimizers, asdict(state))
                saved_at = state.elapsed_s
            if stopping:
                raise StoppedError("training_stopped", step=state.step, steps=total)
            if state.step == total:
                break
    net.frozen_prefix = None
    net.eval()
    return state.history


def prepare(net: Net, images: Images, truths: Tensors, recipe: SGDRecipe) -> list[Optimizer]:
    """Fit `net` to the data as far as that takes no training, and make its optimizers."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    optimizers = optimizers_for(net, recipe)
    fit_to_data(net, images, truths, heads_are_fitted=frozen_blocks_of(recipe) > 0)
    return optimizers


def first_micro_batches(net: Net, truths: Tensors, recipe: SGDRecipe, compute: ComputeSettings) -> MicroBatches:
    """What computes the steps of `net`, which has its first weights."""
    if blocks := frozen_blocks_of(recipe):
        net.freeze_prefix(frozen_prefix(net, blocks, compute.threads))
    weights = {name: class_weights(values, net.network.heads[name].filters, recipe) for name, values in truths.items()}
    return MicroBatches(net, recipe, compute, weights)


def frozen_blocks_of(recipe: SGDRecipe) -> int:
    """How many blocks keep their weights."""
    return recipe.frozen_blocks if isinstance(recipe, FineTuneRecipe) else 0


def fit_to_data(net: Net, images: Images, truths: Tensors, *, heads_are_fitted: bool) -> None:
    """Take the normalisation from images in memory; and from the labels the biases of multilabel heads."""
    if not isinstance(images, ResizedPhotos):
        net.fit_normalisation(images)
    for name in () if heads_are_fitted else net.network.multilabel:
        net.init_prior_bias(name, positive_rates(truths[name]))


def update_weights(optimizers: Sequence[Optimizer], factor: float) -> None:
    """One step of each optimizer, at its learning rate times `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        optimizer.step()
        optimizer.zero_grad()


def history_row(
    state: State, progress: Progress, evaluated: Evaluated, validation_labels: Labels, learning_rate: float
) -> dict[str, Any]:
    """The row of an epoch, which was evaluated on images with these labels."""
    validation_loss, validation_accuracy = evaluated
    return {
        "epoch": progress.epoch,
        "train_loss": progress.loss,
        "train_accuracy": progress.accuracy,
        "train_images": state.images,
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
        "validation_images": count_labelled_images(validation_labels.values()),
        "learning_rate": learning_rate,
        "elapsed_s": state.elapsed_s,
    }


def progress_of(state: State, resumed: State, recipe: SGDRecipe, count: int) -> Progress:
    """The progress at `state` of a training on `count` images; speed is measured since this process `resumed`."""
    steps, total = steps_per_epoch(count, recipe), total_steps(count, recipe)
    images = images_seen(count, recipe, state.step) - images_seen(count, recipe, resumed.step)
    epoch, step = divmod(state.step - 1, steps)
    elapsed_s = max(state.elapsed_s - resumed.elapsed_s, 1e-9)
    steps_done = state.step - resumed.step
    return Progress(
        epoch=epoch + 1,
        epochs=total_epochs(count, recipe),
        step=step + 1,
        steps=steps,
        share=state.step / total,
        loss=state.loss_sum / state.images,
        accuracy=mean_accuracy(state.correct, state.labelled) or 0.0,
        images_per_s=images / elapsed_s,
        left_s=(total - state.step) * elapsed_s / steps_done,
        row=None,
    )


def check_finite(loss: float, step: int, steps: int, learning_rate: float | None = None) -> float:
    """`loss`, if it is finite.

    Raises:
        TrainingError: it is not.
    """
    if not math.isfinite(loss):
        lower = learning_rate / 4 if learning_rate else None
        raise TrainingError("loss_not_finite", loss=str(loss), step=step, steps=steps, learning_rate=lower)
    return loss


def learning_rate_factor(recipe: SGDRecipe, step: int, total: int) -> float:
    """The factor of the learning rates at the step after `step` of `total` steps."""
    if recipe.schedule == "constant":
        return 1.0
    warmup = recipe.warmup * total
    return min((step + 1) / warmup if step + 1 < warmup else (total - step) / max(total - warmup, 1), 1.0)
