"""How much more, or less, does muslin accept than a plain binomial bound, where images are independent?

    python benchmarks/plain_bound.py RUN [RUN ...] [--draws 200] [--note SENTENCE]

Takes runs on Fashion-MNIST, such as `muslin train fashion-mnist --recipe quick` (91 % accuracy) and the same with
`--set max_steps=30` (85 %), and predicts the 20,000 images that they were not trained on. Draws 300, 1,000 and 3,000 of
them again and again; see `redraws.py`. Compares, on the same draws, muslin's search with the exact binomial bound at
every rank: its lenient version takes the last rank that passes, and its strict one stops at the first that fails. Keeps
everything in benchmarks/results/.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from redraws import COUNTS, PRECISION_TARGETS, SEED, Population, measure, print_rows
from results_file import start_result, write_result

METHODS = ("muslin", "plain, strict", "plain, lenient")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    from muslin.evaluation.precision_bound import accept_threshold

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    methods = {
        "muslin": accept_threshold,
        "plain, strict": lambda *data: plain_threshold(*data, lenient=False),
        "plain, lenient": lambda *data: plain_threshold(*data, lenient=True),
    }
    measured = {}
    for run in arguments.runs:
        population = predictions(run)
        accuracy = float((population.probabilities.argmax(axis=1) == population.labels).mean())
        measured[run.name] = {"accuracy": accuracy, "rows": []}
        for n in COUNTS:
            rows = measure(population, methods, n, arguments.draws, PRECISION_TARGETS)
            print_rows(f"{100 * accuracy:.0f} %", rows, METHODS)
            measured[run.name]["rows"] += rows
    write_result(head, {"draws": arguments.draws, "seed": SEED, "runs": measured})


def predictions(folder: Path) -> Population:
    """Of the validation and test images."""
    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.models.predictor import Predictor
    from muslin.workflows.selected_part import select_part

    predictor, dataset = Predictor.open(folder), read("fashion-mnist")
    validation = select_part(predictor, replace(dataset, parts=None), "validation").images
    parts = [validation, select_part(predictor, dataset, "test").images]
    raw = np.concatenate([predictor.infer_raw(pixel_array(part))[0]["label"] for part in parts])
    return Population(dataset.target("label"), np.concatenate([part.labels["label"] for part in parts]), raw)


def plain_threshold(confidence: Any, correct: Any, target: float, groups: Any, *, lenient: bool) -> float:
    """From the one-sided 95 % bound of Clopper and Pearson at each rank at which a guarantee is possible."""
    from scipy.special import betainc

    from muslin.evaluation.precision_bound import images_needed

    accepted, successes = np.arange(1, len(confidence) + 1), np.cumsum(correct)
    p_values = np.where(successes, betainc(np.maximum(successes, 1), accepted - successes + 1, target), 1)
    is_end = np.append(np.diff(confidence) != 0, True)  # equal confidences are accepted together
    passes = (p_values <= 0.05) & is_end
    if not lenient:
        failed = np.flatnonzero((p_values > 0.05) & is_end & (accepted >= images_needed(target)))
        passes &= accepted <= (failed[0] if len(failed) else len(confidence))
    return float(confidence[np.flatnonzero(passes)[-1]]) if passes.any() else np.inf


if __name__ == "__main__":
    main()
