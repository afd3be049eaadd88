"""The elements of every drawing: an SVG document, text, lines, rectangles, ticks; and the style sheet they share."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import pairwise

from muslin.reporting.colours import DARK, LIGHT
from muslin.text import ORDINARY_CHARACTERS, escape_controls, percent, shorten_middle, wrap_lines

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


_FILLS = {name: name for name in ("paper", "cloth", "ink", "soft", "mid", "accent")} | {"on": "on_accent"}
_STROKES = {"rule": "rule", "stroke": "ink", "mid-stroke": "mid", "accent-stroke": "accent"}


def _colour_rules(colours: Mapping[str, str]) -> str:
    """The CSS classes that fill and that draw lines, in these colours."""
    fills = (f".drawing .{name}{{fill:{colours[key]}}}" for name, key in _FILLS.items())
    strokes = (f".drawing .{name}{{stroke:{colours[key]};fill:none}}" for name, key in _STROKES.items())
    return "".join([*fills, *strokes])


STYLE = (
    f".drawing{{font-family:{FONT};font-size:14px}}"
    ".drawing .small{font-size:12px}.drawing .tiny{font-size:10.5px}.drawing .strong{font-weight:600}"
    f".drawing .number{{font-variant-numeric:tabular-nums}}{_colour_rules(LIGHT)}"
    f"@media screen and (prefers-color-scheme:dark){{{_colour_rules(DARK)}}}"
)
"""The style sheet of every drawing; literal colours, because not every viewer of SVG files supports CSS variables."""


def inline_svg(drawing: str) -> str:
    """The drawing for the inside of an HTML page, without its style sheet, name space and background."""
    inside = re.sub(r"<style>.*?</style>", "", drawing, count=1, flags=re.DOTALL)
    inside = re.sub(r'<rect class="paper" width="100%" height="100%"/>', "", inside, count=1)
    return inside.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)


def svg_document(width: float, height: float, title: str, description: str, body: Iterable[str]) -> str:
    """An SVG document of that size in px with the elements of `body`; screen readers read title and description."""
    width, height = math.ceil(width), math.ceil(height)
    key = "svg-" + re.sub(r"\W+", "-", title.lower()).strip("-")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" aria-labelledby="{key}-title {key}-description">'
        f'<title id="{key}-title">{xml_escape(title)}</title>'
        f'<desc id="{key}-description">{xml_escape(description)}</desc>'
        f'<style>{STYLE}</style><rect class="paper" width="100%" height="100%"/>{"".join(body)}</svg>\n'
    )


def xml_escape(text: str) -> str:
    """`text` escaped for an SVG file, without characters that XML does not allow."""
    return escape(re.sub("[\ufffe\uffff]", "\ufffd", escape_controls(text, keep=ORDINARY_CHARACTERS)))


def svg_text(
    x: float, y: float, text: str, style: str, anchor: str = "start", *, rotate: float = 0, tooltip: str = ""
) -> str:
    """Text at (x, y); `style` names its CSS classes. `tooltip` is the full text where `text` was shortened."""
    rotation = f' transform="rotate({rotate:g} {x:.1f} {y:.1f})"' if rotate else ""
    alignment = "" if anchor == "start" else f' text-anchor="{anchor}"'
    title = f"<title>{xml_escape(tooltip)}</title>" if tooltip and tooltip != text else ""
    return (
        f'<text class="{style.strip()}" x="{x:.1f}" y="{y:.1f}"{alignment}{rotation}>{title}{xml_escape(text)}</text>'
    )


def svg_line(x1: float, y1: float, x2: float, y2: float, style: str, width: float = 1, attributes: str = "") -> str:
    """A straight line; `style` names its CSS classes."""
    stroke = "" if width == 1 else f' stroke-width="{width:g}"'
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{stroke}{attributes}/>'


def svg_polyline(points: Iterable[tuple[float, float]], style: str, width: float = 2, *, dashed: bool = False) -> str:
    """A line through the points; with a style that fills, the area that they enclose."""
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{style}" stroke-width="{width:g}" stroke-linejoin="round"{dash} points="{path}"/>'


def svg_rect(
    x: float, y: float, width: float, height: float, style: str, *, opacity: float = 1, tooltip: str = ""
) -> str:
    """A rectangle with slightly rounded corners."""
    fill_opacity = "" if opacity == 1 else f' fill-opacity="{opacity:.2f}"'
    end = f"><title>{xml_escape(tooltip)}</title></rect>" if tooltip else "/>"
    return (
        f'<rect class="{style}"{fill_opacity} x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{min(3.0, width / 4, height / 4):.1f}"{end}'
    )


def svg_circle(x: float, y: float, radius: float, style: str, attributes: str = "") -> str:
    """A circle around (x, y)."""
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"{attributes}/>'


def svg_group(tooltip: str, *elements: str) -> str:
    """Elements with a tooltip in common."""
    return f"<g><title>{xml_escape(tooltip)}</title>{''.join(elements)}</g>"


@dataclass(frozen=True)
class PercentPlot:
    """A plot of two fractions, from 0 (for y from `y_low`) to 1; sizes and places in px."""

    width: float
    height: float
    left: float = 56
    top: float = 30
    y_low: float = 0

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point; a point below the plot is moved to its lower edge."""
        share = (max(y, self.y_low) - self.y_low) / (1 - self.y_low)
        return self.left + x * self.width, self.bottom - share * self.height

    def axes(self, x_name: str, y_name: str, ticks_below: float = 0) -> str:
        """The grid, the ticks and the names of the axes; those of the x axis stand `ticks_below` px lower."""
        right, below = self.left + self.width, self.bottom + ticks_below
        body = svg_text(0, 16, y_name, "soft small") + svg_text(right, below + 42, x_name, "soft small", "end")
        for tick in (0, 0.25, 0.5, 0.75, 1):
            y_value = self.y_low + tick * (1 - self.y_low)
            x, y = self.at(tick, y_value)
            body += svg_line(self.left, y, right, y, "rule") + svg_line(x, self.top, x, self.bottom, "rule")
            label = percent(y_value, digits=1 if self.y_low else 0)
            body += svg_text(self.left - 8, y + 4, label, "soft small number", "end")
            body += svg_text(x, below + 20, percent(tick, digits=0), "soft small number", "middle")
        return body

    def diagonal(self) -> str:
        """The dashed line on which both fractions are equal."""
        return svg_polyline([self.at(0, 0), self.at(1, 1)], "mid-stroke", 1, dashed=True)

    def interval(self, x: float, interval: tuple[float, float], style: str) -> str:
        """A vertical line from the low to the high end of an interval."""
        return svg_line(*self.at(x, interval[0]), *self.at(x, interval[1]), style, 1.5)


