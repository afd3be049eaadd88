"""IDX, the format of MNIST and Fashion-MNIST: big-endian counts, then unsigned bytes; gzipped or not.

Images: 0x00000803, count, rows, columns, pixels. Labels: 0x00000801, count, one byte each, 0–9.
Source: http://yann.lecun.com/exdb/mnist/ and https://github.com/zalandoresearch/fashion-mnist.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, Dataset, PixelImages, encode_labels
from muslin.data.formats import classes_file
from muslin.data.formats.read_options import Log, ReadOptions, no_log
from muslin.data.gzip_files import max_content_bytes, open_data_file, read_head
from muslin.errors import DataError
from muslin.storage.atomic import atomic_file

IMAGES_MAGIC = 0x00000803
LABELS_MAGIC = 0x00000801
MAX_LABEL = 9

NAME = re.compile(r"(?P<part>.*?)[-._]?images[-._]idx3[-._]ubyte(?P<gz>\.gz)?", re.IGNORECASE)
PART_OF_PREFIX = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "t10k": "test",
    "test": "test",
}


@dataclass(frozen=True)
class _Pair:
    """A file of images, the file of their labels, and the part they are (None where no name says)."""

    images: Path
    labels: Path
    part: str | None


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
    for pair in pairs:
        pixels, labels = read_images(pair.images), read_labels(pair.labels)
        if len(pixels) != len(labels):
            raise DataError(
                f"{pair.images} holds {len(pixels):,} images, but {pair.labels.name} holds {len(labels):,} "
                "labels. Check that both files are of the same set."
            )
        if images and images[0].shape[1:] != pixels.shape[1:]:
            sizes = " and ".join(f"{p.shape[1]}×{p.shape[2]}" for p in (images[0], pixels))
            raise DataError(
                f"{path}: the parts' images differ in size: {sizes}. Bring them to one size first."
            )
        images.append(pixels)
        values.append(labels)
    target, indices = encode_labels("label", np.concatenate(values))
    divided = path.is_dir() and all(pair.part for pair in pairs)
    counts = [len(pixels) for pixels in images]
    dataset = Dataset(
        name=path.resolve().name if path.is_dir() else _stem(path),
        format="idx",
        images=PixelImages(images[0] if len(images) == 1 else np.concatenate(images)),
        targets=(target,),
        labels={target.name: indices},
        ids=np.array(
            [
                f"{pair.part}/{i}" if divided else str(i)
                for pair, count in zip(pairs, counts, strict=True)
                for i in range(count)
            ],
            dtype=object,
        ),
        parts=np.repeat(np.array([pair.part for pair in pairs], dtype=object), counts) if divided else None,
        fixes=fixes,
    )
    return classes_file.with_class_names(dataset, path) if path.is_dir() else dataset


def write(
    pixels: NDArray[np.uint8], labels: NDArray[np.integer[Any]], folder: Path, part: str | None
) -> None:
    """Write one part's two files into `folder`, as MNIST's are called; not compressed.

    Args:
        pixels: uint8 (count, rows, columns, 1).
        labels: (count,), each 0–9.
        part: one of PARTS, or None.

    Raises:
        StorageError: the place cannot be written.
    """
    start = {None: "", "test": "t10k-"}.get(part, f"{part}-")
    with atomic_file(folder / f"{start}images-idx3-ubyte") as file:
        file.write(np.array([IMAGES_MAGIC, *pixels.shape[:3]], dtype=">u4").tobytes())
        file.write(np.ascontiguousarray(pixels).data)
    with atomic_file(folder / f"{start}labels-idx1-ubyte") as file:
        file.write(np.array([LABELS_MAGIC, len(labels)], dtype=">u4").tobytes())
        file.write(labels.astype(np.uint8).tobytes())


def read_images(path: Path) -> NDArray[np.uint8]:
    """uint8 (count, rows, columns, 1) from one IDX file of images.

    Raises:
        DataError: another magic number, or a length that disagrees with the counts.
    """
    with open_data_file(path) as file:
        start = file.read(16)
        _check_magic(path, start, IMAGES_MAGIC, "images")
        if len(start) < 16:
            raise DataError(
                f"{path}: is cut off in its header, after {len(start)} bytes of 16. Copy it again."
            )
        count, rows, columns = (int(n) for n in np.frombuffer(start, ">u4", offset=4))
        if 0 in (count, rows, columns):
            raise DataError(
                f"{path}: its header says {count:,} images of {rows}×{columns}, so there is nothing in it. "
                "Fetch or copy it again."
            )
        what = f"{count:,} images of {rows}×{columns}"
        body = _body(path, file.read, count * rows * columns, header_bytes=16, what=what)
    return body.reshape(count, rows, columns, 1)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """uint8 (count,), each 0–9, from one IDX file of labels.

    Raises:
        DataError: another magic number, a length that disagrees with the count, or a label outside 0–9.
    """
    with open_data_file(path) as file:
        start = file.read(8)
        _check_magic(path, start, LABELS_MAGIC, "labels")
        if len(start) < 8:
            raise DataError(
                f"{path}: is cut off in its header, after {len(start)} bytes of 8. Copy it again."
            )
        count = int.from_bytes(start[4:], "big")
        labels = _body(path, file.read, count, header_bytes=8, what=f"{count:,} labels")
    outside = np.flatnonzero(labels > MAX_LABEL)
    if len(outside):
        more = f" (and {len(outside) - 1:,} more)" if len(outside) > 1 else ""
        raise DataError(
            f"{path}: label {labels[outside[0]]} at position {outside[0]:,}{more} is outside 0–9. "
            "Check that the file is whole, or use a CSV, where labels are free."
        )
    return labels


def _check_magic(path: Path, start: bytes, magic: int, what: str) -> None:
    if not start:
        raise DataError(f"{path}: is empty. Fetch or copy it again.")
    if start[:4] != magic.to_bytes(4, "big"):
        found = f"0x{start[:4].hex()}" if len(start) >= 4 else f"only {len(start)} bytes"
        raise DataError(
            f"{path}: is not an IDX file of {what}: it starts with {found}, not 0x{magic:08x}. "
            "Check that the right file has this name."
        )


def _body(
    path: Path, read: Callable[[int], bytes], size: int, *, header_bytes: int, what: str
) -> NDArray[np.uint8]:
    """Exactly `size` bytes and then the end, in memory that grows only with what is really there."""
    if size + header_bytes > max_content_bytes(path):
        raise DataError(
            f"{path}: its header says {what}, {size + header_bytes:,} bytes in all, but the file has only "
            f"{path.stat().st_size:,}. It was cut off or is damaged: copy it again."
        )
    body = bytearray()
    while len(body) < size and (block := read(min(size - len(body), 2**22))):
        body += block
    if len(body) < size:
        raise DataError(
            f"{path}: its header says {what}, {size + header_bytes:,} bytes in all, but it ends after "
            f"{len(body) + header_bytes:,}. It was cut off: copy it again."
        )
    if read(1):
        raise DataError(
            f"{path}: its header says {what}, {size + header_bytes:,} bytes in all, but more follow. "
            f"Check that the file is what it is said to be."
        )
    return np.frombuffer(body, dtype=np.uint8)


def _pairs(path: Path) -> tuple[list[_Pair], tuple[str, ...]]:
    if not path.is_dir():
        if read_head(path, 4) == LABELS_MAGIC.to_bytes(4, "big"):
            raise DataError(f"{path}: holds labels. Give the file of images beside it, or their folder.")
        return [_pair(path)], ()
    found: dict[str, Path] = {}
    twins = []
    for entry in sorted(path.iterdir()):  # the plain file sorts before its .gz
        match = NAME.fullmatch(entry.name)
        if match and found.setdefault(match["part"], entry) != entry:
            twins.append(entry.name)
    if not found:
        raise DataError(
            f"{path}: no IDX files of images (such as train-images-idx3-ubyte.gz) in this folder."
        )
    pairs = [_pair(entry) for entry in found.values()]
    named = {pair.part for pair in pairs}
    if len(pairs) > 1 and (None in named or len(named) < len(pairs)):
        names = ", ".join(pair.images.name for pair in pairs)
        raise DataError(
            f"{path}: which of these is train and which is test? {names}. Give one file, or use --test."
        )
    pairs.sort(key=lambda pair: PARTS.index(pair.part) if pair.part else 0)
    fixes = (f"passed over, since the same file is there uncompressed: {', '.join(twins)}",) if twins else ()
    return pairs, fixes


def _pair(images: Path) -> _Pair:
    match = NAME.fullmatch(images.name)
    if not match:
        raise DataError(
            f"{images}: which file holds its labels cannot be told from this name. "
            f"Name them like train-images-idx3-ubyte and train-labels-idx1-ubyte."
        )
    start, end = images.name[: match.end("part")], images.name[match.end("part") :]
    wanted = start + re.sub("idx3", "idx1", re.sub("images", "labels", end, flags=re.I), flags=re.I)
    plain = wanted[: -len(".gz")] if match["gz"] else wanted
    candidates = [images.with_name(name) for name in dict.fromkeys((wanted, plain, f"{plain}.gz"))]
    for labels in candidates:
        if labels.is_file():
            return _Pair(images, labels, PART_OF_PREFIX.get(match["part"].lower()))
    raise DataError(f"{images}: the file of its labels, {wanted}, is not beside it. Put it there.")


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz")
