"""What a library says about a file reaches a message without the file's own bytes."""

import gzip
import io
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

import muslin
from muslin.data import read
from muslin.errors import MuslinError
from muslin.images import decode
from muslin.library_errors import WORDS, reason_of

SECRET = "root:hunter2:/srv/vault"
BYTES = SECRET.encode()
PARSERS: dict[str, Callable[[bytes], Any]] = {
    "gzip": gzip.decompress,
    "image": lambda content: Image.open(io.BytesIO(content)).load(),
    "json": json.loads,
    "parquet": lambda content: parquet.read_table(io.BytesIO(content)),
    "safetensors": safetensors.numpy.load,
    "tar": lambda content: tarfile.TarFile(fileobj=io.BytesIO(content)),
    "utf-8": lambda content: (content + b"\xff").decode(),
    "xml": ElementTree.fromstring,
    "zip": lambda content: zipfile.ZipFile(io.BytesIO(content)),
    "zlib": zlib.decompress,
    "number": int,
    "key": {}.__getitem__,
}
STARTS = (
    b"", b"P5\n", b"P5\n3 3\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0",
    b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"<a>&", b'{"a": ', b'{"a": "\\', b'"',
    b"\x40\0\0\0\0\0\0\0{\"a\": \"",
)  # fmt: skip


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("start", STARTS)
def test_reason_of_a_parser_quotes_nothing(parser: str, start: bytes) -> None:
    with pytest.raises(Exception) as error:  # noqa: PT011
        PARSERS[parser](start + BYTES)
    reason = reason_of(error.value)
    assert reason
    for piece in ("root", "hunter", "srv", "vault"):
        assert piece not in reason


@settings(deadline=None)
@given(st.text(), st.sampled_from([ValueError, OSError, SyntaxError, KeyError]))
def test_any_text_of_an_exception_keeps_known_words_only(text: str, kind: type[Exception]) -> None:
    shown = reason_of(kind(f"broken file {text}"))
    letters = "".join(c if c.isalnum() else " " for c in shown).lower().split()
    assert all(word.isdigit() or word in {*WORDS, kind.__name__.lower()} or len(word) <= 2 for word in letters)


def test_no_message_takes_the_whole_text_of_an_exception() -> None:
    source = Path(muslin.__file__).parent
    pattern = re.compile(r"""(?:reason|detail)\s*=\s*(?:str\(\w*err|f["'].*\{\w*err\w*\}|\w+\.strerror or)""")
    found = {path.name: pattern.findall(path.read_text(encoding="utf-8")) for path in source.rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_useful_words_of_libraries_are_kept() -> None:
    for text in (
        "Expecting ',' delimiter: line 1 column 5 (char 4)",
        "image file is truncated (12 bytes not processed)",
        "Error -3 while decompressing data: incorrect header check",
        "Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file.",
        "mismatched tag: line 1, column 13",
        "File is not a zip file",
    ):
        assert reason_of(ValueError(text)) == text
    assert reason_of(FileNotFoundError(2, "No such file or directory", SECRET)) == "No such file or directory"
    assert reason_of(KeyError(SECRET)) == "KeyError"
    assert reason_of(SyntaxError("broken PNG file (chunk b'root')")) == "broken PNG file (chunk …)"


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("suffix", ["jpg", "json", "jsonl", "parquet", "xlsx", "zip", "tar", "gz"])
def test_refusal_of_a_file_holds_none_of_its_bytes(start: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(start + b"{" + BYTES + b"\n" + BYTES)
    action = (lambda path: decode(path, name=path.name)) if suffix == "jpg" else read
    with pytest.raises(MuslinError) as error:
        action(path)
    assert "hunter2" not in json.dumps(error.value.to_dict())
