"""How much does each optimisation of the training step save: all of them, and one at a time left out?

    python benchmarks/training_step.py [--rounds N] [--steps N] [--recipe quick] [--note SENTENCE]

Every measurement is a process of its own that trains the recipe's network on Fashion-MNIST's first images and gives
the median milliseconds of a step. The variants take turns, so that other load on the machine affects them alike;
what counts is the ratio to `as shipped` within a round. Prints a table, and keeps everything in benchmarks/results/.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
from results_file import start_result, write_result

VARIANTS = {
    "as shipped": {},
    "one thread": {"threads": "1"},
    "all threads on one batch": {"micro_batch_size": "0"},
    "memory returned": {"memory_reused": ""},
    "threads that spin": {"GOMP_SPINCOUNT": "100000"},
    "fresh memory filled": {"fill": "1"},
    "channels first": {"channels_first": "1"},
}


def measure(recipe_name: str, steps: int, variant: str) -> dict[str, float]:
    """Milliseconds of a step, wall and processor, in this process; the first 5 steps do not count."""
    import torch

    from muslin.data import read
    from muslin.data.dataset import Split
    from muslin.learn import microbatches
    from muslin.learn import training_loop as loop
    from muslin.learn.modules import Net
    from muslin.learn.recipes import recipe
    from muslin.learn.torch_setup import choose_compute_settings, keep_memory
    from muslin.learn.train import network_for, training_arrays

    changes = VARIANTS[variant]
    whole = {"micro_batch_size": changes["micro_batch_size"]} if "micro_batch_size" in changes else {}
    chosen = recipe(recipe_name, epochs=1, validation_fraction=0, **whole)
    some = read("fashion-mnist").part("train").take(np.arange(chosen.batch_size * (steps + 5)))
    split = Split(train=np.arange(len(some)), validation=np.arange(0), test=np.arange(0), notes=("all",))
    net = Net(network_for(some, split, chosen), seed=0)
    compute = choose_compute_settings(int(changes["threads"]) if "threads" in changes else None)
    if "memory_reused" in changes:
        # choose_compute_settings has asked already: restore the defaults of glibc
        keep_memory(threshold_bytes=128 << 10, padding_bytes=128 << 10)
        compute = type(compute)(compute.threads, compute.precision, memory_reused=False)
    apply_settings = microbatches.apply_compute_settings

    def apply(compute: Any) -> None:
        apply_settings(compute)
        torch.utils.deterministic.fill_uninitialized_memory = "fill" in changes

    microbatches.apply_compute_settings = loop.apply_compute_settings = apply
    if "channels_first" in changes:
        batch = microbatches.to_batch
        microbatches.to_batch = lambda pixels: batch(pixels).contiguous()
        net.to = lambda **kwargs: net  # type: ignore[method-assign]
    moments: list[tuple[float, float]] = []
    loop.fit(
        net, training_arrays(some, split.train), training_arrays(some, split.validation), chosen,
        seed=0, compute=compute,
        control=loop.TrainingControl(
            on_progress=lambda progress: moments.append((time.perf_counter(), time.process_time()))
        ),
    )  # fmt: skip
    wall, processor = ([1000 * (b[i] - a[i]) for a, b in pairwise(moments[4:])] for i in (0, 1))
    return {"wall_ms": statistics.median(wall), "processor_ms": statistics.median(processor)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="timed steps in each measurement (default 40)")
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    parser.add_argument("--measure", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.recipe, options.steps, options.measure)))
        return

    head = start_result((__doc__ or "").splitlines()[0], options.note)
    rounds = []
    for number in range(options.rounds):
        row = {}
        for variant, changes in VARIANTS.items():
            environment = os.environ | {name: value for name, value in changes.items() if name.isupper()}
            command = [sys.executable, __file__, "--measure", variant, "--recipe", options.recipe]
            done = subprocess.run(
                [*command, "--steps", str(options.steps)],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            row[variant] = json.loads(done.stdout.splitlines()[-1])
        rounds.append(row)
        print(number + 1, {name: round(times["wall_ms"], 1) for name, times in row.items()}, flush=True)
    ratios = {
        variant: sorted(row[variant]["wall_ms"] / row["as shipped"]["wall_ms"] for row in rounds)
        for variant in VARIANTS
    }
    table = {
        variant: {
            "wall_ms": round(statistics.median(row[variant]["wall_ms"] for row in rounds), 2),
            "ratio": round(statistics.median(values), 2),
            "min": round(values[0], 2),
            "max": round(values[-1], 2),
        }
        for variant, values in ratios.items()
    }
    for variant, times in table.items():
        print(f"{variant:22} {times['wall_ms']:8.1f} ms  ×{times['ratio']:.2f} ({times['min']}–{times['max']})")
    write_result(head, {"table": table, "rounds": rounds}, name=f"training_step_{options.recipe}")


if __name__ == "__main__":
    main()
