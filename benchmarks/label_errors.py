"""How well does the audit rank label errors, when labels of a data set are changed?

    python benchmarks/label_errors.py [DATA] [--fraction 0.02 0.05] [--kind random similar] [--seed N] [--note SENTENCE]

DATA is fashion-mnist by default, or any data with one label an image, such as clothing-small. `random` changes labels
to any other class, `similar` to the class that models take the true one for most often. The audit checks the changed
labels. Prints for its score, and for three others made of the same probabilities, the area under
the ROC curve (1: every changed label ranks before every other) and the share of changed labels among the first 20; and
for the audit's how many of the first it expects to be wrong, and how many are listed, excluded and changed. Labels that
were wrong from the start count against every score. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

FIRST = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="fashion-mnist")
    parser.add_argument("--fraction", type=float, nargs="+", default=[0.02, 0.05])
    parser.add_argument("--kind", nargs="+", choices=("random", "similar"), default=["random", "similar"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    from muslin.data import read
    from muslin.data.audit.checks import AuditContext
    from muslin.data.audit.duplicates import find_duplicates
    from muslin.data.audit.image_stats import compute_image_stats
    from muslin.workflows.label_check import check_labels

    def log(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    head = start_result("How well does the audit rank label errors, when labels are changed?", arguments.note)
    dataset = read(arguments.data)
    stats = compute_image_stats(dataset.images, log)
    context = AuditContext(dataset, stats, find_duplicates(dataset, stats, log))
    name = dataset.target().name
    given = dataset.labels[name]
    unchanged = check_labels(context, arguments.seed, log)
    measured: dict[str, Any] = {"data": dataset.name, "models": unchanged.label_models, "labels": len(given)}
    measured["unchanged"] = measure(given, np.zeros(len(given), dtype=bool), unchanged, name)
    print(json.dumps(measured, indent=1), flush=True)
    similar = most_confused(given, unchanged.probabilities[name])
    for kind in arguments.kind:
        for fraction in arguments.fraction:
            random = np.random.default_rng(arguments.seed)
            changed = random.choice(len(given), round(fraction * len(given)), replace=False)
            labels, n_classes = given.copy(), len(similar)
            other = (given[changed] + random.integers(1, n_classes, len(changed))) % n_classes
            labels[changed] = other if kind == "random" else similar[given[changed]]
            started = time.perf_counter()
            checked = check_labels(
                replace(context, dataset=replace(dataset, labels={name: labels})), arguments.seed, log
            )
            scores = measure(labels, np.isin(np.arange(len(labels)), changed), checked, name)
            scores["seconds"] = round(time.perf_counter() - started, 1)
            measured[f"{kind}_{fraction:g}"] = scores
            print(kind, fraction, json.dumps(scores, indent=1), flush=True)
    write_result(head, measured)


def most_confused(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Per class the other class that is predicted most often for it."""
    known = ~np.isnan(probabilities[:, 0])
    counts = np.zeros((probabilities.shape[1],) * 2)
    np.add.at(counts, (labels[known], probabilities[known].argmax(axis=1)), 1)
    np.fill_diagonal(counts, -1)
    return np.asarray(counts.argmax(axis=1))


def measure(labels: NDArray[np.int64], changed: NDArray[np.bool_], context: Any, name: str) -> dict[str, Any]:
    """The audit's estimates; and, where labels were changed, its ranking beside three others."""
    from sklearn.metrics import roc_auc_score

    from muslin.data.audit.label_noise import PROBABLE
    from muslin.data.audit.labels import class_thresholds, self_confidence

    errors, probabilities = context.label_errors[name], context.probabilities[name]
    known = ~np.isnan(errors.wrong)
    wrong, probable, changed = errors.wrong[known], errors.wrong[known] >= PROBABLE, changed[known]
    measured = {
        "expected_wrong": [asdict(each) for each in errors.expected],
        "listed": int(errors.listed.sum()),
        "probably_wrong": int(probable.sum()),
    }
    if not changed.any():
        return measured
    rows = np.arange(len(labels))[known]
    own = self_confidence(labels[rows], probabilities[rows])
    others = probabilities[rows].copy()
    others[np.arange(len(rows)), labels[rows]] = 0
    scores = {
        "probability that the label is wrong": wrong,
        "self-confidence": -own,
        "self-confidence, divided by what is typical for the class": -own
        / class_thresholds(labels[rows], probabilities[rows])[labels[rows]],
        "margin to the most probable other class": others.max(axis=1) - own,
    }
    order = np.argsort(-wrong, kind="stable")
    return measured | {
        "changed": int(changed.sum()),
        "listed_and_changed": int((errors.listed[known] & changed).sum()),
        "probably_wrong_and_changed": int((probable & changed).sum()),
        "changed_of_first": {each.n: int(changed[order[: each.n]].sum()) for each in errors.expected},
        "auroc_of_findings": float(roc_auc_score(changed, np.where(errors.listed[known], wrong, 0))),
        "auroc": {score: float(roc_auc_score(changed, values)) for score, values in scores.items()},
        f"precision_of_first_{FIRST}": {
            score: float(changed[np.argsort(-values, kind="stable")[:FIRST]].mean()) for score, values in scores.items()
        },
    }


if __name__ == "__main__":
    main()
