"""What training makes smaller, and how it is told how far it is: per target, over the answers that are known.

Labels are int64 here: (count,) a class's index or UNKNOWN, or for several labels an image (count, classes) 1, 0 or
UNKNOWN.
"""

from collections.abc import Mapping
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
from muslin.learn.recipes import Recipe

JUDGED_PX = 1_000_000
"""Of the images that are judged together: their maps in a network take a hundred times as many numbers."""


def loss_of(
    scores: dict[str, Tensor],
    labels: dict[str, Tensor],
    recipe: Recipe,
    weights: Mapping[str, Tensor | None] = MappingProxyType({}),
    known: Mapping[str, Tensor] = MappingProxyType({}),
) -> Tensor:
    """Per target the mean cross-entropy over the images whose label is known, added up over the targets.

    That of several labels an image is their sum, so that each is learned as fast as if it were alone. Label smoothing
    is for one class of many: there it would teach that every label is on one image in twenty.

    Args:
        scores: (count, classes) per target.
        weights: per target what `class_weights` gives.
        known: per target the number of images whose label is known where these are only a part of them: then this is
            their part of the mean, and the losses of all parts add up to it.
    """
    losses = []
    for name, answer in scores.items():
        truth, weight = labels[name], weights.get(name)
        raw = answer.to(torch.promote_types(answer.dtype, torch.float32))
        if truth.ndim == 2:
            given = truth.clamp(min=0).to(raw.dtype)
            total = F.binary_cross_entropy_with_logits(raw, given, _of_cells(truth, weight), reduction="sum")
        else:
            total = F.cross_entropy(
                logits(raw, recipe.activation),
                truth,
                weight,
                ignore_index=UNKNOWN,
                label_smoothing=recipe.label_smoothing,
                reduction="sum",
            )
        count = known[name] if name in known else count_labelled(truth)
        losses.append(total / count.clamp(min=1))
    return torch.stack(losses).sum()


def _of_cells(truth: Tensor, weight: Tensor | None) -> Tensor:
    """How much each cell counts: nothing where it is unknown."""
    known = (truth != UNKNOWN).float()
    return known if weight is None else known * torch.where(truth == 1, weight[1], weight[0])


def count_labelled(truth: Tensor) -> Tensor:
    """How many images have an answer."""
    known = truth != UNKNOWN
    return (known.any(1) if truth.ndim == 2 else known).sum()


def class_weights(labels: Tensor, classes: int, recipe: Recipe) -> Tensor | None:
    """How much a known answer counts: `balanced`, as 1 / how often it is given, or as the `root` of that.

    The mean over the known answers is 1, so that the learning rate need not change. None where all count the same.

    Returns:
        (classes,); for several labels an image (2, classes): of a no and of a yes.
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
    """Of the known answers (count, classes) to each label, the share that is yes: (classes,)."""
    return (labels == 1).sum(0) / (labels != UNKNOWN).sum(0).clamp(min=1)


def count_correct(
    answers: dict[str, Tensor],
    labels: dict[str, Tensor],
    right: dict[str, int],
    known: dict[str, int],
    at: float = 0.0,
) -> None:
    """Add to `right` and `known`, per target, how many answers are so; several labels an image are several answers.

    Args:
        answers: (count, classes) scores or probabilities per target.
        at: from which score or probability on one label of several is a yes.
    """
    for name, values in answers.items():
        truth = labels[name]
        said = values.argmax(1) if truth.ndim == 1 else (values >= at).to(truth.dtype)
        right[name] = right.get(name, 0) + int((said == truth).sum())
        known[name] = known.get(name, 0) + int((truth != UNKNOWN).sum())


def mean_accuracy(right: Mapping[str, int], known: Mapping[str, int]) -> float | None:
    """The mean over the targets of right / known; None where nothing is known."""
    shares = [right[name] / count for name, count in known.items() if count]
    return sum(shares) / len(shares) if shares else None


@torch.no_grad()
def evaluate_network(
    net: Net,
    images: Images,
    labels: Mapping[str, NDArray[np.integer[Any]]],
    size: tuple[int, int] | None = None,
) -> tuple[float | None, float | None]:
    """(loss, accuracy) of `net` as it will answer, over images it does not learn from; None without any.

    The loss is added up over the targets as in `loss_of`, the accuracy is the mean over them.

    Args:
        size: (height, width) that the images are brought to first; None: their own.
    """
    if not len(images):
        return None, None
    net.eval()
    losses = dict.fromkeys(labels, 0.0)
    answered = dict.fromkeys(labels, 0)
    right: dict[str, int] = {}
    known: dict[str, int] = {}
    height, width, _ = net.network.input_shape
    batch_size = min(max(JUDGED_PX // (height * width), 1), 1000)
    for start in range(0, len(images), batch_size):
        here_are = np.arange(start, min(start + batch_size, len(images)))
        probabilities = net.probabilities(
            resize_batch(to_batch(take_images(images, here_are)), size or (height, width))
        )
        here = {
            name: torch.from_numpy(values[start : start + batch_size].astype(np.int64))
            for name, values in labels.items()
        }
        count_correct(probabilities, here, right, known, at=0.5)
        for name, values in probabilities.items():
            truth, kept = here[name], values.clamp(min=1e-7)
            if truth.ndim == 2:
                of_truth = torch.where(truth == 1, kept, (1 - values).clamp(min=1e-7))
                losses[name] -= float((of_truth.log() * (truth != UNKNOWN)).sum())
            else:
                losses[name] += float(F.nll_loss(kept.log(), truth, ignore_index=UNKNOWN, reduction="sum"))
            answered[name] += int(count_labelled(truth))
    means = [losses[name] / count for name, count in answered.items() if count]
    return (sum(means) if means else None), mean_accuracy(right, known)
