"""How what growth.py measured looks: the points along an axis, their slope, and the image of both. No question of its
own."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from muslin.reporting.svg.svg import spread_apart, svg_document, svg_line, svg_rect, svg_text, text_width
from muslin.text import short_count

AXES = {
    "images": "number of images",
    "side_px": "side of an image, px",
    "width": "width of the network, × quick's",
    "classes": "classes",
    "threads": "threads",
}
LABELS = {"epoch_s": "training", "prediction_s": "predicting", "read_s": "reading", "peak_mb": "peak"}
GROWING = ("epoch_s", "prediction_s", "peak_mb")
TOLD = {
    "images": ("epoch_s", "read_s", "read_mb", "peak_mb"),
    "side_px": ("epoch_s", "prediction_s", "read_s", "read_mb", "peak_mb"),
    "width": GROWING,
    "classes": GROWING,
    "threads": GROWING,
}
"""What can grow with an axis; the first two are drawn as times. Reading does not depend on the network, and predicting
does not depend on the number of training images."""

PANEL_PX, HEIGHT_PX, GAP_PX, HEAD_PX, EDGE_PX = 430, 216, 30, 60, 16
KINDS = {  # line, words, dashes: never distinguished by colour alone
    "epoch_s": ("accent", "accent", ""),
    "prediction_s": ("mid", "soft", "6 4"),
    "read_s": ("mid", "soft", "6 4"),
    "peak_mb": ("accent", "accent", ""),
}


def along(result: dict[str, Any], axis: str, measure: str) -> list[tuple[float, float]]:
    """(value of the axis, median of the measure over the rounds), everything else being as in the base."""
    points = []
    for value in result["axes"][axis]:
        point = result["base"] | {axis: value}
        values = [run[measure] for run in result["runs"] if point.items() <= run.items()]
        points.append((value, statistics.median(values)))
    return points


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Of the line through the last two points on two logarithmic scales: 1 where twice as much takes twice as much."""
    if len(points) < 2:
        return None
    (x1, y1), (x2, y2) = points[-2:]
    return math.log(y2 / y1) / math.log(x2 / x1)


def signed(value: float | None) -> str:
    """`1.03`, `−0.87`, or a dash; never `−0.00`."""
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def image(result: dict[str, Any]) -> str:
    """A row for each axis, time on the left and memory on the right, all scales logarithmic; a whole SVG file."""
    second = PANEL_PX + GAP_PX
    body = [
        svg_text(0, 18, "Time, s", "ink strong"),
        svg_text(0, 38, "training: an epoch; reading, predicting: every image once", "soft small"),
        svg_text(second, 18, "Memory, MB", "ink strong"),
        svg_text(second, 38, "the most until training ends", "soft small"),
    ]
    floor = statistics.median(run["import_mb"] for run in result["runs"])
    memory = {axis: along(result, axis, "peak_mb") for axis in AXES}
    scale_mb = log_ticks([floor, *(y for line in memory.values() for _, y in line)])  # one, to compare the rows by
    descriptions = []
    for row, (axis, name) in enumerate(AXES.items()):
        top = HEAD_PX + row * HEIGHT_PX
        times = {measure: along(result, axis, measure) for measure in TOLD[axis][:2]}
        scale_s = log_ticks([y for line in times.values() for _, y in line])
        of_memory = panel({"peak_mb": memory[axis]}, name, scale_mb, floor)
        body.append(f'<g transform="translate(0,{top})">{panel(times, name, scale_s)}</g>')
        body.append(f'<g transform="translate({second},{top})">{of_memory}</g>')
        descriptions += [
            f"{name}, {LABELS[measure]}: from {points[0][1]:.3g} to {points[-1][1]:.3g}, "
            f"slope {signed(slope(points))} at the end"
            for measure, points in (times | {"peak_mb": memory[axis]}).items()
        ]
    base, foot = result["base"], HEAD_PX + len(AXES) * HEIGHT_PX + 8
    alike = (
        f"One thing grows at a time, the others stay at {base['images']:,} images of {base['side_px']} px, "
        f"{base['classes']} classes, quick's width, threads: {base['threads']}."
    )
    body.append(svg_text(0, foot, alike, "soft small"))
    body.append(svg_text(0, foot + 18, "All scales are logarithmic; slopes are of the last two points.", "soft small"))
    inside = f'<g transform="translate({EDGE_PX},{EDGE_PX})">{"".join(body)}</g>'
    width, height = 2 * PANEL_PX + GAP_PX + 2 * EDGE_PX, foot + 18 + 8 + 2 * EDGE_PX
    return svg_document(width, height, "Growth of time and memory", "; ".join(descriptions), inside)


