"""IDX, the format of MNIST and Fashion-MNIST: big-endian counts, then unsigned bytes; gzipped or not.

Images: 0x00000803, count, rows, columns, pixels. Labels: 0x00000801, count, one byte each, 0–9.
Source: http://yann.lecun.com/exdb/mnist/ and https://github.com/zalandoresearch/fashion-mnist.
"""

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, Dataset, PixelImages, encode_labels
from muslin.data.formats import classes_file
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import max_unpacked_bytes, open_data_file, read_head
from muslin.data.part_names import PART_NAMES
from muslin.errors import DataError
from muslin.messages import Log, Message, no_log
from muslin.storage.boundary import boundary_of

IMAGES_MAGIC = 0x00000803
LABELS_MAGIC = 0x00000801
MAX_LABEL = 9

NAME = re.compile(r"(?P<part>.*?)[-._]?images[-._]idx3[-._]ubyte(?P<gz>\.gz)?", re.IGNORECASE)
PART_OF_PREFIX = PART_NAMES | {"t10k": "test"}

_Pair = tuple[Path, Path, str | None]
"""A file of images, the file of their labels, and their part (None where the name does not say)."""


def detect(path: Path) -> str | None:
    """Why `path` is IDX, or None: a file by its magic number, a folder by the names of such files in it."""
    if path.is_dir():
        names = [entry.name for entry in path.iterdir() if NAME.fullmatch(entry.name)]
        return f"IDX files: {', '.join(sorted(names))}" if names else None
    magic = read_head(path, 4)
    if magic == IMAGES_MAGIC.to_bytes(4, "big"):
        return "an IDX file of images, by its magic number"
    if magic == LABELS_MAGIC.to_bytes(4, "big"):
        return "an IDX file of labels, by its magic number"
    return "an IDX file of images, by its name" if NAME.fullmatch(path.name) else None


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The images and labels of a folder's pairs of files, train first, or of one file of images.

    Pixels are uint8 (count, rows, columns, 1), the target is `label`.

    Raises:
        DataError: a file is missing, cut off, too long, has another magic number or a label outside 0–9.
    """
    pairs, fixes = _pairs(path)
    images: list[NDArray[np.uint8]] = []
    values: list[NDArray[np.uint8]] = []
    for images_path, labels_path, _ in pairs:
        pixels, labels = read_images(images_path), read_labels(labels_path)
        if len(pixels) != len(labels):
            n, expected = len(labels), len(pixels)
            raise DataError("label_count", path=str(images_path), labels=labels_path.name, found=n, expected=expected)
        if images and images[0].shape[1:] != pixels.shape[1:]:
            sizes = [f"{p.shape[1]}×{p.shape[2]}" for p in (images[0], pixels)]
            raise DataError("sizes_differ", path=str(path), sizes=sizes)
        images.append(pixels)
        values.append(labels)
    target, indices = encode_labels("label", np.concatenate(values))
    parts = np.repeat(np.array([part for _, _, part in pairs], dtype=object), list(map(len, images)))
    has_parts = path.is_dir() and None not in parts.tolist()
    ids = [str(i) for pixels in images for i in range(len(pixels))]
    if has_parts:
        ids = [f"{part}/{id_}" for part, id_ in zip(parts, ids, strict=True)]
    dataset = Dataset(
        name=path.resolve().name if path.is_dir() else path.name.removesuffix(".gz"),
        format="idx",
        images=PixelImages(images[0] if len(images) == 1 else np.concatenate(images)),
        targets=(target,),
        labels={target.name: indices},
        ids=np.array(ids, dtype=object),
        parts=parts if has_parts else None,
        fixes=fixes,
    )
    return classes_file.use_class_names(dataset, path) if path.is_dir() else dataset


def read_images(path: Path) -> NDArray[np.uint8]:
    """uint8 (count, rows, columns, 1) from one IDX file of images.

    Raises:
        DataError: another magic number, or a length that disagrees with the counts.
    """
    with open_data_file(path) as file:
        count, rows, columns = _read_counts(path, file, IMAGES_MAGIC, 3)
        if 0 in (count, rows, columns):
            raise DataError("idx_empty", path=str(path), count=count, height=rows, width=columns)
        body = _read_body(path, file, count * rows * columns, header_bytes=16)
    return body.reshape(count, rows, columns, 1)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """uint8 (count,), each 0–9, from one IDX file of labels.

    Raises:
        DataError: another magic number, a length that disagrees with the count, or a label outside 0–9.
    """
    with open_data_file(path) as file:
        (count,) = _read_counts(path, file, LABELS_MAGIC, 1)
        labels = _read_body(path, file, count, header_bytes=8)
    outside = np.flatnonzero(labels > MAX_LABEL)
    if len(outside):
        label = int(labels[outside[0]])
        raise DataError("label_range", path=str(path), found=label, position=int(outside[0]), n=len(outside))
    return labels


def _read_counts(path: Path, file: BinaryIO, magic: int, n: int) -> tuple[int, ...]:
    """The `n` counts of a header that starts with `magic`."""
    start = file.read(4)
    if not start:
        raise DataError("file_empty", path=str(path))
    if start != magic.to_bytes(4, "big"):
        raise DataError("idx_magic", path=str(path), expected=f"0x{magic:08x}")
    counts = file.read(4 * n)
    if len(counts) < 4 * n:
        raise DataError("idx_header", path=str(path), found=4 + len(counts), expected=4 + 4 * n)
    return tuple(int(count) for count in np.frombuffer(counts, ">u4"))


def _read_body(path: Path, file: BinaryIO, size: int, *, header_bytes: int) -> NDArray[np.uint8]:
    """Exactly `size` bytes and then the end, in memory that grows only with the bytes that exist."""
    expected = size + header_bytes
    if expected > max_unpacked_bytes(path):
        raise DataError("idx_length", path=str(path), found=path.stat().st_size, expected=expected)
    body = bytearray()
    while len(body) < size and (block := file.read(min(size - len(body), 2**22))):
        body += block
    if len(body) < size:
        raise DataError("idx_length", path=str(path), found=len(body) + header_bytes, expected=expected)
    if file.read(1):
        raise DataError("idx_too_long", path=str(path), expected=expected)
    return np.frombuffer(body, dtype=np.uint8)


def paired_labels(path: Path) -> list[Path]:
    """The file of labels beside a file of images; none beside anything else.

    Raises:
        DataError: it is missing.
    """
    return [_pair(path)[1]] if NAME.fullmatch(path.name) and path.is_file() else []


def _pairs(path: Path) -> tuple[list[_Pair], tuple[Message, ...]]:
    if not path.is_dir():
        if read_head(path, 4) == LABELS_MAGIC.to_bytes(4, "big"):
            raise DataError("idx_labels_only", path=str(path))
        pair = _pair(path)
        if boundary_of(path.parent).excludes(pair[1]):  # muslin found the labels, the user did not name them
            raise DataError("data_file_outside", path=str(pair[1]))
        return [pair], ()
    by_prefix: dict[str, Path] = {}
    duplicates = []
    for entry in sorted(path.iterdir()):  # the plain file sorts before its .gz
        match = NAME.fullmatch(entry.name)
        if match and by_prefix.setdefault(match["part"], entry) != entry:
            duplicates.append(entry.name)
    if not by_prefix:
        raise DataError("no_idx_files", path=str(path))
    pairs = [_pair(entry) for entry in by_prefix.values()]
    parts = {part for _, _, part in pairs}
    if len(pairs) > 1 and (None in parts or len(parts) < len(pairs)):
        raise DataError("idx_parts", path=str(path), files=[images.name for images, _, _ in pairs])
    pairs.sort(key=lambda pair: PARTS.index(pair[2]) if pair[2] else 0)
    return pairs, (Message("duplicates_skipped", files=duplicates),) if duplicates else ()


def _pair(images: Path) -> _Pair:
    match = NAME.fullmatch(images.name)
    if not match:
        raise DataError("idx_name", path=str(images))
    start, end = images.name[: match.end("part")], images.name[match.end("part") :]
    name = start + re.sub("idx3", "idx1", re.sub("images", "labels", end, flags=re.I), flags=re.I)
    plain = name.removesuffix(".gz") if match["gz"] else name
    for labels in (images.with_name(each) for each in (name, plain, f"{plain}.gz")):
        if labels.is_file():
            return images, labels, PART_OF_PREFIX.get(match["part"].lower())
    raise DataError("idx_labels_missing", path=str(images), labels=name)
