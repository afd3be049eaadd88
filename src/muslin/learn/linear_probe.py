"""Linear probe: logistic regression on the features of a frozen backbone, by L-BFGS over all images.

A few seconds for thousands of photos. The features lie in a file and are read block by block, so memory does not
grow with the photos.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muslin.data.dataset import Split
from muslin.errors import StoppedError
from muslin.learn.features import Features
from muslin.learn.losses import (
    class_weights,
    compute_loss,
    count_correct,
    count_labelled,
    count_labelled_images,
    mean_accuracy,
)
from muslin.learn.modules import Net
from muslin.learn.networks import head_name
from muslin.learn.recipes import LinearProbeRecipe
from muslin.learn.training_loop import Labels, Progress, check_finite

FloatArray = NDArray[np.float64]


def fit_linear_heads(
    net: Net,
    features: Features,
    labels: Labels,
    split: Split,
    recipe: LinearProbeRecipe,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Fit the heads of `net` to the training images; returns the history, one row per L-BFGS iteration.

    Minimises `compute_loss` plus `weight_decay` / 2 times the squared weights, on features standardised to mean 0 and
    standard deviation 1. Ends when the loss no longer changes (last row: `converged`) or after `epochs` iterations.
    The same features give the same heads, bit for bit. The history's time includes the extraction of the features.

    Args:
        features: of all samples, in the order of `labels` and of `split`'s indices.

    Raises:
        StoppedError: `should_stop()` became true. It takes seconds to get here again.
        TrainingError: the loss is not finite.
    """
    from scipy.optimize import minimize

    heads = {name: head.filters for name, head in net.network.heads.items()}
    objective = _Objective(features, labels, split, recipe, heads)
    history: list[dict[str, Any]] = []
    counts = {
        f"{name}_images": count_labelled_images(values[indices] for values in labels.values())
        for name, indices in (("train", split.train), ("validation", split.validation))
    }
    started = time.perf_counter() - features.took_s

    def after_iteration(flat: FloatArray) -> None:
        elapsed_s = time.perf_counter() - started
        epoch, metrics = len(history) + 1, objective.metrics
        loss = check_finite(float(metrics["train_loss"] or 0.0), epoch, recipe.epochs)
        history.append({"epoch": epoch, **metrics, **counts, "elapsed_s": elapsed_s})
        left_s = (recipe.epochs - epoch) * (elapsed_s - features.took_s) / epoch
        accuracy = metrics["train_accuracy"] or 0.0
        on_progress(
            Progress(epoch, recipe.epochs, 1, 1, epoch / recipe.epochs, loss, accuracy, None, left_s, history[-1])
        )
        if should_stop() and epoch < recipe.epochs:
            raise StoppedError("linear_probe_stopped")

    result = minimize(
        objective,
        np.zeros(sum((features.width + 1) * classes for classes in heads.values())),
        jac=True,
        method="L-BFGS-B",
        callback=after_iteration,
        options={"maxiter": recipe.epochs, "maxfun": 20 * recipe.epochs, "ftol": 1e-7},
    )
    if not history:  # the first step was the last
        after_iteration(result.x)
    history[-1]["converged"] = bool(result.success)
    _set_heads(net, objective, torch.from_numpy(result.x))
    return history


@torch.no_grad()
def _set_heads(net: Net, objective: "_Objective", parameters: Tensor) -> None:
    for name, (weight, bias) in objective.split_parameters(parameters).items():
        scaled = weight / objective.std[:, None]  # so that the head takes features as the backbone gives them
        head = net.layers[head_name(name)]
        head.weight.copy_(scaled.T)  # type: ignore[operator]
        head.bias.copy_(bias - objective.mean @ scaled)  # type: ignore[operator]


