"""From sRGB to CIELAB, in which equal distances look about equally different."""

import numpy as np
from numpy.typing import NDArray

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    np.float32,
)
"""Of linear sRGB, IEC 61966-2-1."""

WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)
"""XYZ of the illuminant D65."""

EPSILON, KAPPA = 216 / 24389, 24389 / 27
"""Where CIE's cube root passes into a straight line, and the slope of that line."""


def srgb_to_lab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIELAB under D65 of sRGB values, by the definitions of IEC 61966-2-1 and CIE 15.

    Args:
        pixels: uint8 (…, 3).

    Returns:
        float32 (…, 3): L* from 0 (black) to 100 (white), a* from green to red and b* from blue to yellow, both within
        ±128.
    """
    scaled = pixels.astype(np.float32) / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4).astype(np.float32)
    xyz = linear @ TO_XYZ.T / WHITE
    f = np.where(xyz > EPSILON, np.cbrt(xyz), (KAPPA * xyz + 16) / 116)
    lab = [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])]
    return np.stack(lab, axis=-1).astype(np.float32)
