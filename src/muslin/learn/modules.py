"""A network's table of layers as a torch module."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from muslin.learn.networks import LayerSpec, Network, Shape, head_name, output_shapes, padding_of, shape_after


@dataclass(frozen=True)
class FrozenPrefix:
    """The first `layers` of a network, which stay as they are: `run` is what they make of pixels, without gradients."""

    layers: int
    run: Callable[[Tensor], Tensor]


class Net(nn.Module):
    """The torch module of `network`, initialised from `seed`.

    Takes float32 pixels (count, channels, height, width) in 0–255, gives per target float32 (count, classes) scores.
    Weights are named `layer.weight` and `layer.bias`; kernels are (filters, channels, height, width).

    Attributes:
        kept: the layers that are not trained, where `keep` said so.
    """

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__()
        self.network = network
        self.frozen_prefix: FrozenPrefix | None = None
        self.random = np.random.default_rng(seed)  # draws dropout masks; renewed before each step
        self.layers = nn.ModuleDict()
        before: Shape = network.input_shape
        following = [*network.layers[1:], None]
        for layer, after, shape in zip(network.layers, following, output_shapes(network), strict=True):
            self.layers[layer.name] = self._module(layer, before, after)
            before = shape
        for name, head in network.heads.items():
            self.layers[head_name(name)] = Dense(head, before[0])
        self._initialise(torch.Generator().manual_seed(seed))

    def _module(self, layer: LayerSpec, before: Shape, following: LayerSpec | None) -> nn.Module:
        match layer.kind:
            case "scale":
                return Normalise([layer.mean], [layer.spread])
            case "normalise":
                return Normalise([0.0] * before[2], [255.0] * before[2])
            case "patches":
                return Patches(layer, before[2])
            case "convolution":
                return Convolution(layer, before[2], following)
            case "depthwise convolution":
                return Convolution(layer, before[2], following, groups=before[2])
            case "batch norm":
                norm = nn.BatchNorm2d(before[-1], eps=layer.epsilon, momentum=layer.momentum)
                norm.weight.requires_grad_(layer.scaled)
                return norm
            case "relu":
                return nn.ReLU(inplace=True)  # no layer needs what stood before it
            case "relu6":
                return nn.ReLU6()
            case "add":
                return nn.Identity()  # `forward` adds
            case "global mean pool":
                return GlobalMeanPool()
            case "max pool":
                return nn.MaxPool2d(layer.kernel, layer.stride)
            case "global max pool":
                return GlobalMaxPool()
            case "dropout":
                return Dropout(layer.rate, self)
            case "flatten":
                return Flatten()
            case "dense":
                return Dense(layer, before[0])

    def _initialise(self, generator: torch.Generator) -> None:
        """Keras's Glorot-uniform and zero biases for the tutorial; airbench's identity kernels for the rest."""
        for module in self.layers.values():
            if isinstance(module, Convolution) and self.network.name.startswith("efficientnet"):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu", generator=generator
                )
                continue
            if isinstance(module, nn.Conv2d | Dense):
                if self.network.name == "tutorial":
                    nn.init.xavier_uniform_(module.weight, generator=generator)
                else:
                    nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, nn.Conv2d) and self.network.name != "tutorial":
                # the first filters pass their channel on, so that depth costs nothing at the start
                nn.init.dirac_(module.weight.data[: module.weight.shape[1]])
            if isinstance(module, Dense) and self.network.name != "tutorial":
                module.weight.data.div_(module.weight.data.std())

    def load(self, weights: dict[str, NDArray[Any]]) -> None:
        """Take over the trunk's weights, named as `weights_of` names them."""
        state = {f"layers.{name}": torch.from_numpy(values) for name, values in weights.items()}
        self.load_state_dict(state, strict=False)

    def freeze_prefix(self, prefix: FrozenPrefix) -> None:
        """Train only what comes after the layers of `kept`, with batch norms that keep the mean and the spread they
        know: those of a small batch of a few thousand photos are worse than those of a million."""
        self.frozen_prefix = prefix
        for layer in self.network.layers[: prefix.layers]:
            self.layers[layer.name].requires_grad_(False)

    def train(self, mode: bool = True) -> "Net":
        super().train(mode)
        if self.frozen_prefix:
            for module in self.layers.values():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def fit_normalisation(self, pixels: NDArray[np.uint8]) -> None:
        """Set what is measured on the training images, uint8 (count, height, width, channels), before training."""
        for name, module in self.layers.items():
            if name == "normalise" and isinstance(module, Normalise):
                mean, spread = channel_mean_std(pixels)
                module.mean.copy_(torch.tensor(mean).view(-1, 1, 1))
                module.spread.copy_(torch.tensor(np.maximum(spread, 1.0)).view(-1, 1, 1))
            if isinstance(module, Patches):
                start = self.layers["normalise"](to_batch(pixels[:5_000]))
                module.whiten(start)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        features = self.features(pixels)
        return {name: self.layers[head_name(name)](features) for name in self.network.heads}

    def features(self, pixels: Tensor) -> Tensor:
        """What the trunk makes of pixels as `forward` takes them: (count, features)."""
        added = {layer.source for layer in self.network.layers if layer.kind == "add"}
        kept: dict[str, Tensor] = {}
        features, done = (
            (self.frozen_prefix.run(pixels), self.frozen_prefix.layers) if self.frozen_prefix else (pixels, 0)
        )
        if done:
            kept[self.network.layers[done - 1].name] = features
        for layer in self.network.layers[done:]:
            features = self.layers[layer.name](features)
            if layer.kind == "add":
                features = features + kept.pop(layer.source)
            if layer.name in added:
                kept[layer.name] = features
        return features

    def probabilities(self, pixels: Tensor) -> dict[str, Tensor]:
        """float32 (count, classes) per target, as the sealed bundle answers: each row adds up to one, but not that of
        a multilabel target."""
        views = [pixels, pixels.flip(3)] if self.network.tta_flip else [pixels]
        answers = [self(view) for view in views]
        return {
            name: torch.stack([self.activated(name, answer[name]) for answer in answers]).mean(0)
            for name in self.network.heads
        }

    def activated(self, name: str, scores: Tensor) -> Tensor:
        """Scores (count, classes) of the head `name` as probabilities."""
        if name in self.network.multilabel:
            return torch.sigmoid(scores)
        return F.softmax(logits(scores, self.network.activation), dim=1)

    @torch.no_grad()
    def init_prior_bias(self, name: str, shares: Tensor) -> None:
        """Let the head of a multilabel target begin with each label as probable as it is frequent, (classes,) in 0–1.

        Source: the prior of Lin et al., Focal loss for dense object detection, ICCV 2017: else rare labels begin with a
        large loss, and the first steps go into saying no.
        """
        head = self.layers[head_name(name)]
        assert isinstance(head, Dense)
        assert head.bias is not None
        head.bias.copy_(torch.logit(shares.clamp(1e-3, 1 - 1e-3)) / head.factor)


