"""The gradient of a convolution's kernels, where torch's library takes longer for it than a few products of matrices.

That is so for images of one channel, and for maps of few pixels, where most of a kernel often lies in the padding. What
each saves: docs/explanation/speed.md.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

MAX_MAP_PX = 16
"""Pixels of the largest map that gains for every number of channels: 4×4. Maps of 6×6 lose with 64 channels."""


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
    """A convolution with stride 1, (count, channels, height, width), whose kernels' gradient is computed faster."""
    gains = x.shape[1] == 1 or x.shape[2] * x.shape[3] <= MAX_MAP_PX
    if not gains or torch.is_autocast_enabled("cpu"):  # in bfloat16 it was not measured
        return F.conv2d(x, weight, bias, padding=padding)
    result: Tensor = _Convolution.apply(x, weight, bias, padding)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.has_bias = padding, bias is not None
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x: Tensor | None = None
        of_bias: Tensor | None = None
        if ctx.needs_input_grad[0]:
            of_x, _, _ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, (1, 1), ctx.padding, (1, 1), False, (0, 0), 1, (True, False, False)
            )
        if x.shape[1] == 1:
            of_kernels, of_bias = _of_one_channel(x, gradient, weight, ctx.padding)
        else:
            of_kernels = _of_small_maps(x, gradient, weight, ctx.padding)
            of_bias = gradient.sum((0, 2, 3)) if ctx.has_bias else None
        return of_x, of_kernels, of_bias if ctx.has_bias else None, None


def _of_one_channel(x: Tensor, gradient: Tensor, weight: Tensor, padding: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The gradients of kernels and bias by one product: a row for each place in the kernel, with the pixels there, and
    one of ones for the bias; times the gradient of every pixel."""
    (height, width), (rows, columns) = weight.shape[2:], gradient.shape[2:]
    padded = F.pad(x[:, 0], (padding[1], padding[1], padding[0], padding[0]))
    pixels = x.new_ones(height * width + 1, len(x), rows, columns)
    for place in range(height * width):
        row, column = divmod(place, width)
        pixels[place] = padded[:, row : row + rows, column : column + columns]
    product = pixels.flatten(1) @ gradient.permute(0, 2, 3, 1).flatten(0, 2)
    return product[:-1].T.reshape(weight.shape), product[-1]


def _of_small_maps(x: Tensor, gradient: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """The gradient of the kernels: a product for each place in a kernel, of those pixels alone that do not meet the
    padding there."""
    pixels, slopes = (values.permute(2, 3, 0, 1).contiguous() for values in (x, gradient))
    result = weight.new_zeros(*weight.shape[2:], *weight.shape[1::-1])  # (height, width, channels, filters)
    for row in range(len(result)):
        of_rows, rows = _overlap(row - padding[0], len(pixels), len(slopes))
        for column in range(result.shape[1]):
            of_columns, columns = _overlap(column - padding[1], pixels.shape[1], slopes.shape[1])
            inside = pixels[of_rows, of_columns].flatten(0, 2)
            torch.mm(inside.T, slopes[rows, columns].flatten(0, 2), out=result[row, column])
    return result.permute(3, 2, 0, 1)


def _overlap(offset: int, before: int, after: int) -> tuple[slice, slice]:
    """Of the `after` rows of a result those whose row `offset` further down is one of the `before` rows of the image:
    these rows of the image, and those of the result."""
    first, end = max(-offset, 0), max(min(after, before - offset), max(-offset, 0))
    return slice(first + offset, end + offset), slice(first, end)
