"""The same data in another format, with a warning for everything that the format cannot hold."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import (
    PARTS,
    UNKNOWN,
    Dataset,
    PixelImages,
    Target,
    encode_labels,
    image_shape,
    indices_by_part,
    pixel_array,
)
from muslin.data.formats import classes_file, folders, idx, parquet_images
from muslin.data.formats import pixels as pixels_format
from muslin.data.formats.pixel_layout import infer_shape
from muslin.data.formats.read_options import ReadOptions
from muslin.data.photos import PHOTO_SUFFIXES, PhotoImages, is_hidden
from muslin.data.registry import DATASETS
from muslin.errors import DataError, ImageError, unknown
from muslin.messages import Log, Message, examples, no_log
from muslin.storage.atomic import atomic_file, atomic_folder, check_absent

MAX_COPIED_BYTES = 2**30
"""Largest photo that is copied."""


@dataclass(frozen=True)
class ConversionResult:
    """The result of a conversion.

    Attributes:
        path: the file or folder.
        format: a key of WRITERS.
        count: number of samples in it.
        warnings: what the source has and the format cannot hold.
        excluded: why samples could not be written, one sentence each.
    """

    path: Path
    format: str
    count: int
    warnings: tuple[Message, ...] = ()
    excluded: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"path": str(self.path)}


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
        log: called with a sentence every thousand photos.

    Raises:
        DataError: the data cannot be read, or the format cannot hold them.
        StorageError: `dest` exists or cannot be written.
    """
    from muslin.data import read

    if to not in WRITERS:
        raise DataError("conversion_format_unknown", **unknown(to, WRITERS))
    dataset = data if isinstance(data, Dataset) else read(data, test=test, log=log, **(read_options or {}))
    path = Path(dest)
    if to == "parquet":
        warnings, excluded = _write_parquet(dataset, path, log)
    else:
        with atomic_folder(path) as folder:
            warnings, excluded = WRITERS[to](dataset, folder, log)
    if isinstance(dataset.images, PhotoImages) and any(photo.box for photo in dataset.images.photos):
        warnings.append(Message("boxes_cropped"))
    return ConversionResult(path, to, len(dataset) - len(excluded), tuple(warnings), tuple(excluded))


def write_csv(dataset: Dataset, folder: Path) -> list[Path]:
    """Write each part like Kaggle's CSV files: `NAME_train.csv`, `NAME_test.csv`, header label,pixel1,…

    Labels of a registered data set are written as numbers, as Kaggle does; reading the files back gives the same
    arrays, labels and classes. A data set without parts becomes `NAME.csv`.

    Returns:
        the files, in the order of the parts.

    Raises:
        DataError: the images are photos, or differ in size.
        StorageError: the folder cannot be written.
    """
    row = DATASETS.get(dataset.name)
    if row and not row.files:
        raise DataError("csv_of_photos", name=dataset.name)
    target = dataset.target()
    names = [str(i) for i in range(len(target.classes))] if row else list(target.classes)
    labels = ["" if label == UNKNOWN else names[label] for label in dataset.labels[target.name]]
    name = dataset.name
    return _write_csv_files(dataset, labels, folder, lambda part: f"{name}_{part}" if part else name)


def _write_csv_files(
    dataset: Dataset, labels: Sequence[str] | None, folder: Path, name: Callable[[str], str]
) -> list[Path]:
    """Write each part as a file like Kaggle's, without parts one file; returns the files in the order of the parts."""
    pixels = pixel_array(dataset)
    written = []
    for part, chosen in indices_by_part(dataset).items():
        written.append(folder / f"{name(part)}.csv")
        pixels_format.write_csv(pixels[chosen], labels and [labels[i] for i in chosen.tolist()], written[-1])
    return written


Written = tuple[list[Message], list[str]]
"""Warnings, and why samples were excluded."""


def _write_parquet(dataset: Dataset, path: Path, log: Log) -> Written:
    excluded: list[str] = []
    check_absent(path)
    with atomic_file(path) as file:
        parquet_images.write(dataset, _photo_files(dataset, excluded, log), file)
    return [], excluded


def _write_folders(dataset: Dataset, folder: Path, log: Log) -> Written:
    target, warnings = _single_target(dataset)
    labels = np.full(len(dataset), UNKNOWN) if target is None else dataset.labels[target.name]
    classes = () if target is None else target.classes
    if not isinstance(dataset.images, PhotoImages):
        warnings.append(Message("pixels_to_png"))
    same_names = list(map(_folder_name, classes)) == list(classes)
    sorted_names = classes == tuple(sorted({classes[i] for i in labels if i != UNKNOWN}))
    loose = dataset.parts is None and target is not None and bool((labels == UNKNOWN).any())
    if not (same_names and sorted_names) or loose:
        (folder / classes_file.NAME).write_bytes(classes_file.format_classes(classes))
    excluded: list[str] = []
    taken: set[str] = set()
    written: dict[str, int] = {}
    for index, content in _photo_files(dataset, excluded, log):
        part = "" if dataset.parts is None else str(dataset.parts[index])
        label = "" if labels[index] == UNKNOWN else _folder_name(classes[labels[index]])
        name = _file_name(dataset, index, (part, label), content)
        place = "/".join(filter(None, [part, label, name]))
        stem, number = PurePosixPath(place), 1
        while place.casefold() in taken:  # some systems ignore case in names
            number += 1
            place = str(stem.with_name(f"{stem.stem}-{number}{stem.suffix}"))
        taken.add(place.casefold())
        file = folder / os.fsdecode(place.encode("utf-8", "surrogateescape"))  # the locale may not know its letters
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        written[place] = index
    if any(place != str(dataset.ids[index]) for place, index in written.items()):
        warnings.append(Message("ids_lost"))
    if dataset.groups is not None:
        warnings.append(Message("groups_lost"))
    order = _check_folders(folder, dataset, target, written)
    if order != list(written):
        warnings.append(Message("order_lost"))
    return warnings, excluded


