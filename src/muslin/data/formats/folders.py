"""Photos in folders called like their classes, with or without a part's folder above; also in a zip or a tar."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from muslin.data import archives
from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Target
from muslin.data.formats import classes_file
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.data.photos import PHOTO_SUFFIXES, Photo, PhotoImages
from muslin.errors import DataError, ImageError

TAKES: frozenset[str] = frozenset()

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
"""A file's name that begins with its label: cat.0 (.jpg)."""

NOT_PHOTOS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def detect(path: Path) -> str | None:
    """Why `path` is photos in folders, or None: the first photo's name found in a folder, zip or tar."""
    found = archives.kind(path)
    if path.is_dir():
        names: Iterator[str] = (name for name, _ in _walk(path))
        what = "photos in folders"
    elif found:
        names, what = archives.names(path), f"photos in a {found} file"
    else:
        return None
    try:
        return what if any(_is_photo(name) for name in names) else None
    except DataError:
        named_so = re.search(r"\.(zip|tar|tar\.gz|tgz)$", path.name.lower())
        return f"a {found} file" if named_so else None  # read says what is wrong with it


def read(path: Path, options: ReadOptions, log: Log = silent) -> Dataset:
    """The photos below `path`, each left in its file; the target is called `label`.

    Classes are sorted by name over all parts, so that a class missing from a part keeps its index.
    Without targets where neither folders nor names tell a label.

    Raises:
        DataError: there is no photo, or an archive is damaged or refused.
    """
    found, kept = files_of(path)
    files = {_in_letters(name): photo for name, photo in found.items()}
    photos, fixes = _photos(files)
    if odd := len(files.keys() - found.keys()):
        fixes.append(f"names that are not UTF-8, read as Latin-1: {odd:,}")
    if not photos:
        raise DataError(
            f"{path}: has no photos in it. Known by their names' ends: {', '.join(sorted(PHOTO_SUFFIXES))}."
        )
    top = _common_folder(photos)
    placed: list[tuple[str, str, str]] = []
    loose = 0
    divided = _is_divided([name[len(top) :] for name in photos])
    places = [_place(name[len(top) :], divided) for name in photos]
    declared = _declared(files, top, {place[1] for place in places if place} - {""})
    for name, place in zip(photos, places, strict=True):
        if place is None and declared:
            placed.append((name, "", ""))
        elif place is None:
            loose += 1
        else:
            placed.append((name, *place))
    if not divided and not placed:
        placed = [(name, "", _label_in(name)) for name in photos]
        loose = 0
        if not all(label for _, _, label in placed):
            placed = [(name, "", "") for name in photos]
    if loose:
        fixes.append(f"photos in no class's folder passed over: {loose:,}")
    order = {part: place for place, part in enumerate((*PARTS, ""))}
    placed.sort(key=lambda row: (order[row[1]], row[2], row[0]))
    classes = tuple(sorted({label for _, _, label in placed if label}))
    if declared:
        placed = [(name, part, unquote(label)) for name, part, label in placed]
        classes = declared
        fixes = [said for said in fixes if said != _passed_over([top + classes_file.NAME])]
    index = {label: i for i, label in enumerate(classes)}
    labels = np.array([index.get(label, UNKNOWN) for _, _, label in placed], dtype=np.int64)
    parts = np.array([part for _, part, _ in placed], dtype=object)
    return Dataset(
        name=re.sub(r"\.(zip|tar|tar\.gz|tgz)$", "", path.resolve().name),
        format="folders",
        images=PhotoImages(tuple(files[name] for name, _, _ in placed), kept),
        targets=(Target("label", classes),) if classes else (),
        labels={"label": labels} if classes else {},
        ids=np.array([name[len(top) :] for name, _, _ in placed], dtype=object),
        parts=parts if divided else None,
        fixes=tuple(fixes),
    )


def files_of(path: Path) -> tuple[dict[str, Photo], Any]:
    """Per name, with `/` between folders, the files below a folder or in an archive; and what must be kept."""
    if path.is_dir():
        return dict(_walk(path)), None
    if archives.kind(path) is None:
        raise DataError(f"{path}: neither a folder nor a zip or tar file. Check the path.")
    return archives.members(path)


