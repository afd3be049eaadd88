"""Tables that name photos: one file, or tables in a folder, zip or tar with the photos."""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.formats import folders
from muslin.data.formats.dataset_from_tables import read_tables
from muslin.data.formats.read_options import ReadOptions
from muslin.data.formats.table_sources import (
    TABLE_SUFFIXES,
    TEXT_SUFFIXES,
    Contents,
    TableGroup,
    TableSource,
    is_container,
)
from muslin.data.gzip_files import read_head
from muslin.data.photos import Photo, PhotoImages
from muslin.data.tables import TableFile, detect_kind, open_table, peek_text
from muslin.data.tables.columns import NO_COLUMN
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.header import names_photo
from muslin.data.tables.json_document import JsonDocument
from muslin.data.tables.json_lines import JsonLines
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.photo_column import PHOTO_COLUMNS, table_photos
from muslin.data.tables.workbook import Workbook
from muslin.errors import DataError
from muslin.messages import MAX_EXAMPLES, Log, Message, examples, no_log

KINDS: dict[type[TableFile], str] = {
    Workbook: "an XLSX workbook with photos",
    Parquet: "a Parquet table with photos",
    JsonLines: "a JSON Lines table with photos",
    JsonDocument: "a JSON document with photos",
}
"""Per kind of table, why it is read as one; a text file needs a column or a cell that looks like a photo's."""

CONFLICTS = frozenset({"tables_ambiguous", "table_and_folders_differ"})
"""Errors of `read` where tables name photos, but other tables or the folders name them too."""

DAMAGE = frozenset({"csv_quote_open", "csv_line", "text_encoding", "json_file", "json_line", "json_entry",
                    "parquet_damaged", "workbook_damaged", "gzip_damaged", "gzip_cut_off", "not_a_table",
                    "git_pointer"})  # fmt: skip
"""Errors of a table that cannot be read, although it can name the photos beside it."""

METADATA_NAMES = ("metadata.", "_classes.")
"""Beginnings of names of tables that always describe the photos beside them: Hugging Face's and Roboflow's."""

MAX_LISTS = 10
"""Text files that are tried as tables, the nearest to the top first."""

NO_CLASS = re.compile("[0-9a-f]+", re.IGNORECASE)
"""Folders among which photos are distributed by number, so that none has too many."""


def detect(path: Path) -> str | None:
    """Why `path` is a table of photos, or None: a table that names photos, or a folder or archive with such.

    FORMATS asks `pixels` before, so a table is none of pixels.
    """
    is_table = path.is_file() and path.name.lower().endswith(TABLE_SUFFIXES) and bool(read_head(path, 512).strip())
    by_name = "a table by its name" if is_table else None  # reading it says what is wrong
    try:
        if is_container(path):
            return _detect_among_photos(Contents(path))
        kind = detect_kind(path)
        if kind is not Delimited:
            return KINDS[kind]
    except DataError:
        return by_name
    if (table := peek_text(path)) is None:
        return by_name
    is_table |= not {name.lower() for name in table.columns}.isdisjoint(PHOTO_COLUMNS)
    is_table |= any(map(names_photo, chain.from_iterable(table.sample)))
    return "a table with photos" if len(list(filter(None, table.columns))) > 1 and is_table else None


