"""A shop's catalogue in, the same catalogue out with tags; of other data, a new table: the work of `muslin tag`.

Read from `tag` down. Predictions go block by block into a journal beside the output; at the end the catalogue is
copied with the new columns, and gets its name in one step. So an interrupted job loses nothing, and ends with the same
bytes as an uninterrupted one.
"""

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from muslin.catalogue.journal import Journal
from muslin.catalogue.tagging_result import PrecisionGuarantee, TaggingResult
from muslin.catalogue.taxonomy import Taxonomy, read_taxonomy
from muslin.data import read
from muslin.data.archives import archive_kind
from muslin.data.dataset import Target
from muslin.data.formats import detect_format
from muslin.data.open_cache import open_cache
from muslin.data.photo_lookup import cell_name
from muslin.data.photos import Photo
from muslin.data.registry import DATASETS
from muslin.data.tables import AddedColumn, Row, TableFile, detect_kind, open_table
from muslin.data.tables.dataset_table import DatasetTable
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.new_table import DELIMITERS
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.photo_column import TablePhotos, check_images_used, table_photos
from muslin.data.tables.workbook import Workbook, is_workbook
from muslin.errors import DataError, ImageError, StoppedError, StorageError
from muslin.evaluation.precision_choice import Acceptance, choose_precision, precision_notes
from muslin.evaluation.selective import DECISIONS, DEFAULT_PRECISION, AcceptancePolicy
from muslin.messages import Log, Message, examples, no_log
from muslin.models.predictor import CHUNK, Prediction, Predictor, TargetPrediction
from muslin.storage.atomic import remove_partial_files
from muslin.storage.boundary import data_boundary
from muslin.storage.local_path import check_local
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output

ID_NAMES = ("sku", "product_id", "productid", "article_number", "item_id", "ean", "gtin", "product", "id")
"""Columns, in lower case, whose cells should be unique to a product."""

JOURNAL_SUFFIX = ".partial"
"""After the output's name."""

TABLE_OPTIONS = frozenset({"images", "image_column", "format", "allow_outside"})
"""Options of reading that are used to tag a table row by row."""

OF_CLASSES = frozenset({"min_per_class", "rare_classes"})
"""Options of reading that change labels only, which tagging does not read."""

MAX_REPEATED_IDS = 3
"""Repeated ids that are named; the others are counted."""

MAX_PREDICTION_SET = 3
"""Classes in the prediction set of a model without calibration data, which cannot exclude any."""

