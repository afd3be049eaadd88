"""Tasks for tests of executors."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from muslin.errors import DataError
from muslin.execution import Params, ShardResult, task_threads
from muslin.messages import Message


def add(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """The number and the bytes of the shard beside what is shared."""
    found = b"".join(content.values())
    note = Message("page_missing")
    return ShardResult({"n": params["n"] + 1, "pid": os.getpid(), "note": note}, {"joined": shared["all"] + found})


def refuse(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """A MuslinError for the third shard, and a fault for the fifth."""
    if params["n"] == 2:
        raise DataError("page_missing", name="x")
    if params["n"] == 4:
        raise ValueError("a bug")
    return ShardResult(params)


def end(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """End the process as often as the shard says; each time leaves a file."""
    folder = Path(params["folder"])
    if len(list(folder.glob(f"{params['n']}-*"))) < params.get("ends", 0):
        (folder / f"{params['n']}-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return ShardResult({"n": params["n"], "pid": os.getpid(), "threads": task_threads()})


def wait(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """Say in which process the shard is, and stay there."""
    (Path(params["folder"]) / str(os.getpid())).touch()
    time.sleep(3600)
    return ShardResult({})


def await_others(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """The first shard is not done before the file `go` is there."""
    while params["n"] == 0 and not (Path(params["folder"]) / "go").exists():
        time.sleep(0.01)
    return ShardResult({"n": params["n"]})


def allocate(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """Take as much memory as the shard says."""
    return ShardResult({"bytes": len(bytearray(params["mb"] * 2**20)), "shared": sorted(shared)})


def end_or_wait(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """As `wait` where the shard says so."""
    return wait(params, content, shared) if params.get("wait") else ShardResult({"n": params["n"]})
