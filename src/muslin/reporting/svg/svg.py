"""The alphabet of the drawings: a whole SVG file, words, lines, ticks; and the style sheet they share."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from muslin.reporting.colours import DARK, LIGHT

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


def _style(colours: Mapping[str, str]) -> str:
    return "".join(
        f".drawing .{name}{{{rule}}}"
        for name, rule in {
            "paper": f"fill:{colours['paper']}",
            "cloth": f"fill:{colours['cloth']}",
            "ink": f"fill:{colours['ink']}",
            "soft": f"fill:{colours['soft']}",
            "mid": f"fill:{colours['mid']}",
            "accent": f"fill:{colours['accent']}",
            "on": f"fill:{colours['on_accent']}",
            "rule": f"stroke:{colours['rule']};fill:none",
            "stroke": f"stroke:{colours['ink']};fill:none",
            "mid-stroke": f"stroke:{colours['mid']};fill:none",
            "accent-stroke": f"stroke:{colours['accent']};fill:none",
        }.items()
    )


STYLE = (
    f".drawing{{font-family:{FONT};font-size:14px}}"
    ".drawing .small{font-size:12px}.drawing .tiny{font-size:10.5px}.drawing .strong{font-weight:600}"
    f".drawing .number{{font-variant-numeric:tabular-nums}}{_style(LIGHT)}"
    f"@media screen and (prefers-color-scheme:dark){{{_style(DARK)}}}"
)
"""The style sheet of every drawing; literal colours, as not every viewer of SVG files knows CSS variables."""


def inline_svg(drawing: str) -> str:
    """The drawing for the inside of an HTML page, without its own style sheet, name space and background."""
    inside = re.sub(r"<style>.*?</style>", "", drawing, count=1, flags=re.DOTALL)
    inside = re.sub(r'<rect class="paper" width="100%" height="100%"/>', "", inside, count=1)
    return inside.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)


def svg_document(width: float, height: float, title: str, description: str, body: str) -> str:
    """A whole SVG file of that size in px; title and description are for those who do not see it."""
    width, height = math.ceil(width), math.ceil(height)
    key = re.sub(r"\W+", "-", title.lower()).strip("-") or "drawing"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" aria-labelledby="{key}-title {key}-description">'
        f'<title id="{key}-title">{xml_escape(title)}</title>'
        f'<desc id="{key}-description">{xml_escape(description)}</desc>'
        f'<style>{STYLE}</style><rect class="paper" width="100%" height="100%"/>{body}</svg>\n'
    )


def xml_escape(words: str) -> str:
    """`words` as they may stand in an SVG file: escaped, without characters that XML has no way to write."""
    return escape(re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words))


def svg_text(
    x: float, y: float, words: str, kind: str, anchor: str = "start", *, turn: float = 0, tip: str = ""
) -> str:
    """Words at (x, y); `tip` is the whole of what may have been cut, shown when pointed at."""
    turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
    placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
    whole = f"<title>{xml_escape(tip)}</title>" if tip and tip != words else ""
    return f'<text class="{kind.strip()}" x="{x:.1f}" y="{y:.1f}"{placed}{turned}>{whole}{xml_escape(words)}</text>'


def svg_line(x1: float, y1: float, x2: float, y2: float, kind: str, width: float = 1, more: str = "") -> str:
    """A straight line; `kind` names its classes, `more` further attributes."""
    thick = "" if width == 1 else f' stroke-width="{width:g}"'
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{thick}{more}/>'


def svg_rect(
    x: float, y: float, width: float, height: float, kind: str, *, opacity: float = 1, tip: str = ""
) -> str:
    """A rectangle with slightly rounded corners; `tip` is shown when pointed at."""
    shade = "" if opacity == 1 else f' fill-opacity="{opacity:.2f}"'
    inside = f"><title>{xml_escape(tip)}</title></rect>" if tip else "/>"
    return (
        f'<rect class="{kind}"{shade} x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{min(3.0, width / 4, height / 4):.1f}"{inside}'
    )


def text_width(words: str, size_px: float) -> float:
    """About how wide `words` are, rather too much than too little: here is no font to measure with."""
    narrow, wide = "iljtfrI.,:;'|!()[] ", "mwMW%@—…"
    ems = sum(
        1.05 if ord(letter) > 0x2E7F else 0.38 if letter in narrow else 0.96 if letter in wide else 0.63
        for letter in words
    )
    return ems * size_px


def shorten_text(words: str, size_px: float, width_px: float) -> str:
    """`words`, or where too wide their two ends around `…`, because names often differ at the end."""
    if text_width(words, size_px) <= width_px:
        return words
    head, tail = words[: (len(words) + 1) // 2], words[(len(words) + 1) // 2 :]
    while head and text_width(f"{head}…{tail}", size_px) > width_px:
        head, tail = (head[:-1], tail) if len(head) > len(tail) else (head, tail[1:])
    return f"{head.rstrip()}…{tail.lstrip()}"


def wrap_text(words: str, size_px: float, width_px: float) -> list[str]:
    """`words` in as many lines of `width_px` as they need; a longer word stands alone."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size_px) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in even steps (1, 2, 2.5 or 5 times a power of ten) that enclose low..high."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= rough * 0.999)
    start, should_stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(start, should_stop + 1)]


def integer_ticks(first: float, last: float) -> list[int]:
    """Whole numbers in first..last, at most about six, with both ends where they do not crowd the others."""
    start, should_stop = math.ceil(first), math.floor(last)
    if should_stop - start <= 5:
        return list(range(start, should_stop + 1))
    step = max(1, round(nice_ticks(first, last, 5)[1] - nice_ticks(first, last, 5)[0]))
    inner = range(-(-start // step) * step, should_stop + 1, step)
    return [
        start,
        *(tick for tick in inner if tick - start >= step / 2 and should_stop - tick >= step / 2),
        should_stop,
    ]


def spread_apart(positions: Sequence[float], least: float) -> list[float]:
    """The positions, moved as little as needed so that neighbours are `least` apart."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    with_thresholds = list(positions)
    for before, after in pairwise(order):
        overlap = least - (with_thresholds[after] - with_thresholds[before])
        if overlap > 0:
            with_thresholds[before] -= overlap / 2
            with_thresholds[after] += overlap / 2
    return with_thresholds


def tick_decimals(step: float) -> int:
    """Decimals that tell ticks of this step apart: 0 for 5, 1 for 0.5 and 2.5."""
    return max(
        0, next(n for n in range(12) if abs(round(step, n) - step) < 1e-9 * max(1.0, abs(step)) or n == 11)
    )


def format_tick(value: float, step: float | None = None) -> str:
    """A number in three digits, or with as many decimals as ticks of this step need."""
    return f"{value:.3g}" if step is None else f"{value:,.{tick_decimals(step)}f}"
