"""Gradients of a step: the batch is split into micro-batches, each on a thread of its own.

Threads that share the arithmetic of every layer wait for each other after each, more than a hundred times a step; where
waking a thread is slow they gain next to nothing. Threads with a micro-batch each wait once.
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
from muslin.learn.losses import compute_loss, count_labelled, evaluate_network
from muslin.learn.modules import Net, resize_batch, to_batch
from muslin.learn.recipes import SGDRecipe
from muslin.learn.torch_setup import ComputeSettings, apply_compute_settings

MIN_SHARED_VALUES = 2**17
"""Images with more values than this together, such as 168 of 28 × 28, are shared by several threads. With fewer, the
threads wait longer than they work: a step of 22 images took 5 to 13 times the processor time."""


class MicroBatches:
    """A network, and for each further micro-batch a replica with the same weights but gradients of its own.

    Batch norm measures each micro-batch separately (ghost batch norm: Hoffer et al., Train longer, generalize better,
    NeurIPS 2017); its running statistics are the mean over them. Gradients are summed in the micro-batches' order, so
    a step changes the weights in the same way however many threads there are.
    """

    def __init__(
        self, net: Net, recipe: SGDRecipe, compute: ComputeSettings, weights: dict[str, Tensor | None]
    ) -> None:
        """`weights`: per target the result of `muslin.learn.losses.class_weights`."""
        count = microbatch_count(recipe.batch_size + 1, recipe)  # a single image that is left joins a batch
        self.nets = [net, *(_replica(net) for _ in range(count - 1))]
        self.recipe, self.compute, self.weights = recipe, compute, weights
        self.workers = min(microbatch_count(recipe.batch_size, recipe), compute.threads)
        threads = compute.threads // self.workers if self.workers > 1 else self._threads_for(recipe.batch_size)
        self.per_worker = replace(compute, threads=threads)
        apply_compute_settings(self.per_worker)
        # the caller is the first worker; torch keeps these settings per thread
        self.pool = ThreadPoolExecutor(
            max(self.workers - 1, 1), "microbatch", apply_compute_settings, (self.per_worker,)
        )

    def train(self) -> None:
        """Put all networks into training mode."""
        for net in self.nets:
            net.train()

    def backward(
        self,
        batch: NDArray[np.uint8],
        labels: dict[str, Tensor],
        size: tuple[int, int],
        random: Callable[[int], np.random.Generator],
    ) -> tuple[float, dict[str, Tensor]]:
        """Add the gradients of `compute_loss` to those of the network's weights.

        Args:
            batch: uint8 (count, height, width, channels).
            labels: of these images, as `compute_loss` takes them.
            size: (height, width) to which the images are resized.
            random: a micro-batch's number → the generator of its dropout.

        Returns:
            The loss; and float32 (count, classes) scores per target.
        """
        labelled = {name: count_labelled(truth) for name, truth in labels.items()}
        count = microbatch_count(len(batch), self.recipe)
        bounds = np.linspace(0, len(batch), count + 1).round().astype(int)

        def run(number: int) -> tuple[float, dict[str, Tensor]]:
            net, part = self.nets[number], slice(bounds[number], bounds[number + 1])
            net.random = random(number)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.compute.precision == "bfloat16"):
                scores = net(resize_batch(to_batch(batch[part]), size))
            truths = {name: truth[part] for name, truth in labels.items()}
            loss = compute_loss(scores, truths, self.recipe, self.weights, labelled)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.item(), {name: values.detach() for name, values in scores.items()}

        def work(first: int) -> dict[int, tuple[float, dict[str, Tensor]]]:
            return {number: run(number) for number in range(first, count, self.workers)}

        others = [self.pool.submit(work, first) for first in range(1, self.workers)]
        results = work(0)
        for other in others:
            results |= other.result()
        self._gather(count)
        losses, scores = zip(*(results[number] for number in range(count)), strict=True)
        return sum(losses), {name: torch.cat([part[name] for part in scores]) for name in labels}

    def evaluate(
        self, images: Images, labels: Mapping[str, NDArray[np.integer[Any]]], size: tuple[int, int]
    ) -> tuple[float | None, float | None]:
        """As `muslin.learn.losses.evaluate_network`, with all threads together where the images are many."""
        torch.set_num_threads(self._threads_for(len(images)))
        loss, accuracy = evaluate_network(self.nets[0], images, labels, size)
        torch.set_num_threads(self.per_worker.threads)
        return loss, accuracy

    def _threads_for(self, count: int) -> int:
        """Of threads that share each layer, as many as `count` images are worth."""
        return self.compute.threads if count * math.prod(self.nets[0].network.input_shape) > MIN_SHARED_VALUES else 1

    @torch.no_grad()
    def _gather(self, count: int) -> None:
        """Sum the gradients of the first `count` networks in the first, and average their batch norms' statistics."""
        if len(self.nets) == 1:
            return
        for ours, *others in zip(*(net.parameters() for net in self.nets[:count]), strict=True):
            for other in others:
                if ours.grad is not None:
                    ours.grad += other.grad
                    other.grad = None
        for statistics in zip(*map(_running_statistics, self.nets), strict=True):
            mean = torch.stack(statistics[:count]).mean(0)
            for each in statistics:
                each.copy_(mean)


def microbatch_count(count: int, recipe: SGDRecipe) -> int:
    """The number of micro-batches of `count` images: of about equal size, at most `micro_batch_size`."""
    return math.ceil(count / recipe.micro_batch_size) if recipe.micro_batch_size else 1


def _replica(net: Net) -> Net:
    shared: dict[int, Any] = {id(net.frozen_prefix): net.frozen_prefix}
    replica = copy.deepcopy(net, shared)
    for theirs, ours in zip(replica.parameters(), net.parameters(), strict=True):
        theirs.data = ours.data
    return replica


def _running_statistics(net: Net) -> list[Tensor]:
    """The running means and variances of the batch norms that are in training mode."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    return [values for norm in norms for values in (norm.running_mean, norm.running_var) if values is not None]
