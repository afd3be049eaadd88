"""IDX files, written byte by byte, sound or not."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def images_file(pixels: NDArray[np.uint8], magic: int = 2051, count: int | None = None) -> bytes:
    """Images (count, height, width[, 1]) as an IDX file's content."""
    n, height, width = pixels.shape[:3]
    return struct.pack(">4I", magic, n if count is None else count, height, width) + pixels.tobytes()


def labels_file(labels: NDArray[np.integer[Any]], magic: int = 2049, count: int | None = None) -> bytes:
    """Labels (count,) as an IDX file's content."""
    n = len(labels) if count is None else count
    return struct.pack(">2I", magic, n) + labels.astype(np.uint8).tobytes()


def write_part(folder: Path, prefix: str, pixels: NDArray[np.uint8], labels: NDArray[np.integer[Any]]) -> None:
    """The two files of one part, named as Fashion-MNIST's are: `prefix` is train or t10k."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images_file(pixels))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels_file(labels))


def put(folder: Path, contents: dict[str, bytes], *, zipped: bool = True) -> Path:
    """Write the files `contents` into the new folder `folder`, gzipped or not."""
    folder.mkdir(parents=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder
