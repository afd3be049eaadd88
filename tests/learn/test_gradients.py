"""Layers that muslin computes in its own way have the gradients of the plain formula, also for ties."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from muslin.learn.layer_kinds import LAYER_KINDS, LayerSpec
from muslin.learn.modules import Convolution, Dense, Dropout, Net, Normalise, Whitening, resize_batch  # fmt: skip
from muslin.learn.networks import build_network

CHANNELS, SIDE = 3, 11
IMAGES = {
    "random": lambda random: torch.randn(4, CHANNELS, SIDE, SIDE, generator=random, dtype=torch.double),
    "constant": lambda random: torch.full((4, CHANNELS, SIDE, SIDE), 0.75, dtype=torch.double),
    # of three values only, so that nearly every window has its largest value more than once
    "tied": lambda random: torch.randint(-1, 2, (4, CHANNELS, SIDE, SIDE), generator=random).double(),
}

CONVOLUTION = LayerSpec("convolution", "conv", filters=5, kernel_size=3, padding=1)
STRIDED = LayerSpec("convolution", "conv", filters=5, kernel_size=3, stride=2, padding="same")
POOL = LayerSpec("max pool", "pool", kernel_size=2, stride=2)


def first_largest(x):
    """The largest value of each channel by its place, which of several is the first."""
    flat = x.flatten(2)
    places = torch.from_numpy(flat.detach().numpy().argmax(axis=2))  # numpy's argmax promises the first
    return flat.gather(2, places[..., None])[..., 0]


def by_windows(x, weight, bias, stride, padding):
    """A convolution as one matrix product over the windows cut out of `x`."""
    x = F.pad(x, padding)
    windows = x.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
    return torch.einsum("nchwij,fcij->nfhw", windows, weight) + bias[:, None, None]


def of_windows(y):
    """Max pooling by 2 in plain steps: of equal values in a window the first, row by row."""
    height, width = y.shape[2] // 2, y.shape[3] // 2
    windows = y[:, :, : 2 * height, : 2 * width].unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    places = torch.from_numpy(windows.detach().numpy().argmax(axis=4))
    return windows.gather(4, places[..., None])[..., 0]


def dense(x, layer):
    return (x.flatten(1) @ layer.weight.T + layer.bias) * layer.output_scale


def patches():
    layer = Whitening(LayerSpec("whitening", "stem", filters=8, kernel_size=2), CHANNELS)
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(1)))
    return layer


def made(kind):
    return lambda: LAYER_KINDS[kind].module(LayerSpec(kind, "layer"), (SIDE, SIDE, CHANNELS), ())


LAYERS = {
    "normalise": (
        lambda: Normalise([0.1, 0.2, 0.3], [2.0, 4.0, 8.0]),
        lambda layer, x: x / layer.std - layer.mean / layer.std,
    ),
    "patches": (patches, lambda layer, x: by_windows(x, layer.weight, torch.zeros(8), 1, (0, 0, 0, 0))),
    "convolution": (
        lambda: Convolution(CONVOLUTION, CHANNELS),
        lambda layer, x: by_windows(x, layer.weight, layer.bias, 1, (1, 1, 1, 1)),
    ),
    "strided convolution": (
        lambda: Convolution(STRIDED, CHANNELS),
        lambda layer, x: by_windows(x, layer.weight, layer.bias, 2, (1, 1, 1, 1)),
    ),
    "convolution that leaves out what pooling does not reach": (
        lambda: torch.nn.Sequential(Convolution(CONVOLUTION, CHANNELS, [POOL]), torch.nn.MaxPool2d(2)),
        lambda layer, x: of_windows(by_windows(x, layer[0].weight, layer[0].bias, 1, (1, 1, 1, 1))),
    ),
    "global average pool": (made("global average pool"), lambda layer, x: x.flatten(2).sum(2) / SIDE**2),
    "global max pool": (made("global max pool"), lambda layer, x: first_largest(x)),
    "flatten": (made("flatten"), lambda layer, x: torch.stack([image.movedim(0, 2).reshape(-1) for image in x])),
    "dense": (
        lambda: torch.nn.Sequential(
            torch.nn.Flatten(),
            Dense(LayerSpec("dense", "dense", filters=6, output_scale=1 / 9), CHANNELS * SIDE**2),
        ),
        lambda layer, x: dense(x, layer[1]),
    ),
}  # fmt: skip


def gradients(function, images, weights):
    """What `function` makes of images, and the gradients of a weighted sum of it: of the images, of the weights."""
    x = images.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
    y = function(x)
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    return [y, *torch.autograd.grad((y * towards).sum(), [x, *weights])]


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("name", LAYERS)
def test_layer_has_values_and_gradients_of_the_plain_formula(name, images):
    make, plain = LAYERS[name]
    random = torch.Generator().manual_seed(0)
    layer = make()
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, generator=random)
    layer = layer.double()
    weights = [weight for weight in layer.parameters() if weight.requires_grad]
    shown = IMAGES[images](random)
    expected = gradients(lambda x: plain(layer, x), shown, weights)
    for ours, theirs in zip(gradients(layer, shown, weights), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


MAPS = [(1, 11, 11), (1, 3, 5), (3, 4, 4), (3, 3, 5), (3, 2, 2), (3, 1, 4), (3, 1, 1)]


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize(  # where a window fits
    ("channels", "height", "width", "padding"),
    [(*sizes, padding) for sizes in MAPS for padding in range(3) if min(sizes[1:]) + 2 * padding >= 3],
)
def test_kernels_have_torchs_gradient_where_muslin_computes_it(channels, height, width, padding, images):
    random = torch.Generator().manual_seed(padding)
    layer = Convolution(LayerSpec("convolution", "conv", filters=5, kernel_size=3, padding=padding), channels)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, generator=random)
    layer = layer.double()
    shown = IMAGES[images](random)[:, :channels, :height, :width]
    weights = list(layer.parameters())
    expected = gradients(lambda x: F.conv2d(x, *weights, padding=padding), shown, weights)
    actual = gradients(layer, shown, weights)
    assert "_Convolution" in str(layer(shown).grad_fn)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("images", IMAGES)
def test_dropout_gradient_passes_where_the_value_passes(images):
    net = Net(build_network("tutorial", (28, 28, 1), (), widths=(4, 4, 4)), 0)
    dropout = Dropout(0.25).train()
    dropout.net = [net]

    def dropped(x):
        net.random = np.random.default_rng(3)
        return dropout(x)

    shown = IMAGES[images](torch.Generator().manual_seed(0))
    mask = dropped(torch.ones_like(shown))
    assert 0.5 < (mask > 0).double().mean() < 0.95
    expected = gradients(lambda x: x * mask, shown, [])
    for ours, theirs in zip(gradients(dropped, shown, []), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("images", IMAGES)
def test_pooling_before_relu_has_the_gradients_of_pooling_after(images):
    shown = IMAGES[images](torch.Generator().manual_seed(0))
    expected = gradients(lambda x: F.max_pool2d(F.relu(x), 2), shown, [])
    for ours, theirs in zip(gradients(lambda x: F.relu(F.max_pool2d(x, 2)), shown, []), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("images", IMAGES)
def test_resized_image_has_the_gradient_of_its_formula(images):
    shown = IMAGES[images](torch.Generator().manual_seed(0))[:1, :1].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: resize_batch(x, (7, 7)), shown)
