"""Why a model predicts what it predicts for one image: what `muslin explain` does.

`explain` computes everything, `muslin.reporting.report.explanation_page` makes the page of it; the studio's pages show
the same one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muslin.data.dataset import Target
from muslin.errors import ExplanationError, unknown
from muslin.explain.arithmetic import arithmetic
from muslin.explain.attribution import Attribution
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.messages import Log, Message, no_log

CLASSES_SHOWN = 4
"""Classes with an attribution of their own: the explained one and the most probable others."""
LAYER_FIELDS = ("name", "kind", "shape", "parameters", "multiply_adds", "multiply_adds_share")


@dataclass(frozen=True)
class ExplainOptions:
    """What to explain.

    Attributes:
        target: only this one of the model's targets.
        label: the class to explain; by default the predicted class of each target.
        versus: the class to compare it with; by default the most probable other one.
        layer: where attributions are shown, one of `muslin.explain.attribution.attribution_layers`.
        seed: of the shuffled weights and random orders of the sanity checks; by default 0.
    """

    target: str | None = None
    label: str | None = None
    versus: str | None = None
    layer: str | None = None
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class ExplainedTarget:
    """The explanation of one target's prediction.

    Attributes:
        label: the class that is explained.
        versus: the class that it is compared with; None where there is no other.
        attributions: for `label` rather than `versus`, then for single classes, `label` first; empty without a map.
        sanity_checks: of the map of `label` alone, see `muslin.explain.sanity_checks`; None without a map.
        score_arithmetic: of its probability, and of the score it is made from; either may be missing.
        error: why there is no map; None where there is one.
    """

    target: Target
    label: str
    versus: str | None
    attributions: tuple[Attribution, ...] = ()
    sanity_checks: Mapping[str, Any] | None = None
    score_arithmetic: tuple[Mapping[str, Any], ...] = ()
    error: Message | str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("versus", "sanity_checks", "score_arithmetic", "error")
        plain = {name: getattr(self, name) for name in names}
        return plain | {"class": self.label, "attributions": [one.to_dict() for one in self.attributions]}


@dataclass(frozen=True, eq=False)
class Explanation:
    """One image in one model.

    Attributes:
        model: the name of the model's file.
        image: the name of the image's file.
        inspection: the image in the model; its steps, predictions and layers are computed when they are asked for.
        targets: per target's name.
        strongest_value: the arithmetic of the strongest value of the first convolution; None where there is none.
    """

    model: str
    image: str
    inspection: Inspection
    targets: Mapping[str, ExplainedTarget]
    strongest_value: Mapping[str, Any] | None = None

    @property
    def unsupported(self) -> tuple[Message | str, ...]:
        """What cannot be shown of this model."""
        inspected = self.inspection.inspected
        return inspected.layered.unsupported if inspected.has_layers else (inspected.error or "",)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values for JSON; of the layers' maps only their range."""
        effects, inspected = self.inspection.effects(), self.inspection.inspected
        return {
            "model": self.model,
            "image": self.image,
            "notes": list(self.inspection.notes),
            "preprocessing": [
                {
                    "name": step.name,
                    "title": step.title,
                    "text": step.text,
                    "shape": list(step.pixels.shape),
                    "low": float(step.pixels.min()),
                    "high": float(step.pixels.max()),
                    "effect_of_skipping": effects.get(step.name),
                }
                for step in self.inspection.steps
            ],
            "predictions": self.inspection.predictions,
            "explanations": {name: one.to_dict() for name, one in self.targets.items()},
            "strongest_value": self.strongest_value,
            "layers": [
                {name: getattr(layer, name) for name in LAYER_FIELDS}
                | {"detail": layer.details["en"],
                   "low": float(self.inspection.trace.values[layer.name].min()),
                   "high": float(self.inspection.trace.values[layer.name].max())}
                for layer in (inspected.layered.layers if inspected.has_layers else ())
            ],
            "unsupported": list(self.unsupported),
        }  # fmt: skip


