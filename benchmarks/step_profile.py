"""Where does the time of a training step go?

    python benchmarks/step_profile.py [--rounds N] [--steps N] [--recipes NAME …] [--note SENTENCE]

Trains each recipe on Fashion-MNIST's first images at full size, with one thread, under torch's profiler, and sorts the
time of every operator into a group: by its own name, or by that of one that called it. A share is the group's part of
the steps' time by the clock; what is left is Python, numpy and the profiler. Each measurement is a process of its own;
recipes take turns. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from results_file import start_result, write_result

RECIPES = ("tutorial", "quick", "brisk")
OUTSIDE = "outside torch"
GROUPS = {
    "optimizer": ("Optimizer.",),
    "convolutions, backward": ("aten::convolution_backward",),
    "gradients of kernels, by muslin": ("_ConvolutionBackward",),
    "convolutions, forward": ("aten::mkldnn_convolution", "aten::conv2d", "aten::_slow_conv2d"),
    "max pooling": ("aten::max_pool2d", "MaxPool2DWithIndicesBackward0"),
    "batch norm": ("aten::native_batch_norm", "aten::batch_norm", "NativeBatchNormBackward0"),
    "ReLU": ("aten::relu", "aten::clamp_min", "aten::threshold_backward", "ReluBackward0"),
    "dense layers": ("aten::linear", "aten::addmm", "AddmmBackward0", "MmBackward0"),
    "dropout, and other products of values": ("aten::mul", "MulBackward0"),
    "copies": ("aten::copy_", "aten::contiguous", "aten::to", "aten::constant_pad_nd", "aten::pad"),
}
"""Each group's names begin with one of these; an operator belongs to the first group of which it or a caller is."""


def group_of(event: Any) -> str:
    """The group of an operator that the profiler recorded."""
    names = []
    while event is not None:
        names.append(event.name.split("evaluate_function: ")[-1])
        event = event.cpu_parent
    for group, prefixes in GROUPS.items():
        if any(name.startswith(prefixes) for name in names):
            return group
    return "other operators"


def measure(name: str, steps: int) -> dict[str, Any]:
    """Milliseconds of a step by the clock and of the processor, and of each group, in this process."""
    from torch.profiler import ProfilerActivity, profile

    from muslin.data import read
    from muslin.data.dataset import Split
    from muslin.learn.recipes import SGDRecipe, recipe
    from muslin.learn.torch_setup import ComputeSettings, keep_memory
    from muslin.learn.train import initial_network, training_arrays
    from muslin.learn.training_loop import Progress, TrainingControl, fit

    chosen = recipe(name, epochs=1, low_res_fraction=0, validation_fraction=0)
    assert isinstance(chosen, SGDRecipe)
    some = read("fashion-mnist").part("train").take(np.arange(chosen.batch_size * (steps + 5)))
    split = Split(train=np.arange(len(some)), validation=np.arange(0), test=np.arange(0), notes=("all",))
    net = initial_network(some, split, chosen, seed=0)
    profiler = profile(activities=[ProfilerActivity.CPU])
    moments: list[tuple[float, float]] = []

    def on_progress(progress: Progress) -> None:
        if progress.step == 5:  # the first ones do not count
            profiler.start()
        if progress.step in (5, 5 + steps):
            moments.append((time.perf_counter(), time.process_time()))
        if progress.step == 5 + steps:
            profiler.stop()

    fit(
        net, training_arrays(some, split.train), training_arrays(some, split.validation), chosen, seed=0,
        compute=ComputeSettings(threads=1, precision="float32", memory_reused=keep_memory()),
        control=TrainingControl(on_progress=on_progress),
    )  # fmt: skip
    wall, processor = (1000 * (after - before) / steps for before, after in zip(*moments, strict=True))
    groups: Counter[str] = Counter()
    for event in profiler.events() or ():
        groups[group_of(event)] += event.self_cpu_time_total / 1000 / steps
    groups[OUTSIDE] = max(wall - groups.total(), 0)
    return {"wall_ms": wall, "processor_ms": processor, "groups_ms": dict(groups)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="timed steps in each measurement (default 20)")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, metavar="NAME")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.steps)))
        return
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    runs = []
    for number in range(options.rounds):
        for name in options.recipes:
            command = [sys.executable, __file__, "--measure", name, "--steps", str(options.steps)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            runs.append({"round": number + 1, "recipe": name, **json.loads(done.stdout.splitlines()[-1])})
            print(name, f"{runs[-1]['processor_ms']:.1f} ms of the processor a step", flush=True)
    shares: dict[str, dict[str, Any]] = {}
    for name in options.recipes:
        ours = [run for run in runs if run["recipe"] == name]
        for group in (*GROUPS, "other operators", OUTSIDE):
            values = [run["groups_ms"].get(group, 0) / run["wall_ms"] for run in ours]
            shares.setdefault(group, {})[name] = round(statistics.median(values), 4)
    for group, row in shares.items():
        print(f"{group:40}", *(f"{name} {100 * share:5.1f} %" for name, share in row.items()))
    write_result(head, {"shares": shares, "runs": runs})


if __name__ == "__main__":
    main()
