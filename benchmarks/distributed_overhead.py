"""What does it cost to tag in processes or on a Ray cluster of this machine, against the threads of one process?

    python benchmarks/distributed_overhead.py MODEL PHOTOS [--minutes 1] [--rounds 3] [--on here --on local:2 …]

`here` are the threads of the command itself. Each way tags all photos with an empty cache, in a process of its own from
its start to its end, in turns, so that each ratio is of one turn. Before, an uncounted turn in threads says how often
each photo is tagged, under other names with other bytes, so that threads take `--minutes` in all rounds together. All
outputs must be equal to the byte.

Processor time is that of the command and all its processes; on Ray also of all processes of the cluster, read while
it runs. Memory of workers is the largest resident size of any of these processes but the command. `ray` needs a
cluster that was started on this machine before: `ray start --head --include-dashboard=false --disable-usage-stats`.
Results go to benchmarks/results/.
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
KINDS = ("wall_s", "cpu_s")


def resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def of_cluster() -> list[int]:
    """The processes of Ray on this machine's network: its own programs, its servers and its workers."""
    found, network = [], os.readlink("/proc/self/ns/net")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, its_network = path.read_bytes(), os.readlink(path.with_name("ns") / "net")
        except OSError:
            continue
        if its_network != network:  # a cluster of a test
            continue
        if words.startswith(b"ray::") or b"/site-packages/ray/" in words or b"ray.util.client.server" in words:
            found.append(int(path.parent.name))
    return found


def timed(words: list[str], cache: Path, on_ray: bool) -> dict[str, float]:
    """A command from its start to its end: clock and processor time, and the peak memory of it and of its largest
    worker."""
    shutil.rmtree(cache, ignore_errors=True)
    before = {pid: processor_s(pid) for pid in (of_cluster() if on_ray else ())}
    started = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    head = worker = 0.0
    of_ray: dict[int, float] = {}
    is_over = threading.Event()

    def watch() -> None:
        nonlocal head, worker
        while not is_over.wait(0.25):
            head = max(head, resident_mb(process.pid))
            cluster = of_cluster() if on_ray else []
            of_ray.update((pid, seconds) for pid in cluster if (seconds := processor_s(pid)))
            worker = max([worker, *map(resident_mb, {*below(process.pid), *cluster})])

    watching = threading.Thread(target=watch)
    watching.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    is_over.set()
    watching.join()
    assert os.waitstatus_to_exitcode(status) == 0, words
    ray_s = sum(seconds - before.get(pid, 0.0) for pid, seconds in of_ray.items())
    cpu_s = usage.ru_utime + usage.ru_stime + ray_s
    return {"wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2), "head_mb": round(head), "worker_mb": round(worker)}


def relative(runs: dict[str, list[dict[str, Any]]], name: str, to: str) -> dict[str, list[float]]:
    """Per way and round, its time by that of another way."""
    pairs = {way: zip(each, runs[to], strict=True) for way, each in runs.items() if way != to}
    return {way: [round(a[name] / b[name], 3) for a, b in each] for way, each in pairs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1.0, help="of work in threads, all rounds together")
    parser.add_argument("--on", action="append", default=[], help="`here`, or a place of `muslin tag --on`")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    words = [Path(word).name if os.path.exists(word) else word for word in sys.argv[1:]]
    head = start_result("What does it cost to tag in processes or on Ray, against threads?", arguments.note, words)
    found = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    ways = arguments.on or [HERE, "local:2"]
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def tag(way: str, photos: Path) -> dict[str, float]:
            line = [sys.executable, "-m", "muslin", "tag", arguments.model, str(photos), "-o", str(folder / "out.csv")]
            line += ["--overwrite", *(() if way == HERE else ("--on", way))]
            return timed(line, folder / "cache", way.startswith("ray"))

        trial_s = tag(HERE, copied(found, len(found), folder / "trial"))["wall_s"]
        copies = max(1, round(60 * arguments.minutes / arguments.rounds / trial_s))
        photos = copied(found, len(found) * copies, folder / "photos")
        for _ in range(arguments.rounds):
            outputs = set()
            for way in ways:
                runs[way].append(tag(way, photos))
                outputs.add((folder / "out.csv").read_bytes())
                print(way, runs[way][-1], flush=True)
            assert len(outputs) == 1, "the outputs differ"
    result = {
        "photos": len(found) * copies,
        **{
            f"median_{kind}": {way: statistics.median(run[kind] for run in runs[way]) for way in ways} for kind in KINDS
        },
        "relative": {f"{kind}_to_{to}": relative(runs, kind, to) for kind in KINDS for to in ways[:-1]},
        "runs": runs,
    }
    for name, value in result.items():
        print(name, value)
    write_result(head, result)


if __name__ == "__main__":
    main()
