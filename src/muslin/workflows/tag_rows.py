"""From the products of a job to their rows of new cells: predicted, copied from the previous output, or left empty."""

from collections.abc import Generator, Iterable, Iterator
from itertools import islice

from muslin.catalogue.product_rows import RowsOfProduct
from muslin.data.tables import Row
from muslin.data.tables.cells import CellValue
from muslin.models.predictor import CHUNK
from muslin.models.product_prediction import ProductPrediction
from muslin.workflows.tag_cells import new_cells
from muslin.workflows.tag_job import TagJob

COPIED = -1
"""In place of the number of unreadable photos: the row comes from the previous output."""

BATCH = 4 * CHUNK
"""Products of which it is known together which of them are to be predicted."""


def new_rows(job: TagJob, done: int) -> Generator[list[Row]]:
    """Of each product after the first `done` the new cells and the number of unreadable photos, block by block."""
    products = islice(enumerate(job.catalogue.rows), done, None)
    rows = _mixed_rows(job, products) if job.own or job.previous else _predict(job, (p for _, p in products))
    block: list[Row] = []
    n_photos = 0
    for row, photos in rows:
        block.append(row)
        n_photos += photos
        if n_photos >= CHUNK:
            yield block
            block, n_photos = [], 0
    if block:
        yield block


def _mixed_rows(job: TagJob, products: Iterator[tuple[int, RowsOfProduct]]) -> Iterator[tuple[Row, int]]:
    """As `_predict`, where some products are not predicted, and rows have more cells."""
    while batch := list(islice(products, BATCH)):
        fingerprints = {number: _fingerprint(job, number, product) for number, product in batch}
        known = {number: _known_cells(job, number, fingerprints[number]) for number, _ in batch}
        predicted = _predict(job, (product for number, product in batch if known[number] is None))
        for number, _ in batch:
            cells = known[number]
            if cells is not None:
                yield [*cells, COPIED if fingerprints[number] else 0], 1
            else:
                (*found, unreadable), photos = next(predicted)
                yield [*_with_own_values(job, number, found), *filter(None, [fingerprints[number]]), unreadable], photos


def _predict(job: TagJob, products: Iterable[RowsOfProduct]) -> Iterator[tuple[Row, int]]:
    """Of each product the cells of its prediction and the number of unreadable photos, and that of all photos."""
    predictions = job.catalogue.predict(job.predictor, products, job.precision, job.options.guarantee)
    for prediction in predictions:
        photos = prediction.photos if isinstance(prediction, ProductPrediction) else (prediction,)
        unreadable = sum(photo.error is not None for photo in photos)
        cells = new_cells(prediction, job.predictor.targets, job.taxonomy, job.policies)
        yield [*cells, unreadable], len(photos)


def _fingerprint(job: TagJob, number: int, product: RowsOfProduct) -> str | None:
    """Of a product whose tags can be copied."""
    if job.previous is None or is_kept(job, number):
        return None
    return job.previous.fingerprint(number, job.catalogue.rows.find(product))


def is_kept(job: TagJob, number: int) -> bool:
    """Whether a product, by its number, has values of its own for all targets and is not predicted."""
    own = job.own
    return bool(
        own and job.options.only_empty and all(own.is_filled(target.name, number) for target in job.predictor.targets)
    )


def is_predicted(job: TagJob, number: int, product: RowsOfProduct) -> bool:
    """Whether a product, by its number, is predicted, and neither left as it is nor copied."""
    return not (job.own or job.previous) or _known_cells(job, number, _fingerprint(job, number, product)) is None


def _known_cells(job: TagJob, number: int, fingerprint: str | None) -> Row | None:
    """The cells of a product that is not predicted; None of one that is."""
    if is_kept(job, number):
        return [None] * len(job.columns)
    cells = job.previous.known_cells(number, fingerprint) if job.previous else None
    return None if cells is None else [*cells, fingerprint]


def _with_own_values(job: TagJob, number: int, cells: Row) -> list[CellValue]:
    """The cells of a prediction, without those of targets that have a value of their own, or with what contradicts."""
    row = list(cells)
    if job.own is None:
        return row
    for i, target in enumerate(job.predictor.targets):
        start = i * job.cells_per_target
        if target.name not in job.own.columns:
            continue
        if not job.options.only_empty:
            row.append(job.own.contradicted(target.name, number, row[start]) or None)
        elif job.own.is_filled(target.name, number):
            row[start : start + job.cells_per_target] = [None] * job.cells_per_target
    return row
