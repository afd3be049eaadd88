"""IDX files of one part each, named like MNIST's; not compressed."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, indices_by_part, pixel_array
from muslin.data.formats import classes_file
from muslin.data.formats.idx import IMAGES_MAGIC, LABELS_MAGIC, MAX_LABEL
from muslin.data.writers.samples import Written, into_new_folder, pixel_warnings, single_target, with_pixels
from muslin.errors import DataError
from muslin.messages import Log, Message
from muslin.storage.atomic import write_atomically


@into_new_folder
def write(dataset: Dataset, folder: Path, log: Log) -> Written:
    """Write into the new `folder`; its classes.txt has the names of classes that are not 0, 1, ….

    Raises:
        DataError: there are more than ten classes or no labels, or the images are in colour or differ in size.
        StorageError: the folder exists or cannot be written.
    """
    target, warnings = single_target(dataset)
    if target is None or len(target.classes) > MAX_LABEL + 1:
        raise DataError("idx_classes", name=dataset.name, n=0 if target is None else len(target.classes))
    labelled = dataset.labels[target.name] != UNKNOWN
    unlabelled: list[Message] = [Message("unlabelled_sample", id=str(id_)) for id_ in dataset.ids[~labelled]]
    if not labelled.any():
        raise DataError("unlabelled", name=dataset.name, n=len(dataset))
    dataset, excluded = with_pixels(dataset.take(np.flatnonzero(labelled)), "idx", log)
    pixels, labels = pixel_array(dataset), dataset.labels[target.name]
    if pixels.shape[3] != 1:
        raise DataError("colour_images", name=dataset.name)
    warnings += pixel_warnings(dataset, excluded)
    if target.classes != tuple(map(str, sorted(set(labels.tolist())))):
        (folder / classes_file.NAME).write_bytes(classes_file.format_classes(target.classes))
    for part, chosen in indices_by_part(dataset).items():
        write_part(pixels[chosen], labels[chosen], folder, part or None)
    return warnings, unlabelled + excluded


def write_part(pixels: NDArray[np.uint8], labels: NDArray[np.integer[Any]], folder: Path, part: str | None) -> None:
    """Write the two files of one part into `folder`, named like MNIST's; not compressed.

    Args:
        pixels: uint8 (count, rows, columns, 1).
        labels: (count,), each 0–9.
        part: one of PARTS, or None.

    Raises:
        StorageError: the place cannot be written.
    """
    prefix = {None: "", "test": "t10k-"}.get(part, f"{part}-")
    header = np.array([IMAGES_MAGIC, *pixels.shape[:3]], dtype=">u4").tobytes()
    write_atomically(folder / f"{prefix}images-idx3-ubyte", header + pixels.tobytes())
    header = np.array([LABELS_MAGIC, len(labels)], dtype=">u4").tobytes()
    write_atomically(folder / f"{prefix}labels-idx1-ubyte", header + labels.astype(np.uint8).tobytes())
