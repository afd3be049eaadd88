"""A network's table of layers as a torch module."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from muslin.data.draws import evenly_spaced
from muslin.learn.kernel_gradients import convolve
from muslin.learn.layer_kinds import LAYER_KINDS, LayerSpec, padding_of, window_shape
from muslin.learn.networks import NETWORKS, Network, head_name, layer_shapes


@dataclass(frozen=True)
class FrozenPrefix:
    """The first `layers` of a network, which are not trained; `run` takes pixels through them, without gradients."""

    layers: int
    run: Callable[[Tensor], Tensor]


class Net(nn.Module):
    """The torch module of `network`, initialised from `seed`.

    Takes float32 pixels (count, channels, height, width) in 0–255, gives per target float32 (count, classes) scores.
    Weights are named `layer.weight` and `layer.bias`; kernels are (filters, channels, height, width).

    Attributes:
        frozen_prefix: the layers that are not trained, after `freeze_prefix`.
    """

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__()
        self.network = network
        self.frozen_prefix: FrozenPrefix | None = None
        self.random = np.random.default_rng(seed)  # draws dropout masks; renewed before each step
        self.layers = nn.ModuleDict()
        *before, features = layer_shapes(network)
        for place, (layer, shape) in enumerate(zip(network.layers, before, strict=True), 1):
            module = LAYER_KINDS[layer.kind].module(layer, shape, network.layers[place:])
            if isinstance(module, Dropout):
                module.net = [self]
            self.layers[layer.name] = module
        for name, head in network.heads.items():
            self.layers[head_name(name)] = Dense(head, features[0])
        self._initialise(torch.Generator().manual_seed(seed))

    def _initialise(self, generator: torch.Generator) -> None:
        """Keras's Glorot-uniform and zero biases; airbench's identity kernels; or He's for networks of ReLU."""
        method = NETWORKS[self.network.name].initialisation
        for module in self.layers.values():
            if not isinstance(module, nn.Conv2d | Dense):
                continue
            weight = module.weight
            if isinstance(module, nn.Conv2d) and method == "kaiming_fan_out":
                nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
            elif method == "glorot_uniform":
                nn.init.xavier_uniform_(weight, generator=generator)
            else:
                nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
                if isinstance(module, Dense):
                    weight.data.div_(weight.data.std())
                else:  # the first filters pass their channel on, so that depth costs nothing at the start
                    nn.init.dirac_(weight.data[: weight.shape[1]])
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def load(self, weights: dict[str, NDArray[Any]]) -> None:
        """Take over the backbone's weights, named as `weights_of` names them."""
        state = {f"layers.{name}": torch.from_numpy(values) for name, values in weights.items()}
        self.load_state_dict(state, strict=False)

    def freeze_prefix(self, prefix: FrozenPrefix) -> None:
        """Train only the layers after `prefix`, and keep the mean and variance of every batch norm: those of a small
        batch of a few thousand photos are worse than those of a million."""
        self.frozen_prefix = prefix
        for layer in self.network.layers[: prefix.layers]:
            self.layers[layer.name].requires_grad_(False)

    def train(self, mode: bool = True) -> "Net":
        super().train(mode)
        for module in self.layers.values():
            if self.frozen_prefix and isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def fit_normalisation(self, pixels: NDArray[np.uint8]) -> None:
        """Set what is measured on the training images, uint8 (count, height, width, channels), before training."""
        for layer in self.network.layers:
            module = self.layers[layer.name]
            if layer.kind == "normalise" and isinstance(module, Normalise):
                mean, std = channel_mean_std(pixels)
                module.mean.copy_(torch.tensor(mean).view(-1, 1, 1))
                module.std.copy_(torch.tensor(np.maximum(std, 1.0)).view(-1, 1, 1))
            if isinstance(module, Whitening):
                module.fit(self.layers["normalise"](to_batch(pixels[evenly_spaced(len(pixels), 5_000)])))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        features = self.features(pixels)
        return {name: self.layers[head_name(name)](features) for name in self.network.heads}

    def features(self, pixels: Tensor) -> Tensor:
        """What the backbone makes of pixels as `forward` takes them: (count, features)."""
        added = {layer.source for layer in self.network.layers if layer.kind == "add"}
        sources: dict[str, Tensor] = {}
        features, done = pixels, 0
        if self.frozen_prefix:
            features, done = self.frozen_prefix.run(pixels), self.frozen_prefix.layers
            sources[self.network.layers[done - 1].name] = features
        for layer in self.network.layers[done:]:
            features = self.layers[layer.name](features)
            if layer.kind == "add":
                features = features + sources.pop(layer.source)
            if layer.name in added:
                sources[layer.name] = features
        return features

    def probabilities(self, pixels: Tensor) -> dict[str, Tensor]:
        """float32 (count, classes) per target, as the sealed bundle predicts: each row adds up to one, except those
        of a multilabel target."""
        views = [pixels, pixels.flip(3)] if self.network.tta_flip else [pixels]
        scores = [self(view) for view in views]
        return {
            name: torch.stack([self.activated(name, one[name]) for one in scores]).mean(0)
            for name in self.network.heads
        }

    def activated(self, name: str, scores: Tensor) -> Tensor:
        """Scores (count, classes) of the head `name` as probabilities."""
        layer = self.network.activation_layer(name)
        probabilities: Tensor = LAYER_KINDS[layer.kind].module(layer, scores.shape[1:], ())(scores)
        return probabilities

    @torch.no_grad()
    def init_prior_bias(self, name: str, rates: Tensor) -> None:
        """Let the head of a multilabel target begin with each label as probable as it is frequent, (classes,) in 0–1.

        Source: the prior of Lin et al., Focal loss for dense object detection, ICCV 2017. Without it rare labels begin
        with a large loss, and the first steps go into predicting none.
        """
        head = self.layers[head_name(name)]
        assert isinstance(head, Dense)
        assert head.bias is not None
        head.bias.copy_(torch.logit(rates.clamp(1e-3, 1 - 1e-3)) / head.output_scale)


