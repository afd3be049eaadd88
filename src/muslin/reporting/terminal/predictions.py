"""Predictions as a table for the terminal."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import percent, plural

if TYPE_CHECKING:
    from muslin.models.prediction import Prediction, TargetPrediction
    from muslin.models.product_prediction import ProductPrediction
    from muslin.reporting.terminal.escaping_console import EscapingConsole

MIN_PATH_COLUMNS = 20
COLUMN_GAP = 3


def print_predictions(predictions: Sequence["Prediction | ProductPrediction"], file: TextIO | None = None) -> None:
    """Print a table of predictions for images or products; below it the errors and a product's reasons, a line each,
    then each note with the number of its images."""
    console = console_for(file)
    targets = list(dict.fromkeys(name for prediction in predictions for name in prediction.predictions))
    headings = ["product" if any(hasattr(prediction, "product") for prediction in predictions) else "image"]
    for name in targets:
        headings += [name, "", "runner-up", "", "decision"]
    rows = [
        [_name(prediction), *(cell for name in targets for cell in _prediction_cells(prediction.predictions[name]))]
        for prediction in predictions
        if prediction.error is None
    ]
    if rows:
        _print_predicted(headings, rows, console)
    print_lines(console, *(prediction.error for prediction in predictions if prediction.error is not None))
    for prediction in predictions:
        print_lines(console, *(f"{_name(prediction)}: {reason}" for reason in getattr(prediction, "reasons", ())))
    photos = (photo for prediction in predictions for photo in _photos(prediction))
    notes = Counter(note for photo in photos for note in photo.notes)
    print_lines(console, *(f"{plural(count, 'image')}: {note}" for note, count in notes.items()))


def _name(prediction: "Prediction | ProductPrediction") -> str:
    return prediction.product if hasattr(prediction, "product") else prediction.image


def _photos(prediction: "Prediction | ProductPrediction") -> Sequence["Prediction"]:
    return prediction.photos if hasattr(prediction, "photos") else (prediction,)


def _print_predicted(headings: Sequence[str], rows: Sequence[Sequence[str]], console: "EscapingConsole") -> None:
    """Print the rows; the paths in the first column are broken at separators to fit the width."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    room = max(MIN_PATH_COLUMNS, console.width - sum(widths[1:]) - COLUMN_GAP * (len(widths) - 1))
    alignment = "".join("f" if heading else "r" for heading in headings)
    print_table(console, alignment, headings, [(wrap_path(path, room), *cells) for path, *cells in rows])


def wrap_path(path: str, width: int) -> list[str]:
    """`path` in lines of at most `width` where its separators allow it.

    >>> wrap_path("runs/demo-20261127/test-0.png", 20)
    ['runs/demo-20261127/', 'test-0.png']
    """
    lines = [""]
    for name in re.findall(r"[^/\\]*[/\\]|[^/\\]+", path):
        if lines[-1] and len(lines[-1] + name) > width:
            lines.append("")
        lines[-1] += name
    return lines


def _prediction_cells(prediction: "TargetPrediction") -> list[str]:
    if prediction.labels is not None:
        probabilities = prediction.probabilities
        by_probability = sorted(prediction.labels, key=lambda name: -probabilities[name])
        named = ", ".join(f"{name} {percent(probabilities[name])}" for name in by_probability)
        return [named or "none", "", "", "", prediction.decision]
    probability = prediction.runner_up_probability
    runner_up = [prediction.runner_up or "", "" if probability is None else percent(probability)]
    return [prediction.label, percent(prediction.probability), *runner_up, prediction.decision]
