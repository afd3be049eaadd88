"""The network as a diagram: what each layer does, what it gives and what it learned."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from muslin.reporting.svg.svg import (
    shorten_text,
    svg_document,
    svg_line,
    svg_rect,
    svg_text,
    text_width,
    wrap_text,
)
from muslin.text import percent, short_count

WHAT_FOR = {
    "image": "what the model is given",
    "scale": "numbers the network can handle",
    "normalise": "numbers the network can handle",
    "patches": "small details as numbers that do not repeat each other",
    "convolution": "looks everywhere for small patterns, one per kernel",
    "batch norm": "keeps the numbers in a steady range, so learning is quick",
    "relu": "keeps what was found, drops what was not",
    "max pool": "a smaller image that keeps the strongest finds",
    "average pool": "a smaller image of averages",
    "global max pool": "how strongly each pattern was found, wherever it was",
    "global average pool": "how strongly each pattern was found on average",
    "dropout": "so that no value relies on another",
    "flatten": "a list instead of an image",
    "dense": "weighs every value it is given",
    "sigmoid": "the answer: each class judged alone, then made to share one",
    "softmax": "the answer: how likely each class is",
}
"""What a kind of layer is there for, in words for someone who meets it for the first time."""


def network_diagram(described: Mapping[str, Any]) -> str:
    """The network from the image at the top to the answer at the bottom, one row a layer.

    A block's width follows the side of the image at that point, its height the number of channels (both by
    their logarithm); the bar at the right is the share of all parameters. Unknown kinds are drawn plainly.

    `described`: {"name", "input": [height, width, channels], "parameters", "multiply_adds", "layers":
    [{"name", "kind", "detail", "output", "parameters"}, …]}, as `muslin.learn.networks.describe` gives it.
    """
    total = max(1, int(described.get("parameters") or 0))
    middle, names, shapes, counts, width = 104, 230, 556, 652, 820
    rows: list[dict[str, Any]] = [
        {"name": "", "kind": "image", "detail": "", "output": described["input"]},
        *described["layers"],
    ]
    body = [
        svg_text(names, 18, "layer", "soft small"),
        svg_text(shapes, 18, "gives", "soft small"),
        svg_text(counts, 18, "parameters", "soft small"),
        svg_line(names, 30, width, 30, "rule"),
    ]
    y = 30.0
    explained: set[str] = set()
    corners: list[tuple[float, float, float]] = []  # block's half width, upper and lower edge
    for row in rows:
        kind, output = str(row["kind"]), [int(side) for side in row["output"]]
        learned = int(row.get("parameters") or 0)
        weighs = bool(row.get("multiply_adds"))
        detail = wrap_text(str(row.get("detail") or ""), 12, shapes - names - 16)
        # what a kind of layer is for is said once, where it is met first
        purpose = [] if kind in explained else wrap_text(WHAT_FOR.get(kind, ""), 12, shapes - names - 16)
        explained.add(kind)
        block_width, block_height = _block(output)
        if not weighs and corners and 2 * corners[-1][0] == block_width:
            block_height = 6.0  # changes values, not their number
        row_height = max(34 + 16 * len(detail + purpose), block_height + 20)
        centre = y + row_height / 2
        corners.append((block_width / 2, centre - block_height / 2, centre + block_height / 2))
        fill, opacity = ("accent", 0.85) if learned else ("mid", 0.9 if weighs else 0.5)
        left, upper = middle - block_width / 2, centre - block_height / 2
        body.append(svg_rect(left, upper, block_width, block_height, fill, opacity=opacity))
        baseline = centre - 8 * len(detail + purpose) + 5
        body.append(svg_text(names, baseline, kind, "ink strong"))
        beside = names + 1.08 * text_width(kind, 14) + 8  # bold is wider
        called = shorten_text(str(row["name"]), 12, shapes - beside - 8)
        body.append(svg_text(beside, baseline, called, "soft small", tooltip=str(row["name"])))
        for place, words in enumerate(detail + purpose, 1):
            tone = "ink small" if place <= len(detail) else "soft small"
            body.append(svg_text(names, baseline + 16 * place, words, tone))
        body.append(svg_text(shapes, centre + 5, _shape(output), "ink number"))
        if learned:
            body.append(svg_text(counts + 62, centre + 5, f"{learned:,}", "ink number", "end"))
            tip = f"{percent(learned / total)} of all parameters"
            body.append(svg_rect(counts + 78, centre - 5, 90, 10, "cloth"))
            body.append(
                svg_rect(counts + 78, centre - 5, max(1.5, 90 * learned / total), 10, "mid", tooltip=tip)
            )
        y += row_height
        body.append(svg_line(names, y, width, y, "rule", 0.75))
    for (above, _, lower), (below, upper, _) in pairwise(corners):
        for sign in (-1, 1):
            body.append(
                svg_line(
                    middle + sign * above,
                    lower,
                    middle + sign * below,
                    upper,
                    "mid-stroke",
                    1,
                    ' opacity="0.6"',
                )
            )
    adds = described.get("multiply_adds")
    foot = f"{total:,} parameters" + (f", {short_count(int(adds))} multiplications per image" if adds else "")
    body.append(svg_text(names, y + 26, foot, "soft"))
    told = " → ".join(
        f"{row['kind']} {_shape(row['output'])}"
        + (f" with {row['parameters']:,} parameters" if row.get("parameters") else "")
        for row in rows
    )
    title = f"The network {described.get('name', '')}".strip()
    return svg_document(width, y + 40, title, f"{told}. {foot}.", "".join(body))


def _block(output: Sequence[int]) -> tuple[float, float]:
    """Width and height in px of the block that stands for a tensor."""
    if len(output) == 3:
        side, channels = max(output[0], output[1]), output[2]
        return 24 + 18 * math.log2(1 + side), 8 + 5 * math.log2(1 + channels)
    return 24 + 12 * math.log2(1 + math.prod(output)), 8


def _shape(output: Sequence[int]) -> str:
    return "×".join(f"{side:,}" for side in output)
