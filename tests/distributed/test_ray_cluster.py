"""Shards on a real Ray cluster of hosts in network namespaces."""

from collections.abc import Iterator

import pytest
from cluster import QUICK_HEALTH, Cluster, ray_cluster
from ray_shards import numbers, run_shards


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that does not work itself, and a host that works on one shard at a time."""
    with ray_cluster(1, environment=QUICK_HEALTH, head_processors=0) as made:
        yield made


def test_errors_come_in_their_shards_place(cluster: Cluster) -> None:
    """A worker that ends is replaced; what a task raises keeps its code."""
    lines = run_shards(cluster, "ray_tasks:end_process", "ray_tasks:refuse", count=4)
    assert numbers(lines) == [0, 1, 0, 1]
    lost, refused = lines[2], lines[5]
    assert (lost["error"], lost["params"]) == ("shard_lost", {"name": "P2", "tries": 3})
    assert (refused["error"], refused["params"]["row"]) == ("row_length", 17)


def test_host_that_joins_does_the_work_of_one_that_leaves(cluster: Cluster) -> None:
    def exchange() -> None:
        cluster.kill_host(cluster.hosts[-1])
        cluster.begin_host()

    lines = run_shards(cluster, "ray_tasks:work_a_while", count=20, wait_s=0.2, after=5, then=exchange)
    cluster.wait()
    assert numbers(lines) == list(range(20))
    assert {line["params"]["size"] for line in lines[:-1]} == {701_000}
    assert lines[-1]["done"] == 20
    assert lines[-1]["retried"] == 2
    assert len({line["params"]["pid"] for line in lines[:-1]}) == 2
