"""What does it cost to tag in processes or on a Ray cluster of this machine, against the threads of one process?

    python benchmarks/distributed_overhead.py MODEL PHOTOS [--rounds 3] [--copies 4] [--on local:2 --on ray …]

Each way tags all photos with an empty cache, in a process of its own from its start to its end, in turns, so that each
ratio is of one turn. `--copies` tags each photo so often, under other names with other bytes. All outputs must be equal
to the byte. Memory of workers is the largest resident size of any process below the command, read while it runs. `ray`
needs a cluster that was started on this machine before. Results go to benchmarks/results/.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from results_file import start_result, write_result
from tag_photos import copied

HERE = "here"


def resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def below(pid: int) -> list[int]:
    """The processes that a process started, and those that they started."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in path.read_text().split()]
        except OSError:
            continue
        found += [each for child in children for each in (child, *below(child))]
    return found


def timed(words: list[str], cache: Path) -> dict[str, float]:
    """A command from its start to its end: clock time, and the peak memory of it and of its largest worker."""
    shutil.rmtree(cache, ignore_errors=True)
    started = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    head = worker = 0.0

    def watch() -> None:
        nonlocal head, worker
        while process.poll() is None:
            head = max(head, resident_mb(process.pid))
            worker = max([worker, *map(resident_mb, below(process.pid))])
            time.sleep(0.1)

    watching = threading.Thread(target=watch)
    watching.start()
    process.wait()
    wall_s = time.perf_counter() - started
    watching.join()
    assert process.returncode == 0, words
    return {"wall_s": round(wall_s, 2), "head_mb": round(head), "worker_mb": round(worker)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--on", action="append", default=[], help="a place of `muslin tag --on`; default local:2")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    words = [Path(word).name if os.path.exists(word) else word for word in sys.argv[1:]]
    head = start_result("What does it cost to tag in processes or on Ray, against threads?", arguments.note, words)
    found = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    ways = [HERE, *(arguments.on or ["local:2"])]
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = copied(found, len(found) * arguments.copies, folder / "photos")
        for _ in range(arguments.rounds):
            outputs = set()
            for way in ways:
                out = folder / "out.csv"
                line = [sys.executable, "-m", "muslin", "tag", arguments.model, str(photos), "-o", str(out)]
                line += ["--overwrite", *(() if way == HERE else ("--on", way))]
                runs[way].append(timed(line, folder / "cache"))
                outputs.add(out.read_bytes())
                print(way, runs[way][-1], flush=True)
            assert len(outputs) == 1, "the outputs differ"
    ratios = {
        way: [round(a["wall_s"] / b["wall_s"], 3) for a, b in zip(runs[way], runs[HERE], strict=True)]
        for way in ways
        if way != HERE
    }
    result = {
        "photos": len(found) * arguments.copies,
        "median_wall_s": {way: statistics.median(run["wall_s"] for run in each) for way, each in runs.items()},
        "wall_relative_to_threads": ratios,
        "runs": runs,
    }
    print(result["median_wall_s"], ratios)
    write_result(head, result)


if __name__ == "__main__":
    main()
