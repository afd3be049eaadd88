"""Kinds of files that hold images, or are mistaken for them, but cannot be decoded; by suffix and by content."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from muslin.errors import ImageError
from muslin.messages import Message, examples


@dataclass(frozen=True)
class FileKind:
    """A kind of files that is not supported.

    Attributes:
        name: in messages.
        start: matches the first bytes of such a file; None where they are those of a TIFF.
        suffixes: of such files' names, in lower case, where these are photos in a shop's eyes.
        hint: how to convert one, a hint of the message `image_format`.
    """

    name: str
    start: re.Pattern[bytes] | None
    suffixes: tuple[str, ...] = ()
    hint: str | None = None


def _bytes(pattern: bytes, flags: re.RegexFlag = re.DOTALL) -> re.Pattern[bytes]:
    return re.compile(pattern, flags)


# A byte order mark, comments and the XML declaration may come before the element that tells HTML from SVG.
# Atomic, so that no file can make the match take long.
MARKUP = rb"(?:\xef\xbb\xbf)?(?>\s+|<\?xml.*?\?>|<!--.*?-->)*+"
_MARKUP_FLAGS = re.IGNORECASE | re.DOTALL

_RAW_SUFFIXES = (".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".raw")

UNSUPPORTED: tuple[FileKind, ...] = (
    # what a camera keeps beside its raw samples is a TIFF of small previews
    FileKind("camera raw (CR2)", _bytes(rb"II\*\x00....CR\x02"), (".cr2",), "raw"),
    FileKind("camera raw (CR3)", _bytes(rb"....ftypcrx "), (".cr3",), "raw"),
    FileKind("camera raw (ORF)", _bytes(rb"IIR[OS]|MMOR"), (".orf",), "raw"),
    FileKind("camera raw (RW2)", _bytes(rb"IIU\x00"), (".rw2",), "raw"),
    FileKind("camera raw (RAF)", _bytes(rb"FUJIFILMCCD-RAW"), (".raf",), "raw"),
    FileKind("camera raw", None, _RAW_SUFFIXES, "raw"),
    FileKind("HEIC", _bytes(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)"), (".heic", ".heif", ".hif"), "heic"),
    FileKind("MP4 video", _bytes(rb"....ftyp"), (".mp4", ".mov", ".m4v"), "video"),
    FileKind("AVI video", _bytes(rb"RIFF....AVI "), (".avi",), "video"),
    FileKind("WebM video", _bytes(rb"\x1a\x45\xdf\xa3"), (".webm", ".mkv"), "video"),
    FileKind("JPEG XL", _bytes(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), (".jxl",), "jxl"),
    FileKind("PDF", _bytes(rb".{0,1000}?%PDF-"), (".pdf",), "pdf"),
    FileKind("PSD", _bytes(rb"8BPS"), (".psd", ".psb")),
    FileKind("EPS", _bytes(rb"%!PS|\xc5\xd0\xd3\xc6"), (".eps",)),
    FileKind("ICO", _bytes(rb"\x00\x00[\x01\x02]\x00(?!\x00\x00)"), (".ico",)),
    FileKind("PNG as only Apple's programs read it (CgBI)", _bytes(rb"\x89PNG\r\n\x1a\n....CgBI")),
    FileKind("HTML", _bytes(MARKUP + rb"<(!doctype )?html\b", _MARKUP_FLAGS), hint="html"),
    FileKind("SVG", _bytes(MARKUP + rb"<(!doctype )?svg\b", _MARKUP_FLAGS), (".svg", ".svgz"), "svg"),
    FileKind("XML or HTML", _bytes(MARKUP + rb"<[a-z!?]", _MARKUP_FLAGS)),
    FileKind("a zip file", _bytes(rb"PK\x03\x04")),
    FileKind("a gzip file", _bytes(rb"\x1f\x8b")),
)
"""In the order in which they are tried."""

KIND_OF_SUFFIX = {suffix: kind for kind in UNSUPPORTED for suffix in kind.suffixes}

POINTERS = {
    "lfs": _bytes(rb"version https://(git-lfs\.github\.com|hawser\.github\.com)/spec/v\d"),
    "annex": _bytes(rb"(\.\./)*(\.git)?/?annex/objects/"),
}
"""Small files that stand for others: per hint of the message `git_pointer`, how they start."""

MAX_POINTER_BYTES = 1024
"""Git LFS writes three lines, and git-annex one."""


def unsupported_content(start: bytes, name: str) -> ImageError | None:
    """Why a file that starts with these bytes cannot be decoded; None for a file of no kind known here."""
    if hint := pointer_hint(start):
        return ImageError("git_pointer", hint, path=name)
    kind = next((kind for kind in UNSUPPORTED if kind.start and kind.start.match(start)), None)
    return ImageError("image_format", kind.hint, name=name, kind=kind.name) if kind else None


def pointer_hint(start: bytes) -> str | None:
    """Which of POINTERS a file starts like, or the target of a link; None for none."""
    return next((hint for hint, pattern in POINTERS.items() if pattern.match(start)), None)


def link_error(path: Path, name: str) -> ImageError | None:
    """Why the file at `path` is not there, if it is a link to something missing; None for no such link."""
    if not os.path.islink(path) or os.path.exists(path):
        return None
    target = os.readlink(path)
    if hint := pointer_hint(target.encode("utf-8", "surrogateescape")):
        return ImageError("git_pointer", hint, path=name)
    return ImageError("link_broken", path=name, target=target)


def kind_of_name(name: str) -> FileKind | None:
    """The kind of files that is not supported, by the name's suffix."""
    return KIND_OF_SUFFIX.get(os.path.splitext(name)[1].lower())


def unsupported_files(names: Iterable[str]) -> list[Message]:
    """One message per kind with the names of its files; names of other files are passed over."""
    by_kind: dict[FileKind, list[str]] = {}
    for name in names:
        if kind := kind_of_name(name):
            by_kind.setdefault(kind, []).append(name)
    return [
        Message("photos_unsupported", kind.hint, kind=kind.name, **examples(found)) for kind, found in by_kind.items()
    ]
