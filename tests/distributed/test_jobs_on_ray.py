"""Commands on a Ray cluster: trainings with the weights of one machine, and jobs that outlive their cluster or desk."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster import QUICK_HEALTH, Cluster, ray_cluster
from PIL import Image

from command_line import run
from muslin.models.bundle import open_bundle, seal
from muslin.workflows.run_folder import Run
from muslin.workflows.tag import JOURNAL_SUFFIX
from small_models import SIDE, convolving_bundle

pytestmark = pytest.mark.long
PROBE = ["--set", "weights=random", "--set", "network=efficientnet-lite0", "--set", "image_size=32", "--threads", 1]
COUNT = 1_500
"""Products of the shop."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a table with a photo for each product, and `expected.csv`, which one machine writes."""
    folder, random = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    golden = random.integers(0, 256, (3, SIDE, SIDE, 1)).astype(np.uint8)
    seal(convolving_bundle(random.random((4, 1, 3, 3), np.float32), golden, "Softplus"), folder / "model.muslin")
    (folder / "images").mkdir()
    for i in range(COUNT):
        pixels = random.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((240, 240)).save(folder / f"images/{i}.jpg")
    (folder / "shop.csv").write_text("".join(["sku,image\n", *(f"P{i},{i}.jpg\n" for i in range(COUNT))]))
    assert run(*tag("expected.csv"), cwd=folder).code == 0
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 photos in folders of their classes."""
    folder, random = tmp_path_factory.mktemp("training") / "photos", np.random.default_rng(1)
    for i in range(60):
        path = folder / ("bag", "hat")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(i % 2 * 60, 256, (40, 40, 3)).astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def cluster(shop: Path, photos: Path) -> Iterator[Cluster]:
    with ray_cluster(1, environment=QUICK_HEALTH, hidden=[shop, photos]) as made:
        yield made


def tag(output: str, *words: object) -> list[object]:
    return ["tag", "model.muslin", "shop.csv", "-o", output, *words]


def started(cluster: Cluster, folder: Path, *words: object) -> "subprocess.Popen[bytes]":
    """A command of muslin on the desk, with what it prints in a pipe."""
    command = [sys.executable, "-m", "muslin", *words]
    return cluster.popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def on_desk(cluster: Cluster, folder: Path, *words: object) -> str:
    with started(cluster, folder, *words) as process:
        printed = process.communicate()[0].decode()
    assert process.returncode == 0, printed
    return printed


def wait_for(condition: Callable[[], Any], at_most_s: float = 300) -> None:
    until_s = time.monotonic() + at_most_s
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.05)
    assert condition()


def began(folder: Path, output: str) -> Callable[[], bool]:
    """Whether a job's journal has a block of rows."""
    journal = folder / (output + JOURNAL_SUFFIX)
    return lambda: journal.exists() and journal.read_bytes().count(b"\n") > 1


def without_cache(cluster: Cluster) -> None:
    shutil.rmtree(Path(cluster.environment(cluster.desk)["HOME"]) / ".cache", ignore_errors=True)


def weights(folder: Path) -> Any:
    return open_bundle(Run(folder).model).weights


def test_trained_weights_are_those_of_one_machine(cluster: Cluster, photos: Path) -> None:
    words = ["train", photos, "--recipe", "photo", *PROBE, "--out"]
    printed = on_desk(cluster, photos.parent, *words, "there", "--on", cluster.address)
    assert "with 2 workers" in printed
    without_cache(cluster)
    on_desk(cluster, photos.parent, *words, "here")
    assert weights(photos.parent / "there") == weights(photos.parent / "here")


def test_swept_weights_are_those_of_one_machine(cluster: Cluster, photos: Path) -> None:
    words = ["sweep", photos, "--recipes", "photo", "--seeds", "0-2", *PROBE]
    printed = on_desk(cluster, photos.parent, *words, "--out", "sweep", "--on", cluster.address)
    assert "best by validation" in printed
    for seed in (0, 2):
        alone = ["train", photos, "--recipe", "photo", *PROBE, "--seed", seed, "--out", f"alone-{seed}"]
        on_desk(cluster, photos.parent, *alone)
        assert weights(photos.parent / f"sweep/photo-seed-{seed}") == weights(photos.parent / f"alone-{seed}")
    wait_for(lambda: not cluster.workers())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_command_leaves_a_clean_cluster(cluster: Cluster, shop: Path, number: int) -> None:
    output = f"{number}.csv"
    without_cache(cluster)
    with started(cluster, shop, *tag(output, "--on", cluster.address)) as process:
        wait_for(lambda: began(shop, output)() or process.poll() is not None)
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert cluster.workers()
        process.send_signal(number)
        process.communicate()
    assert process.returncode == (-number if number == signal.SIGKILL else 1)
    wait_for(lambda: not cluster.workers())
    on_desk(cluster, shop, *tag(output, "--resume", "--on", cluster.address))
    assert (shop / output).read_bytes() == (shop / "expected.csv").read_bytes()
    wait_for(lambda: not cluster.workers())


def test_interrupted_sweep_leaves_a_clean_cluster(cluster: Cluster, photos: Path) -> None:
    words = ["sweep", photos, "--recipes", "photo", "--seeds", "0-3", *PROBE, "--out", "stopped"]
    with started(cluster, photos.parent, *words, "--on", cluster.address) as process:
        wait_for(lambda: cluster.workers() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        printed = process.communicate()[0].decode()
    assert process.returncode == 1
    assert "muslin sweep --resume" in printed
    wait_for(lambda: not cluster.workers())
    on_desk(cluster, photos.parent, "sweep", "--resume", "stopped", "--on", cluster.address)
    assert len(list((photos.parent / "stopped").glob("photo-seed-*/model.muslin"))) == 4


@pytest.mark.parametrize("place", [[], ["--on", "local:2"]], ids=["here", "processes"])
def test_job_outlives_the_head(cluster: Cluster, shop: Path, place: list[str]) -> None:
    output = f"lost-{len(place)}.csv"
    without_cache(cluster)
    with started(cluster, shop, *tag(output, "--on", cluster.address)) as process:
        wait_for(lambda: began(shop, output)() or process.poll() is not None)
        cluster.head.kill()
        printed = process.communicate()[0].decode()
    assert process.returncode == 1, printed
    assert "connection to the head of the Ray cluster was lost" in printed
    assert "Traceback" not in printed
    on_desk(cluster, shop, *tag(output, "--resume", *place))
    assert (shop / output).read_bytes() == (shop / "expected.csv").read_bytes()
    assert not os.path.exists(shop / (output + JOURNAL_SUFFIX))
    cluster.start_head()
    cluster.wait()
