"""Runs numbered shards somewhere and prints a line of JSON for each result and error.

run_shards.py WHERE COUNT WAIT_S KILOBYTES TASK…: shards of so many kilobytes, which one task after the other gets.
"""

import json
import sys

from muslin.distributed import open_executor
from muslin.errors import MuslinError
from muslin.execution import Executor, Shard, content_of

SHARED = b"shared " * 100_000


def main(where: str, count: str, wait_s: str, kilobytes: str, *tasks: str) -> None:
    try:
        with open_executor(where) as executor:
            for task in tasks:
                run(executor, task, int(count), float(wait_s), int(kilobytes))
    except MuslinError as error:
        show(error=error.code, params=error.params)


def run(executor: Executor, task: str, count: int, wait_s: float, kilobytes: int) -> None:
    shards = (
        Shard({"n": n, "name": f"P{n}", "wait_s": wait_s}, content_of(b"%04d" % n * 250 * kilobytes))
        for n in range(count)
    )
    try:
        for result in executor.map(task, shards, {"all": SHARED}):
            show(params=result.params)
        status = executor.status()
        show(done=status.done, retried=status.retried)
    except MuslinError as error:
        show(error=error.code, params=error.params)
    left_out = executor.status().left_out
    if left_out:
        show(left_out=[error.code for error in left_out])


def show(**line: object) -> None:
    print(json.dumps(line, default=str), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
