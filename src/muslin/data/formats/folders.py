"""Photos in one folder for each class, below folders for the parts or not; also in a zip or a tar."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from muslin.data import archives
from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Target
from muslin.data.formats import classes_file
from muslin.data.formats.read_options import ReadOptions
from muslin.data.part_names import PART_NAMES, is_part_name, parts_by_name
from muslin.data.photo_lookup import why_unreadable
from muslin.data.photo_roles import roles_of_names
from muslin.data.photos import PHOTO_SUFFIXES, Photo, PhotoImages, is_hidden, is_photo
from muslin.data.tables.photo_column import PHOTO_FOLDERS
from muslin.errors import DataError, ImageError
from muslin.images.file_kinds import kind_of_name, unsupported_files
from muslin.messages import MAX_EXAMPLES, Log, Message, examples, no_log

NUMBERED = re.compile(r"(?P<label>[^.]*[^.\d])\.\d+")
"""The stem of a file's name that begins with its label: cat.0 (.jpg)."""

PRODUCT = re.compile(r"id_\d+")
"""A folder with one product's photos, as in DeepFashion."""

UNLABELLED = "_unlabeled"
"""FiftyOne's folder of samples without a label."""

ARCHIVE_SUFFIX = re.compile(r"\.(zip|tar|tar\.gz|tgz)$")

MAX_NESTED_CLASSES, MIN_PHOTOS_PER_CLASS = 50, 10


class Sample(NamedTuple):
    """A photo: its part, the folders below that and above its product's, the latter, and its label; empty for none."""

    name: str
    part: str = ""
    folders: tuple[str, ...] = ()
    product: str = ""
    label: str = ""