def text_width(text: str, size_px: float) -> float:
    """An upper estimate of the width of `text` in px; no font is at hand to measure with."""
    narrow, wide = "iljtfrI.,:;'|!()[] ", "mwMW%@—…"
    ems = sum(
        1.05 if ord(letter) > 0x2E7F else 0.38 if letter in narrow else 0.96 if letter in wide else 0.63
        for letter in text
    )
    return ems * size_px


def shorten_text(text: str, size_px: float, width_px: float) -> str:
    """`text`, or its two ends around `…` where it is wider than `width_px`."""
    return shorten_middle(text, width_px, partial(text_width, size_px=size_px))


def wrap_text(text: str, size_px: float, width_px: float) -> list[str]:
    """`text` in as many lines of `width_px` as it needs; a longer word has a line of its own."""
    return wrap_lines(text, width_px, partial(text_width, size_px=size_px))


def nice_ticks(low: float, high: float, n_steps: int) -> list[float]:
    """About `n_steps` + 1 round numbers in even steps (1, 2, 2.5 or 5 times a power of ten) that enclose low..high."""
    rough = (high - low) / n_steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= rough * 0.999)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(start, end + 1)]


def integer_ticks(first: float, last: float) -> list[int]:
    """About six integers in first..last, with both ends; inner ticks that would crowd an end are dropped."""
    start, end = math.ceil(first), math.floor(last)
    if end - start <= 5:
        return list(range(start, end + 1))
    ticks = nice_ticks(first, last, 5)
    step = max(1, round(ticks[1] - ticks[0]))
    inner = range(-(-start // step) * step, end + 1, step)
    return [start, *(tick for tick in inner if min(tick - start, end - tick) >= step / 2), end]


def spread_apart(positions: Sequence[float], distance: float) -> list[float]:
    """The positions, moved as little as needed to put neighbours at least `distance` apart."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    moved = list(positions)
    for before, after in pairwise(order):
        overlap = distance - (moved[after] - moved[before])
        if overlap > 0:
            moved[before] -= overlap / 2
            moved[after] += overlap / 2
    return moved


def tick_decimals(step: float) -> int:
    """Decimals that distinguish ticks of this step: 0 for 5, 1 for 0.5 and 2.5."""
    return next(n for n in range(12) if abs(round(step, n) - step) < 1e-9 * max(1.0, abs(step)) or n == 11)


def format_tick(value: float, step: float | None = None) -> str:
    """A number in three digits, or with as many decimals as ticks of this step need."""
    return f"{value:.3g}" if step is None else f"{value:,.{tick_decimals(step)}f}"
