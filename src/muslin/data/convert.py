"""The same data in another format, with a warning for everything that the format cannot hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muslin.data.dataset import PARTS, UNKNOWN, Dataset
from muslin.data.formats import FORMATS
from muslin.data.photos import PhotoImages
from muslin.data.registry import DATASETS, lookup
from muslin.data.writers.csv import write_parts
from muslin.errors import DataError, unknown
from muslin.messages import Log, Message, examples, no_log, plain
from muslin.storage.atomic import check_absent
from muslin.storage.outputs import Output


@dataclass(frozen=True)
class ConversionResult:
    """The result of a conversion.

    Attributes:
        path: the file or folder.
        format: the value of `to`.
        count: number of samples in it.
        warnings: what the source has and the format cannot hold.
        excluded: why samples could not be written, one sentence each.
        fixes: what was repaired or skipped while reading, as in a Dataset.
    """

    path: Path
    format: str
    count: int
    warnings: tuple[Message, ...] = ()
    excluded: tuple[Message, ...] = ()
    fixes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: plain(value) for name, value in vars(self).items()}


def convert(
    data: str | Path | Dataset,
    to: str,
    dest: str | Path,
    *,
    test: str | Path | None = None,
    read_options: Mapping[str, Any] | None = None,
    log: Log = no_log,
) -> ConversionResult:
    """Write a data set to `dest` in the format `to`; the source is never changed.

    Args:
        data: a registered name, a file or a folder, or a Dataset.
        to: `folders`, `csv`, `idx` or `parquet`.
        dest: a file for `parquet`, else a folder; it must not exist.
        test: a file with the test part, where `data` holds only the training part.
        read_options: how to read the files, as in `muslin.read`.
        log: called with every fix, with a sentence every thousand photos, and once for each kind of excluded sample.

    Raises:
        DataError: the data cannot be read, or the format cannot hold them.
        StorageError: `dest` exists or cannot be written.
    """
    from muslin.data import read_and_log

    rows = {row.writer: row for row in FORMATS if row.writer}
    if to not in rows:
        raise DataError("conversion_format_unknown", **unknown(to, rows))
    path = Path(dest)
    check_absent(path)
    Output(path).check(each for each in (data, test) if isinstance(each, str | Path))
    dataset = read_and_log(data, test=test, log=log, **(read_options or {}))
    warnings, excluded = rows[to].write(dataset, path, log)
    if isinstance(dataset.images, PhotoImages) and any(photo.box for photo in dataset.images.photos):
        warnings.append(Message("boxes_cropped"))
    for message in _excluded_by_kind(excluded):
        log(message)
    return ConversionResult(path, to, len(dataset) - len(excluded), tuple(warnings), tuple(excluded), dataset.fixes)


def _excluded_by_kind(excluded: list[Message]) -> Iterator[Message]:
    kinds: dict[str, list[Message]] = {}
    for reason in excluded:
        kinds.setdefault(reason.code, []).append(reason)
    for reasons in kinds.values():
        names = examples(str(reason.params.get("name", reason.params.get("id"))) for reason in reasons)
        yield Message("samples_not_written", **names, reason=reasons[0])


def csv_files(name: str, folder: Output) -> list[Output]:
    """The files of `write_csv` for a registered data set.

    Raises:
        DataError: its images are photos.
    """
    if not lookup(name).files:
        raise DataError("csv_of_photos", name=name)
    return [Output(folder.path / f"{name}_{part}.csv", folder.overwrite) for part in PARTS]


def write_csv(dataset: Dataset, folder: str | Path | Output) -> list[Path]:
    """Write each part like Kaggle's CSV files: `NAME_train.csv`, `NAME_test.csv`, header label,pixel1,…

    Labels of a registered data set are written as numbers, as Kaggle does; reading the files back gives the same
    arrays, labels and classes. A data set without parts becomes `NAME.csv`.

    Args:
        folder: of the new files; as an Output they can replace files.

    Returns:
        the files, in the order of the parts.

    Raises:
        DataError: the images are photos, or differ in size.
        StorageError: a file exists, or the folder cannot be written.
    """
    row = DATASETS.get(dataset.name)
    if row and not row.files:
        raise DataError("csv_of_photos", name=dataset.name)
    target = dataset.target()
    names = [str(i) for i in range(len(target.classes))] if row else list(target.classes)
    labels = ["" if label == UNKNOWN else names[label] for label in dataset.labels[target.name]]
    name = dataset.name
    return write_parts(dataset, labels, folder, lambda part: f"{name}_{part}" if part else name)
