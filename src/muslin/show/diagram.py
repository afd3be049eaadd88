"""The network as a diagram: what each layer does, what it gives and what it learned."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from muslin.show.drawing import fit, put_line, put_rect, put_text, svg, text_width
from muslin.show.words import percent, short_count

WHAT_FOR = {
    "scale": "numbers the network can handle",
    "normalise": "numbers the network can handle",
    "patches": "small details as numbers that do not repeat each other",
    "convolution": "looks everywhere for small patterns, one per kernel",
    "batch norm": "keeps the numbers in a steady range, so learning is quick",
    "relu": "keeps what was found, drops what was not",
    "max pool": "a smaller picture that keeps the strongest finds",
    "average pool": "a smaller picture of averages",
    "global max pool": "how strongly each pattern was found, wherever it was",
    "global average pool": "how strongly each pattern was found on average",
    "dropout": "in training only: lets no value rely on another",
    "flatten": "a list instead of a picture",
    "dense": "weighs every value it is given",
    "sigmoid": "each score alone becomes 0 to 1, then they share one",
    "softmax": "scores become probabilities that add up to one",
}
"""What a kind of layer is there for, in words for someone who meets it for the first time."""


def network(described: Mapping[str, Any]) -> str:
    """The network from the picture at the top to the answer at the bottom, one row a layer.

    A block's width follows the side of the picture at that point, its height the number of channels (both by
    their logarithm); the bar at the right is the share of all parameters. Unknown kinds are drawn plainly.

    `described`: {"name", "input": [height, width, channels], "parameters", "multiply_adds", "layers":
    [{"name", "kind", "detail", "output", "parameters"}, …]}, as `muslin.learn.networks.describe` gives it.
    """
    total = max(1, int(described.get("parameters") or 0))
    names, shapes, counts = 230, 560, 660
    width, top = 820, 62
    rows: list[dict[str, Any]] = [
        {"name": "pixels", "kind": "", "detail": "", "output": described["input"], "parameters": 0},
        *described["layers"],
    ]
    body = [
        put_text(names, 30, "layer", "soft small"),
        put_text(shapes, 30, "gives", "soft small"),
        put_text(counts, 30, "parameters", "soft small"),
    ]
    y: float = top
    middle = 104
    corners: list[tuple[float, float, float]] = []  # block's half width, upper and lower edge
    for row in rows:
        output = [int(side) for side in row["output"]]
        block_width, block_height = _block(output)
        learned = int(row.get("parameters") or 0)
        heavy = row["kind"] in ("", "patches", "convolution", "dense", "softmax", "sigmoid") or learned > 0
        row_height = max(64 if heavy else 50, block_height + 20)
        centre = y + row_height / 2
        corners.append((block_width / 2, centre - block_height / 2, centre + block_height / 2))
        fill, opacity = ("accent", 0.85) if learned else ("mid", 0.55) if heavy else ("mid", 0.25)
        left, upper = middle - block_width / 2, centre - block_height / 2
        body.append(put_rect(left, upper, block_width, block_height, fill, opacity=opacity))
        purpose = "what the model is given" if not row["kind"] else WHAT_FOR.get(row["kind"], "")
        detail = str(row.get("detail") or "")
        heading = row["kind"] or "picture"
        lines = [words for words in (detail, purpose) if words]
        first = centre - (len(lines) * 17) / 2 + 4
        body.append(put_text(names, first, heading, "ink strong", tip=row["name"]))
        if row["kind"]:
            apart = names + text_width(heading, 15) + 10
            body.append(
                put_text(
                    apart, first, fit(row["name"], 12, shapes - apart - 10), "soft small", tip=row["name"]
                )
            )
        for place, words in enumerate(lines):
            tone = "ink small" if place == 0 and detail else "soft small"
            fitted = fit(words, 12, shapes - names - 16)
            body.append(put_text(names, first + 17 * (place + 1), fitted, tone, tip=words))
        body.append(put_text(shapes, centre + 5, _shape(output), "ink number"))
        if learned:
            body.append(put_text(counts, centre + 5, f"{learned:,}", "ink number"))
            share = learned / total
            body.append(put_rect(counts + 78, centre - 5, 82, 10, "rule"))
            tip = f"{percent(share)} of all parameters"
            body.append(put_rect(counts + 78, centre - 5, max(1, 82 * share), 10, "accent", tip=tip))
        body.append(put_line(names, y + row_height, width, y + row_height, "rule", 0.75))
        y += row_height
    for (above, _, lower), (below, upper, _) in pairwise(corners):
        for sign in (-1, 1):
            body.append(
                put_line(
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
    foot = f"{total:,} parameters" + (
        f", {short_count(int(adds))} multiplications per picture" if adds else ""
    )
    body.append(put_text(names, y + 26, foot, "soft"))
    told = " → ".join(
        f"{row['kind'] or 'picture'} {_shape(row['output'])}"
        + (f" with {row['parameters']:,} parameters" if row.get("parameters") else "")
        for row in rows
    )
    title = f"The network {described.get('name', '')}".strip()
    return svg(width, y + 40, title, f"{told}. {foot}.", "".join(body))


def _block(output: Sequence[int]) -> tuple[float, float]:
    """Width and height in px of the block that stands for a tensor."""
    if len(output) == 3:
        side, channels = max(output[0], output[1]), output[2]
        return 24 + 18 * math.log2(1 + side), 8 + 5 * math.log2(1 + channels)
    return 24 + 12 * math.log2(1 + math.prod(output)), 8


def _shape(output: Sequence[int]) -> str:
    return "×".join(f"{side:,}" for side in output)