def logits(scores: Tensor, activation: str) -> Tensor:
    """Scores (count, classes) → numbers whose softmax is the probabilities.

    With `sigmoid`, as in Keras's `sparse_categorical_crossentropy`: the article's sigmoid outputs p are clipped to
    1e-7…1-1e-7 and divided by their sum, which equals the softmax of their logarithms.
    """
    return scores if activation == "softmax" else torch.sigmoid(scores).clamp(1e-7, 1 - 1e-7).log()


def to_batch(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (count, height, width, channels) → float32 (count, channels, height, width), channels last in memory."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()


def resize_batch(images: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 (count, channels, height, width) images resized to `size`, (height, width); antialiased, so
    that no fine pattern flickers."""
    if images.shape[2:] == size:
        return images
    smaller = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    return smaller.contiguous(memory_format=torch.channels_last)


class Normalise(nn.Module):
    """(pixels - mean) / std, per channel; both fixed before training."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Whitening(nn.Module):
    """A frozen convolution that makes the pixels of a small window uncorrelated, each direction of equal variance."""

    def __init__(self, layer: LayerSpec, channels: int) -> None:
        super().__init__()
        self.stride = layer.stride
        self.weight: Tensor
        self.register_buffer("weight", torch.zeros(layer.filters, channels, layer.kernel_size, layer.kernel_size))

    def fit(self, images: Tensor) -> None:
        """Measure the directions on `images`, float32 (count, channels, height, width), already normalised."""
        size = self.weight.shape[2]
        windows = F.unfold(images, size, stride=size).permute(0, 2, 1).flatten(0, 1).double()
        covariance = windows.T @ windows / len(windows)
        variances, directions = torch.linalg.eigh(covariance)
        # 1e-2 of a pixel's variance keeps directions that hold only noise from being blown up
        whitened = (directions / (variances.clamp(min=0) + 1e-2).sqrt()).T.float().view(-1, *self.weight.shape[1:])
        strongest = whitened.flip(0)[: len(self.weight) // 2]  # eigh sorts upwards
        self.weight.copy_(torch.cat([strongest, -strongest]))  # both signs, because ReLU keeps one

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, stride=self.stride)


def sides_read(side: int, layers: Sequence[LayerSpec]) -> int:
    """How many of the `side` rows, or columns, of an image `layers` read: windows may not reach the last ones."""
    if not layers:
        return side
    layer, *others = layers
    if layer.kind in ("relu", "relu6", "dropout"):
        return sides_read(side, others)
    if layer.kind not in ("convolution", "max pool") or layer.padding == "same":  # whose zeros depend on the side
        return side
    needed = sides_read((side + 2 * layer.padding - layer.kernel_size) // layer.stride + 1, others)
    return min(side, (needed - 1) * layer.stride + layer.kernel_size - layer.padding)


class Convolution(nn.Conv2d):
    """A convolution of (count, channels, height, width), padded with zeros as its row of the table says.

    The last rows and columns that no window of the layers after it reaches are not computed: 15 % of the work where
    `quick` pools 13×13 to 6×6; of the tutorial's first convolution 15 %, because its second pools 11×11 to 5×5.
    """

    def __init__(self, layer: LayerSpec, channels: int, following: Sequence[LayerSpec] = (), groups: int = 1) -> None:
        super().__init__(
            channels, layer.filters or channels, layer.kernel_size, layer.stride, groups=groups, bias=layer.bias
        )
        self.layer = layer
        self.following = following

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[2], x.shape[3], x.shape[1])  # not always the network's: see `resize_batch`
        top, left, bottom, right = padding_of(self.layer, shape)
        height, width, _ = window_shape(self.layer, shape)
        bottom -= self.layer.stride * (height - sides_read(height, self.following))
        right -= self.layer.stride * (width - sides_read(width, self.following))
        if top != bottom or left != right:  # a negative padding crops the image
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        if self.groups == 1 and self.layer.stride == 1:
            return convolve(x, self.weight, self.bias, (top, left))
        return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)


class Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Dense(nn.Linear):
    """(count, inputs) → (count, outputs): a matrix product, a bias if any, times a fixed factor."""

    def __init__(self, layer: LayerSpec, inputs: int) -> None:
        super().__init__(inputs, layer.filters, bias=layer.bias)
        self.output_scale = layer.output_scale

    def forward(self, x: Tensor) -> Tensor:
        scores = super().forward(x)
        return scores if self.output_scale == 1.0 else scores * self.output_scale


class Dropout(nn.Module):
    """In training, sets a share `rate` (rounded to a 256th) of the values to zero and scales the rest up.

    The mask is read from the bytes of random 64-bit words: torch's own draws one number a value, nine times slower.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = round(rate * 256)
        self.net: list[Net] = []  # which draws; in a list, so that torch does not take the parent for a child

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return x
        words = self.net[0].random.bit_generator.random_raw(-(-x.numel() // 8))  # Generator.bytes takes 7 times as long
        keep = torch.from_numpy((words.view(np.uint8)[: x.numel()] >= self.dropped).astype(np.float32))
        mask = keep.mul_(256 / (256 - self.dropped))
        if x.ndim == 4:  # in the order in which the values lie in memory
            count, channels, height, width = x.shape
            return x * mask.view(count, height, width, channels).permute(0, 3, 1, 2)
        return x * mask.view_as(x)


def weights_of(net: Net) -> dict[str, NDArray[Any]]:
    """Every weight and fixed number of `net` by name, as numpy arrays."""
    return {
        name.removeprefix("layers."): value.detach().contiguous().numpy().copy()
        for name, value in net.state_dict().items()
    }


def channel_mean_std(pixels: NDArray[np.uint8], block: int = 1_000) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel, (channels,), of images uint8 (count, height, width, channels).

    How often each value occurs is counted, `block` images at a time: numpy's `std` would make eight bytes of every
    pixel, 6 GB of a million images of 28×28.
    """
    channels, values = pixels.shape[3], np.arange(256)
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(pixels), block):
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[start : start + block, ..., channel].ravel(), minlength=256)
    shares = counts / counts.sum(axis=1, keepdims=True)
    means = shares @ values
    return means, np.sqrt((shares * (values - means[:, None]) ** 2).sum(axis=1))
