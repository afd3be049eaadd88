"""The same data in another format: lossless where the format can be, and said where it cannot."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

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
from muslin.data.formats import classes_file, folders, idx, parquet_images, pixels_csv, pixels_csv_parts
from muslin.data.formats.read_options import ReadOptions
from muslin.data.photos import PHOTO_SUFFIXES, PhotoImages
from muslin.data.registry import DATASETS
from muslin.errors import DataError, ImageError, StorageError, nearest
from muslin.storage.atomic import atomic_file, atomic_folder

MOST_PHOTO_BYTES = 2**30
"""Of one photo that is copied."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class ConversionResult:
    """What was written.

    Attributes:
        path: the file or folder.
        format: a key of WRITERS.
        count: how many samples are in it.
        warnings: what the source says and the format cannot, one sentence each.
        excluded: samples that could not be written, one sentence each.
    """

    path: Path
    format: str
    count: int
    warnings: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": str(self.path),
            "format": self.format,
            "count": self.count,
            "warnings": list(self.warnings),
            "excluded": list(self.excluded),
        }


def convert(
    data: str | Path | Dataset,
    to: str,
    dest: str | Path,
    *,
    test: str | Path | None = None,
    read_options: Mapping[str, Any] | None = None,
    log: Log = lambda sentence: None,
) -> ConversionResult:
    """Write a data set to `dest` in the format `to`; the data themselves are never touched.

    Args:
        data: a known name, a file or a folder, or a Dataset.
        to: `folders`, `csv`, `idx` or `parquet`.
        dest: a file for `parquet`, else a folder; there must be nothing of that name yet.
        test: a file with the test part, where `data` holds only the training part.
        read_options: how to read the files, as `muslin.read` takes it.
        tell: called with a sentence every thousand photos.

    Raises:
        DataError: the data cannot be read, or the format cannot hold them; the message says why.
        StorageError: there is something at `dest`, or it cannot be written.
    """
    from muslin.data import read

    if to not in WRITERS:
        raise DataError(f"no format to convert to is called {to!r}. {nearest(to, WRITERS)}")
    dataset = data if isinstance(data, Dataset) else read(data, test=test, log=log, **(read_options or {}))
    path = Path(dest)
    if to == "parquet":
        lost, left_out = _parquet(dataset, path, log)
    else:
        with atomic_folder(path) as folder:
            lost, left_out = WRITERS[to](dataset, folder, log)
    if isinstance(dataset.images, PhotoImages) and any(photo.box for photo in dataset.images.photos):
        lost.append("what is outside the photos' boxes: they were cut, and are written as PNG files")
    return ConversionResult(path, to, len(dataset) - len(left_out), tuple(lost), tuple(left_out))


