"""How often does muslin report a shift where there is none, and how large a shift does it find?

    python benchmarks/shift_alarms.py DATA [--draws 200] [--note SENTENCE]

Real predictions: in each draw, linear probes are fitted to 1,500 labelled images and calibrated on out-of-fold
predictions; of the others 200, 1,000 and 10,000, as far as there are so many, play the shop's products. The features
are principal components: of what the backbone of the recipe `photo` gives for photos (as in cross_fitting.py), or of
the pixels of `fashion-mnist`. A third of the labelled images sets the limit of the OOD detector. Two shifts are made:
the products of one class twice as often, and each product's features mixed with a fifth of those of another image, as
another background does. Reports per number of products how often each comparison reports a shift. Keeps everything in
benchmarks/results/.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from cross_fitting import COMPONENTS, FOLDS, read_features
from results_file import start_result, write_result

from muslin.data.dataset import Target
from muslin.evaluation.intervals import wilson_interval
from muslin.evaluation.ood import OODDetector, fit_ood_detector
from muslin.evaluation.selective import CalibrationData, calibrate_probabilities, fit_calibration_data
from muslin.evaluation.shift import class_shifts, confidence_shift, out_of_scope_shift

N_LABELLED, N_PRODUCTS = 1_500, (200, 1_000, 10_000)
SHIFTS = ("none", "one class twice as often", "mixed features")
COMPARISONS = ("out of scope", "classes", "confidence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="photos, or fashion-mnist")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    shop = Shop(arguments.data)
    found: dict[tuple[str, int], list[tuple[bool, bool, bool]]] = {}
    for seed in range(arguments.draws):
        for key, reports in shop.draw(seed).items():
            found.setdefault(key, []).append(reports)
    rows = []
    print("shift | products | reported | out of scope | classes | confidence")
    for shift in SHIFTS:
        for n in [n for n in N_PRODUCTS if (shift, n) in found]:
            reports = np.array(found[shift, n])
            any_of_them = int(reports.any(axis=1).sum())
            row = {"shift": shift, "products": n, "reported": any_of_them / len(reports)}
            row["interval"] = wilson_interval(any_of_them, len(reports))
            row |= dict(zip(COMPARISONS, reports.mean(axis=0).tolist(), strict=True))
            rows.append(row)
            low, high = (100 * end for end in row["interval"])
            each = " | ".join(f"{100 * row[name]:.1f} %" for name in COMPARISONS)
            print(f"{shift} | {n:,} | {100 * row['reported']:.1f} % ({low:.1f} to {high:.1f} %) | {each}")
    name = f"shift_alarms_{kind_of(arguments.data)}"
    write_result(head, {"draws": arguments.draws, "labelled": N_LABELLED, "rows": rows}, name=name)


def kind_of(data: str) -> str:
    return "pixels" if data == "fashion-mnist" else "photos"


def read_pixels() -> Any:
    """Standardised principal components of the pixels of Fashion-MNIST, their labels and the target."""
    from muslin.data import read
    from muslin.data.dataset import pixel_array

    dataset = read("fashion-mnist")
    rows = pixel_array(dataset).reshape(len(dataset), -1).astype(np.float64)
    rows -= rows.mean(axis=0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    components = rows @ directions[:, -COMPONENTS:]
    target = dataset.targets[0]
    return components / components.std(axis=0), dataset.labels[target.name], target


def linear_probe(features: Any, labels: Any, target: Target) -> Callable[[Any], Any]:
    """Logistic regression: features → probabilities float32 (n, classes)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10 / len(labels), max_iter=500).fit(features, labels)

    def predict(features: Any) -> Any:
        probabilities = np.zeros((len(features), len(target.classes)), np.float32)
        probabilities[:, model.classes_] = model.predict_proba(features)
        return probabilities

    return predict


class Shop:
    """Images' features, and models of some of them."""

    def __init__(self, data: str) -> None:
        self.features, self.labels, self.target = read_pixels() if data == "fashion-mnist" else read_features(data)

    def draw(self, seed: int) -> dict[tuple[str, int], tuple[bool, bool, bool]]:
        """Per shift and number of products, which comparisons report one."""
        random = np.random.default_rng(seed)
        order = random.permutation(len(self.labels))
        labelled, others = order[:N_LABELLED], order[N_LABELLED:]
        folds = random.integers(0, FOLDS, N_LABELLED)
        out_of_fold = np.empty((N_LABELLED, len(self.target.classes)), np.float32)
        for fold in range(FOLDS):
            is_out = folds == fold
            model = linear_probe(self.features[labelled[~is_out]], self.labels[labelled[~is_out]], self.target)
            out_of_fold[is_out] = model(self.features[labelled[is_out]])
        data = fit_calibration_data(self.target, self.labels[labelled], out_of_fold)
        detector = fit_ood_detector(self.features[labelled[500:]], self.features[labelled[:500]])
        assert data is not None
        assert detector is not None
        sealed = linear_probe(self.features[labelled], self.labels[labelled], self.target)
        often = int(random.integers(len(self.target.classes)))
        weights = 1.0 + (self.labels[others] == often)
        results = {}
        for n in [n for n in N_PRODUCTS if 2 * n <= len(others)]:
            drawn = random.permutation(others)[:n]
            twice = random.choice(others, n, replace=False, p=weights / weights.sum())
            mixed = 0.8 * self.features[drawn] + 0.2 * self.features[random.permutation(others)[:1]]
            rows = (self.features[drawn], self.features[twice], mixed)
            for shift, features in zip(SHIFTS, rows, strict=True):
                results[shift, n] = self._reports(sealed(features), features, data, detector)
        return results

    def _reports(
        self, raw: Any, features: Any, data: CalibrationData, detector: OODDetector
    ) -> tuple[bool, bool, bool]:
        probabilities = calibrate_probabilities(self.target, raw, data)
        outside = int((detector.ood_score(features) > detector.threshold).sum())
        counts = np.bincount(probabilities.argmax(axis=1), minlength=len(self.target.classes)).tolist()
        observed = dict(zip(self.target.classes, counts, strict=True))
        scope = out_of_scope_shift(outside, len(features), len(detector.calibration_scores))
        classes = class_shifts(observed, data.predicted, self.target.classes)
        confidence = confidence_shift(probabilities.max(axis=1), data.confidence)
        assert scope is not None
        assert confidence is not None
        return scope.is_shifted, any(each.is_shifted for each in classes), confidence.is_shifted


if __name__ == "__main__":
    main()
