"""What can go wrong with a cluster ends in a finished job, or in a code."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import QUICK_HEALTH, Cluster, ray_cluster
from other_python import make_python
from ray_shards import Lines, numbers, run_shards

WAITING = "ray_tasks:work_a_while"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_cluster(1, environment=QUICK_HEALTH) as made:
        yield made


def with_python(programs: Path) -> dict[str, str]:
    """The environment of a host whose Ray runs with another Python."""
    return {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(Path(__file__).parent)}


def networks(lines: Lines) -> set[int]:
    """Those of the hosts that did the shards."""
    return {line["params"]["network"] for line in lines if "network" in line.get("params", {})}


def test_host_that_joins_does_the_work_of_one_that_leaves(cluster: Cluster) -> None:
    def exchange() -> None:
        cluster.kill_host(cluster.hosts[-1])
        cluster.begin_host()

    lines = run_shards(cluster, WAITING, count=80, wait_s=0.3, after=5, then=exchange)
    cluster.wait()
    assert numbers(lines) == list(range(80))
    assert {line["params"]["size"] for line in lines[:-1]} == {701_000}
    assert lines[-1]["done"] == 80
    assert len({line["params"]["pid"] for line in lines[:-1]}) == 3


def test_host_without_muslin_is_named(cluster: Cluster, tmp_path: Path) -> None:
    host = cluster.add_host(with_python(make_python(tmp_path / "bare", without="muslin")))
    lines = run_shards(cluster, WAITING, count=100, wait_s=1)
    cluster.kill_host(host)
    assert lines[-1] == {"error": "worker_without_muslin", "params": {"worker": host.address, "module": "muslin"}}


def test_host_with_another_muslin_is_named_or_left_out(cluster: Cluster, tmp_path: Path) -> None:
    version = {"muslin": ("__init__.py", '__version__ = "0.1.0"', '__version__ = "0.0.9"')}
    other = with_python(make_python(tmp_path / "old", versions=version))
    host = cluster.add_host(other)
    lines = run_shards(cluster, WAITING, count=100, wait_s=1)
    cluster.kill_host(host)
    assert lines[-1]["error"] == "worker_versions"
    assert lines[-1]["params"]["found"] == ["muslin 0.0.9"]

    time.sleep(10)  # until the cluster knows that the host is gone
    lines = run_shards(cluster, WAITING, count=60, wait_s=0.5, after=2, then=lambda: cluster.begin_host(other))
    cluster.wait()
    cluster.kill_host(cluster.hosts[-1])
    assert numbers(lines) == list(range(60))
    assert lines[-1]["left_out"] == ["worker_versions"]


def test_another_ray_neither_joins_nor_works(cluster: Cluster, tmp_path: Path) -> None:
    import ray

    version = {"ray": ("_version.py", ray.__version__, "2.59.0")}
    programs = make_python(tmp_path / "old", versions=version)
    host = cluster.begin_host(with_python(programs))
    with pytest.raises(AssertionError, match=r"2\.59\.0"):
        cluster.wait()
    cluster.forget(host)
    lines = run_shards(cluster, WAITING, python=programs / "python")
    assert [line["error"] for line in lines] == ["cluster_versions"]
    assert lines[0]["params"]["expected"][0] == "Ray 2.59.0"


@pytest.mark.parametrize("place", ["host", "desk"])
def test_partition_that_heals_loses_nothing(cluster: Cluster, place: str) -> None:
    cut_off = cluster.desk if place == "desk" else cluster.add_host()

    def cut() -> None:
        cluster.cut(cut_off)
        time.sleep(3 if place == "host" else 20)
        cluster.heal(cut_off)

    lines = run_shards(cluster, WAITING, count=60, wait_s=0.3, after=5, then=cut)
    assert numbers(lines) == list(range(60))


def test_full_object_store_is_told_and_recovers(cluster: Cluster) -> None:
    assert numbers(run_shards(cluster, WAITING, count=6, kilobytes=50_000)) == list(range(6)), "more than the store"
    lines = run_shards(cluster, WAITING, kilobytes=200_000)
    assert [line["error"] for line in lines] == ["cluster_store_full"]
    assert numbers(run_shards(cluster, WAITING)) == list(range(8))


def test_task_that_takes_too_much_memory_is_ended(cluster: Cluster) -> None:
    lines = run_shards(cluster, "ray_tasks:take_memory")
    assert numbers(lines) == [0, 1]
    assert lines[-1]["error"] == "shard_lost"


def test_full_disk_of_a_host_costs_only_that_host(cluster: Cluster) -> None:
    host = cluster.add_host()
    assert host.network in networks(run_shards(cluster, WAITING, count=100, wait_s=0.2))
    cluster.fill_disk(host)
    lines = run_shards(cluster, WAITING, count=100, wait_s=0.2)
    cluster.kill_host(host)
    assert numbers(lines) == list(range(100))
    assert host.network not in networks(lines), lines


def test_lost_head_is_told_and_a_new_one_is_used(cluster: Cluster) -> None:
    lines = run_shards(cluster, WAITING, count=60, wait_s=0.3, after=5, then=cluster.head.kill)
    assert numbers(lines) == list(range(len(lines) - 1))
    assert lines[-1]["error"] == "cluster_lost"
    assert [line["error"] for line in run_shards(cluster, WAITING)] == ["cluster_unreachable"]
    cluster.start_head()
    cluster.wait()
    assert numbers(run_shards(cluster, WAITING)) == list(range(8))


def test_token_is_asked_of_clients_and_hosts() -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "fedcba9876543210fedcba9876543210"}
    with ray_cluster(0, environment=QUICK_HEALTH | token) as guarded:
        assert numbers(run_shards(guarded, WAITING)) == list(range(8))
        assert numbers(run_shards(guarded, WAITING, RAY_AUTH_MODE="")) == list(range(8)), "found by its token alone"
        no_token = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": ""}
        for variables in (no_token, {"RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}):
            lines = run_shards(guarded, WAITING, **variables)
            assert [line["error"] for line in lines] == ["cluster_refused"]
        host = guarded.begin_host(no_token)
        with pytest.raises(AssertionError, match="AuthenticationError"):
            guarded.wait()
        guarded.forget(host)