def write_csv(dataset: Dataset, folder: Path) -> list[Path]:
    """Write each part like Kaggle's CSV files: `NAME_train.csv`, `NAME_test.csv`, header label,pixel1,…

    Labels of a registered data set are written as their numbers, as Kaggle does; reading the files back gives the
    same arrays, labels and classes. A data set without parts becomes `NAME.csv`.

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
    return pixels_csv_parts.write(
        dataset, labels, folder, lambda part: f"{dataset.name}_{part}" if part else dataset.name
    )


Outcome = tuple[list[str], list[str]]


# ── Photos ───────────────────────────────────────────────────────────────────────────────────────────────


def _parquet(dataset: Dataset, path: Path, log: Log) -> Outcome:
    left_out: list[str] = []
    if os.path.lexists(path):
        raise StorageError(f"{path}: is there already, and is not overwritten. Choose another place.")
    with atomic_file(path) as file:
        parquet_images.write(dataset, _contents(dataset, left_out, log), file)
    return [], left_out


def _folders(dataset: Dataset, folder: Path, log: Log) -> Outcome:
    target, lost = _single_target(dataset)
    labels = np.full(len(dataset), UNKNOWN) if target is None else dataset.labels[target.name]
    classes = () if target is None else target.classes
    left_out: list[str] = []
    if target is not None and target.name != "label":
        lost.append(f"the target's name, {target.name!r}: folders have none, so it is read back as 'label'")
    if not isinstance(dataset.images, PhotoImages):
        lost.append("that the images have one size: they become PNG files, with the same pixels")
    plain = list(map(_folder_name, classes)) == list(classes)
    plain = plain and classes == tuple(sorted({classes[i] for i in labels if i != UNKNOWN}))
    loose = dataset.parts is None and target is not None and bool((labels == UNKNOWN).any())
    if not plain or loose:
        (folder / classes_file.NAME).write_bytes(classes_file.format_classes(classes))
    names: set[str] = set()
    written: dict[str, int] = {}
    for index, content in _contents(dataset, left_out, log):
        part = "" if dataset.parts is None else str(dataset.parts[index])
        label = "" if labels[index] == UNKNOWN else _folder_name(classes[labels[index]])
        name = _file_name(str(dataset.ids[index]), part, label, dataset, index, content)
        place = "/".join(filter(None, [part, label, name]))
        stem, number = PurePosixPath(place), 1
        while place.casefold() in names:
            number += 1
            place = str(stem.with_name(f"{stem.stem}-{number}{stem.suffix}"))
        names.add(place.casefold())
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        written[place] = index
    if any(place != str(dataset.ids[index]) for place, index in written.items()):
        lost.append("the ids: they are read back as the files' paths")
    if dataset.groups is not None:
        lost.append("the groups: folders have none")
    _check_folders(folder, dataset, target, written)
    order = list(map(str, folders.read(folder, ReadOptions()).ids))
    if order != list(written):
        lost.append("the order of the samples: folders are read by part, class and name")
    return lost, left_out


def _check_folders(folder: Path, dataset: Dataset, target: Target | None, written: dict[str, int]) -> None:
    """That the folders are read back as they were meant: a class called `train` would be taken for a part."""
    again = folders.read(folder, ReadOptions())
    indices = np.array([written.get(str(id_), -1) for id_ in again.ids], dtype=np.int64)
    same = len(indices) == len(written) and bool((indices >= 0).all())
    if same and dataset.parts is not None:
        same = again.parts is not None and list(again.parts) == list(dataset.parts[indices])
    if same and dataset.parts is None:
        same = again.parts is None
    if same and target is not None:
        same = bool(again.targets) and again.targets[0].classes == target.classes
        same = same and np.array_equal(again.labels["label"], dataset.labels[target.name][indices])
    if not same:
        raise DataError(
            f"{dataset.name}: its parts and classes cannot be told from folders called like them "
            "(a class may be called like a part, or there is only one). Use parquet."
        )


def _contents(dataset: Dataset, left_out: list[str], log: Log) -> Iterator[tuple[int, bytes]]:
    """Per sample its photo's file, byte for byte; a PNG where it is cut to a box, or of a set of pixels.

    Photos that cannot be read are listed.
    """
    from muslin.images import encode_png

    for index in range(len(dataset)):
        if index and not index % 1000:
            log(f"{index:,} of {len(dataset):,} images written")
        if not isinstance(dataset.images, PhotoImages):
            yield index, encode_png(dataset.images[index])
            continue
        try:
            photo = dataset.images.photos[index]
            if photo.box:
                yield index, encode_png(dataset.images[index])
                continue
            content = photo.content(MOST_PHOTO_BYTES + 1)
            if len(content) > MOST_PHOTO_BYTES:
                raise ImageError(f"{photo.name}: is larger than {MOST_PHOTO_BYTES:,} bytes.")
        except ImageError as error:
            left_out.append(str(error))
        else:
            yield index, content


def _folder_name(name: str) -> str:
    """A class's name as a folder's; as it is where any system takes it and it is not hidden."""
    text = "".join(quote(c, safe="") if c in '/\\:*?"<>|%' or not c.isprintable() else c for c in name)
    if text.startswith((".", " ")) or text.endswith((".", " ")) or text.lower() in folders.NOT_PHOTOS:
        text = f"%{ord(text[0]):02X}{text[1:]}"
        text = text[:-1] + f"%{ord(text[-1]):02X}" if text.endswith((".", " ")) else text
    return text


def _file_name(id_: str, part: str, label: str, dataset: Dataset, index: int, content: bytes) -> str:
    """The id without the part and the class that are above it, as a relative path with a photo's suffix."""
    name = id_.replace("\\", "/")
    for above in (part, label):
        name = name.removeprefix(f"{above}/") if above else name
    pieces = []
    for piece in name.split("/"):
        text = "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "_" for c in piece)
        if text.startswith(".") or text.lower() in folders.NOT_PHOTOS:
            text = f"_{text}"
        if text:
            pieces.append(text[-120:])
    name = "/".join(pieces[-8:]) or "photo"
    if not label:  # in a folder of its own it would have that folder for a class
        name = name.replace("/", "_")
    if PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES:
        return name
    images = dataset.images
    stored = (
        PurePosixPath(images.photos[index].name).suffix.lower() if isinstance(images, PhotoImages) else ""
    )
    return name + (stored if stored in PHOTO_SUFFIXES else _suffix(content))