def _detect_among_photos(contents: Contents) -> str | None:
    try:
        groups = _naming_photos(contents, ReadOptions())
    except DataError:
        return "a table beside photos"  # reading it says what is wrong
    try:
        if groups and (by_folder := _class_folders(contents)):
            chosen, _ = choose_tables(contents, ReadOptions())
            if _folders_have_labels(by_folder, contents, chosen, ReadOptions()):
                return None
    except DataError as error:
        if error.code not in CONFLICTS:
            raise
    return "tables with photos" if groups else None


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The data set of a table, or of the tables that name photos in a folder or archive; see `read_tables`.

    Raises:
        DataError: as of `read_tables`; or no table names photos, several do, or one differs from the classes' folders.
    """
    if not is_container(path):
        return read_tables([TableSource(path)], options, log)
    contents = Contents(path)
    with contents.renaming_errors():
        chosen, fixes = choose_tables(contents, options)
        is_chosen = options.targets or options.image_columns or options.split_column or options.format_chosen
        if not is_chosen and (by_folder := _class_folders(contents)):
            _folders_have_labels(by_folder, contents, chosen, options)  # which refuses other ones
        dataset = read_tables(contents.sources(chosen.names, options.images), options, log)
    if unnamed := [] if options.images else contents.photos_except(set(_places(dataset))):
        fixes.append(Message("photos_in_no_row", **examples(unnamed)))
    fixes += [Message(code, **examples(names)) for code, names in contents.left_out.items() if names]
    more = len(chosen.names) - MAX_EXAMPLES
    tables = ", ".join(chosen.names[:MAX_EXAMPLES]) + (f" and {more:,} more" if more > 0 else "")
    origin = f"{'tables' if chosen.names[1:] else 'table'}: {tables}; {dataset.origin}"
    name = path.resolve().name.partition(".")[0]
    return contents.rename(replace(dataset, name=name, origin=origin, fixes=(*fixes, *dataset.fixes)))


def choose_tables(contents: Contents, options: ReadOptions) -> tuple[TableGroup, list[Message]]:
    """The only tables that name photos and have labels; and what is not read.

    Raises:
        DataError: no table names photos, or several with labels do.
    """
    usable = _naming_photos(contents, options)
    several = usable if len(usable) > 1 else []
    classes = {group: _class_count(_with_labels(contents, group, options)) for group in several}
    labelled = [group for group in several if classes[group] > 1] or [group for group in several if classes[group]]
    if len(labelled) > 1:
        choices = [str(contents.path / group.names[0]) for group in labelled]
        raise DataError("tables_ambiguous", path=str(contents.path), **examples(choices))
    if not usable:
        raise DataError("one_table_expected", path=str(contents.path), found=0)
    chosen = (labelled or usable)[0]
    unread = [name for group in contents.groups() if group.pattern != chosen.pattern for name in group.names]
    left_out = {"tables_not_read": unread, "shards_missing": chosen.missing}
    return chosen, [Message(code, **examples(names)) for code, names in left_out.items() if names]


def _naming_photos(contents: Contents, options: ReadOptions) -> list[TableGroup]:
    """The groups of which a table names photos and has the columns that the user named.

    Where there are no photos, it is the only one: reading it says where they were searched.

    Raises:
        DataError: there are photos, no table names them, and one is damaged.
    """
    groups = contents.groups()
    if len(groups) == 1 and not contents.has_photos:
        return groups
    damage: list[DataError] = []

    def names_photos(source: TableSource) -> bool:
        try:
            table = open_table(source.path)
            table_photos(table, source.places, options.image_columns)
        except DataError as error:
            damage.extend([error] if error.code in DAMAGE and contents.has_photos else [])
            return False
        return {*options.targets, *filter(None, [options.split_column])} <= set(table.columns)

    found = [g for g in groups if any(map(names_photos, contents.sources(g.names[:2], options.images)))]
    if damage and not found:
        raise damage[0]
    lists = contents.groups(TEXT_SUFFIXES)[:MAX_LISTS] if contents.has_photos and not found else []
    lists = [g for g in lists if any(map(names_photos, contents.sources(g.names[:2], options.images)))]
    return found or [g for g in lists if _class_count(_with_labels(contents, g, options)) > 1]


def _with_labels(contents: Contents, group: TableGroup, options: ReadOptions) -> Dataset | None:
    """The group with each column that could be the label; None where it cannot be read."""
    try:
        every = replace(options, all_targets=True, group=options.group or NO_COLUMN)  # no photo is compared yet
        return read_tables(contents.sources(group.names, options.images), every)
    except DataError:
        return None


def _class_count(dataset: Dataset | None) -> int:
    """The largest number of classes of a target."""
    return max((len(target.classes) for target in dataset.targets), default=0) if dataset else 0


def _class_folders(contents: Contents) -> Dataset | None:
    """The photos by the folders of their classes; None where there are no folders of at least two."""
    dataset = folders.read(contents.path, ReadOptions()) if contents.has_photos else None
    return dataset if dataset and dataset.targets and len(dataset.targets[0].classes) > 1 else None


def _folders_have_labels(by_folder: Dataset, contents: Contents, group: TableGroup, options: ReadOptions) -> bool:
    """Whether the group names the classes of the photos' folders, or has no labels.

    Raises:
        DataError: it has other labels. Folders called by numbers are no classes where no label is called so.
    """
    table = _with_labels(contents, group, options)
    if table is None or _class_count(table) < 2:
        return True
    if PurePosixPath(group.names[0]).name.startswith(METADATA_NAMES):
        return False
    classes = by_folder.targets[0].classes
    folder_of = dict(zip(_places(by_folder), by_folder.labels["label"].tolist(), strict=True))
    example: dict[str, str] = {}
    for target in (target for target in table.targets if target.kind == "multiclass"):
        samples = zip(_places(table), table.labels[target.name].tolist(), table.ids, strict=True)
        pairs = {
            (target.classes[label], classes[folder_of[place]]): sample
            for place, label, sample in samples
            if label != UNKNOWN and folder_of.get(place, UNKNOWN) != UNKNOWN
        }
        differing = {pair: sample for pair, sample in pairs.items() if pair[0] != pair[1]}
        if pairs and not differing:
            return True
        if differing and (not example or set(target.classes) & set(classes)):
            (label, folder), sample = next(iter(differing.items()))
            example = {"example": sample, "target": target.name, "label": label, "folder": folder}
    labels = {label for target in table.targets for label in target.classes}
    if all(map(NO_CLASS.fullmatch, classes)) and not labels & set(classes):
        return False
    choice = str(contents.path / group.names[0])
    raise DataError("table_and_folders_differ", path=str(contents.path), table=group.names[0], choice=choice, **example)


def _places(dataset: Dataset) -> Iterable[tuple[Path, int]]:
    """Per sample the file and the byte at which its photo begins."""
    assert isinstance(dataset.images, PhotoImages)
    return ((p.path, p.start) if isinstance(p, Photo) else (Path(p.name), -1) for p in dataset.images.photos)
