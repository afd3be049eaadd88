"""How well does the audit rank wrong labels: 2 % of Fashion-MNIST's 70,000 labels changed at random.

    python benchmarks/wrong_labels.py [--share 0.02] [--seed N] [--note SENTENCE]

Changes the labels, runs what `muslin audit` runs, and prints the area under the ROC curve (1: every changed label
before every other) of the ranking by the score of the findings, samples that are no finding all counting as last; and
how many of the changed labels are found, and left out. Some of Fashion-MNIST's own labels are wrong, and count against
it. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import sys
from dataclasses import replace

import numpy as np
from results_file import begun, keep


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    from sklearn.metrics import roc_auc_score

    from muslin.data import read
    from muslin.workflows import audit as audit_workflow

    head = begun(
        f"How well does the audit rank wrong labels, {arguments.share:.0%} of Fashion-MNIST's changed?",
        arguments.note,
    )
    dataset = read("fashion-mnist")
    random = np.random.default_rng(arguments.seed)
    labels = dataset.labels["label"].copy()
    changed = random.choice(len(labels), round(arguments.share * len(labels)), replace=False)
    labels[changed] = (labels[changed] + random.integers(1, 10, len(changed))) % 10
    wrong = np.isin(np.arange(len(labels)), changed)

    def on_progress(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    mislabelled = replace(dataset, labels={"label": labels})
    audit = audit_workflow.audit(
        mislabelled, only=["suspect_label"], seed=arguments.seed, on_progress=on_progress
    )
    suspicion = np.zeros(len(labels))
    left_out = np.zeros(len(labels), dtype=bool)
    for finding in audit.of("suspect_label"):
        (sample,) = finding.samples
        suspicion[sample.place] = 1 - finding.score
        left_out[sample.place] = sample.leave_out
    found = suspicion > 0
    result = {
        "seconds": audit.to_dict()["seconds"],
        "judged": audit.examined["labels_judged"],
        "auroc": float(roc_auc_score(wrong, suspicion)),
        "changed": int(wrong.sum()),
        "findings": int(found.sum()),
        "found": int((found & wrong).sum()),
        "left_out_in_train": int(left_out.sum()),
        "left_out_and_changed": int((left_out & wrong).sum()),
    }
    print(
        json.dumps({k: v for k, v in (head | result).items() if k not in ("versions", "machine")}, indent=1)
    )
    keep(head, result)


if __name__ == "__main__":
    main()
