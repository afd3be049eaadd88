"""Losses and accuracies: per target, over the labelled images.

Labels are int64: (count,) a class's index or UNKNOWN; for a multilabel target (count, classes) 1, 0 or UNKNOWN.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from muslin.data.dataset import UNKNOWN
from muslin.learn.batches import Images, take_images
from muslin.learn.modules import Net, logits, resize_batch, to_batch
from muslin.learn.recipes import Recipe, SGDRecipe

MAX_BATCH_PX = 1_000_000
"""Pixels of the images that are predicted together: the network's feature maps take a hundred times as many numbers."""


def compute_loss(
    scores: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    recipe: Recipe,
    weights: Mapping[str, Tensor | None] = MappingProxyType({}),
    counts: Mapping[str, Tensor] = MappingProxyType({}),
) -> Tensor:
    """The mean cross-entropy over the labelled images, summed over the targets.

    For a multilabel target it is the sum over the labels, so that each is learned as fast as if it were alone. Label
    smoothing applies to single-label targets only: elsewhere it would teach that every label is on one image in twenty.

    Args:
        scores: (count, classes) per target.
        weights: per target the result of `class_weights`.
        counts: per target the number of labelled images, if these are only a part of them: the result is then their
            part of the mean, and the parts add up to it.
    """
    losses = []
    activation = recipe.activation if isinstance(recipe, SGDRecipe) else "softmax"
    for name, values in scores.items():
        truth, weight = labels[name], weights.get(name)
        raw = values.to(torch.promote_types(values.dtype, torch.float32))
        if truth.ndim == 2:
            known = (truth != UNKNOWN).float()
            factor = known if weight is None else known * torch.where(truth == 1, weight[1], weight[0])
            targets = truth.clamp(min=0).to(raw.dtype)
            total = F.binary_cross_entropy_with_logits(raw, targets, factor, reduction="sum")
        else:
            options: Any = {"label_smoothing": recipe.label_smoothing, "ignore_index": UNKNOWN, "reduction": "sum"}
            total = F.cross_entropy(logits(raw, activation), truth, weight, **options)
        count = counts[name] if name in counts else count_labelled(truth)
        losses.append(total / count.clamp(min=1))
    return torch.stack(losses).sum()


def count_labelled(truth: Tensor) -> Tensor:
    """The number of images with a known label."""
    known = truth != UNKNOWN
    return (known.any(1) if truth.ndim == 2 else known).sum()


def count_labelled_images(labels: Iterable[NDArray[np.integer[Any]]]) -> int:
    """The number of images with a known label; of several targets, of the one that has the fewest but
    any."""
    counts = [int(count_labelled(torch.from_numpy(np.ascontiguousarray(values)))) for values in labels]
    return min(filter(None, counts), default=0)


def class_weights(labels: Tensor, classes: int, recipe: Recipe) -> Tensor | None:
    """Weights of the classes in the loss: the inverse of their frequency (`balanced`), or its root (`root`).

    The mean over the labelled images is 1, so that the learning rate need not change. None if all weigh the same.

    Returns:
        (classes,); for a multilabel target (2, classes): of negative and of positive labels.
    """
    if recipe.class_weights == "none":
        return None
    if labels.ndim == 2:
        counts = torch.stack([(labels == 0).sum(0), (labels == 1).sum(0)]).double()
    else:
        counts = torch.bincount(labels[labels != UNKNOWN], minlength=classes).double()
    weights = counts.clamp(min=1) ** (-1.0 if recipe.class_weights == "balanced" else -0.5)
    mean = (weights * counts).sum(0) / counts.sum(0).clamp(min=1)
    return (weights / mean.clamp(min=1e-12)).float()


def positive_rates(labels: Tensor) -> Tensor:
    """The share of positive labels (count, classes) among the known ones: (classes,)."""
    return (labels == 1).sum(0) / (labels != UNKNOWN).sum(0).clamp(min=1)


def count_correct(
    outputs: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    correct: dict[str, int],
    labelled: dict[str, int],
    threshold: float = 0.0,
) -> None:
    """Add to `correct` and `labelled`, per target, the numbers of such predictions; each label of a multilabel target
    counts as one.

    Args:
        outputs: (count, classes) scores or probabilities per target.
        threshold: minimum score or probability for predicting a label of a multilabel target.
    """
    for name, values in outputs.items():
        truth = labels[name]
        predicted = values.argmax(1) if truth.ndim == 1 else (values >= threshold).to(truth.dtype)
        correct[name] = correct.get(name, 0) + int((predicted == truth).sum())
        labelled[name] = labelled.get(name, 0) + int((truth != UNKNOWN).sum())


def mean_accuracy(correct: Mapping[str, int], labelled: Mapping[str, int]) -> float | None:
    """The mean over the targets of correct / labelled; None without a label."""
    accuracies = [correct[name] / count for name, count in labelled.items() if count]
    return sum(accuracies) / len(accuracies) if accuracies else None


@torch.no_grad()
def evaluate_network(
    net: Net, images: Images, labels: Mapping[str, NDArray[np.integer[Any]]], size: tuple[int, int] | None = None
) -> tuple[float | None, float | None]:
    """(loss, accuracy) of the probabilities that `net` predicts; None without images.

    The loss is summed over the targets as in `compute_loss`, the accuracy is the mean over them.

    Args:
        size: (height, width) to which the images are resized first; None: their own.
    """
    if not len(images):
        return None, None
    net.eval()
    losses = dict.fromkeys(labels, 0.0)
    counts = dict.fromkeys(labels, 0)
    correct: dict[str, int] = {}
    labelled: dict[str, int] = {}
    height, width, _ = net.network.input_shape
    batch_size = min(max(MAX_BATCH_PX // (height * width), 1), 1000)
    for start in range(0, len(images), batch_size):
        chosen = np.arange(start, min(start + batch_size, len(images)))
        batch = to_batch(take_images(images, chosen))
        probabilities = net.probabilities(resize_batch(batch, size or (height, width)))
        truths = {name: torch.from_numpy(values[chosen].astype(np.int64)) for name, values in labels.items()}
        count_correct(probabilities, truths, correct, labelled, threshold=0.5)
        for name, values in probabilities.items():
            truth, clamped = truths[name], values.clamp(min=1e-7)
            if truth.ndim == 2:
                likelihoods = torch.where(truth == 1, clamped, (1 - values).clamp(min=1e-7))
                losses[name] -= float((likelihoods.log() * (truth != UNKNOWN)).sum())
            else:
                losses[name] += float(F.nll_loss(clamped.log(), truth, ignore_index=UNKNOWN, reduction="sum"))
            counts[name] += int(count_labelled(truth))
    means = [losses[name] / count for name, count in counts.items() if count]
    return (sum(means) if means else None), mean_accuracy(correct, labelled)
