"""Every command on a disk that becomes full at any of its writes: an error, nothing half written, nothing lost."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fork_server import Ended, Job
from small_disk import SmallDisk, small_disk
from victims import NAMES, commands, victim

SHORT = ("train sgd", "tag csv", "get", "audit", "parquet")

MAX_FREE_BYTES = 2 * 2**20

PAGE_BYTES = 4096


MAX_ROUNDS = 20
"""Of sizes for each command, however many kills are asked for: 200 would take hours."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.mark.parametrize("name", commands(NAMES, SHORT))
def test_full_disk_is_reported_and_loses_nothing(name, server, inputs, tiny, disk, rounds):
    """The sizes lie between nothing and what the command needs, or 2 MB."""
    disturbed, random = victim(name, inputs, tiny), Random(name)
    folder = disk.folder / "undisturbed"
    folder.mkdir()
    assert server.run(disturbed.job(folder)).code == 0
    expected = disturbed.outcome(folder)
    most = min(MAX_FREE_BYTES, needed_bytes(folder, disk))
    shutil.rmtree(folder)
    failures = 0
    for number in range(min(rounds, MAX_ROUNDS)):
        free = random.randrange(0, most, PAGE_BYTES) if number else 0
        folder = disk.folder / str(number)
        folder.mkdir()
        job = disturbed.job(folder)
        ended = server.run(replace(job, limits=disk.leave(free)))
        disturbed.check(folder)
        disk.make_room()
        if ended.code:
            failures += 1
            check_error(ended, job, free)
            assert not list(folder.rglob(".*.part")), "a temporary file stayed"
            ended = server.run(disturbed.job(folder))
            assert ended.code == 0, ended
        disturbed.check(folder)
        assert disturbed.outcome(folder) == expected
        shutil.rmtree(folder)
    assert failures, "the disk was never full"


def needed_bytes(folder: Path, disk: SmallDisk) -> int:
    """What the files in a folder take on the disk; without a disk of its own the size of the largest."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(-(-size // PAGE_BYTES) * PAGE_BYTES for size in sizes) if disk.mounted else max(sizes)


def check_error(ended: Ended, job: Job, free: int) -> None:
    """It says that the disk is full, and where."""
    assert "Traceback" not in ended.err, ended
    assert ended.code == 1, (free, ended)
    if "--json" in job.words:
        error: Any = ended.error
        tried = [str(reason) for reason in error["params"].get("tried", ())]
        assert error["code"] == "disk_full" or any("disk" in reason for reason in tried), (free, ended)
    else:  # it has no code to print
        assert "The disk is full" in ended.err, (free, ended)
