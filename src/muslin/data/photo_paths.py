"""The paths that a cell can mean, and the photos whose paths fit; without opening a file."""

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, unquote, unquote_plus

import numpy as np

from muslin.data.photos import IMAGE_SUFFIXES
from muslin.storage.local_path import url_of

URL_START = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
"""The start of a URL: https://, file://, gs://; no drive, which is one letter."""

UPLOAD = re.compile(r"/?data/upload/(?:\d+/)?")
"""Before a photo uploaded to Label Studio; the numbers are its projects."""

UPLOAD_ID = re.compile(r"[0-9a-f]{8}-")
"""Before the name of such a photo."""

PLAIN = re.compile(r"/?[\w~@&=!$^-][\w~@&=!$^. -]*(?:/[\w~@&=!$^-][\w~@&=!$^. -]*)*", re.ASCII)
"""A path of ASCII letters with one reading: no URL, escape, separator, drive, `.` or `..`."""

BY_SPELLING, BY_END = "photos_by_spelling", "photos_by_path_end"
"""Codes of messages: a path differs in case, Unicode form or encoding, or has other folders above its end."""

MAX_MATCHES = 100
"""Paths of one name that are compared with a cell."""

CODE_PAGES = ("cp437", "cp850", "cp1252", "cp932", "gbk", "big5", "euc_kr", "cp866", "cp1251", "koi8_r")
"""Encodings of names that are not UTF-8, by old programs that write archives."""


@dataclass(frozen=True)
class Reading:
    """One way to read a cell.

    Attributes:
        pieces: the path's folders and its file's name, without `.` and `..`.
        kind: what was changed in the cell, a code of a message; empty for nothing.
        leading: of the folders, how many at the start need not be found, because a server made them.
        leaves: whether the path leads out of the folder from which it starts.
    """

    pieces: tuple[str, ...]
    kind: str = ""
    leading: int = 0
    leaves: bool = False


def readings(cell: str) -> Iterator[Reading]:
    """The ways to read a cell as a path, the likeliest first."""
    path = cell.replace("\\", "/")
    kind = BY_SPELLING if path != cell else ""
    if address := URL_START.match(path):
        path, kind = path[address.end() :].partition("/")[2].partition("#")[0], BY_END
    before, _, query = path.partition("?")
    upload = UPLOAD.match(path)
    if before.lstrip("/") == "data/local-files/":  # Label Studio's too
        path, kind = parse_qs(query).get("d", [path])[0], BY_END
    elif query and (address or photo_suffix(before)):
        path, kind = before, BY_END
    ways = {path: kind}
    if "%" in path:
        ways.setdefault(unquote(path), kind or BY_SPELLING)
    if "+" in path and kind == BY_END:
        ways.setdefault(unquote_plus(path), kind)
    for text, why in ways.items():
        yield (reading := _reading(text, why, upload[0].count("/", 1) if upload else 0))
        if upload and (upload_id := UPLOAD_ID.match(reading.pieces[-1])):
            yield replace(reading, pieces=(*reading.pieces[:-1], reading.pieces[-1][upload_id.end() :]), kind=BY_END)


def _reading(path: str, kind: str, leading: int) -> Reading:
    without_drive = re.sub(r"^[A-Za-z]:", "", path)
    pieces = posixpath.normpath(without_drive).split("/")
    if without_drive != path or pieces[0] in ("", ".."):
        kind = BY_END
    plain = [piece for piece in pieces if piece not in ("", ".", "..")]
    return Reading(tuple(plain) or ("",), kind, leading, pieces[0] == "..")


def is_plain(cell: str) -> bool:
    """Whether a cell has one reading and names one photo, whose file is called as the last piece."""
    is_one = PLAIN.fullmatch(cell) and not UPLOAD.match(cell)
    return bool(is_one) and not (" " in cell and several_names(cell))


def is_url(cell: str) -> bool:
    """Whether a cell is a URL of something that is not on this machine."""
    return url_of(cell) is not None and not cell.lower().startswith("file:")


