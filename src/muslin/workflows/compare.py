"""Two models on the same images: what `muslin compare` does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Target, align, pixel_array
from muslin.errors import DataError
from muslin.evaluation.compare import Comparison
from muslin.evaluation.compare import compare as compare_answers
from muslin.evaluation.thresholds import decided
from muslin.models.predictor import Predictor
from muslin.reporting.image_grids import SheetSection, contact_sheet
from muslin.text import plural
from muslin.workflows import train as train_workflow

SHOWN = 32
"""Images in each part of the sheet of disagreements."""


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """Two models on the same images of a data set.

    Attributes:
        comparisons: per target that both models answer.
        dataset: the images that were compared on, as the first model takes them, with their true labels.
        answers: per target both models' answers: integer (n,), or (n, classes) of 0 and 1.
        part: which part of the data that was; `all` for undivided data.
    """

    comparisons: Mapping[str, Comparison]
    dataset: Dataset
    answers: Mapping[str, tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]]
    part: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; images by their ids."""
        made: dict[str, Any] = {"part": self.part, "targets": {}}
        for name, found in self.comparisons.items():
            values = found.to_dict()
            for key in ("only_a_right", "only_b_right", "both_wrong"):
                values[key] = [str(self.dataset.ids[i]) for i in values[key]]
            made["targets"][name] = values
        return made


def compare(
    a: str | Path | Predictor,
    b: str | Path | Predictor,
    data: str | Path | Dataset,
    *,
    split: str = "test",
    reading: Mapping[str, Any] | None = None,
    log: Callable[[str], None] = lambda sentence: None,
) -> ComparisonResult:
    """Judge both models on the same images of `data`, none of which either learned from where that can be known.

    Args:
        split: see `muslin.workflows.train.part_to_judge`. Of undivided data that a model was trained on, its own part
            is taken; of two such parts what they have in common.

    Raises:
        DataError: no such part, no image in common, no labels, or no target that both models answer.
        BundleError: a model cannot be opened.
    """
    from muslin.data import read

    predictors = [model if isinstance(model, Predictor) else Predictor.open(model) for model in (a, b)]
    dataset = data if isinstance(data, Dataset) else read(data, **(reading or {}))
    if not dataset.targets:
        raise DataError(f"{dataset.name}: has no labels, so there is nothing to compare with.")
    parts = [train_workflow.part_to_judge(predictor, dataset, split, log) for predictor in predictors]
    common = parts[0][0].ids[np.isin(parts[0][0].ids.astype(str), parts[1][0].ids.astype(str))]
    if not len(common):
        raise DataError(
            f"{dataset.name}: the models have no image in common that both may be judged on. "
            "Give data that neither was trained on, or divide them in the data."
        )
    if len(common) < max(len(found) for found, _ in parts):
        log(f"compared on the {plural(len(common), 'image')} that both may be judged on")
    chosen = [_only(found, common) for found, _ in parts]
    targets = [
        t
        for t in predictors[0].targets
        if any((t.name, t.kind) == (u.name, u.kind) for u in predictors[1].targets)
    ]
    if not targets:
        raise DataError("the models have no target in common, so there is nothing to compare.")
    comparisons, answers = {}, {}
    shown = align(chosen[0], targets)
    said = [p.predict_pixels(pixel_array(found)) for p, found in zip(predictors, chosen, strict=True)]
    for target in targets:
        other = next(t for t in predictors[1].targets if t.name == target.name)
        mine, theirs = (
            _answers(t, probabilities[t.name], predictor.thresholds.get(t.name, ()))
            for t, probabilities, predictor in zip((target, other), said, predictors, strict=True)
        )
        answers[target.name] = mine, _translated(theirs, other, target)
        comparisons[target.name] = compare_answers(
            shown.labels[target.name], *answers[target.name], target.classes, shown.groups
        )
    return ComparisonResult(comparisons, shown, answers, parts[0][1] if parts[0][1] == parts[1][1] else split)


def disagreements(compared: ComparisonResult, target: str) -> bytes | None:
    """A sheet of images on which the models answer differently, as a PNG's bytes; None where there is none.

    First where only one is right, then where both are wrong, each in another way; the first 32 of each. Under each
    image are the first model's answer (1) and the second's (2).
    """
    found, asked = compared.comparisons[target], compared.dataset.target(target)
    a, b = compared.answers[target]
    sections = []
    for title, places in (
        ("Only the second is right", found.only_b_right),
        ("Only the first is right", found.only_a_right),
        ("Both are wrong, each in another way", found.both_wrong),
    ):
        some = places[:SHOWN]
        more = f", {len(some)} of them" if len(some) < len(places) else ""
        if some:
            sections.append(
                SheetSection(
                    f"{title}: {plural(len(places), 'image')}{more}",
                    [compared.dataset.images[i] for i in some],
                    [f"1: {_named(asked, a[i])}\n2: {_named(asked, b[i])}" for i in some],
                )
            )
    return contact_sheet(sections) if sections else None


def _only(dataset: Dataset, ids: NDArray[Any]) -> Dataset:
    """The samples of these ids, in the ids' order."""
    places = {id_: i for i, id_ in enumerate(dataset.ids)}
    return dataset.take(np.array([places[id_] for id_ in ids], dtype=np.int64))


def _answers(
    target: Target, probabilities: NDArray[np.float32], yes_from: tuple[float, ...]
) -> NDArray[np.int64]:
    if target.kind == "multilabel":
        return (probabilities.astype(np.float64) >= np.asarray(yes_from)).astype(np.int64)
    return decided(target, probabilities, yes_from)


def _translated(answers: NDArray[np.int64], theirs: Target, ours: Target) -> NDArray[np.int64]:
    """Answers in the classes of `theirs` as those of `ours`; a class that only they have becomes one beyond ours."""
    if theirs.classes == ours.classes:
        return answers
    places = {name: i for i, name in enumerate(ours.classes)}
    table = np.array([places.get(name, len(places)) for name in theirs.classes], dtype=np.int64)
    if theirs.kind == "multiclass":
        with_thresholds: NDArray[np.int64] = table[answers]
        return with_thresholds
    several = np.zeros((len(answers), len(places) + 1), dtype=np.int64)
    several[:, table] = answers
    return several[:, :-1]


def _named(target: Target, answer: Any) -> str:
    if np.ndim(answer):
        return ", ".join(target.classes[i] for i in np.flatnonzero(answer)) or "none"
    return target.classes[int(answer)] if int(answer) < len(target.classes) else "another class"
