"""The main colours of each product of a catalogue, as more columns of its table: the work of `muslin colour`.

As in `muslin.workflows.tag`, finished products are kept in a journal beside the output, and the table gets its name
in one step.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from muslin.catalogue.colour_result import ColourResult
from muslin.catalogue.journal import Journal
from muslin.catalogue.product_rows import RowsOfProduct
from muslin.colour import NamedColours, colour_shares, product_colours, read_named_colours
from muslin.colour.main_colours import DETAIL_PX
from muslin.data.photo_content import versions
from muslin.data.photos import ordered_map
from muslin.data.tables import AddedColumn, Row
from muslin.data.tables.new_columns import check_encodable, free_names
from muslin.errors import ImageError, StoppedError, StorageError
from muslin.messages import Log, Message, examples, no_log
from muslin.models.photo_reading import decode_source
from muslin.storage.atomic import remove_partial_files
from muslin.storage.local_path import check_local
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output, check_output_again
from muslin.workflows.product_catalogue import ProductCatalogue, check_no_photo, open_catalogue
from muslin.workflows.tag import JOURNAL_SUFFIX

COLUMNS = (
    AddedColumn("colour"),
    AddedColumn("colours", "list"),
    AddedColumn("colour_shares", "numbers"),
    AddedColumn("colour_note"),
    AddedColumn("error"),
)
NOTE = 3
"""The place of the column of notes."""
UNCLEAR = "unclear"
"""What begins a note where the garment and its background have similar colours."""

BLOCK = 64
"""Products that are written to the journal together."""

FORMAT = 1
"""Rises when the same photo gets other colours; an interrupted job of another format starts again."""


@dataclass(frozen=True)
class ColourOptions:
    """How to name colours.

    Attributes:
        colours: a table of named colours; see `muslin.colour.read_named_colours`.
        language: the column of its names.
        resume: continue an interrupted job, if there is one.
        read_options: how to read the data, as `muslin.read` takes it.
    """

    colours: str | Path | None = None
    language: str | None = None
    resume: bool = False
    read_options: Mapping[str, Any] = field(default_factory=dict)


def colour(
    data: str | Path,
    out: str | Path | Output,
    options: ColourOptions | None = None,
    *,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, products: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ColourResult:
    """Write the table `data` to `out` with columns added for the main colours of each product.

    The new columns are `colour`, the colour with the largest share of the garment; `colours` and `colour_shares`, up to
    three colours with at least 15 % each; `colour_note`, which is `unclear` where the garment and its background have
    similar colours, and names photos that cannot be read beside those that can; and `error`.

    Args:
        data: as of `muslin.workflows.tag.tag`.
        out: a new file in the table's own format; of other data CSV, TSV or JSON Lines.
        log: called with each note as soon as it is known.
        on_progress: called with the numbers of finished and of all products.
        should_stop: called now and then; the work stops cleanly once it returns True.

    Raises:
        DataError: the data or the table of colours cannot be read, or an interrupted job exists and is not resumed.
        StorageError: the output exists or is an input, the disk is full, or the place cannot be written. Finished
            work is kept.
        StoppedError: `should_stop` returned True; `resume` continues.
    """
    job = _plan(data, Output.of(out), options or ColourOptions(), log)
    for note in job.notes:
        log(note)
    place = job.out.with_name(job.out.name + JOURNAL_SUFFIX)
    with Journal(place, job.inputs, resume=job.options.resume) as journal:
        check_output_again(job.output, journal, job.options.resume)
        resumed, products = journal.count, job.catalogue.products
        for block in _blocks(job, resumed):
            journal.add(block)
            on_progress(journal.count, products)
            if should_stop() and journal.count < products:
                raise StoppedError("colours_stopped", path=str(job.out), done=journal.count, count=products)
        try:
            _write(job, journal)
        except StorageError:
            log(Message("tags_kept", path=str(journal.path)))
            raise
        result = _result(job, journal, resumed)
        journal.remove()
    for note in result.notes[len(job.notes) :]:
        log(note)
    return result


@dataclass(frozen=True)
class _Job:
    """Everything that is checked before the first photo is decoded."""

    output: Output
    options: ColourOptions
    named: NamedColours
    catalogue: ProductCatalogue
    columns: tuple[AddedColumn, ...]
    notes: tuple[str, ...]

    @property
    def out(self) -> Path:
        return self.output.path

    @property
    def inputs(self) -> dict[str, Any]:
        """What the rows depend on, as JSON values: a resumed job must have the same."""
        given, rows = self.options.read_options, self.catalogue.rows
        shades = [self.named.names, self.named.shades.tolist(), self.named.colour_of_shade.tolist()]
        return {
            "catalogue": self.catalogue.table.digest,
            "photos": [str(given.get("images", "")), *rows.photos.photo_columns, bool(given.get("allow_outside"))],
            "products": [*rows.columns, rows.all_of_row],
            "colours": [FORMAT, hashlib.sha256(repr(shades).encode()).hexdigest()],
            "versions": versions("muslin", "PIL", "numpy"),
            "columns": [column.name for column in self.columns],
        }


def _plan(data: str | Path, output: Output, options: ColourOptions, log: Log) -> _Job:
    check_local(data, options.read_options.get("images"), options.colours)
    # a resumed job can have been killed after its last step: then the output is there, and `_write` compares it
    check_output(replace(output, overwrite=output.overwrite or options.resume), (), (data, options.colours))
    named = read_named_colours(Path(options.colours) if options.colours else None, options.language)
    catalogue = open_catalogue(data, output.path, options.read_options, log)
    check_no_photo(output, catalogue.rows)
    columns, renamed = free_names(catalogue.table, COLUMNS)
    for name in named.names:
        check_encodable(catalogue.table, name)
    notes = (*catalogue.table.fixes, *catalogue.notes, *renamed)
    return _Job(output, options, named, catalogue, columns, notes)


def _blocks(job: _Job, done: int) -> Iterator[list[Row]]:
    """The new cells of each product after the first `done`, block by block."""
    products = islice(job.catalogue.rows, done, None)
    rows = ordered_map(lambda product: _cells(job, product), products)
    while block := list(islice(rows, BLOCK)):
        yield block


def _cells(job: _Job, product: RowsOfProduct) -> Row:
    """The new cells of one product, from all of its photos that can be read."""
    found, errors = [], []
    for name, photo, *_ in job.catalogue.rows.find(product):
        try:
            found.append(colour_shares(decode_source(name, photo, DETAIL_PX).pixels, job.named))
        except ImageError as raised:
            errors.append(" ".join(str(raised.with_params(path=name).message).split()))
    if not found:
        return [None, None, None, None, errors[0]]
    colours = product_colours(found, job.named)
    shares = [f"{share:.4f}" for share in colours.shares]
    notes = [UNCLEAR] if colours.is_unclear else []
    if errors:
        notes.append(str(Message("product_photos_unreadable", **examples(error.rstrip(".") for error in errors))))
    return [colours.names[0], list(colours.names), shares, "; ".join(notes) or None, None]


def _write(job: _Job, journal: Journal) -> None:
    """Write the table with the journal's cells, whole or not at all."""
    remove_partial_files(job.out.parent)
    with job.output.open(unless_same=job.options.resume) as file:
        rows = job.catalogue.rows.spread(journal.rows())
        job.catalogue.table.write_with_columns(file, job.columns, rows)


def _result(job: _Job, journal: Journal, resumed: int) -> ColourResult:
    counts: Counter[str] = Counter()
    n_unclear, unreadable, partly = 0, [], []
    for product, (main, _, _, note, error) in zip(job.catalogue.rows, journal.rows(), strict=True):
        counts.update([str(main)] if main else [])
        n_unclear += str(note or "").startswith(UNCLEAR)
        unreadable += [product.shown_name] if error else []
        partly += [product.shown_name] if note and note != UNCLEAR else []
    notes = job.notes
    if unreadable:
        code = "products_not_tagged" if job.catalogue.has_several else "photos_not_tagged"
        notes = (*notes, Message(code, **examples(unreadable), column=job.columns[-1].name))
    if partly:
        notes = (*notes, Message("products_partly_unreadable", **examples(partly), column=job.columns[NOTE].name))
    return ColourResult(
        job.out, job.catalogue.products, job.catalogue.unit, dict(counts.most_common()), n_unclear, len(unreadable),
        tuple(column.name for column in job.columns), notes, resumed,
    )  # fmt: skip
