"""How well does the audit rank label errors, 2 % of Fashion-MNIST's 70,000 labels changed at random?

    python benchmarks/label_errors.py [--fraction 0.02] [--seed N] [--note SENTENCE]

Changes the labels, runs `muslin audit`, and prints the area under the ROC curve (1: every changed label ranks before
every other) of the findings' scores, where samples without a finding rank last; and how many of the changed labels are
found and suggested for exclusion. Some of Fashion-MNIST's own labels are wrong and count against the audit. Keeps
everything in benchmarks/results/.
"""

import argparse
import json
import sys
from dataclasses import replace

import numpy as np
from results_file import start_result, write_result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    from sklearn.metrics import roc_auc_score

    from muslin.data import read
    from muslin.workflows.audit import audit

    question = f"How well does the audit rank label errors, {arguments.fraction:.0%} of Fashion-MNIST's labels?"
    head = start_result(question, arguments.note)
    dataset = read("fashion-mnist")
    random = np.random.default_rng(arguments.seed)
    labels = dataset.labels["label"].copy()
    changed = random.choice(len(labels), round(arguments.fraction * len(labels)), replace=False)
    labels[changed] = (labels[changed] + random.integers(1, 10, len(changed))) % 10
    is_changed = np.isin(np.arange(len(labels)), changed)

    result = audit(
        replace(dataset, labels={"label": labels}),
        checks=["suspect_label"],
        seed=arguments.seed,
        log=lambda sentence: print(sentence, file=sys.stderr, flush=True),
    )
    suspicion = np.zeros(len(labels))
    excluded = np.zeros(len(labels), dtype=bool)
    for finding in result.of("suspect_label"):
        (sample,) = finding.samples
        suspicion[sample.index] = 1 - finding.score
        excluded[sample.index] = sample.exclude
    has_finding = suspicion > 0
    measured = {
        "seconds": result.to_dict()["seconds"],
        "labels_checked": result.overview["label_checks_per_target"],
        "auroc": float(roc_auc_score(is_changed, suspicion)),
        "changed": int(is_changed.sum()),
        "findings": int(has_finding.sum()),
        "found": int((has_finding & is_changed).sum()),
        "excluded": int(excluded.sum()),
        "excluded_and_changed": int((excluded & is_changed).sum()),
    }
    print(json.dumps(measured, indent=1))
    write_result(head, measured)


if __name__ == "__main__":
    main()
