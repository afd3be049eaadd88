"""How much can be accepted of real photos in groups of 1 to 40, and how often is the guarantee broken?

    python benchmarks/clothing_guarantee.py [DATA] [--draws 200] [--note SENTENCE]

DATA is clothing-small, by default as `muslin get` keeps it. Gives its photos groups that are drawn at random, and
others of photos with similar features. Predicts every photo by a linear probe that was fitted to other groups.
Then draws 300, 1,000 and 3,000 labelled photos again and again, in whole groups; see `redraws.py`. Compares muslin's
bound with all photos taken as independent. Keeps everything in benchmarks/results/.
"""

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redraws import COUNTS, PRECISION_TARGETS, Population, measure, print_rows
from redraws import SEED as SEED_OF_DRAWS
from results_file import start_result, write_result

MEAN_SIZES = (4, 15)  # 1,000 photos in about 250 and 70 groups
MAX_SIZE = 40
METHODS = ("muslin", "independent")
SEED = 0  # of groups and folds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="clothing-small")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    from muslin.evaluation.effective_size import intraclass_correlation
    from muslin.evaluation.precision_bound import accept_threshold

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    methods = {
        "muslin": accept_threshold,
        "independent": lambda confidence, correct, target, groups: accept_threshold(confidence, correct, target),
    }
    measured = []
    for kind, mean_size, population in populations(arguments.data):
        probabilities, labels = population.probabilities, population.labels
        correct, groups = probabilities.argmax(axis=1) == labels, np.empty(len(labels), np.int64)
        for number, rows in enumerate(population.members):
            groups[rows] = number
        measured.append(
            {
                "groups": kind,
                "mean_group_size": len(labels) / len(population.members),
                "largest_group": max(map(len, population.members)),
                "accuracy": float(correct.mean()),
                "intraclass_correlation": intraclass_correlation(correct, groups),
                "rows": [],
            }
        )
        for n in COUNTS:
            rows = measure(population, methods, n, arguments.draws, PRECISION_TARGETS)
            print_rows(f"{kind}, {mean_size}", rows, METHODS)
            measured[-1]["rows"] += rows
    seeds = {"groups": SEED, "draws": SEED_OF_DRAWS}
    write_result(head, {"draws": arguments.draws, "seeds": seeds, "populations": measured})


def populations(data: str) -> Any:
    """Per kind and mean size of the groups, the out-of-fold predictions of all photos."""
    from muslin import machine
    from muslin.data import photos, read
    from muslin.data.folds import fold_numbers
    from muslin.learn.cross_val import cross_val_predict, fit_predict_heads
    from muslin.learn.modules import Net
    from muslin.learn.recipes import LinearProbeRecipe, recipe, recipe_network
    from muslin.learn.train import extract_features

    probe = recipe("photo")
    assert isinstance(probe, LinearProbeRecipe)
    size = (probe.image_size, probe.image_size, 3)
    dataset = photos.resize_photos(read(data), size)
    features, problems = extract_features(dataset, probe, seed=SEED, threads=machine.physical_cores(), log=print)
    assert not problems
    target = dataset.targets[0]
    rows = np.empty((len(dataset), features.width), np.float32)
    for samples, block in features.blocks():
        rows[samples] = block
    for kind in ("drawn", "similar"):
        for mean_size in MEAN_SIZES:
            groups = (drawn_groups if kind == "drawn" else similar_groups)(rows, mean_size)
            grouped = replace(dataset, groups=np.array([f"sender {number}" for number in groups], object))
            folds, _ = fold_numbers(grouped, np.arange(len(dataset)), probe.folds, SEED)
            net = Net(recipe_network(probe, size, dataset.targets), SEED)
            fit_predict = fit_predict_heads(net, features, dict(dataset.labels), probe)
            predicted = cross_val_predict(folds, fit_predict)[target.name]
            yield kind, mean_size, Population(target, dataset.labels[target.name], predicted, groups)


def drawn_groups(features: NDArray[np.float32], mean_size: int) -> NDArray[np.int64]:
    """Groups of 1 to MAX_SIZE photos at random, their sizes geometric."""
    random = np.random.default_rng(SEED)
    sizes = np.clip(random.geometric(1 / mean_size, len(features)), 1, MAX_SIZE)
    return random.permutation(np.repeat(np.arange(len(sizes)), sizes)[: len(features)])


def similar_groups(features: NDArray[np.float32], mean_size: int) -> NDArray[np.int64]:
    """Groups of a photo drawn at random and those most similar to it, until every photo has a group."""
    random = np.random.default_rng(SEED)
    centred = features - features.mean(axis=0)
    *_, right = np.linalg.svd(centred, full_matrices=False)
    points = centred @ right[:32].T
    groups, number = np.full(len(features), -1), 0
    while (rest := np.flatnonzero(groups < 0)).size:
        size = int(np.clip(random.geometric(1 / mean_size), 1, MAX_SIZE))
        distances = ((points[rest] - points[random.choice(rest)]) ** 2).sum(axis=1)
        groups[rest[np.argsort(distances)[:size]]] = number
        number += 1
    return groups


if __name__ == "__main__":
    main()
