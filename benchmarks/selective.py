"""Does selective prediction keep its guarantee, set coverage and calibration, over 200 random splits of Fashion-MNIST?

    python benchmarks/selective.py RUN [RUN ...] [--splits 200] [--note SENTENCE]

Takes runs on Fashion-MNIST (`muslin train fashion-mnist --out RUN`) and, for each, the raw probabilities of its
validation and test images, none of which it was trained on. Splits these images at random again and again: 5,000 to
calibrate on, as training does, and the others to test on. Prints for each precision target: coverage, how often the
precision of the accepted test images missed the target, set coverage, calibration error, and the highest coverage of
any threshold that knew the truth. Prints the same for the run's own split. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import max_coverage, start_result, write_result

PRECISION_TARGETS = (0.95, 0.98, 0.99)
N_CALIBRATION = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    measured = {run.name: measure_run(run, arguments.splits) for run in arguments.runs}
    print(json.dumps(measured, indent=1))
    write_result(head, {"splits": arguments.splits, "runs": measured})


def measure_run(folder: Path, n_splits: int) -> dict[str, Any]:
    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.models.predictor import Predictor
    from muslin.workflows.selected_part import select_part

    predictor, dataset = Predictor.open(folder), read("fashion-mnist")
    validation = select_part(predictor, replace(dataset, parts=None), "validation").images
    test = select_part(predictor, dataset, "test").images
    raw = [predictor.infer_raw(pixel_array(part))[0]["label"] for part in (validation, test)]
    labels = [part.labels["label"] for part in (validation, test)]
    all_raw, all_labels = np.concatenate(raw), np.concatenate(labels)
    target, random = dataset.target("label"), np.random.default_rng(0)
    rows: dict[str, list[dict[str, float]]] = {}
    for number in range(1, n_splits + 1):
        order = random.permutation(len(all_labels))
        fit, new = order[:N_CALIBRATION], order[N_CALIBRATION:]
        metrics = measure_split(target, all_raw[fit], all_labels[fit], all_raw[new], all_labels[new])
        for key, row in metrics.items():
            rows.setdefault(key, []).append(row)
        if number % 20 == 0:
            print(f"{folder}: {number} of {n_splits} splits", file=sys.stderr, flush=True)
    return {
        "accuracy": float((raw[1].argmax(1) == labels[1]).mean()),
        "own_split": measure_split(target, raw[0], labels[0], raw[1], labels[1]),
        "random_splits": {key: summarize(values) for key, values in rows.items()},
    }


def measure_split(
    target: Any,
    raw_probabilities: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    test_raw_probabilities: NDArray[np.float32],
    test_labels: NDArray[np.integer[Any]],
) -> dict[str, dict[str, float]]:
    """Fit on the first two arrays, measure on the other two."""
    from muslin.evaluation.metrics import calibration_metrics
    from muslin.evaluation.selective import (
        ACCEPT,
        GUARANTEES,
        REVIEW,
        acceptance_policy,
        calibrate_probabilities,
        conformal_threshold,
        fit_calibration_data,
        triage,
    )

    data = fit_calibration_data(target, labels, raw_probabilities)
    assert data is not None
    probabilities = calibrate_probabilities(target, test_raw_probabilities, data)
    probability_of_true = probabilities[np.arange(len(test_labels)), test_labels]
    before = calibration_metrics(test_labels, test_raw_probabilities)
    after = calibration_metrics(test_labels, probabilities)
    in_set = probability_of_true >= conformal_threshold(data.probability_of_true)
    metrics: dict[str, dict[str, float]] = {
        "calibration": {
            "temperature": float(data.temperature[0]),
            "ece_before": before.expected_calibration_error,
            "ece_after": after.expected_calibration_error,
            "brier_before": before.brier_score,
            "brier_after": after.brier_score,
            "log_loss_before": before.log_loss,
            "log_loss_after": after.log_loss,
        },
        "prediction sets of all images": {"set_coverage": float(in_set.mean())},
    }
    for precision in PRECISION_TARGETS:
        for guarantee in GUARANTEES:
            policy = acceptance_policy(target, data, precision, guarantee)
            decided = triage(target, probabilities, policy)
            accepted, review = decided.decisions == ACCEPT, decided.decisions == REVIEW
            correct = decided.predicted == test_labels
            classes = [correct[accepted & (decided.predicted == c)] for c in range(len(target.classes))]
            sets = decided.prediction_sets[review]
            metrics[f"{precision:g} {guarantee}"] = {
                "coverage": float(accepted.mean()),
                "max_coverage": max_coverage(probabilities.max(axis=1), correct, precision),
                "precision": float(correct[accepted].mean()) if accepted.any() else float("nan"),
                "missed": float(bool(accepted.any()) and bool(correct[accepted].mean() < precision)),
                "worst_class": min((float(c.mean()) for c in classes if len(c)), default=float("nan")),
                "set_coverage": float(sets[np.arange(len(sets)), test_labels[review]].mean()),
                "mean_set_size": float(sets.sum(axis=1).mean()),
            }
    return metrics


def summarize(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """The mean, minimum and maximum of each metric; leaves out NaN, where nothing was accepted."""
    result = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        values = values[np.isfinite(values)]
        if len(values):
            result[name] = {
                "mean": round(float(values.mean()), 5),
                "min": round(float(values.min()), 5),
                "max": round(float(values.max()), 5),
            }
    return result


if __name__ == "__main__":
    main()