def _check_folders(folder: Path, dataset: Dataset, target: Target | None, written: dict[str, int]) -> list[str]:
    """The ids, read back in order; DataError where parts or classes differ: a class `train` is read as a part."""
    again = folders.read(folder, ReadOptions())
    ids = list(map(str, again.ids))
    same = sorted(ids) == sorted(written)
    if same:
        source = dataset.take(np.array([written[id_] for id_ in ids], dtype=np.int64))
        same = np.array_equal(again.parts, source.parts)  # type: ignore[arg-type]
        if target is not None:
            same &= bool(again.targets) and again.targets[0].classes == target.classes
            same = same and np.array_equal(again.labels["label"], source.labels[target.name])
    if not same:
        raise DataError("folders_ambiguous", name=dataset.name)
    return ids


def _photo_files(dataset: Dataset, excluded: list[str], log: Log) -> Iterator[tuple[int, bytes]]:
    """Per sample its photo's file, or a PNG of a crop or of pixels; unreadable photos are added to `excluded`."""
    from muslin.images import encode_png

    for index in range(len(dataset)):
        if index and not index % 1000:
            log(Message("images_written", n=index, total=len(dataset)))
        photo = dataset.images.photos[index] if isinstance(dataset.images, PhotoImages) else None
        try:
            if photo is None or photo.box:
                content = encode_png(dataset.images[index])
            else:
                content = photo.content(MAX_COPIED_BYTES + 1)
                if len(content) > MAX_COPIED_BYTES:
                    raise ImageError("photo_bytes", name=photo.name, max_bytes=MAX_COPIED_BYTES)
        except ImageError as error:
            excluded.append(error.message)
        else:
            yield index, content


def _folder_name(name: str) -> str:
    """A folder name for a class: unchanged where every system accepts it and it is not hidden."""
    text = "".join(quote(c, safe="") if c in '/\\:*?"<>|%' or not c.isprintable() else c for c in name)
    if text.startswith((".", " ")) or text.endswith((".", " ")) or is_hidden(text):
        text = f"%{ord(text[0]):02X}{text[1:]}"
        text = text[:-1] + f"%{ord(text[-1]):02X}" if text.endswith((".", " ")) else text
    return text


def _file_name(dataset: Dataset, index: int, above: tuple[str, str], content: bytes) -> str:
    """The id, without the part and the class above it, as a relative path with a photo's suffix."""
    name = str(dataset.ids[index]).replace("\\", "/")
    for folder in filter(None, above):
        name = name.removeprefix(f"{folder}/").removeprefix(f"{unquote(folder)}/")
    pieces = []
    for piece in filter(None, name.split("/")):
        text = "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "_" for c in piece)
        pieces.append(f"_{text}"[-120:] if is_hidden(text) else text[-120:])
    name = "/".join(pieces[-8:]) or "photo"
    if not above[1]:  # a folder would be read back as its class
        name = name.replace("/", "_")
    images = dataset.images
    stored = images.photos[index].name if isinstance(images, PhotoImages) else ""
    suffixes = [PurePosixPath(each).suffix.lower() for each in (name, stored)]
    if suffixes[0] in PHOTO_SUFFIXES:
        return name
    return name + (suffixes[1] if suffixes[1] in PHOTO_SUFFIXES else _format_suffix(content))


def _format_suffix(content: bytes) -> str:
    from muslin.images import SIGNATURES

    suffixes = {"JPEG": ".jpg", "JPEG2000": ".jp2", "PPM": ".pnm", "TIFF": ".tif"}
    kind = next((kind for kind, pattern in SIGNATURES if pattern.match(content[:4096])), "JPEG")
    return suffixes.get(kind, f".{kind.lower()}")


def _write_csv(dataset: Dataset, folder: Path, log: Log) -> Written:
    target, warnings = _single_target(dataset)
    dataset, excluded = _with_pixels(dataset, "csv", log)
    warnings += _pixel_warnings(dataset, excluded)
    labels: list[str] | None = None
    if target is not None:
        values = dataset.labels[target.name]
        names, occurring = list(target.classes), {target.classes[i] for i in values if i != UNKNOWN}
        inferred = encode_labels("", np.array([*sorted(occurring), ""]))[0].classes if occurring else ()
        if inferred != target.classes or any(map(_is_changed_by_csv, names)):
            (folder / classes_file.NAME).write_bytes(classes_file.format_classes(target.classes))
            names = list(map(str, range(len(names))))
        labels = ["" if i == UNKNOWN else names[i] for i in values]
    _write_csv_files(dataset, labels, folder, lambda part: part or "images")
    height, width, channels = image_shape(dataset)
    if (height, width, channels) != infer_shape(height * width * channels):
        warnings.append(Message("shape_lost", height=height, width=width, channels=channels))
    return warnings, excluded


