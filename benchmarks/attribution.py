"""Do muslin's attributions mark what a network goes by?

    python benchmarks/attribution.py MODEL DATA [--images 100] [--note SENTENCE]

Explains random images of DATA's test set, each for its predicted class:

- deletion: cells are deleted, strongest attribution first, and in random orders; the area under the class's
  probability must be smaller by attribution. Paired by image: the mean difference with its 95 % interval, and on how
  many images it is smaller. Insertion into a blurred copy likewise, where the area must be larger.
- shuffled weights: the rank correlation of each map with that of the same network with shuffled weights.

Keeps everything, image by image, in benchmarks/results/.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from results_file import start_result, write_result


def mean_with_interval(values: "np.typing.NDArray[np.float64]") -> dict[str, Any]:
    """The mean and its 95 % interval by Student's t."""
    from scipy.stats import t

    half_width = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return {"mean": mean, "interval": [mean - half_width, mean + half_width], "n": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--orders", type=int, default=10, help="random orders an image")
    parser.add_argument("--steps", type=int, default=16, help="of each curve")
    parser.add_argument("--shuffles", type=int, default=3, help="networks with shuffled weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()

    from muslin.data import read
    from muslin.explain.inspection import InspectedModel, Inspection
    from muslin.explain.sanity_checks import order_test, shuffle_test, shuffled
    from muslin.workflows.selected_part import select_part

    head = start_result("Do attributions mark what the network goes by?", arguments.note)
    started = time.perf_counter()
    inspected = InspectedModel.open(arguments.model)
    selected = select_part(inspected.predictor, read(arguments.data), "test")
    part = selected.images
    chosen = np.random.default_rng(arguments.seed).permutation(len(part))[: arguments.images]
    target = inspected.bundle.targets[0].name
    others = [shuffled(inspected.layered, arguments.seed + i) for i in range(arguments.shuffles)]
    rows = []
    for place in np.sort(chosen):
        inspection = Inspection(inspected, part.images[int(place)], preprocessed=True)
        label = inspection.predictions[target]["label"]
        attribution = inspection.attribute(target, label)
        column = inspected.bundle.targets[0].classes.index(label)

        def probability(pixels: Any, column: int = column) -> Any:
            return inspected.predictor.predict_pixels(pixels)[target][:, column]

        tests = {
            name: order_test(
                inspection.pixels, attribution.cells, probability, insert=name == "insertion",
                seed=arguments.seed + int(place), steps=arguments.steps, removal_orders=arguments.orders,
            )["auc"]
            for name in ("deletion", "insertion")
        }  # fmt: skip
        rows.append(
            {
                "id": str(part.ids[int(place)]),
                "label": label,
                "layer": attribution.layer,
                "is_exact": attribution.is_exact,
                "difference": abs(attribution.sum - attribution.score),
                "deletion": [tests["deletion"]["attribution"], tests["deletion"]["random"]],
                "insertion": [tests["insertion"]["attribution"], tests["insertion"]["random"]],
                "shuffled_weights": shuffle_test(inspection.trace, attribution, others)["correlations"],
            }
        )
        print(f"{len(rows)} of {len(chosen)}", end="\r", file=sys.stderr)

    differences = {name: np.array([row[name][0] - row[name][1] for row in rows]) for name in ("deletion", "insertion")}
    correlations = np.array([row["shuffled_weights"] for row in rows])
    result = {
        "seconds": round(time.perf_counter() - started, 1),
        "data": part.name,
        "part": selected.part,
        "model_test": inspected.bundle.provenance.get("test"),
        "deletion": mean_with_interval(differences["deletion"])
        | {"lower_by_attribution": int((differences["deletion"] < 0).sum())},
        "insertion": mean_with_interval(differences["insertion"])
        | {"higher_by_attribution": int((differences["insertion"] > 0).sum())},
        "shuffled_weights": mean_with_interval(correlations.mean(1)) | {"largest": float(np.abs(correlations).max())},
        "n_exact": sum(row["is_exact"] for row in rows),
        "largest_difference": max(row["difference"] for row in rows),
        "images": rows,
    }
    shown = ("seconds", "deletion", "insertion", "shuffled_weights", "n_exact", "largest_difference")
    print(json.dumps({name: result[name] for name in shown}, indent=1))
    write_result(head, result, indent=None)


if __name__ == "__main__":
    main()
