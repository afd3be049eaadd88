"""Plot and table of the results of time_to_accuracy.py: accuracy against processor time."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from muslin.reporting.svg.svg import svg_circle, svg_document, svg_line, svg_polyline, svg_rect, svg_text, text_width

Result = dict[str, Any]
Points = list[tuple[float, float]]
Place = Callable[[tuple[float, float]], tuple[float, float]]

PEERS = {
    "keras": "Keras on TensorFlow",
    "jax": "Keras on JAX",
    "torch": "PyTorch, as its quickstart",
    "forest": "scikit-learn: forest on pixels",
    "pixels": "scikit-learn: SVM on pixels",
    "hog": "scikit-learn: linear SVM on HOG",
}
ARTICLE_EPOCHS = 50
ENOUGH_SEEDS = 5
WIDTH, HEIGHT, EDGE, LEFT, RIGHT, TOP, BOTTOM = 820, 516, 16, 52, 160, 112, 40
LABEL_PX = 34
LOW, HIGH = 0.80, 0.96
NOTES = (
    "muslin: the whole command, with evaluation and report, median over the seeds. Others: training alone.",
    "Dashed: the measured time of an epoch, and the accuracies of kept runs.",
)
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, px."""

TICKS = {10: "10 s", 30: "30 s", 60: "1 min", 180: "3 min", 600: "10 min", 1800: "30 min", 3600: "1 h", 10800: "3 h"}


@dataclass(frozen=True)
class Way:
    """A way of training: (seconds of the processor, test accuracy) after each epoch, or at the end.

    Attributes:
        beyond: points that were computed: accuracies of kept runs at this machine's time of an epoch.
        article_s: seconds of the processor for an article, timed at the time nearest to this way's, or else Keras's.
    """

    method: str
    points: Points
    beyond: Points
    seeds: int
    article_s: float

    @property
    def is_muslin(self) -> bool:
        return self.method not in PEERS

    @property
    def name(self) -> str:
        return PEERS.get(self.method, self.method)

    @property
    def end(self) -> tuple[float, float]:
        return [*self.points, *self.beyond][-1]


def ways(results: Sequence[Result]) -> list[Way]:
    """Recipes by their newest series of seeds, with the time of the whole command; other ways by their newest result.

    Keras goes on with the accuracies of the kept runs of all 50 epochs. Where it was not measured beside the others,
    its epoch takes as long as in the newest article.
    """
    articles = _articles(results)
    found = {result["method"]: _measured(result, articles) for result in results if "method" in result}
    for result in results:
        if "recipe" in result and len(result["runs"]) >= ENOUGH_SEEDS:
            median = result["median"]
            points = [(median["cpu_s"], median["test_accuracy"])]
            article_s = _nearest(articles, result["date"])
            found[result["recipe"]] = Way(result["recipe"], points, [], len(result["runs"]), article_s)
    kept = [result["epochs"] for result in results if len(result.get("epochs", ())) == ARTICLE_EPOCHS]
    newest_s = articles[max(articles)] if articles else 0.0
    keras = found.get("keras") or Way("keras", [], [], 0, newest_s)
    epoch_s = newest_s / ARTICLE_EPOCHS
    if kept and (keras.points[1:] or epoch_s):
        if keras.points[1:]:
            (first_s, _), *_, (last_s, _) = keras.points
            epoch_s = (last_s - first_s) / (len(keras.points) - 1)
        done, start_s = len(keras.points), keras.points[-1][0] if keras.points else 0.0
        accuracies = [statistics.median(run[n]["test_accuracy"] for run in kept) for n in range(ARTICLE_EPOCHS)]
        beyond = [(start_s + (n - done) * epoch_s, accuracies[n - 1]) for n in range(done + 1, ARTICLE_EPOCHS + 1)]
        keras = found["keras"] = replace(keras, beyond=beyond, seeds=len(kept))
    whole_s = keras.end[0] if "keras" in found else 0.0
    return [way if way.article_s else replace(way, article_s=whole_s) for way in found.values()]


