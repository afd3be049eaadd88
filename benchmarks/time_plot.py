"""How what time_to_accuracy.py measured looks: accuracy against processor time, and the table of it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from muslin.reporting.svg.svg import svg_circle, svg_document, svg_line, svg_polyline, svg_rect, svg_text, text_width

Result = dict[str, Any]
Points = list[tuple[float, float]]

PEERS = {
    "keras": "Keras on TensorFlow",
    "jax": "Keras on JAX",
    "torch": "PyTorch, as its quickstart",
    "forest": "scikit-learn: forest on pixels",
    "pixels": "scikit-learn: SVM on pixels",
    "hog": "scikit-learn: linear SVM on HOG",
}
ARTICLE_EPOCHS = 50
WIDTH, HEIGHT, EDGE, LEFT, RIGHT, TOP, BOTTOM = 820, 520, 16, 60, 216, 76, 66
LABEL_PX = 34
LOW, HIGH = 0.80, 0.96
TICKS = {10: "10 s", 30: "30 s", 60: "1 min", 180: "3 min", 600: "10 min", 1800: "30 min", 3600: "1 h", 10800: "3 h"}


@dataclass(frozen=True)
class Way:
    """A way of training: (seconds of the processor, test accuracy) after each epoch, or at the end.

    Attributes:
        beyond: points that were computed: accuracies of kept runs at this machine's time of an epoch.
    """

    method: str
    points: Points
    beyond: Points
    seeds: int

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
    """The newest result of each method; Keras goes on with the accuracies of the kept runs of all 50 epochs."""
    newest = {result["method"]: result for result in results if "method" in result}
    kept = [result["epochs"] for result in results if len(result.get("epochs", ())) == ARTICLE_EPOCHS]
    found = []
    for method, result in newest.items():
        rows = result["rows"]
        epochs = sorted({row["epoch"] for row in rows})
        points = [tuple(_median(rows, epoch, name) for name in ("train_cpu_s", "test_accuracy")) for epoch in epochs]
        beyond: Points = []
        if method == "keras" and kept and len(points) > 1:
            (first_s, _), *_, (last_s, _) = points
            epoch_s = (last_s - first_s) / (len(points) - 1)
            for epoch in range(len(points) + 1, ARTICLE_EPOCHS + 1):
                accuracy = statistics.median(run[epoch - 1]["test_accuracy"] for run in kept)
                beyond.append((last_s + (epoch - len(points)) * epoch_s, accuracy))
        found.append(Way(method, points, beyond, len({row["seed"] for row in rows})))  # type: ignore[arg-type]
    return found


def _median(rows: list[dict[str, Any]], epoch: int, name: str) -> float:
    return statistics.median(row[name] for row in rows if row["epoch"] == epoch)


def time_to_accuracy(results: list[Result]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table: each way at its end, the quickest first, beside the article."""
    found = ways(results)
    article_s = next((way.end[0] for way in found if way.method == "keras"), None)
    rows = []
    for way in sorted(found, key=lambda way: way.end[0]):
        seconds, accuracy = way.end
        length = f"{ARTICLE_EPOCHS} epochs" if way.beyond else f"{len(way.points)} epochs" if way.points[1:] else ""
        share = f"{article_s / seconds:.3g}" if article_s else ""
        name = f"`{way.name}`" if way.is_muslin else f"{way.name}{', ' if length else ''}{length}"
        rows.append((name, f"{100 * accuracy:.1f} %", f"{seconds:,.0f}", share, str(way.seeds)))
    return ("way of training", "test accuracy", "processor s", "times as fast as the article", "seeds"), rows


def image(results: list[Result]) -> str:
    """A whole SVG file: time to the right on a logarithmic scale, accuracy upwards."""
    found = ways(results)
    seconds = [x for way in found for x, _ in (*way.points, way.end)]
    first, last = 0.35 * min(seconds), 1.3 * max(seconds)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = LEFT + math.log(point[0] / first) / math.log(last / first) * (right - LEFT)
        return x, bottom - (point[1] - LOW) / (HIGH - LOW) * (bottom - TOP)

    body = [
        svg_text(0, 18, "Fashion-MNIST: test accuracy against time of training", "ink strong"),
        svg_text(
            0, 38, "processor time on a logarithmic scale; on two idle cores half of it by the clock", "soft small"
        ),
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
    body.append(svg_text(right, bottom + 42, "processor time of training", "soft small", "end"))
    peers = sorted((way for way in found if not way.is_muslin and way.end[1] >= LOW), key=lambda way: place(way.end)[1])
    ladder = sorted((way for way in found if way.is_muslin), key=lambda way: way.end[0])
    height = -math.inf
    for way in peers:  # from the top down, each name below the last
        height = max(place(way.end)[1], height + LABEL_PX)
        body.append(_peer(way, place, right, height))
    body.append(svg_polyline([place(way.end) for way in ladder], "accent-stroke", 2.5))
    for way in ladder:
        x, y = place(way.end)
        body.append(svg_circle(x, y, 5, "accent"))
        body.append(svg_text(x - 4, y - 12, f"{way.name} {100 * way.end[1]:.1f} %", "accent small strong", "end"))
    description = "; ".join(f"{way.name}: {100 * way.end[1]:.1f} % after {way.end[0]:.0f} s" for way in found)
    inside = f'<g transform="translate({EDGE},{EDGE})">{"".join(body)}</g>'
    return svg_document(WIDTH + 2 * EDGE, HEIGHT + 2 * EDGE, "Accuracy against time of training", description, inside)


def _peer(way: Way, place: Any, right: float, height: float) -> str:
    """Another library's curve, dashed where it was computed, its end as a square, and its name beside the plot."""
    shown = [point for point in way.points if point[1] >= LOW]
    beyond = [*way.points[-1:], *way.beyond]
    beyond = [point for point in beyond if point[1] >= LOW]
    body = [svg_polyline(map(place, shown), "mid-stroke", 2)] if shown[1:] else []
    if beyond[1:]:
        body.append(svg_polyline(map(place, beyond), "mid-stroke", 2, dashed=True))
    x, y = place(way.end)
    body.append(svg_rect(x - 4, y - 4, 8, 8, "mid"))
    label_x = right + 14
    body.append(svg_line(x + 6, y, label_x - 4, height - 4, "rule"))
    body.append(svg_text(label_x, height - 2, way.name, "soft small strong"))
    ended = f", {ARTICLE_EPOCHS} epochs" if way.beyond else ""
    body.append(svg_text(label_x, height + 12, f"{100 * way.end[1]:.1f} %{ended}", "ink small number"))
    assert label_x + text_width(way.name, 12) <= WIDTH + EDGE
    return "".join(body)
