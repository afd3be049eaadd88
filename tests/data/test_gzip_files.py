"""Content of gzip files, unpacked member after member."""

import gzip
from pathlib import Path
from random import Random

import pytest

from muslin.data.gzip_files import open_data_file
from refusals import refuses

CONTENT = Random(0).randbytes(300_000) + bytes(300_000)


@pytest.mark.parametrize("after", [b"", bytes(700)], ids=["", "zeros"])
@pytest.mark.parametrize("sizes", [(600_000,), (1, 0, 0, 65_536, 534_463)], ids=["one", "several"])
def test_members_are_unpacked_one_after_another(sizes: tuple[int, ...], after: bytes, tmp_path: Path) -> None:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    members = [gzip.compress(CONTENT[start : start + size]) for start, size in zip(starts, sizes, strict=True)]
    (tmp_path / "a.gz").write_bytes(b"".join(members) + after)
    with open_data_file(tmp_path / "a.gz") as file:
        assert file.read() == CONTENT


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda packed: packed[:-1], "gzip_cut_off"),
        (lambda packed: packed + packed[:11], "gzip_cut_off"),
        (lambda packed: packed + b"x", "gzip_cut_off"),
        (lambda packed: packed + b"behind", "gzip_damaged"),
        (lambda packed: packed[:-6] + b"xx" + packed[-4:], "gzip_damaged"),
        (lambda packed: packed[:200_000] + bytes(200) + packed[200_200:], "gzip_damaged"),
    ],
    ids=["end", "second member", "a letter behind", "text behind", "checksum", "content"],
)
def test_damage_is_an_error(change, code: str, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(change(gzip.compress(CONTENT)))
    with refuses(code, path=str(tmp_path / "a.gz")), open_data_file(tmp_path / "a.gz") as file:
        file.read()
