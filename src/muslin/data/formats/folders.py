"""Photos in one folder for each class, below folders for the parts or not; also in a zip or a tar."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from muslin.data import archives
from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Target
from muslin.data.formats import classes_file
from muslin.data.formats.read_options import ReadOptions
from muslin.data.photos import PHOTO_SUFFIXES, Photo, PhotoImages
from muslin.errors import DataError, ImageError
from muslin.messages import Log, Message, no_log

PART_NAMES = {
    name: part
    for part, names in {
        "train": "train training training_set train_set training-set",
        "validation": "validation val valid validation_set val_set dev",
        "test": "test testing test_set test-set",
    }.items()
    for name in names.split()
}

NUMBERED = re.compile(r"(?P<label>[^.]*[^.\d])\.\d+")
"""The stem of a file's name that begins with its label: cat.0 (.jpg)."""

NOT_PHOTOS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
ARCHIVE_SUFFIX = re.compile(r"\.(zip|tar|tar\.gz|tgz)$")

MAX_NAMED = 3
"""Skipped files that are named; the others are counted."""


def detect(path: Path) -> str | None:
    """Why `path` is photos in folders, or None: a folder, zip or tar with a photo's name in it."""
    kind = archives.archive_kind(path)
    if path.is_dir():
        names: Iterator[str] = (name for name, _ in archives.walk(path))
        reason = "photos in folders"
    elif kind:
        names, reason = archives.archive_names(path), f"photos in a {kind} file"
    else:
        return None
    try:
        return reason if any(_is_photo(name) for name in names) else None
    except DataError:
        # read raises the error again
        return f"a {kind} file" if ARCHIVE_SUFFIX.search(path.name.lower()) else None


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The photos below `path`, each left in its file; the target is called `label`.

    Classes are sorted by name over all parts, so that a class missing from a part keeps its index.
    There is no target where neither folders nor file names hold a label.

    Raises:
        DataError: there is no photo, or an archive is damaged or refused.
    """
    raw_files, archive = archives.files_in(path)
    files = {_unicode_name(name): photo for name, photo in raw_files.items()}
    photos = [name for name in files if _is_photo(name)]
    if not photos:
        raise DataError("no_photos", path=str(path), suffixes=sorted(PHOTO_SUFFIXES))
    top = _common_folder(photos)
    divided = _is_divided([name[len(top) :] for name in photos])
    locations = [_part_and_label(name[len(top) :], divided) for name in photos]
    declared = _declared_classes(files, top, {found[1] for found in locations if found} - {""})
    samples = [
        (name, *(location or ("", "")))
        for name, location in zip(photos, locations, strict=True)
        if location or declared
    ]
    outside = len(photos) - len(samples)
    if not divided and not samples:
        outside = 0
        labels_in_names = [_label_in_name(name) for name in photos]
        has_labels = all(labels_in_names)
        samples = [(name, "", label if has_labels else "") for name, label in zip(photos, labels_in_names, strict=True)]
    order = {part: i for i, part in enumerate((*PARTS, ""))}
    samples.sort(key=lambda sample: (order[sample[1]], sample[2], sample[0]))
    classes = tuple(sorted({label for _, _, label in samples if label}))
    if declared:
        samples = [(name, part, unquote(label)) for name, part, label in samples]
        classes = declared
    index = {label: i for i, label in enumerate(classes)}
    labels = np.array([index.get(label, UNKNOWN) for _, _, label in samples], dtype=np.int64)
    parts = np.array([part for _, part, _ in samples], dtype=object)
    return Dataset(
        name=ARCHIVE_SUFFIX.sub("", path.resolve().name),
        format="folders",
        images=PhotoImages(tuple(files[name] for name, _, _ in samples), archive),
        targets=(Target("label", classes),) if classes else (),
        labels={"label": labels} if classes else {},
        ids=np.array([name[len(top) :] for name, _, _ in samples], dtype=object),
        parts=parts if divided else None,
        fixes=tuple(_fixes(files, len(files.keys() - raw_files.keys()), top if declared else None, outside)),
    )


def _fixes(files: dict[str, Photo], renamed: int, top_of_classes_file: str | None, outside: int) -> Iterator[str]:
    hidden = sum(map(_is_hidden, files))
    others = [name for name in files if not _is_hidden(name) and not _is_photo(name)]
    if top_of_classes_file is not None:
        others.remove(top_of_classes_file + classes_file.NAME)
    if hidden:
        yield Message("hidden_files_skipped", count=hidden)
    if others:
        more = len(others) - MAX_NAMED
        yield Message("other_files_skipped", count=len(others), names=others[:MAX_NAMED], more=max(more, 0) or None)
    if renamed:
        yield Message("names_read_as_latin_1", count=renamed)
    if outside:
        yield Message("photos_outside_classes", count=outside)


def photo_files(path: Path) -> tuple[dict[str, Photo], Any]:
    """The photos below a folder or in an archive by id, as `read` sets it; and what to keep while reading them.

    Raises:
        DataError: an archive is damaged or refused.
    """
    files, archive = archives.files_in(path)
    photos = [name for name in files if _is_photo(name)]
    top = _common_folder(photos) if photos else ""
    return {name[len(top) :]: files[name] for name in photos}, archive


def _unicode_name(name: str) -> str:
    """The name as valid Unicode; bytes that are not UTF-8 are read as Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(piece.startswith(".") or piece.lower() in NOT_PHOTOS for piece in name.split("/"))