def _suffix(content: bytes) -> str:
    from muslin.images.decoder import SIGNATURES

    suffixes = {"JPEG": ".jpg", "JPEG2000": ".jp2", "PPM": ".pnm", "TIFF": ".tif"}
    kind = next((kind for kind, pattern in SIGNATURES if pattern.match(content[:4096])), "JPEG")
    return suffixes.get(kind, f".{kind.lower()}")


# ── Pixels ───────────────────────────────────────────────────────────────────────────────────────────────


def _csv(dataset: Dataset, folder: Path, log: Log) -> Outcome:
    target, lost = _single_target(dataset)
    dataset, left_out = _same_size(dataset, "csv", log)
    lost += _lost_with_photos(dataset, left_out)
    labels: list[str] | None = None
    if target is not None:
        values = dataset.labels[target.name]
        names, occurring = list(target.classes), {target.classes[i] for i in values if i != UNKNOWN}
        natural = encode_labels("", np.array([*sorted(occurring), ""]))[0].classes if occurring else ()
        if natural != target.classes or any(_mended(name) for name in names):
            (folder / classes_file.NAME).write_bytes(classes_file.format_classes(target.classes))
            names = list(map(str, range(len(names))))
        labels = ["" if i == UNKNOWN else names[i] for i in values]
        if target.name != "label":
            lost.append(f"the target's name, {target.name!r}: it is read back as 'label'")
    pixels_csv_parts.write(dataset, labels, folder, lambda part: part or "images")
    height, width, channels = image_shape(dataset)
    if (height, width, channels) != pixels_csv.infer_shape(height * width * channels):
        lost.append(f"the images' shape: read it back with --shape {height}x{width}x{channels}")
    return lost, left_out


def _idx(dataset: Dataset, folder: Path, log: Log) -> Outcome:
    target, lost = _single_target(dataset)
    if target is None or len(target.classes) > idx.MAX_LABEL + 1:
        has = "no target of one label an image" if target is None else f"{len(target.classes)} classes"
        raise DataError(
            f"{dataset.name}: has {has}; idx holds labels of up to {idx.MAX_LABEL + 1} classes. Use csv or parquet."
        )
    known = dataset.labels[target.name] != UNKNOWN
    unlabelled = [f"{id_}: has no label, and idx cannot say so" for id_ in dataset.ids[~known]]
    if not known.any():
        raise DataError(f"{dataset.name}: has no labels, which idx needs. Use csv or parquet.")
    dataset, left_out = _same_size(dataset.take(np.flatnonzero(known)), "idx", log)
    pixels = pixel_array(dataset)
    if pixels.shape[3] != 1:
        raise DataError(f"{dataset.name}: has images in colour; idx holds gray ones. Use csv or parquet.")
    lost += _lost_with_photos(dataset, left_out)
    labels = dataset.labels[target.name]
    if target.name != "label":
        lost.append(f"the target's name, {target.name!r}: it is read back as 'label'")
    if target.classes != tuple(map(str, sorted(set(labels.tolist())))):
        (folder / classes_file.NAME).write_bytes(classes_file.format_classes(target.classes))
    for part, chosen in indices_by_part(dataset).items():
        idx.write(pixels[chosen], labels[chosen], folder, part or None)
    return lost, unlabelled + left_out


