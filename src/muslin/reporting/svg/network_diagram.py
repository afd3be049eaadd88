"""The network as a diagram: what each layer does, its output and its parameters."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from muslin.learn.layer_kinds import kind_words, layer_detail
from muslin.reporting.network_stages import network_stages
from muslin.reporting.svg.svg import shorten_text, svg_document, svg_line, svg_rect, svg_text, text_width, wrap_text
from muslin.text import percent, short_count

MIDDLE, NAMES, SHAPES, COUNTS, WIDTH = 104, 230, 556, 652, 820
"""Where the blocks' middle and the columns lie, px."""

HEADINGS = ((NAMES, "layer"), (SHAPES, "output"), (COUNTS, "parameters"))


def network_diagram(described: Mapping[str, Any]) -> str:
    """The network from the image at the top to the prediction at the bottom, one row a layer, or a stage of a deep one.

    A block's width follows the side of the image at that point, its height the number of channels (both by
    their logarithm); the bar at the right is the share of all parameters. Unknown kinds are drawn plainly.

    `described`: as `muslin.learn.networks.describe` gives it.
    """
    total = max(1, int(described.get("parameters") or 0))
    stages = network_stages(described["layers"])
    image = {"name": "", "kind": "image", "output": described["input"]}
    rows: list[Mapping[str, Any]] = [image, *(stage.row for stage in stages)]
    body = [*(svg_text(x, 18, name, "soft small") for x, name in HEADINGS), svg_line(NAMES, 30, WIDTH, 30, "rule")]
    y = 30.0
    explained: set[str] = set()
    corners: list[tuple[float, float, float]] = []  # block's half width, upper and lower edge
    for row in rows:
        kind, output = str(row["kind"]), [int(side) for side in row["output"]]
        # what a kind of layer is for is said once, where it is met first
        purpose = "" if kind in explained else kind_words(kind).purpose
        explained.add(kind)
        detail, purposes = (wrap_text(text, 12, SHAPES - NAMES - 16) for text in (layer_detail(row), purpose))
        width, height = _block(output)
        if not row.get("multiply_adds") and corners and 2 * corners[-1][0] == width:
            height = 6.0  # changes values, not their number
        row_height = max(34 + 16 * len(detail + purposes), height + 20)
        centre = y + row_height / 2
        corners.append((width / 2, centre - height / 2, centre + height / 2))
        body += [_draw_block(row, *corners[-1]), *_draw_words(row, detail, purposes, centre)]
        body.append(svg_text(SHAPES, centre + 5, _shape_text(output), "ink number"))
        body += _draw_parameters(int(row.get("parameters") or 0), total, centre)
        y += row_height
        body.append(svg_line(NAMES, y, WIDTH, y, "rule", 0.75))
    for (above, _, lower), (below, upper, _) in pairwise(corners):
        for sign in (-1, 1):
            left, right = MIDDLE + sign * above, MIDDLE + sign * below
            body.append(svg_line(left, lower, right, upper, "mid-stroke", 1, ' opacity="0.6"'))
    adds = described.get("multiply_adds")
    foot = f"{total:,} parameters" + (f", {short_count(int(adds))} multiplications per image" if adds else "")
    body.append(svg_text(NAMES, y + 26, foot, "soft"))
    summary = " → ".join(
        f"{row['kind']} {_shape_text(row['output'])}"
        + (f" with {row['parameters']:,} parameters" if row.get("parameters") else "")
        for row in rows
    )
    title = f"The network {described.get('name', '')}".strip()
    return svg_document(WIDTH, y + 40, title, f"{summary}. {foot}.", body)


def _draw_block(row: Mapping[str, Any], half_width: float, upper: float, lower: float) -> str:
    fill, opacity = ("accent", 0.85) if row.get("parameters") else ("mid", 0.9 if row.get("multiply_adds") else 0.5)
    return svg_rect(MIDDLE - half_width, upper, 2 * half_width, lower - upper, fill, opacity=opacity)


def _draw_words(row: Mapping[str, Any], detail: Sequence[str], purpose: Sequence[str], centre: float) -> list[str]:
    baseline = centre - 8 * (len(detail) + len(purpose)) + 5
    kind = kind_words(str(row["kind"])).name
    beside = NAMES + 1.08 * text_width(kind, 14) + 8  # bold is wider
    name = shorten_text(str(row["name"]), 12, SHAPES - beside - 8)
    lines = [(words, "ink small") for words in detail] + [(words, "soft small") for words in purpose]
    return [
        svg_text(NAMES, baseline, kind, "ink strong"),
        svg_text(beside, baseline, name, "soft small", tooltip=str(row["name"])),
        *(svg_text(NAMES, baseline + 16 * n, words, tone) for n, (words, tone) in enumerate(lines, 1)),
    ]


def _draw_parameters(parameters: int, total: int, centre: float) -> list[str]:
    if not parameters:
        return []
    bar = max(1.5, 90 * parameters / total)
    tooltip = f"{percent(parameters / total)} of all parameters"
    return [
        svg_text(COUNTS + 62, centre + 5, f"{parameters:,}", "ink number", "end"),
        svg_rect(COUNTS + 78, centre - 5, 90, 10, "cloth"),
        svg_rect(COUNTS + 78, centre - 5, bar, 10, "mid", tooltip=tooltip),
    ]


def _block(output: Sequence[int]) -> tuple[float, float]:
    """Width and height in px of the block that stands for a tensor."""
    if len(output) == 3:
        side, channels = max(output[0], output[1]), output[2]
        return 24 + 18 * math.log2(1 + side), 8 + 5 * math.log2(1 + channels)
    return 24 + 12 * math.log2(1 + math.prod(output)), 8


def _shape_text(output: Sequence[int]) -> str:
    return "×".join(f"{side:,}" for side in output)