def several_names(cell: str | tuple[str, ...]) -> list[str]:
    """The photos' names in a cell that holds several of them, as a list or separated; none for any other cell."""
    if isinstance(cell, tuple):
        return [name for name in cell if name]
    if cell.startswith(("[", "(")):
        return re.findall(r"""["']([^"']+)["']""", cell)
    for separator in filter(cell.__contains__, ("|", ";", ",", "\n", " ")):
        names = [name for part in cell.split(separator) if (name := part.strip())]
        if len(names) > 1 and all(map(photo_suffix, names)):
            return names
    return []


def in_code_pages(reading: Reading) -> Iterator[Reading]:
    """A reading as it would be in names that are stored in an old encoding, and were read as another one."""
    path = "/".join(reading.pieces)
    texts: dict[str, None] = {}
    for encoding in CODE_PAGES if not path.isascii() else ():
        for form in ("NFC", "NFD"):
            try:
                stored = unicodedata.normalize(form, path).encode(encoding)
            except UnicodeError:
                continue
            texts |= dict.fromkeys((stored.decode("cp437"), stored.decode("utf-8", "surrogateescape")))
    for text in texts:
        pieces = tuple(text.replace("\\", "/").split("/"))  # the second byte of a letter can be a back-slash
        yield Reading(pieces, BY_SPELLING, reading.leading, reading.leaves)


@dataclass(frozen=True)
class Match:
    """A path and how well it fits a reading.

    Attributes:
        rank: the better, the greater.
        kind: how it differs from the cell, a code of a message; empty for not at all.
        fits: whether it can be the photo: the folders of the reading and those of the path do not contradict each
            other, or no two photos have the same name and the reading's folder is none of theirs.
    """

    path: str
    rank: tuple[bool, int, int]
    kind: str
    fits: bool


class _Places:
    """Where each of many hashes is, in 12 bytes each."""

    def __init__(self, hashes: Iterable[int], count: int) -> None:
        unsorted = np.fromiter(hashes, np.int64, count)
        self._order = np.argsort(unsorted, kind="stable").astype(np.uint32)
        self.sorted = unsorted[self._order]

    def of(self, value: int, limit: int) -> list[int]:
        """The first `limit` places of a hash."""
        first = last = int(self.sorted.searchsorted(value))
        while last < min(len(self.sorted), first + limit) and self.sorted[last] == value:
            last += 1
        return list(map(int, self._order[first:last]))


