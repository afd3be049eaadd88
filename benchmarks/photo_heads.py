"""What do other heads, views and features gain over the linear probe's on clothing-small, by cross-validation?

    python benchmarks/photo_heads.py FEATURES.npz [--extract] [--folds 5] [--note SENTENCE]

`--extract` writes FEATURES.npz first, from EfficientNet-Lite2 at 260 px: the features of each photo (`plain_feat`) and
of its mirror image (`flip_feat`), and the means of the map before the photo's last convolution (`plain_mean`). Each way
is then fitted on four fifths of the 3,409 photos that are no test photos and predicts the others, in the same folds;
the test photos are not used. `gain` is against the head of the recipe `photo`, in points with the standard error of the
paired difference.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

from muslin.data import read
from muslin.data.photos import resize_photos
from muslin.learn.recipes import RECIPES, LinearProbeRecipe

Rows = NDArray[np.float32]
Columns = dict[str, Rows]
"""Of all photos, by the names in FEATURES.npz."""
Labels = NDArray[np.int64]
Fit = Callable[[Rows, Labels], Callable[[Rows], NDArray[np.float64]]]
"""From features and labels to a function that gives the classes' scores of other features."""
Choose = Callable[[Columns], Rows]
"""The features that a head takes."""

THREADS = 2


def extract(path: Path) -> None:
    """Features of all photos and their mirror images, and means of a map of the photos."""
    import onnx
    import onnxruntime

    from muslin.learn.features import feature_graph
    from muslin.learn.train import backbone_with_weights

    recipe = RECIPES["photo"]
    assert isinstance(recipe, LinearProbeRecipe)
    data = read("clothing-small")
    images = resize_photos(data, (recipe.image_size, recipe.image_size, 3)).images
    graph = feature_graph(images, *backbone_with_weights(images, recipe, 0))  # type: ignore[arg-type]
    model = onnx.load_model_from_string(graph.model)
    maker = {name: node for node in model.graph.node for name in node.output}
    last = next(node for node in reversed(model.graph.node) if node.op_type == "GlobalAveragePool").input[0]
    convolution = maker[last]
    while convolution.op_type != "Conv":
        convolution = maker[convolution.input[0]]
    before = convolution.input[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(before, onnx.TensorProto.FLOAT, None))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings)

    def of_photo(index: int) -> Columns:
        plain, flipped = (np.ascontiguousarray(view)[None] for view in (images[index], images[index][:, ::-1]))
        [features], [map_before] = session.run([graph.output, before], {"pixels": plain})
        [[flipped_features]] = session.run([graph.output], {"pixels": flipped})
        return {"plain_feat": features, "flip_feat": flipped_features, "plain_mean": map_before.mean((1, 2))}

    with ThreadPoolExecutor(THREADS) as pool:
        rows = list(pool.map(of_photo, range(len(data))))
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    np.savez(path, labels=data.labels["label"], parts=np.array(data.parts, str), **columns)  # type: ignore[arg-type]


def logistic(weight_decay: float = 0.1, smoothing: float = 0.1) -> Fit:
    """The head of the recipe `photo`: standardised features, L-BFGS, 60 iterations."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax, softmax

    def fit(train: Rows, labels: Labels) -> Callable[[Rows], NDArray[np.float64]]:
        mean, std = train.mean(0), train.std(0)
        std = np.maximum(std, 1e-3 * std.max())
        inputs, classes = (train - mean) / std, int(labels.max()) + 1
        truth = np.full((len(labels), classes), smoothing / classes, np.float32)
        truth[np.arange(len(labels)), labels] += 1 - smoothing
        shape = (train.shape[1] + 1, classes)

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(shape).astype(np.float32)
            scores = inputs @ weights[:-1] + weights[-1]
            wrong = (softmax(scores, axis=1) - truth) / len(labels)
            gradient = np.vstack([inputs.T @ wrong + weight_decay * weights[:-1], wrong.sum(0)])
            value = -(truth * log_softmax(scores, axis=1)).sum() / len(labels)
            return float(value + weight_decay / 2 * np.square(weights[:-1]).sum()), gradient.ravel().astype(float)

        found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 60})
        weights = found.x.reshape(shape).astype(np.float32)
        return lambda rows: np.asarray(softmax((rows - mean) / std @ weights[:-1] + weights[-1], axis=1), float)

    return fit


def of_scikit_learn(make: Callable[[], Any]) -> Fit:
    """An estimator of scikit-learn on standardised features."""

    def fit(train: Rows, labels: Labels) -> Callable[[Rows], NDArray[np.float64]]:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), make()).fit(train, labels)
        return lambda rows: np.asarray(model.decision_function(rows), float)

    return fit


def ways() -> dict[str, tuple[Fit, Choose]]:
    """What is compared; the first is what the others are compared with."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    def feat(columns: Columns) -> Rows:
        return columns["plain_feat"]

    def with_means(columns: Columns) -> Rows:
        return np.concatenate([columns["plain_feat"], columns["plain_mean"]], axis=1)

    def mean_of_both(columns: Columns) -> Rows:
        return (columns["plain_feat"] + columns["flip_feat"]) / 2

    return {
        "photo": (logistic(), feat),
        "mean of the features of both mirror images": (logistic(), mean_of_both),
        "weight decay 0.3": (logistic(0.3), feat),
        "square roots of the features": (
            logistic(),
            lambda columns: np.asarray(np.sqrt(columns["plain_feat"]), np.float32),
        ),
        "with means of the map before": (logistic(), with_means),
        "shrunken linear discriminant analysis": (
            of_scikit_learn(lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
            feat,
        ),
    }


def cross_validated(fit: Fit, rows: Rows, labels: Labels, folds: Labels) -> NDArray[np.bool_]:
    """Which photos are predicted correctly by a head that was not fitted to them."""
    correct = np.zeros(len(labels), bool)
    for fold in range(int(folds.max()) + 1):
        others = folds == fold
        scores = fit(rows[~others], labels[~others])(rows[others])
        correct[others] = scores.argmax(1) == labels[others]
    return correct


def compare(path: Path, n_folds: int) -> list[dict[str, Any]]:
    from sklearn.model_selection import StratifiedKFold

    columns = dict(np.load(path))
    used = columns.pop("parts") != "test"
    columns = {name: values[used] for name, values in columns.items()}
    labels, folds = columns.pop("labels"), np.zeros(int(used.sum()), np.int64)
    splits = StratifiedKFold(n_folds, shuffle=True, random_state=0).split(labels, labels)
    for fold, (_, others) in enumerate(splits):
        folds[others] = fold
    rows: list[dict[str, Any]] = []
    first: NDArray[np.bool_] | None = None
    for name, (fit, choose) in ways().items():
        started = time.process_time()
        correct = cross_validated(fit, choose(columns), labels, folds)
        first = correct if first is None else first
        gains = 100 * (correct.astype(float) - first)
        row = {"way": name, "accuracy": correct.mean(), "n": len(correct), "gain": gains.mean()}
        row |= {"standard_error": gains.std() / len(gains) ** 0.5, "cpu_s": time.process_time() - started}
        rows.append({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, metavar="FEATURES.npz")
    parser.add_argument("--extract", action="store_true", help="write FEATURES.npz first")
    parser.add_argument("--folds", type=int, default=5, help="default 5")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    options = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    if options.extract:
        extract(options.features)
    write_result(head, {"folds": options.folds, "rows": compare(options.features, options.folds)})


if __name__ == "__main__":
    main()
