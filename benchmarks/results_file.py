"""The head of every result, the folder of results, and metrics that several benchmarks share."""

import json
import os
import shlex
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results"


def parse_training_arguments(parser: ArgumentParser) -> tuple[Namespace, dict[str, str], list[int]]:
    """The command line of a benchmark that trains with changed settings: its arguments, the settings and the seeds."""
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="as with `muslin train --set`")
    parser.add_argument("--seeds", default="0", help="separated by commas (default 0)")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_intermixed_args()
    changes = dict(setting.split("=", 1) for setting in arguments.settings)
    return arguments, changes, list(map(int, arguments.seeds.split(",")))


def start_result(question: str, note: str, arguments: list[str] | None = None) -> dict[str, Any]:
    """The head of a result, to be made before anything is measured; `arguments` are those of the command line."""
    from muslin import machine
    from muslin.workflows.run_folder import package_versions

    script = Path(sys.argv[0]).name
    words = sys.argv[1:] if arguments is None else arguments
    head = ["git", "rev-parse", "--short", "HEAD"]
    return {
        "question": question,
        "command": shlex.join(["python", f"benchmarks/{script}", *map(_without_folder, words)]),
        "note": note,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": subprocess.run(head, cwd=RESULTS.parent, capture_output=True, text=True).stdout.strip(),
        "machine": machine.description() | {"instructions": machine.vector_instructions()},
        "load_before": os.getloadavg(),
        "versions": package_versions(),
    }


def _without_folder(word: str) -> str:
    """The name of a file, without the folders of the machine that measured."""
    return Path(word).name if Path(word).is_absolute() else word


def write_result(
    head: dict[str, Any], measured: dict[str, Any], indent: int | None = 1, name: str | None = None
) -> None:
    """Write both as one file of `results/`, named after the benchmark and when it started, and print where.

    `name` takes the place of the benchmark's own where it keeps several kinds of results. If another one started in
    the same second, this one is named after the next free second.
    """
    result = {**head, "load_after": os.getloadavg(), **measured}
    RESULTS.mkdir(exist_ok=True)
    moment = datetime.fromisoformat(head["date"])
    while (path := RESULTS / f"{name or Path(sys.argv[0]).stem}_{moment:%Y%m%dT%H%M%SZ}.json").exists():
        moment += timedelta(seconds=1)
    path.write_text(json.dumps(result, indent=indent, ensure_ascii=False) + "\n")
    print(f"written to benchmarks/results/{path.name}")


def peak_mb() -> float:
    """The most memory this process has held so far, in millions of bytes.

    Linux's VmHWM, because the ru_maxrss that getrusage gives starts with the memory of the parent process.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def max_coverage(confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], precision: float) -> float:
    """The largest share that any threshold accepts at this precision, with the labels known."""
    shares = np.cumsum(correct[np.argsort(-confidence, kind="stable")]) / np.arange(1, len(correct) + 1)
    enough = np.flatnonzero(shares >= precision)
    return float((enough[-1] + 1) / len(correct)) if len(enough) else 0.0
