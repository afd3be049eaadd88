"""A step's gradients, from a batch that goes through the network in parts, each on a thread of its own.

Threads that share the arithmetic of every layer wait for each other after each, more than a hundred times a step; where
waking a thread is slow they gain next to nothing. Threads that have a part each wait once.
"""

import copy
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from muslin.learn.batches import Images
from muslin.learn.losses import count_labelled, evaluate_network, loss_of
from muslin.learn.modules import Net, resize_batch, to_batch
from muslin.learn.recipes import Recipe
from muslin.learn.torch_setup import ComputeSettings, apply_compute_settings


class MicroBatches:
    """A network, and for each further part of a batch a twin with the same weights but gradients of its own.

    Batch norm measures each part by itself (ghost batch norm: Hoffer et al., Train longer, generalize better, NeurIPS
    2017); what it will answer with is the mean over the parts. Gradients are added up in the parts' order: whichever
    thread is done first, and however many there are, a step changes the weights alike.
    """

    def __init__(
        self, net: Net, recipe: Recipe, compute: ComputeSettings, weights: dict[str, Tensor | None]
    ) -> None:
        """
        Args:
            weights: per target what `muslin.learn.losses.class_weights` gives.
        """
        most = microbatch_count(recipe.batch_size + 1, recipe)  # an image that is left over joins a batch
        self.nets = [net, *(_twin(net) for _ in range(most - 1))]
        self.recipe, self.compute, self.weights = recipe, compute, weights
        self.workers = min(microbatch_count(recipe.batch_size, recipe), compute.threads)
        self.alone = replace(compute, threads=compute.threads // self.workers)
        apply_compute_settings(self.alone)
        # the caller is the first worker; torch keeps what `apply` sets for each thread by itself
        self.pool = ThreadPoolExecutor(
            max(self.workers - 1, 1), "part", apply_compute_settings, (self.alone,)
        )

    def train(self) -> None:
        """Let all be in training."""
        for net in self.nets:
            net.train()

    def backward(
        self,
        batch: NDArray[np.uint8],
        labels: dict[str, Tensor],
        size: tuple[int, int],
        random: Callable[[int], np.random.Generator],
    ) -> tuple[float, dict[str, Tensor]]:
        """Add the gradients of `loss_of` to those of the network's weights.

        Args:
            batch: uint8 (count, height, width, channels).
            labels: of these images, as `loss_of` takes them.
            size: the (height, width) at which they are seen.
            random: a part's number → what its dropout draws from.

        Returns:
            The loss; and float32 (count, classes) scores per target.
        """
        known = {name: count_labelled(truth) for name, truth in labels.items()}
        count = microbatch_count(len(batch), self.recipe)
        bounds = np.linspace(0, len(batch), count + 1).round().astype(int)

        def learn(number: int) -> tuple[float, dict[str, Tensor]]:
            net, here = self.nets[number], slice(bounds[number], bounds[number + 1])
            net.random = random(number)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.compute.precision == "bfloat16"):
                scores = net(resize_batch(to_batch(batch[here]), size))
            answers = {name: truth[here] for name, truth in labels.items()}
            loss = loss_of(scores, answers, self.recipe, self.weights, known)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.item(), {name: values.detach() for name, values in scores.items()}

        def work(first: int) -> dict[int, tuple[float, dict[str, Tensor]]]:
            return {number: learn(number) for number in range(first, count, self.workers)}

        others = [self.pool.submit(work, first) for first in range(1, self.workers)]
        done = work(0)
        for other in others:
            done |= other.result()
        self._gather(count)
        losses, scores = zip(*(done[number] for number in range(count)), strict=True)
        return sum(losses), {name: torch.cat([part[name] for part in scores]) for name in labels}

    def evaluate_network(
        self, images: Images, labels: Mapping[str, NDArray[np.integer[Any]]], size: tuple[int, int]
    ) -> tuple[float | None, float | None]:
        """As `muslin.learn.losses.judge`, all threads together."""
        torch.set_num_threads(self.compute.threads)
        judged = evaluate_network(self.nets[0], images, labels, size)
        torch.set_num_threads(self.alone.threads)
        return judged

    @torch.no_grad()
    def _gather(self, used: int) -> None:
        """Bring to the network what its twins have found in the parts of a batch, if it has any."""
        if len(self.nets) == 1:
            return
        for ours, *others in zip(*(net.parameters() for net in self.nets[:used]), strict=True):
            for other in others:
                if ours.grad is not None:
                    ours.grad += other.grad
                    other.grad = None
        for measured in zip(*map(_measured, self.nets), strict=True):
            mean = torch.stack(measured[:used]).mean(0)
            for each in measured:
                each.copy_(mean)


def microbatch_count(count: int, recipe: Recipe) -> int:
    """In how many parts `count` images go through the network: of about equal size, at most `micro_batch_size`."""
    return math.ceil(count / recipe.micro_batch_size) if recipe.micro_batch_size else 1


def _twin(net: Net) -> Net:
    shared: dict[int, Any] = {id(net.frozen_prefix): net.frozen_prefix}
    twin = copy.deepcopy(net, shared)
    for theirs, ours in zip(twin.parameters(), net.parameters(), strict=True):
        theirs.data = ours.data
    return twin


def _measured(net: Net) -> list[Tensor]:
    """The means and variances that the batch norms of `net` gather."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    return [
        values for norm in norms for values in (norm.running_mean, norm.running_var) if values is not None
    ]