def photos_in(path: Path) -> tuple[dict[str, Photo], Any]:
    """Per id, as `read` gives it, the photos below a folder or in an archive; and what must be kept meanwhile.

    Raises:
        DataError: an archive is damaged or refused.
    """
    files, kept = files_of(path)
    photos = [name for name in files if _is_photo(name)]
    top = _common_folder(photos) if photos else ""
    return {name[len(top) :]: files[name] for name in photos}, kept


def _in_letters(name: str) -> str:
    """A file's name as text that can be written everywhere; bytes that are not UTF-8 are taken as Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def _walk(path: Path) -> Iterator[tuple[str, Photo]]:
    seen: set[str] = set()
    for folder, below, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            below.clear()
            continue
        seen.add(real)
        below.sort()
        for name in sorted(names):
            file = Path(folder, name)
            yield file.relative_to(path).as_posix(), Photo(str(file), file)


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(piece.startswith(".") or piece.lower() in NOT_PHOTOS for piece in name.split("/"))


def _photos(files: dict[str, Photo]) -> tuple[list[str], list[str]]:
    hidden = sum(map(_is_hidden, files))
    photos = [name for name in files if _is_photo(name)]
    others = [name for name in files if not _is_hidden(name) and not _is_photo(name)]
    fixes = []
    if hidden:
        fixes.append(f"hidden files and those of the system passed over: {hidden:,}")
    if others:
        fixes.append(_passed_over(others))
    return photos, fixes


def _passed_over(others: list[str]) -> str:
    more = ", …" if len(others) > 3 else ""
    return f"files that are no photos passed over: {len(others):,} ({', '.join(others[:3])}{more})"


def _declared(files: dict[str, Photo], top: str, folders: set[str]) -> tuple[str, ...] | None:
    """The classes that a `classes.txt` beside their folders, or the parts', lists; None where it lacks one of them."""
    listed = files.get(top + classes_file.NAME)
    try:
        classes = classes_file.parsed(listed.content()) if listed else None
    except ImageError:
        return None
    return classes if classes and {unquote(name) for name in folders} <= set(classes) else None


def _common_folder(photos: list[str]) -> str:
    """The folders above that say nothing, as `name-master/` in a downloaded archive; with `/` at the end."""
    top = ""
    while True:
        rests = [name[len(top) :].split("/") for name in photos]
        firsts = {rest[0] for rest in rests}
        if len(firsts) > 1 or min(map(len, rests)) < 3 or rests[0][0].lower() in PART_NAMES:
            break
        top += f"{rests[0][0]}/"
    rests = [name[len(top) :].split("/") for name in photos]
    if len({rest[0] for rest in rests}) == 1 and all(len(rest) == 2 for rest in rests):
        first = rests[0][0]
        if first.lower() not in PART_NAMES and len({_label_in(name) for name in photos} - {""}) > 1:
            top += f"{first}/"
    return top


def _is_divided(names: list[str]) -> bool:
    tops = Counter(name.split("/")[0].lower() in PART_NAMES for name in names if "/" in name)
    deep = any(name.split("/")[0].lower() in PART_NAMES and name.count("/") > 1 for name in names)
    return bool(tops[True]) and (deep or not tops[False])


def _place(name: str, divided: bool) -> tuple[str, str] | None:
    """The part and the label that a photo's place says, or None where it is in no class's folder."""
    pieces = name.split("/")
    part = ""
    if divided:
        if len(pieces) < 2 or pieces[0].lower() not in PART_NAMES:
            return None
        part = PART_NAMES[pieces[0].lower()]
        pieces = pieces[2:] if pieces[1] == pieces[0] and len(pieces) > 2 else pieces[1:]
        if len(pieces) == 1:
            return part, _label_in(pieces[0])
    if len(pieces) < 2:
        return None
    return part, unicodedata.normalize("NFC", pieces[0])


def _label_in(name: str) -> str:
    match = NUMBERED.fullmatch(PurePosixPath(name).stem)
    return unicodedata.normalize("NFC", match["label"]) if match else ""
