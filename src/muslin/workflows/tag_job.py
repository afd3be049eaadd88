"""The plan of a tagging: everything that is checked before the first photo is decoded."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from muslin.catalogue.product_rows import ProductRows, find_products
from muslin.catalogue.taxonomy import Taxonomy, read_taxonomy
from muslin.data import read
from muslin.data.archives import archive_kind
from muslin.data.dataset import Target
from muslin.data.formats import detect_format
from muslin.data.open_cache import open_cache
from muslin.data.photos import Photo
from muslin.data.product_notes import note_of_many_photos
from muslin.data.registry import DATASETS
from muslin.data.tables import AddedColumn, TableFile, detect_kind, open_table
from muslin.data.tables.columns import column_names, wants_no_column
from muslin.data.tables.dataset_table import DatasetTable
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.new_table import DELIMITERS
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.photo_column import TablePhotos, check_images_used, table_photos
from muslin.data.tables.workbook import Workbook, is_workbook
from muslin.errors import DataError
from muslin.evaluation.precision_choice import Acceptance
from muslin.evaluation.selective import AcceptancePolicy, check_guarantee
from muslin.messages import Log, Message
from muslin.models.prediction_digest import prediction_digest
from muslin.models.predictor import Predictor
from muslin.storage.boundary import data_boundary
from muslin.storage.local_path import check_local
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output
from muslin.workflows.model_input import open_with_cache
from muslin.workflows.tag_own_values import OwnValues, read_own_values
from muslin.workflows.tag_update import COLUMN as FINGERPRINT_COLUMN
from muslin.workflows.tag_update import PreviousTags, read_previous

PREVIOUS = "previous output"
"""Among a job's inputs the digest of the output that it updates."""

ID_NAMES = ("sku", "product_id", "productid", "article_number", "item_id", "ean", "gtin", "product", "id")
"""Columns, in lower case, whose cells should be unique to a product."""

TABLE_OPTIONS = frozenset({"images", "image_column", "product", "format", "allow_outside"})
"""Options of reading that are used to tag a table row by row."""

OF_CLASSES = frozenset({"min_per_class", "rare_classes"})
"""Options of reading that change labels only, which tagging does not read."""

MAX_REPEATED_IDS = 3
"""Repeated ids that are named; the others are counted."""


@dataclass(frozen=True)
class TagOptions:
    """How to tag a catalogue.

    Attributes:
        taxonomy: a table of the shop's names of the tags; see `muslin.catalogue.taxonomy.read_taxonomy`.
        language: language of the taxonomy's names.
        precision: target for the accepted tags, from 0.5 to below 1; by default one that the model can guarantee, see
            `muslin.evaluation.precision_choice.choose_precision`.
        guarantee: `overall` or `per-class`; see `muslin.evaluation.selective.AcceptancePolicy`.
        resume: continue an interrupted job, if there is one.
        own_columns: columns with the shop's own values: `COLUMN`, or `TARGET=COLUMN` for a model with several targets.
            A new column says which of them a prediction contradicts.
        only_empty: predict only what has no value in `own_columns`, or in the columns with the targets' names.
        update: replace the output, and copy from it the tags of products of which nothing has changed.
        read_options: how to read the data, as `muslin.read` takes it.
        graph: of a model that is opened here, as of `muslin.models.predictor.Predictor.open`.
    """

    taxonomy: str | Path | None = None
    language: str | None = None
    precision: float | None = None
    guarantee: str = "overall"
    resume: bool = False
    own_columns: Sequence[str] = ()
    only_empty: bool = False
    update: bool = False
    read_options: Mapping[str, Any] = field(default_factory=dict)
    graph: str | None = None


@dataclass(frozen=True)
class TagJob:
    """Everything a tagging needs, checked before the work begins.

    Attributes:
        products: number of products; `rows` has the rows of each.
        has_several: whether some product has several photos, so that products are predicted and not photos.
        own: the shop's own values, where they matter.
        previous: the previous output, where it is updated.
    """

    output: Output
    options: TagOptions
    predictor: Predictor
    precision: float
    acceptance: Acceptance
    policies: Mapping[str, AcceptancePolicy]
    table: TableFile
    rows: ProductRows
    products: int
    has_several: bool
    taxonomy: Taxonomy
    columns: tuple[AddedColumn, ...]
    notes: tuple[str, ...]
    own: OwnValues | None = None
    previous: PreviousTags | None = None

    @property
    def cells_per_target(self) -> int:
        """New columns of each target: they come first."""
        return 5 if self.taxonomy.parents else 4

    @property
    def error_index(self) -> int:
        """The column of errors, behind those of all targets and the one of reasons."""
        return self.cells_per_target * len(self.predictor.targets) + self.has_several

    @property
    def out(self) -> Path:
        return self.output.path

    @property
    def inputs(self) -> dict[str, Any]:
        """What the rows depend on, as JSON values: a resumed job must have the same."""
        given = self.options.read_options
        return {
            "catalogue": self.table.digest,
            "photos": [str(given.get("images", "")), *self.rows.photos.photo_columns, bool(given.get("allow_outside"))],
            **self.common_inputs,
            **({PREVIOUS: self.previous.digest} if self.previous else {}),
        }

    @property
    def common_inputs(self) -> dict[str, Any]:
        """What the rows of all products depend on besides their own cells and photos."""
        thresholds = [policy.accept_thresholds.astype(str).tolist() for policy in self.policies.values()]
        own = {"own values": [sorted(self.own.columns.items()), self.options.only_empty]} if self.own else {}
        return {
            "model": prediction_digest(self.predictor.bundle),
            "precision": [self.precision, self.options.guarantee, *thresholds],
            "products": [*self.rows.columns, self.rows.all_of_row],
            "taxonomy": [sorted(self.taxonomy.names.items()), sorted(self.taxonomy.parents.items())],
            "columns": [column.name for column in self.columns],
            **own,
        }


