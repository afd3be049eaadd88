"""How many times as long as muslin does Keras on TensorFlow take for an epoch of the tutorial's training?

    python benchmarks/training_step_keras.py [--rounds N] [--images N] [--epochs N] [--keras PYTHON] [--note SENTENCE]

The same network with its dropout, the same images, batches of 512 and Adam; training alone, without validation. Every
measurement is a process of its own that trains a few epochs, of which the first does not count. The two take turns, and
what counts is the ratio within a round, by the clock and in processor time (the steadier where others use the machine).
Keras lives in an environment of its own: see README.md. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

HERE = Path(__file__).resolve().parent
WAYS = ("keras", "muslin")


def measure(images: int, epochs: int) -> dict[str, Any]:
    """Seconds of each epoch of the recipe `tutorial` in this process, by the clock and of the processor."""
    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.learn.modules import Net
    from muslin.learn.recipes import SGDRecipe, recipe, recipe_network
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.training_loop import Progress, TrainingControl, fit

    chosen = recipe("tutorial", epochs=epochs)
    train = read("fashion-mnist").part("train")
    pixels, labels = pixel_array(train)[:images], train.labels["label"][:images]
    assert isinstance(chosen, SGDRecipe)
    net = Net(recipe_network(chosen, (28, 28, 1), train.targets), seed=0)
    ends = [(time.perf_counter(), time.process_time())]

    def on_progress(progress: Progress) -> None:
        if progress.row:
            ends.append((time.perf_counter(), time.process_time()))

    nothing = pixels[:0], {"label": labels[:0]}
    fit(
        net,
        (pixels, {"label": labels}),
        nothing,
        chosen,
        seed=0,
        compute=choose_compute_settings(),
        control=TrainingControl(on_progress=on_progress),
    )
    wall, processor = ([after[i] - before[i] for before, after in pairwise(ends)] for i in (0, 1))
    return {"epoch_s": wall, "epoch_cpu_s": processor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=48_000, help="an epoch has (default 48,000)")
    parser.add_argument("--epochs", type=int, default=2, help="in a process; the first does not count")
    parser.add_argument("--keras", default=HERE.parent / ".venv-keras/bin/python", help="Keras's interpreter")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs must be at least 2: the first does not count")
    if arguments.measure:
        print(json.dumps(measure(arguments.images, arguments.epochs)))
        return

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    size = ["--images", str(arguments.images), "--epochs", str(arguments.epochs)]
    commands = {
        "keras": [str(arguments.keras), str(HERE / "keras_tutorial.py"), "epochs", *size],
        "muslin": [sys.executable, __file__, "--measure", *size],
    }
    rounds = []
    for number in range(arguments.rounds):
        # they take turns to begin, so that a machine that slows down or warms up favours neither
        row = {}
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            done = subprocess.run(commands[way], check=True, stdout=subprocess.PIPE, text=True)
            row[way] = json.loads(done.stdout.splitlines()[-1])
        rounds.append(row)
        print(number + 1, {way: [round(s, 2) for s in row[way]["epoch_s"]] for way in WAYS}, flush=True)

    def warm(figure: str) -> dict[str, list[float]]:
        return {way: [statistics.median(row[way][figure][1:]) for row in rounds] for way in WAYS}

    measured: dict[str, Any] = {
        "images": arguments.images,
        "batch_size": 512,
        "keras_versions": rounds[0]["keras"].pop("versions"),
    }
    for figure in ("epoch_s", "epoch_cpu_s"):
        seconds = warm(figure)
        ratios = [keras / ours for keras, ours in zip(*(seconds[way] for way in WAYS), strict=True)]
        measured[figure] = {way: round(statistics.median(values), 3) for way, values in seconds.items()}
        measured[figure.replace("epoch", "ratio").removesuffix("_s")] = {
            "median": round(statistics.median(ratios), 3),
            "min": round(min(ratios), 3),
            "max": round(max(ratios), 3),
        }
    print(json.dumps(measured))
    write_result(head, measured | {"rounds": rounds})


if __name__ == "__main__":
    main()
