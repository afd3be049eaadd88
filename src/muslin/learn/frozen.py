"""A linear head on features that stay as they are: multinomial logistic regression, by L-BFGS over all pictures.

A few seconds for thousands of photos. The features lie in a file and are read block by block, so memory does not
grow with the photos.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Split
from muslin.learn.engine import Labels, Progress, Stopped, finite
from muslin.learn.features import Features
from muslin.learn.modules import Net
from muslin.learn.networks import head_key
from muslin.learn.recipes import Recipe

FloatArray = NDArray[np.float64]


def fit_heads(
    net: Net,
    features: Features,
    labels: Labels,
    split: Split,
    recipe: Recipe,
    *,
    tell: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Put into `net` the heads that fit the training pictures best; the history has a row per pass over them.

    Minimised per target is the mean cross-entropy of the pictures with a known label plus `weight_decay` / 2 times
    the squared weights, on features brought to mean 0 and spread 1. The passes end when nothing changes any more, or
    after `epochs`. The same features give the same heads, bit for bit. The history's time counts the features in.

    Args:
        features: of all samples, in the order of `labels` and of `split`'s indices.

    Raises:
        Stopped: `stop()` became true. Nothing is lost: it takes seconds to be here again.
        TrainingError: the loss is no longer a number.
    """
    from scipy.optimize import minimize

    role = np.zeros(len(features), dtype=np.int8)
    role[split.train], role[split.validation] = 1, 2
    both = features.take(used := np.flatnonzero(role))
    role, labels = role[used], {name: values[used] for name, values in labels.items()}
    mean, spread = _mean_and_spread(both, role == 1)
    sizes = {name: head.filters for name, head in net.network.heads.items()}
    parameters = np.zeros(sum((both.width + 1) * count for count in sizes.values()))
    history: list[dict[str, Any]] = []
    started = time.perf_counter() - features.took_s
    measured: dict[str, float | None] = {}

    def objective(at: FloatArray) -> tuple[float, FloatArray]:
        heads = _heads(at, both.width, sizes)
        loss, slope, figures = _loss(both, role, labels, heads, mean, spread, recipe)
        measured.update(figures)
        return loss, slope

    def after_a_pass(at: FloatArray) -> None:
        elapsed_s = time.perf_counter() - started
        epoch = len(history) + 1
        finite(float(measured["train_loss"] or 0.0), epoch, recipe.epochs, recipe)
        history.append({"epoch": epoch, **measured, "elapsed_s": elapsed_s})
        tell(_progress(history, recipe, len(split.train)))
        if stop() and epoch < recipe.epochs:
            raise Stopped("stopped while the head was fitted; what the photos gave is kept.")

    found = minimize(
        objective,
        parameters,
        jac=True,
        method="L-BFGS-B",
        callback=after_a_pass,
        options={"maxiter": recipe.epochs, "maxfun": 20 * recipe.epochs, "ftol": 1e-7},
    )
    if not history:  # the first step already was the last
        after_a_pass(found.x)
    for name, (weights, bias) in _heads(found.x, both.width, sizes).items():
        scaled = weights / spread[:, None]  # so that the head takes features as the trunk gives them
        head = net.layers[head_key(name)]
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(np.ascontiguousarray(scaled.T)))  # type: ignore[operator]
            head.bias.copy_(torch.from_numpy(bias - mean @ scaled))  # type: ignore[operator]
    return history


def _mean_and_spread(features: Features, chosen: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    total, squares = np.zeros(features.width), np.zeros(features.width)
    for samples, rows in features.blocks():
        block = rows[chosen[samples]].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    count = int(chosen.sum())
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.maximum(spread, max(1e-3 * spread.max(), 1e-30))  # what never changes is not blown up


Heads = Mapping[str, tuple[FloatArray, FloatArray]]


def _heads(parameters: FloatArray, width: int, sizes: Mapping[str, int]) -> Heads:
    """Per target the weights (width, classes) and the biases (classes,) that lie one after the other."""
    heads, at = {}, 0
    for name, count in sizes.items():
        weights = parameters[at : at + width * count].reshape(width, count)
        heads[name] = weights, parameters[at + width * count : at + (width + 1) * count]
        at += (width + 1) * count
    return heads


def _loss(
    features: Features,
    role: NDArray[np.int8],
    labels: Labels,
    heads: Heads,
    mean: FloatArray,
    spread: FloatArray,
    recipe: Recipe,
) -> tuple[float, FloatArray, dict[str, float | None]]:
    """What is minimised, its slope, and what the history says of it."""
    known = {name: (values != UNKNOWN) & (role == 1) for name, values in labels.items()}
    held = {name: (values != UNKNOWN) & (role == 2) for name, values in labels.items()}
    slopes = {name: (recipe.weight_decay * w, np.zeros_like(b)) for name, (w, b) in heads.items()}
    loss = sum(recipe.weight_decay / 2 * float((w**2).sum()) for w, _ in heads.values())
    sums = dict.fromkeys(("train_loss", "train_right", "held_loss", "held_right"), 0.0)
    as_float32 = {name: (w.astype(np.float32), b.astype(np.float32)) for name, (w, b) in heads.items()}
    centre, scale = mean.astype(np.float32), (1 / spread).astype(np.float32)
    for samples, rows in features.blocks():
        values = (rows - centre) * scale
        for name, (weights, bias) in as_float32.items():
            truth = labels[name][samples]
            learned, judged = known[name][samples], held[name][samples]
            scores = values @ weights + bias
            scores -= scores.max(axis=1, keepdims=True)
            log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
            places, right = np.flatnonzero(learned | judged), scores.argmax(axis=1) == truth
            own = np.zeros(len(samples))
            own[places] = -log_probabilities[places, truth[places]]
            sums["train_loss"] += float(own[learned].sum())
            sums["train_right"] += float(right[learned].sum())
            sums["held_loss"] += float(own[judged].sum())
            sums["held_right"] += float(right[judged].sum())
            smoothing, classes = recipe.label_smoothing, scores.shape[1]
            wanted = np.full((int(learned.sum()), classes), smoothing / classes, dtype=np.float32)
            wanted[np.arange(len(wanted)), truth[learned]] += 1 - smoothing
            count = int(known[name].sum())
            loss -= float((wanted * log_probabilities[learned]).sum()) / count
            away = (np.exp(log_probabilities[learned]) - wanted) / count
            slopes[name][0][...] += values[learned].T @ away
            slopes[name][1][...] += away.sum(axis=0)
    learned_count = sum(int(mask.sum()) for mask in known.values())
    held_count = sum(int(mask.sum()) for mask in held.values())
    figures: dict[str, float | None] = {
        "train_loss": sums["train_loss"] / learned_count,
        "train_accuracy": sums["train_right"] / learned_count,
        "validation_loss": sums["held_loss"] / held_count if held_count else None,
        "validation_accuracy": sums["held_right"] / held_count if held_count else None,
    }
    slope = np.concatenate([part.ravel() for pair in slopes.values() for part in pair])
    return loss, slope, figures


def _progress(history: list[dict[str, Any]], recipe: Recipe, count: int) -> Progress:
    row = history[-1]
    return Progress(
        epoch=row["epoch"],
        epochs=recipe.epochs,
        step=1,
        steps=1,
        loss=row["train_loss"],
        accuracy=row["train_accuracy"],
        images_per_s=count * row["epoch"] / max(row["elapsed_s"], 1e-9),
        left_s=(recipe.epochs - row["epoch"]) * row["elapsed_s"] / row["epoch"],
        row=row,
    )
