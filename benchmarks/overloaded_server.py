"""How soon does `muslin serve` answer a liveness probe while it has ten times too much to do, and what does it keep?

    python benchmarks/overloaded_server.py [--clients 640] [--seconds 20] [--rounds 3] [--note SENTENCE]

The clients send an image, and the next as soon as they have a response, whatever it is; the server takes
`--max-requests 64` at a time. Meanwhile probes on new connections ask `GET /v2/health/live`, twenty a second at most.
The server has one processor core, and clients and probes another one. Kept in benchmarks/results/, per number of
workers: the percentiles of the probes, the statuses, and the memory of the largest process before and after.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from results_file import start_result, write_result

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from flooded_server import flooded, memory_mb, on_cores
from muslin.models.bundle import seal
from server_process import gray, running_server
from small_models import small_bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=640)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result(__doc__.splitlines()[0], arguments.note)
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "clothes.muslin"
        seal(small_bundle(), model)
        for workers in (1, 2):
            rounds = [one_round(model, workers, arguments) for _ in range(arguments.rounds)]
            measured[f"{workers} worker{'s' if workers > 1 else ''}"] = rounds
            print(workers, rounds, flush=True)
    write_result(head, {"clients": arguments.clients, "seconds": arguments.seconds, "workers": measured})


def one_round(model: Path, workers: int, arguments: argparse.Namespace) -> dict[str, Any]:
    *others, last = sorted(os.sched_getaffinity(0))
    words = (str(model), "--max-requests", "64", "--workers", str(workers))
    with on_cores(others[:1] or [last]), running_server(*words) as server:
        server.predict(gray(200))
        before = memory_mb(server)
        with on_cores([last]):
            statuses, probes = flooded(server, arguments.clients, arguments.seconds)
        after = memory_mb(server)
    p50, p90, p99 = np.percentile(probes, (50, 90, 99), method="higher").round(3).tolist()
    return {
        "probes": len(probes), "p50_s": p50, "p90_s": p90, "p99_s": p99, "max_s": round(max(probes), 3),
        "statuses": statuses, "memory_before_mb": before, "memory_after_mb": after,
    }  # fmt: skip


if __name__ == "__main__":
    main()
