"""A catalogue in, the same catalogue out with tags: what `muslin tag` does.

Read from `tag` down. The answers go block by block into a journal beside the output; when all are there the
catalogue is copied with their columns added and takes its name in one step. So an interrupted job loses nothing,
and ends with the same bytes as one that nobody interrupted.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from muslin.catalogue.journal import Journal
from muslin.catalogue.taxonomy import Taxonomy, read_taxonomy
from muslin.data.dataset import Target
from muslin.data.tables import Catalogue, Column, Row, open_table
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.photo_lookup import photo_column
from muslin.errors import DataError, StoppedError, StorageError
from muslin.evaluation.selective import CONFIDENCE_LEVEL, DECISIONS, DEFAULT_PRECISION, AcceptancePolicy
from muslin.models.predictor import CHUNK, MODEL_FILE, Prediction, Predictor, TargetPrediction
from muslin.storage.atomic import atomic_file, remove_partial_files
from muslin.text import plural

ID_NAMES = ("sku", "product_id", "productid", "article_number", "item_id", "ean", "gtin", "product", "id")
"""Columns, in lower case, in which no two products should have the same cell."""

PARTIAL = ".partial"
"""What the journal's name has behind the output's."""

EXAMPLES = 3

ACCEPT, REVIEW, NOT_OURS = DECISIONS

CANDIDATES = 3
"""Classes in the short list of a model that knows too little of itself to leave any out."""


@dataclass(frozen=True)
class Promise:
    """What is promised of the accepted products of one target.

    Attributes:
        expected: the share that was right among images held out in training; as many are expected here.
        at_least: the share that is right at least, with confidence `confidence`.
        per_class: whether that is promised of each class by itself instead of all together.
        confidence: 0.95.
    """

    expected: float
    at_least: float
    per_class: bool
    confidence: float = CONFIDENCE_LEVEL


@dataclass(frozen=True)
class TaggingResult:
    """What was made of a catalogue.

    Attributes:
        out: the file that was written.
        products: rows in it.
        problems: how many of them have no tags because their photo could not be read.
        lanes: per target how many products are in each lane.
        promises: per target what is promised of the accepted ones; absent where nothing can be.
        columns: the columns that were added.
        notes: what was guessed, noticed or chosen on the way, one sentence each.
        resumed: products that had been tagged before this call.
    """

    out: Path
    products: int
    problems: int
    decisions: Mapping[str, Mapping[str, int]]
    promises: Mapping[str, Promise]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    resumed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self) | {"out": str(self.out)}


def tag(
    model: "str | Path | Predictor",
    catalogue: str | Path,
    out: str | Path,
    *,
    images: str | Path | None = None,
    image_column: str | None = None,
    taxonomy: str | Path | None = None,
    language: str | None = None,
    resume: bool = False,
    precision: float = DEFAULT_PRECISION,
    guarantee: str = "overall",
    log: Callable[[str], None] = lambda sentence: None,
    on_progress: Callable[[int, int], None] = lambda done, products: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TaggingResult:
    """Write `catalogue` to `out` with columns added that say what its photos show.

    Args:
        catalogue: CSV, TSV, XLSX, Parquet or JSON Lines with a photo in every row; or a folder of photos, of
            which a table is made.
        out: of the catalogue's own format. What is there is replaced once the new file is whole.
        images: a folder, zip or tar with the photos, where they are not beside the catalogue.
        image_column: the column that names the photo; by default the one whose cells name photos that are there.
        taxonomy: a table of what the shop calls the tags; see `muslin.catalogue.taxonomy.read_taxonomy`.
        language: whose names of the taxonomy to use.
        precision: wanted of the accepted tags, from 0.5 to below 1.
        guarantee: `overall` or `per-class`; see `muslin.evaluation.selective.AcceptancePolicy`.
        resume: go on with what an interrupted call left beside `out`; where there is nothing, begin.
        say: called with each note, as soon as it is known.
        tell: called with how many products are done, and how many there are.
        stop: asked now and then; the work stops cleanly once it says yes.

    Raises:
        DataError: the catalogue or the taxonomy cannot be read, or an interrupted job is there and not to be resumed.
        BundleError: the model cannot be opened.
        StorageError: the disk is full, or the place cannot be written. What was done is kept.
        StoppedError: `stop` said yes; `resume` goes on.
    """
    path, out = Path(catalogue), Path(out)
    _check_places(path, out, model, taxonomy)
    predictor = model if isinstance(model, Predictor) else Predictor.open(model)
    rules = predictor.policies(precision, guarantee)
    source = open_table(path, out)
    column, find = photo_column(source, None if images is None else Path(images), image_column)
    products, notes = _survey(source, column)
    shop = Taxonomy({}, {})
    if taxonomy is not None:
        classes = list(dict.fromkeys(name for target in predictor.targets for name in target.classes))
        shop = read_taxonomy(Path(taxonomy), classes, language)
    columns, renamed = _columns(source, predictor.targets, shop)
    notes = [*source.notes, f"photos: {column}", *notes, *shop.notes, *renamed]
    notes += [sentence for found in rules.values() for sentence in found.unsupported]
    _check_letters(source, predictor.targets, shop)
    for note in notes:
        log(note)
    about = {
        "catalogue": source.digest,
        "model": _digest(predictor),
        "precision": [
            precision,
            guarantee,
            *(found.accept_thresholds.astype(str).tolist() for found in rules.values()),
        ],
        "photos": [str(images or ""), column],
        "taxonomy": [sorted(shop.names.items()), sorted(shop.parents.items())],
        "columns": [column.name for column in columns],
    }
    with Journal(out.with_name(out.name + PARTIAL), about, resume=resume) as journal:
        resumed = journal.count
        rest = islice(source.values([column]), journal.count, None)
        answers = predictor.predict_named(
            ((cell, find(cell)) for (cell,) in rest), precision=precision, guarantee=guarantee
        )
        while block := list(islice(answers, CHUNK)):
            journal.add([_row(prediction, predictor.targets, shop) for prediction in block])
            on_progress(journal.count, products)
            if should_stop() and journal.count < products:
                raise StoppedError(
                    f"{out}: stopped after {journal.count:,} of {products:,} products. "
                    "The same command with --resume goes on."
                )
        problems, decisions = _write(
            out, source, columns, journal, [target.name for target in predictor.targets]
        )
        journal.remove()
    return TaggingResult(
        out,
        products,
        problems,
        decisions,
        {name: promise for name, rule in rules.items() if (promise := _promise(rule)) is not None},
        tuple(column.name for column in columns),
        tuple(notes),
        resumed,
    )


def _write(
    out: Path, source: Catalogue, columns: Sequence[Column], journal: Journal, targets: Sequence[str]
) -> tuple[int, dict[str, dict[str, int]]]:
    """The catalogue with the journal's cells behind its own, whole or not at all; how many problems there are, and
    per target how many products in each lane."""
    decisions: dict[str, Counter[str]] = {name: Counter() for name in targets}
    problems, width = 0, (len(columns) - 1) // len(targets)

    def counting(rows: Iterable[Row]) -> Iterator[Row]:
        nonlocal problems
        for row in rows:
            problems += bool(row[-1])
            for i, name in enumerate(targets):
                decisions[name][str(row[width * (i + 1) - 2])] += not row[-1]
            yield row

    try:
        remove_partial_files(out.parent)
        with atomic_file(out) as file:
            source.write(file, tuple(columns), counting(journal.rows()))
    except StorageError as error:
        raise StorageError(f"{error} The tags are kept: then the same command with --resume.") from error
    return problems, {
        name: {decision: count for decision, count in found.items() if count}
        for name, found in decisions.items()
    }


# --- before the work


def _check_places(path: Path, out: Path, model: object, taxonomy: str | Path | None) -> None:
    """Refuse an output that would overwrite what is read."""
    if out.is_dir():
        raise StorageError(f"{out}: is a folder. Give the name of a file.")
    read = {"catalogue": path, "taxonomy": taxonomy}
    if isinstance(model, str | Path):
        read["model"] = Path(model) / MODEL_FILE if Path(model).is_dir() else model
    for what, file in read.items():
        if file is not None and out.exists() and Path(file).exists() and out.samefile(file):
            raise StorageError(f"{out}: is the {what} itself, which is never touched. Choose another output.")


def _survey(source: Catalogue, column: str) -> tuple[int, list[str]]:
    """How many products there are, and what a person should know of them.

    Raises:
        DataError: there is none.
    """
    notes = []
    name = next((c for wanted in ID_NAMES for c in source.columns if c.lower() == wanted), None)
    hashes = array("q", (hash(cell) for (cell,) in source.values([name or column])))
    if not hashes:
        raise DataError(f"{source.path}: has no products. Check that the file was not cut off.")
    distinct, counts = np.unique(np.frombuffer(hashes, dtype=np.int64), return_counts=True)
    again = set(distinct[counts > 1].tolist()) - {hash("")}
    if again and name:
        some: dict[str, list[int]] = {}
        for row, (cell,) in enumerate(source.values([name]), 1):
            if hash(cell) in again and (cell in some or len(some) < EXAMPLES):
                some.setdefault(cell, []).append(row)
        examples = ", ".join(
            f"{cell} in {' and '.join(f'{row:,}' for row in rows[:2])}" for cell, rows in some.items()
        )
        some_cells = plural(len(again), "cell that is", "cells that are")
        notes.append(f"{name}: {some_cells} in more than one row, all kept ({examples})")
    if isinstance(source, Delimited) and (longer := list(islice(source.longer_rows(), 1000))):
        more = "1,000 or more" if len(longer) == 1000 else f"{len(longer):,}"
        notes.append(
            f"rows with more cells than the header, kept as they are, so that their tags stand further right: {more} "
            f"(the first is row {longer[0]:,}; a cell with {source.delimiter!r} in it needs quotes)"
        )
    return len(hashes), notes


def _columns(
    source: Catalogue, targets: Sequence[Target], shop: Taxonomy
) -> tuple[tuple[Column, ...], list[str]]:
    """The columns to be added, and what is to be said where a name was taken already."""
    wanted = []
    for target in targets:
        several = target.kind == "multilabel"
        before = f"{target.name}_" if len(targets) > 1 else ""
        wanted.append(Column(f"{before}tag", "list" if several else "text"))
        if shop.parents:
            wanted.append(Column(f"{before}parent", "list" if several else "text"))
        wanted += [Column(f"{before}confidence", "list" if several else "number"), Column(f"{before}lane")]
        wanted.append(Column(f"{before}candidates", "list"))
    wanted.append(Column("problem"))
    taken = {name.strip().casefold() for name in source.columns}
    columns, notes = [], []
    for column in wanted:
        free, number = column.name, 1
        while free.casefold() in taken:
            free, number = f"muslin_{column.name}{f'_{number}' if number > 1 else ''}", number + 1
        if free != column.name:
            notes.append(f"a column {column.name} is there already and kept; the new one is called {free}")
        taken.add(free.casefold())
        columns.append(Column(free, column.kind))
    return tuple(columns), notes


def _check_letters(source: Catalogue, targets: Sequence[Target], shop: Taxonomy) -> None:
    if not isinstance(source, Delimited):
        return
    tags = [name for target in targets for name in target.classes]
    words = [shop.name(word) for tag in tags for word in (tag, *shop.above(tag))]
    if (word := source.cannot_write(words)) is not None:
        raise DataError(
            f"{source.path}: is {source.encoding} text, which has no letters for {word!r}. "
            "Save the catalogue as UTF-8, or rename the tag with --taxonomy."
        )


def _digest(predictor: Predictor) -> str:
    """What tells one model from another: its graph, and what it decides by."""
    digest = hashlib.sha256(predictor.bundle.model)
    digest.update(repr(sorted(predictor.thresholds.items())).encode())
    for calibration_data in predictor.bundle.calibration_data.values():
        digest.update(calibration_data.temperature.tobytes())
    return digest.hexdigest()


def _promise(rule: AcceptancePolicy) -> Promise | None:
    if rule.expected_precision is None:
        return None
    return Promise(rule.expected_precision, rule.precision_target, rule.guarantee == "per-class")


# --- from a prediction to cells


@dataclass(frozen=True)
class _Answer:
    """What is to be written about one target of one product; a tag for each label where there may be several."""

    tags: tuple[str, ...]
    confidences: tuple[float, ...]
    decision: str
    candidates: tuple[str, ...]


def _row(prediction: Prediction, targets: Sequence[Target], shop: Taxonomy) -> Row:
    if prediction.error is not None:
        empty = (5 if shop.parents else 4) * len(targets)
        return [*[None] * empty, " ".join(prediction.error.split())]
    answers = {target.name: _answer(prediction.predictions[target.name]) for target in targets}
    if len(targets) > 1 and shop.parents:
        answers = _agreeing(answers, prediction, shop)
    cells: list[Any] = []
    for target in targets:
        answer = _in_words(answers[target.name], prediction.predictions[target.name], shop)
        several = target.kind == "multilabel"
        above = [" > ".join(reversed([shop.name(a) for a in shop.above(tag)])) for tag in answer.tags]
        names = list(dict.fromkeys(shop.name(tag) for tag in answer.tags))
        if several:
            cells.append(names)
        else:
            cells.append(names[0] if names else None)
        if shop.parents:
            cells.append(list(dict.fromkeys(above)) if several else next(iter(above), None))
        sure = [round(confidence, 4) for confidence in answer.confidences]
        cells.append([f"{c:.4f}" for c in sure] if several else next(iter(sure), None))
        cells += [answer.decision, list(dict.fromkeys(map(shop.name, answer.candidates)))]
    return [*cells, None]


def _agreeing(answers: Mapping[str, _Answer], prediction: Prediction, shop: Taxonomy) -> dict[str, _Answer]:
    """The answers, none of which contradicts the tree: one that does gives way to a surer one, and goes to review.

    The surest come first, accepted ones before all others; each later one becomes the most probable of its
    classes that goes with those before it, or nothing.
    """
    classes = {name: tuple(answer.probabilities) for name, answer in prediction.predictions.items()}
    order = sorted(
        answers, key=lambda n: (answers[n].decision != ACCEPT, -max(answers[n].confidences, default=0))
    )
    settled: dict[str, _Answer] = {}
    for name in order:
        answer = answers[name]
        if len(answer.tags) == 1:

            def goes(tag: str, name: str = name) -> bool:
                for other, its in settled.items():
                    if len(its.tags) != 1:
                        continue
                    [fixed] = its.tags
                    above = next((a for a in shop.above(tag) if a in classes[other]), fixed)
                    below = next((a for a in shop.above(fixed) if a in classes[name]), tag)
                    if above != fixed or below != tag:
                        return False
                return True

            if not goes(answer.tags[0]):
                probabilities = prediction.predictions[name].probabilities
                fitting = [tag for tag in probabilities if goes(tag)]
                best = max(fitting, key=lambda tag: probabilities[tag], default=None)
                answer = _Answer(
                    () if best is None else (best,),
                    () if best is None else (probabilities[best],),
                    REVIEW,
                    tuple(dict.fromkeys([*answer.tags, *answer.candidates, *([best] if best else [])])),
                )
        settled[name] = answer
    return settled


def _in_words(answer: _Answer, said: TargetPrediction, shop: Taxonomy) -> _Answer:
    """The same, where several classes have one name in the shop: their probabilities are those of one tag.

    An accepted tag stays what was accepted; otherwise the name with the greatest sum is the tag.
    """
    if len(answer.tags) != 1 or not shop.names:
        return answer
    sums: dict[str, float] = {}
    for tag, probability in said.probabilities.items():
        sums[shop.name(tag)] = sums.get(shop.name(tag), 0.0) + probability
    [tag] = answer.tags
    if len(sums) == len(said.probabilities):
        return answer
    best = max(sums, key=lambda name: sums[name])
    if answer.decision != ACCEPT and sums[best] > sums[shop.name(tag)]:
        tag = max(
            (t for t in said.probabilities if shop.name(t) == best), key=lambda t: said.probabilities[t]
        )
    return replace(answer, tags=(tag,), confidences=(min(1.0, sums[shop.name(tag)]),))


def _answer(said: TargetPrediction) -> _Answer:
    """What the model says; of an image that is none of its classes, nothing."""
    if said.decision == NOT_OURS:
        return _Answer((), (), NOT_OURS, ())
    tags = (said.label,) if said.labels is None else said.labels
    candidates = said.prediction_set
    if said.decision == ACCEPT:
        candidates = ()  # there is nothing to choose
    elif len(candidates) == len(said.probabilities) > CANDIDATES:  # a list of everything helps nobody
        candidates = candidates[:CANDIDATES]
    return _Answer(tags, tuple(said.probabilities[tag] for tag in tags), said.decision, candidates)
