"""`muslin tag` and `muslin similar build` on Ray write what one machine writes, to the byte, while hosts leave
and join.

The short form has one working host, which another one replaces; the long form three, of which one is taken away midway
and one more is added, and 20,000 photos. The machines that work see neither the photos nor the model.
"""

import csv
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cluster import QUICK_HEALTH, Cluster, ray_cluster
from PIL import Image
from ray_shards import numbers, run_shards

from muslin.models.bundle import seal
from muslin.workflows.tag import JOURNAL_SUFFIX
from similar_shop import similar_shop
from small_models import SIDE, convolving_bundle


@dataclass(frozen=True)
class Job:
    """A shop's catalogue and photos in a folder, and what one machine writes for them."""

    folder: Path
    count: int
    expected: bytes


@pytest.fixture(scope="module")
def job(is_long: bool, tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder, count = tmp_path_factory.mktemp("job"), 20_000 if is_long else 3_000
    random = np.random.default_rng(0)
    golden = random.integers(0, 256, (3, SIDE, SIDE, 1)).astype(np.uint8)
    seal(convolving_bundle(random.random((4, 1, 3, 3), np.float32), golden, "Softplus"), folder / "model.muslin")
    (folder / "images").mkdir()
    side = 128 if is_long else 48
    noise = random.integers(0, 256, (side * 2, side * 2, 3)).astype(np.uint8)
    for i in range(count):  # no two are alike
        at = random.integers(0, side, 2)
        crop = noise[at[0] : at[0] + side, at[1] : at[1] + side] ^ np.uint8(i % 256)
        crop[0, :3, 0] = i // 65536, i // 256 % 256, i % 256
        Image.fromarray(crop).save(folder / f"images/{i:05}.jpg", quality=90)
    (folder / "images/00007.jpg").write_bytes(b"\xff\xd8 cut off")
    rows = [f"P{i:05},{i:05}.jpg\n" for i in range(count)]
    (folder / "shop.csv").write_text("".join(["sku,image\n", *rows]))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run(tag(folder, "here.csv"), cwd=folder, env=environment, check=True, capture_output=True)
    return Job(folder, count, (folder / "here.csv").read_bytes())


def tag(folder: Path, output: str, *words: object) -> list[object]:
    return [sys.executable, "-m", "muslin", "tag", folder / "model.muslin", folder / "shop.csv", "-o", output, *words]


@pytest.fixture(scope="module")
def cluster(job: Job, is_long: bool) -> Iterator[Cluster]:
    workers, processors = (2, 1) if is_long else (1, 0)
    with ray_cluster(workers, environment=QUICK_HEALTH, head_processors=processors, hidden=[job.folder]) as made:
        yield made


def test_errors_come_in_their_shards_place(cluster: Cluster) -> None:
    """A worker that ends is replaced; what a task raises keeps its code; the next job of a task has its workers."""
    waiting = "ray_tasks:work_a_while"
    lines = run_shards(cluster, "ray_tasks:end_process", "ray_tasks:refuse", waiting, waiting, count=4)
    assert numbers(lines) == [0, 1, 0, 1, *range(4), *range(4)]
    assert len({line["params"]["pid"] for line in lines if "pid" in line.get("params", {})}) == 1
    lost, refused = lines[2], lines[5]
    assert (lost["error"], lost["params"]) == ("shard_lost", {"name": "P2", "tries": 3})
    assert (refused["error"], refused["params"]["row"]) == ("row_length", 17)


def test_index_is_that_of_one_machine(cluster: Cluster, job: Job, tmp_path: Path) -> None:
    (job.folder / "shop").mkdir()
    shop = similar_shop(job.folder / "shop", products=20)
    words = [sys.executable, "-m", "muslin", "similar", "build", shop / "products.csv", "--images", shop / "photos"]
    words += ["--model", shop / "model.muslin", "-o"]
    # one environment, because the last bits of vectors depend on the number of threads of the matrix products
    environment = cluster.environment(cluster.desk) | {"XDG_CACHE_HOME": str(tmp_path)}
    for name, where in (("there.index", ["--on", cluster.address]), ("here.index", [])):
        with cluster.popen([*words, shop / name, *where], cwd=shop, env=environment) as process:
            assert process.wait() == 0
        shutil.rmtree(tmp_path / "muslin")  # features that are kept
    assert (shop / "there.index").read_bytes() == (shop / "here.index").read_bytes()


def test_interrupted_command_leaves_no_worker(cluster: Cluster, job: Job) -> None:
    output = job.folder / "there.csv"
    command = tag(job.folder, str(output), "--on", cluster.address)
    with cluster.popen(command, cwd=job.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        wait_for(lambda: blocks(output) >= 1 or process.poll() is not None)
        assert process.poll() is None, process.stdout.read().decode()
        assert cluster.workers()
        process.send_signal(signal.SIGINT)
        printed = process.stdout.read().decode()
    assert process.returncode == 1
    assert "--resume" in printed
    wait_for(lambda: not cluster.workers())
    assert not cluster.workers()


def test_tags_are_those_of_one_machine(cluster: Cluster, job: Job) -> None:
    """Those of the command that was interrupted, which goes on; meanwhile a host leaves, and another one joins."""
    output = job.folder / "there.csv"
    command = tag(job.folder, str(output), "--resume", "--on", cluster.address)
    with cluster.popen(command, cwd=job.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        wait_for(lambda: blocks(output) >= job.count // 750 - 3 or process.poll() is not None)
        assert process.poll() is None, process.stdout.read().decode()
        cluster.kill_host(cluster.hosts[-1])
        cluster.add_host()
        printed = process.stdout.read().decode()
    assert process.returncode == 0, printed
    assert output.read_bytes() == job.expected
    with output.open(newline="") as file:
        ids = [row["sku"] for row in csv.DictReader(file)]
    assert ids == [f"P{i:05}" for i in range(job.count)]
    shutil.rmtree(job.folder)


def blocks(output: Path) -> int:
    """Blocks of 256 rows in the journal of a job, whose first line is another."""
    journal = output.with_name(output.name + JOURNAL_SUFFIX)
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0


def wait_for(condition: Callable[[], bool], at_most_s: float = 300) -> None:
    until_s = time.monotonic() + at_most_s
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.02)
