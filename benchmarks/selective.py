"""Is what the lanes promise kept: precision, short lists and calibration, over 200 re-drawings of Fashion-MNIST.

    python benchmarks/lanes.py RUN [RUN ...] [--drawings 200] [--note SENTENCE]

Takes runs on Fashion-MNIST (`muslin train fashion-mnist --out RUN`) and, for each, the network's own probabilities of
its validation and test images, none of which it learned from. These 15,000 are divided anew each time, 5,000 to
decide by as sealing does and 10,000 to judge by. Printed: how much is accepted at each wanted precision, how often the
precision of the accepted test images was below the wanted one, how many short lists hold the true class, and the
calibration error; and the most that any threshold could accept that knew the truth. Also the same for the run's own
division. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import begun, keep, most_accepted

WANTED = (0.95, 0.98, 0.99)
CALIBRATION = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--drawings", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    head = begun(
        "Is what the lanes promise kept over random re-drawings of calibration and test data?",
        arguments.note,
    )
    measured = {run.name: of_run(run, arguments.drawings) for run in arguments.runs}
    result = {
        "drawings": arguments.drawings,
        "runs": measured,
    }
    print(json.dumps(measured, indent=1))
    keep(head, result)


def of_run(folder: Path, drawings: int) -> dict[str, Any]:
    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.models.predictor import Predictor
    from muslin.workflows import train as train_workflow

    predictor, dataset = Predictor.open(folder), read("fashion-mnist")
    parts = train_workflow.division(predictor, dataset)
    assert parts is not None, "the run was not trained on fashion-mnist"
    raw_probabilities, labels = {}, {}
    for part in ("validation", "test"):
        chosen = dataset.take(getattr(parts, part))
        raw_probabilities[part], labels[part] = (
            predictor.infer_raw(pixel_array(chosen))[0]["label"],
            chosen.labels["label"],
        )
    everything, true = np.concatenate(list(raw_probabilities.values())), np.concatenate(list(labels.values()))
    target, random = dataset.target("label"), np.random.default_rng(0)
    rows: dict[str, list[dict[str, float]]] = {}
    for drawing in range(drawings):
        order = random.permutation(len(true))
        mine, others = order[:CALIBRATION], order[CALIBRATION:]
        for key, row in once(target, everything[mine], true[mine], everything[others], true[others]).items():
            rows.setdefault(key, []).append(row)
        if drawing % 20 == 19:
            print(f"{folder}: {drawing + 1} of {drawings} drawings", file=sys.stderr, flush=True)
    usual = once(
        target,
        raw_probabilities["validation"],
        labels["validation"],
        raw_probabilities["test"],
        labels["test"],
    )
    return {
        "accuracy": float((raw_probabilities["test"].argmax(1) == labels["test"]).mean()),
        "as_divided": usual,
        "redrawn": {key: summed(values) for key, values in rows.items()},
    }


def once(
    target: Any,
    raw_probabilities: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    new: NDArray[np.float32],
    truth: NDArray[np.integer[Any]],
) -> dict[str, dict[str, float]]:
    """Decide by the first two, judge by the others."""
    from muslin.evaluation.reliability import calibration
    from muslin.evaluation.selective import (
        ACCEPT,
        LISTED,
        REVIEW,
        calibrated,
        calibration_data_from,
        listed_from,
        rule,
        triage,
    )

    calibration_data = calibration_data_from(target, labels, raw_probabilities)
    assert calibration_data is not None
    probabilities = calibrated(target, new, calibration_data)
    of_true = probabilities[np.arange(len(truth)), truth]
    before, after = calibration(truth, new), calibration(truth, probabilities)
    found: dict[str, dict[str, float]] = {
        "calibration": {
            "temperature": float(calibration_data.temperature[0]),
            "ece_before": before.expected_calibration_error,
            "ece_after": after.expected_calibration_error,
            "brier_before": before.brier_score,
            "brier_after": after.brier_score,
            "log_loss_before": before.log_loss,
            "log_loss_after": after.log_loss,
        },
        "list over all images": {
            "holds": float((of_true >= listed_from(calibration_data.of_true, LISTED)).mean())
        },
    }
    for wanted in WANTED:
        for per in ("all", "class"):
            decided = triage(target, probabilities, rule(target, calibration_data, wanted, per))
            accepted, review = decided.decisions == ACCEPT, decided.decisions == REVIEW
            right = decided.predicted == truth
            classes = [right[accepted & (decided.predicted == c)] for c in range(len(target.classes))]
            by_class = [float(c.mean()) for c in classes if len(c)]
            found[f"{wanted:g} {per}"] = {
                "accepted": float(accepted.mean()),
                "most": most_accepted(probabilities.max(axis=1), right, wanted),
                "precision": float(right[accepted].mean()) if accepted.any() else float("nan"),
                "broken": float(bool(accepted.any()) and bool(right[accepted].mean() < wanted)),
                "worst_class": min(by_class, default=float("nan")),
                "list_holds": float(decided.candidates[review, truth[review]].mean()),
                "mean_set_size": float(decided.candidates[review].sum(axis=1).mean()),
            }
    return found


def summed(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Of each figure the mean, the least and the most; NaN, where nothing was accepted, left out."""
    result = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        values = values[np.isfinite(values)]
        if len(values):
            result[name] = {
                "mean": round(float(values.mean()), 5),
                "least": round(float(values.min()), 5),
                "most": round(float(values.max()), 5),
            }
    return result


if __name__ == "__main__":
    main()