def _declared_classes(files: dict[str, Photo], top: str, folders: set[str]) -> tuple[str, ...] | None:
    """The classes in the `classes.txt` beside the folders; None where it lacks one of them."""
    file = files.get(top + classes_file.NAME)
    try:
        classes = classes_file.parse_classes(file.content()) if file else None
    except ImageError:
        return None
    return classes if classes and {unquote(name) for name in folders} <= set(classes) else None


def _common_folder(photos: list[str]) -> str:
    """The folders above that hold no label, as `name-master/` in a downloaded archive; with `/` at the end."""
    top = ""
    while True:
        paths = [name[len(top) :].split("/") for name in photos]
        first_folders = {pieces[0] for pieces in paths}
        if len(first_folders) > 1 or min(map(len, paths)) < 3 or paths[0][0].lower() in PART_NAMES:
            break
        top += f"{paths[0][0]}/"
    if len(first_folders) == 1 and all(len(pieces) == 2 for pieces in paths):
        first = paths[0][0]
        if first.lower() not in PART_NAMES and len({_label_in_name(name) for name in photos} - {""}) > 1:
            top += f"{first}/"
    return top


def _is_divided(names: list[str]) -> bool:
    """Whether the top folders are parts: some are called so, and either all are or they have folders below them."""
    inside = [name.split("/")[0].lower() in PART_NAMES for name in names if "/" in name]
    deep = any(name.split("/")[0].lower() in PART_NAMES and name.count("/") > 1 for name in names)
    return any(inside) and (deep or all(inside))


def _part_and_label(name: str, divided: bool) -> tuple[str, str] | None:
    """The part and the label in a photo's path, or None where it is not in a class's folder."""
    pieces = name.split("/")
    part = ""
    if divided:
        if len(pieces) < 2 or pieces[0].lower() not in PART_NAMES:
            return None
        part = PART_NAMES[pieces[0].lower()]
        pieces = pieces[2:] if pieces[1] == pieces[0] and len(pieces) > 2 else pieces[1:]
        if len(pieces) == 1:
            return part, _label_in_name(pieces[0])
    if len(pieces) < 2:
        return None
    return part, unicodedata.normalize("NFC", pieces[0])


def _label_in_name(name: str) -> str:
    match = NUMBERED.fullmatch(PurePosixPath(name).stem)
    return unicodedata.normalize("NFC", match["label"]) if match else ""