def _articles(results: Sequence[Result]) -> dict[datetime, float]:
    """Seconds of the processor for an article, by the time of each result that timed epochs of it."""
    found = {}
    for result in results:
        if "article_s" in result and "accuracy" not in result:
            epochs = result["epoch_cpu_s"][1:]  # TensorFlow builds its graph in the first
        elif "article" in result:
            epochs = [epoch["epoch_cpu_s"] for epoch in result["article"]["epochs"]]
        else:
            continue
        found[datetime.fromisoformat(result["date"])] = ARTICLE_EPOCHS * statistics.median(epochs)
    return found


def _nearest(articles: dict[datetime, float], date: str) -> float:
    """The article timed at the time nearest to a result's, because a machine's speed changes; 0 where none was."""
    moment = datetime.fromisoformat(date)
    return articles[min(articles, key=lambda each: abs(each - moment))] if articles else 0.0


def _measured(result: Result, articles: dict[datetime, float]) -> Way:
    """A result of time_to_accuracy.py: medians over the seeds, epoch by epoch."""
    rows = result["rows"]
    points = [
        (_median(rows, epoch, "train_cpu_s"), _median(rows, epoch, "test_accuracy"))
        for epoch in sorted({row["epoch"] for row in rows})
    ]
    return Way(result["method"], points, [], len({row["seed"] for row in rows}), _nearest(articles, result["date"]))


def _median(rows: list[dict[str, Any]], epoch: int, name: str) -> float:
    return statistics.median(row[name] for row in rows if row["epoch"] == epoch)