_ACCEPT, _REVIEW, _OUT_OF_SCOPE = DECISIONS


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
        read_options: how to read the data, as `muslin.read` takes it.
    """

    taxonomy: str | Path | None = None
    language: str | None = None
    precision: float | None = None
    guarantee: str = "overall"
    resume: bool = False
    read_options: Mapping[str, Any] = field(default_factory=dict)


def tag(
    model: "str | Path | Predictor",
    data: str | Path,
    out: str | Path | Output,
    options: TagOptions = TagOptions(),
    *,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, products: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TaggingResult:
    """Write the table `data` to `out` with columns added for the labels of each photo.

    Args:
        data: CSV, TSV, XLSX, Parquet or JSON Lines with a photo in each row; or anything else that `muslin.read` reads,
            whose ids become the column `image` of a new table.
        out: a new file in the table's own format; of other data CSV, TSV or JSON Lines. As an Output it can replace a
            file, once the new one is complete.
        log: called with each note as soon as it is known.
        on_progress: called with the numbers of finished and of all products.
        should_stop: called now and then; the work stops cleanly once it returns True.

    Raises:
        DataError: the data or the taxonomy cannot be read, or an interrupted job exists and is not resumed.
        BundleError: the model cannot be opened.
        StorageError: the output exists or is an input, the disk is full, or the place cannot be written. Finished
            work is kept.
        StoppedError: `should_stop` returned True; `resume` continues.
    """
    job = _plan(model, data, Output.of(out), options, log)
    for note in job.notes:
        log(note)
    with Journal(job.out.with_name(job.out.name + JOURNAL_SUFFIX), job.inputs, resume=options.resume) as journal:
        _check_output_again(job, journal)
        resumed = journal.count
        for block in _predict_rows(job, journal.count):
            journal.add(block)
            on_progress(journal.count, job.products)
            if should_stop() and journal.count < job.products:
                raise StoppedError("tagging_stopped", path=str(job.out), done=journal.count, count=job.products)
        try:
            unreadable, decisions = _write(job, journal)
            unreadable_notes = _unreadable_notes(job, journal) if unreadable else ()
        except StorageError:
            log(Message("tags_kept", path=str(journal.path)))
            raise
        journal.remove()
    for note in unreadable_notes:
        log(note)
    return TaggingResult(
        job.out,
        job.products,
        unreadable,
        decisions,
        _guarantees(job.policies),
        tuple(column.name for column in job.columns),
        (*job.notes, *unreadable_notes),
        resumed,
        job.precision,
        job.acceptance,
    )


@dataclass(frozen=True)
class _Job:
    """Everything a tagging needs, checked before the work begins."""

    output: Output
    options: TagOptions
    predictor: Predictor
    precision: float
    acceptance: Acceptance
    policies: Mapping[str, AcceptancePolicy]
    table: TableFile
    photos: TablePhotos | DatasetTable
    products: int
    taxonomy: Taxonomy
    columns: tuple[AddedColumn, ...]
    notes: tuple[str, ...]

    @property
    def out(self) -> Path:
        return self.output.path

    @property
    def inputs(self) -> dict[str, Any]:
        """What the rows depend on, as JSON values: a resumed job must have the same."""
        given = self.options.read_options
        thresholds = [policy.accept_thresholds.astype(str).tolist() for policy in self.policies.values()]
        return {
            "catalogue": self.table.digest,
            "model": _model_digest(self.predictor),
            "precision": [self.precision, self.options.guarantee, *thresholds],
            "photos": [str(given.get("images", "")), self.photos.column, bool(given.get("allow_outside"))],
            "taxonomy": [sorted(self.taxonomy.names.items()), sorted(self.taxonomy.parents.items())],
            "columns": [column.name for column in self.columns],
        }


def _plan(model: "str | Path | Predictor", data: str | Path, output: Output, options: TagOptions, log: Log) -> _Job:
    check_local(data, options.read_options.get("images"), options.taxonomy)
    out = output.path
    # a resumed job can have been killed after its last step: then the output is there, and `_write` compares it
    check_output(replace(output, overwrite=output.overwrite or options.resume), (model,), (data, options.taxonomy))
    predictor = model if isinstance(model, Predictor) else Predictor.open(model)
    acceptance = predictor.acceptance(options.guarantee)
    chosen = choose_precision(acceptance) if options.precision is None else None
    precision = (chosen or DEFAULT_PRECISION) if options.precision is None else options.precision
    policies = predictor.policies(precision, options.guarantee)
    with open_cache(), data_boundary(Path(data), allow_outside=bool(options.read_options.get("allow_outside"))):
        table, photos = _open_data(data, out, options.read_options, log)
    products, notes = _survey(table, photos)
    taxonomy = Taxonomy({}, {})
    if options.language and options.taxonomy is None:
        raise DataError("option_needs", option="--language", needed="--taxonomy")
    if options.taxonomy is not None:
        classes = list(dict.fromkeys(name for target in predictor.targets for name in target.classes))
        taxonomy = read_taxonomy(Path(options.taxonomy), classes, options.language)
    columns, renamed = _new_columns(table, predictor.targets, taxonomy)
    _check_encodable(table, predictor.targets, taxonomy)
    if table is not photos:
        notes.insert(0, Message("photo_column_chosen", column=photos.column))
    notes = [*table.fixes, *notes, *taxonomy.notes, *renamed]
    if isinstance(table, Workbook) and not table.has_header:
        notes.append(Message("new_columns_unnamed", names=[column.name for column in columns]))
    notes += precision_notes(acceptance, chosen) if chosen else []
    notes += [note for policy in policies.values() for note in policy.unsupported]
    _check_photos(output, table, photos)
    return _Job(
        output,
        options,
        predictor,
        precision,
        acceptance,
        policies,
        table,
        photos,
        products,
        taxonomy,
        columns,
        tuple(notes),
    )


def _check_output_again(job: _Job, journal: Journal) -> None:
    """Refuse an output that another job has written since the plan was made; its journal was removed then."""
    if not job.options.resume:
        try:
            job.output.check()
        except StorageError:
            journal.remove()
            raise


def _predict_rows(job: _Job, done: int) -> Iterator[list[Row]]:
    """The new cells of the products after the first `done`, block by block."""
    remaining = islice(job.table.rows([job.photos.column]), done, None)
    predictions = job.predictor.predict_named(
        ((cell_name(row.cells[0]), job.photos.find(row.number, row.cells[0])) for row in remaining),
        precision=job.precision,
        guarantee=job.options.guarantee,
    )
    while block := list(islice(predictions, CHUNK)):
        yield [_product_row(prediction, job.predictor.targets, job.taxonomy) for prediction in block]


def _write(job: _Job, journal: Journal) -> tuple[int, dict[str, dict[str, int]]]:
    """Write the catalogue with the journal's cells, whole or not at all; the counts of unreadable photos and, per
    target, of the decisions."""
    decisions: dict[str, Counter[str]] = {target.name: Counter() for target in job.predictor.targets}
    unreadable, width = 0, (len(job.columns) - 1) // len(decisions)

    def count(rows: Iterable[Row]) -> Iterator[Row]:
        nonlocal unreadable
        for row in rows:
            unreadable += bool(row[-1])
            for i, counts in enumerate(decisions.values(), 1):
                counts[str(row[width * i - 2])] += not row[-1]
            yield row

    remove_partial_files(job.out.parent)
    with job.output.open(unless_same=job.options.resume) as file:
        job.table.write_with_columns(file, job.columns, count(journal.rows()))
    return unreadable, {
        name: {decision: n for decision, n in counts.items() if n} for name, counts in decisions.items()
    }


def _guarantees(policies: Mapping[str, AcceptancePolicy]) -> dict[str, PrecisionGuarantee]:
    guarantees = {}
    for name, policy in policies.items():
        if (precision := policy.expected_precision) is not None:
            counts = policy.accepted, policy.correct, precision, policy.precision_interval
            guarantees[name] = PrecisionGuarantee(*counts, policy.precision_target, policy.guarantee)
    return guarantees


def _unreadable_notes(job: _Job, journal: Journal) -> tuple[Message, ...]:
    """A note that names photos that could not be read. Those that were not found are among `job.notes`."""
    rows = zip(job.table.rows([job.photos.column]), journal.rows(), strict=False)
    failed = ((row.number, row.cells[0]) for row, cells in rows if cells[-1])
    names = [cell_name(cell) for number, cell in failed if not isinstance(job.photos.find(number, cell), ImageError)]
    return (Message("photos_not_tagged", **examples(names), column=job.columns[-1].name),) if names else ()


# --- before the work


def _check_photos(output: Output, table: TableFile, photos: TablePhotos | DatasetTable) -> None:
    """Refuse an output that is one of the photos."""
    if os.path.lexists(output.path):  # no photo is a new file
        found = (photos.find(row.number, row.cells[0]) for row in table.rows([photos.column]))
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
    photos = table_photos(table, options.get("images"), options.get("image_column"))
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


def _survey(table: TableFile, photos: TablePhotos | DatasetTable) -> tuple[int, list[str]]:
    """The number of products, and notes on their photos, repeated ids and overlong rows.

    Raises:
        DataError: there is no product.
    """
    name = next((c for id_name in ID_NAMES for c in table.columns if c.lower() == id_name), None)
    hashes = array("q")
    for row, (cell, photo) in table.rows([name or photos.column, photos.column]):
        hashes.append(hash(cell))
        if isinstance(photos, TablePhotos):
            photos.find(row, photo)
    if not hashes:
        raise DataError("no_rows", path=str(table.path))
    notes: list[str] = [*photos.notes, *photos.fixes] if isinstance(photos, TablePhotos) else []
    distinct, counts = np.unique(np.frombuffer(hashes, dtype=np.int64), return_counts=True)
    repeated = set(distinct[counts > 1].tolist()) - {hash("")}
    if repeated and name:
        rows_of: dict[str, list[int]] = {}
        for number, (cell,) in table.rows([name]):
            if hash(cell) in repeated and (cell in rows_of or len(rows_of) < MAX_REPEATED_IDS):
                rows_of.setdefault(str(cell), []).append(number)
        examples = [f"{cell} ({rows[0]:,}, {rows[1]:,})" for cell, rows in rows_of.items()]
        notes.append(Message("ids_repeated", column=name, count=len(repeated), examples=examples))
    return len(hashes), notes


def _new_columns(
    table: TableFile, targets: Sequence[Target], taxonomy: Taxonomy
) -> tuple[tuple[AddedColumn, ...], list[str]]:
    """The columns to add, and a note for each whose name was taken."""
    names: list[AddedColumn] = []
    for target in targets:
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        columns = [AddedColumn("tag"), AddedColumn("parent"), AddedColumn("probability", "number")]
        if target.kind == "multilabel":
            columns = [replace(column, kind="list") for column in columns]
        columns += [AddedColumn("decision"), AddedColumn("prediction_set", "list")]
        names += [
            replace(column, name=prefix + column.name)
            for column in columns
            if taxonomy.parents or column.name != "parent"
        ]
    names.append(AddedColumn("error"))
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


def _model_digest(predictor: Predictor) -> str:
    """Digest of the model's graph and of what its decisions depend on."""
    digest = hashlib.sha256(predictor.bundle.model)
    digest.update(repr(sorted(predictor.thresholds.items())).encode())
    for calibration_data in predictor.bundle.calibration_data.values():
        digest.update(calibration_data.temperature.tobytes())
    return digest.hexdigest()


