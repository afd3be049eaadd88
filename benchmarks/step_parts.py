"""What do the gradients of kernels by matrix products, and rows that are not computed, save of a training step?

    python benchmarks/step_parts.py [--steps N] [--note SENTENCE]

Forward and backward pass of one micro-batch, on one thread: as shipped, and without one of the two. They take turns
step by step in one process, so that other work on the machine affects them alike; the ratio is that to `as shipped` in
the same turn, in processor time, with its quartiles. Random pixels, because arithmetic takes the same time for all.
Keeps everything in benchmarks/results/.
"""

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

CASES = (("tutorial", 28), ("quick", 28), ("brisk", 28), ("brisk", 20))
"""Recipes and sides of images; `brisk` begins with small ones."""

VARIANTS = ("as shipped", "gradients of kernels by torch", "all rows computed")


def measure(name: str, side: int, steps: int) -> NDArray[np.float64]:
    """Milliseconds of each step: (variants, steps)."""
    import torch
    import torch.nn.functional as F

    from muslin.data.dataset import Target
    from muslin.learn import modules
    from muslin.learn.losses import compute_loss
    from muslin.learn.modules import Net, to_batch
    from muslin.learn.recipes import SGDRecipe, recipe, recipe_network
    from muslin.learn.torch_setup import ComputeSettings, apply_compute_settings

    apply_compute_settings(ComputeSettings(threads=1, precision="float32", memory_reused=True))
    chosen = recipe(name)
    assert isinstance(chosen, SGDRecipe)
    target = Target("label", tuple("abcdefghij"))
    net = Net(recipe_network(chosen, (28, 28, 1), (target,)), 0)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    net.train()
    random = np.random.default_rng(0)
    count = chosen.micro_batch_size or chosen.batch_size
    images = to_batch(random.integers(0, 256, (count, side, side, 1), dtype=np.uint8))
    labels = {"label": torch.from_numpy(random.integers(0, 10, count))}
    ours: dict[str, Any] = {"convolve": modules.convolve, "sides_read": modules.sides_read}
    changes: list[dict[str, Any]] = [
        {},
        {"convolve": lambda x, weight, bias, padding: F.conv2d(x, weight, bias, padding=padding)},
        {"sides_read": lambda side, layers: side},
    ]
    milliseconds = np.empty((len(VARIANTS), steps))
    for step in range(-3, steps):  # the first three do not count
        for number, change in enumerate(changes):
            vars(modules).update(ours | change)
            net.random = np.random.default_rng(step + 3)
            started = time.thread_time()
            compute_loss(net(images), labels, chosen).backward()  # type: ignore[no-untyped-call]
            milliseconds[number, step] = 1000 * (time.thread_time() - started)
    vars(modules).update(ours)
    return milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="timed steps of each (default 40)")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    options = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    rows = []
    for name, side in CASES:
        milliseconds = measure(name, side, options.steps)
        for variant, values in zip(VARIANTS, milliseconds, strict=True):
            low, median, high = np.quantile(values / milliseconds[0], (0.25, 0.5, 0.75)).round(3).tolist()
            row = {"recipe": name, "side": side, "variant": variant, "ms": round(float(np.median(values)), 2)}
            rows.append(row | {"ratio": median, "low": low, "high": high})
            print(rows[-1], flush=True)
    write_result(head, {"rows": rows})


if __name__ == "__main__":
    main()
