"""A linear head on features that stay as they are: logistic regression, by L-BFGS over all images.

A few seconds for thousands of photos. The features lie in a file and are read block by block, so memory does not
grow with the photos.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Split
from muslin.errors import StoppedError
from muslin.learn.features import Features
from muslin.learn.losses import class_weights, mean_accuracy
from muslin.learn.modules import Net
from muslin.learn.networks import head_name
from muslin.learn.recipes import Recipe
from muslin.learn.training_loop import Labels, Progress, finite

FloatArray = NDArray[np.float64]

TRAIN, VALIDATION = 1, 2
"""What an image is for; 0 for neither."""


def fit_linear_heads(
    net: Net,
    features: Features,
    labels: Labels,
    split: Split,
    recipe: Recipe,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Put into `net` the heads that fit the training images best; the history has a row per pass over them.

    Minimised per target is the mean cross-entropy of the images with a known label (of several labels an image, the
    sum over the known ones; each counts as `class_weights` says) plus `weight_decay` / 2 times the squared weights,
    on features brought to mean 0 and spread 1. The passes end when nothing changes any more, or after `epochs`. The
    same features give the same heads, bit for bit. The history's time counts the features in.

    Args:
        features: of all samples, in the order of `labels` and of `split`'s indices.

    Raises:
        Stopped: `stop()` became true. Nothing is lost: it takes seconds to be here again.
        TrainingError: the loss is no longer a number.
    """
    from scipy.optimize import minimize

    role = np.zeros(len(features), dtype=np.int8)
    role[split.train], role[split.validation] = TRAIN, VALIDATION
    both = features.take(used := np.flatnonzero(role))
    role, labels = role[used], {name: values[used] for name, values in labels.items()}
    mean, std = _mean_and_std(both, role == TRAIN)
    sizes = {name: head.filters for name, head in net.network.heads.items()}
    parameters = np.zeros(sum((both.width + 1) * count for count in sizes.values()))
    weights = {name: _weights(values[role == TRAIN], sizes[name], recipe) for name, values in labels.items()}
    history: list[dict[str, Any]] = []
    started = time.perf_counter() - features.took_s
    measured: dict[str, float | None] = {}

    def objective(at: FloatArray) -> tuple[float, FloatArray]:
        heads = _heads(at, both.width, sizes)
        loss, slope, figures = _loss(both, role, labels, heads, mean, std, recipe, weights)
        measured.update(figures)
        return loss, slope

    def after_a_pass(at: FloatArray) -> None:
        elapsed_s = time.perf_counter() - started
        epoch = len(history) + 1
        finite(float(measured["train_loss"] or 0.0), epoch, recipe.epochs, recipe)
        history.append({"epoch": epoch, **measured, "elapsed_s": elapsed_s})
        on_progress(_progress(history, recipe, len(split.train)))
        if should_stop() and epoch < recipe.epochs:
            raise StoppedError("linear_probe_stopped")

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
    for name, (weight, bias) in _heads(found.x, both.width, sizes).items():
        scaled = weight / std[:, None]  # so that the head takes features as the trunk gives them
        head = net.layers[head_name(name)]
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(np.ascontiguousarray(scaled.T)))  # type: ignore[operator]
            head.bias.copy_(torch.from_numpy(bias - mean @ scaled))  # type: ignore[operator]
    return history


