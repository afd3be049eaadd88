"""How accurate on Fashion-MNIST is each way of training, and after how much time?

    python benchmarks/time_to_accuracy.py METHOD [--epochs N] [--seeds 0 1 2] [--python PYTHON] [--note SENTENCE]

METHOD is a recipe of muslin (quick, brisk …), or another library: keras (the article's network on TensorFlow), jax (the
same on JAX), torch (the same network as PyTorch's quickstart trains), forest and pixels (scikit-learn's random forest
and SVM on pixels), hog (scikit-learn's linear SVM on histograms of oriented gradients). PYTHON has the library: each
peer lives in an environment of its own, see README.md. Per epoch, or at the end: seconds of training by the clock and
of the processor, and the accuracy on the test set. The processor's seconds can be compared on a machine that others
use too. `python benchmarks/tables.py` draws the newest result of each method.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

HERE = Path(__file__).resolve().parent
PEERS = {
    "keras": "tensorflow",
    "jax": "jax",
    "torch": "torch",
    "forest": "scikit-learn",
    "pixels": "scikit-learn",
    "hog": "scikit-learn",
}
"""Per method the package whose version counts."""


def train_recipe(recipe: str, seed: int, data: str = "fashion-mnist") -> dict[str, Any]:
    """Train in this process: the seconds between the start of the run and the last step."""
    from muslin.workflows.train import run_plan
    from muslin.workflows.training_data import Callbacks
    from muslin.workflows.training_plan import TrainOptions, plan_training

    clocks = []

    def note_time(_: Any) -> None:
        clocks.append((time.perf_counter(), time.process_time()))

    callbacks = Callbacks(on_progress=note_time)
    plan = plan_training(data, TrainOptions(recipe=recipe, seed=seed), callbacks)
    with tempfile.TemporaryDirectory() as folder:
        record = run_plan(plan, Path(folder) / "run", callbacks, on_start=note_time).record
    (wall, processor), *_, (wall_end, processor_end) = clocks
    accuracy = record["test"]["label"]["accuracy"]
    row = {"epoch": record["epochs"], "train_s": wall_end - wall, "train_cpu_s": processor_end - processor}
    return row | {"test_accuracy": accuracy}


def measure(method: str, epochs: int, seed: int, python: str) -> list[dict[str, Any]]:
    """The rows of one training, in a process of its own."""
    if method in PEERS:
        from muslin.data.dataset_cache import obtain

        folder = str(obtain("fashion-mnist").path)
        command = [python, str(HERE / "time_to_accuracy_peers.py"), method, folder, str(epochs), str(seed)]
    else:
        command = [sys.executable, __file__, method, "--seeds", str(seed), "--inside"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [{"seed": seed} | {name: round(value, 4) for name, value in row.items()} for row in rows]


def version(method: str, python: str) -> dict[str, str]:
    """Of the package of a peer; muslin's are in the head of every result."""
    if method not in PEERS:
        return {}
    name = PEERS[method]
    code = f"from importlib.metadata import version; print(version({name!r}))"
    done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return {name: done.stdout.strip()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--epochs", type=int, default=3, help="of keras, jax and torch (default 3)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default 0")
    parser.add_argument("--python", default=sys.executable, help="the peer's interpreter")
    parser.add_argument("--note", default="", help="kept with the result, for example that the machine was shared")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(train_recipe(options.method, options.seeds[0])))
        return
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    rows = []
    for seed in options.seeds:
        rows += measure(options.method, options.epochs, seed, options.python)
        print(json.dumps(rows[-1]), flush=True)
    result = {"method": options.method, "peer_version": version(options.method, options.python), "rows": rows}
    write_result(head, result, name=f"time_to_accuracy_{options.method}")


if __name__ == "__main__":
    main()
