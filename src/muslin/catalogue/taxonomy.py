"""The shop's own tree of tags: what each is called, and which stands below which."""

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from muslin.data.formats.pixels_csv import DELIMITERS
from muslin.errors import DataError, nearest

NAME_COLUMNS = ("name in the shop's words", "name")
MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Taxonomy:
    """Names and parents of tags in one language.

    Attributes:
        names: per tag what the shop calls it; a tag without a name is called as it is.
        parents: per tag the one it stands below; absent for those on top.
        language: whose words `names` are; empty where the file says none.
        notes: what was chosen, one sentence each.
    """

    names: Mapping[str, str]
    parents: Mapping[str, str]
    language: str = ""
    notes: tuple[str, ...] = ()

    def name(self, tag: str) -> str:
        """What the shop calls `tag`."""
        return self.names.get(tag) or tag

    def above(self, tag: str) -> Iterator[str]:
        """The tags above `tag`, the nearest first."""
        while tag in self.parents:
            tag = self.parents[tag]
            yield tag


def read_taxonomy(path: Path, classes: Collection[str], language: str | None = None) -> Taxonomy:
    """A table with the columns `tag`, `parent`, `name` (or `name in the shop's words`) and `language`.

    A tag may stand in several rows, one a language. Only the column `tag` must be there.

    Args:
        classes: of the model. Every tag is one of them, or the parent of another tag.
        language: whose names to use; by default that of the first row which has one.

    Raises:
        DataError: the file cannot be read, or a line is wrong; the message names it.
    """
    rows = list(_rows(path))
    known = set(classes) | {parent for _, _, parent, _, _ in rows if parent}
    languages = list(dict.fromkeys(said for *_, said in rows if said))
    chosen = language or next(iter(languages), "")
    if chosen and chosen not in languages:
        raise DataError(f"{path}: no name is in the language {chosen!r}. {nearest(chosen, languages)}")
    names: dict[str, str] = {}
    parents: dict[str, str] = {}
    told: dict[tuple[str, str], int] = {}
    placed: dict[str, int] = {}
    for line, tag, parent, name, said in rows:
        where = f"{path}: line {line:,}"
        if not tag:
            raise DataError(f"{where} has no tag. Give one, or take out the line.")
        if tag not in known:
            raise DataError(
                f"{where}: {tag!r} is neither a class of the model nor the parent of a tag. {nearest(tag, classes)}"
            )
        if (tag, said) in told:
            raise DataError(f"{where}: {tag!r} is there twice, first in line {told[tag, said]:,}. Keep one.")
        told[tag, said] = line
        if parent and parents.setdefault(tag, parent) != parent:
            raise DataError(
                f"{where}: {tag!r} stands below {parent!r} here and below {parents[tag]!r} in line {placed[tag]:,}. "
                "Choose one."
            )
        if parent:
            placed.setdefault(tag, line)
        if name and said in (chosen, ""):
            names[tag] = name if said == chosen else names.get(tag, name)
    for tag in parents:
        seen, below = [tag], tag
        while below in parents:
            below = parents[below]
            if below in seen:
                raise DataError(
                    f"{path}: line {placed[tag]:,}: {tag!r} stands below itself ({' < '.join([*seen, below])}). "
                    "Break the circle."
                )
            seen.append(below)
    notes = []
    if len(languages) > 1 and language is None:
        notes.append(f"names in {chosen}, the first of {', '.join(languages)}; --language chooses another")
    if unnamed := [name for name in classes if name not in {tag for _, tag, *_ in rows}]:
        notes.append(f"classes that the taxonomy does not have, called as they are: {', '.join(unnamed)}")
    return Taxonomy(names, parents, chosen, tuple(notes))


def _rows(path: Path) -> Iterator[tuple[int, str, str, str, str]]:
    """Line, tag, parent, name and language of every row."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    if len(content) > MOST_BYTES:
        raise DataError(f"{path}: is larger than a taxonomy ever is. Check the path.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    first = text.splitlines()[0] if text.strip() else ""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count))
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        name = next((column for column in NAME_COLUMNS if column in header), "")
        if "tag" not in header:
            raise DataError(
                f"{path}: line 1 has no column `tag`. It names the columns tag, parent, name and language."
            )
        for row in reader:
            if any(map(str.strip, row)):
                cells = dict(zip(header, map(str.strip, row), strict=False))
                yield (
                    reader.line_num,
                    *(cells.get(column, "") for column in ("tag", "parent", name, "language")),
                )  # type: ignore[misc]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num:,} cannot be read ({error}). Mend it.") from error
