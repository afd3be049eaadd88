"""Tagging that is killed, interrupted, resumed, or meets a full disk: nothing is lost and the output is the same."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import CommandResult, run, start
from muslin.models.bundle import seal
from small_models import SIDE, small_bundle

PRODUCTS = 8_000
KILLS = 20


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of 8,000 products with 50 photos between them, one broken, and whole.csv, made without a break."""
    folder = tmp_path_factory.mktemp("shop")
    seal(small_bundle(), folder / "model.muslin")
    (folder / "images").mkdir()
    for i in range(50):
        pixels = np.random.default_rng(i).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i:02}.png")
    (folder / "images" / "07.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lines = [f'{i:06};"a ""quoted"" name";{i % 51:02}' for i in range(PRODUCTS)]  # photo 50 is missing
    (folder / "shop.csv").write_bytes("\r\n".join(["SKU;name;image", *lines]).encode("utf-8-sig"))
    whole = tag(folder, "whole.csv")
    assert whole.code == 0, whole
    return folder


def words(out: object) -> list[object]:
    return ["tag", "model.muslin", "shop.csv", "-o", out]


def tag(shop: Path, out: object, *more: str) -> CommandResult:
    return run(*words(out), *more, cwd=shop)


@pytest.mark.slow
def test_killed_twenty_times_and_resumed_the_output_is_the_same_byte_for_byte(shop: Path) -> None:
    moment = random.Random(0)
    out, partial = shop / "out.csv", shop / "out.csv.partial"
    kills, sizes = 0, set()
    while kills < KILLS:
        size = partial.stat().st_size if partial.exists() else 0
        with start(*words("out.csv"), "--resume", cwd=shop) as process:
            until = moment.choice([size + 1, size + 5_000, size + 20_000])  # bytes of the journal
            begun = time.monotonic()
            while process.poll() is None:
                now = partial.stat().st_size if partial.exists() else 0
                if now >= until or (kills % 5 == 0 and time.monotonic() - begun > moment.random()):
                    process.kill()
                    break
                time.sleep(0.001)
            process.communicate()
        if process.returncode == 0:  # it had ended: from the start once more
            out.unlink()
            continue
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
        kills += 1
        sizes.add(partial.stat().st_size if partial.exists() else 0)
    assert len(sizes) > KILLS / 2  # the kills were at many places
    done = tag(shop, "out.csv", "--resume")
    assert done.code == 0, done
    assert out.read_bytes() == (shop / "whole.csv").read_bytes()
    assert not [path.name for path in shop.iterdir() if "part" in path.name]
    out.unlink()


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(shop: Path) -> None:
    with start(*words("stopped.csv"), cwd=shop) as process:
        partial = shop / "stopped.csv.partial"
        while process.poll() is None and not (partial.exists() and partial.stat().st_size > 2_000):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert said.splitlines()[-1].endswith(
        f"of {PRODUCTS:,} products. The same command with --resume goes on."
    )
    assert tag(shop, "stopped.csv", "--resume").code == 0
    assert (shop / "stopped.csv").read_bytes() == (shop / "whole.csv").read_bytes()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, in memory: room for the journal, or for the output, not for both."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this system lets us mount nothing: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("ballast", [250_000, 900_000])
def test_a_full_disk_is_said_and_once_there_is_room_nothing_is_done_twice(
    shop: Path, disk: Path, ballast: int
) -> None:
    (disk / "ballast").write_bytes(bytes(ballast))
    full = tag(shop, disk / "out.csv")
    assert full.code == 1, full
    assert "The disk is full: free some space" in full.err
    assert "Traceback" not in full.err
    assert not (disk / "out.csv").exists()
    kept = (disk / "out.csv.partial").stat().st_size
    assert kept > 10_000
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    assert tag(shop, disk / "out.csv", "--resume").code == 0
    assert (disk / "out.csv").read_bytes() == (shop / "whole.csv").read_bytes()
    assert sorted(path.name for path in disk.iterdir()) == ["ballast", "out.csv"]


def test_a_place_that_cannot_be_written_is_said_before_any_work(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = tag(shop, tmp_path / "file" / "out.csv")
    assert said.code == 1
    assert "cannot be written" in said.err
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        assert "not writable" in tag(shop, tmp_path / "closed" / "out.csv").err
