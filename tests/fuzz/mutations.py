"""Damage to the bytes of a file, as copying, editing and transmission do it, and as readers of binary files fear it."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random

NUMBERS_OF_CHANGES = (1, 1, 1, 2, 4)
"""To one file, at random: with many changes, readers never get past the first."""

MAX_SLICE = 64
"""Bytes that one change usually concerns, at most an eighth of the file; now and then it is up to the whole file."""

TOKENS = (
    b'"', b"'", b",", b";", b"\t", b"|", b"\n", b"\r", b"\r\n", b"\0", b"\\", b"/", b"=", b"{", b"}", b"[", b"]", b"<",
    b">", b"&", b"&#0;", b"<!DOCTYPE x>", b"-1", b"0", b"1e999", b"NaN", b"99999999999999999999", b"0.5", b"null",
    b"true", b"[]", b"{}", b'""', b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff", b"\x80", b"\xc3", b"\xed\xa0\x80",
    b"\xe2\x80\xa8", b"\x1a", b"../", b"C:\\", b"%00", b"%FF", b"sep=;\n", b"#", b" ", b"\xc2\xa0", b"[" * 3000,
)  # fmt: skip
"""What text files and their parsers stumble over."""

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
"""What counts and lengths in binary files are changed to."""


def mutate(content: bytes, random: Random) -> bytes:
    """`content` with a few changes; half the time, those of a compressed file are inside of it."""
    unpacked = CONTAINERS.get(content[:2])
    if unpacked and random.random() < 0.5:
        return unpacked(content, random)
    data = bytearray(content)
    for _ in range(random.choice(NUMBERS_OF_CHANGES)):
        random.choice(CHANGES)(data, random)
    return bytes(data)


# ── One change ───────────────────────────────────────────────────────────────────────────────────────────


def _slice(data: bytearray, random: Random) -> slice:
    """A part of `data`; an empty one where it is empty."""
    start = random.randint(0, len(data))
    longest = len(data) if random.random() < 0.1 else min(MAX_SLICE, len(data) // 8)
    return slice(start, min(len(data), start + random.randint(1, max(1, longest))))


def _flip_bit(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_byte(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _delete(data: bytearray, random: Random) -> None:
    del data[_slice(data, random)]


def _insert(data: bytearray, random: Random) -> None:
    place = random.randint(0, len(data))
    data[place:place] = random.randbytes(random.randint(1, MAX_SLICE))


def _insert_token(data: bytearray, random: Random) -> None:
    place = random.randint(0, len(data))
    data[place:place] = random.choice(TOKENS)


def _duplicate(data: bytearray, random: Random) -> None:
    part = data[_slice(data, random)]
    place = random.randint(0, len(data))
    data[place:place] = part


def _truncate(data: bytearray, random: Random) -> None:
    del data[random.randint(0, len(data)) :]


def _zero(data: bytearray, random: Random) -> None:
    place = _slice(data, random)
    data[place] = bytes(place.stop - place.start)


def _swap(data: bytearray, random: Random) -> None:
    first, second = sorted((_slice(data, random), _slice(data, random)), key=lambda part: part.start)
    if first.stop <= second.start:
        data[first.start : second.stop] = data[second] + data[first.stop : second.start] + data[first]


def _set_number(data: bytearray, random: Random) -> None:
    size, letter = random.choice(((2, "H"), (4, "I"), (8, "Q")))
    if len(data) >= size:
        place = random.randint(0, len(data) - size)
        value = random.choice(NUMBERS) & (256**size - 1)
        data[place : place + size] = struct.pack(random.choice("<>") + letter, value)


CHANGES: tuple[Callable[[bytearray, Random], None], ...] = (
    _flip_bit, _set_byte, _delete, _insert, _insert_token, _duplicate, _truncate, _zero, _swap, _set_number,
)  # fmt: skip


# ── Damage that checksums would hide ─────────────────────────────────────────────────────────────────────


def _inside_zip(content: bytes, random: Random) -> bytes:
    """One entry, or its name, is changed, and the archive is sound."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    changed = random.randrange(len(entries))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, (entry, data) in enumerate(entries):
            name = entry.filename
            if number == changed and random.random() < 0.2:
                name = mutate(name.encode(), random).decode("latin-1") or "x"
            elif number == changed:
                data = mutate(data, random)
            info = zipfile.ZipInfo(name, entry.date_time)
            info.compress_type, info.external_attr = entry.compress_type, entry.external_attr
            archive.writestr(info, data)
    return file.getvalue()


def _inside_gzip(content: bytes, random: Random) -> bytes:
    return gzip.compress(mutate(gzip.decompress(content), random), mtime=0)


def _inside_png(content: bytes, random: Random) -> bytes:
    """The content of one chunk is changed, in half of the cases before it is compressed."""
    chunks, place = [], 8
    while place < len(content):
        size, kind = struct.unpack(">I4s", content[place : place + 8])
        chunks.append((kind, content[place + 8 : place + 8 + size]))
        place += 12 + size
    changed = random.randrange(len(chunks))
    kind, data = chunks[changed]
    if kind == b"IDAT" and random.random() < 0.5:
        data = zlib.compress(mutate(zlib.decompress(data), random))
    else:
        data = mutate(data, random)
    chunks[changed] = (kind, data)
    return content[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


CONTAINERS: dict[bytes, Callable[[bytes, Random], bytes]] = {
    b"PK": _inside_zip,
    b"\x1f\x8b": _inside_gzip,
    b"\x89P": _inside_png,
}
"""By a file's first two bytes, how to damage what it contains."""
