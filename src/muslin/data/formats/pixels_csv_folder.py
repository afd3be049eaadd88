"""A folder with one CSV of pixels a part, as Kaggle's fashion-mnist_train.csv and fashion-mnist_test.csv."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from muslin.data.dataset import PARTS, Dataset, align, encode_labels, indices_by_part, join, pixel_array
from muslin.data.formats import classes_file, pixels_csv
from muslin.data.formats.read_options import ReadOptions
from muslin.data.part_names import PART_NAMES
from muslin.errors import DataError
from muslin.messages import Log, no_log

NAME = re.compile(r"(?:(?P<stem>.*)[-_. ])?(?P<part>[a-z]+)\.csv(?:\.gz)?", re.IGNORECASE)


def detect(path: Path) -> str | None:
    """Why `path` is such a folder, or None: every CSV in it holds pixels and has a part's name, or there is one."""
    files = _csv_by_part(path) if path.is_dir() else {}
    if not files or not all(pixels_csv.detect(file) for file in files.values()):
        return None
    return f"pixels in {', '.join(file.name for file in files.values())}"


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The images and labels of the files, train first; the classes are those of all parts.

    Raises:
        DataError: there is no such file, or one cannot be read; the error names the file and row.
    """
    files = _csv_by_part(path)
    if not files:
        raise DataError("no_part_csv", path=str(path))
    parts = {part: pixels_csv.read(file, options) for part, file in files.items()}
    labelled = {part: dataset.target() for part, dataset in parts.items() if dataset.targets}
    if labelled and (bare := [files[part] for part in parts if part not in labelled]):
        raise DataError("part_without_labels", path=str(bare[0]))
    if labelled and len(parts) > 1:
        names = np.array([name for target in labelled.values() for name in target.classes])
        whole, _ = encode_labels(next(iter(labelled.values())).name, names)
        parts = {part: align(dataset, (whole,)) for part, dataset in parts.items()}
    dataset = parts[""] if list(parts) == [""] else join(parts)
    dataset = classes_file.use_class_names(dataset, path)
    return replace(dataset, name=path.resolve().name, format="pixels-csv-folder")


def write(dataset: Dataset, labels: Sequence[str] | None, folder: Path, name: Callable[[str], str]) -> list[Path]:
    """Write each part as a file like Kaggle's, without parts one file; returns the files in the order of the parts.

    Args:
        name: from a part to the name of its file, without suffix; the part is `""` where there are none.
        labels: (count,) the texts in the files; None: no column of labels.

    Raises:
        DataError: the images differ in size.
        StorageError: the folder cannot be written.
    """
    pixels = pixel_array(dataset)
    written = []
    for part, chosen in indices_by_part(dataset).items():
        written.append(folder / f"{name(part)}.csv")
        pixels_csv.write(pixels[chosen], labels and [labels[i] for i in chosen.tolist()], written[-1])
    return written


def _csv_by_part(path: Path) -> dict[str, Path]:
    """Per part its file; a single file without a part's name is under `""`. Empty where names clash."""
    found: dict[str, Path] = {}
    files = [p for p in sorted(path.iterdir()) if re.search(r"\.csv(\.gz)?$", p.name, re.I) and p.is_file()]
    for file in files:
        match = NAME.fullmatch(file.name)
        part = PART_NAMES.get(match["part"].lower(), "") if match else ""
        if part in found or (not part and len(files) > 1):
            return {}
        found[part] = file
    return {part: found[part] for part in ("", *PARTS) if part in found}
