"""The frozen layers of a network, run by ONNX Runtime: in half the time that torch takes."""

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
    """The layers of `net` up to the end of block number `blocks`, with their current weights, for images of any size.

    Raises:
        RecipeError: the network has no such block.
    """
    count, weights = frozen_layer_count(net.network, blocks), weights_of(net)
    layers = net.network.layers[:count]
    sessions: dict[tuple[int, int, int], Any] = {}  # by the images' shape, on which the padding depends

    def run(pixels: Tensor) -> Tensor:
        shape = (pixels.shape[2], pixels.shape[3], pixels.shape[1])
        if shape not in sessions:
            part = replace(net.network, input_shape=shape, layers=layers, heads={}, tta_flip=False)
            model = onnx_graph(part, weights)
            # float input, because images may have been resized; and feature maps instead of one row of features
            model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
            model.graph.output[0].type.tensor_type.ClearField("shape")
            content = model.SerializeToString(deterministic=True)
            sessions[shape] = runtime.session(content, threads=threads)
        array = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        maps = torch.from_numpy(sessions[shape].run(None, {"pixels": array})[0])
        return maps.contiguous(memory_format=torch.channels_last)

    return FrozenPrefix(count, run)