def plan(model: "str | Path | Predictor", data: str | Path, output: Output, options: TagOptions, log: Log) -> TagJob:
    check_local(data, options.read_options.get("images"), options.taxonomy)
    output = replace(output, overwrite=output.overwrite or options.update)
    # a resumed job can have been killed after its last step: then the output is there, and `_write` compares it
    check_output(replace(output, overwrite=output.overwrite or options.resume), (model,), (data, options.taxonomy))
    predictor = open_with_cache(model, options.graph)
    check_guarantee(options.guarantee)
    read_options = options.read_options
    with open_cache(), data_boundary(Path(data), allow_outside=bool(read_options.get("allow_outside"))):
        table, photos = _open_data(data, output.path, read_options, log)
    rows, notes = find_products(table, photos, read_options.get("product"))
    products, has_several, of_photos = _survey(rows)
    notes += [*of_photos, *_notes_of_ids(rows)]
    if isinstance(photos, TablePhotos):
        notes = [*_chosen_columns(photos), *photos.notes, *photos.fixes, *notes]
    taxonomy = _taxonomy(options, predictor)
    own = read_own_values(rows, predictor.targets, options.own_columns, taxonomy, only_empty=options.only_empty)
    columns, renamed = _new_columns(table, predictor.targets, taxonomy, has_several, _more_columns(options, own))
    _check_encodable(table, predictor.targets, taxonomy)
    all_notes: list[str] = [
        *([predictor.graph_note] if predictor.graph_note else []),
        *table.fixes,
        *notes,
        *taxonomy.notes,
        *(own.notes if own else ()),
        *renamed,
    ]
    if isinstance(table, Workbook) and not table.has_header:
        all_notes.append(Message("new_columns_unnamed", names=[column.name for column in columns]))
    chosen = predictor.rules.choose(options.precision, options.guarantee, per_product=has_several)
    _check_photos(output, rows)
    job = TagJob(
        output,
        options,
        predictor,
        chosen.precision,
        chosen.acceptance,
        chosen.policies,
        table,
        rows,
        products,
        has_several,
        taxonomy,
        columns,
        (*all_notes, *chosen.notes),
        own,
    )
    return replace(job, previous=read_previous(job.out, rows, columns, job.common_inputs)) if options.update else job


def _chosen_columns(photos: TablePhotos) -> list[Message]:
    """A note on the columns of the photos, unless another one says so."""
    first, *others = photos.photo_columns
    if any(note.code == "photo_columns_joined" for note in photos.notes):
        return []
    return [Message("photo_columns_chosen", **({"columns": [first, *others]} if others else {"column": first}))]


def _taxonomy(options: TagOptions, predictor: Predictor) -> Taxonomy:
    if options.taxonomy is None:
        if options.language:
            raise DataError("option_needs", option="--language", needed="--taxonomy")
        return Taxonomy({}, {})
    classes = list(dict.fromkeys(name for target in predictor.targets for name in target.classes))
    return read_taxonomy(Path(options.taxonomy), classes, options.language)


def _check_photos(output: Output, rows: ProductRows) -> None:
    """Refuse an output that is one of the photos."""
    if os.path.lexists(output.path):  # no photo is a new file
        found = (photo for product in rows for _, photo, _ in rows.find(product))
        inputs = {photo.path for photo in found if isinstance(photo, Photo)}
        replace(output, overwrite=True).check(inputs)


def _open_data(
    data: str | Path, out: Path, options: Mapping[str, Any], log: Log
) -> tuple[TableFile, TablePhotos | DatasetTable]:
    """The data as a table, and what finds the image of a row."""
    path = Path(data)
    if data in DATASETS or not _is_table(path, out, options):
        if unused := sorted(options.keys() & OF_CLASSES):
            raise DataError("tag_options_unused", path=str(path), options=unused)
        rows = DatasetTable(read(data, **options, all_targets="target" not in options, log=log), path, out)
        return rows, rows
    table = open_table(path, out)
    if unused := sorted(options.keys() - TABLE_OPTIONS):
        raise DataError("tag_options_unused", path=str(path), options=unused)
    if not next(table.rows(()), None):
        raise DataError("no_rows", path=str(path))
    several = not wants_no_column(options.get("product"))
    names = column_names(options.get("image_column"), "--image-column")
    photos = table_photos(table, options.get("images"), names, several=several)
    check_images_used(photos, options.get("images"))
    return table, photos


