"""The part of a network that is not trained, run by ONNX Runtime: half the time that torch takes for it."""

from dataclasses import replace
from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor

from muslin.learn.export import onnx_graph
from muslin.learn.modules import FrozenPrefix, Net, weights_of
from muslin.learn.networks import frozen_layer_count
from muslin.models import runtime


def frozen_prefix(net: Net, blocks: int, threads: int) -> FrozenPrefix:
    """The layers of `net` up to the end of its block number `blocks`, with the weights they have now.

    They take images of any size.

    Raises:
        RecipeError: the network has no such block.
    """
    layers = frozen_layer_count(net.network, blocks)
    weights = weights_of(net)
    sessions: dict[tuple[int, ...], Any] = {}  # by the images' shape: so much depends on it what a layer pads

    def session(shape: tuple[int, ...]) -> Any:
        height, width, channels = shape
        part = replace(
            net.network,
            input_shape=(height, width, channels),
            layers=net.network.layers[:layers],
            heads={},
            tta_flip=False,
        )
        model = onnx_graph(part, weights)
        # numbers, not bytes: images may have been scaled; and not one row of features, but maps of them
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
        model.graph.output[0].type.tensor_type.ClearField("shape")
        return runtime.session(model.SerializeToString(deterministic=True), threads=threads)

    def run(pixels: Tensor) -> Tensor:
        shape = (pixels.shape[2], pixels.shape[3], pixels.shape[1])
        if shape not in sessions:
            sessions[shape] = session(shape)
        numbers = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        maps = torch.from_numpy(sessions[shape].run(None, {"pixels": numbers})[0])
        return maps.contiguous(memory_format=torch.channels_last)

    return FrozenPrefix(layers, run)
