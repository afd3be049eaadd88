"""A fetch that is killed, or whose disk becomes full: nothing half-written looks whole, and the next run goes on."""

import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from mounted_disk import mounted_disk
from muslin.images.decoder import encode_png
from photo_host import PhotoHost, photo, photo_host

SCRIPT = Path(__file__).parent / "fetch_process.py"
PHOTOS = 60


def start(table: Path, folder: Path, host: PhotoHost) -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    words = [sys.executable, str(SCRIPT), str(table), str(folder), str(host.port)]
    return subprocess.Popen(words, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True)


def write_table(path: Path, count: int) -> Path:
    path.write_text("sku,image\n" + "".join(f"{i},http://cdn.example/{i}.jpg\n" for i in range(count)))
    return path


def photos(count: int) -> dict[str, bytes]:
    return {f"/{i}.jpg": photo(i) for i in range(count)}


def check_whole(folder: Path, count: int) -> int:
    """The number of photos in the folder; each is called by its content, and a table that is there is complete."""
    found = [path for path in (folder / "photos").rglob("*") if path.is_file() and not path.name.endswith(".part")]
    for path in found:
        assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    table = folder / "products.csv"
    if table.exists():
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == count
        assert all((folder / row["photo"]).is_file() for row in rows if row["photo"])
    return len(found)


def test_killed_fetch_goes_on_where_it_was(tmp_path: Path, rounds: int) -> None:
    chance, may_end = random.Random(7), threading.Event()

    def last_photo(handler: Any) -> bytes:
        may_end.wait()  # so that no fetch ends before it is killed
        return photo(PHOTOS - 1)

    with photo_host(photos(PHOTOS) | {f"/{PHOTOS - 1}.jpg": last_photo}) as host:
        table = write_table(tmp_path / "export.csv", PHOTOS)
        for number in range(rounds):
            folder = tmp_path / str(number)
            host.asked.clear()
            may_end.clear()
            kills = 0
            for limit in sorted(chance.sample(range(1, PHOTOS), 2)):
                with start(table, folder, host) as process:
                    while process.poll() is None and sum(host.asked.values()) < limit:
                        time.sleep(0.002)
                    time.sleep(chance.uniform(0, 0.02))
                    process.kill()
                assert process.returncode == -signal.SIGKILL
                kills += 1
                check_whole(folder, PHOTOS)
            may_end.set()
            with start(table, folder, host) as process:
                _, error = process.communicate()
            assert process.returncode == 0, error
            assert check_whole(folder, PHOTOS) == PHOTOS
            assert not list(folder.rglob("*.part"))
            assert sum(host.asked.values()) <= PHOTOS + kills * 12, "what was under way is asked for again"


def test_full_disk_is_said_and_the_next_run_goes_on(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    answers = {f"/{i}.jpg": encode_png(noise[i]) for i in range(20)}
    with photo_host(answers) as host, mounted_disk(tmp_path / "disk", "200k") as disk:
        table = write_table(tmp_path / "export.csv", 20)
        with start(table, disk / "shop", host) as process:
            _, error = process.communicate()
        assert error.strip() == "disk_full"
        assert 0 < check_whole(disk / "shop", 20) < 20
        subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
        with start(table, disk / "shop", host) as process:
            _, error = process.communicate()
        assert process.returncode == 0, error
        assert check_whole(disk / "shop", 20) == 20
