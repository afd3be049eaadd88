"""How accurate on photos, and how long, are muslin's recipes and what else one might take, side by side?

    python benchmarks/clothing_small.py [METHOD …] [--seeds 0 1 2] [--peers PYTHON] [--keras PYTHON] [--note SENTENCE]

METHOD is photo, photo-tuned, small-photo, pixels, hog or keras; by default all. The data are clothing-small with its
own parts: 3,068 photos to learn from; accuracy is that on the 341 validation and 372 test photos together, with a 95 %
interval (Wilson), and how many of each are correct. Recipes and Keras's network are trained once per seed, each in a
process of its own; `photo` starts with nothing in its cache. `pixels` and `hog` are scikit-learn's logistic regression.
`train_s` is training alone, for muslin with looking at the photos; `cpu_s` is the processor time of the whole command
for muslin, of training for the others, which says more than seconds do where others use the machine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from results_file import start_result, write_result

from muslin.data import read
from muslin.data.dataset import pixel_array
from muslin.data.photos import decode_photos
from muslin.evaluation.intervals import wilson_interval

RECIPES = ("photo", "photo-tuned", "small-photo")
PEERS = ("pixels", "hog", "keras")


def run_muslin(recipe: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train in a process of its own and evaluate on both parts."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}

    def muslin_json(*words: str) -> Any:
        command = [sys.executable, "-m", "muslin", *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return json.loads(done.stdout[done.stdout.index("{") :])

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = muslin_json("train", "clothing-small", "--recipe", recipe, "--seed", str(seed), "--out", str(folder / "run"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    row: dict[str, Any] = {
        "train_s": run["train_s"],
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
    }
    for part in ("validation", "test"):
        evaluation = muslin_json("evaluate", run["model"], "clothing-small", "--split", part)
        (metrics,) = evaluation["targets"].values()
        row[f"{part}_correct"], row[f"{part}_n"] = round(metrics["accuracy"] * metrics["n"]), metrics["n"]
    return row


def run_peer(name: str, python: str, photos: Path, seed: int) -> dict[str, Any]:
    script = Path(__file__).with_name("clothing_small_peers.py")
    command = [python, str(script), name, str(photos), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def write_photos_for_peers(path: Path) -> None:
    dataset, arrays = read("clothing-small"), {}
    for part in ("train", "validation", "test"):
        decoded = decode_photos(dataset.part(part), (64, 64, 3))
        arrays[part], arrays[f"{part}_labels"] = pixel_array(decoded), decoded.labels["label"]
    np.savez(path, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", default=[*RECIPES, *PEERS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--peers", default=sys.executable, help="a Python with scikit-learn and scikit-image")
    parser.add_argument("--keras", default=sys.executable, help="a Python with Keras")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    options = parser.parse_args()
    words = [*options.methods, "--seeds", *map(str, options.seeds)]
    head = start_result((__doc__ or "").splitlines()[0], options.note, words)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        photos = Path(temporary) / "photos.npz"
        if set(options.methods) & set(PEERS):
            write_photos_for_peers(photos)
        for method in options.methods:
            # a fitted head and a regression do not depend on the seed
            for seed in options.seeds[: 1 if method in ("photo", "pixels", "hog") else None]:
                if method in RECIPES:
                    folder = Path(temporary) / f"{method}-{seed}"
                    folder.mkdir()
                    row = run_muslin(method, seed, folder)
                else:
                    python = options.keras if method == "keras" else options.peers
                    row = run_peer(method, python, photos, seed)
                correct = row["validation_correct"] + row["test_correct"]
                n = row["validation_n"] + row["test_n"]
                row = {
                    "method": method,
                    "seed": seed,
                    "accuracy": correct / n,
                    "interval": wilson_interval(correct, n),
                } | row
                rows.append(row)
                print(json.dumps(row), flush=True)
    write_result(head, {"rows": rows})


if __name__ == "__main__":
    main()