@torch.no_grad()
def predict_from_features(
    net: Net, features: Features, indices: NDArray[np.integer[Any]]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Predictions for the samples at `indices` without running the backbone again.

    Returns:
        Per target float32 (samples, classes) probabilities; and the samples' features, float32 (samples, features).
    """
    rows = np.empty((len(indices), features.width), np.float32)
    for samples, block in features.take(indices).blocks():
        rows[samples] = block
    inputs = torch.from_numpy(rows)
    outputs = {name: net.activated(name, net.layers[head_name(name)](inputs)) for name in net.network.heads}
    return {name: values.numpy() for name, values in outputs.items()}, rows


class _Objective:
    """The loss and its gradient at a vector of parameters; `metrics` are those of the last call.

    The parameters are, target by target, the weights (width, classes) and then the biases (classes,).
    """

    def __init__(
        self, features: Features, labels: Labels, split: Split, recipe: LinearProbeRecipe, heads: Mapping[str, int]
    ) -> None:
        self.recipe, self.heads = recipe, heads
        used = np.sort(np.concatenate([split.train, split.validation]))
        is_train = np.isin(used, split.train)
        self.features = features.take(used)
        mean, std = _mean_and_std(self.features, is_train)
        self.mean, self.std = torch.from_numpy(mean), torch.from_numpy(std)
        self.parts = {"train": torch.from_numpy(is_train), "validation": torch.from_numpy(~is_train)}
        self.labels = {name: torch.from_numpy(values[used]).long() for name, values in labels.items()}
        self.weights = {
            name: class_weights(values[self.parts["train"]], heads[name], recipe)
            for name, values in self.labels.items()
        }
        self.counts = {
            part: {name: count_labelled(values[chosen]) for name, values in self.labels.items()}
            for part, chosen in self.parts.items()
        }
        self.metrics: dict[str, float | None] = {}

    def split_parameters(self, flat: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Per target the weights (width, classes) and the biases (classes,)."""
        heads, start, width = {}, 0, self.features.width
        for name, classes in self.heads.items():
            end = start + width * classes
            heads[name] = flat[start:end].view(width, classes), flat[end : end + classes]
            start = end + classes
        return heads

    def __call__(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        flat = torch.from_numpy(parameters.copy()).requires_grad_()
        heads = self.split_parameters(flat)
        penalty = torch.stack([weight.square().sum() for weight, _ in heads.values()]).sum()
        loss = self.recipe.weight_decay / 2 * penalty
        loss.backward()  # type: ignore[no-untyped-call]
        total = loss.item()
        unsmoothed = replace(self.recipe, label_smoothing=0.0)
        mean, scale = self.mean.float(), (1 / self.std).float()
        losses = dict.fromkeys(self.parts, 0.0)
        correct: dict[str, dict[str, int]] = {part: {} for part in self.parts}
        labelled: dict[str, dict[str, int]] = {part: {} for part in self.parts}
        for samples, rows in self.features.blocks():
            inputs = (torch.from_numpy(rows) - mean) * scale
            scores = {name: inputs @ weight.float() + bias.float() for name, (weight, bias) in heads.items()}
            for part, is_in in self.parts.items():
                chosen = is_in[samples]
                here = {name: values[chosen] for name, values in scores.items()}
                truths = {name: values[samples][chosen] for name, values in self.labels.items()}
                if part == "train":
                    loss = compute_loss(here, truths, self.recipe, self.weights, self.counts[part])
                    loss.backward()  # type: ignore[no-untyped-call]
                    total += loss.item()
                with torch.no_grad():
                    losses[part] += compute_loss(here, truths, unsmoothed, counts=self.counts[part]).item()
                    count_correct(here, truths, correct[part], labelled[part])
        self.metrics = {}
        for part in self.parts:
            self.metrics[f"{part}_loss"] = losses[part] if any(labelled[part].values()) else None
            self.metrics[f"{part}_accuracy"] = mean_accuracy(correct[part], labelled[part])
        assert flat.grad is not None
        return total, flat.grad.numpy()


def _mean_and_std(features: Features, chosen: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    total, squares = np.zeros(features.width), np.zeros(features.width)
    for samples, rows in features.blocks():
        block = rows[chosen[samples]].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    count = int(chosen.sum())
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.maximum(std, max(1e-3 * std.max(), 1e-30))  # a constant feature is not blown up