# --- from a prediction to cells


@dataclass(frozen=True)
class _Tags:
    """What is written of one target of one product; for a multilabel target one tag for each label."""

    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    decision: str
    prediction_set: tuple[str, ...]


def _product_row(prediction: Prediction, targets: Sequence[Target], taxonomy: Taxonomy) -> Row:
    if prediction.error is not None:
        n_empty = (5 if taxonomy.parents else 4) * len(targets)
        return [*[None] * n_empty, " ".join(prediction.error.split())]
    tags_of = {target.name: _tags(prediction.predictions[target.name]) for target in targets}
    if len(targets) > 1 and taxonomy.parents:
        tags_of = _resolve_conflicts(tags_of, prediction, taxonomy)
    cells: list[Any] = []
    for target in targets:
        tags = _merge_equal_names(tags_of[target.name], prediction.predictions[target.name], taxonomy)
        names = list(dict.fromkeys(taxonomy.name(tag) for tag in tags.tags))
        parents = list(dict.fromkeys(map(taxonomy.path_above, tags.tags)))
        probabilities = [round(probability, 4) for probability in tags.probabilities]
        if target.kind == "multilabel":
            cells += [names, parents, [f"{probability:.4f}" for probability in probabilities]]
        else:
            cells += [next(iter(values), None) for values in (names, parents, probabilities)]
        if not taxonomy.parents:
            del cells[-2]
        cells += [tags.decision, list(dict.fromkeys(map(taxonomy.name, tags.prediction_set)))]
    return [*cells, None]