class PathIndex:
    """Paths of photos, found by their file's name without its suffix, whatever case and Unicode form it has.

    A million paths such as images/0042/0000012345.jpg take 110 MB (tracemalloc) and 4 s on one core of a Xeon.
    """

    def __init__(self, paths: Iterable[str], starts: Sequence[str] = ("",)) -> None:
        """`starts` are the folders, with `/` at the end, from which a path may start."""
        self.paths = list(paths)
        self._starts = starts
        count = len(self.paths)
        self._by_name = _Places((hash(_key(path.rpartition("/")[2])) for path in self.paths), count)
        self._by_folder = _Places((hash(_key_in_folder(path)) for path in self.paths), count)
        folders = {path.rpartition("/")[0] for path in self.paths}
        self._folders = {_fold(name) for folder in folders for name in folder.split("/")}
        self._names_differ = bool(np.diff(self._by_name.sorted).all())

    def has_name(self, name: str) -> bool:
        """Whether a path's file can be called so; only without one has a reading of this last piece no match."""
        return bool(self._by_name.of(hash(_key(name)), 1))

    def matches(self, reading: Reading) -> list[Match]:
        """The paths whose file's name fits, each from the place from which it fits best.

        Of those in a folder called as the reading's, if one fits: names such as img_1.jpg can be in every folder.
        """
        matches: list[Match] = []
        if len(reading.pieces) > 1:
            in_folder = self._by_folder.of(hash(_key_in_folder("/".join(reading.pieces[-2:]))), MAX_MATCHES)
            matches = self._matches(in_folder, reading)
        if not any(match.fits for match in matches):
            matches = self._matches(self._by_name.of(hash(_key(reading.pieces[-1])), MAX_MATCHES), reading)
        return matches

    def _matches(self, places: Sequence[int], reading: Reading) -> list[Match]:
        if not places:
            return []
        key = _key(reading.pieces[-1])
        paths = (self.paths[place] for place in places)
        matches = [self._match(path, reading) for path in paths if _key(path.rpartition("/")[2]) == key]
        # only a spreadsheet takes zeros from a number, and only from a cell of digits
        is_number = not reading.kind and not photo_suffix(reading.pieces[-1])
        return [match for match in matches if is_number or match.rank[2]]

    def _match(self, path: str, reading: Reading) -> Match:
        ends = [path[len(start) :] for start in self._starts if path.startswith(start)]
        return max((self._compare(path, end, reading) for end in ends), key=lambda m: (m.fits, m.rank))

    def _compare(self, path: str, end: str, reading: Reading) -> Match:
        """How well `end`, with which `path` ends, fits."""
        *wanted, name = reading.pieces
        *folders, file = end.split("/")
        folded, there = [_fold(piece) for piece in wanted], [_fold(piece) for piece in folders]
        common = 0
        while common < min(len(folded), len(there)) and folded[-1 - common] == there[-1 - common]:
            common += 1
        rest, above = folded[: len(folded) - common], there[: len(there) - common]
        fits = _is_part(rest[reading.leading :], above) or _is_part(above, rest)
        fits = fits or (self._names_differ and rest[-1] not in self._folders)
        closeness, kind = _difference(
            [*wanted[len(wanted) - common :], name], [*folders[len(folders) - common :], file]
        )
        if (rest or above) and kind not in ("photos_by_number", "photos_by_suffix"):
            kind = BY_END if rest else "photos_below"
        return Match(path, (not rest and not above, common, closeness), reading.kind or kind, fits)


def _difference(wanted: Sequence[str], found: Sequence[str]) -> tuple[int, str]:
    """How close two paths are, which differ only in their spelling, and by which kind."""
    name, file = wanted[-1], found[-1]
    if list(wanted) == list(found):
        return 5, ""
    if not photo_suffix(name):
        name, file = name, file.removesuffix(photo_suffix(file))
    elif photo_suffix(name).lower() != photo_suffix(file).lower():
        name, file = name.removesuffix(photo_suffix(name)), file.removesuffix(photo_suffix(file))
        if _fold(name) == _fold(file):
            return 1, "photos_by_suffix"
    if _fold(name) != _fold(file):
        return 0, "photos_by_number"
    pairs = [*zip(wanted[:-1], found[:-1], strict=True), (name, file)]
    if all(a == b for a, b in pairs):
        return 4, ""
    same_case = all(unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b) for a, b in pairs)
    return (3 if same_case else 2), BY_SPELLING


def _is_part(pieces: Sequence[str], others: Iterable[str]) -> bool:
    """Whether `others` has all the pieces, in their order."""
    remaining = iter(others)
    return all(piece in remaining for piece in pieces)


def _key(name: str) -> str:
    """What a file's name has in common with the cells that can mean it: no suffix, and a number without zeros."""
    stem = _fold(name.removesuffix(photo_suffix(name)))
    if stem.endswith(".0") and stem[:-2].isdecimal():
        stem = stem[:-2]
    return (stem.lstrip("0") or "0") if stem.isdecimal() else stem


def _key_in_folder(path: str) -> str:
    """The key of a path's file with the name of its folder."""
    folders, _, name = path.rpartition("/")
    return f"{_fold(folders.rpartition('/')[2])}/{_key(name)}"


def photo_suffix(name: str) -> str:
    """The suffix of an image that a name has, as it is spelled; empty for any other."""
    suffix = posixpath.splitext(name)[1]
    return suffix if suffix.lower() in IMAGE_SUFFIXES else ""


def _fold(text: str) -> str:
    return (
        text.casefold()
        if text.isascii()
        else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    )