def logits(scores: Tensor, activation: str) -> Tensor:
    """Scores (count, classes) → numbers whose softmax is the probabilities.

    `sigmoid` is what Keras's `sparse_categorical_crossentropy` makes of the article's sigmoid outputs p: clipped to
    1e-7…1-1e-7 and divided by their sum, which is the softmax of their logarithms.
    """
    return scores if activation == "softmax" else torch.sigmoid(scores).clamp(1e-7, 1 - 1e-7).log()


def to_batch(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (count, height, width, channels) → float32 (count, channels, height, width), channels last in memory."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()


def resize_batch(images: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 (count, channels, height, width) images brought to `size`, (height, width); the mean of what falls
    together, so that nothing fine is left to flicker."""
    if images.shape[2:] == size:
        return images
    smaller = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    return smaller.contiguous(memory_format=torch.channels_last)


class Normalise(nn.Module):
    """(pixels - mean) / spread, per channel; both fixed before training."""

    def __init__(self, mean: list[float], spread: list[float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("spread", torch.tensor(spread).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread


class Patches(nn.Module):
    """A frozen convolution that makes the pixels of a small window uncorrelated, each direction of equal variance."""

    def __init__(self, layer: LayerSpec, channels: int) -> None:
        super().__init__()
        self.stride = layer.stride
        self.weight: Tensor
        self.register_buffer("weight", torch.zeros(layer.filters, channels, layer.kernel, layer.kernel))

    def whiten(self, images: Tensor) -> None:
        """Measure the directions on `images`, float32 (count, channels, height, width), already normalised."""
        size = self.weight.shape[2]
        windows = F.unfold(images, size, stride=size).permute(0, 2, 1).flatten(0, 1).double()
        covariance = windows.T @ windows / len(windows)
        variances, directions = torch.linalg.eigh(covariance)
        # 1e-2 of a pixel's spread keeps directions that hold only noise from being blown up
        whitened = (
            (directions / (variances.clamp(min=0) + 1e-2).sqrt()).T.float().view(-1, *self.weight.shape[1:])
        )
        strongest = whitened.flip(0)[: len(self.weight) // 2]  # eigh sorts upwards
        self.weight.copy_(torch.cat([strongest, -strongest]))  # both signs, for ReLU keeps one

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, stride=self.stride)


class Convolution(nn.Conv2d):
    """A convolution of (count, channels, height, width), padded with zeros as its row of the table says.

    The last row and column that no window of a max pool after it reaches are not computed: 15 % of the work where
    `quick` pools 13×13 to 6×6, 17 % where the tutorial pools 11×11 to 5×5.
    """

    def __init__(
        self, layer: LayerSpec, channels: int, following: LayerSpec | None = None, groups: int = 1
    ) -> None:
        super().__init__(
            channels,
            layer.filters or channels,
            layer.kernel,
            layer.stride,
            groups=groups,
            bias=layer.bias,
        )
        self.layer = layer
        self.pool = following if following is not None and following.kind == "max pool" else None

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[2], x.shape[3], x.shape[1])  # not always the network's: see `resize_batch`
        top, left, bottom, right = padding_of(self.layer, shape)
        if self.pool is not None:
            height, width, _ = shape_after(self.layer, shape)
            bottom -= self.layer.stride * unreached(height, self.pool)
            right -= self.layer.stride * unreached(width, self.pool)
        if top == bottom and left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        # less than nothing takes away from the image
        return super().forward(F.pad(x, (left, right, top, bottom)))


def unreached(side: int, pool: LayerSpec) -> int:
    """How many of `side` px, counted from the end, are in no window of `pool`."""
    return (side - pool.kernel) % pool.stride


class GlobalMeanPool(nn.Module):
    """(count, channels, height, width) → (count, channels): the mean over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class GlobalMaxPool(nn.Module):
    """(count, channels, height, width) → (count, channels): the largest value anywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, (x.shape[2], x.shape[3])).flatten(1)


class Flatten(nn.Module):
    """(count, channels, height, width) → (count, height × width × channels), in Keras's order."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Dense(nn.Module):
    """(count, inputs) → (count, outputs): a matrix product, a bias if any, times a fixed factor."""

    def __init__(self, layer: LayerSpec, inputs: int) -> None:
        super().__init__()
        self.factor = layer.factor
        self.weight = nn.Parameter(torch.empty(layer.filters, inputs))
        self.bias = nn.Parameter(torch.zeros(layer.filters)) if layer.bias else None

    def forward(self, x: Tensor) -> Tensor:
        scores = F.linear(x, self.weight, self.bias)
        return scores if self.factor == 1.0 else scores * self.factor


class Dropout(nn.Module):
    """In training, sets a share `rate` (rounded to a 256th) of the values to zero and scales the rest up.

    The mask is read from the bytes of random 64-bit words: torch's own draws one number a value, nine times slower.
    """

    def __init__(self, rate: float, net: Net) -> None:
        super().__init__()
        self.dropped = round(rate * 256)
        self._net = [net]  # in a list, so that torch does not take the parent for a child

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return x
        bytes_ = np.frombuffer(self._net[0].random.bytes(x.numel()), dtype=np.uint8)
        kept = torch.from_numpy((bytes_ >= self.dropped).astype(np.float32))
        mask = kept.mul_(256 / (256 - self.dropped))
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


def channel_mean_std(
    pixels: NDArray[np.uint8], block: int = 1_000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
