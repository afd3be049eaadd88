"""The colours of images, plots and pages, for light and dark; and the colour maps.

Cloth and ink, and one accent colour (madder, a dyer's red) that means "look here". Correct and incorrect, or one line
and another, never differ by colour alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Contrast against `paper` by WCAG 2: ink, soft and accent have at least 4.5:1 in both, so text can use each.
LIGHT = {
    "paper": "#fdfcf8",
    "cloth": "#f3efe6",  # panels, and behind images
    "rule": "#ddd6c8",
    "mid": "#8d8578",  # secondary lines: 3:1
    "soft": "#655e53",
    "ink": "#27231d",
    "accent": "#a8391b",
    "on_accent": "#ffffff",
}
DARK = {
    "paper": "#191714",
    "cloth": "#24211c",
    "rule": "#3d382f",
    "mid": "#857d70",
    "soft": "#b0a799",
    "ink": "#ede8de",
    "accent": "#f0936f",
    "on_accent": "#1c120c",
}


def viridis() -> NDArray[np.uint8]:
    """256 colours from dark violet to yellow, uint8 (256, 3): perceptually uniform, also when printed gray."""
    return _interpolated(np.frombuffer(bytes.fromhex(_VIRIDIS), dtype=np.uint8).reshape(-1, 3))


def blue_to_orange() -> NDArray[np.uint8]:
    """256 colours for signed values, uint8 (256, 3): blue below zero, near white at zero, orange above.

    The stops are ColorBrewer's RdBu (its blue half) and PuOr (its orange half), by Cynthia Brewer, Apache 2.0.
    Colour-blind readers can distinguish both halves, but not in gray print, so negative cells are hatched too.
    """
    return _interpolated(np.array(_SIGNED))


def _interpolated(stops: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """256 colours between evenly spaced stops, integer (stops, 3)."""
    values, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(stops))
    channels = [np.interp(values, places, stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


_SIGNED = [
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 246, 243),
    (254, 224, 182), (253, 184, 99), (224, 130, 20), (179, 88, 6), (127, 59, 8),
]  # fmt: skip

# Every fifth colour of viridis, 3 bytes each, by Stéfan van der Walt and Nathaniel Smith for Matplotlib 2.0 (CC0)
_VIRIDIS = (
    "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31688e"
    "2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7793dbc74"
    "46c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725"
)
