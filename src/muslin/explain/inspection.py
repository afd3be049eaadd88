"""One image in one model, with what was changed in either, and everything that is computed from them.

`InspectedModel` is a model opened for explaining; `Inspection` adds the image, the skipped preprocessing steps and the
edits. The studio's pages, `muslin explain` and a notebook all go through these two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import BundleError, ExplanationError, unknown
from muslin.evaluation.intervals import wilson_interval
from muslin.evaluation.thresholds import predict_classes
from muslin.explain import preprocessing_steps
from muslin.explain.attribution import Attribution, attribute
from muslin.explain.image_edits import edit_image
from muslin.explain.layers import VIEWS, LayeredModel, Trace, split_layers
from muslin.explain.lazy_property import lazy_property
from muslin.explain.model_edits import Edit, edit_model
from muslin.explain.preprocessing_steps import NORMALISED, STEPS, PreprocessingStep
from muslin.explain.sanity_checks import sanity_checks
from muslin.images import DecodedImage, decode
from muslin.messages import Message
from muslin.models.bundle import Bundle
from muslin.models.graph_variant import FLOAT32
from muslin.models.predictor import Predictor

Pixels = NDArray[np.uint8]
Predictions = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class InspectedModel:
    """A model: `predictor` predicts as it is shipped, `layered` shows every layer on the way there.

    Attributes:
        predictor: the model.
        split: its layers; None where its graph cannot be run layer by layer.
        error: why `split` is None.
    """

    predictor: Predictor
    split: LayeredModel | None
    error: Message | str | None = None

    @classmethod
    def open(cls, path: str | Path) -> "InspectedModel":
        """Open a .muslin file or a run's folder.

        Raises:
            BundleError: it cannot be opened, or does not predict its golden images as it was sealed.
        """
        return cls.of(Predictor.open(path, threads=1, graph=FLOAT32))

    @classmethod
    def of(cls, predictor: Predictor) -> "InspectedModel":
        """The same for a predictor. A graph that cannot be run layer by layer still predicts."""
        try:
            return cls(predictor, split_layers(predictor.bundle))
        except BundleError as error:
            return cls(predictor, None, error.message)

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
            ExplanationError: the graph cannot be run layer by layer.
        """
        if self.split is None:
            raise ExplanationError("layers_unavailable", reason=self.error)
        return self.split

    def edited(self, edits: Sequence[Edit]) -> "InspectedModel":
        """The model as if its file had been edited. Its golden images are not checked: it would predict others.

        Raises:
            ExplanationError: an edit that cannot be made.
        """
        if not edits:
            return self
        layered = edit_model(self.layered, edits)
        return InspectedModel(Predictor(layered.bundle, self.predictor.threads, check=False), layered)


