"""Plots as SVG, drawn by small functions of plain values: one visual language, no plotting library.

Each returns a whole SVG file as text, with a title and a description for those who do not see it, and colours
for light and dark; see `muslin.reporting.svg.svg`. Sizes are in px at natural size.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from muslin.evaluation import AnyEvaluation, Evaluation, Interval
from muslin.evaluation.metrics import CalibrationBin
from muslin.evaluation.reliability import Reliability
from muslin.reporting.svg.svg import (
    format_tick,
    integer_ticks,
    nice_ticks,
    shorten_text,
    spread_apart,
    svg_document,
    svg_line,
    svg_rect,
    svg_text,
    text_width,
    tick_decimals,
    xml_escape,
)
from muslin.text import percent, plural, short_count


def learning_curves(
    history: Sequence[Mapping[str, Any]], measures: Sequence[str] = ("loss", "accuracy")
) -> str:
    """Loss and accuracy of train and validation against the epoch (or the step, where there are no epochs).

    `history` has a mapping per epoch: `epoch` or `step`, and `train_loss`, `validation_loss`,
    `train_accuracy`, `validation_accuracy`, any of which may be missing, None or not finite.
    """
    along = "epoch" if all("epoch" in row for row in history) else "step"
    panel_width, height, gap = 440, 300, 40
    width = len(measures) * panel_width + (len(measures) - 1) * gap
    body, told = [], []
    for number, measure in enumerate(measures):
        lines = {
            part: [
                (float(row[along]), float(row[f"{part}_{measure}"]))
                for row in history
                if row.get(f"{part}_{measure}") is not None and math.isfinite(row[f"{part}_{measure}"])
            ]
            for part in ("train", "validation")
        }
        lines = {part: points for part, points in lines.items() if points}
        body.append(f'<g transform="translate({number * (panel_width + gap)},0)">')
        body.append(_curve_panel(measure, lines, along, panel_width, height))
        body.append("</g>")
        log = percent if measure == "accuracy" else format_tick
        told += [
            f"{measure} in {part}: {log(points[0][1])} in {along} {points[0][0]:g}, "
            f"{log(points[-1][1])} in {along} {points[-1][0]:g}"
            for part, points in lines.items()
        ]
    title = " and ".join(measures).capitalize() + f" by {along}"
    return svg_document(width, height, title, "; ".join(told) or "nothing was recorded", "".join(body))


def _curve_panel(
    measure: str, lines: Mapping[str, Sequence[tuple[float, float]]], along: str, width: int, height: int
) -> str:
    left, right, top, bottom = 52, width - 128, 44, height - 46
    body = [svg_text(0, 18, measure.capitalize(), "ink strong")]
    if not lines:
        return "".join([*body, svg_text(left, (top + bottom) / 2, "not recorded", "soft")])
    points = [point for line in lines.values() for point in line]
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    if measure == "loss":
        low = 0.0  # so that a flat loss looks flat
    if high == low:  # one value, or the same all along: leave some room about it
        low, high = (low - 0.05, high) if measure == "accuracy" else (low, low + 1)
    steps = [tick for tick in nice_ticks(low, high, 5) if measure != "accuracy" or tick <= 1 + 1e-9]
    low, high = steps[0], max(steps[-1], high)

    def x_of(value: float) -> float:
        return (
            (left + right) / 2 if first == last else left + (value - first) / (last - first) * (right - left)
        )

    def y_of(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    step = steps[1] - steps[0]
    for tick in steps:
        body.append(svg_line(left, y_of(tick), right, y_of(tick), "rule"))
        label = (
            percent(tick, digits=max(0, tick_decimals(step * 100)))
            if measure == "accuracy"
            else format_tick(tick, step)
        )
        body.append(svg_text(left - 8, y_of(tick) + 4, label, "soft small number", "end"))
    for tick in integer_ticks(first, last):
        body.append(svg_line(x_of(tick), bottom, x_of(tick), bottom + 5, "mid-stroke"))
        body.append(svg_text(x_of(tick), bottom + 20, f"{tick:,}", "soft small number", "middle"))
    body.append(svg_text(right, bottom + 40, along, "soft small", "end"))
    ends = spread_apart([y_of(line[-1][1]) for line in lines.values()], 34)
    for (part, line), label_y in zip(lines.items(), ends, strict=True):
        kind, fill = ("accent-stroke", "accent") if part == "validation" else ("mid-stroke", "mid")
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        dash = "" if part == "validation" else ' stroke-dasharray="6 4"'
        body.append(
            f'<polyline class="{kind}" stroke-width="2.5" stroke-linejoin="round"{dash} points="{path}"/>'
        )
        dots = line if len(line) <= 15 else line[-1:]
        for x, y in dots:
            round_dot = f'<circle class="{fill}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="4"/>'
            square_dot = svg_rect(x_of(x) - 3.5, y_of(y) - 3.5, 7, 7, fill)
            body.append(round_dot if part == "validation" else square_dot)
        value = percent(line[-1][1], digits=1) if measure == "accuracy" else f"{line[-1][1]:.3f}"
        end_x = x_of(line[-1][0])
        body.append(svg_text(end_x + 12, label_y - 2, part, f"{'soft' if dash else 'accent'} small strong"))
        body.append(svg_text(end_x + 12, label_y + 13, value, "ink small number"))
    return "".join(body)


def confusion_matrix(evaluation: Evaluation, show: Sequence[int] | None = None) -> str:
    """The confusion matrix as a heat map with counts: rows are true, columns predicted.

    A cell's strength is its share of its row. Right answers are in ink, mistakes in the accent and stronger
    for their share (by its square root), because the eye should go to them. `show` names some classes only.
    """
    places = list(range(len(evaluation.classes)) if show is None else show)
    names = evaluation.classes
    shown = [names[i] for i in places]
    cell = 76 if len(places) <= 4 else 56 if len(places) <= 12 else 40 if len(places) <= 20 else 32
    labels = [shorten_text(name, 12, 170) for name in shown]
    room = max(text_width(label, 12) for label in labels) + 16
    slanted = any(text_width(label, 12) > cell - 4 for label in labels)
    top = 30 + (room * 0.72 if slanted else 24)
    left = room + 34
    side = cell * len(places)
    right = room * 0.72 if slanted else 12
    body = [
        svg_text(left + side / 2, 16, "predicted", "soft", "middle"),
        svg_text(14, top + side / 2, "true", "soft", "middle", turn=-90),
    ]
    for place, (label, name) in enumerate(zip(labels, shown, strict=True)):
        middle = left + (place + 0.5) * cell
        if slanted:
            body.append(svg_text(middle - 2, top - 10, label, "ink small", "start", turn=-45, tip=name))
        else:
            body.append(svg_text(middle, top - 12, label, "ink small", "middle", tip=name))
        body.append(svg_text(left - 12, top + (place + 0.5) * cell + 4, label, "ink small", "end", tip=name))
    for row, true in enumerate(places):
        for column, predicted in enumerate(places):
            body.append(_cell(evaluation, true, predicted, left + column * cell, top + row * cell, cell))
    foot = top + side + 26
    body.append(svg_text(left, foot, "gray: right", "soft small"))
    body.append(
        svg_text(left + 90, foot, "colour: mistakes, stronger for a larger share of the row", "accent small")
    )
    told = [
        f"{names[pair.true]} called {names[pair.predicted]}: {plural(pair.count, 'time')}"
        for pair in evaluation.confused_pairs[:5]
    ]
    described = f"{evaluation.right:,} of {evaluation.n:,} lie on the diagonal. " + (
        f"Most frequent mistakes: {'; '.join(told)}." if told else "There are no mistakes."
    )
    width = max(left + side + right, left + 440)
    return svg_document(width, foot + 14, "Confusion matrix", described, "".join(body))


def _cell(evaluation: Evaluation, true: int, predicted: int, x: float, y: float, side: float) -> str:
    count, support = evaluation.confusion[true][predicted], sum(evaluation.confusion[true])
    share = count / support if support else 0.0
    right = true == predicted
    strength = 0.06 + 0.3 * share if right else min(1.0, 1.5 * math.sqrt(share))
    words = (
        f"{count:,} of {support:,} of class {evaluation.classes[true]} ({percent(share)}) "
        f"were called {evaluation.classes[predicted]}"
    )
    if not count and not right:
        return svg_rect(x + 1, y + 1, side - 2, side - 2, "cloth", tip=words)
    face = svg_rect(x + 1, y + 1, side - 2, side - 2, "ink" if right else "accent", opacity=strength)
    size_px, size = (14, "") if side >= 56 else (12, "small") if side >= 40 else (10.5, "tiny")
    shown = f"{count:,}" if text_width(f"{count:,}", size_px) < side else short_count(count)
    tone = "ink strong" if right else "on" if strength > 0.55 else "ink"
    number = svg_text(x + side / 2, y + side / 2 + 5, shown, f"{tone} number {size}", "middle")
    return f"<g><title>{xml_escape(words)}</title>{face}{number}</g>"


def class_metric_bars(evaluation: AnyEvaluation, show: Sequence[int] | None = None) -> str:
    """Per class recall (found) and precision (right when called so), with 95 % intervals.

    The weakest classes (by F1) come first; a class without test images comes last, without bars. `show`
    names some classes only.
    """
    places = range(len(evaluation.classes)) if show is None else show
    figures_of = evaluation.per_class if isinstance(evaluation, Evaluation) else evaluation.per_label
    weakest_first = sorted(
        (figures_of[i] for i in places),
        key=lambda figures: 2.0 if not figures.support else figures.f1 or 0.0,
    )
    labels = [shorten_text(figures.name, 14, 200) for figures in weakest_first]
    left = max(80, max(text_width(label, 14) for label in labels) + 20)
    span, row_height, top = 320, 50, 56
    width, bottom = left + span + 84, top + row_height * len(labels)
    body = [
        svg_rect(left, 8, 14, 11, "accent"),
        svg_text(left + 22, 18, "found (recall)", "soft small"),
        svg_rect(left + 150, 8, 14, 11, "mid"),
        svg_text(left + 172, 18, "right when called so (precision)", "soft small"),
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        body.append(svg_line(left + tick * span, top - 8, left + tick * span, bottom, "rule"))
        body.append(
            svg_text(left + tick * span, top - 14, percent(tick, digits=0), "soft small number", "middle")
        )
    for place, (figures, label) in enumerate(zip(weakest_first, labels, strict=True)):
        y = top + place * row_height
        body.append(svg_text(left - 12, y + 24, label, "ink", "end", tip=figures.name))
        if not figures.support:
            body.append(svg_text(left + 8, y + 24, "no images to judge by", "soft small"))
            continue
        for offset, fill, share, interval in (
            (4, "accent", figures.recall, figures.recall_interval),
            (23, "mid", figures.precision, figures.precision_interval),
        ):
            if share is None:
                body.append(svg_text(left + 8, y + offset + 12, "never called", "soft small"))
            else:
                body.append(_bar(left, y + offset, share, interval, span, fill))
    told = [
        f"{figures.name}: recall {_or_none(figures.recall)}, precision {_or_none(figures.precision)}"
        for figures in weakest_first
    ]
    return svg_document(width, bottom + 10, "How well each class is told", "; ".join(told), "".join(body))


def _bar(left: float, y: float, share: float, interval: Interval, span: float, fill: str) -> str:
    low, high = (left + end * span for end in interval)
    middle = y + 7.5
    return "".join(
        [
            svg_rect(left, y, max(1, share * span), 15, fill, opacity=0.8),
            svg_line(low, middle, high, middle, "stroke", 1.5),
            svg_line(low, middle - 4, low, middle + 4, "stroke", 1.5),
            svg_line(high, middle - 4, high, middle + 4, "stroke", 1.5),
            svg_text(left + span + 16, y + 12, percent(share), "ink small number"),
        ]
    )


def reliability_diagram(evaluation: Evaluation, before: Sequence[CalibrationBin] = ()) -> str:
    """Stated probability against how often such answers are right; below, how many images say so.

    `before` are the bins of the probabilities as the network stated them, drawn hollow.
    """
    left, top, side, below = 56, 30, 300, 56
    bottom = top + side
    body = [svg_text(0, 16, "share right", "soft small")]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = left + tick * side, bottom - tick * side
        body += [svg_line(left, y, left + side, y, "rule"), svg_line(x, top, x, bottom, "rule")]
        body.append(svg_text(left - 8, y + 4, percent(tick, digits=0), "soft small number", "end"))
        body.append(svg_text(x, bottom + below + 36, percent(tick, digits=0), "soft small number", "middle"))
    body.append(f'<path class="mid-stroke" stroke-dasharray="6 4" d="M{left} {bottom}L{left + side} {top}"/>')
    body.append(svg_text(left + side + 10, top + 4, "as stated", "soft small"))
    for b in before:
        if b.confidence is not None and b.accuracy is not None:
            x, y = left + b.confidence * side, bottom - b.accuracy * side
            words = f"before calibration: stated {percent(b.confidence)}, right {percent(b.accuracy)}"
            body.append(
                f'<circle class="mid-stroke" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{xml_escape(words)}</title></circle>"
            )
    if before:
        body.append(f'<circle class="mid-stroke" cx="{left + 14}" cy="{top + 14}" r="4"/>')
        body.append(svg_text(left + 24, top + 18, "before calibration", "soft small"))
        body.append(f'<circle class="accent" cx="{left + 14}" cy="{top + 34}" r="5"/>')
        body.append(svg_text(left + 24, top + 38, "as muslin says it", "soft small"))
    filled = [(b, b.confidence, b.accuracy) for b in evaluation.calibration if b.n]
    most = max(b.n for b, _, _ in filled)
    told = []
    for b, confidence, accuracy in filled:
        assert confidence is not None  # only an empty bin has none
        assert accuracy is not None
        x, y = left + confidence * side, bottom - accuracy * side
        low, high = (bottom - end * side for end in b.accuracy_interval)
        told.append(f"stated {percent(confidence)}, right {percent(accuracy)}")
        words = f"{plural(b.n, 'image')}: {told[-1]}"
        height = b.n / most * (below - 8)
        start, end = left + b.low * side + 1, left + b.high * side - 1
        body.append(f"<g><title>{xml_escape(words)}</title>{svg_line(x, low, x, high, 'stroke', 1.5)}")
        body.append(f'<circle class="accent" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        body.append(svg_rect(start, bottom + 4 + below - height, end - start, max(1, height), "mid") + "</g>")
    body.append(svg_text(left + side + 12, bottom + 12 + below - 12, "images", "soft small"))
    body.append(svg_text(left + side, bottom + below + 56, "probability stated", "soft small", "end"))
    error = percent(evaluation.expected_calibration_error)
    described = f"Expected calibration error {error}. {'; '.join(told)}."
    return svg_document(
        left + side + 76, bottom + below + 66, "Stated probability and share right", described, "".join(body)
    )


def risk_coverage_curve(trust: Reliability) -> str:
    """How often answers are right, the surest first, against how many of them are taken."""
    left, top, width, height = 64, 30, 380, 220
    bottom = top + height
    lowest = min((1 - risk for _, risk in trust.risk), default=0.0)
    least = next((end for end in (0.9, 0.8, 0.5) if lowest >= end), 0.0)
    step = (1 - least) / 4

    def at(coverage: float, right: float) -> tuple[float, float]:
        return left + coverage * width, bottom - (right - least) / (1 - least) * height

    body = [svg_text(0, 16, "share right", "soft small")]
    for i in range(5):
        right = least + i * step
        y = at(0, right)[1]
        body.append(svg_line(left, y, left + width, y, "rule"))
        body.append(svg_text(left - 8, y + 4, percent(right), "soft small number", "end"))
        body.append(
            svg_text(
                left + i * width / 4, bottom + 20, percent(i / 4, digits=0), "soft small number", "middle"
            )
        )
    points = [at(coverage, 1 - risk) for coverage, risk in trust.risk]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    body.append(f'<path class="stroke" stroke-width="2" d="M{path}"/>' if points else "")
    told = []
    for row in trust.accepted:
        accept = row.decisions[0]
        if accept.accuracy is None:
            continue
        x, y = at(row.share, max(accept.accuracy, least))
        low, high = (at(0, max(end, least))[1] for end in accept.interval)
        told.append(
            f"wanted {100 * row.precision:g} %: {percent(row.share)} accepted, "
            f"{percent(accept.accuracy)} of them right"
        )
        body.append(
            f"<g><title>{xml_escape(told[-1])}</title>{svg_line(x, low, x, high, 'accent-stroke', 1.5)}"
        )
        body.append(f'<circle class="accent" cx="{x:.1f}" cy="{y:.1f}" r="5"/></g>')
    body.append(
        svg_text(left + width, bottom + 40, "share of images accepted, the surest first", "soft small", "end")
    )
    return svg_document(
        left + width + 30,
        bottom + 50,
        "Share accepted and share right",
        "; ".join(told) or "Nothing accepted.",
        "".join(body),
    )


def class_count_bars(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Images per class, a bar with a stretch per part; `counts`: part → class → images, up to 3 parts."""
    shades = [("ink", 0.75), ("mid", 1.0), ("mid", 0.45)]
    parts = [part for part in counts if sum(counts[part].values())]
    names = list(dict.fromkeys(name for part in counts.values() for name in part))
    totals = [sum(counts[part].get(name, 0) for part in parts) for name in names]
    labels = [shorten_text(name, 14, 200) for name in names]
    left = max((text_width(label, 14) for label in labels), default=60) + 20
    span, bar, row_height, top = 320, 16, 27, 38
    body, x = [], left
    for part, (fill, opacity) in zip(parts, shades, strict=False):
        total = f"{part} {sum(counts[part].values()):,}"
        body.append(svg_rect(x, 8, 14, 11, fill, opacity=opacity))
        body.append(svg_text(x + 22, 18, total, "soft small"))
        x += 46 + text_width(total, 12)
    for row, (name, label, total_here) in enumerate(zip(names, labels, totals, strict=True)):
        y = top + row * row_height
        body.append(svg_text(left - 12, y + 13, label, "ink", "end", tip=name))
        start = left
        for part, (fill, opacity) in zip(parts, shades, strict=False):
            length = counts[part].get(name, 0) / max(1, *totals) * span
            tip = f"{name}: {counts[part].get(name, 0):,} {part}"
            body.append(svg_rect(start, y, length, bar, fill, opacity=opacity, tip=tip))
            start += length
        body.append(svg_text(start + 8, y + 13, f"{total_here:,}", "soft small number"))
    told = "; ".join(
        f"{name}: " + ", ".join(f"{counts[p].get(name, 0):,} {p}" for p in parts) for name in names
    )
    height = top + len(names) * row_height
    return svg_document(
        max(left + span + 70, x), height, "Images per class", told or "no classes", "".join(body)
    )


def _or_none(share: float | None) -> str:
    return "nothing to go by" if share is None else percent(share)
