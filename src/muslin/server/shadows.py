"""Candidates that predict beside the models in use. Their predictions are not returned, only compared."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from muslin.data.dataset import Target
from muslin.errors import MuslinError
from muslin.evaluation.selective import Triage
from muslin.models.model_output import Values
from muslin.models.prediction import UnnamedImages
from muslin.server.decoding import Decoder, SentImage
from muslin.server.metrics import Metrics, counted
from muslin.server.models import ModelTable, ServedModel
from muslin.server.results import stacked_pixels

MAX_WAITING, MAX_WAITING_BYTES = 256, 64_000_000
"""Images that wait for the shadows. More are not compared: a slow candidate holds up nobody and takes no memory."""


class Shadows:
    """Compares the predicted classes of each image with those of the model's shadow, after it was answered.

    Args:
        shadows: by the names of the models that they shadow.
        decoder: of the shadows alone.
    """

    def __init__(self, shadows: ModelTable, decoder: Decoder, metrics: Metrics) -> None:
        self._shadows, self._decoder, self._metrics = shadows, decoder, metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = self._waiting_bytes = 0

    async def described(self) -> dict[str, dict[str, Any]]:
        """What there is to tell of each shadow, as JSON values, by the name of the model that it shadows.

        In all workers, since it was loaded: of each target and class that the model predicted, how many predictions
        there were, and how many the shadow shares.
        """
        if not self._shadows:
            return {}
        agreement: dict[str, dict[str, dict[str, dict[str, int]]]] = {name: {} for name in self._shadows}
        for labels, value in await asyncio.to_thread(counted, self._metrics.collector(), "shadow_predictions"):
            name = labels["model"]
            if labels["shadow"] == self._shadows[name].digest:
                of_target = agreement[name].setdefault(labels["target"], {})
                counts = of_target.setdefault(labels["class"], {"predictions": 0, "agreeing": 0})
                counts["predictions"] += int(value)
                counts["agreeing"] += int(value) * (labels["agrees"] == "true")
        return {
            name: {"shadow_digest": shadow.digest, "shadow_agreement": agreement[name]}
            for name, shadow in self._shadows.items()
        }

    def observe(self, model: ServedModel, images: Iterable[SentImage], values: Values) -> None:
        """Compare later what the shadow predicts for images.

        Args:
            images: the readable ones of a request.
            values: what the model gave for them, a row for each.
        """
        shadow = self._shadows.get(model.name)
        if shadow is None:
            return
        kept = list(images)
        n_bytes = sum(image.n_bytes for image in kept)
        if self._waiting + len(kept) > MAX_WAITING or self._waiting_bytes + n_bytes > MAX_WAITING_BYTES:
            self._metrics.count("shadow_skipped_images", model.name, by=len(kept))
            return
        self._waiting += len(kept)
        self._waiting_bytes += n_bytes
        task = asyncio.get_running_loop().create_task(self._compare(model, shadow, kept, values))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, len(kept), n_bytes))

    def _end(self, images: int, n_bytes: int, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._waiting -= images
        self._waiting_bytes -= n_bytes

    async def _compare(
        self, model: ServedModel, shadow: ServedModel, images: Sequence[SentImage], values: Values
    ) -> None:
        try:
            read = await self._decoder.decode(images, shadow.predictor.bundle.preprocessing)
            if any(image.pixels is None for image in read):
                raise MuslinError("no_image_sent")  # it can read what the model in use could
            shadow_values = await shadow.batcher.submit(stacked_pixels(read))
        except MuslinError:
            self._metrics.count("shadow_skipped_images", model.name, by=len(images))
        else:
            names = UnnamedImages(len(images))
            in_use = model.predictor.decide(names, values, None, "overall").arrays
            candidate = shadow.predictor.decide(names, shadow_values, None, "overall").arrays
            others = {target.name: target for target in shadow.predictor.targets}
            for target in model.predictor.targets:
                if target.name in others:
                    self._count(shadow, target, in_use, others[target.name], candidate)

    def _count(
        self,
        shadow: ServedModel,
        target: Target,
        in_use: Mapping[str, Triage],
        other: Target,
        candidate: Mapping[str, Triage],
    ) -> None:
        for expected, found in zip(
            _labels(target, in_use[target.name]), _labels(other, candidate[target.name]), strict=True
        ):
            for name in expected:
                agrees = str(name in found).lower()
                self._metrics.count("shadow_predictions", shadow.name, shadow.digest, target.name, name, agrees)


def _labels(target: Target, decided: Triage) -> list[set[str]]:
    """The predicted class or labels of each image."""
    return [{target.classes[place] for place in row.nonzero()[0]} for row in decided.labels]
