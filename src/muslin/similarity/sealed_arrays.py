"""Arrays and texts in one sealed file: safetensors, whose metadata hold a SHA-256 of each array and of themselves.

An array is read, and its digest compared, when it is first asked for: a search needs the vectors alone. The seal
detects damage and careless edits; it is no signature.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError, DataError
from muslin.library_errors import reason_of
from muslin.models.json_schema import COUNT, check_schema, parse_json
from muslin.storage.outputs import Output

DTYPES = {"U8": np.uint8, "I64": np.int64, "I32": np.int32, "F16": np.float16, "F32": np.float32, "F64": np.float64}
"""Of the arrays, by their names in safetensors."""

_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}

MAX_HEADER_BYTES = 1_000_000

MAX_ARRAY_BYTES = 2**40

BLOCK_BYTES = 2**24
"""Read, hashed or written at a time."""

_HEADER = {str: {"dtype": str, "shape": [COUNT], "data_offsets": [COUNT]}}
_SEAL = "seal"


def write_sealed(output: Output, metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the file, whole or not at all.

    Args:
        metadata: texts by name.
        arrays: of DTYPES, in any memory; each is copied block by block.

    Raises:
        StorageError: see `Output.open`.
    """
    described: dict[str, Any] = {}
    digests: dict[str, Any] = {}
    offset = 0
    for name, array in arrays.items():
        described[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        digests[name] = hashlib.sha256()
        offset += array.nbytes
    with output.open() as file, ThreadPoolExecutor(1, "seal") as pool:
        file.write(_header(metadata, digests, described))  # as long as the one that takes its place
        for name, array in arrays.items():
            for block in _blocks(array):
                hashed = pool.submit(digests[name].update, block)
                file.write(block)
                hashed.result()
        file.seek(0)
        file.write(_header(metadata, digests, described))


def _header(metadata: Mapping[str, str], digests: Mapping[str, Any], described: Mapping[str, Any]) -> bytes:
    """The sealed header and, before it, its length."""
    texts = {**metadata, **{f"sha256:{name}": digest.hexdigest() for name, digest in digests.items()}}
    texts[_SEAL] = _seal_of({"__metadata__": texts, **described})
    content = json.dumps({"__metadata__": texts, **described}, ensure_ascii=True, separators=(",", ":")).encode()
    return len(content).to_bytes(8, "little") + content


class SealedArrays:
    """An opened file.

    Attributes:
        path: the file.
        metadata: texts by name.

    Raises:
        DataError: it is no such file, or damaged.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind
        try:
            with path.open("rb") as file:
                self._start, header = self._read_header(file)
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise DataError("index_unreadable", path=str(path), reason=reason_of(error)) from error
        self.metadata: dict[str, str] = header.pop("__metadata__")
        self._arrays: dict[str, Any] = header
        ends = [0]
        for entry in header.values():
            begin, end = entry["data_offsets"]
            dtype = DTYPES.get(entry["dtype"])
            if dtype is None or begin != ends[-1]:
                raise self._damaged("header")
            if end - begin != math.prod(entry["shape"]) * np.dtype(dtype).itemsize or end > MAX_ARRAY_BYTES:
                raise self._damaged("header")
            ends.append(end)
        if self._start + ends[-1] != size:
            raise self._damaged("end")

    @property
    def names(self) -> list[str]:
        """Those of the arrays."""
        return list(self._arrays)

    def kind_of(self, name: str) -> tuple[Any, tuple[int, ...]]:
        """The type and the shape of an array."""
        return DTYPES[self._arrays[name]["dtype"]], tuple(self._arrays[name]["shape"])

    def read(self, name: str, dtype: Any, *shape: int | None) -> NDArray[Any]:
        """An array in memory, checked against the seal.

        Args:
            dtype, shape: what it must be; None for any length.

        Raises:
            DataError: it is not there, is another one, or damaged.
        """
        return np.array(self.map(name, dtype, *shape))

    def map(self, name: str, dtype: Any, *shape: int | None, check: bool = True) -> NDArray[Any]:
        """As `read`, an array in the file, of which only a part needs to fit into memory.

        Args:
            check: whether to compare the digest, for which the whole array is read.
        """
        entry = self._arrays.get(name)
        if entry is None or DTYPES[entry["dtype"]] != dtype or len(entry["shape"]) != len(shape):
            raise self._damaged(name)
        if any(wanted not in (None, found) for wanted, found in zip(shape, entry["shape"], strict=True)):
            raise self._damaged(name)
        if not math.prod(entry["shape"]):
            return np.zeros(entry["shape"], dtype)
        try:
            offset = self._start + entry["data_offsets"][0]
            array = np.memmap(self.path, dtype=dtype, mode="r", offset=offset, shape=tuple(entry["shape"]))
        except (OSError, ValueError) as error:
            raise DataError("index_unreadable", path=str(self.path), reason=reason_of(error)) from error
        if check and self.metadata.get(f"sha256:{name}") != _sha256(array):
            raise self._damaged(name)
        return array

    def _read_header(self, file: BinaryIO) -> tuple[int, dict[str, Any]]:
        size = int.from_bytes(file.read(8), "little")
        content = file.read(size) if 0 < size <= MAX_HEADER_BYTES else b""
        if not content.startswith(b"{") or len(content) != size:
            raise DataError("index_foreign", path=str(self.path))
        try:
            header = parse_json(content)
            metadata: Any = header.get("__metadata__")
            check_schema(metadata, {str: str})
            if metadata.get("format") != self.kind:
                raise DataError("index_foreign", path=str(self.path))
            check_schema({name: entry for name, entry in header.items() if name != "__metadata__"}, _HEADER)
            if any(len(entry["data_offsets"]) != 2 for name, entry in header.items() if name != "__metadata__"):
                raise self._damaged("header")
            sealed = {**header, "__metadata__": {k: v for k, v in metadata.items() if k != _SEAL}}
            if metadata.get(_SEAL) != _seal_of(sealed):
                raise self._damaged("header")
        except (BundleError, ValueError) as error:
            raise DataError("index_foreign", path=str(self.path)) from error
        return 8 + size, header

    def _damaged(self, part: str) -> DataError:
        return DataError("index_damaged", path=str(self.path), part=part)


def pack_texts(texts: Mapping[str, list[str]]) -> dict[str, NDArray[Any]]:
    """Lists of texts as arrays: per name its bytes, and where each text ends."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in texts.items():
        encoded = [value.encode("utf-8", "surrogatepass") for value in values]
        arrays[name] = np.frombuffer(b"".join(encoded), np.uint8)
        arrays[f"{name}_ends"] = np.cumsum([len(value) for value in encoded], dtype=np.int64)
    return arrays


def read_texts(file: SealedArrays, name: str, count: int | None = None) -> list[str]:
    """A list of `pack_texts`.

    Raises:
        DataError: it is damaged.
    """
    content = file.read(name, np.uint8, None).tobytes()
    ends = file.read(f"{name}_ends", np.int64, count).tolist()
    if ends != sorted(ends) or (ends[-1] if ends else 0) != len(content) or min(ends, default=0) < 0:
        raise DataError("index_damaged", path=str(file.path), part=name)
    try:
        starts = [0, *ends][: len(ends)]
        return [content[i:j].decode("utf-8", "surrogatepass") for i, j in zip(starts, ends, strict=True)]
    except UnicodeDecodeError as error:
        raise DataError("index_damaged", path=str(file.path), part=name) from error


def _seal_of(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, ensure_ascii=True, sort_keys=True).encode()).hexdigest()


def _sha256(array: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(array):
        digest.update(block)
    return digest.hexdigest()


def _blocks(array: NDArray[Any]) -> Any:
    flat = array.reshape(-1)
    step = max(1, BLOCK_BYTES // array.itemsize)
    for start in range(0, len(flat), step):
        yield np.ascontiguousarray(flat[start : start + step]).data
