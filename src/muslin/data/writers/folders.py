"""Photos in one folder for each class, below folders for the parts; pixels become PNG files."""

import os
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

import numpy as np

from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.data.formats import classes_file
from muslin.data.formats import folders as folders_format
from muslin.data.formats.read_options import ReadOptions
from muslin.data.photos import PHOTO_SUFFIXES, PhotoImages, is_hidden
from muslin.data.writers.samples import Written, into_new_folder, photo_files, single_target
from muslin.errors import DataError
from muslin.messages import Log, Message


@into_new_folder
def write(dataset: Dataset, folder: Path, log: Log) -> Written:
    """Write into the new `folder`.

    Raises:
        DataError: the folders would be read as other parts or classes.
        StorageError: the folder exists or cannot be written.
    """
    target, warnings = single_target(dataset)
    labels = np.full(len(dataset), UNKNOWN) if target is None else dataset.labels[target.name]
    classes = () if target is None else target.classes
    if not isinstance(dataset.images, PhotoImages):
        warnings.append(Message("pixels_to_png"))
    same_names = list(map(_folder_name, classes)) == list(classes)
    sorted_names = classes == tuple(sorted({classes[i] for i in labels if i != UNKNOWN}))
    loose = dataset.parts is None and target is not None and bool((labels == UNKNOWN).any())
    if not (same_names and sorted_names) or loose:
        (folder / classes_file.NAME).write_bytes(classes_file.format_classes(classes))
    excluded: list[Message] = []
    taken: set[str] = set()
    written: dict[str, int] = {}
    for index, content in photo_files(dataset, warnings, excluded, log):
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
    if dataset.products is not None:
        warnings.append(Message("products_lost"))
    order = _check_folders(folder, dataset, target, written)
    if order != list(written):
        warnings.append(Message("order_lost"))
    return warnings, excluded


def _check_folders(folder: Path, dataset: Dataset, target: Target | None, written: dict[str, int]) -> list[str]:
    """The ids, read back in order; DataError where parts or classes differ: a class `train` is read as a part."""
    again = folders_format.read(folder, ReadOptions())
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
