"""Tasks for tests of executors."""

import os
from collections.abc import Mapping

from muslin.errors import DataError
from muslin.execution import Params, ShardResult
from muslin.messages import Message


def add(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """The number and the bytes of the shard beside what is shared."""
    found = b"".join(content.values())
    note = Message("page_missing")
    return ShardResult({"n": params["n"] + 1, "pid": os.getpid(), "note": note}, {"joined": shared["all"] + found})


def refuse(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """A MuslinError for the third shard, and a fault for the fifth."""
    if params["n"] == 2:
        raise DataError("row_length", path="labels.csv", row=17)
    if params["n"] == 4:
        raise ValueError("a bug")
    return ShardResult(params)
