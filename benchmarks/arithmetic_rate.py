"""What share of this machine's arithmetic rate does training with each recipe reach?

    python benchmarks/arithmetic_rate.py [--rounds N] [--steps N] [--recipes NAME …] [--note SENTENCE]

The maximum is the rate of a product of two matrices of 2,048×2,048 float32 numbers on all threads, the best of ten. A
recipe's rate is that of the median step of a training on Fashion-MNIST's first images, at full size, including the
optimizer; torch counts its arithmetic: convolutions and matrix products, forward and backward, a multiplication and an
addition each. Each measurement is a process of its own, the product before and after it. Keeps
everything in benchmarks/results/.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
from results_file import start_result, write_result

RECIPES = ("tutorial", "quick", "brisk")
SIDE = 2_048


def product_gflops() -> float:
    """Of a matrix product on all threads, the best of ten."""
    import torch

    matrix, best = torch.randn(SIDE, SIDE), float("inf")
    for _ in range(10):
        started = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - started)
    return 2 * SIDE**3 / best / 1e9


def measure(name: str, steps: int) -> dict[str, float]:
    """GFLOP/s of the matrix product and of the recipe's steps, in this process."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from muslin.data import read
    from muslin.data.dataset import Split, pixel_array
    from muslin.learn.losses import compute_loss
    from muslin.learn.modules import Net, to_batch
    from muslin.learn.recipes import SGDRecipe, recipe
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.train import network_for, training_arrays
    from muslin.learn.training_loop import TrainingControl, fit

    compute = choose_compute_settings()
    torch.set_num_threads(compute.threads)
    before = product_gflops()
    chosen = recipe(name, epochs=1, low_res_fraction=0, validation_fraction=0)
    assert isinstance(chosen, SGDRecipe)
    train = read("fashion-mnist").part("train")
    everything = train.take(np.arange(chosen.batch_size * (steps + 5)))
    split = Split(train=np.arange(len(everything)), validation=np.arange(0), test=np.arange(0), notes=("all",))
    net = Net(network_for(everything, split, chosen), 0)
    moments: list[float] = []
    fit(
        net, training_arrays(everything, split.train), training_arrays(everything, split.validation), chosen, seed=0,
        compute=compute, control=TrainingControl(on_progress=lambda progress: moments.append(time.perf_counter())),
    )  # fmt: skip
    step_s = statistics.median(later - earlier for earlier, later in pairwise(moments[4:]))
    torch.set_num_threads(compute.threads)
    after = product_gflops()

    batch = pixel_array(everything)[: chosen.batch_size]
    labels = {"label": torch.from_numpy(everything.labels["label"][: chosen.batch_size]).long()}
    net.train()
    with FlopCounterMode(display=False) as counter:
        compute_loss(net(to_batch(batch)), labels, chosen).backward()  # type: ignore[no-untyped-call]
    done = counter.get_total_flops() / 1e9
    return {
        "step_ms": 1000 * step_s,
        "step_gflop": done,
        "gflops": done / step_s,
        "product_gflops": (before + after) / 2,
        "share": done / step_s / ((before + after) / 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="timed steps in each measurement (default 30)")
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
            rates = {key: float(f"{value:.4g}") for key, value in json.loads(done.stdout).items()}
            runs.append({"round": number + 1, "recipe": name, **rates})
            print(json.dumps(runs[-1]), flush=True)
    write_result(head, {"runs": runs})


if __name__ == "__main__":
    main()
