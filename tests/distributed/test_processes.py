"""Shards in processes: in order whatever ends them, and nothing stays behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import muslin
from muslin.distributed import open_executor
from muslin.errors import DataError, ExecutionError, StoppedError
from muslin.execution import AHEAD_PER_WORKER, TRIES, Executor, Shard, ShardResult, content_of
from muslin.messages import Message
from refusals import refuses

HERE = Path(__file__).parent


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait; the test's own time limit is that of the suite."""
    while not is_so():
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pids_in(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


@pytest.fixture
def executor() -> Iterator[Executor]:
    with open_executor("local:2") as opened:
        yield opened


def test_results_of_processes_come_in_order(executor: Executor) -> None:
    shards = (Shard({"n": n}, content_of(b"%d" % n, b"x")) for n in range(12))
    results = list(executor.map("shard_tasks:add", shards, {"all": b"shared "}))
    assert [result.params["n"] for result in results] == list(range(1, 13))
    assert results[7].content == {"joined": b"shared 7x"}
    note = results[0].params["note"]
    assert (type(note), note.code) == (Message, "page_missing")
    pids = {result.params["pid"] for result in results}
    assert os.getpid() not in pids
    assert len(pids) <= 2
    assert (executor.status().workers, executor.status().done, executor.status().running) == (2, 12, 0)


def test_shards_are_read_a_few_ahead(executor: Executor) -> None:
    read = 0

    def shards() -> Iterator[Shard]:
        nonlocal read
        for read in range(100):
            yield Shard({"n": read})

    results = executor.map("shard_tasks:add", shards(), {"all": b""})
    for n in range(3):
        next(results)
        assert read < 2 * AHEAD_PER_WORKER + n


def test_errors_come_in_their_place(executor: Executor) -> None:
    results = executor.map("shard_tasks:refuse", [Shard({"n": n}) for n in range(4)], {})
    assert [next(results).params["n"] for _ in range(2)] == [0, 1]
    with refuses("page_missing", DataError, name="x"):
        next(results)
    with pytest.raises(RuntimeError, match="a bug"):
        list(executor.map("shard_tasks:refuse", [Shard({"n": 4})], {}))


def test_shard_of_a_killed_process_is_tried_again(executor: Executor, tmp_path: Path) -> None:
    shards = [Shard({"n": n, "folder": str(tmp_path), "ends": TRIES - 1 if n == 3 else 0}) for n in range(6)]
    results = list(executor.map("shard_tasks:end", shards, {}))
    assert [result.params["n"] for result in results] == list(range(6))
    assert executor.status().retried == TRIES - 1


def test_shard_that_ends_every_process_is_named(executor: Executor, tmp_path: Path) -> None:
    shards = [Shard({"n": n, "name": f"SKU-{n}", "folder": str(tmp_path), "ends": 9 * (n == 1)}) for n in range(9)]
    results = executor.map("shard_tasks:end", shards, {})
    assert next(results).params["n"] == 0
    with refuses("shard_lost", ExecutionError, name="SKU-1", tries=TRIES):
        next(results)
    assert len(list(tmp_path.glob("1-*"))) == TRIES
    [after] = executor.map("shard_tasks:end", shards[2:3], {})
    assert after.params["n"] == 2


def test_outcomes_come_as_soon_as_they_are_there(executor: Executor, tmp_path: Path) -> None:
    shards = [Shard({"n": n, "folder": str(tmp_path)}) for n in range(8)]
    outcomes = executor.outcomes("shard_tasks:await_others", shards, {})
    assert sorted(next(outcomes)[0] for _ in range(7)) == list(range(1, 8))
    (tmp_path / "go").touch()
    [(number, found)] = outcomes
    assert (number, found) == (0, ShardResult({"n": 0}))


def test_outcome_of_a_lost_shard_lets_the_others_go_on(executor: Executor, tmp_path: Path) -> None:
    shards = [Shard({"n": n, "name": f"SKU-{n}", "folder": str(tmp_path), "ends": 9 * (n == 1)}) for n in range(9)]
    outcomes = dict(executor.outcomes("shard_tasks:end", shards, {}))
    lost = outcomes.pop(1)
    assert isinstance(lost, ExecutionError)
    assert (lost.code, lost.params["name"]) == ("shard_lost", "SKU-1")
    assert sorted(outcomes) == [0, *range(2, 9)]
    assert all(isinstance(each, ShardResult) and each.params["n"] == n for n, each in outcomes.items())
    refused = dict(executor.outcomes("shard_tasks:refuse", [Shard({"n": n}) for n in range(6)], {}))
    assert {n: type(each) for n, each in refused.items() if not isinstance(each, ShardResult)} == {
        2: DataError, 4: RuntimeError,
    }  # fmt: skip


def test_memory_of_a_task_has_a_limit() -> None:
    with open_executor("local:1", memory_mb=300) as executor:
        [result] = executor.map("shard_tasks:allocate", [Shard({"mb": 100})], {"model": b"1", "data": b"2"})
        assert result.params == {"bytes": 100 * 2**20, "shared": ["data", "model"]}
        [result] = executor.map("shard_tasks:allocate", [Shard({"mb": 1})], {"model": b"3"})
        assert result.params["shared"] == ["model"]
        with refuses("shard_lost", ExecutionError, tries=TRIES):
            list(executor.map("shard_tasks:allocate", [Shard({"mb": 400})], {}))


def test_cancel_ends_all_processes(tmp_path: Path) -> None:
    with open_executor("local:2") as executor:
        threading.Thread(target=lambda: (wait_for(lambda: len(pids_in(tmp_path)) == 2), executor.cancel())).start()
        with refuses("execution_cancelled", StoppedError):
            list(executor.map("shard_tasks:wait", [Shard({"folder": str(tmp_path)})] * 5, {}))
    assert not any(map(is_running, pids_in(tmp_path)))


def test_closed_results_end_what_is_on_its_way(executor: Executor, tmp_path: Path) -> None:
    shards = [Shard({"n": 0, "folder": str(tmp_path)}), *[Shard({"folder": str(tmp_path), "n": 1, "wait": 1})] * 9]
    results = executor.map("shard_tasks:end_or_wait", shards, {})
    next(results)
    wait_for(lambda: bool(pids_in(tmp_path)))
    results.close()  # type: ignore[attr-defined]
    assert not any(map(is_running, pids_in(tmp_path)))
    assert executor.status().running == 0


HEAD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell inherits that it is ignored
from muslin.distributed import open_executor
from muslin.execution import Shard
with open_executor("local:2") as executor:
    list(executor.map("shard_tasks:wait", [Shard({"folder": sys.argv[1]})] * 4, {}))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_the_head(number: int, tmp_path: Path) -> None:
    path = os.pathsep.join([str(HERE), str(Path(muslin.__file__).parents[1])])
    command = [sys.executable, "-c", HEAD, str(tmp_path)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL) as head:
        try:
            wait_for(lambda: len(pids_in(tmp_path)) == 2)
            head.send_signal(number)
            head.wait(60)
        finally:
            head.kill()
    wait_for(lambda: not any(map(is_running, pids_in(tmp_path))))


UPGRADED = """
import json, sys
from pathlib import Path
import muslin
from muslin.distributed import open_executor
from muslin.errors import MuslinError
from muslin.execution import Shard
with open_executor("local:1") as executor:
    shards = (Shard({"n": n, "folder": sys.argv[1], "ends": n}) for n in range(2))
    results = executor.map("shard_tasks:end", shards, {})
    next(results)
    init = Path(muslin.__file__)
    init.write_text(init.read_text().replace(muslin.__version__, "9.9"))
    try:
        next(results)
    except MuslinError as error:
        print(json.dumps([error.code, error.params]))
"""


def test_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    """muslin is upgraded while a job runs, so that the next process has another version."""
    package = Path(muslin.__file__).parent
    shutil.copytree(package, tmp_path / "muslin", ignore=shutil.ignore_patterns("__pycache__", "static", "learn"))
    (tmp_path / "ends").mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(tmp_path)])}
    command = [sys.executable, "-c", UPGRADED, str(tmp_path / "ends")]
    code, params = json.loads(subprocess.check_output(command, env=environment))
    assert (code, params["found"], params["expected"]) == (
        "worker_versions", ["muslin 9.9"], [f"muslin {muslin.__version__}"],
    )  # fmt: skip


@pytest.mark.parametrize("value", ["0", "-1", "257", "two", "", "1.5", "²"])
def test_impossible_numbers_of_processes_are_refused(value: str) -> None:
    with refuses("executor_processes", ExecutionError, value=value), open_executor(f"local:{value}"):
        pass