def detect(path: Path) -> str | None:
    """Why `path` is photos in folders, or None: a folder, zip or tar with a photo's name in it."""
    kind = archives.archive_kind(path)
    if not kind and not path.is_dir():
        return None
    try:
        names = archives.archive_files(path)[0] if kind else (name for name, _ in archives.walk(path))
        found = any(is_photo(name) or _unsupported_kind(name) for name in names)
    except DataError:
        # read raises the error again
        return f"a {kind} file" if ARCHIVE_SUFFIX.search(path.name.lower()) else None
    return (f"photos in a {kind} file" if kind else "photos in folders") if found else None


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The photos below `path`, each left in its file; the target is called `label`.

    Classes are sorted by name over all parts, so that a class missing from a part keeps its index. With `levels` 2 or
    more, a class is called by its path, `upper/shirt`. There is no target where neither folders nor file names hold a
    label. Photos beside the folders of classes have no label, and those beside the folders of parts are left out.
    Folders called as DeepFashion's items (`id_00000002`) are products, and no part of a class's name.

    Raises:
        DataError: there is no photo, or only pointers of Git LFS or git-annex, no folder is as deep as `levels`, two
            folders could be the test part, or an archive is damaged or refused.
    """
    notes = archives.FolderNotes()
    raw_files, archive = archives.files_in(path, notes)
    files = {_unicode_name(name): photo for name, photo in raw_files.items()}
    photos = [name for name in files if is_photo(name)]
    if not photos:
        if kinds := _counted(map(_unsupported_kind, files)):
            raise DataError("only_unsupported_photos", path=str(path), kinds=kinds)
        archives.check_reachable(path)
        raise DataError("no_photos", path=str(path), suffixes=sorted(PHOTO_SUFFIXES))
    top = _common_folder(photos)
    said: dict[str, list[str]] = {"names_read_as_latin_1": sorted(files.keys() - raw_files.keys())}
    samples, levels, divided = _samples(path, photos, top, options.levels, said)
    declared = _declared_classes(files, top, {sample.label for sample in samples} - {""})
    has_products = any(sample.product for sample in samples)
    fixes = _skipped_files(files, [*photos, top + classes_file.NAME] if declared else photos)
    if not (options.levels or declared or has_products) and (note := _nested_note(samples)):
        fixes.append(note)
    outside = sorted(set(photos) - {sample.name for sample in samples})
    if divided and outside and not declared:
        fixes.append(_outside_note(outside, {sample.name for sample in samples}, top))
    else:
        samples += map(Sample, outside)
    if declared:
        samples = [sample._replace(label=unquote(sample.label)) for sample in samples]
    order = {part: i for i, part in enumerate((*PARTS, ""))}
    samples.sort(key=lambda sample: (order[sample.part], sample.label, sample.name))
    classes = declared or tuple(sorted({sample.label for sample in samples} - {""}))
    samples = _without_pointers(path, samples, files, fixes)
    said["names_read_as_cp437"], said["folder_links_skipped"] = notes.code_page_names, notes.links
    said["archive_files_replaced"], said["links_outside"] = notes.replaced, notes.outside
    said["folders_unlisted"] = notes.unlisted
    said["folders_without_photos"] = _folders_without_photos(files, photos, top, notes.folders, levels + divided)
    index = {label: i for i, label in enumerate(classes)}
    labels = np.array([index.get(sample.label, UNKNOWN) for sample in samples], dtype=np.int64)
    return Dataset(
        name=ARCHIVE_SUFFIX.sub("", path.resolve().name),
        format="folders",
        images=PhotoImages(tuple(files[sample.name] for sample in samples), archive),
        targets=(Target("label", classes),) if classes else (),
        labels={"label": labels} if classes else {},
        ids=np.array([sample.name.removeprefix(top) for sample in samples], dtype=object),
        parts=np.array([sample.part for sample in samples], dtype=object) if divided else None,
        products=np.array([each.product or each.name for each in samples], dtype=object) if has_products else None,
        roles=roles_of_names(sample.name for sample in samples) if has_products else None,
        fixes=(*fixes, *(Message(code, **examples(names)) for code, names in said.items() if names)),
    )


def photo_files(path: Path) -> tuple[dict[str, Photo], Any]:
    """The photos below a folder or in an archive by id, as `read` sets it; and what to keep while reading them.

    Raises:
        DataError: an archive is damaged or refused.
    """
    files, archive = archives.files_in(path)
    photos = [name for name in files if is_photo(name)]
    top = _common_folder(photos) if photos else ""
    return {name.removeprefix(top): files[name] for name in photos}, archive


def _common_folder(photos: list[str]) -> str:
    """The folders above that hold no label, as `name-master/` in a downloaded archive; with `/` at the end."""
    top = ""
    while True:
        paths = [name[len(top) :].split("/") for name in photos if name.startswith(top)]
        first_folders = {pieces[0] for pieces in paths}
        second = {pieces[1] for pieces in paths if len(pieces) > 2}
        if len(first_folders) > 1 and not any(map(is_part_name, first_folders)):
            # beside the folder with all parts, there can be others
            parts = {(p[0], p[1]) for p in paths if len(p) > 3 and is_part_name(p[1])}
            first_folders = {first for first, _ in parts} if len(parts) > 1 else first_folders
            if len(first_folders) > 1:
                break
        elif len(first_folders) > 1 or is_part_name(paths[0][0]) or (min(map(len, paths)) < 3 and len(second) < 2):
            break
        top += f"{first_folders.pop()}/"
    if len(first_folders) == 1 and all(len(pieces) == 2 for pieces in paths):
        first = paths[0][0]
        has_labels = len({_label_in_name(name) for name in photos} - {""}) > 1
        if not is_part_name(first) and (has_labels or first.lower() in PHOTO_FOLDERS):
            top += f"{first}/"
    return top


def _samples(
    path: Path, photos: list[str], top: str, levels: int | None, said: dict[str, list[str]]
) -> tuple[list[Sample], int, bool]:
    """The photos in the folders of classes, the levels of folders that name these, and whether there are parts."""
    places, divided = _places(path, [name for name in photos if name.startswith(top)], top, said)
    depths = [len(place.folders) for place in places]
    if levels and levels > max(depths, default=0):
        raise DataError("levels_too_deep", path=str(path), levels=levels, found=max(depths, default=0))
    said["products_grouped"] = sorted({place.product for place in places} - {""})
    levels = levels or (min(depths) if places and all(place.product for place in places) else 1)
    samples = []
    for place in places:
        if len(place.folders) >= levels:
            names = place.folders[:levels]
            samples.append(place._replace(label="" if UNLABELLED in names else "/".join(map(_class_name, names))))
        elif place.part and not place.folders:
            samples.append(place._replace(label=_label_in_name(place.name)))
    if not samples:
        found = [_label_in_name(name) for name in photos]
        labels = found if all(found) else [""] * len(photos)
        samples = [Sample(name, label=label) for name, label in zip(photos, labels, strict=True)]
    used = {folder for sample in samples for folder in sample.folders[:levels]}
    said["class_names_normalised"] = sorted(folder for folder in used if folder != _class_name(folder))
    return samples, levels, divided


def _places(path: Path, photos: list[str], top: str, said: dict[str, list[str]]) -> tuple[list[Sample], bool]:
    """The photos below `top`, yet without labels, and without those beside the parts; and whether there are parts.

    Top folders are parts if some are called so, and either all are or they have folders below them.
    """
    paths = [name[len(top) :].split("/") for name in photos]
    if len({pieces[0] for pieces in paths}) > 1 and all(len(p) > 2 and is_part_name(p[1]) for p in paths):
        paths = [[second, first, *rest] for first, second, *rest in paths]  # dress/train, dress/test, hat/train, …
    tops = {pieces[0] for pieces in paths if len(pieces) > 1}
    parts = parts_by_name(path, tops)
    if not (tops <= parts.keys() or any(len(pieces) > 2 and pieces[0] in parts for pieces in paths)):
        parts = {}
    shared = [[name for name in parts if parts[name] == part] for part in dict.fromkeys(parts.values())]
    said["part_folders_guessed"] = [
        f"{name} ({part})" for name, part in parts.items() if name.lower() not in PART_NAMES
    ]
    said["part_folders_joined"] = [" + ".join(names) for names in shared if len(names) > 1]
    places = []
    for name, pieces in zip(photos, paths, strict=True):
        folders = tuple(pieces[:-1])
        if parts:
            if not folders or folders[0] not in parts:
                continue
            doubled = folders[1:2] == folders[:1]  # training_set/training_set, as on Kaggle
            folders = folders[2:] if doubled else folders[1:]
        depth = next((i for i, folder in enumerate(folders) if i and PRODUCT.fullmatch(folder)), len(folders))
        product = "".join(folders[depth : depth + 1])
        places.append(Sample(name, parts.get(pieces[0], "") if parts else "", folders[:depth], product))
    if parts and all(place.folders and place.folders[0].lower() in PHOTO_FOLDERS for place in places):
        places = [place._replace(folders=place.folders[1:]) for place in places]  # train/images/dress
    return places, bool(parts)


def _nested_note(samples: Sequence[Sample]) -> Message | None:
    """A note that the folders below those of classes could be classes too, or None.

    They hardly are where all have one name, where the names of most have a digit (products, dates), or where they are
    many and hold few photos each: more than MAX_NESTED_CLASSES with fewer than MIN_PHOTOS_PER_CLASS on average.
    """
    nested = Counter(tuple(sample.folders[:2]) for sample in samples if len(sample.folders) > 1)
    classes = sorted({sample.folders[0] for sample in samples if sample.folders})
    seconds = {second for _, second in nested}
    digits = sum(any(map(str.isdigit, second)) for second in seconds)
    if len(seconds) < 2 or 2 * digits > len(seconds):
        return None
    if len(nested) > MAX_NESTED_CLASSES and nested.total() < MIN_PHOTOS_PER_CLASS * len(nested):
        return None
    names = ["/".join(pair) for pair in sorted(nested)]
    shallow = sum(len(sample.folders) == 1 for sample in samples) or None
    depth = max(len(sample.folders) for sample in samples)
    more = {"shallow": shallow, "depth": depth if depth > 2 else None, **examples(names)}
    return Message("nested_folders", n=len(classes), classes=examples(classes)["names"], **more)


def _class_name(folder: str) -> str:
    """The folder's name in composed Unicode, without spaces at its ends."""
    return unicodedata.normalize("NFC", folder).strip() or folder


