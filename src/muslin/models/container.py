"""The sealed zip of a `.muslin` file: its parts, its directory and its seal, read without trusting any of them.

The zip's comment is the seal: the SHA-256 of manifest.json, which lists size and SHA-256 of every other part. The seal
detects damage and careless edits. It is no signature: whoever rewrites the whole file can seal it again.
"""

import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from muslin.errors import BundleError
from muslin.library_errors import reason_of
from muslin.models.json_schema import check_schema, parse_json
from muslin.text import UNSAFE_CHARACTERS

FORMAT = "muslin"
FORMAT_VERSION = 1
"""Rises with every change that an older reader would get wrong; see docs/reference/bundle.md."""

MIB = 2**20
PARTS = {  # in the file's order, with the largest size of each in bytes
    "manifest.json": 16 * MIB,
    "network.json": 16 * MIB,
    "provenance.json": 16 * MIB,
    "golden.safetensors": 256 * MIB,
    "model.onnx": 1024 * MIB,
    "weights.safetensors": 1024 * MIB,
    "calibration.safetensors": 256 * MIB,
    "images.safetensors": 256 * MIB,
    "model.int8.onnx": 1024 * MIB,
    "int8.safetensors": 512 * MIB,
}
CALIBRATION_PART = "calibration.safetensors"
IMAGES_PART = "images.safetensors"
INT8_MODEL_PART, INT8_PART = "model.int8.onnx", "int8.safetensors"
OPTIONAL_PARTS = (CALIBRATION_PART, IMAGES_PART, INT8_MODEL_PART, INT8_PART)