def _is_table(path: Path, out: Path, options: Mapping[str, Any]) -> bool:
    """Whether the data are a file of rows that can be copied with more columns; unknown files are tried as such.

    Parquet with the photos in it is copied to Parquet only.
    """
    if not path.is_file() or (archive_kind(path) and not is_workbook(path)):
        return False
    format = options.get("format") or getattr(detect_format(path), "name", "table")
    holds_photos = format == "table" and detect_kind(path) is Parquet and Parquet(path).photo_columns
    return bool(format == "table" and not (holds_photos and out.suffix.lower() in DELIMITERS))


def _survey(rows: ProductRows) -> tuple[int, bool, list[Message]]:
    """The number of products, whether one of them has several photos, and a note on those of very many.

    All photos are looked up, so that `rows.photos.fixes` says which are not found.

    Raises:
        DataError: there is no product.
    """
    products, most = 0, 0

    def count_photos() -> Iterator[tuple[str, int]]:
        nonlocal products, most
        for product in rows:
            count = len(rows.find(product) if isinstance(rows.photos, TablePhotos) else product.rows)
            products, most = products + 1, max(most, count)
            yield product.name, count

    notes = note_of_many_photos(count_photos())
    if not products:
        raise DataError("no_rows", path=str(rows.table.path))
    # of other data, reading says so
    return products, most > 1, notes if isinstance(rows.photos, TablePhotos) else []


def _notes_of_ids(rows: ProductRows) -> list[Message]:
    """A note on ids in more than one row, where they are not those of products."""
    table = rows.table
    name = next((c for id_name in ID_NAMES for c in table.columns if c.lower() == id_name), None)
    if name is None or name in rows.columns:
        return []
    hashes = np.fromiter((hash(cell) for _, (cell,) in table.rows([name]) if cell), dtype=np.int64)
    distinct, counts = np.unique(hashes, return_counts=True)
    repeated = set(distinct[counts > 1].tolist())
    rows_of: dict[str, list[int]] = {}
    for number, (cell,) in table.rows([name]) if repeated else ():
        if hash(cell) in repeated and (cell in rows_of or len(rows_of) < MAX_REPEATED_IDS):
            rows_of.setdefault(str(cell), []).append(number)
    examples = [f"{cell} ({numbers[0]:,}, {numbers[1]:,})" for cell, numbers in rows_of.items()]
    return [Message("ids_repeated", column=name, count=len(repeated), examples=examples)] if repeated else []


def _more_columns(options: TagOptions, own: OwnValues | None) -> list[tuple[str, AddedColumn]]:
    """Per target, or for all of them, the columns behind that of errors."""
    compared = () if own is None or options.only_empty else own.columns
    contradicted = [(target, AddedColumn("contradicts", "list")) for target in compared]
    return contradicted + ([("", AddedColumn(FINGERPRINT_COLUMN))] if options.update else [])


def _new_columns(
    table: TableFile,
    targets: Sequence[Target],
    taxonomy: Taxonomy,
    has_several: bool,
    more: Sequence[tuple[str, AddedColumn]] = (),
) -> tuple[tuple[AddedColumn, ...], list[str]]:
    """The columns to add, and a note for each whose name was taken."""
    names: list[AddedColumn] = []
    for target in targets:
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        columns = [AddedColumn("tag"), AddedColumn("parent"), AddedColumn("probability", "number")]
        if target.kind == "multilabel":
            columns = [replace(column, kind="numbers" if column.kind == "number" else "list") for column in columns]
        columns += [AddedColumn("decision"), AddedColumn("prediction_set", "list")]
        names += [
            replace(column, name=prefix + column.name)
            for column in columns
            if taxonomy.parents or column.name != "parent"
        ]
    names += [AddedColumn("reason")] if has_several else []
    names.append(AddedColumn("error"))
    for target_name, column in more:
        prefix = f"{target_name}_" if target_name and len(targets) > 1 else ""
        names.append(replace(column, name=prefix + column.name))
    taken = {name.strip().casefold() for name in table.columns}
    added, notes = [], []
    for column in names:
        name, number = column.name, 1
        while name.casefold() in taken:
            name, number = f"muslin_{column.name}{f'_{number}' if number > 1 else ''}", number + 1
        if name != column.name:
            notes.append(Message("column_name_taken", column=column.name, new_name=name))
        taken.add(name.casefold())
        added.append(AddedColumn(name, column.kind))
    return tuple(added), list(notes)


def _check_encodable(table: TableFile, targets: Sequence[Target], taxonomy: Taxonomy) -> None:
    if not isinstance(table, Delimited):
        return
    tags = [name for target in targets for name in target.classes]
    for name in (taxonomy.name(name) for tag in tags for name in (tag, *taxonomy.ancestors(tag))):
        try:
            name.encode(table.encoding)
        except UnicodeEncodeError as error:
            encoding = table.encoding
            raise DataError("tag_not_encodable", path=str(table.path), encoding=encoding, name=name) from error