def _same_size(dataset: Dataset, to: str, log: Log) -> tuple[Dataset, list[str]]:
    """`dataset` with its images as pixels; the problems of those that cannot be decoded, which are left out."""
    if isinstance(dataset.images, PixelImages):
        return dataset, []
    pictures: list[NDArray[np.uint8]] = []
    kept: list[int] = []
    problems: list[str] = []
    for index in range(len(dataset)):
        if index and not index % 1000:
            log(f"{index:,} of {len(dataset):,} photos read")
        try:
            image = dataset.images[index]
        except ImageError as error:
            problems.append(str(error))
            continue
        if pictures and image.shape[:2] != pictures[0].shape[:2]:
            sizes = [f"{p.shape[1]}×{p.shape[0]}" for p in (pictures[0], image)]
            raise DataError(
                f"{dataset.name}: {dataset.ids[kept[0]]} has {sizes[0]} pixels, but {dataset.ids[index]} has "
                f"{sizes[1]}; {to} holds images of one size. Use folders or parquet."
            )
        pictures.append(image)
        kept.append(index)
    if not kept:
        raise DataError(f"{dataset.name}: not one photo can be read. First: {problems[0]}")
    channels = max(image.shape[2] for image in pictures)
    pixels = np.stack([p if p.shape[2] == channels else np.repeat(p, channels, axis=2) for p in pictures])
    return replace(dataset.take(np.array(kept)), images=PixelImages(pixels)), problems


def _lost_with_photos(dataset: Dataset, left_out: list[str]) -> list[str]:
    lost = []
    natural = [str(i) for i in range(len(dataset))]
    if dataset.parts is not None:
        counts = [f"{part}/{i}" for part in PARTS for i in range(int((dataset.parts == part).sum()))]
        natural = counts
    if list(map(str, dataset.ids)) != natural or left_out:
        lost.append("the ids: samples are numbered anew")
    if dataset.format in ("folders", "table", "parquet-photos"):
        lost.append("the photos' files: their pixels are kept, what else is in them (EXIF, profiles) is not")
    if dataset.groups is not None:
        lost.append("the groups: the format has none")
    if dataset.parts is not None:
        places = [PARTS.index(part) for part in dataset.parts]
        if places != sorted(places):
            lost.append("the order of the samples: they are read part by part")
    return lost


def _mended(name: str) -> bool:
    """Whether a CSV's reader would take the label for another one."""
    return (
        name != name.strip() or (name.lstrip("-").isdigit() and str(int(name)) != name) or name.endswith(".0")
    )


# ── What is common ───────────────────────────────────────────────────────────────────────────────────────


def _single_target(dataset: Dataset) -> tuple[Target | None, list[str]]:
    """The first target of one label an image, and what is lost with the others."""
    kept = next((target for target in dataset.targets if target.kind == "multiclass"), None)
    others = [repr(target.name) for target in dataset.targets if target is not kept]
    if others and kept is None:
        raise DataError(
            f"{dataset.name}: {', '.join(others)} may have several labels an image, which only parquet can hold. "
            "Use parquet."
        )
    lost = [f"the targets {', '.join(others)}: only {kept.name!r} is kept"] if others and kept else []
    return kept, lost


WRITERS: dict[str, Callable[[Dataset, Path, Log], Outcome]] = {
    "folders": _folders,
    "csv": _csv,
    "idx": _idx,
    "parquet": _parquet,
}
"""What `to` may be."""