@dataclass(frozen=True, eq=False)
class Inspection:
    """One image in one model.

    Attributes:
        inspected: the model as it is shipped.
        source: a file's bytes or path, or uint8 (height, width, 1 or 3).
        skip: names of preprocessing steps to skip; `normalised` skips the scaling in the graph.
        image_edits: see `muslin.explain.image_edits`.
        model_edits: see `muslin.explain.model_edits`.
        preprocessed: whether the source is an image as the network takes it.
        name: what to call the image in messages.
        decode: `muslin.images.decode`, or one like it.
    """

    inspected: InspectedModel
    source: bytes | Path | Pixels
    skip: frozenset[str] = frozenset()
    image_edits: Mapping[str, Any] | None = None
    model_edits: tuple[Edit, ...] = ()
    preprocessed: bool = False
    name: str | None = None
    decode: Callable[..., DecodedImage] = decode

    @lazy_property
    def model(self) -> InspectedModel:
        """The model with the edits, and without the scaling where that is skipped."""
        edits = list(self.model_edits)
        if NORMALISED in self.skip:
            layers = preprocessing_steps.scaling_layers(self.inspected.layered)
            edits += [{"kind": "layer_off", "layer": name} for name in layers]
        return self.inspected.edited(edits)

    @lazy_property
    def _preprocessing(self) -> tuple[list[PreprocessingStep], Pixels, tuple[str, ...]]:
        for name in self.skip:
            if name not in STEPS:
                raise ExplanationError("step_unknown", **unknown(str(name)[:40], STEPS))
        if self.preprocessed:
            pixels = np.asarray(self.source, np.uint8)
            return [PreprocessingStep("model_input", pixels)], pixels, ()
        bundle = self.inspected.bundle
        return preprocessing_steps.trace_preprocessing(bundle, self.source, self.skip, self.name, self.decode)

    @lazy_property
    def pixels(self) -> Pixels:
        """What the network takes, after the edits: uint8 (height, width, channels)."""
        pixels = self._preprocessing[1]
        return edit_image(pixels, self.image_edits) if self.image_edits else pixels

    @property
    def computed_bytes(self) -> int:
        """Memory of the images and of the layers' results that were computed so far."""
        computed = vars(self)
        images = [step.pixels for step in computed["_preprocessing"][0]] if "_preprocessing" in computed else []
        results = list(computed["trace"].values.values()) if "trace" in computed else []
        return sum(array.nbytes for array in images + results)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the image, as a prediction notes it."""
        return self._preprocessing[2]

    @lazy_property
    def trace(self) -> Trace:
        """Every layer's result.

        Raises:
            ExplanationError: the model cannot be split into layers.
        """
        return self.model.layered.trace(self.pixels)

    @lazy_property
    def steps(self) -> list[PreprocessingStep]:
        """From the file to the input of the first layer."""
        steps = list(self._preprocessing[0])
        if self.image_edits:
            steps.append(PreprocessingStep("edited", self.pixels))
        if self.model.has_layers and (first_input := preprocessing_steps.first_layer_input(self.trace)) is not None:
            if self.model.layered.tta_flip:
                steps.append(PreprocessingStep("flipped", self.pixels[:, ::-1]))
            optional = bool(preprocessing_steps.scaling_layers(self.inspected.layered))
            bounds = {"low": f"{first_input.min():.3g}", "high": f"{first_input.max():.3g}"}
            skipped = NORMALISED in self.skip
            steps.append(PreprocessingStep(NORMALISED, first_input, optional, skipped, bounds))
        return steps

    @lazy_property
    def probabilities(self) -> dict[str, dict[str, float]]:
        """Per target, each class's probability, from the session that predicts."""
        predicted = self.model.predictor.predict_pixels(self.pixels[None])
        return {
            t.name: dict(zip(t.classes, map(float, predicted[t.name][0]), strict=True))
            for t in self.inspected.bundle.targets
        }

    @lazy_property
    def predictions(self) -> Predictions:
        """Per target: the predicted class, all probabilities, and the scores where there are such."""
        predictions: Predictions = {}
        for target in self.inspected.bundle.targets:
            probabilities = self.probabilities[target.name]
            row = np.array([list(probabilities.values())], np.float32)
            label = target.classes[predicted_classes(self.inspected.predictor, target, row).item()]
            layer = self.model.layered.scores.get(target.name) if self.model.has_layers else None
            scores = () if layer is None else self.trace.values[layer]
            views = [dict(zip(target.classes, map(float, row), strict=True)) for row in scores]
            mean = {c: float(np.mean([one[c] for one in views])) for c in target.classes} if views else None
            both = dict(zip(VIEWS, ({"scores": one} for one in views), strict=True)) if len(views) == 2 else None
            predictions[target.name] = {
                "label": label,
                "probability": probabilities[label],
                "probabilities": probabilities,
                "scores": mean,
                "views": both,
            }
        return predictions

    def effects(self) -> dict[str, dict[str, dict[str, float]]]:
        """Per optional step, target and class: the change of the probability if the step were switched."""
        effects = {}
        for step in self.steps:
            if step.optional:
                other = replace(self, skip=self.skip ^ {step.name}).probabilities
                effects[step.name] = {
                    target: {label: other[target][label] - before for label, before in classes.items()}
                    for target, classes in self.probabilities.items()
                }
        return effects

    def attribute(self, target: str, label: str, versus: str | None = None, **options: Any) -> Attribution:
        """See `muslin.explain.attribution.attribute`."""
        return attribute(self.trace, target, label, versus, **options)

    def sanity_checks(self, attribution: Attribution, seed: int = 0) -> dict[str, Any]:
        """See `muslin.explain.sanity_checks`."""
        target, predict = attribution.target, self.model.predictor.predict_pixels
        column = self.model.layered.target(target).classes.index(attribution.label)
        return sanity_checks(self.trace, attribution, lambda pixels: predict(pixels)[target][:, column], seed)


def predicted_classes(
    predictor: Predictor, target: Target, probabilities: NDArray[np.floating[Any]]
) -> NDArray[np.int64]:
    """The class that a model predicts for each image, int64 (n,): the most probable one, or of two classes the one that
    the model's threshold decides for.

    Args:
        probabilities: (n, classes), calibrated.
    """
    thresholds = None if target.kind == "multilabel" else predictor.thresholds.get(target.name)
    return predict_classes(target, probabilities, thresholds)


def accuracy_before_and_after(
    before: Predictor, after: Predictor, pixels: Pixels, target: Target, labels: NDArray[np.integer[Any]]
) -> dict[str, Any]:
    """A model's accuracy before and after an edit, on the same images, with 95 % intervals.

    Args:
        pixels: uint8 (n, height, width, channels).
        labels: the true classes, (n,); those below 0 are unknown and ignored.
    """
    labelled = labels >= 0
    n, truth = int(labelled.sum()), labels[labelled]
    pixels = pixels[labelled]
    predicted = [
        predicted_classes(model, target, model.predict_pixels(pixels)[target.name]) for model in (before, after)
    ]
    correct = [int((classes == truth).sum()) for classes in predicted]
    metrics = [
        {"correct": count, "accuracy": count / max(1, n), "interval": list(wilson_interval(count, n))}
        for count in correct
    ]
    return {"n": n, "before": metrics[0], "after": metrics[1], "changed": int((predicted[0] != predicted[1]).sum())}
