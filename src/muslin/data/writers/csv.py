"""CSV files of pixels in Kaggle's form, one for each part: the header label,pixel1,…, then a row per image."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, encode_labels, image_shape, indices_by_part, pixel_array
from muslin.data.formats import classes_file
from muslin.data.formats.pixel_layout import infer_shape
from muslin.data.writers.samples import Written, into_new_folder, pixel_warnings, single_target, with_pixels
from muslin.messages import Log, Message
from muslin.storage.outputs import Output


@into_new_folder
def write(dataset: Dataset, folder: Path, log: Log) -> Written:
    """Write into the new `folder`; class names that a CSV would change are in its classes.txt.

    Raises:
        DataError: the images differ in size.
        StorageError: the folder exists or cannot be written.
    """
    target, warnings = single_target(dataset)
    dataset, excluded = with_pixels(dataset, "csv", log)
    warnings += pixel_warnings(dataset, excluded)
    labels: list[str] | None = None
    if target is not None:
        values = dataset.labels[target.name]
        names, occurring = list(target.classes), {target.classes[i] for i in values if i != UNKNOWN}
        inferred = encode_labels("", np.array([*sorted(occurring), ""]))[0].classes if occurring else ()
        if inferred != target.classes or any(map(_is_changed_by_csv, names)):
            (folder / classes_file.NAME).write_bytes(classes_file.format_classes(target.classes))
            names = list(map(str, range(len(names))))
        labels = ["" if i == UNKNOWN else names[i] for i in values]
    write_parts(dataset, labels, folder, lambda part: part or "images")
    height, width, channels = image_shape(dataset)
    if (height, width, channels) != infer_shape(height * width * channels):
        warnings.append(Message("shape_lost", height=height, width=width, channels=channels))
    return warnings, excluded


def write_parts(
    dataset: Dataset, labels: Sequence[str] | None, folder: str | Path | Output, name: Callable[[str], str]
) -> list[Path]:
    """Write each part as a file like Kaggle's, without parts one file; returns the files in the order of the parts."""
    pixels, place = pixel_array(dataset), Output.of(folder)
    parts = indices_by_part(dataset)
    files = [Output(place.path / f"{name(part)}.csv", place.overwrite) for part in parts]
    for file in files:
        file.check()
    for file, chosen in zip(files, parts.values(), strict=True):
        write_images(pixels[chosen], labels and [labels[i] for i in chosen.tolist()], file)
    return [file.path for file in files]


def write_images(pixels: NDArray[np.uint8], labels: Sequence[str] | None, out: str | Path | Output) -> None:
    """Write images in Kaggle's form: the header label, pixel1, …, then a row per image.

    Args:
        pixels: uint8 (count, height, width, channels).
        labels: (count,), quoted where necessary; None: no column of labels.

    Raises:
        StorageError: the file exists, or the place cannot be written.
    """
    rows = pixels.reshape(len(pixels), -1)
    names = [f"pixel{i + 1}" for i in range(rows.shape[1])]
    cells = None if labels is None else _label_cells(labels)
    with Output.of(out).open() as file:
        file.write(",".join([*([] if labels is None else ["label"]), *names]).encode() + b"\n")
        for start in range(0, len(rows), 2000):
            lines = _pixel_lines(rows[start : start + 2000])
            if cells is not None:
                lines = [cell + b"," + line for cell, line in zip(cells[start : start + 2000], lines, strict=True)]
            file.write(b"".join(lines))


def _pixel_lines(rows: NDArray[np.uint8]) -> list[bytes]:
    """Each row's numbers with commas, and a line break at the end. A table of the 256 texts is a fast formatter."""
    texts = np.array([f"{value}," for value in range(256)], dtype="S4")[rows]
    texts[:, -1] = np.array([f"{value}\n" for value in range(256)], dtype="S4")[rows[:, -1]]
    return texts.tobytes().translate(None, b"\0").splitlines(keepends=True)


def _label_cells(labels: Sequence[str]) -> list[bytes]:
    """The labels as they are written: whole numbers plain, texts in quotes, nothing for an unlabelled image."""
    if all(label.isdecimal() and str(int(label)) == label for label in set(labels) if label):
        return [label.encode() for label in labels]
    return ['"{}"'.format(label.replace('"', '""')).encode() if label else b"" for label in labels]


def _is_changed_by_csv(name: str) -> bool:
    """Whether a CSV's reader takes the label for another one."""
    is_number = re.fullmatch(r"-?\d+", name)
    return bool(name != name.strip() or (is_number and str(int(name)) != name) or name.endswith(".0"))
