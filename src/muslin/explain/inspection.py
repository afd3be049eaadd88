"""One image in one model, with what was changed in either, and everything that is computed from them.

`InspectedModel` is a model opened for explaining; `Inspection` adds the image, the skipped preprocessing steps and the
edits. The studio's pages, `muslin explain` and a notebook all go through these two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError, RecipeError
from muslin.explain import preprocessing_steps
from muslin.explain.attribution import Attribution, attribute
from muslin.explain.image_edits import changed
from muslin.explain.layers import VIEWS, LayeredModel, Trace, split_layers
from muslin.explain.model_edits import Edit, edited
from muslin.explain.sanity_checks import sanity_checks
from muslin.models.bundle import Bundle
from muslin.models.predictor import Predictor

Pixels = NDArray[np.uint8]
Predictions = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class InspectedModel:
    """A model: `predictor` predicts as it is shipped, `layered` shows every layer on the way there.

    Attributes:
        predictor: the model.
        split: its layers; None where its graph cannot be run layer by layer.
        problem: why `split` is None.
    """

    predictor: Predictor
    split: LayeredModel | None
    problem: str | None = None

    @classmethod
    def open(cls, path: str | Path) -> "InspectedModel":
        """Open a .muslin file or a run's folder.

        Raises:
            BundleError: it cannot be opened, or does not predict its golden images as it was sealed.
        """
        return cls.of(Predictor.open(path, threads=1))

    @classmethod
    def of(cls, predictor: Predictor) -> "InspectedModel":
        """The same for a predictor. A graph that cannot be run layer by layer still predicts."""
        try:
            return cls(predictor, split_layers(predictor.bundle))
        except BundleError as error:
            return cls(predictor, None, str(error))

    @property
    def bundle(self) -> Bundle:
        return self.predictor.bundle

    @property
    def has_layers(self) -> bool:
        """Whether `layered` can be asked for."""
        return self.split is not None

    @property
    def layered(self) -> LayeredModel:
        """The model's layers.

        Raises:
            RecipeError: the graph cannot be run layer by layer.
        """
        if self.split is None:
            raise RecipeError(self.problem or "this model cannot be taken apart.")
        return self.split

    def edited(self, edits: Sequence[Edit]) -> "InspectedModel":
        """The model as if its file had been edited. Its golden images are not checked: it would predict others.

        Raises:
            RecipeError: an edit that cannot be made.
        """
        if not edits:
            return self
        layered = edited(self.layered, edits)
        return InspectedModel(Predictor(layered.bundle, self.predictor.threads, check=False), layered)


@dataclass(frozen=True, eq=False)
class Inspection:
    """One image in one model.

    Attributes:
        studied: the model as it is shipped.
        source: a file's bytes or path, or uint8 (height, width, 1 or 3).
        without: names of preprocessing steps left out; `numbers` leaves out the scaling in the graph.
        changes: of the image, see `muslin.explain.image_edits`.
        edits: of the network, see `muslin.explain.model_edits`.
        ready: whether the source is an image as the network takes it, to which nothing is done.
        name: what to call the image in messages.
    """

    inspected: InspectedModel
    source: bytes | Path | Pixels
    without: frozenset[str] = frozenset()
    changes: Mapping[str, Any] | None = None
    edits: tuple[Edit, ...] = ()
    ready: bool = False
    name: str | None = None

    @cached_property
    def model(self) -> InspectedModel:
        """The model with the edits, and without the scaling where that was left out."""
        edits = list(self.edits)
        if preprocessing_steps.NUMBERS in self.without:
            layers = preprocessing_steps.scaling_layers(self.inspected.layered)
            edits += [{"kind": "layer_off", "layer": name} for name in layers]
        return self.inspected.edited(edits)

    @cached_property
    def _seen(self) -> tuple[list[preprocessing_steps.PreprocessingStep], Pixels, tuple[str, ...]]:
        preprocessing_steps.check_steps(self.without)
        if self.ready:
            pixels = np.asarray(self.source, np.uint8)
            return (
                [
                    preprocessing_steps.PreprocessingStep(
                        "taken", pixels, False, False, "as the network takes it"
                    )
                ],
                pixels,
                (),
            )
        source = self.source
        return preprocessing_steps.trace_preprocessing(self.inspected.bundle, source, self.without, self.name)

    @cached_property
    def pixels(self) -> Pixels:
        """What the network takes, after the changes: uint8 (height, width, channels)."""
        return changed(self._seen[1], self.changes) if self.changes else self._seen[1]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the image on its way, as `muslin predict` says it."""
        return self._seen[2]

    @cached_property
    def trace(self) -> Trace:
        """Every layer's result.

        Raises:
            RecipeError: the model cannot be taken apart.
        """
        return self.model.layered.trace(self.pixels)

    @cached_property
    def steps(self) -> list[preprocessing_steps.PreprocessingStep]:
        """The way from the file to the first layer's numbers."""
        steps = list(self._seen[0])
        if self.changes:
            steps.append(
                preprocessing_steps.PreprocessingStep(
                    "changed", self.pixels, False, False, preprocessing_steps.WORDS["changed"][1]
                )
            )
        if self.model.has_layers and (found := preprocessing_steps.first_numbers(self.trace)) is not None:
            scaling = preprocessing_steps.scaling_layers(self.inspected.layered)
            if self.model.layered.tta_flip:
                steps.append(
                    preprocessing_steps.PreprocessingStep(
                        "flipped",
                        self.pixels[:, ::-1],
                        False,
                        False,
                        preprocessing_steps.WORDS["flipped"][1],
                    )
                )
            text = f"{preprocessing_steps.WORDS['numbers'][1]}: {found[1].min():.3g} to {found[1].max():.3g}"
            left_out = preprocessing_steps.NUMBERS in self.without
            steps.append(
                preprocessing_steps.PreprocessingStep(
                    preprocessing_steps.NUMBERS, found[1], bool(scaling), left_out, text
                )
            )
        return steps

    @cached_property
    def probabilities(self) -> dict[str, dict[str, float]]:
        """Per target, each class's probability, from the very session that predicts."""
        answers = self.model.predictor.predict_pixels(self.pixels[None])
        return {
            t.name: dict(zip(t.classes, map(float, answers[t.name][0]), strict=True))
            for t in self.inspected.bundle.targets
        }

    @cached_property
    def predictions(self) -> Predictions:
        """Per target: the most probable class, all probabilities, and, where they are known, the scores."""
        found: Predictions = {}
        for target in self.inspected.bundle.targets:
            probabilities = self.probabilities[target.name]
            label = max(probabilities, key=lambda c: probabilities[c])
            answer: dict[str, Any] = {
                "label": label,
                "probability": probabilities[label],
                "probabilities": probabilities,
                "scores": None,
                "views": None,
            }
            if self.model.has_layers and target.name in self.model.layered.scores:
                scores = self.trace.values[self.model.layered.scores[target.name]]
                rows = [dict(zip(target.classes, map(float, row), strict=True)) for row in scores]
                answer["scores"] = {c: float(np.mean([row[c] for row in rows])) for c in target.classes}
                if len(rows) == 2:
                    answer["views"] = dict(zip(VIEWS, ({"scores": row} for row in rows), strict=True))
            found[target.name] = answer
        return found

    def plain(self) -> "Inspection":
        """The same image and model as they come, without any change."""
        return replace(self, without=frozenset(), changes=None, edits=())

    def effects(self) -> dict[str, dict[str, dict[str, float]]]:
        """Of each step that may be left out: how the probabilities would differ were it switched the other way."""
        found = {}
        for step in self.steps:
            if step.optional:
                other = replace(self, without=self.without ^ {step.name})
                found[step.name] = {
                    name: preprocessing_steps.effect(self.probabilities[name], other.probabilities[name])
                    for name in self.probabilities
                }
        return found

    def attribute(self, target: str, label: str, versus: str | None = None, **how: Any) -> Attribution:
        """See `muslin.explain.attribution.evidence`."""
        return attribute(self.trace, target, label, versus, **how)

    def sanity_checks(self, found: Attribution, seed: int = 0) -> dict[str, Any]:
        """See `muslin.explain.sanity_checks.trust`."""
        column = self.model.layered.target(found.target).classes.index(found.label)

        def answer(pixels: Pixels) -> NDArray[np.float32]:
            return self.model.predictor.predict_pixels(pixels)[found.target][:, column]

        return sanity_checks(self.trace, found, answer, seed)


def accuracy(
    before: Predictor, after: Predictor, pixels: Pixels, target: str, labels: NDArray[np.integer[Any]]
) -> dict[str, Any]:
    """How often a model is right before and after an edit, on the same images, with 95 % intervals.

    Args:
        pixels: uint8 (count, height, width, channels).
        labels: the true classes, (count,); those below 0 are passed over.
    """
    from muslin.evaluation.intervals import wilson_interval

    known = labels >= 0
    answers = [p.predict_pixels(pixels[known])[target].argmax(1) for p in (before, after)]
    figures = []
    for answer in answers:
        right = int((answer == labels[known]).sum())
        low, high = wilson_interval(right, int(known.sum()))
        figures.append(
            {"right": right, "accuracy": right / max(1, int(known.sum())), "interval": [low, high]}
        )
    return {
        "n": int(known.sum()),
        "before": figures[0],
        "after": figures[1],
        "changed": int((answers[0] != answers[1]).sum()),
    }
