"""Tasks for tests of a Ray cluster, which workers import from the folder of tests."""

import os
import signal
import sys
import time
from collections.abc import Mapping

from muslin.errors import DataError
from muslin.execution import Params, ShardResult


def work_a_while(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """The shard's number and the bytes of its content and of what is shared, after its `wait_s`, and the host."""
    time.sleep(params["wait_s"])
    size = sum(map(len, [*content.values(), *shared.values()]))
    return ShardResult(
        {"n": params["n"], "size": size, "pid": os.getpid(), "network": os.stat("/proc/self/ns/net").st_ino},
        {"first": next(iter(content.values()))[:9]},
    )


def end_process(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """What the system does to a process that takes too much memory, at the third shard."""
    if params["n"] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return ShardResult({"n": params["n"]})


def take_memory(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """Three gigabytes at the third shard, which is more than a task may take."""
    size = 3 * 2**30 if params["n"] == 2 else 10
    return ShardResult({"n": params["n"], "size": len(bytes(size))})


def refuse(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """A MuslinError for the third shard."""
    if params["n"] == 2:
        raise DataError("row_length", path="labels.csv", row=17, found=3, expected=4)
    return ShardResult({"n": params["n"]})


def fail(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """A fault of the task, at the third shard."""
    if params["n"] == 2:
        raise ValueError("a bug")
    return ShardResult({"n": params["n"]})


def print_much(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """Text on both streams, which must not reach the output of a command."""
    print("printed by a worker", flush=True)
    print("warned by a worker", file=sys.stderr, flush=True)
    return ShardResult({"n": params["n"]})
