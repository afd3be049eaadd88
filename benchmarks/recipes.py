"""How long does a recipe train on Fashion-MNIST, and what is its test accuracy?

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

from results_file import start_result, write_result


def train_once(recipe: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train once, in a process of its own."""
    command = [sys.executable, "-m", "muslin", "train", "fashion-mnist", "--recipe", recipe, "--seed", str(seed)]
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--out", str(folder / f"{recipe}-{seed}"), "--json"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = json.loads(done.stdout.splitlines()[-1])
    return {
        "seed": seed,
        "train_s": summary["train_s"],
        "whole_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime, 2),
        "test_accuracy": summary["test"]["label"]["accuracy"],
        "epochs": summary["epochs"],
        "parameters": summary["parameters"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0 (default 5)")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    options = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for seed in range(options.seeds):
            runs.append(train_once(options.recipe, seed, Path(folder)))
            print(json.dumps(runs[-1]), flush=True)
    metrics = ("train_s", "whole_s", "cpu_s", "test_accuracy")
    medians = {name: statistics.median(run[name] for run in runs) for name in metrics}
    result = {
        "recipe": options.recipe,
        "median": medians,
        "min": {name: min(run[name] for run in runs) for name in metrics},
        "max": {name: max(run[name] for run in runs) for name in metrics},
        "runs": runs,
    }
    print(json.dumps(medians))
    write_result(head, result, name=f"recipes_{options.recipe}")


if __name__ == "__main__":
    main()
