"""Processes with limits: what they return, and what ends them."""

import os
import signal
from collections.abc import Iterator

import pytest

from muslin.errors import DataError, MuslinError
from muslin.messages import Message
from muslin.workers import WorkerEnded, WorkerPool
from refusals import refuses


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerPool]:
    pool = WorkerPool("worker_functions:work", processes=1, max_s=1, max_mb=300)
    yield pool
    pool.close()


def pid(workers: WorkerPool) -> int:
    return int(workers.run({"do": "return"})[0]["pid"])


def test_values_and_bytes_come_back(workers: WorkerPool) -> None:
    value = {"a": [1, 2.5, None, "\ud800"], "note": Message("page_missing")}
    found, content = workers.run({"do": "return", "value": value}, b"abc")
    assert found["value"] == value
    assert isinstance(found["value"]["note"], Message)
    assert content == b"cba"
    assert found["pid"] != os.getpid()


def test_one_process_serves_call_after_call(workers: WorkerPool) -> None:
    first = pid(workers)
    workers.run({"do": "print"})
    with pytest.raises(RuntimeError, match="a bug"):
        workers.run({"do": "fail"})
    assert pid(workers) == first


def test_errors_come_back_with_their_parameters(workers: WorkerPool) -> None:
    with refuses("page_missing", DataError, name="x", reason=Message("page_missing")):
        workers.run({"do": "refuse", "name": "x"})
    with pytest.raises(MuslinError) as error:
        workers.run({"do": "refuse in general"})
    assert (error.value.code, error.value.params) == ("too_many_requests", {"maximum": 3})


@pytest.mark.parametrize("params", [{"do": "compute forever"}, {"do": "crash"}, {"do": "allocate", "mb": 400}])
def test_a_limit_or_a_crash_ends_only_that_call(workers: WorkerPool, params: dict[str, object]) -> None:
    before = pid(workers)
    with pytest.raises(WorkerEnded):
        workers.run(params)
    assert pid(workers) != before
    assert workers.run({"do": "allocate", "mb": 100})[0] == {"bytes": 100 * 2**20}


def test_a_process_that_waits_is_ended_by_the_clock() -> None:
    workers = WorkerPool("worker_functions:work", processes=1, max_s=0, max_mb=300, max_clock_s=2)
    with pytest.raises(WorkerEnded):
        workers.run({"do": "wait forever"})
    workers.close()


def test_a_process_that_died_meanwhile_is_replaced(workers: WorkerPool) -> None:
    before = pid(workers)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert pid(workers) != before


def test_closed_processes_are_gone() -> None:
    workers = WorkerPool("worker_functions:work", processes=2, max_s=1, max_mb=300)
    process = pid(workers)
    workers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