def time_to_accuracy(results: list[Result]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table: each way at its end, the quickest first, beside the article."""
    found = ways(results)
    rows = []
    for way in sorted(found, key=lambda way: way.end[0]):
        seconds, accuracy = way.end
        length = f"{ARTICLE_EPOCHS} epochs" if way.beyond else f"{len(way.points)} epochs" if way.points[1:] else ""
        share = f"{way.article_s / seconds:.3g}" if way.article_s else ""
        name = f"`{way.name}`" if way.is_muslin else f"{way.name}{', ' if length else ''}{length}"
        rows.append((name, f"{100 * accuracy:.1f} %", f"{seconds:,.0f}", share, str(way.seeds)))
    return ("way of training", "test accuracy", "processor s", "times as fast as the article", "seeds"), rows


def image(results: list[Result]) -> str:
    """A whole SVG file: time to the right on a logarithmic scale, accuracy upwards."""
    found = ways(results)
    seconds = [x for way in found for x, _ in (*way.points, way.end)]
    first, last = 0.35 * min(seconds), 1.15 * max(seconds)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = LEFT + math.log(point[0] / first) / math.log(last / first) * (right - LEFT)
        return x, bottom - (point[1] - LOW) / (HIGH - LOW) * (bottom - TOP)

    body = [
        svg_text(0, 18, "Fashion-MNIST: test accuracy against processor time", "ink strong"),
        *(svg_text(0, 40 + 17 * n, line, "soft small") for n, line in enumerate((_machine(results), *NOTES))),
    ]
    for percent in range(round(100 * LOW), round(100 * HIGH) + 1, 2):
        _, y = place((first, percent / 100))
        body.append(svg_line(LEFT, y, right, y, "rule"))
        body.append(svg_text(LEFT - 8, y + 4, f"{percent} %", "soft small number", "end"))
    for tick, label in TICKS.items():
        if first <= tick <= last:
            x, _ = place((tick, LOW))
            body.append(svg_line(x, bottom, x, bottom + 5, "mid-stroke"))
            body.append(svg_text(x, bottom + 20, label, "soft small number", "middle"))
    ladder = sorted((way for way in found if way.is_muslin), key=lambda way: way.end[0])
    peers = [way for way in found if not way.is_muslin and way.end[1] >= LOW]
    curves = {way.method: [place(point) for point in (*way.points, *way.beyond) if point[1] >= LOW] for way in peers}
    body.append(_gap(found, place))
    taken = [_around(*point, 5) for curve in curves.values() for point in curve]
    taken += [_around(*place(way.end), 8) for way in ladder]
    for way in sorted(peers, key=lambda way: -way.end[0]):
        body.append(_peer(way, curves[way.method], place(way.end), taken))
    body.append(svg_polyline([place(way.end) for way in ladder], "accent-stroke", 2.5))
    for way in ladder:
        x, y = place(way.end)
        body.append(svg_circle(x, y, 5, "accent"))
        body.append(svg_text(x - 4, y - 12, f"{way.name} {100 * way.end[1]:.1f} %", "accent small strong", "end"))
    description = "; ".join(f"{way.name}: {100 * way.end[1]:.1f} % after {way.end[0]:.0f} s" for way in found)
    inside = f'<g transform="translate({EDGE},{EDGE})">{"".join(body)}</g>'
    return svg_document(WIDTH + 2 * EDGE, HEIGHT + 2 * EDGE, "Accuracy against time of training", description, inside)


def _machine(results: Sequence[Result]) -> str:
    """The machines of the results, most often one, and how to read their time."""
    machines = (result["machine"] for result in results)
    names = {f"{each.get('processor') or each.get('cpu')}, {each['cores']} cores" for each in machines}
    return f"{'; '.join(sorted(names))}. Processor time, which other work changes little. Logarithmic scale."


def _gap(found: Sequence[Way], place: Place) -> str:
    """The line to Keras's end from the quickest recipe that is as accurate, with how much lies between."""
    keras = next((way for way in found if way.method == "keras" and way.beyond), None)
    better = [way for way in found if way.is_muslin and keras and way.end[1] >= keras.end[1]]
    if not keras or not better:
        return ""
    quickest = min(better, key=lambda way: way.end[0])
    (x1, y), (x2, y2) = place(quickest.end), place(keras.end)
    body = [svg_line(x1, y, x2, y, "accent-stroke", 1, ' stroke-dasharray="2 4"')]
    body.append(svg_line(x2, y, x2, y2, "accent-stroke", 1, ' stroke-dasharray="2 4"'))
    times = f"{quickest.article_s / quickest.end[0]:.0f} times the processor time"
    body.append(svg_text((x1 + x2) / 2, y - 7, times, "accent small strong", "middle"))
    return "".join(body)


def _peer(way: Way, curve: Points, end: tuple[float, float], taken: list[Box]) -> str:
    """Another library's curve, dashed where it was computed, its end as a square, and its name where nothing is."""
    measured = curve[: len([point for point in way.points if point[1] >= LOW])]
    body = [svg_polyline(measured, "mid-stroke", 2)] if measured[1:] else []
    if way.beyond:
        body.append(svg_polyline(curve[max(len(measured) - 1, 0) :], "mid-stroke", 2, dashed=True))
    x, y = end
    body.append(svg_rect(x - 4, y - 4, 8, 8, "mid"))
    ended = f", {ARTICLE_EPOCHS} epochs" if way.beyond else ""
    lines = (way.name, f"{100 * way.end[1]:.1f} %{ended}")
    width = max(text_width(line, 12) for line in lines)
    places = [
        (x + 12, y - 14),
        (x + 12, y + 2),
        (x - 12 - width, y - 14),
        (x - width / 2, y + 12),
        (x - width / 2, y - 46),
    ]
    boxes = [(left, top, left + width, top + LABEL_PX) for left, top in places]
    box = next((box for box in boxes if not any(_overlap(box, each) for each in taken)), boxes[0])
    taken.append(box)
    body.append(svg_text(box[0], box[1] + 12, lines[0], "soft small strong"))
    body.append(svg_text(box[0], box[1] + 27, lines[1], "ink small number"))
    return "".join(body)


def _around(x: float, y: float, px: float) -> Box:
    return x - px, y - px, x + px, y + px


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