def _label_in_name(name: str) -> str:
    match = NUMBERED.fullmatch(PurePosixPath(name).stem)
    return _class_name(match["label"]) if match else ""


def _declared_classes(files: dict[str, Photo], top: str, folders: set[str]) -> tuple[str, ...] | None:
    """The classes in the `classes.txt` beside the folders; None where it lacks one of them."""
    file = files.get(top + classes_file.NAME)
    try:
        classes = classes_file.parse_classes(file.content()) if file else None
    except ImageError:
        return None
    return classes if classes and {unquote(name) for name in folders} <= set(classes) else None


# --- what is left out


def _without_pointers(
    path: Path, samples: Sequence[Sample], files: dict[str, Photo], fixes: list[Message]
) -> list[Sample]:
    """The samples whose content is on this machine; DataError where none is."""
    pointers: dict[str | None, list[str]] = {}
    kept = []
    for sample in samples:
        error = why_unreadable(files[sample.name], sample.name)
        if error and error.code == "git_pointer":
            pointers.setdefault(error.hint_code, []).append(sample.name)
        else:
            kept.append(sample)
    if samples and not kept:
        hint, names = next(iter(pointers.items()))
        raise DataError("only_pointers", hint, path=str(path), **examples(names))
    fixes += [Message("photos_are_pointers", hint, **examples(names)) for hint, names in pointers.items()]
    return kept


