"""Why a model says what it says of one image: what `muslin explain` does.

`explain` works everything out, `show.why` makes the page of it; the studio's pages show the same one by one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from muslin.data.dataset import Target
from muslin.errors import MuslinError, RecipeError, nearest
from muslin.explain.arithmetic import arithmetic
from muslin.explain.attribution import Attribution
from muslin.explain.inspection import InspectedModel, Inspection

CLASSES_SHOWN = 4
"""Classes with an evidence map of their own: the one asked about and the most probable others."""


@dataclass(frozen=True, eq=False)
class ExplainedTarget:
    """What there is to say of one target's answer.

    Attributes:
        label: the class that is explained.
        versus: the class that it is set against: the next probable one; None where there is no other.
        attributions: for `label` rather than `versus`, then for single classes, `label` first; empty without a map.
        sanity_checks: of the map of `label` alone, see `muslin.explain.sanity_checks`; None without a map.
        score: the arithmetic of its score, and of the probability made from it; either may be missing.
        problem: why there is no map; None where there is one.
    """

    target: Target
    label: str
    versus: str | None
    attributions: tuple[Attribution, ...] = ()
    sanity_checks: Mapping[str, Any] | None = None
    score: tuple[Mapping[str, Any], ...] = ()
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "class": self.label,
            "versus": self.versus,
            "attributions": [one.to_dict() for one in self.attributions],
            "sanity_checks": self.sanity_checks,
            "score": list(self.score),
            "problem": self.problem,
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """One image in one model.

    Attributes:
        model: what the model's file is called.
        image: what the image's file is called.
        inspection: the image in the model; its steps, answers and layers are worked out when they are asked for.
        targets: per target's name.
        value: the arithmetic of the strongest value of the first convolution; None where there is none.
    """

    model: str
    image: str
    inspection: Inspection
    targets: Mapping[str, ExplainedTarget]
    value: Mapping[str, Any] | None = field(default=None)

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Sentences on what cannot be shown of this model."""
        inspected = self.inspection.inspected
        return inspected.layered.unsupported if inspected.has_layers else (inspected.problem or "",)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON values; of the layers' maps only their range."""
        effects = self.inspection.effects()
        inspected = self.inspection.inspected
        layered = inspected.layered if inspected.has_layers else None
        return {
            "model": self.model,
            "image": self.image,
            "notes": list(self.inspection.notes),
            "steps": [
                {
                    "name": step.name,
                    "title": step.title,
                    "text": step.text,
                    "shape": list(step.pixels.shape),
                    "low": float(step.pixels.min()),
                    "high": float(step.pixels.max()),
                    "effect_of_leaving_out": effects.get(step.name),
                }
                for step in self.inspection.steps
            ],
            "predictions": self.inspection.predictions,
            "explanations": {name: one.to_dict() for name, one in self.targets.items()},
            "value": self.value,
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "detail": layer.detail,
                    "shape": list(layer.shape),
                    "parameters": layer.parameters,
                    "multiply_adds": layer.multiply_adds,
                    "share": layer.share,
                    "low": float(self.inspection.trace.values[layer.name].min()),
                    "high": float(self.inspection.trace.values[layer.name].max()),
                }
                for layer in (layered.layers if layered else ())
            ],
            "unsupported": list(self.unsupported),
        }


