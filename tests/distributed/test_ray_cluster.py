"""Shards on a real Ray cluster of hosts in network namespaces."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import QUICK_HEALTH, Cluster, ray_cluster

PROGRAM = Path(__file__).with_name("run_shards.py")
Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head and a host, each of which works on one shard at a time."""
    with ray_cluster(1, environment=QUICK_HEALTH) as made:
        yield made


def run_shards(cluster: Cluster, *words: object, after: int = 0, then: Callable[[], object] | None = None) -> Lines:
    """The lines of `run_shards.py`; `then` is called once so many of them are there."""
    lines: Lines = []
    command = [sys.executable, PROGRAM, cluster.address, *words]
    with cluster.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            lines.append(json.loads(line))
            if then and len(lines) == after:
                then()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    return lines


def test_results_are_whole_when_hosts_leave_and_join(cluster: Cluster) -> None:
    def exchange() -> None:
        cluster.kill_host(cluster.hosts[-1])
        cluster.begin_host()

    lines = run_shards(cluster, "ray_tasks:work_a_while", 60, 0.4, after=8, then=exchange)
    cluster.wait()
    assert [line["params"]["n"] for line in lines[:-1]] == list(range(60))
    assert {line["params"]["size"] for line in lines[:-1]} == {700_900}
    assert lines[-1]["done"] == 60
    assert 1 <= lines[-1]["retried"] <= 2
    assert len({line["params"]["pid"] for line in lines[:-1]}) == 3


def test_shard_that_ends_its_workers_is_named(cluster: Cluster) -> None:
    lines = run_shards(cluster, "ray_tasks:end_process", 6)
    assert [line["params"]["n"] for line in lines[:-1]] == [0, 1]
    assert lines[-1]["error"] == "shard_lost"
    assert lines[-1]["params"] == {"name": "P2", "tries": 3}


def test_error_of_a_task_keeps_its_code(cluster: Cluster) -> None:
    lines = run_shards(cluster, "ray_tasks:refuse", 6)
    assert [line["params"]["n"] for line in lines[:-1]] == [0, 1]
    assert lines[-1]["error"] == "row_length"
    assert lines[-1]["params"]["row"] == 17