def explain(
    model: str | Path, image: str | Path, options: ExplainOptions | None = None, *, log: Log = no_log
) -> Explanation:
    """Why `model` predicts what it predicts for `image`.

    Args:
        model: a .muslin file or a run's folder.
        image: an image's file.
        options: by default the predicted class of every target is explained.
        log: called with a sentence before what takes seconds.

    Raises:
        BundleError: the model cannot be opened.
        ImageError: the image cannot be read.
        ExplanationError: no such target, class or layer, or an option has no effect because there is no attribution.
    """
    options = options or ExplainOptions()
    inspected = InspectedModel.open(model)
    path = Path(image)
    inspection = Inspection(inspected, path, name=str(image))
    if not inspected.has_layers:
        _refuse_unused(options, inspected.error)
    targets = inspected.bundle.targets
    chosen = [target for target in targets if options.target in (None, target.name)]
    if not chosen:
        known = unknown(options.target, [target.name for target in targets])
        raise ExplanationError("explained_target_unknown", **known)
    with_label = [target for target in chosen if options.label is None or options.label in target.classes]
    if not with_label:
        classes = [label for target in chosen for label in target.classes]
        names = " and ".join(target.name for target in chosen)
        raise ExplanationError("explained_class_unknown", target=names, **unknown(options.label, classes))
    explained = {target.name: _explain_target(inspection, target, options, log) for target in with_label}
    if not any(one.attributions for one in explained.values()):
        _refuse_unused(options, next(one.error for one in explained.values()))
    return Explanation(Path(model).name, path.name, inspection, explained, _strongest_value(inspection))


def _refuse_unused(options: ExplainOptions, reason: Message | str | None) -> None:
    """Refuse what only attributions use, because there is none."""
    if unused := [name for name in ("versus", "layer", "seed") if getattr(options, name) is not None]:
        raise ExplanationError("explain_options_unused", options=[f"--{name}" for name in unused], reason=reason)


def _explain_target(inspection: Inspection, target: Target, options: ExplainOptions, log: Log) -> ExplainedTarget:
    """Explain the chosen class of a target, or the predicted one, against the most probable other one."""
    probabilities, layer = inspection.probabilities[target.name], options.layer
    order = sorted(target.classes, key=lambda label: -probabilities[label])
    label = inspection.predictions[target.name]["label"] if options.label is None else options.label
    others = [name for name in order if name != label]
    if options.versus is not None and options.versus not in others:
        details = unknown(options.versus, others)
        raise ExplanationError("versus_unknown", target=target.name, label=label, **details)
    versus = options.versus or (others[0] if others else None)
    if not inspection.model.has_layers:
        return ExplainedTarget(target, label, versus, error=inspection.model.error)
    score = _score_arithmetic(inspection, target, label)
    shown = [label, *others][:CLASSES_SHOWN]
    try:
        maps = [inspection.attribute(target.name, name, layer=layer) for name in shown]
    except ExplanationError as error:
        if layer is not None:
            raise
        return ExplainedTarget(target, label, versus, score_arithmetic=score, error=error.message)
    pair = [] if versus is None else [inspection.attribute(target.name, label, versus, layer=layer)]
    log(Message("log_sanity_checks", label=label))
    checks = inspection.sanity_checks(maps[0], options.seed or 0)
    return ExplainedTarget(target, label, versus, (*pair, *maps), checks, score)


def _score_arithmetic(inspection: Inspection, target: Target, label: str) -> tuple[Mapping[str, Any], ...]:
    """How the class's score is added up, and how it becomes a probability, as far as that can be shown."""
    scores = inspection.model.layered.scores.get(target.name)
    results: list[Mapping[str, Any]] = []
    layer, position = target.name, [target.classes.index(label)]
    for _ in range(4):  # a mean of both views, then softmax or sigmoid, then the score
        try:
            results.append(arithmetic(inspection.trace, layer, position))
        except ExplanationError:
            break
        last = results[-1]["layer_path"][-1]
        if layer == scores or scores is None:
            break
        layer, position = scores, [target.classes.index(label)]
        if last["kind"] == "mean":
            layer, position = last["terms"][0]["layer"], last["terms"][0]["index"]
    return tuple(results)


def _strongest_value(inspection: Inspection) -> Mapping[str, Any] | None:
    """The arithmetic behind the strongest value of the first convolution."""
    if not inspection.model.has_layers:
        return None
    layers = inspection.model.layered.layers
    layer = next((one for one in layers if one.kernel is not None and one.unsupported is None), None)
    if layer is None:
        return None
    values = inspection.trace.of(layer.name)
    index = np.unravel_index(int(np.abs(values).argmax()), values.shape)
    return arithmetic(inspection.trace, layer.name, [int(i) for i in index])
