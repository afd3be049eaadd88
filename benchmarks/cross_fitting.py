"""Does a guarantee from out-of-fold predictions hold for the model that is then fitted to all images?

    python benchmarks/cross_fitting.py PHOTOS [--draws 200] [--note SENTENCE]
    python benchmarks/cross_fitting.py --networks [--draws 200] [--note SENTENCE]

Draws labelled images at random; others play the shop's future ones. Models are calibrated in two ways: on out-of-fold
predictions of five folds, with a model fitted to all drawn images; and on a tenth of them, with a model fitted to the
others. The models are linear probes on the features of the recipe `photo`, reduced to their 64 principal components so
that a draw takes a second; or, with `--networks`, small networks from scratch (NETWORK) on images of Fashion-MNIST, of
which 10,000 others play the future. Per precision target: the share of the future images that each model accepts, the
mean precision of these, and how often it is below the target. Keeps everything in benchmarks/results/.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

from muslin.data.dataset import Target
from muslin.evaluation.intervals import wilson_interval

COMPONENTS = 64
PRECISION_TARGETS = (0.90, 0.95)
N_LABELLED = (300, 1000)
FOLDS = 5
FUTURE_IMAGES = 10_000
NETWORK = {"widths": "16,32", "batch_size": 64, "micro_batch_size": 0, "epochs": 60, "max_steps": 60, "tta_flip": False}
"""Settings of the recipe `quick`: 60 steps, a third of a second on one core."""

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]
FitPredict = Callable[[Labels, Labels, int], Floats]
"""Images to fit a model to, images to predict, a seed → the probabilities of the classes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("photos", nargs="?")
    models.add_argument("--networks", action="store_true", help="small networks instead of linear probes")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    fit_predict, labels, target = small_networks() if arguments.networks else linear_probes(arguments.photos)
    rows = []
    print("labelled | calibrated on | target | accepted | mean precision | below the target")
    for n in N_LABELLED:
        draws = [draw(fit_predict, labels, target, n, seed) for seed in range(arguments.draws)]
        for method in ("out of fold", "a tenth"):
            for precision in PRECISION_TARGETS:
                results = np.array([each[method, precision] for each in draws])
                made = results[:, 0] > 0
                mean = float(results[made, 1].mean()) if made.any() else None
                n_broken = int((results[made, 1] < precision).sum())
                broken, interval = n_broken / len(results), wilson_interval(n_broken, len(results))
                row = {"n": n, "method": method, "target": precision, "accepted": float(results[:, 0].mean())}
                row |= {"mean_precision": mean, "broken": broken, "broken_interval": list(interval)}
                rows.append(row | {"draws_with_any": int(made.sum())})
                shown = "-" if mean is None else f"{100 * mean:.1f} %"
                low, high = (100 * end for end in interval)
                print(
                    f"{n} | {method} | {precision} | {100 * row['accepted']:.1f} % | {shown} | {100 * broken:.1f} % "
                    f"({low:.1f} to {high:.1f})"
                )
    models_used = {"networks": NETWORK} if arguments.networks else {"components": COMPONENTS}
    name = f"cross_fitting_{'networks' if arguments.networks else 'linear'}"
    write_result(head, {"draws": arguments.draws, **models_used, "rows": rows}, name=name)


def small_networks() -> tuple[FitPredict, Labels, Target]:
    """Networks of NETWORK on all images of Fashion-MNIST, on one thread."""
    from muslin.data import read
    from muslin.learn.cross_val import fit_predict_network
    from muslin.learn.recipes import recipe
    from muslin.learn.torch_setup import ComputeSettings

    dataset, quick = read("fashion-mnist"), recipe("quick", **NETWORK)
    compute, target = ComputeSettings(threads=1, precision="float32", memory_reused=False), dataset.targets[0]

    def fit_predict(fitted_to: Labels, predicted: Labels, seed: int) -> Floats:
        return fit_predict_network(dataset, quick, seed=seed, compute=compute)(0, fitted_to, predicted)[target.name]

    return fit_predict, dataset.labels[target.name], target


def linear_probes(photos: str) -> tuple[FitPredict, Labels, Target]:
    """Logistic regression on the principal components of the photos' features."""
    features, labels, target = read_features(photos)

    def fit_predict(fitted_to: Labels, predicted: Labels, seed: int) -> Floats:
        return predict_linear(features, labels, fitted_to, predicted, len(target.classes))

    return fit_predict, labels, target


def predict_linear(features: Floats, labels: Labels, fitted_to: Labels, predicted: Labels, classes: int) -> Floats:
    """Probabilities, float64 (predicted, classes), of a logistic regression that is fitted to the rows `fitted_to`."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10 / len(fitted_to), max_iter=500)
    model.fit(features[fitted_to], labels[fitted_to])
    probabilities = np.zeros((len(predicted), classes))
    probabilities[:, model.classes_] = model.predict_proba(features[predicted])
    return probabilities


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
    fit_predict: FitPredict, labels: Labels, target: Target, n: int, seed: int
) -> dict[tuple[str, float], tuple[float, float]]:
    """Per method and target the share of the future images that is accepted, and the precision of these."""
    from muslin.data.folds import assign_folds
    from muslin.evaluation.precision_bound import accept_threshold
    from muslin.evaluation.selective import calibrate_probabilities, fit_calibration_data

    order = np.random.default_rng(seed).permutation(len(labels))
    drawn, future = order[:n], order[n : n + FUTURE_IMAGES]
    folds = assign_folds(labels[drawn], np.arange(n), FOLDS, seed)
    out_of_fold = np.empty((n, len(target.classes)), np.float32)
    for fold in range(FOLDS):
        out_of_fold[folds == fold] = fit_predict(drawn[folds != fold], drawn[folds == fold], seed)
    tenth, rest = drawn[: n // 10], drawn[n // 10 :]
    from_rest = fit_predict(rest, np.concatenate([tenth, future]), seed)
    methods = {
        "out of fold": (drawn, out_of_fold, fit_predict(drawn, future, seed)),
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


if __name__ == "__main__":
    main()