_SEAL = b"sha256:%s"
_SEAL_BYTES = len(_SEAL % hashlib.sha256().hexdigest().encode())
_END = struct.Struct("<4s4H2LH")  # the end of a zip's directory: APPNOTE.TXT 4.3.16
_LOCAL = struct.Struct("<4s5H3L2H")  # the header before each part: 4.3.7
_MANIFEST_NAME = b"manifest.json"
_CENTRAL_BYTES = 46  # a part's header in the directory, without its name: 4.3.12
_LOCATOR_BYTES = 20  # zip64's, before the end: 4.3.15
_MAX_DIRECTORY_BYTES = 2**16
_MANIFEST: dict[str, Any] = {
    "format": str,
    "format_version": int,
    "muslin_version": str,
    "parts": {str: {"sha256": str, "size": int}},
}
_FOREIGN_ERRORS = (  # what zipfile, json, struct and safetensors may raise about bytes that they cannot read
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


@contextmanager
def locating_errors(**where: str) -> Iterator[None]:
    """Turn any error about unreadable bytes into a BundleError, and add its `path` or `part`."""
    try:
        yield
    except BundleError as error:
        raise error.with_params(**where) from error
    except OSError as error:
        raise BundleError("bundle_unreadable", reason=reason_of(error), **where) from error
    except _FOREIGN_ERRORS as error:
        raise BundleError("bundle_unreadable", reason=reason_of(error), **where) from error


def pack(manifest: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """The file for `parts` without the manifest, in the order of PARTS, and the manifest's other keys.

    Raises:
        BundleError: `manifest` is not JSON.
    """
    from importlib.metadata import version  # 10 ms that opening a model has no need of

    described = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "muslin_version": version("muslin"),
        **manifest,
        "parts": {name: {"sha256": _sha256_hex(part), "size": len(part)} for name, part in parts.items()},
    }
    parts = {"manifest.json": to_json("manifest.json", described), **parts}
    buffer = io.BytesIO()
    # Not compressed: trained weights hardly shrink, nothing can expand, and the bytes depend on no zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, part in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # else it would be the writer's own system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, part)
        archive.comment = _SEAL % _sha256_hex(parts["manifest.json"]).encode()
    return buffer.getvalue()


def unpack(file: BinaryIO) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest's keys that are not about the container, and the other parts, each checked against the seal.

    Raises:
        BundleError: the file is damaged, tampered with, from a later muslin, or not a .muslin file.
    """
    size = _checked_size(file)
    _check_start(file)
    seal = _read_seal(file, size)
    with zipfile.ZipFile(file) as archive:
        _check_directory(archive.infolist(), size)
        parts = {}
        for entry in archive.infolist():
            with locating_errors(part=entry.filename):
                parts[entry.filename] = archive.read(entry)
    content = parts.pop("manifest.json")
    with locating_errors(part="manifest.json"):
        if seal != _SEAL % _sha256_hex(content).encode():
            raise BundleError("seal_broken")
        manifest = parse_json(content)
        check_schema({key: manifest.get(key) for key in _MANIFEST}, _MANIFEST)
        if manifest["format"] != FORMAT or manifest["format_version"] != FORMAT_VERSION:
            raise BundleError("bundle_format", name=manifest["format"], found=manifest["format_version"])
        if set(manifest["parts"]) != set(parts):
            raise BundleError("manifest_keys", where="parts", expected=[*parts])
    for name, listed in manifest["parts"].items():
        if (len(parts[name]), _sha256_hex(parts[name])) != (listed["size"], listed["sha256"]):
            raise BundleError("seal_broken", part=name)
    return {key: value for key, value in manifest.items() if key not in _MANIFEST}, parts


def check_ends(file: BinaryIO) -> None:
    """Refuse what is plainly no .muslin file, as `unpack` does, by its size and a few bytes at its start and its end.

    Nothing that the file announces is parsed or allocated. Its position becomes its start.

    Raises:
        BundleError: it is empty, too large, no zip, or a zip of something else.
    """
    size = _checked_size(file)
    if not _has_manifest_first(_read_header(file), file):
        _read_seal(file, size)
    file.seek(0)


def _checked_size(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise BundleError("part_empty")
    if size > sum(PARTS.values()) + MIB:
        raise BundleError("bundle_size", found=size, maximum=sum(PARTS.values()))
    return size


def _read_header(file: BinaryIO) -> bytes:
    """The header before the first part of a zip."""
    file.seek(0)
    header = file.read(_LOCAL.size)
    if not header.startswith(b"PK\x03\x04"):
        raise BundleError("bundle_not_zip")
    return header


def _has_manifest_first(header: bytes, file: BinaryIO) -> bool:
    """Whether the first part is called as that of every version of the format is; the file is read up to its name."""
    return file.read(len(_MANIFEST_NAME)) == _MANIFEST_NAME and _LOCAL.unpack(header)[-2] == len(_MANIFEST_NAME)


def to_json(part: str, value: Any) -> bytes:
    """`value` as the bytes of a part, with U+FFFD for each character in its texts that `parse_json` refuses.

    Raises:
        BundleError: it is not JSON.
    """
    try:
        return json.dumps(_with_safe_texts(value), indent=1, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError("not_json", part=part, reason=reason_of(error)) from error


def _with_safe_texts(value: Any) -> Any:
    if isinstance(value, str):
        return UNSAFE_CHARACTERS.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_with_safe_texts(key): _with_safe_texts(item) for key, item in value.items()}
    return [_with_safe_texts(item) for item in value] if isinstance(value, list | tuple) else value


def _check_start(file: BinaryIO) -> None:
    """Refuse files that are not zips, and those of a later muslin, of which only the start must be like ours.

    Every version of the format begins with an uncompressed manifest.json that gives its `format_version`.
    """
    header = _read_header(file)
    if not _has_manifest_first(header, file):
        return
    try:
        *_, size, _, extra_bytes = _LOCAL.unpack(header)
        file.seek(extra_bytes, os.SEEK_CUR)
        found = parse_json(file.read(min(size, PARTS["manifest.json"])))["format_version"]
    except (BundleError, *_FOREIGN_ERRORS):
        return  # the full check below names the fault
    if type(found) is int and found > FORMAT_VERSION:
        raise BundleError("bundle_newer", found=found, expected=FORMAT_VERSION)


def _read_seal(file: BinaryIO, size: int) -> bytes:
    """The seal at the file's end, before anything is parsed or allocated that the file itself announces."""
    file.seek(max(0, size - _LOCATOR_BYTES - _END.size - _SEAL_BYTES))
    locator, end, seal = file.read(_LOCATOR_BYTES), file.read(_END.size), file.read()
    if len(seal) == _SEAL_BYTES:
        signature, *_, directory_bytes, _, seal_bytes = _END.unpack(end)
        if (signature, seal_bytes) == (b"PK\x05\x06", _SEAL_BYTES):
            if directory_bytes > _MAX_DIRECTORY_BYTES or locator.startswith(b"PK\x06\x07"):
                raise BundleError("too_many_parts", expected=len(PARTS))
            return seal
    raise BundleError("seal_missing")


def _check_directory(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse parts by their rows in the zip's directory, before a byte of them is read."""
    names = [entry.filename for entry in entries]
    for name in names:
        if name not in PARTS:
            raise BundleError("part_unknown", name=name)
        if names.count(name) > 1:
            raise BundleError("part_duplicate", part=name)
    for name in PARTS:
        if name not in names and name not in OPTIONAL_PARTS:
            raise BundleError("part_missing", part=name)
    for entry in entries:
        name, maximum = entry.filename, PARTS[entry.filename]
        if entry.flag_bits & 0x1:
            raise BundleError("part_encrypted", part=name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits:
            raise BundleError("part_compressed", part=name)
        if entry.file_size > maximum:
            raise BundleError("part_size", part=name, found=entry.file_size, maximum=maximum)
        if entry.compress_size != entry.file_size:
            raise BundleError("part_sizes", part=name)
    headers = sum(_LOCAL.size + _CENTRAL_BYTES + 2 * len(name) for name in names)
    if size != headers + sum(entry.file_size for entry in entries) + _END.size + _SEAL_BYTES:
        raise BundleError("bundle_gaps")


def _sha256_hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
