"""Plots as SVG, drawn by small functions of plain values: one visual style, no plotting library.

Each function returns an SVG document as text, with a title and a description for screen readers, and colours for light
and dark; see `muslin.reporting.svg.svg`. Sizes are in px at natural size.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from muslin.evaluation import AnyEvaluation, Evaluation, Interval
from muslin.evaluation.metrics import CalibrationBin
from muslin.evaluation.reliability import Reliability
from muslin.reporting.svg.svg import (
    PercentPlot,
    format_tick,
    integer_ticks,
    nice_ticks,
    shorten_text,
    spread_apart,
    svg_circle,
    svg_document,
    svg_group,
    svg_line,
    svg_polyline,
    svg_rect,
    svg_text,
    text_width,
    tick_decimals,
    xml_escape,
)
from muslin.text import interval_text, percent, plural, short_count

Points = Sequence[tuple[float, float]]


def learning_curves(history: Sequence[Mapping[str, Any]], metrics: Sequence[str] = ("loss", "accuracy")) -> str:
    """Training and validation loss and accuracy against the epoch (or the step, where there are no epochs).

    `history` has a mapping per epoch: `epoch` or `step`, and `train_loss`, `validation_loss`,
    `train_accuracy`, `validation_accuracy`, any of which may be missing, None or not finite.
    """
    x_name = "epoch" if all("epoch" in row for row in history) else "step"
    panel_width, height, gap = 440, 300, 40
    width = len(metrics) * panel_width + (len(metrics) - 1) * gap
    body, description = [], []
    for number, metric in enumerate(metrics):
        lines = {
            part: [
                (float(row[x_name]), float(row[f"{part}_{metric}"]))
                for row in history
                if row.get(f"{part}_{metric}") is not None and math.isfinite(row[f"{part}_{metric}"])
            ]
            for part in ("train", "validation")
        }
        lines = {part: points for part, points in lines.items() if points}
        panel = _curve_panel(metric, lines, x_name, panel_width, height)
        body.append(f'<g transform="translate({number * (panel_width + gap)},0)">{panel}</g>')
        number_text = percent if metric == "accuracy" else format_tick
        description += [
            f"{metric} in {part}: {number_text(points[0][1])} in {x_name} {points[0][0]:g}, "
            f"{number_text(points[-1][1])} in {x_name} {points[-1][0]:g}"
            for part, points in lines.items()
        ]
    title = " and ".join(metrics).capitalize() + f" by {x_name}"
    return svg_document(width, height, title, "; ".join(description) or "nothing was recorded", body)


def _curve_panel(metric: str, lines: Mapping[str, Points], x_name: str, width: int, height: int) -> str:
    left, right, top, bottom = 52, width - 128, 44, height - 46
    body = [svg_text(0, 18, metric.capitalize(), "ink strong")]
    if not lines:
        return "".join([*body, svg_text(left, (top + bottom) / 2, "not recorded", "soft")])
    points = [point for line in lines.values() for point in line]
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    ticks, low, high = _value_range(metric, [y for _, y in points])
    step = ticks[1] - ticks[0]

    def x_of(value: float) -> float:
        return left + ((value - first) / (last - first) if last > first else 0.5) * (right - left)

    def y_of(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    for tick in ticks:
        label = format_tick(tick, step)
        if metric == "accuracy":
            label = percent(tick, digits=max(0, tick_decimals(step * 100)))
        body.append(svg_line(left, y_of(tick), right, y_of(tick), "rule"))
        body.append(svg_text(left - 8, y_of(tick) + 4, label, "soft small number", "end"))
    for number in integer_ticks(first, last):
        body.append(svg_line(x_of(number), bottom, x_of(number), bottom + 5, "mid-stroke"))
        body.append(svg_text(x_of(number), bottom + 20, f"{number:,}", "soft small number", "middle"))
    body.append(svg_text(right, bottom + 40, x_name, "soft small", "end"))
    label_heights = spread_apart([y_of(line[-1][1]) for line in lines.values()], 34)
    for (part, line), label_y in zip(lines.items(), label_heights, strict=True):
        value = percent(line[-1][1], digits=1) if metric == "accuracy" else f"{line[-1][1]:.3f}"
        label_x = x_of(line[-1][0]) + 12
        tone = "accent" if part == "validation" else "soft"
        body.append(_curve([(x_of(x), y_of(y)) for x, y in line], part == "validation"))
        body.append(svg_text(label_x, label_y - 2, part, f"{tone} small strong"))
        body.append(svg_text(label_x, label_y + 13, value, "ink small number"))
    return "".join(body)


def _value_range(metric: str, values: Sequence[float]) -> tuple[list[float], float, float]:
    """The ticks of the y axis, and the values at its bottom and top."""
    low, high = min(values), max(values)
    if metric == "loss":
        low = 0.0  # a flat loss must look flat
    if high == low:
        low, high = (low - 0.05, high) if metric == "accuracy" else (low, low + 1)
    ticks = [tick for tick in nice_ticks(low, high, 5) if metric != "accuracy" or tick <= 1 + 1e-9]
    return ticks, ticks[0], max(ticks[-1], high)


def _curve(points: Points, validation: bool) -> str:
    """A line with a dot per epoch: solid and round for validation, dashed and square for training."""
    name = "accent" if validation else "mid"
    body = svg_polyline(points, f"{name}-stroke", 2.5, dashed=not validation)
    for x, y in points if len(points) <= 15 else points[-1:]:
        body += svg_circle(x, y, 4, name) if validation else svg_rect(x - 3.5, y - 3.5, 7, 7, name)
    return body


def confusion_matrix_plot(
    evaluation: Evaluation, classes: Sequence[int] | None = None, links: Mapping[tuple[int, int], str] | None = None
) -> str:
    """The confusion matrix as a heat map with counts: rows are true classes, columns predicted ones.

    A cell's strength is its share of its row. Correct predictions are in ink; errors are in the accent colour and
    stronger for their share (by its square root), to draw the eye. `classes` selects some by their index. `links` has
    the addresses, without #, that cells link to, by the indices of the true and the predicted class.
    """
    indices = list(range(len(evaluation.classes)) if classes is None else classes)
    names = [evaluation.classes[i] for i in indices]
    cell = 76 if len(indices) <= 4 else 56 if len(indices) <= 12 else 40 if len(indices) <= 20 else 32
    labels = [shorten_text(name, 12, 170) for name in names]
    label_width = max(text_width(label, 12) for label in labels) + 16
    slanted = any(text_width(label, 12) > cell - 4 for label in labels)
    top = 30 + (label_width * 0.72 if slanted else 24)
    left = label_width + 34
    side = cell * len(indices)
    right_margin = label_width * 0.72 if slanted else 12
    body = [
        svg_text(left + side / 2, 16, "predicted", "soft", "middle"),
        svg_text(14, top + side / 2, "true", "soft", "middle", rotate=-90),
    ]
    x, y, anchor, angle = (left - 2, top - 10, "start", -45) if slanted else (left, top - 12, "middle", 0)
    for place, (label, name) in enumerate(zip(labels, names, strict=True)):
        centre = (place + 0.5) * cell
        body.append(svg_text(x + centre, y, label, "ink small", anchor, rotate=angle, tooltip=name))
        body.append(svg_text(left - 12, top + centre + 4, label, "ink small", "end", tooltip=name))
    body += [
        _linked(
            _matrix_cell(evaluation, true, predicted, left + column * cell, top + row * cell, cell),
            (links or {}).get((true, predicted)),
        )
        for row, true in enumerate(indices)
        for column, predicted in enumerate(indices)
    ]
    foot = top + side + 26
    legend = "colour: errors, stronger for a larger share of the row"
    body += [svg_text(left, foot, "gray: correct", "soft small"), svg_text(left + 100, foot, legend, "accent small")]
    pairs = [
        f"{evaluation.classes[pair.true]} predicted as {evaluation.classes[pair.predicted]}: "
        f"{plural(pair.count, 'time')}"
        for pair in evaluation.confused_pairs[:5]
    ]
    description = f"{evaluation.correct:,} of {evaluation.n:,} predictions are on the diagonal. " + (
        f"Most frequent errors: {'; '.join(pairs)}." if pairs else "There are no errors."
    )
    width = max(left + side + right_margin, left + 440)
    drawing = svg_document(width, foot + 14, "Confusion matrix", description, body)
    return drawing.replace('role="img"', 'role="group"', 1) if links else drawing  # an image has no links


def _linked(cell: str, address: str | None) -> str:
    return f'<a href="#{xml_escape(address)}">{cell}</a>' if address else cell


def _matrix_cell(evaluation: Evaluation, true: int, predicted: int, x: float, y: float, side: float) -> str:
    count, support = evaluation.confusion[true][predicted], sum(evaluation.confusion[true])
    share = count / support if support else 0.0
    correct = true == predicted
    opacity = 0.06 + 0.3 * share if correct else min(1.0, 1.5 * math.sqrt(share))
    tooltip = (
        f"{count:,} of {support:,} of class {evaluation.classes[true]} ({percent(share)}) "
        f"were predicted as {evaluation.classes[predicted]}"
    )
    if not count and not correct:
        return svg_rect(x + 1, y + 1, side - 2, side - 2, "cloth", tooltip=tooltip)
    face = svg_rect(x + 1, y + 1, side - 2, side - 2, "ink" if correct else "accent", opacity=opacity)
    size_px, size = (14, "") if side >= 56 else (12, "small") if side >= 40 else (10.5, "tiny")
    text = f"{count:,}" if text_width(f"{count:,}", size_px) < side else short_count(count)
    tone = "ink strong" if correct else "on" if opacity > 0.55 else "ink"
    number = svg_text(x + side / 2, y + side / 2 + 5, text, f"{tone} number {size}", "middle")
    return svg_group(tooltip, face, number)


def class_metric_bars(evaluation: AnyEvaluation, classes: Sequence[int] | None = None) -> str:
    """Recall and precision of each class, with 95 % intervals.

    The weakest classes (by F1) come first; a class without test images comes last, without bars. `classes` selects
    some by their index.
    """
    indices = range(len(evaluation.classes)) if classes is None else classes
    rows = evaluation.per_class if isinstance(evaluation, Evaluation) else evaluation.per_label
    weakest_first = sorted((rows[i] for i in indices), key=lambda row: 2.0 if not row.support else row.f1 or 0.0)
    labels = [shorten_text(row.name, 14, 200) for row in weakest_first]
    left = max(80, max(text_width(label, 14) for label in labels) + 20)
    span, row_height, top = 320, 50, 56
    width, bottom = left + span + 84, top + row_height * len(labels)
    body = []
    for x, fill, name in ((left, "accent", "recall"), (left + 90, "mid", "precision")):
        body += [svg_rect(x, 8, 14, 11, fill), svg_text(x + 22, 18, name, "soft small")]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = left + tick * span
        body.append(svg_line(x, top - 8, x, bottom, "rule"))
        body.append(svg_text(x, top - 14, percent(tick, digits=0), "soft small number", "middle"))
    for place, (row, label) in enumerate(zip(weakest_first, labels, strict=True)):
        y = top + place * row_height
        body.append(svg_text(left - 12, y + 24, label, "ink", "end", tooltip=row.name))
        if not row.support:
            body.append(svg_text(left + 8, y + 24, "no test images", "soft small"))
            continue
        for offset, fill, share, interval in (
            (4, "accent", row.recall, row.recall_interval),
            (23, "mid", row.precision, row.precision_interval),
        ):
            if share is None:
                body.append(svg_text(left + 8, y + offset + 12, "never predicted", "soft small"))
            else:
                body.append(_interval_bar(left, y + offset, share, interval, span, fill))
    description = [
        f"{row.name}: recall {_or_undefined(row.recall)}, precision {_or_undefined(row.precision)}"
        for row in weakest_first
    ]
    title = "Recall and precision of each class"
    return svg_document(width, bottom + 10, title, "; ".join(description), body)


def _interval_bar(left: float, y: float, share: float, interval: Interval, span: float, fill: str) -> str:
    low, high = (left + end * span for end in interval)
    middle = y + 7.5
    bar = svg_rect(left, y, max(1, share * span), 15, fill, opacity=0.8)
    bar += svg_line(low, middle, high, middle, "stroke", 1.5)
    bar += "".join(svg_line(end, middle - 4, end, middle + 4, "stroke", 1.5) for end in (low, high))
    return bar + svg_text(left + span + 16, y + 12, percent(share), "ink small number")


def _or_undefined(share: float | None) -> str:
    return "undefined" if share is None else percent(share)


def reliability_diagram(evaluation: Evaluation, before: Sequence[CalibrationBin] = ()) -> str:
    """Accuracy against mean predicted probability, per bin; below, a histogram of the images in each bin.

    `before` are the bins of the raw probabilities, drawn hollow.
    """
    plot, histogram = PercentPlot(300, 300), 56
    right, below = plot.left + plot.width, plot.bottom + histogram
    body = [
        plot.axes("mean predicted probability", "accuracy", ticks_below=histogram + 16),
        plot.diagonal(),
        svg_text(right + 10, plot.top + 4, "calibrated", "soft small"),
        svg_text(right + 12, below, "images", "soft small"),
    ]
    for b, text in _filled_bins(before):
        circle = svg_circle(*plot.at(b.confidence or 0, b.accuracy or 0), 4, "mid-stroke")
        body.append(svg_group(f"before calibration: {text}", circle))
    legend = [(44, "before", 4, "mid-stroke"), (64, "after", 5, "accent")] if before else []
    for y, name, radius, style in legend:
        body.append(svg_circle(plot.left + 14, y, radius, style))
        body.append(svg_text(plot.left + 24, y + 4, f"{name} calibration", "soft small"))
    bins = _filled_bins(evaluation.calibration_bins)
    for b, text in bins:
        height = b.n / max(each.n for each, _ in bins) * (histogram - 8)
        (start, _), (end, _) = plot.at(b.low, 0), plot.at(b.high, 0)
        group = svg_group(
            f"{plural(b.n, 'image')}: {text}",
            plot.interval(b.confidence or 0, b.accuracy_interval, "stroke"),
            svg_circle(*plot.at(b.confidence or 0, b.accuracy or 0), 5, "accent"),
            svg_rect(start + 1, below + 4 - height, end - start - 2, max(1, height), "mid"),
        )
        body.append(group)
    error = percent(evaluation.expected_calibration_error)
    description = f"Expected calibration error {error}. {'; '.join(text for _, text in bins)}."
    return svg_document(right + 80, below + 66, "Reliability diagram", description, body)


def _filled_bins(bins: Sequence[CalibrationBin]) -> list[tuple[CalibrationBin, str]]:
    """Each bin that is not empty with its mean probability and its accuracy as text."""
    return [
        (b, f"probability {percent(b.confidence)}, accuracy {percent(b.accuracy)}")
        for b in bins
        if b.confidence is not None and b.accuracy is not None
    ]


def risk_coverage_curve(reliability: Reliability) -> str:
    """Accuracy of the accepted predictions against coverage, the most probable predictions first."""
    lowest = min((1 - risk for _, risk in reliability.risk_coverage_curve), default=0.0)
    plot = PercentPlot(380, 220, left=64, y_low=next((end for end in (0.9, 0.8, 0.5) if lowest >= end), 0))
    points = [plot.at(coverage, 1 - risk) for coverage, risk in reliability.risk_coverage_curve]
    body = [
        plot.axes("coverage: share of images accepted", "accuracy of accepted predictions"),
        svg_polyline(points, "stroke"),
    ]
    description = []
    for row in reliability.selective:
        accept = row.decisions[0]
        if accept.accuracy is None:
            continue
        description.append(
            f"precision target {100 * row.precision_target:g} %: {accept.n:,} of {reliability.n:,} accepted (coverage "
            f"{percent(row.coverage)}), accuracy {percent(accept.accuracy)} ({interval_text(accept.accuracy_interval)})"
        )
        interval = plot.interval(row.coverage, accept.accuracy_interval, "accent-stroke")
        dot = svg_circle(*plot.at(row.coverage, accept.accuracy), 5, "accent")
        body.append(svg_group(description[-1], interval, dot))
    text = "; ".join(description) or "Nothing accepted."
    return svg_document(plot.left + plot.width + 30, plot.bottom + 52, "Risk–coverage curve", text, body)


def class_count_bars(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Images per class, a bar with a segment per part; `counts`: part → class → images, up to 3 parts."""
    shades = [("ink", 0.75), ("mid", 1.0), ("mid", 0.45)]
    parts = [part for part in counts if sum(counts[part].values())]
    names = list(dict.fromkeys(name for part in counts.values() for name in part))
    totals = [sum(counts[part].get(name, 0) for part in parts) for name in names]
    labels = [shorten_text(name, 14, 200) for name in names]
    left = max((text_width(label, 14) for label in labels), default=60) + 20
    span, bar, row_height, top = 320, 16, 27, 38
    body, x = [], left
    for part, (fill, opacity) in zip(parts, shades, strict=False):
        part_total = f"{part} {sum(counts[part].values()):,}"
        body.append(svg_rect(x, 8, 14, 11, fill, opacity=opacity))
        body.append(svg_text(x + 22, 18, part_total, "soft small"))
        x += 46 + text_width(part_total, 12)
    for row, (name, label, total) in enumerate(zip(names, labels, totals, strict=True)):
        y = top + row * row_height
        body.append(svg_text(left - 12, y + 13, label, "ink", "end", tooltip=name))
        start = left
        for part, (fill, opacity) in zip(parts, shades, strict=False):
            length = counts[part].get(name, 0) / max(1, *totals) * span
            tooltip = f"{name}: {counts[part].get(name, 0):,} {part}"
            body.append(svg_rect(start, y, length, bar, fill, opacity=opacity, tooltip=tooltip))
            start += length
        body.append(svg_text(start + 8, y + 13, f"{total:,}", "soft small number"))
    description = "; ".join(f"{name}: " + ", ".join(f"{counts[p].get(name, 0):,} {p}" for p in parts) for name in names)
    height = top + len(names) * row_height
    width = max(left + span + 70, x)
    return svg_document(width, height, "Images per class", description or "no classes", body)
