"""Shards in this process, and places that are none."""

import pytest

from muslin.distributed import open_executor
from muslin.errors import DataError, ExecutionError, StoppedError
from muslin.execution import Shard, ShardResult, content_of
from refusals import refuses


def test_results_come_in_the_order_of_shards() -> None:
    shards = (Shard({"n": n}, content_of(b"%d" % n)) for n in range(3))
    with open_executor() as executor:
        results = list(executor.map("shard_tasks:add", shards, {"all": b"shared "}))
        assert [result.params["n"] for result in results] == [1, 2, 3]
        assert [result.content["joined"] for result in results] == [b"shared 0", b"shared 1", b"shared 2"]
        assert executor.status().done == 3


def test_damaged_content_is_refused() -> None:
    shard = Shard({"n": 1, "name": "SKU-17"}, dict.fromkeys(content_of(b"content"), b"other"))
    with open_executor() as executor, refuses("content_damaged", ExecutionError, name="SKU-17"):
        list(executor.map("shard_tasks:add", [shard], {"all": b""}))


def test_cancelled_executor_starts_no_shard() -> None:
    with open_executor() as executor:
        results = executor.map("shard_tasks:add", [Shard({"n": 1}), Shard({"n": 2})], {"all": b""})
        assert next(results).params["n"] == 2
        executor.cancel()
        with refuses("execution_cancelled", StoppedError):
            next(results)


def test_outcome_can_be_an_error_after_which_others_come() -> None:
    with open_executor() as executor:
        outcomes = dict(executor.outcomes("shard_tasks:refuse", [Shard({"n": n}) for n in range(4)], {}))
        assert [type(outcomes[n]) for n in range(4)] == [ShardResult, ShardResult, DataError, ShardResult]
        assert executor.status().done == 3


@pytest.mark.parametrize("where", ["", "cluster", "local", "http://head:10001"])
def test_unknown_places_are_refused(where: str) -> None:
    with refuses("executor_unknown", ExecutionError, value=where), open_executor(where):
        pass
