"""How long does a recipe train on Fashion-MNIST, and how often is what comes out right?

    python benchmarks/recipes.py [--recipe quick] [--seeds 5] [--note SENTENCE]

Runs `muslin train fashion-mnist` once per seed, each in a process of its own, and keeps every seed's seconds and test
accuracy, with the medians, in benchmarks/results/. `train_s` is the training alone, validation after each epoch
included; `whole_s` is the command from start to end, reading, sealing, evaluation and report included; `cpu_s` is the
processor time of the command, which shows how much of the machine it had.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results_file import begun, keep


def one(recipe: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train once and say what it took."""
    command = [
        sys.executable,
        "-m",
        "muslin",
        "train",
        "fashion-mnist",
        "--recipe",
        recipe,
        "--seed",
        str(seed),
    ]
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--out", str(folder / f"{recipe}-{seed}"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = json.loads(done.stdout.splitlines()[-1])
    return {
        "seed": seed,
        "train_s": answer["train_s"],
        "whole_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime, 2),
        "test_accuracy": answer["test"]["accuracy"],
        "epochs": answer["epochs"],
        "parameters": answer["parameters"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0 (default 5)")
    parser.add_argument(
        "--note", default="", help="kept with the result, for example that the machine was shared"
    )
    options = parser.parse_args()
    head = begun((__doc__ or "").splitlines()[0], options.note)
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for seed in range(options.seeds):
            runs.append(one(options.recipe, seed, Path(folder)))
            print(json.dumps(runs[-1]), flush=True)
    figures = ("train_s", "whole_s", "cpu_s", "test_accuracy")
    medians = {name: statistics.median(run[name] for run in runs) for name in figures}
    result = {
        "recipe": options.recipe,
        "median": medians,
        "least": {name: min(run[name] for run in runs) for name in figures},
        "most": {name: max(run[name] for run in runs) for name in figures},
        "runs": runs,
    }
    print(json.dumps(medians))
    keep(head, result, name=f"recipes_{options.recipe}")


if __name__ == "__main__":
    main()
