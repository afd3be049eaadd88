"""How often do a few hundred photos support a guarantee of 95 %, by what an oracle could accept?

    python benchmarks/few_photos.py PHOTOS [--labelled 400 800] [--models 3] [--draws 200] [--note SENTENCE]

PHOTOS is clothing-small. 400 and 800 of its photos are labelled: those of 500 and 1,000 that are no test set. Linear
probes on 2 to 64 principal components of the features of the recipe `photo` make models of many accuracies, each
fitted to --models different draws of photos; in some, labels are replaced at random. The other photos are the
population from which calibration sets are drawn; see `redraws.py`. Compares, on the same draws, muslin's search with
others: strict from the first rank at which a guarantee is possible; a betting martingale, whose last rank that passes
is proven; and the last rank that passes the exact test, which is no guarantee, but what no search by the same test
exceeds. Keeps everything in benchmarks/results/.
"""

import argparse
from collections.abc import Callable
from typing import Any

import guarantee_tables
import numpy as np
from cross_fitting import predict_linear, read_features
from plain_bound import plain_threshold
from redraws import SEED, Population, measure
from results_file import start_result, write_result
from tables import markdown_table

PRECISION_TARGET = 0.95
CASES = (*((components, 0.0) for components in (2, 3, 4, 5, 6, 8, 12, 64)), (8, 0.02), (64, 0.02), (64, 0.04))
"""Principal components, and the share of labels that are replaced."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--labelled", type=int, nargs="+", default=[400, 800])
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    from muslin.evaluation.precision_bound import accept_threshold

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    methods: dict[str, Callable[[Any, Any, float, Any], float]] = {
        "muslin": accept_threshold,
        "strict": lambda *data: plain_threshold(*data, lenient=False),
        "betting": betting_threshold,
        "any rank": lambda *data: plain_threshold(*data, lenient=True),
    }
    features, labels, target = read_features(arguments.photos)
    rows = []
    for n in arguments.labelled:
        for components, replaced in CASES:
            for model in range(arguments.models):
                random = np.random.default_rng([model, n])
                given = np.where(random.random(len(labels)) < replaced, random.permutation(labels), labels)
                order = random.permutation(len(labels))
                fitted_to, others = order[:n], order[n:]
                predicted = predict_linear(features[:, -components:], given, fitted_to, others, len(target.classes))
                population = Population(target, given[others], predicted)
                (row,) = measure(population, methods, n, arguments.draws, [PRECISION_TARGET])
                accuracy = float((predicted.argmax(axis=1) == given[others]).mean())
                rows.append(
                    {"components": components, "replaced": replaced, "model": model, "accuracy": accuracy} | row
                )
                print(f"{n} photos, {components} components: an oracle accepts {row['oracle']:.2f}", flush=True)
    result = {"draws": arguments.draws, "seed": SEED, "rows": rows}
    print("\n".join(markdown_table(*guarantee_tables.few_photos([result]))))
    write_result(head, result)


def betting_threshold(confidence: Any, correct: Any, target: float, groups: Any) -> float:
    """The last rank at which a gambler has 20 times what he began with, who loses on average if precision is lower.

    Ville's inequality holds for all ranks together, so no start and no order is needed (Waudby-Smith and Ramdas,
    Estimating means of bounded random variables by betting, JRSS B 86, 2024). He bets as is best where 99.5 % are
    correct; 97.5 and 98.5 % were worse in these draws.
    """
    bet = 0.995
    wealth = np.cumsum(np.where(correct, np.log(bet / target), np.log((1 - bet) / (1 - target))))
    is_end = np.append(np.diff(confidence) != 0, True)  # equal confidences are accepted together
    passes = np.flatnonzero((wealth >= np.log(20)) & is_end)
    return float(confidence[passes[-1]]) if len(passes) else np.inf


if __name__ == "__main__":
    main()
