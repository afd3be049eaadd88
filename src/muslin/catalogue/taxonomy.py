"""The shop's own tree of tags: the name of each, and its parent."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from muslin.data.tables import open_table
from muslin.errors import DataError, unknown
from muslin.messages import Message
from muslin.text import MAX_NAME_CHARACTERS, is_safe_name

NAME_COLUMNS = ("name in the shop's words", "name")


@dataclass(frozen=True)
class Taxonomy:
    """Names and parents of tags in one language.

    Attributes:
        names: per tag the shop's name.
        parents: per tag its parent; tags at the top have none.
        language: of `names`; empty where the file has no languages.
        notes: what was chosen, one sentence each.
        ids: per tag what the shop's system calls it, where the taxonomy says so.
    """

    names: Mapping[str, str]
    parents: Mapping[str, str]
    language: str = ""
    notes: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def extra_cells(self) -> int:
        """New cells of a target beside the four that it has without a taxonomy."""
        return bool(self.parents) + bool(self.ids)

    def name(self, tag: str) -> str:
        """The shop's name of `tag`, or `tag` itself."""
        return self.names.get(tag) or tag

    def ancestors(self, tag: str) -> Iterator[str]:
        """The tags above `tag`, the nearest first."""
        while tag in self.parents:
            tag = self.parents[tag]
            yield tag

    def path_above(self, tag: str) -> str:
        """The names above `tag` from the top, such as `Clothes > Tops`."""
        return " > ".join(reversed([self.name(parent) for parent in self.ancestors(tag)]))


class _TaxonomyRow(NamedTuple):
    number: int  # as of a TableRow
    tag: str
    parent: str
    name: str
    language: str
    id: str


def read_taxonomy(path: Path, classes: Collection[str], language: str | None = None) -> Taxonomy:
    """A table of any kind with the columns `tag`, `parent`, `name` (or `name in the shop's words`), `language`, `id`.

    A tag can have several rows, one for each language. Only the column `tag` is required.

    Args:
        classes: of the model. Each tag must be one of them, or the parent of another tag.
        language: of the names; by default the first in the file.

    Raises:
        DataError: the file cannot be read, or a row is wrong.
    """
    rows = list(_read_taxonomy_rows(path))
    languages = list(dict.fromkeys(row.language for row in rows if row.language))
    chosen = language or next(iter(languages), "")
    if chosen and chosen not in languages:
        raise DataError("taxonomy_language_unknown", path=str(path), **unknown(chosen, languages))
    known = set(classes) | {row.parent for row in rows if row.parent}
    names: dict[str, str] = {}
    parents: dict[str, str] = {}
    row_of_name: dict[tuple[str, str], int] = {}
    row_of_parent: dict[str, int] = {}
    ids: dict[str, str] = {}
    for row in rows:
        place = {"path": str(path), "row": row.number}
        if unsafe := next((text for text in row[1:] if not is_safe_name(text)), None):
            raise DataError("name_unsafe", path=str(path), name=ascii(unsafe)[:60], maximum=MAX_NAME_CHARACTERS)
        if not row.tag:
            raise DataError("taxonomy_tag_missing", **place)
        if row.tag not in known:
            raise DataError("taxonomy_tag_unknown", **place, **unknown(row.tag, classes))
        first_row = row_of_name.setdefault((row.tag, row.language), row.number)
        if first_row != row.number:
            raise DataError("taxonomy_tag_twice", **place, name=row.tag, first_row=first_row)
        if row.parent:
            first_row = row_of_parent.setdefault(row.tag, row.number)
            first_parent = parents.setdefault(row.tag, row.parent)
            if first_parent != row.parent:
                raise DataError(
                    "taxonomy_two_parents", **place, name=row.tag, parent=row.parent,
                    first_parent=first_parent, first_row=first_row,
                )  # fmt: skip
        if row.id and ids.setdefault(row.tag, row.id) != row.id:
            raise DataError("taxonomy_two_ids", **place, name=row.tag, id=row.id, first_id=ids[row.tag])
        if row.name and row.language in (chosen, ""):
            names[row.tag] = row.name if row.language == chosen else names.get(row.tag, row.name)
    _check_no_cycle(path, parents, row_of_parent)
    notes = []
    if len(languages) > 1 and language is None:
        notes.append(Message("taxonomy_language_chosen", language=chosen, choices=languages))
    if missing := [name for name in classes if name not in {row.tag for row in rows}]:
        notes.append(Message("classes_not_in_taxonomy", names=missing))
    return Taxonomy(names, parents, chosen, tuple(notes), ids)


def _check_no_cycle(path: Path, parents: Mapping[str, str], row_of_parent: Mapping[str, int]) -> None:
    for tag in parents:
        chain = [tag]
        while chain[-1] in parents:
            parent = parents[chain[-1]]
            if parent in chain:
                chain.append(parent)
                raise DataError("taxonomy_cycle", path=str(path), row=row_of_parent[tag], chain=chain)
            chain.append(parent)


def _read_taxonomy_rows(path: Path) -> Iterator[_TaxonomyRow]:
    table = open_table(path)
    column_of = {name.lower(): name for name in reversed(table.columns)}
    if "tag" not in column_of:
        raise DataError("taxonomy_without_tags", path=str(path))
    name_column = next((name for name in NAME_COLUMNS if name in column_of), "name")
    names = [name for name in ("tag", "parent", name_column, "language", "id") if name in column_of]
    for row in table.rows([column_of[name] for name in names]):
        cells = dict(zip(names, map(str, row.cells), strict=True))
        if any(row.cells):
            values = (cells.get(name, "") for name in ("tag", "parent", name_column, "language", "id"))
            yield _TaxonomyRow(row.number, *values)
