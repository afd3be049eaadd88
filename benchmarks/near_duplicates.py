"""Time and memory to find the near-duplicates among Fashion-MNIST's 70,000 images.

    python benchmarks/near_duplicates.py [--rounds N] [--note SENTENCE]

Every round is a process that reads the data and calls the functions of `muslin audit`. It counts the pairs below 50,
100 and 200 within train, within test and across, to compare with what is known of these bytes. --all-pairs adds one
round that compares all 2.4 billion pairs by matrix products over all 784 pixels: it must find the same pairs, and its
time shows what the projection saves. Writes everything to benchmarks/results/.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import peak_mb, start_result, write_result

LIMITS = (50, 100, 200)


def measure(all_pairs: bool) -> dict[str, Any]:
    from muslin.data import read
    from muslin.data.audit.duplicates import NEAR_DUPLICATE_DISTANCE_RATIO, find_duplicates
    from muslin.data.audit.image_stats import compute_image_stats
    from muslin.data.dataset import pixel_array

    dataset = read("fashion-mnist")
    wall, processor = time.perf_counter(), time.process_time()
    stats = compute_image_stats(dataset.images)
    image_stats_s = time.perf_counter() - wall
    duplicates = find_duplicates(dataset, stats, lambda sentence: None)
    pairs, distances, radius = duplicates.near_pairs, duplicates.distances, duplicates.radius
    if all_pairs:
        wall, processor = time.perf_counter(), time.process_time()
        pairs, distances = compare_all(pixel_array(dataset).reshape(len(dataset), -1), radius)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    assert dataset.parts is not None
    in_test = (dataset.parts == "test")[pairs].sum(axis=1)
    counts = {str(limit): [int(((in_test == n) & (distances < limit)).sum()) for n in (0, 2, 1)] for limit in LIMITS}
    return {
        "wall_s": round(wall, 2),
        "of_which_image_stats_s": None if all_pairs else round(image_stats_s, 2),
        "processor_s": round(processor, 2),
        "peak_mb": round(peak_mb(), 1),
        "radius": round(radius, 1),
        "near_duplicate_distance_ratio": NEAR_DUPLICATE_DISTANCE_RATIO,
        "pairs": len(pairs),
        "checksum": int((pairs * np.array([1, 70_001])).sum()),
        "train_test_across_below": counts,
        "identical": len(duplicates.identical),
    }


def compare_all(flat: NDArray[np.uint8], radius: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The same pairs, found by comparing each image with every other over all pixels."""
    values = flat.astype(np.float32)
    squares = (values.astype(np.float64) ** 2).sum(axis=1)
    near_pairs = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(values), 1000):
        squared = (
            squares[start : start + 1000, np.newaxis]
            + squares[start:]
            - 2.0 * (values[start : start + 1000] @ values[start:].T)
        )
        # sums of 784 products in float32 have a relative error of at most a few thousandths
        row, column = np.nonzero(squared < radius**2 + 1e-3 * squares.max())
        near_pairs.append(np.stack([row, column], axis=1)[column > row] + start)
    pairs = np.concatenate(near_pairs)
    difference = flat[pairs[:, 0]].astype(np.int64) - flat[pairs[:, 1]]
    distances = np.sqrt((difference**2).sum(axis=1))
    near = distances < radius
    return pairs[near], distances[near]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all-pairs", action="store_true", help="add one round without the projection")
    parser.add_argument("--note", default="", help="a remark to store with the result")
    parser.add_argument("--measure", choices=["projected", "all"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure == "all")))
        return

    head = start_result("Time and memory to find the near-duplicates among 70,000 images", arguments.note)
    methods = ["projected"] * arguments.rounds + ["all"] * arguments.all_pairs
    runs: dict[str, list[dict[str, Any]]] = {}
    for method in methods:
        command = [sys.executable, __file__, "--measure", method]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        runs.setdefault(method, []).append(json.loads(done.stdout))
        print(method, runs[method][-1], flush=True)
    if len({run["checksum"] for each in runs.values() for run in each}) != 1:
        sys.exit("Not every round found the same pairs.")
    result = {
        "median_wall_s": {method: statistics.median(run["wall_s"] for run in each) for method, each in runs.items()},
        "runs": runs,
    }
    write_result(head, result)


if __name__ == "__main__":
    main()