def _write_idx(dataset: Dataset, folder: Path, log: Log) -> Written:
    target, warnings = _single_target(dataset)
    if target is None or len(target.classes) > idx.MAX_LABEL + 1:
        raise DataError("idx_classes", name=dataset.name, n=0 if target is None else len(target.classes))
    labelled = dataset.labels[target.name] != UNKNOWN
    unlabelled: list[str] = [Message("unlabelled_sample", id=str(id_)) for id_ in dataset.ids[~labelled]]
    if not labelled.any():
        raise DataError("unlabelled", name=dataset.name, n=len(dataset))
    dataset, excluded = _with_pixels(dataset.take(np.flatnonzero(labelled)), "idx", log)
    pixels, labels = pixel_array(dataset), dataset.labels[target.name]
    if pixels.shape[3] != 1:
        raise DataError("colour_images", name=dataset.name)
    warnings += _pixel_warnings(dataset, excluded)
    if target.classes != tuple(map(str, sorted(set(labels.tolist())))):
        (folder / classes_file.NAME).write_bytes(classes_file.format_classes(target.classes))
    for part, chosen in indices_by_part(dataset).items():
        idx.write(pixels[chosen], labels[chosen], folder, part or None)
    return warnings, unlabelled + excluded


def _with_pixels(dataset: Dataset, format: str, log: Log) -> tuple[Dataset, list[str]]:
    """`dataset` with its images as pixels, without unreadable photos; and why they are unreadable."""
    if isinstance(dataset.images, PixelImages):
        return dataset, []
    images: dict[int, NDArray[np.uint8]] = {}
    problems: list[str] = []
    for index in range(len(dataset)):
        if index and not index % 1000:
            log(Message("photos_read", n=index, total=len(dataset)))
        try:
            images[index] = dataset.images[index]
        except ImageError as error:
            problems.append(error.message)
            continue
        first = next(iter(images))
        sizes = [f"{images[i].shape[1]}×{images[i].shape[0]}" for i in (first, index)]
        if sizes[0] != sizes[1]:
            names = {"first": str(dataset.ids[first]), "second": str(dataset.ids[index])}
            names |= {"first_size": sizes[0], "second_size": sizes[1]}
            raise DataError("mixed_sizes", name=dataset.name, format=format, **names)
    if not images:
        names = examples(map(str, dataset.ids))
        raise DataError("no_readable_photo", name=dataset.name, **names, reason=problems[0])
    channels = max(image.shape[2] for image in images.values())
    pixels = np.stack([np.broadcast_to(i, (*i.shape[:2], channels)) for i in images.values()])
    return replace(dataset.take(np.array(list(images))), images=PixelImages(pixels)), problems


def _pixel_warnings(dataset: Dataset, excluded: list[str]) -> list[Message]:
    """What CSV and IDX files cannot hold."""
    warnings = []
    numbers, order = dataset.indices_in_part.tolist(), [0] * len(dataset)
    if dataset.parts is not None:
        numbers = [f"{part}/{i}" for part, i in zip(dataset.parts, numbers, strict=True)]
        order = [PARTS.index(part) for part in dataset.parts]
    if list(map(str, dataset.ids)) != list(map(str, numbers)) or order != sorted(order) or excluded:
        warnings.append(Message("ids_renumbered"))
    if dataset.format in ("folders", "table"):
        warnings.append(Message("photo_files_lost"))
    if dataset.groups is not None:
        warnings.append(Message("groups_lost"))
    if order != sorted(order):
        warnings.append(Message("order_lost"))
    return warnings


def _is_changed_by_csv(name: str) -> bool:
    """Whether a CSV's reader takes the label for another one."""
    return name != name.strip() or (name.lstrip("-").isdigit() and str(int(name)) != name) or name.endswith(".0")


def _single_target(dataset: Dataset) -> tuple[Target | None, list[Message]]:
    """The first multiclass target, and warnings about the others and about its name."""
    target = next((target for target in dataset.targets if target.kind == "multiclass"), None)
    others = [each.name for each in dataset.targets if each is not target]
    if target is None:
        if others:
            raise DataError("multilabel_conversion", name=dataset.name, targets=others)
        return None, []
    warnings = [Message("targets_lost", others=others, target=target.name)] if others else []
    if target.name != "label":
        warnings.append(Message("target_name_lost", target=target.name))
    return target, warnings


WRITERS: dict[str, Callable[[Dataset, Path, Log], Written]] = {
    "folders": _write_folders,
    "csv": _write_csv,
    "idx": _write_idx,
    "parquet": _write_parquet,
}
"""Per format to convert to, its writer."""
