"""A shop's catalogue in, the same catalogue out with tags; of other data, a new table: the work of `muslin tag`.

Read from `tag` down; `tag_job` plans and checks, `tag_cells` makes the cells of a prediction. Predictions go block by
block into a journal beside the output; at the end the catalogue is copied with the new columns, and gets its name in
one step. So an interrupted job loses nothing, and ends with the same bytes as an uninterrupted one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from muslin.catalogue.journal import Journal
from muslin.catalogue.tagging_result import PrecisionGuarantee, TaggingResult
from muslin.data.photo_lookup import cell_name
from muslin.data.tables import Row
from muslin.errors import ImageError, StoppedError, StorageError
from muslin.evaluation.selective import AcceptancePolicy
from muslin.messages import Log, Message, examples, no_log
from muslin.models.predictor import CHUNK, Predictor
from muslin.storage.atomic import remove_partial_files
from muslin.storage.outputs import Output
from muslin.workflows.tag_cells import new_cells
from muslin.workflows.tag_job import TagJob, TagOptions, plan

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
    options = options or TagOptions()
    job = plan(model, data, Output.of(out), options, log)
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


def _check_output_again(job: TagJob, journal: Journal) -> None:
    """Refuse an output that another job has written since the plan was made; its journal was removed then."""
    if not job.options.resume:
        try:
            job.output.check()
        except StorageError:
            journal.remove()
            raise


def _predict_rows(job: TagJob, done: int) -> Iterator[list[Row]]:
    """The new cells of the products after the first `done`, block by block."""
    remaining = islice(job.table.rows([job.photos.column]), done, None)
    predictions = job.predictor.predict_named(
        ((cell_name(row.cells[0]), job.photos.find(row.number, row.cells[0])) for row in remaining),
        precision=job.precision,
        guarantee=job.options.guarantee,
    )
    while block := list(islice(predictions, CHUNK)):
        yield [new_cells(prediction, job.predictor.targets, job.taxonomy) for prediction in block]


def _write(job: TagJob, journal: Journal) -> tuple[int, dict[str, dict[str, int]]]:
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


def _unreadable_notes(job: TagJob, journal: Journal) -> tuple[Message, ...]:
    """A note that names photos that could not be read. Those that were not found are among `job.notes`."""
    rows = zip(job.table.rows([job.photos.column]), journal.rows(), strict=False)
    failed = ((row.number, row.cells[0]) for row, cells in rows if cells[-1])
    names = [cell_name(cell) for number, cell in failed if not isinstance(job.photos.find(number, cell), ImageError)]
    return (Message("photos_not_tagged", **examples(names), column=job.columns[-1].name),) if names else ()