def explain(
    model: str | Path,
    image: str | Path,
    *,
    target: str | None = None,
    label: str | None = None,
    versus: str | None = None,
    layer: str | None = None,
    seed: int = 0,
    log: Callable[[str], None] = lambda sentence: None,
) -> Explanation:
    """Why `model` answers as it does for `image`.

    Args:
        model: a .muslin file or a run's folder.
        image: an image's file.
        target: only this one of the model's targets.
        label: the class to explain; by default the most probable one of each target.
        versus: the class to set it against; by default the most probable other one.
        layer: where the evidence is shown, one of `muslin.explain.attribution.attribution_layers`.
        seed: of the shuffled weights and random orders of the trust tests.
        say: called with a sentence before what takes seconds.

    Raises:
        BundleError: the model cannot be opened.
        ImageError: the image cannot be read.
        RecipeError: no such target, class or layer.
    """
    inspected = InspectedModel.open(model)
    path = Path(image)
    view = Inspection(inspected, path, name=str(image))
    targets = {one.name: one for one in inspected.bundle.targets}
    if target is not None and target not in targets:
        raise RecipeError(f"the model has no target {target!r}. {nearest(target, targets)}")
    asked = list(targets.values()) if target is None else [targets[target]]
    having = [one for one in asked if label is None or label in one.classes]
    if not having:
        raise RecipeError(f"no class {label!r}. {nearest(str(label), [c for t in asked for c in t.classes])}")
    chosen = [_chosen(view, one, label, versus) for one in having]
    explained = {one.target.name: _explained(view, one, layer, seed, log) for one in chosen}
    return Explanation(Path(model).name, path.name, view, explained, _value(view))


def _chosen(view: Inspection, target: Target, label: str | None, versus: str | None) -> ExplainedTarget:
    """Which class of a target is explained, and against which."""
    order = sorted(target.classes, key=lambda name: -view.probabilities[target.name][name])
    label = order[0] if label is None else label
    others = [name for name in order if name != label]
    if versus is not None and versus not in others:
        raise RecipeError(
            f"{target.name}: no class {versus!r} to set {label!r} against. {nearest(versus, others)}"
        )
    return ExplainedTarget(target, label, versus or (others[0] if others else None))


def _explained(
    view: Inspection, chosen: ExplainedTarget, layer: str | None, seed: int, log: Callable[[str], None]
) -> ExplainedTarget:
    name, label, versus = chosen.target.name, chosen.label, chosen.versus
    if not view.model.has_layers:
        return ExplainedTarget(chosen.target, label, versus, problem=view.model.problem)
    order = sorted(chosen.target.classes, key=lambda one: -view.probabilities[name][one])
    shown = [label, *[one for one in order if one != label]][:CLASSES_SHOWN]
    try:
        maps = [view.attribute(name, one, layer=layer) for one in shown]
    except RecipeError as error:
        if layer is not None:
            raise
        return ExplainedTarget(chosen.target, label, versus, score=_score(view, chosen), problem=str(error))
    pair = [] if versus is None else [view.attribute(name, label, versus, layer=layer)]
    log(f"testing whether the evidence for {label} can be trusted")
    trust = view.sanity_checks(maps[0], seed)
    return ExplainedTarget(chosen.target, label, versus, (*pair, *maps), trust, _score(view, chosen))


def _score(view: Inspection, chosen: ExplainedTarget) -> tuple[Mapping[str, Any], ...]:
    """How the class's score is added up, and how it becomes a probability, as far as that can be shown."""
    name, index = chosen.target.name, chosen.target.classes.index(chosen.label)
    found = []
    at: tuple[str, list[int]] | None = (name, [index])
    for _ in range(4):  # a mean of both halves, then softmax or sigmoid, then the score
        try:
            step = arithmetic(view.trace, *at) if at else None
        except MuslinError:
            break
        if step is None:
            break
        found.append(step)
        last = step["chain"][-1]
        scores = view.model.layered.scores.get(name)
        if step["layer"] == scores or scores is None:
            break
        if last["kind"] == "mean" and last.get("terms"):
            at = (last["terms"][0]["layer"], last["terms"][0]["index"])
        else:
            at = (scores, [index])
    return tuple(found)


def _value(view: Inspection) -> Mapping[str, Any] | None:
    """The arithmetic behind the strongest value of the first convolution."""
    if not view.model.has_layers:
        return None
    for layer in view.model.layered.layers:
        if layer.kernel is not None and layer.unsupported is None:
            values = view.trace.of(layer.name)
            index = np.unravel_index(int(np.abs(values).argmax()), values.shape)
            return arithmetic(view.trace, layer.name, [int(i) for i in index])
    return None
