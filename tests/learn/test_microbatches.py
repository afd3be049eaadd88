"""A batch in parts: the gradients of the whole, whoever works on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from muslin.data.dataset import UNKNOWN, Target
from muslin.learn.losses import class_weights
from muslin.learn.microbatches import MicroBatches, microbatch_count
from muslin.learn.modules import Net, weights_of
from muslin.learn.networks import build_network
from muslin.learn.recipes import recipe
from muslin.learn.torch_setup import ComputeSettings, restore_torch_settings
from muslin.learn.training_loop import fit

TARGETS = (
    Target("label", tuple(f"class {number}" for number in range(5))),
    Target("tags", ("red", "long", "warm"), "multilabel"),
)


def compute(threads):
    return ComputeSettings(threads=threads, precision="float32", memory_reused=False)


def net_for(r, seed=0):
    table = build_network(
        r.network, (28, 28, 1), TARGETS, widths=r.widths, dropout=r.dropout, activation=r.activation,
        tta_flip=r.tta_flip,
    )  # fmt: skip
    return Net(table, seed).to(memory_format=torch.channels_last)


def images(count, seed=0):
    random = np.random.default_rng(seed)
    labels = {
        "label": torch.from_numpy(random.integers(UNKNOWN, 5, count)),  # some are not known
        "tags": torch.from_numpy(random.integers(UNKNOWN, 2, (count, 3))),
    }
    return random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8), labels


@restore_torch_settings()
def gradients(r, count, threads):
    net = net_for(r)
    batch, labels = images(count)
    weights = {name: class_weights(truth, 5, r) for name, truth in labels.items()}
    parts = MicroBatches(net, r, compute(threads), weights)
    parts.train()
    loss, scores = parts.backward(batch, labels, (28, 28), np.random.default_rng)
    return (loss, scores, {name: weight.grad for name, weight in net.named_parameters() if weight.grad is not None})


@pytest.mark.parametrize("count", [90, 91, 7, 1])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_micro_batch_gradients_sum_to_those_of_the_batch(count, threads):
    """Without batch norm, which measures each part by itself; also where unknown labels are unevenly spread."""
    r = recipe("tutorial", dropout=0, widths="8-4-8", batch_size=90, micro_batch_size=0, class_weights="balanced")
    loss, scores, expected = gradients(r, count, threads=1)
    of_parts = gradients(replace(r, micro_batch_size=25), count, threads)
    assert of_parts[0] == pytest.approx(loss, rel=1e-5)
    for name, values in scores.items():
        assert torch.allclose(of_parts[1][name], values, atol=1e-4), name
    for name, gradient in expected.items():
        assert torch.allclose(of_parts[2][name], gradient, atol=2e-5), name


@pytest.mark.parametrize("name", ["tutorial", "quick"])
def test_number_of_threads_does_not_change_gradients(name):
    r = recipe(name, batch_size=90, micro_batch_size=25, **({"widths": "8-16"} if name == "quick" else {}))
    one, *others = (gradients(r, 83, threads) for threads in (1, 2, 4))
    for other in others:
        assert other[0] == one[0]
        assert all(torch.equal(other[2][key], one[2][key]) for key in one[2])


def test_batch_norm_statistics_are_means_over_micro_batches():
    r = recipe("quick", widths="8-16", batch_size=60, micro_batch_size=30)
    batch, labels = images(60)
    nets = [net_for(r) for _ in range(3)]
    with restore_torch_settings():
        for net, part in zip(nets, (slice(None), slice(30), slice(30, 60)), strict=True):
            here = {name: truth[part] for name, truth in labels.items()}
            parts = MicroBatches(net, r, compute(1), {})
            parts.train()
            parts.backward(batch[part], here, (28, 28), np.random.default_rng)
    whole, first, second = ([module for module in net.modules() if isinstance(module, nn.BatchNorm2d)] for net in nets)
    for ours, one, other in zip(whole, first, second, strict=True):
        for measured in ("running_mean", "running_var"):
            mean = (getattr(one, measured) + getattr(other, measured)) / 2
            assert torch.allclose(getattr(ours, measured), mean, atol=1e-6)


def test_micro_batches_are_about_equal_and_limited():
    r = recipe("quick", micro_batch_size=128)
    assert [microbatch_count(count, r) for count in (1, 128, 129, 256, 257)] == [1, 1, 2, 2, 3]
    assert microbatch_count(10_000, replace(r, micro_batch_size=0)) == 1


def test_training_is_the_same_on_one_and_two_threads():
    r = recipe("quick", widths="8-16", epochs=2, batch_size=40, micro_batch_size=20, label_smoothing=0)
    batch, labels = images(105)  # the last batch has fewer parts
    learned = (batch, {name: truth.numpy() for name, truth in labels.items()})
    weights = []
    for threads in (1, 2):
        net = net_for(r)
        fit(net, learned, learned, r, seed=1, compute=compute(threads))
        weights.append(weights_of(net))
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


@restore_torch_settings()
def test_threads_are_divided_among_micro_batches():
    r = recipe("quick", widths="8-16", batch_size=60, micro_batch_size=30)
    shared = [MicroBatches(net_for(r), r, compute(threads), {}) for threads in (1, 2, 5)]
    assert [(parts.workers, parts.per_worker.threads) for parts in shared] == [(1, 1), (2, 1), (2, 2)]
    assert len(shared[0].nets) == 3  # an image that is left over joins a batch of 60


@pytest.mark.parametrize(("size", "threads"), [(160, 1), (170, 4)])
def test_few_small_images_are_the_work_of_one_thread(size, threads):
    r = recipe("quick", widths="8-16", batch_size=size, micro_batch_size=0)
    with restore_torch_settings():
        parts = MicroBatches(net_for(r), r, compute(4), {})
    assert parts.per_worker.threads == threads