def panel(
    lines: dict[str, list[tuple[float, float]]], axis: str, ticks: list[float], floor: float | None = None
) -> str:
    """One plot on a scale of `ticks`; `floor` is what importing torch alone takes."""
    left, right, top, bottom = 46, PANEL_PX - 108, 12, HEIGHT_PX - 62
    places = [x for x, _ in next(iter(lines.values()))]
    low, high = ticks[0], ticks[-1]

    def x_of(value: float) -> float:
        return left + 10 + share(value, places[0], places[-1]) * (right - left - 20)

    def y_of(value: float) -> float:
        return bottom - share(value, low, high) * (bottom - top)

    body = []
    for tick in ticks:
        body.append(svg_line(left, y_of(tick), right, y_of(tick), "rule"))
        body.append(svg_text(left - 8, y_of(tick) + 4, f"{tick:,.10g}", "soft small number", "end"))
    free_from = -math.inf
    for place in places:
        label = short_count(int(place)).replace(".0 ", " ") if place >= 10_000 else f"{place:,.10g}"
        half = text_width(label, 12) / 2
        body.append(svg_line(x_of(place), bottom, x_of(place), bottom + 5, "mid-stroke"))
        if x_of(place) - half > free_from:
            body.append(svg_text(x_of(place), bottom + 20, label, "soft small number", "middle"))
            free_from = x_of(place) + half + 4
    body.append(svg_text(right, bottom + 40, axis, "soft small", "end"))
    if floor:
        dots = ' stroke-dasharray="1 4" stroke-linecap="round"'
        body.append(svg_line(left, y_of(floor), right, y_of(floor), "mid-stroke", 1.5, dots))
    ends = {measure: y_of(line[-1][1]) for measure, line in lines.items()} | ({"floor": y_of(floor)} if floor else {})
    label_places = dict(zip(ends, spread_apart(list(ends.values()), 34), strict=True))
    for measure, line in lines.items():
        stroke, words, dash = KINDS[measure]
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        body.append(
            f'<polyline class="{stroke}-stroke" stroke-width="2.5" stroke-linejoin="round"{dashes} points="{path}"/>'
        )
        for x, y in line:
            body.append(
                svg_rect(x_of(x) - 3.5, y_of(y) - 3.5, 7, 7, stroke)
                if dash
                else f'<circle class="{stroke}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="4"/>'
            )
        body.append(svg_text(right + 12, label_places[measure] - 2, LABELS[measure], f"{words} small strong"))
        body.append(
            svg_text(right + 12, label_places[measure] + 13, f"slope {signed(slope(line))}", "ink small number")
        )
    if floor:
        body.append(svg_text(right + 12, label_places["floor"] - 2, "import torch", "soft small strong"))
        body.append(svg_text(right + 12, label_places["floor"] + 13, f"{floor:,.0f} MB", "ink small number"))
    return "".join(body)


def rounded(value: float) -> str:
    """Three digits that count, never with an exponent: `0.0223`, `61.6`, `1,230`."""
    return f"{float(f'{value:.3g}'):,.10g}"


def share(value: float, low: float, high: float) -> float:
    """Where `value` lies between the two on a logarithmic scale, from 0 to 1; a half where they are one."""
    return math.log(value / low) / math.log(high / low) if high > low else 0.5


def log_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 or 5 times a power of ten, or only the powers where the others would crowd; they enclose the values."""
    low, high = min(values), max(values)
    for steps in ((1, 2, 5), (1,)):
        powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
        every = [step * 10.0**power for power in powers for step in steps]
        first = max(i for i, tick in enumerate(every) if tick <= low)
        last = min(i for i, tick in enumerate(every) if tick >= high and i > first)
        if last - first <= 5:
            break
    return every[first : last + 1]
