"""Does a guarantee from out-of-fold predictions hold for the model that is then fitted to all images?

    python benchmarks/cross_fitting.py PHOTOS [--draws 200] [--note SENTENCE]

Draws labelled photos at random; all others play the shop's future ones. Linear probes on the features of the recipe
`photo`, reduced to their 64 principal components so that a draw takes a second, are calibrated in two ways: on
out-of-fold predictions of five folds, with a model fitted to all drawn photos; and on a tenth of them, with a model
fitted to the others. Per precision target: the share of the future photos that each model accepts, the mean precision
of these, and how often it is below the target. Keeps everything in benchmarks/results/.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

from muslin.data.dataset import Target

COMPONENTS = 64
PRECISION_TARGETS = (0.90, 0.95)
N_LABELLED = (300, 1000)
FOLDS = 5

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    features, labels, target = read_features(arguments.photos)
    rows = []
    print("labelled | calibrated on | target | accepted | mean precision | below the target")
    for n in N_LABELLED:
        draws = [draw(features, labels, target, n, seed) for seed in range(arguments.draws)]
        for method in ("out of fold", "a tenth"):
            for precision in PRECISION_TARGETS:
                results = np.array([each[method, precision] for each in draws])
                made = results[:, 0] > 0
                mean = float(results[made, 1].mean()) if made.any() else None
                broken = float((results[made, 1] < precision).sum() / len(results))
                row = {"n": n, "method": method, "target": precision, "accepted": float(results[:, 0].mean())}
                rows.append(row | {"mean_precision": mean, "broken": broken, "draws_with_any": int(made.sum())})
                shown = "-" if mean is None else f"{100 * mean:.1f} %"
                print(f"{n} | {method} | {precision} | {100 * row['accepted']:.1f} % | {shown} | {100 * broken:.1f} %")
    write_result(head, {"draws": arguments.draws, "rows": rows})


def read_features(path: str) -> tuple[Floats, Labels, Target]:
    """Standardised principal components of the features of all photos, float64 (n, COMPONENTS), and their labels."""
    from muslin import machine
    from muslin.data import photos, read
    from muslin.learn.recipes import LinearProbeRecipe, recipe
    from muslin.learn.train import extract_features

    dataset, probe = read(path), recipe("photo")
    assert isinstance(probe, LinearProbeRecipe)
    resized = photos.resize_photos(dataset, (probe.image_size, probe.image_size, 3))
    features, _ = extract_features(resized, probe, seed=0, threads=machine.physical_cores(), log=print)
    rows = np.empty((len(features), features.width))
    for samples, block in features.blocks():
        rows[samples] = block
    rows -= rows.mean(axis=0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    components = rows @ directions[:, -COMPONENTS:]
    target = dataset.targets[0]
    return components / components.std(axis=0), dataset.labels[target.name], target


def draw(
    features: Floats, labels: Labels, target: Target, n: int, seed: int
) -> dict[tuple[str, float], tuple[float, float]]:
    """Per method and target the share of the other photos that is accepted, and the precision of these."""
    from muslin.data.folds import assign_folds
    from muslin.evaluation.precision_bound import accept_threshold
    from muslin.evaluation.selective import calibrate_probabilities, fit_calibration_data

    order = np.random.default_rng(seed).permutation(len(labels))
    drawn, future = order[:n], order[n:]
    folds = assign_folds(labels[drawn], np.arange(n), FOLDS, seed)
    out_of_fold = np.empty((n, len(target.classes)))
    for fold in range(FOLDS):
        fitted_to, held_out = drawn[folds != fold], drawn[folds == fold]
        out_of_fold[folds == fold] = fit_predict(features, labels, fitted_to, held_out, len(target.classes))
    tenth, rest = drawn[: n // 10], drawn[n // 10 :]
    everything = np.concatenate([tenth, future])
    from_rest = fit_predict(features, labels, rest, everything, len(target.classes))
    methods = {
        "out of fold": (drawn, out_of_fold, fit_predict(features, labels, drawn, future, len(target.classes))),
        "a tenth": (tenth, from_rest[: len(tenth)], from_rest[len(tenth) :]),
    }
    results = {}
    for method, (calibration, predicted, sealed) in methods.items():
        data = fit_calibration_data(target, labels[calibration], predicted)
        assert data is not None
        probabilities = calibrate_probabilities(target, sealed, data)
        confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels[future]
        for precision in PRECISION_TARGETS:
            accepted = confidence >= accept_threshold(data.confidence, data.correct, precision)
            share = float(accepted.mean())
            results[method, precision] = share, float(correct[accepted].mean()) if share else 0.0
    return results


def fit_predict(features: Floats, labels: Labels, fitted_to: Labels, predicted: Labels, classes: int) -> Floats:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10 / len(fitted_to), max_iter=500)
    model.fit(features[fitted_to], labels[fitted_to])
    probabilities = np.zeros((len(predicted), classes))
    probabilities[:, model.classes_] = model.predict_proba(features[predicted])
    return probabilities


if __name__ == "__main__":
    main()
