"""How do time and memory grow with the images' number and side, the network's width, the classes and the threads?

    python benchmarks/growth.py [--quick] [--rounds N] [--seconds S] [--threads N] [--note SENTENCE]

Of Fashion-MNIST's images, repeated or scaled, IDX files are written into a temporary folder (1.3 GB), read by
`muslin.data.read`, and trained on with the recipe `quick`, without validation; then the model predicts. One thing
grows at a time from BASE; each point is a process of its own, and they take turns, N rounds of them. All images of a
point are read and in memory. Its epoch is not always run to the end: steps are timed for S seconds, but at least eight
of them, from the end of the first on, and an epoch is as many steps as it has at their mean time. `peak_mb` is the most
memory the process held from its start until training ended, `import_mb` what importing torch alone took of it. Keeps
everything in benchmarks/results/; `tables.py` makes a table and an image of it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from results_file import peak_mb, start_result, write_result

BASE = {"images": 4096, "side_px": 28, "width": 1.0, "classes": 10}
"""Sixteen whole batches; `width` multiplies the widths of the recipe's network. Threads are as many as cores."""
AXES = {
    "images": (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "side_px": (14, 20, 28, 40, 56, 80, 112),
    "width": (0.5, 1.0, 2.0, 4.0),
    "classes": (2, 10, 100, 1_000),
}
QUICK_AXES = {
    "images": (1_000, 10_000, 100_000),
    "side_px": (14, 28, 56),
    "width": (0.5, 1.0, 2.0),
    "classes": (2, 10, 1_000),
}
MIN_STEPS = 8
ANSWERED_TOGETHER = 64
Point = dict[str, Any]


def thread_counts(most: int) -> tuple[int, ...]:
    """1, 2, 4, … and `most`."""
    return tuple(sorted({*(2**power for power in range(most.bit_length())), most}))


def points(base: Point, axes: dict[str, tuple[Any, ...]]) -> list[Point]:
    """The base and what differs from it in one thing, each once."""
    found = [base]
    for axis, values in axes.items():
        found += [point for value in values if (point := base | {axis: value}) not in found]
    return found


def folder_of(point: Point, folder: Path) -> Path:
    return folder / f"{point['images']}_of_{point['side_px']}_px"


def write_images(selected: list[Point], folder: Path) -> None:
    """The IDX files that the points read: Fashion-MNIST's training images, again from the first after the last."""
    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.data.writers.idx import write_part

    train = read("fashion-mnist").part("train")
    pixels, labels = pixel_array(train), train.labels["label"]
    for point in selected:
        if not (place := folder_of(point, folder)).exists():
            place.mkdir()
            count, side = point["images"], point["side_px"]
            nearest = np.arange(side) * pixels.shape[1] // side
            scaled = pixels[:count, nearest][:, :, nearest]
            write_part(np.resize(scaled, (count, side, side, 1)), np.resize(labels, count), place, None)


def measure(point: Point, folder: Path, seconds: float) -> dict[str, Any]:
    """What one point takes, in this process."""
    import torch  # noqa: F401  # alone, to see what it takes

    import_mb = peak_mb()
    from muslin.data import read
    from muslin.data.dataset import Split, Target
    from muslin.errors import StoppedError
    from muslin.learn.batches import steps_per_epoch
    from muslin.learn.export import export
    from muslin.learn.modules import Net
    from muslin.learn.recipes import SGDRecipe, recipe
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.train import golden_images, network_for, training_arrays
    from muslin.learn.training_loop import Progress, TrainingControl, fit
    from muslin.models.bundle import seal
    from muslin.models.predictor import Predictor

    started = time.perf_counter()
    dataset = read(folder_of(point, folder))
    read_s, read_mb = time.perf_counter() - started, peak_mb()
    count = len(dataset)
    if point["classes"] != BASE["classes"]:
        target = Target("label", tuple(f"class {i}" for i in range(point["classes"])))
        dataset = replace(dataset, targets=(target,), labels={"label": np.arange(count) % point["classes"]})

    chosen = recipe("quick", epochs=10_000, validation_fraction=0)  # until stopped
    assert isinstance(chosen, SGDRecipe)
    chosen = replace(chosen, widths=tuple(round(width * point["width"]) for width in chosen.widths))
    everything = np.arange(count)
    split = Split(train=everything, validation=everything[:0], test=everything[:0], notes=("all for training",))
    compute = choose_compute_settings(point["threads"])
    moments: list[float] = []

    def on_progress(progress: Progress) -> None:
        moments.append(time.perf_counter())

    def should_stop() -> bool:
        return len(moments) > MIN_STEPS and moments[-1] - moments[0] >= seconds

    started = time.perf_counter()
    net = Net(network_for(dataset, split, chosen), seed=0)
    train, validation = training_arrays(dataset, split.train), training_arrays(dataset, split.validation)
    with suppress(StoppedError):
        control = TrainingControl(on_progress=on_progress, should_stop=should_stop)
        fit(net, train, validation, chosen, seed=0, compute=compute, control=control)
    steps = len(moments) - 1
    measured = {
        "read_s": read_s,
        "first_step_s": moments[0] - started,  # preparation included
        "epoch_s": steps_per_epoch(count, chosen) * (moments[-1] - moments[0]) / steps,
        "import_mb": import_mb,
        "read_mb": read_mb,
        "peak_mb": peak_mb(),
    }

    sealed = folder / "model.muslin"
    images = golden_images(dataset, split)
    seal(export(net, dataset.targets, transform="fashion-mnist", golden=images, provenance={}), sealed)
    predictor = Predictor.open(sealed, threads=point["threads"])
    batch = np.resize(images, (ANSWERED_TOGETHER, *images.shape[1:]))
    predictor.infer_raw(batch)
    predicted, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds / 4:
        predictor.infer_raw(batch)
        predicted += len(batch)
    measured["prediction_s"] = count * taken / predicted
    return {"steps": steps, **{name: float(f"{value:.4g}") for name, value in measured.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of fewer points, up to 100,000 images")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="for which a point's steps are timed")
    parser.add_argument("--threads", type=int, help="maximum number of threads (default: one per core)")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    parser.add_argument("--write", nargs=2, metavar=("POINTS", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, metavar=("POINT", "FOLDER"), help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    if wishes.write:
        write_images(json.loads(wishes.write[0]), Path(wishes.write[1]))
        return
    if wishes.measure:
        point, folder = json.loads(wishes.measure[0]), Path(wishes.measure[1])
        print(json.dumps(measure(point, folder, wishes.seconds)))
        return

    from muslin.machine import physical_cores

    threads = wishes.threads or physical_cores()
    base = BASE | {"threads": threads}
    axes = (QUICK_AXES if wishes.quick else AXES) | {"threads": thread_counts(threads)}
    rounds, seconds = (1, 0.5) if wishes.quick else (wishes.rounds, wishes.seconds)
    head = start_result((__doc__ or "").splitlines()[0], wishes.note)
    selected, runs = points(base, axes), []
    with tempfile.TemporaryDirectory() as folder:
        itself = [sys.executable, __file__, "--seconds", str(seconds)]
        subprocess.run([*itself, "--write", json.dumps(selected), folder], check=True)
        for number in range(rounds):
            for point in selected:
                command = [*itself, "--measure", json.dumps(point), folder]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                runs.append({"round": number + 1, **point, **json.loads(done.stdout.splitlines()[-1])})
                print(json.dumps(runs[-1]), flush=True)
    write_result(head, {"base": base, "axes": axes, "runs": runs})


if __name__ == "__main__":
    main()
