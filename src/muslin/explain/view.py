"""A view: one model, one picture, and what was changed in either; and everything that is worked out for it.

`Studied` is a model opened for explaining; `View` adds the picture, the steps left out, the changes and the edits.
The studio's pages, `muslin explain` and a notebook all go through these two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.bundle import Bundle
from muslin.explain import saw
from muslin.explain.anatomy import HALVES, Anatomy, Trace, take_apart
from muslin.explain.changes import changed
from muslin.explain.edits import Edit, edited
from muslin.explain.evidence import Evidence, evidence
from muslin.explain.trust import trust
from muslin.predictor import Predictor

Pixels = NDArray[np.uint8]
Answers = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Studied:
    """A model: `predictor` answers as it is shipped, `anatomy` shows every layer on the way there.

    `cannot_why` says why there is no anatomy, for a graph that cannot be taken apart at all.
    """

    predictor: Predictor
    anatomy: Anatomy | None
    cannot_why: str | None = None

    @classmethod
    def open(cls, path: str | Path) -> "Studied":
        """Open a .muslin file or a run's folder.

        Raises:
            BundleError: it cannot be opened, or does not answer to its golden images as it was sealed.
        """
        return cls.of(Predictor.open(path, threads=1))

    @classmethod
    def of(cls, predictor: Predictor) -> "Studied":
        """The same for a predictor. A graph that cannot be run layer by layer still answers."""
        from muslin.errors import BundleError

        try:
            return cls(predictor, take_apart(predictor.bundle))
        except BundleError as error:
            return cls(predictor, None, str(error))

    @property
    def bundle(self) -> Bundle:
        return self.predictor.bundle

    def edited(self, edits: Sequence[Edit]) -> "Studied":
        """The model as if its file had been edited. Its golden images are not asked: they would answer otherwise.

        Raises:
            RecipeError: an edit that cannot be made.
        """
        if not edits:
            return self
        apart = edited(self.apart, edits)
        return Studied(Predictor(apart.bundle, self.predictor.threads, check=False), apart)

    @property
    def apart(self) -> Anatomy:
        """The anatomy.

        Raises:
            RecipeError: there is none.
        """
        from muslin.errors import RecipeError

        if self.anatomy is None:
            raise RecipeError(self.cannot_why or "this model cannot be taken apart.")
        return self.anatomy


@dataclass(frozen=True, eq=False)
class View:
    """One picture in one model.

    Attributes:
        studied: the model as it is shipped.
        source: a file's bytes or path, or uint8 (height, width, 1 or 3).
        without: names of preprocessing steps left out; `numbers` leaves out the scaling in the graph.
        changes: of the picture, see `muslin.explain.changes`.
        edits: of the network, see `muslin.explain.edits`.
        ready: whether the source is a picture as the network takes it, to which nothing is done.
        name: what to call the picture in messages.
    """

    studied: Studied
    source: bytes | Path | Pixels
    without: frozenset[str] = frozenset()
    changes: Mapping[str, Any] | None = None
    edits: tuple[Edit, ...] = ()
    ready: bool = False
    name: str | None = None

    @cached_property
    def model(self) -> Studied:
        """The model with the edits, and without the scaling where that was left out."""
        edits = list(self.edits)
        if saw.NUMBERS in self.without:
            layers = saw.scaling_layers(self.studied.apart)
            edits += [{"kind": "layer_off", "layer": name} for name in layers]
        return self.studied.edited(edits)

    @cached_property
    def _seen(self) -> tuple[list[saw.Seen], Pixels, tuple[str, ...]]:
        saw.check_steps(self.without)
        if self.ready:
            pixels = np.asarray(self.source, np.uint8)
            return [saw.Seen("taken", pixels, False, False, "as the network takes it")], pixels, ()
        source = self.source
        return saw.see(self.studied.bundle, source, self.without, self.name)

    @cached_property
    def pixels(self) -> Pixels:
        """What the network takes, after the changes: uint8 (height, width, channels)."""
        return changed(self._seen[1], self.changes) if self.changes else self._seen[1]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the picture on its way, as `muslin predict` says it."""
        return self._seen[2]

    @cached_property
    def trace(self) -> Trace:
        """Every layer's result.

        Raises:
            RecipeError: the model cannot be taken apart.
        """
        return self.model.apart.trace(self.pixels)

    @cached_property
    def steps(self) -> list[saw.Seen]:
        """The way from the file to the first layer's numbers."""
        steps = list(self._seen[0])
        if self.changes:
            steps.append(saw.Seen("changed", self.pixels, False, False, saw.WORDS["changed"][1]))
        if self.model.anatomy is not None and (found := saw.first_numbers(self.trace)) is not None:
            scaling = saw.scaling_layers(self.studied.apart)
            if self.model.apart.mirrored:
                steps.append(
                    saw.Seen("mirrored", self.pixels[:, ::-1], False, False, saw.WORDS["mirrored"][1])
                )
            text = f"{saw.WORDS['numbers'][1]}: {found[1].min():.3g} to {found[1].max():.3g}"
            left_out = saw.NUMBERS in self.without
            steps.append(saw.Seen(saw.NUMBERS, found[1], bool(scaling), left_out, text))
        return steps

    @cached_property
    def probabilities(self) -> dict[str, dict[str, float]]:
        """Per target, each class's probability, from the very session that predicts."""
        answers = self.model.predictor.predict_pixels(self.pixels[None])
        return {
            t.name: dict(zip(t.classes, map(float, answers[t.name][0]), strict=True))
            for t in self.studied.bundle.targets
        }

    @cached_property
    def answers(self) -> Answers:
        """Per target: the most probable class, all probabilities, and, where they are known, the scores."""
        found: Answers = {}
        for target in self.studied.bundle.targets:
            probabilities = self.probabilities[target.name]
            label = max(probabilities, key=lambda c: probabilities[c])
            answer: dict[str, Any] = {
                "label": label,
                "probability": probabilities[label],
                "probabilities": probabilities,
                "scores": None,
                "halves": None,
            }
            apart = self.model.anatomy
            if apart is not None and target.name in apart.scores:
                scores = self.trace.values[apart.scores[target.name]]
                rows = [dict(zip(target.classes, map(float, row), strict=True)) for row in scores]
                answer["scores"] = {c: float(np.mean([row[c] for row in rows])) for c in target.classes}
                if len(rows) == 2:
                    answer["halves"] = dict(zip(HALVES, ({"scores": row} for row in rows), strict=True))
            found[target.name] = answer
        return found

    def plain(self) -> "View":
        """The same picture and model as they come, without any change."""
        return replace(self, without=frozenset(), changes=None, edits=())

    def effects(self) -> dict[str, dict[str, dict[str, float]]]:
        """Of each step that may be left out: how the probabilities would differ were it switched the other way."""
        found = {}
        for step in self.steps:
            if step.may_be_left_out:
                other = replace(self, without=self.without ^ {step.name})
                found[step.name] = {
                    name: saw.effect(self.probabilities[name], other.probabilities[name])
                    for name in self.probabilities
                }
        return found

    def evidence(self, target: str, label: str, versus: str | None = None, **how: Any) -> Evidence:
        """See `muslin.explain.evidence.evidence`."""
        return evidence(self.trace, target, label, versus, **how)

    def trust(self, found: Evidence, seed: int = 0) -> dict[str, Any]:
        """See `muslin.explain.trust.trust`."""
        column = self.model.apart.target(found.target).classes.index(found.label)

        def answer(pixels: Pixels) -> NDArray[np.float32]:
            return self.model.predictor.predict_pixels(pixels)[found.target][:, column]

        return trust(self.trace, found, answer, seed)


def accuracy(
    before: Predictor, after: Predictor, pixels: Pixels, target: str, labels: NDArray[np.integer[Any]]
) -> dict[str, Any]:
    """How often a model is right before and after an edit, on the same pictures, with 95 % intervals.

    Args:
        pixels: uint8 (count, height, width, channels).
        labels: the true classes, (count,); those below 0 are passed over.
    """
    from muslin.evaluation.intervals import wilson

    known = labels >= 0
    answers = [p.predict_pixels(pixels[known])[target].argmax(1) for p in (before, after)]
    figures = []
    for answer in answers:
        right = int((answer == labels[known]).sum())
        low, high = wilson(right, int(known.sum()))
        figures.append(
            {"right": right, "accuracy": right / max(1, int(known.sum())), "interval": [low, high]}
        )
    return {
        "n": int(known.sum()),
        "before": figures[0],
        "after": figures[1],
        "changed": int((answers[0] != answers[1]).sum()),
    }
