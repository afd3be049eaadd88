"""A model judged on data as its owner needs it: what `muslin evaluate` does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, PixelImages
from muslin.errors import DataError
from muslin.evaluation import AnyEvaluation
from muslin.evaluation.reliability import Reliability
from muslin.evaluation.selective import PRECISION
from muslin.models.predictor import Predictor
from muslin.workflows import train as train_workflow

Log = Callable[[str], None]

MOST_SLICES = 100
"""Values of a column that may make slices; with more, each has too few images to say anything."""

MOST_COMPARED = 100_000
"""Training and judged images among which near-copies are looked for; more would take minutes."""


@dataclass(frozen=True)
class EvaluationResult:
    """What a model's answers are worth.

    Attributes:
        part: which part of the data was judged; `all` for undivided data.
        evaluations: the figures per target.
        trusts: per target how far the answers may be trusted.
    """

    part: str
    evaluations: Mapping[str, AnyEvaluation]
    reliabilities: Mapping[str, Reliability]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return train_workflow.figures_of(self.evaluations, self.part, self.reliabilities)


def judge(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    *,
    split: str = "test",
    reading: Mapping[str, Any] | None = None,
    precision: float = PRECISION,
    per: str = "all",
    by: str | None = None,
    log: Log = lambda sentence: None,
) -> EvaluationResult:
    """Judge a model on a part of `data`: figures, calibration, lanes, slices, and near-copies of training images.

    Args:
        split: see `muslin.workflows.train.part_to_judge`.
        precision, per: what the lanes are for, see `muslin.evaluation.selective.rule`.
        by: a column of the table: how the model does for each value in it.
        say: called with a sentence before whatever takes a while.

    Raises:
        DataError: no such part or column, no labels to compare with, or a class that the model never saw.
        BundleError: the model cannot be opened.
    """
    from muslin.data import read_and_log

    predictor = model if isinstance(model, Predictor) else Predictor.open(model)
    predictor.policies(precision, per)  # what is out of range is said before any work
    dataset = read_and_log(data, log=log, **(reading or {}))
    column = None if by is None else _column(data, reading or {}, by)
    chosen, part = train_workflow.part_to_judge(predictor, dataset, split, log)
    if caution := _caution(predictor, dataset, chosen, part):
        log(caution)
    copies = _copies(predictor, dataset, chosen, part, log)
    aligned, seen = train_workflow.look(predictor, chosen)
    more = {"precision": precision, "per": per, "copies": copies}
    if column is not None:
        more["by"] = np.array([column.get(str(name), "") for name in aligned.ids], dtype=object)
    return EvaluationResult(
        part,
        train_workflow.evaluations_of(predictor, aligned, seen),
        train_workflow.reliabilities_of(predictor, aligned, seen, **more),
    )


def _caution(predictor: Predictor, dataset: Dataset, judged: Dataset, part: str) -> str | None:
    """What to know first where the model was made with the images that it is judged on.

    Those it learned from are known by the golden images, which are some of them, however the data are read; photos,
    which would have to be read for that, by the data's fingerprint.
    """
    made = predictor.bundle.provenance.get("data")
    same = isinstance(made, dict) and made.get("fingerprint") == dataset.fingerprint
    if isinstance(judged.images, PixelImages):
        there = {image.tobytes() for image in judged.images.pixels}
        golden = predictor.bundle.golden_pixels
        learned = sum(image.tobytes() in there for image in golden) > len(golden) / 2
    else:
        learned = same and part in ("train", "all")
    if learned:
        return "the model learned from images among these: it is right on them more often than on new ones"
    if same and part == "validation":
        return "the model's confidence was set with these images: on new ones it is right less often"
    return None


def _column(data: str | Path | Dataset, reading: Mapping[str, Any], name: str) -> dict[str, str]:
    """Per id what stands in a column of the table; read by itself, for a further target makes other data of it."""
    from muslin.data import read
    from muslin.data.registry import DATASETS

    if isinstance(data, str) and data in DATASETS:
        raise DataError(f"{data}: has no columns to go by. Give a table of products, one row a photo.")
    dataset = data if isinstance(data, Dataset) else read(data, **{**reading, "target": (name,)})
    target = dataset.target(name)
    if target.kind == "multilabel":
        raise DataError(f"{name}: lists several values in a row, so the images do not fall into slices.")
    if len(target.classes) > MOST_SLICES:
        raise DataError(
            f"{name}: has {len(target.classes):,} values, too many to say anything of each. Choose a column with at "
            f"most {MOST_SLICES}."
        )
    names = (*target.classes, "")  # the last for UNKNOWN, -1
    return {str(i): names[value] for i, value in zip(dataset.ids, dataset.labels[name], strict=True)}


def _copies(
    predictor: Predictor, dataset: Dataset, judged: Dataset, part: str, log: Log
) -> NDArray[np.bool_] | None:
    """Which judged images are nearly identical with a training image; None where those are not at hand."""
    from muslin.data.audit.duplicates import find_copies
    from muslin.data.audit.image_stats import compute_image_stats

    train = _training(predictor, dataset, part)
    if train is None or not len(train):
        return None
    places = {name: i for i, name in enumerate(dataset.ids)}
    mine = np.array([places[name] for name in judged.ids], dtype=np.int64)
    if len(train) + len(mine) > MOST_COMPARED:
        log(f"near-copies of training images are not looked for among more than {MOST_COMPARED:,} images")
        return None
    if len(train) + len(mine) > 5_000:  # fewer take about a second
        log("looking for near-copies of training images")
    both = dataset.take(np.concatenate([train, mine]))
    found = find_copies(both, compute_image_stats(both.images), lambda sentence: None)
    leaked = np.zeros(len(both), dtype=np.bool_)
    leaked[: len(train)] = True
    _with_identical(leaked, found.identical)
    one, other = found.pairs.T
    near = leaked.copy()
    leaked[other[near[one]]] = leaked[one[near[other]]] = True
    _with_identical(leaked, found.identical)  # only the first of identical ones is among the pairs
    return leaked[len(train) :]


def _with_identical(chosen: NDArray[np.bool_], groups: Sequence[NDArray[np.int64]]) -> None:
    """Choose, too, whatever is identical with one that is chosen."""
    for group in groups:
        chosen[group] |= chosen[group].any()


def _training(predictor: Predictor, dataset: Dataset, part: str) -> NDArray[np.int64] | None:
    """Where in `dataset` the images are that the model was trained on; None where that is not known."""
    if part in ("train", "all"):
        return None
    if dataset.parts is not None:
        return np.flatnonzero(dataset.parts == "train")
    if not isinstance(
        dataset.images, PixelImages
    ):  # to know how photos were divided, all have to be read first
        return None
    parts = train_workflow.division(predictor, dataset)
    return None if parts is None else parts.train