def _tags(prediction: TargetPrediction) -> _Tags:
    """The predicted labels; none for an image out of scope."""
    if prediction.decision == _OUT_OF_SCOPE:
        return _Tags((), (), _OUT_OF_SCOPE, ())
    tags = (prediction.label,) if prediction.labels is None else prediction.labels
    prediction_set = prediction.prediction_set
    if prediction.decision == _ACCEPT:
        prediction_set = ()  # there is nothing to choose
    elif len(prediction_set) == len(prediction.probabilities) > MAX_PREDICTION_SET:
        prediction_set = prediction_set[:MAX_PREDICTION_SET]
    probabilities = tuple(prediction.probabilities[tag] for tag in tags)
    return _Tags(tags, probabilities, prediction.decision, prediction_set)


def _resolve_conflicts(tags_of: Mapping[str, _Tags], prediction: Prediction, taxonomy: Taxonomy) -> dict[str, _Tags]:
    """The tags, changed so that none contradicts the tree.

    The most probable come first, accepted ones before all others. A later one that contradicts them becomes the most
    probable of its classes that does not, or none, and goes to review.
    """
    classes = {name: tuple(target.probabilities) for name, target in prediction.predictions.items()}
    order = sorted(tags_of, key=lambda n: (tags_of[n].decision != _ACCEPT, -max(tags_of[n].probabilities, default=0)))
    resolved: dict[str, _Tags] = {}

    def fits(tag: str, name: str) -> bool:
        for other, tags in resolved.items():
            if len(tags.tags) != 1:
                continue
            [fixed] = tags.tags
            above = next((a for a in taxonomy.ancestors(tag) if a in classes[other]), fixed)
            below = next((a for a in taxonomy.ancestors(fixed) if a in classes[name]), tag)
            if above != fixed or below != tag:
                return False
        return True

    for name in order:
        tags = tags_of[name]
        if len(tags.tags) == 1 and not fits(tags.tags[0], name):
            probabilities = prediction.predictions[name].probabilities
            fitting = [tag for tag in probabilities if fits(tag, name)]
            best = sorted(fitting, key=lambda tag: -probabilities[tag])[:1]
            tags = _Tags(
                tuple(best),
                tuple(probabilities[tag] for tag in best),
                _REVIEW,
                tuple(dict.fromkeys([*tags.tags, *tags.prediction_set, *best])),
            )
        resolved[name] = tags
    return resolved


def _merge_equal_names(tags: _Tags, prediction: TargetPrediction, taxonomy: Taxonomy) -> _Tags:
    """The same, with the probabilities of classes added that have the same name in the shop.

    An accepted tag stays; otherwise the name with the greatest sum becomes the tag.
    """
    if len(tags.tags) != 1 or not taxonomy.names:
        return tags
    sums: dict[str, float] = {}
    for tag, probability in prediction.probabilities.items():
        sums[taxonomy.name(tag)] = sums.get(taxonomy.name(tag), 0.0) + probability
    if len(sums) == len(prediction.probabilities):
        return tags
    [tag] = tags.tags
    best = max(sums, key=lambda name: sums[name])
    if tags.decision != _ACCEPT and sums[best] > sums[taxonomy.name(tag)]:
        same_name = [tag for tag in prediction.probabilities if taxonomy.name(tag) == best]
        tag = max(same_name, key=lambda tag: prediction.probabilities[tag])
    return replace(tags, tags=(tag,), probabilities=(min(1.0, sums[taxonomy.name(tag)]),))