@torch.no_grad()
def answers(
    net: Net, features: Features, places: NDArray[np.integer[Any]]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """What `net` answers to the samples at `places`, as `Predictor.raw` says it, without looking at them again.

    Returns:
        Per target float32 (samples, classes) probabilities; and the samples' features, float32 (samples, features).
    """
    rows = np.empty((len(places), features.width), np.float32)
    for samples, block in features.take(places).blocks():
        rows[samples] = block
    seen = torch.from_numpy(rows)
    said = {name: net.activated(name, net.layers[head_name(name)](seen)) for name in net.network.heads}
    return {name: values.numpy() for name, values in said.items()}, rows


def _weights(labels: NDArray[np.integer[Any]], classes: int, recipe: Recipe) -> NDArray[np.float32] | None:
    found = class_weights(torch.from_numpy(np.ascontiguousarray(labels)), classes, recipe)
    return None if found is None else found.numpy()


def _mean_and_std(features: Features, chosen: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    total, squares = np.zeros(features.width), np.zeros(features.width)
    for samples, rows in features.blocks():
        block = rows[chosen[samples]].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    count = int(chosen.sum())
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.maximum(std, max(1e-3 * std.max(), 1e-30))  # what never changes is not blown up


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
    std: FloatArray,
    recipe: Recipe,
    weights: Mapping[str, NDArray[np.float32] | None],
) -> tuple[float, FloatArray, dict[str, float | None]]:
    """What is minimised, its slope, and what the history says of it, as `muslin.learn.losses` adds it up."""
    known = {name: values != UNKNOWN for name, values in labels.items()}
    counts = {
        (name, part): int((mask.any(axis=1) if mask.ndim == 2 else mask)[role == part].sum())
        for name, mask in known.items()
        for part in (TRAIN, VALIDATION)
    }
    slopes = {name: (recipe.weight_decay * w, np.zeros_like(b)) for name, (w, b) in heads.items()}
    loss = sum(recipe.weight_decay / 2 * float((w**2).sum()) for w, _ in heads.values())
    losses = dict.fromkeys(counts, 0.0)
    right = dict.fromkeys(counts, 0)
    as_float32 = {name: (w.astype(np.float32), b.astype(np.float32)) for name, (w, b) in heads.items()}
    centre, scale = mean.astype(np.float32), (1 / std).astype(np.float32)
    for samples, rows in features.blocks():
        values = (rows - centre) * scale
        learned = role[samples] == TRAIN
        for name, (weight, bias) in as_float32.items():
            truth = labels[name][samples]
            answers = _several if truth.ndim == 2 else _one_of_many
            judged = answers(values @ weight + bias, truth, weights[name], recipe.label_smoothing)
            for part in (TRAIN, VALIDATION):
                here = role[samples] == part
                losses[name, part] += float(judged.loss[here].sum())
                right[name, part] += int((judged.right & known[name][samples])[here].sum())
            loss += float(judged.minimised[learned].sum()) / max(counts[name, TRAIN], 1)
            slope = judged.slope[learned] / max(counts[name, TRAIN], 1)
            slopes[name][0][...] += values[learned].T @ slope
            slopes[name][1][...] += slope.sum(axis=0)
    figures: dict[str, float | None] = {}
    for part, said in ((TRAIN, "train"), (VALIDATION, "validation")):
        means = [losses[name, part] / counts[name, part] for name in known if counts[name, part]]
        told = {name: right[name, part] for name in known}
        figures[f"{said}_loss"] = sum(means) if means else None
        answered = {name: int(mask[role == part].sum()) for name, mask in known.items()}
        figures[f"{said}_accuracy"] = mean_accuracy(told, answered)
    slope = np.concatenate([part.ravel() for pair in slopes.values() for part in pair])
    return loss, slope, figures


@dataclass(frozen=True)
class EvaluationResult:
    """Of some images' scores, (count, classes), with zeros where the truth is unknown.

    Attributes:
        minimised: (count,) what training makes smaller; slope: (count, classes) its slope by the scores.
        loss: (count,) the same without smoothing and weights.
        right: (count,), or of several labels an image (count, classes).
    """

    minimised: NDArray[np.floating[Any]]
    slope: NDArray[np.floating[Any]]
    loss: NDArray[np.floating[Any]]
    right: NDArray[np.bool_]


def _one_of_many(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.integer[Any]],
    weight: NDArray[np.floating[Any]] | None,
    smoothing: float,
) -> EvaluationResult:
    """The cross-entropy of the softmax of `scores`, as torch's `cross_entropy` has it."""
    scores = scores - scores.max(axis=1, keepdims=True)
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    classes = scores.shape[1]
    wanted = np.zeros_like(scores)
    places = np.flatnonzero(truth != UNKNOWN)
    wanted[places, truth[places]] = 1
    loss = -(wanted * log_probabilities).sum(axis=1)
    wanted[places] = (1 - smoothing) * wanted[places] + smoothing / classes
    if weight is not None:
        wanted *= weight
    slope = np.exp(log_probabilities) * wanted.sum(axis=1, keepdims=True) - wanted
    return EvaluationResult(
        -(wanted * log_probabilities).sum(axis=1), slope, loss, scores.argmax(axis=1) == truth
    )


def _several(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.integer[Any]],
    weight: NDArray[np.floating[Any]] | None,
    smoothing: float,
) -> EvaluationResult:
    """The cross-entropy of the sigmoid of each score, added up over the known labels; never smoothed."""
    from scipy.special import expit

    known, yes = truth != UNKNOWN, truth == 1
    entropy = known * (np.logaddexp(0, scores) - yes * scores)
    counted = known if weight is None else known * np.where(yes, weight[1], weight[0])
    return EvaluationResult(
        minimised=(counted * entropy).sum(axis=1),
        slope=counted * (expit(scores) - yes),
        loss=entropy.sum(axis=1),
        right=(scores >= 0) == yes,
    )


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
