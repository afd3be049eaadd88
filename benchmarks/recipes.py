"""How long does a recipe train on Fashion-MNIST, and what is its test accuracy?

    python benchmarks/recipes.py [--recipe quick] [--seeds 5] [--keras PYTHON] [--note SENTENCE]

A rung of the ladder is one command: `--recipe brisk`. Runs `muslin train fashion-mnist` once per seed, each in a
process of its own, and keeps every seed's seconds and test accuracy, with the medians, in benchmarks/results/.
`train_s` is training alone, validation after each epoch included; `whole_s` is the command from start to end,
reading, sealing, evaluation and report included; `cpu_s` is the processor time of the command, which shows how much
of the machine it had.

Where Keras is installed (`--keras`, by default .venv-keras/bin/python), an epoch of the article's training is timed
before each seed and after the last. `articles` is then a seed's `train_s` in units of 50 times the mean of the epochs
just before and after it. Ctrl-C ends the series and keeps the seeds that are done; the last one then has the epoch
before it alone, if the one after it was not finished.
"""

import argparse
import json
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

HERE = Path(__file__).resolve().parent
EPOCHS_OF_ARTICLE = 50


def train_once(recipe: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train once, in a process of its own."""
    command = [sys.executable, "-m", "muslin", "train", "fashion-mnist", "--recipe", recipe, "--seed", str(seed)]
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--out", str(folder / f"{recipe}-{seed}"), "--json"], stdout=subprocess.PIPE, text=True, check=True
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


def keras_epoch(python: Path) -> dict[str, Any]:
    """Seconds of an epoch of the article's training, after one that does not count; and Keras's versions."""
    command = [str(python), str(HERE / "keras_tutorial.py"), "epochs", "--epochs", "2"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    return {"epoch_s": measured["epoch_s"][1], "epoch_cpu_s": measured["epoch_cpu_s"][1]} | measured["versions"]


def run_series(recipe: str, seeds: int, keras: Path | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The runs, and Keras's epochs before, between and after them. Ctrl-C and SIGTERM end it early."""
    runs: list[dict[str, Any]] = []
    epochs = [keras_epoch(keras)] if keras else []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        try:
            for seed in range(seeds):
                runs.append(train_once(recipe, seed, Path(folder)))
                print(json.dumps(runs[-1]), flush=True)
                if keras:
                    epochs.append(keras_epoch(keras))
        except KeyboardInterrupt:
            print(f"ended early, after {len(runs)} of {seeds} seeds", file=sys.stderr)
    for number, run in enumerate(runs if keras else ()):
        article_s = EPOCHS_OF_ARTICLE * statistics.mean(each["epoch_s"] for each in epochs[number : number + 2])
        run["articles"] = round(run["train_s"] / article_s, 5)
    return runs, epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0 (default 5)")
    default = HERE.parent / ".venv-keras/bin/python"
    parser.add_argument("--keras", type=Path, default=default if default.exists() else None, help="Keras's Python")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    options = parser.parse_args()
    words = ["--recipe", options.recipe, "--seeds", str(options.seeds)]
    head = start_result((__doc__ or "").splitlines()[0], options.note, words)
    runs, epochs = run_series(options.recipe, options.seeds, options.keras)
    if not runs:
        sys.exit("no seed was finished")
    names = ["train_s", "whole_s", "cpu_s", "test_accuracy", *(["articles"] if epochs else [])]
    result: dict[str, Any] = {"recipe": options.recipe}
    for which, statistic in (("median", statistics.median), ("min", min), ("max", max)):
        result[which] = {name: statistic([run[name] for run in runs]) for name in names}
    result["runs"] = runs
    if epochs:
        result["article"] = {
            "article_s": round(EPOCHS_OF_ARTICLE * statistics.median(each["epoch_s"] for each in epochs), 1),
            "epochs": epochs,
        }
    print(json.dumps(result["median"]))
    write_result(head, result, name=f"recipes_{options.recipe}")


if __name__ == "__main__":
    main()
