"""How much does each optimisation of the training step save: all of them, and one at a time left out?

    python benchmarks/training_step.py [VARIANT …] [--rounds N] [--steps N] [--recipe quick] [--note SENTENCE]

Every measurement is a process of its own that trains the recipe's network on Fashion-MNIST's first images and gives
the median milliseconds of a step. The variants take turns, so that other load on the machine affects them alike; what
counts is the ratio to `as shipped` within a round. By processor time it is the steadier where others use the machine;
what threads lose by waiting shows by the clock alone. Prints a table, and keeps everything in benchmarks/results/.
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
    "gradients of kernels by torch": {"torch_gradients": "1"},
    "rows that nothing reads computed": {"all_rows": "1"},
}
"""Names in capitals belong in the environment."""


def measure(recipe_name: str, steps: int, variant: str) -> dict[str, float]:
    """Milliseconds of a step, wall and processor, in this process; the first 5 steps do not count."""
    import torch
    import torch.nn.functional as F

    from muslin.data import read
    from muslin.data.dataset import Split
    from muslin.learn import microbatches, modules
    from muslin.learn import training_loop as loop
    from muslin.learn.modules import Net
    from muslin.learn.recipes import recipe
    from muslin.learn.torch_setup import choose_compute_settings, keep_memory
    from muslin.learn.train import network_for, training_arrays

    changes = VARIANTS[variant]
    settings = {name: changes[name] for name in ("micro_batch_size",) if name in changes}
    chosen = recipe(recipe_name, epochs=1, low_res_fraction=0, validation_fraction=0, **settings)
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
    if "torch_gradients" in changes:
        modules.convolve = lambda x, weight, bias, padding: F.conv2d(x, weight, bias, padding=padding)
    if "all_rows" in changes:
        modules.sides_read = lambda side, layers: side
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


def compared(rounds: list[dict[str, dict[str, float]]], variant: str) -> dict[str, float]:
    """The median milliseconds of a step, and the median, lowest and highest ratio to `as shipped`: by the clock, and
    of the processor."""
    row = {}
    for clock, prefix in (("wall", ""), ("processor", "processor_")):
        key = f"{clock}_ms"
        ratios = [each[variant][key] / each["as shipped"][key] for each in rounds]
        row[key] = round(statistics.median(each[variant][key] for each in rounds), 2)
        row[f"{prefix}ratio"] = round(statistics.median(ratios), 3)
        row |= {f"{prefix}min": round(min(ratios), 3), f"{prefix}max": round(max(ratios), 3)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="beside `as shipped`; by default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="timed steps in each measurement (default 40)")
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    parser.add_argument("--measure", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.recipe, options.steps, options.measure)))
        return

    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(f"no such variant: {', '.join(sorted(unknown))}")
    chosen = ["as shipped", *(name for name in options.variants or VARIANTS if name != "as shipped")]
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    rounds = []
    for number in range(options.rounds):
        row = {}
        for variant in chosen if number % 2 == 0 else chosen[::-1]:
            environment = os.environ | {name: value for name, value in VARIANTS[variant].items() if name.isupper()}
            command = [sys.executable, __file__, "--measure", variant, "--recipe", options.recipe]
            done = subprocess.run(
                [*command, "--steps", str(options.steps)],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            row[variant] = json.loads(done.stdout.splitlines()[-1])
        rounds.append(row)
        print(number + 1, {name: round(times["wall_ms"], 1) for name, times in row.items()}, flush=True)
    table = {variant: compared(rounds, variant) for variant in chosen}
    for variant, row in table.items():
        wall = f"{row['wall_ms']:8.1f} ms ×{row['ratio']:.2f}"
        print(f"{variant:34} {wall}; processor {row['processor_ms']:8.1f} ms ×{row['processor_ratio']:.2f}")
    kind = "training_step_some" if options.variants else "training_step"
    write_result(head, {"recipe": options.recipe, "table": table, "rounds": rounds}, name=f"{kind}_{options.recipe}")


if __name__ == "__main__":
    main()
