"""Evaluation of a target that allows several labels an image, over the cells (image, label) that are known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.curves import average_precisions, between, resamples, with_interval
from muslin.evaluation.intervals import Interval, wilson

MISTAKES_KEPT = 50


@dataclass(frozen=True)
class LabelFigures:
    """One label, over the images of which it is known whether they have it.

    Attributes:
        name: the label.
        threshold: from which probability on it is given.
        known: images of which it is known; unknown: those of which it is not.
        support: known images that have it.
        predicted: known images it was given to.
        right: of those, the ones that have it.
        precision: right / predicted; None where it was never given.
        recall: right / support; None where no known image has it.
        f1: 2·right / (predicted + support); None where both are 0.
        average_precision: mean precision over all recalls, whatever the threshold; None without support.
        precision_interval, recall_interval: 95 % Wilson; f1_interval, average_precision_interval: 95 % bootstrap over
            images. (0, 1) where there is nothing to go by.
    """

    name: str
    threshold: float
    known: int
    unknown: int
    support: int
    predicted: int
    right: int
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    f1: float | None
    f1_interval: Interval
    average_precision: float | None
    average_precision_interval: Interval


@dataclass(frozen=True)
class LabelAverages:
    """Figures over all labels, each with its 95 % bootstrap interval over images (`…_interval`).

    `micro` counts every known cell alike. `macro` is the mean over the labels that known images have; a label never
    given has precision 0 in it.
    """

    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    f1: float
    f1_interval: Interval
    average_precision: float
    average_precision_interval: Interval


@dataclass(frozen=True)
class LabelMistake:
    """A known cell that was told wrong: the image's index and id, the label's index, whether the image has it."""

    index: int
    id: str
    label: int
    has_it: bool
    probability: float


@dataclass(frozen=True)
class MultilabelEvaluation:
    """What labels (several an image) and probabilities say together.

    Attributes:
        classes: the labels' names; every label's index below points into them.
        n: images with at least one known cell, on which all figures rest.
        n_unknown: images without any.
        cells: known cells; cells_right: those told right.
        unknown_share: of all cells (those of images without any among them), the share that is unknown.
        per_label: one LabelFigures a label.
        micro, macro: see LabelAverages.
        log_loss: mean over the known cells of -ln(probability of the truth), in nats.
        brier_score: mean over the known cells of (probability - truth)², 0 to 1.
        mistakes: the surest wrong answers first, at most 50.
    """

    classes: tuple[str, ...]
    n: int
    n_unknown: int
    cells: int
    cells_right: int
    unknown_share: float
    per_label: tuple[LabelFigures, ...]
    micro: LabelAverages
    macro: LabelAverages
    log_loss: float
    brier_score: float
    mistakes: tuple[LabelMistake, ...]
    kind: Literal["multilabel"] = "multilabel"

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, for JSON; `from_dict` gives back an equal value."""
        return {name: _listed(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MultilabelEvaluation":
        """The MultilabelEvaluation that `to_dict` wrote.

        Raises:
            DataError: a figure is missing or has another form.
        """
        try:
            return cls(
                **{
                    **values,
                    "classes": tuple(values["classes"]),
                    "per_label": tuple(LabelFigures(**_with_pairs(row)) for row in values["per_label"]),
                    "micro": LabelAverages(**_with_pairs(values["micro"])),
                    "macro": LabelAverages(**_with_pairs(values["macro"])),
                    "mistakes": tuple(LabelMistake(**row) for row in values["mistakes"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"not an evaluation as muslin writes it ({error}). Evaluate the model again."
            ) from error


def evaluate_multilabel(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    thresholds: Sequence[float],
    *,
    ids: Sequence[str] | NDArray[np.object_] | None = None,
) -> MultilabelEvaluation:
    """Everything that labels, several an image, and probabilities say together.

    Args:
        labels: integer (n, classes): 1 yes, 0 no, UNKNOWN (-1) where it is not known; such cells are left out.
        probabilities: float (n, classes), in 0..1.
        classes: the labels' names, one or more.
        thresholds: per label from which probability on it is given.
        ids: n names of the images, for the list of mistakes.

    Raises:
        DataError: a shape or a value is out of its range, or no cell is known.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check(labels, probabilities, classes, thresholds)
    kept = np.flatnonzero((labels != UNKNOWN).any(axis=1))
    truth, raw_probabilities = labels[kept], probabilities[kept]
    known, positive = truth != UNKNOWN, truth == 1
    said = (raw_probabilities.astype(np.float64) >= np.asarray(thresholds)) & known
    samples = resamples(len(kept), int(known.sum()))
    hits, calls, haves = (_sums(samples, cells) for cells in (said & positive, said, positive))
    unknown = len(labels) - known.sum(axis=0)

    per_label, areas = [], []
    for i, name in enumerate(classes):
        here = known[:, i]
        area, _ = with_interval(
            average_precisions, truth[here, i], raw_probabilities[here, i], samples[:1, here]
        )
        of_samples = (
            np.full(len(samples), np.nan)
            if area is None
            else average_precisions(truth[here, i], raw_probabilities[here, i], samples[:, here])
        )
        areas.append(of_samples)
        support, predicted = int(positive[:, i].sum()), int(said[:, i].sum())
        right = int((said & positive)[:, i].sum())
        per_label.append(
            LabelFigures(
                name=name,
                threshold=float(thresholds[i]),
                known=int(here.sum()),
                unknown=int(unknown[i]),
                support=support,
                predicted=predicted,
                right=right,
                precision=right / predicted if predicted else None,
                precision_interval=wilson(right, predicted),
                recall=right / support if support else None,
                recall_interval=wilson(right, support),
                f1=2 * right / (predicted + support) if predicted + support else None,
                f1_interval=between(_share(2 * hits[:, i], calls[:, i] + haves[:, i])),
                average_precision=area,
                average_precision_interval=between(of_samples),
            )
        )
    sure = np.clip(raw_probabilities[known].astype(np.float64), 1e-7, 1 - 1e-7)
    yes = positive[known]
    right_cells = int(((said == positive) & known).sum())
    return MultilabelEvaluation(
        classes=tuple(classes),
        n=len(kept),
        n_unknown=len(labels) - len(kept),
        cells=int(known.sum()),
        cells_right=right_cells,
        unknown_share=float((labels == UNKNOWN).mean()),
        per_label=tuple(per_label),
        micro=_micro(truth, raw_probabilities, said, samples, hits, calls, haves),
        macro=_macro(per_label, np.array(areas), hits, calls, haves),
        log_loss=float(-np.log(np.where(yes, sure, 1 - sure)).mean()),
        brier_score=float(np.square(raw_probabilities[known] - yes, dtype=np.float64).mean()),
        mistakes=_mistakes(truth, raw_probabilities, said, kept, ids),
    )


def _sums(samples: NDArray[np.floating[Any]], cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Per bootstrap sample and label, how many cells: (samples, classes)."""
    return (samples @ cells.astype(np.float32)).astype(np.float64)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        share: NDArray[np.float64] = part / whole
    return share


def _micro(
    truth: NDArray[np.integer[Any]],
    raw_probabilities: NDArray[np.floating[Any]],
    said: NDArray[np.bool_],
    samples: NDArray[np.floating[Any]],
    hits: NDArray[np.float64],
    calls: NDArray[np.float64],
    haves: NDArray[np.float64],
) -> LabelAverages:
    known, positive = truth != UNKNOWN, truth == 1
    right, predicted, support = int((said & positive).sum()), int(said.sum()), int(positive.sum())
    images = np.nonzero(known)[0]
    # a row at a time: all samples of all cells at once need not fit into memory
    areas = np.array(
        [average_precisions(truth[known], raw_probabilities[known], row[images][None])[0] for row in samples]
    )
    area, _ = with_interval(average_precisions, truth[known], raw_probabilities[known], samples[:1, images])
    tp, fp_tp, fn_tp = hits.sum(axis=1), calls.sum(axis=1), haves.sum(axis=1)
    return LabelAverages(
        precision=right / predicted if predicted else 0.0,
        precision_interval=between(_share(tp, fp_tp)),
        recall=right / support if support else 0.0,
        recall_interval=between(_share(tp, fn_tp)),
        f1=2 * right / (predicted + support) if predicted + support else 0.0,
        f1_interval=between(_share(2 * tp, fp_tp + fn_tp)),
        average_precision=area or 0.0,
        average_precision_interval=between(areas),
    )


def _macro(
    per_label: Sequence[LabelFigures],
    areas: NDArray[np.floating[Any]],
    hits: NDArray[np.float64],
    calls: NDArray[np.float64],
    haves: NDArray[np.float64],
) -> LabelAverages:
    have = [i for i, figures in enumerate(per_label) if figures.support]
    rows = [per_label[i] for i in have]
    hits, calls, haves, areas = hits[:, have], calls[:, have], haves[:, have], areas[have]

    def mean(values: Sequence[float | None]) -> float:
        return sum(value or 0.0 for value in values) / len(values) if values else 0.0

    def bounds(shares: NDArray[np.float64], nothing: float) -> Interval:
        return between(np.nan_to_num(shares, nan=nothing).mean(axis=1)) if have else (0.0, 1.0)

    recalls = np.ma.masked_invalid(_share(hits, haves)).mean(axis=1) if have else np.zeros(0)
    means = np.ma.masked_invalid(areas).mean(axis=0) if have else np.zeros(0)
    return LabelAverages(
        precision=mean([row.precision for row in rows]),
        precision_interval=bounds(_share(hits, calls), 0.0),
        recall=mean([row.recall for row in rows]),
        recall_interval=between(np.ma.filled(recalls, np.nan)),
        f1=mean([row.f1 for row in rows]),
        f1_interval=bounds(_share(2 * hits, calls + haves), 0.0),
        average_precision=mean([row.average_precision for row in rows]),
        average_precision_interval=between(np.ma.filled(means, np.nan)),
    )


def _mistakes(
    truth: NDArray[np.integer[Any]],
    raw_probabilities: NDArray[np.floating[Any]],
    said: NDArray[np.bool_],
    kept: NDArray[np.int64],
    ids: Sequence[str] | NDArray[np.object_] | None,
) -> tuple[LabelMistake, ...]:
    images, places = np.nonzero((truth != UNKNOWN) & (said != (truth == 1)))
    sureness = np.abs(raw_probabilities[images, places] - (truth[images, places] == 1))
    return tuple(
        LabelMistake(
            index=int(kept[images[i]]),
            id=str(kept[images[i]] if ids is None else ids[kept[images[i]]]),
            label=int(places[i]),
            has_it=bool(truth[images[i], places[i]] == 1),
            probability=float(raw_probabilities[images[i], places[i]]),
        )
        for i in np.argsort(-sureness, kind="stable")[:MISTAKES_KEPT]
    )


def _check(
    labels: NDArray[Any], probabilities: NDArray[Any], classes: Sequence[str], thresholds: Sequence[float]
) -> None:
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.shape[1] != len(classes):
        raise DataError(
            f"labels are {labels.dtype} {labels.shape}; expected integers (n, {len(classes)}), a column per label."
        )
    if probabilities.shape != labels.shape or probabilities.dtype.kind != "f":
        raise DataError(
            f"probabilities are {probabilities.dtype} {probabilities.shape}; expected float {labels.shape}."
        )
    if len(thresholds) != len(classes):
        raise DataError(f"{len(thresholds)} thresholds for {len(classes)} labels. Give one a label.")
    odd = np.argwhere((labels != UNKNOWN) & (labels != 0) & (labels != 1))
    if len(odd):
        row, column = odd[0]
        raise DataError(
            f"the label {classes[column]!r} of image {row} is {labels[row, column]}; expected 1, 0 or {UNKNOWN}."
        )
    beyond = np.argwhere(~((probabilities >= 0) & (probabilities <= 1)))  # so written that NaN is caught too
    if len(beyond):
        row, column = beyond[0]
        raise DataError(
            f"row {row} of the probabilities has {probabilities[row, column]:g} for {classes[column]!r}; "
            "expected 0 to 1. Turn scores into probabilities first, by a sigmoid."
        )
    if not (labels != UNKNOWN).any():
        raise DataError(f"none of {len(labels)} images has a known label, so there is nothing to measure.")


def _with_pairs(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if name.endswith("_interval") else value for name, value in row.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, tuple | list) else value
