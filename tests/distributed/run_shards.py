"""Runs numbered shards somewhere and prints a line of JSON for each result: run_shards.py WHERE TASK COUNT [SECONDS]"""

import json
import sys
import time

from muslin.distributed import open_executor
from muslin.errors import MuslinError
from muslin.execution import Shard, content_of


def main(where: str, task: str, count: str, wait_s: str = "0", kilobytes: str = "1") -> None:
    shards = (
        Shard({"n": n, "name": f"P{n}", "wait_s": float(wait_s)}, content_of(b"%09d" % n * 100 * int(kilobytes)))
        for n in range(int(count))
    )
    begun_s = time.monotonic()
    try:
        with open_executor(where) as executor:
            for result in executor.map(task, shards, {"all": b"shared " * 100_000}):
                line = {"params": result.params, "workers": executor.status().workers}
                print(json.dumps(line | {"s": round(time.monotonic() - begun_s, 1)}, default=str), flush=True)
            print(json.dumps({"done": executor.status().done, "retried": executor.status().retried}), flush=True)
    except MuslinError as error:
        s = round(time.monotonic() - begun_s, 1)
        print(json.dumps({"error": error.code, "params": error.params, "text": str(error), "s": s}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
