"""A shop's catalogue in, the same catalogue out with tags; of other data, a new table: the work of `muslin tag`.

Read from `tag` down; `tag_job` plans and checks, `tag_cells` makes the cells of a prediction. Predictions go block by
block into a journal beside the output; at the end the catalogue is copied with the new columns, and gets its name in
one step. So an interrupted job loses nothing, and ends with the same bytes as an uninterrupted one.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from muslin.catalogue.journal import Journal
from muslin.catalogue.tagging_result import PrecisionGuarantee, TaggingResult
from muslin.data.tables import Row
from muslin.errors import DataError, ImageError, StoppedError, StorageError
from muslin.evaluation.selective import DECISIONS
from muslin.messages import Log, Message, examples, no_log
from muslin.models.predictor import Predictor
from muslin.storage.atomic import remove_partial_files
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output_again
from muslin.workflows.tag_job import PREVIOUS, TagJob, TagOptions, plan
from muslin.workflows.tag_rows import COPIED, is_kept, new_rows
from muslin.workflows.tag_time import log_tagging_time
from muslin.workflows.work_time import ExecutorNotes

__all__ = ["TagOptions", "tag"]

JOURNAL_SUFFIX = ".partial"
"""After the output's name."""


def tag(
    model: "str | Path | Predictor",
    data: str | Path,
    out: str | Path | Output,
    options: TagOptions | None = None,
    *,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, products: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TaggingResult:
    """Write the table `data` to `out` with columns added for the labels of each product.

    Args:
        data: CSV, TSV, XLSX, Parquet or JSON Lines whose rows name photos; or anything else that `muslin.read` reads,
            whose ids become the column `image` of a new table. A product is a row, with all its photos, or all rows
            with the same cell in the column of products (`product` of `read_options`). Its tags stand in all its rows;
            where the table says what is common to a product on its first row alone, so do the tags.
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
    options = options or TagOptions()
    job = plan(model, data, Output.of(out), options, log)
    for note in job.notes:
        log(note)
    place = job.out.with_name(job.out.name + JOURNAL_SUFFIX)
    with Journal(place, job.inputs, resume=options.resume, unchecked=[PREVIOUS]) as journal:
        check_output_again(job.output, journal, options.resume)
        _check_previous(job, journal)
        resumed, products = journal.count, job.catalogue.products
        log_tagging_time(job, resumed, log)
        notes = ExecutorNotes(options.executor, log)
        with closing(new_rows(job, resumed)) as blocks:
            for block in blocks:
                journal.add(block)
                on_progress(journal.count, products)
                notes.tell()
                if should_stop() and journal.count < products:
                    raise StoppedError("tagging_stopped", path=str(job.out), done=journal.count, count=products)
        notes.end()
        try:
            counts = _write(job, journal)
            unreadable_notes = _unreadable_notes(job, journal) if counts.unreadable or counts.partly else ()
        except StorageError:
            log(Message("tags_kept", path=str(journal.path)))
            raise
        journal.remove()
    for note in unreadable_notes:
        log(note)
    return _result(job, counts, resumed, unreadable_notes)


@dataclass
class _Counts:
    """Of products without a readable photo, of those with some unreadable photos, per target of decisions and of
    contradictions; of rows; of products that were left as they are or copied from the previous output."""

    decisions: dict[str, Counter[str]]
    contradictions: Counter[str]
    unreadable: int = 0
    partly: int = 0
    rows: int = 0
    kept: int = 0
    copied: int = 0


def _check_previous(job: TagJob, journal: Journal) -> None:
    """Refuse to resume where the previous output has changed; at the end of the job, `_write` compares it."""
    previous = job.previous
    if previous and journal.inputs[PREVIOUS] != previous.digest and journal.count < job.catalogue.products:
        raise DataError("job_inputs_changed", path=str(journal.path), names=["previous output"])


def _write(job: TagJob, journal: Journal) -> _Counts:
    """Write the catalogue with the journal's cells, whole or not at all."""
    counts = _Counts({target.name: Counter() for target in job.predictor.targets}, Counter())
    width, last = job.cells_per_target, job.error_index
    compared = [] if job.own is None or job.options.only_empty else list(job.own.columns)

    def cells_of_products() -> Iterator[Row]:
        for number, (*cells, unreadable) in enumerate(journal.rows()):
            counts.unreadable += bool(cells[last])
            counts.partly += bool(unreadable not in (0, COPIED) and not cells[last])
            counts.copied += unreadable == COPIED
            counts.kept += is_kept(job, number)
            for i, each in enumerate(counts.decisions.values(), 1):
                each[str(cells[width * i - 2])] += not cells[last]
            for i, name in enumerate(compared, 1):
                counts.contradictions[name] += bool(cells[last + i])
            yield cells

    def cells_of_rows() -> Iterator[Row]:
        for row in job.catalogue.rows.spread(cells_of_products()):
            counts.rows += 1
            yield row

    remove_partial_files(job.out.parent)
    with _output(job, journal).open(unless_same=job.options.resume) as file:
        job.catalogue.table.write_with_columns(file, job.columns, cells_of_rows())
    return counts


def _output(job: TagJob, journal: Journal) -> Output:
    """The output; it does not replace a previous one that has changed since the job began."""
    previous = job.previous
    is_changed = previous and (previous.is_changed or journal.inputs[PREVIOUS] != previous.digest)
    return replace(job.output, overwrite=False) if is_changed else job.output


def _result(job: TagJob, counts: _Counts, resumed: int, unreadable_notes: tuple[Message, ...]) -> TaggingResult:
    return TaggingResult(
        job.out,
        job.catalogue.products,
        counts.unreadable,
        {
            name: {decision: each[decision] for decision in each if decision in DECISIONS and each[decision]}
            for name, each in counts.decisions.items()
        },
        _guarantees(job),
        tuple(column.name for column in job.columns),
        (*job.notes, *unreadable_notes),
        resumed,
        job.precision,
        job.acceptance,
        counts.rows,
        job.catalogue.has_several and job.acceptance.keys() <= job.predictor.bundle.product_calibration.keys(),
        counts.kept,
        counts.copied,
        dict(counts.contradictions),
        job.catalogue.unit,
    )


def _guarantees(job: TagJob) -> dict[str, PrecisionGuarantee]:
    guarantees = {}
    of_products = job.predictor.bundle.product_calibration if job.catalogue.has_several else {}
    for name, policy in job.policies.items():
        if (precision := policy.expected_precision) is not None:
            counts = policy.accepted, policy.correct, precision, policy.precision_interval
            unit = "product" if name in of_products else "photo"
            guarantees[name] = PrecisionGuarantee(*counts, policy.precision_target, policy.guarantee, unit)
    return guarantees


def _unreadable_notes(job: TagJob, journal: Journal) -> tuple[Message, ...]:
    """Notes that name what could not be read: of products, those without any photo and those without some; of other
    data the photos, where those that were not found are among `job.notes`."""
    without, partly, rows = [], [], job.catalogue.rows
    for product, row in zip(rows, journal.rows(), strict=False):
        error, unreadable = row[job.error_index], row[-1]
        if error and (job.catalogue.has_several or not isinstance(rows.find(product)[0][1], ImageError)):
            without.append(product.shown_name)
        elif unreadable not in (0, COPIED) and not error:
            partly.append(product.shown_name)
    notes, (reason_column, error_column) = [], (job.columns[job.error_index + i].name for i in (-1, 0))
    if without:
        code = "products_not_tagged" if job.catalogue.has_several else "photos_not_tagged"
        notes.append(Message(code, **examples(without), column=error_column))
    if partly:
        notes.append(Message("products_partly_unreadable", **examples(partly), column=reason_column))
    return tuple(notes)
