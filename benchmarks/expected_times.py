"""How near to what a training takes is the time that `muslin recipes` expects?

    python benchmarks/expected_times.py DATA RECIPE [RECIPE …] [--rounds N] [--note SENTENCE]

Per round and recipe: the expected time of that recipe by the clock, then in seconds of the processor, and at once a
training with it, each in a process of its own. Where others use the machine, how much of it a training gets
changes from minute to minute, so the processor's seconds count. `ratio` and `ratio_cpu` are what the training took as
a share of what was expected. DATA are images of pixels. Photos are refused: to decode them or to extract their features
is part of the expected time, but not of the training that is measured here.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

from muslin.data import read
from muslin.data.photos import PhotoImages

EXPECT = """
import json, sys, time, types
from muslin.data import read
from muslin.learn.recipes import recipe
from muslin.workflows import expected_time
data, found = read(sys.argv[1]), {}
for name, clock in (("expected_s", time.perf_counter), ("expected_cpu_s", time.process_time)):
    expected_time.time = types.SimpleNamespace(perf_counter=clock)
    found[name] = expected_time.expected_train_s(data, recipe(sys.argv[2]), 0)
print(json.dumps(found))
"""

TRAIN = """
import json, sys
from time_to_accuracy import train_recipe
print(json.dumps(train_recipe(sys.argv[2], 0, sys.argv[1])))
"""


def measure(data: str, recipe: str, environment: dict[str, str]) -> dict[str, Any]:
    def run(code: str) -> dict[str, float]:
        command = [sys.executable, "-c", code, data, recipe]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    expected, trained = run(EXPECT), run(TRAIN)
    ratios = {
        "ratio": trained["train_s"] / expected["expected_s"],
        "ratio_cpu": trained["train_cpu_s"] / expected["expected_cpu_s"],
    }
    times = {name: trained[name] for name in ("train_s", "train_cpu_s")}
    return {name: round(value, 3) for name, value in (expected | times | ratios).items()} | {"load": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    options = parser.parse_args()
    if isinstance(read(options.data).images, PhotoImages):
        parser.error("photos are decoded before the training that is measured: give images of pixels")
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    rows = []
    paths = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    for number in range(1, options.rounds + 1):
        for recipe in options.recipes:
            measured = measure(options.data, recipe, os.environ | {"PYTHONPATH": paths})
            rows.append({"recipe": recipe, "round": number} | measured)
            print(json.dumps(rows[-1]), flush=True)
    write_result(
        head, {"data": Path(options.data).name, "rows": rows}, name=f"expected_times_{Path(options.data).stem}"
    )


if __name__ == "__main__":
    main()
