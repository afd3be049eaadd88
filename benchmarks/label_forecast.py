"""How often does the forecast of what more labelled products would bring hold?

    python benchmarks/label_forecast.py DATA [--repeats 50] [--note SENTENCE]

Held-out repeats: some images are drawn and labelled, and a forecast is made from them alone. Then further ones are
labelled; a model is fitted to all and calibrated on out-of-fold predictions, as muslin does; and the share of all other
images that it accepts, and its accuracy on them, are compared with the forecast's 95 % intervals. The models are linear
probes on the principal components of the features of photos (as in cross_fitting.py), or of the pixels of
`fashion-mnist`. Keeps everything in benchmarks/results/.
"""

import argparse
from typing import Any

import numpy as np
from cross_fitting import FOLDS, read_features
from results_file import start_result, write_result
from shift_alarms import kind_of, linear_probe, read_pixels

from muslin.evaluation.intervals import wilson_interval
from muslin.evaluation.learning_curve import FRACTIONS, LearningCurve, forecast
from muslin.evaluation.precision_bound import accept_threshold
from muslin.evaluation.selective import calibrate_probabilities, fit_calibration_data
from muslin.workflows.review_forecast import REPEATS

CASES = ((500, 100, 0.90), (800, 200, 0.95), (800, 800, 0.95), (1500, 500, 0.98))
"""Labelled images, further ones, precision target."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="photos, or fashion-mnist")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    data = read_pixels() if arguments.data == "fashion-mnist" else read_features(arguments.data)
    rows = []
    print("labelled | more | precision | now | forecast | interval | real | accepted share holds | accuracy holds")
    for labelled, more, precision in CASES:
        results = [repeat(data, labelled, more, precision, seed) for seed in range(arguments.repeats)]
        row: dict[str, Any] = {"labelled": labelled, "more": more, "precision": precision}
        row |= {name: float(np.mean([result[name] for result in results])) for name in results[0]}
        for name in ("holds", "accuracy_holds"):
            row[f"{name}_interval"] = wilson_interval(sum(result[name] for result in results), len(results))
        row["error"] = float(np.mean([abs(result["forecast"] - result["real"]) for result in results]))
        rows.append(row)
        print_row(row)
    write_result(head, {"repeats": arguments.repeats, "rows": rows}, name=f"label_forecast_{kind_of(arguments.data)}")


def repeat(data: Any, labelled: int, more: int, precision: float, seed: int) -> dict[str, Any]:
    features, labels, target = data
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    known, others = order[:labelled], order[labelled + more :][:10_000]
    curve = curve_of(features[known], labels[known], target, random)
    found = forecast(curve, labelled, more, precision, seed=seed)
    later = order[: labelled + more]
    raw = out_of_fold(features[later], labels[later], target, random, (1.0,))[0]
    calibration = fit_calibration_data(target, labels[later], raw)
    assert calibration is not None
    threshold = accept_threshold(calibration.confidence, calibration.correct, precision)
    sealed = linear_probe(features[later], labels[later], target)(features[others])
    probabilities = calibrate_probabilities(target, sealed, calibration)
    real = float((probabilities.max(axis=1) >= threshold).mean())
    accuracy = float((probabilities.argmax(axis=1) == labels[others]).mean())
    low, high = found.accepted_interval
    return {
        "now": found.accepted_now, "forecast": found.accepted, "low": low, "high": high, "real": real,
        "holds": low <= real <= high, "accuracy_forecast": found.accuracy, "accuracy": accuracy,
        "accuracy_holds": found.accuracy_interval[0] <= accuracy <= found.accuracy_interval[1],
    }  # fmt: skip


def curve_of(features: Any, labels: Any, target: Any, random: np.random.Generator) -> LearningCurve:
    confidence, correct = [], []
    for _ in range(REPEATS):
        raw = out_of_fold(features, labels, target, random, FRACTIONS)
        calibrated = [calibrate_probabilities(target, p, fit_calibration_data(target, labels, p)) for p in raw]
        confidence.append([p.max(axis=1) for p in calibrated])
        correct.append([p.argmax(axis=1) == labels for p in calibrated])
    return LearningCurve(FRACTIONS, np.array(confidence), np.array(correct))


def out_of_fold(features: Any, labels: Any, target: Any, random: Any, fractions: tuple[float, ...]) -> Any:
    """float32 (len(fractions), n, classes), by models fitted to parts of the other folds."""
    folds, place = random.integers(0, FOLDS, len(labels)), random.random(len(labels))
    predicted = np.empty((len(fractions), len(labels), len(target.classes)), np.float32)
    for number, fraction in enumerate(fractions):
        for fold in range(FOLDS):
            fitted = (folds != fold) & (place < fraction)
            model = linear_probe(features[fitted], labels[fitted], target)
            predicted[number, folds == fold] = model(features[folds == fold])
    return predicted


def print_row(row: dict[str, Any]) -> None:
    shares = f"{row['now']:.1%} | {row['forecast']:.1%} | {row['low']:.1%} to {row['high']:.1%} | {row['real']:.1%}"
    holds = " | ".join(
        f"{row[name]:.0%} ({row[f'{name}_interval'][0]:.0%} to {row[f'{name}_interval'][1]:.0%})"
        for name in ("holds", "accuracy_holds")
    )
    print(f"{row['labelled']:,} | {row['more']:,} | {row['precision']} | {shares} | {holds}", flush=True)


if __name__ == "__main__":
    main()