def _skipped_files(files: dict[str, Photo], used: list[str]) -> list[Message]:
    rest = sorted(files.keys() - used)
    hidden = list(filter(is_hidden, rest))
    unsupported = list(filter(_unsupported_kind, rest))
    others = sorted(set(rest) - {*hidden, *unsupported})
    kinds = _counted(os.path.splitext(name)[1].lower() for name in others) if len(others) > MAX_EXAMPLES else None
    fixes = [Message("hidden_files_skipped", **examples(hidden))] if hidden else []
    fixes += [Message("other_files_skipped", kinds=kinds, **examples(others))] if others else []
    return fixes + unsupported_files(unsupported)


def _outside_note(outside: Sequence[str], inside: Iterable[str], top: str) -> Message:
    """The photos that are in no class; a folder of which none is used is named as a whole."""
    used = {name.removeprefix(top).split("/")[0] for name in inside}
    names: Counter[str] = Counter()
    for name in outside:
        first, slash, _ = name.removeprefix(top).partition("/")
        names[f"{first}/" if slash and first not in used else name] += 1
    entries = [f"{name}: {count:,}" if name.endswith("/") else name for name, count in names.items()]
    return Message("photos_outside_classes", **{**examples(entries), "count": len(outside)})


def _folders_without_photos(
    files: Iterable[str], photos: Iterable[str], top: str, empty: Iterable[str], levels: int
) -> list[str]:
    """The highest folders below `top` without a photo, at most `levels` deep, with the kinds of photos not read."""
    filled = {name.rpartition("/")[0] for name in photos}
    filled |= {str(above) for folder in filled for above in PurePosixPath(folder).parents}
    found: dict[str, list[str]] = {}
    for name in sorted({*files, *(f"{_unicode_name(folder)}/" for folder in empty)}):
        folder = name.rpartition("/")[0]
        if folder not in filled and folder.startswith(top) and not is_hidden(folder):
            pieces = folder[len(top) :].split("/")
            paths = (top + "/".join(pieces[: i + 1]) for i in range(min(levels, len(pieces))))
            found.setdefault(next((path for path in paths if path not in filled), ""), []).append(
                _unsupported_kind(name)
            )
    kinds = {folder: ", ".join(_counted(kinds)) for folder, kinds in found.items() if folder}
    return [f"{folder}: {kinds[folder]}" if kinds[folder] else folder for folder in sorted(kinds)]


def _unsupported_kind(name: str) -> str:
    """The kind of a photo that is not read, such as HEIC; empty for other files."""
    return os.path.splitext(name)[1][1:].upper() if kind_of_name(name) and not is_hidden(name) else ""


def _counted(kinds: Iterable[str]) -> list[str]:
    return [f"{count:,} {kind}" for kind, count in Counter(kinds).most_common() if kind]


def _unicode_name(name: str) -> str:
    """The path as valid Unicode; a part of it whose bytes are not UTF-8 is read as Latin-1."""
    parts = name.encode("utf-8", "surrogateescape").split(b"/")
    return "/".join(part.decode("utf-8" if _is_utf_8(part) else "latin-1") for part in parts)


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
