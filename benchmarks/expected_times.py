"""How near to what a training takes is the time that `muslin recipes` expects?

    python benchmarks/expected_times.py DATA RECIPE [RECIPE …] [--rounds N] [--note SENTENCE]

Per round and recipe: the expected time of that recipe, and at once a training with it, each in a process of its own.
The cache of features is empty before the first round and kept from then on, so that a linear probe is measured without
it and with it. `ratio` is what the training took as a share of the expected time; `train_s` and `whole_s` are those of
recipes.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

EXPECT = """
import json, sys
from muslin.data import read
from muslin.learn.recipes import recipe
from muslin.workflows.expected_time import expected_train_s
print(json.dumps(expected_train_s(read(sys.argv[1]), recipe(sys.argv[2]), 0)))
"""


def measure(data: str, recipe: str, out: Path, environment: dict[str, str]) -> dict[str, Any]:
    def run(*words: str) -> Any:
        done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True, env=environment)
        return json.loads(done.stdout.splitlines()[-1])

    before = time.perf_counter()
    expected_s = run("-c", EXPECT, data, recipe)
    started = time.perf_counter()
    trained = run("-m", "muslin", "train", data, "--recipe", recipe, "--out", str(out), "--json")
    whole_s = time.perf_counter() - started
    return {
        "expected_s": round(expected_s, 2),
        "train_s": trained["train_s"],
        "whole_s": round(whole_s, 2),
        "ratio": round(trained["train_s"] / expected_s, 3),
        "estimate_took_s": round(started - before, 2),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    options = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder}
        for number in range(1, options.rounds + 1):
            for recipe in options.recipes:
                out = Path(folder) / f"{recipe}-{number}"
                rows.append({"recipe": recipe, "round": number} | measure(options.data, recipe, out, environment))
                print(json.dumps(rows[-1]), flush=True)
    write_result(
        head, {"data": Path(options.data).name, "rows": rows}, name=f"expected_times_{Path(options.data).stem}"
    )


if __name__ == "__main__":
    main()
