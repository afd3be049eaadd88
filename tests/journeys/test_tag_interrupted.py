"""Tagging that is interrupted, resumed, or meets a full disk loses nothing; the output is the same."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import CommandResult, run, start
from mounted_disk import mounted_disk
from muslin.models.bundle import seal
from small_models import SIDE, small_bundle

PRODUCTS = 8_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of 8,000 products and 50 photos, one unreadable; and whole.csv, tagged without interruption."""
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


def test_ctrl_c_keeps_finished_rows_and_names_resume(shop: Path) -> None:
    with start(*words("stopped.csv"), cwd=shop) as process:
        partial = shop / "stopped.csv.partial"
        while process.poll() is None and not (partial.exists() and partial.stat().st_size > 2_000):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    last_line = stderr.splitlines()[-1]
    assert last_line.startswith("muslin: stopped.csv")
    assert "--resume" in last_line
    assert tag(shop, "stopped.csv", "--resume").code == 0
    assert (shop / "stopped.csv").read_bytes() == (shop / "whole.csv").read_bytes()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, in memory: room for the journal, or for the output, not for both."""
    with mounted_disk(tmp_path / "disk", "1m") as folder:
        yield folder


@pytest.mark.parametrize("ballast", [250_000, 900_000])
def test_resume_after_a_full_disk_repeats_no_work(shop: Path, disk: Path, ballast: int) -> None:
    (disk / "ballast").write_bytes(bytes(ballast))
    full = tag(shop, disk / "out.csv")
    assert full.code == 1, full
    assert full.err.splitlines()[-1].startswith(f"muslin: {disk}")
    assert "Traceback" not in full.err
    assert not (disk / "out.csv").exists()
    journal_bytes = (disk / "out.csv.partial").stat().st_size
    assert journal_bytes > 10_000
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    assert tag(shop, disk / "out.csv", "--resume").code == 0
    assert (disk / "out.csv").read_bytes() == (shop / "whole.csv").read_bytes()
    assert sorted(path.name for path in disk.iterdir()) == ["ballast", "out.csv"]


def test_unwritable_place_is_refused(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = tag(shop, tmp_path / "file" / "out.csv")
    assert result.code == 1
    assert f"muslin: {tmp_path / 'file' / 'out.csv'}" in result.err
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        assert tag(shop, tmp_path / "closed" / "out.csv").code == 1
