"""How accurate on photos, and how long, are muslin's recipes and what else one might take, side by side?

    python benchmarks/clothing_small.py [METHOD …] [--two-classes] [--seeds 0 1 2] [--threads N] [--peers PYTHON]
        [--keras PYTHON] [--note SENTENCE]

METHOD is photo, photo-tuned, small-photo, pixels, hog or keras, which are the default; another recipe of muslin, at
64 px (quick, brisk, thorough, meticulous); or features or finetune. Those that are no recipes are in
clothing_small_peers.py. The data are clothing-small with its own parts: 3,068 training photos. Accuracy is that on the
341 validation and 372 test photos together, with a 95 % interval (Wilson), and how many of each are correct. So nothing
is fitted to the validation photos: muslin trains with `--folds 0`. `--two-classes` makes two of its ten, clothes below
the waist (pants, shorts, skirt, shoes) and the others: a set of the size and kind of cats against dogs.

Recipes and networks are trained once per seed, each in a process of its own, muslin's with an empty cache. `pixels`,
`hog` and `features` are scikit-learn's logistic regression. `train_s` is training alone; for photo and photo-tuned it
includes the extraction of features. `cpu_s` is the processor time of the whole command for muslin, of training for the
others, which says more than seconds do where others use the machine. `--threads` are those of muslin's training.
Ctrl-C ends the series and keeps what is done.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

from muslin.data import read
from muslin.data.dataset import Dataset, pixel_array
from muslin.data.dataset_cache import obtain
from muslin.data.photos import decode_photos, resize_photos
from muslin.evaluation.intervals import wilson_interval
from muslin.learn.recipes import RECIPES as RECIPE_TABLE
from muslin.learn.recipes import LinearProbeRecipe
from muslin.machine import physical_cores

RECIPES = ("photo", "photo-tuned", "small-photo")
SMALL_RECIPES = ("quick", "brisk", "thorough", "meticulous")
PEERS = ("pixels", "hog", "keras")
SIDES = {"pixels": 64, "hog": 64, "keras": 64, "finetune": 224}
"""Of the photos that a peer gets; `features` gets features."""

BELOW_THE_WAIST = ("pants", "shorts", "skirt", "shoes")


def run_muslin(recipe: str, seed: int, folder: Path, data: Sequence[str], threads: int | None) -> dict[str, Any]:
    """Train in a process of its own and evaluate on both parts, of which it was trained on no photo."""
    folder.mkdir()
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}

    def muslin_json(*words: str) -> Any:
        command = [sys.executable, "-m", "muslin", *words, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        return json.loads(done.stdout[done.stdout.index("{") :])

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # with folds, the head of `photo` would be fitted to the validation photos too
    settings = ["--recipe", recipe, "--seed", str(seed), "--folds", "0"]
    settings += ["--threads", str(threads)] if threads else []
    run = muslin_json("train", *data, *settings, "--out", str(folder / "run"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    row: dict[str, Any] = {
        "train_s": run["train_s"],
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "epochs": run["epochs"],
    }
    for part in ("validation", "test"):
        evaluation = muslin_json("evaluate", run["model"], *data, "--split", part)
        if (seen := evaluation["seen_images"])["train"] and not seen["set_aside"]:
            sys.exit(f"{recipe} was trained on {seen['train']} of the {part} photos")
        (metrics,) = evaluation["targets"].values()
        row[f"{part}_correct"], row[f"{part}_n"] = round(metrics["accuracy"] * metrics["n"]), metrics["n"]
    return row


def run_peer(name: str, python: str, photos: Path, seed: int) -> dict[str, Any]:
    script = Path(__file__).with_name("clothing_small_peers.py")
    command = [python, str(script), name, str(photos), str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def write_for_peer(name: str, path: Path, data: Dataset) -> None:
    """The photos at the side that the peer takes, or their features, part by part."""
    arrays = {}
    for part in ("train", "validation", "test"):
        of_part = data.part(part)
        arrays[f"{part}_labels"] = of_part.labels["label"]
        if name == "features":
            arrays[part] = features_of(of_part)
        else:
            arrays[part] = pixel_array(decode_photos(of_part, (SIDES[name], SIDES[name], 3)))
    np.savez(path, **arrays)


def features_of(data: Dataset) -> NDArray[np.float32]:
    """What the recipe `photo` fits its head to, float32 (photos, width)."""
    from muslin.learn.train import extract_features

    recipe = RECIPE_TABLE["photo"]
    assert isinstance(recipe, LinearProbeRecipe)
    resized = resize_photos(data, (recipe.image_size, recipe.image_size, 3))
    features, _ = extract_features(resized, recipe, seed=0, threads=physical_cores())
    rows = np.empty((len(features), features.width), np.float32)
    for samples, block in features.blocks():
        rows[samples] = block
    return rows


def in_two_classes(data: Dataset, table: Path) -> list[str]:
    """The words with which muslin reads the data in two classes, from a new table of its photos."""
    (target,) = data.targets
    lines = ["photo,label,part"]
    for name, label, part in zip(data.ids, data.labels[target.name], data.parts, strict=True):
        lines.append(f"{name},{'lower' if target.classes[label] in BELOW_THE_WAIST else 'upper'},{part}")
    table.write_text("\n".join(lines) + "\n")
    return [str(table), "--images", str(obtain("clothing-small").path), "--target", "label"]


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each training."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data, source = read("clothing-small"), ["clothing-small"]
        if options.two_classes:
            source = in_two_classes(data, folder / "two_classes.csv")
        for method in options.methods:
            is_muslin = method in (*RECIPES, *SMALL_RECIPES)
            if not is_muslin:
                write_for_peer(method, folder / f"{method}.npz", data)
            # a fitted head and a regression do not depend on the seed
            for seed in [0] if method in ("photo", "pixels", "hog", "features") else options.seeds:
                if is_muslin:
                    row = run_muslin(method, seed, folder / f"{method}-{seed}", source, options.threads)
                else:
                    python = options.keras if method == "keras" else options.peers
                    row = run_peer(method, python, folder / f"{method}.npz", seed)
                correct, n = (row[f"validation_{name}"] + row[f"test_{name}"] for name in ("correct", "n"))
                interval = wilson_interval(correct, n)
                yield {"method": method, "seed": seed, "accuracy": correct / n, "interval": interval} | row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", default=[*RECIPES, *PEERS])
    parser.add_argument("--two-classes", action="store_true", help="clothes below the waist, and the others")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--threads", type=int, help="of muslin's training (default: one a core)")
    parser.add_argument("--peers", default=sys.executable, help="a Python with scikit-learn and scikit-image")
    parser.add_argument("--keras", default=sys.executable, help="a Python with Keras")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    options = parser.parse_args()
    words = [*options.methods, *(["--two-classes"] if options.two_classes else []), "--seeds", *map(str, options.seeds)]
    words += ["--threads", str(options.threads)] if options.threads else []
    head = start_result((__doc__ or "").splitlines()[0], options.note, words)
    rows: list[dict[str, Any]] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for row in measure(options):
            rows.append(row)
            print(json.dumps(row), flush=True)
    except KeyboardInterrupt:
        print(f"ended early, after {len(rows)} trainings", file=sys.stderr)
    if not rows:
        sys.exit("no training was finished")
    write_result(head, {"rows": rows}, name="clothing_two_classes" if options.two_classes else None)


if __name__ == "__main__":
    main()
