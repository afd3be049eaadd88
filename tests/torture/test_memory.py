"""Every command with 1 GB of address space, on ordinary and on hostile files: a result, or an error that says why."""

import gzip
import resource
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fork_server import Ended, ForkServer, Job
from inputs import SGD, Inputs
from victims import NAMES, commands, victim

from command_line import run

SHORT = ("tag xlsx", "evaluate", "explain", "parquet")

GB = 2**30
LIMITS = {"RLIMIT_AS": GB, "RLIMIT_CORE": 0}


@pytest.fixture(scope="module")
def server_without_torch() -> Iterator[ForkServer]:
    """Its children begin with the addresses that it has, of which torch's libraries take a gigabyte."""
    with ForkServer() as server:
        yield server


def check_ended(ended: Ended) -> None:
    assert ended.code in (0, 1), ended
    assert "Traceback" not in ended.err, ended
    assert "bug in muslin" not in ended.err, ended


@pytest.mark.parametrize("name", commands([name for name in NAMES if not name.startswith("train")], SHORT))
def test_gigabyte_is_enough(name, server_without_torch, inputs, tiny, tmp_path):
    job = victim(name, inputs, tiny).job(tmp_path)
    ended = server_without_torch.run(replace(job, limits=LIMITS))
    assert ended.code == 0, ended
    victim(name, inputs, tiny).outcome(tmp_path)


def test_training_needs_less_than_a_gigabyte(inputs, tmp_path):
    """Of memory: the libraries of torch alone take most of a gigabyte of addresses."""
    done = run(
        "train", inputs.garments, *SGD, "--epochs", 1, "--out", tmp_path / "run", "--json", cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (GB, GB)),
    )  # fmt: skip
    assert done.code == 0, done


# ── Hostile files ────────────────────────────────────────────────────────────────────────────────────────


def png_of(width: int, height: int) -> bytes:
    """A PNG that says that it is so large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", width, height, 8, 6, 0, 0, 0)
    rows = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def hostile_files() -> Mapping[str, bytes]:
    ten_mb = gzip.compress(bytes(10**7))
    commas = gzip.compress(b"," * 10**7)
    return {
        "vast.png": png_of(2**31 - 1, 2**31 - 1),
        "limit.png": png_of(7000, 7000),
        "zeros.csv.gz": ten_mb * 20,
        "one_row.csv.gz": commas * 10,
        "nested.json": b"[" * 10**6,
        "one_key.jsonl": b'{"image": "' + b"a" * (30 * 10**6) + b'"}\n',
        "not_a_model.muslin": b"PK\x03\x04" + bytes(1000),
    }


COMMANDS: Mapping[str, list[str]] = {
    "look": ["look", "FILE", "--json"],
    "tag": ["tag", "MODEL", "FILE", "-o", "out.csv", "--json"],
    "predict": ["predict", "MODEL", "FILE", "--json"],
    "inspect": ["inspect", "FILE", "--json"],
    "convert": ["convert", "FILE", "out", "--to", "folders", "--json"],
    "evaluate": ["evaluate", "MODEL", "FILE", "--json"],
    "audit": ["audit", "FILE", "-o", "audit", "--check", "identical", "--json"],
}


@pytest.mark.parametrize("name", hostile_files())
def test_gigabyte_is_enough_to_refuse_a_hostile_file(
    name: str, server_without_torch: ForkServer, inputs: Inputs, rounds: int, tmp_path: Path
):
    """In the short form some of the commands meet each file."""
    path = tmp_path / name
    path.write_bytes(hostile_files()[name])
    start = sorted(hostile_files()).index(name)
    commands = (list(COMMANDS) * 2)[start : start + min(max(1, rounds // 2), len(COMMANDS))]
    for command in commands:
        words = [{"FILE": path, "MODEL": inputs.model}.get(word, word) for word in COMMANDS[command]]
        job = Job(words, tmp_path, inputs.environment(tmp_path / "cache"), limits=LIMITS)
        check_ended(server_without_torch.run(job))
