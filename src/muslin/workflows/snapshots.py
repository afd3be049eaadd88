"""The network after each epoch of a training, as small bundles in the run's folder, which open like any model."""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from muslin.data.dataset import Split
from muslin.data.draws import evenly_spaced
from muslin.workflows.run_folder import Run
from muslin.workflows.training_data import TrainingData

if TYPE_CHECKING:
    from muslin.learn.modules import Net

MAX_SNAPSHOTS = 60
"""Of a run, about: of a training with more epochs only every second, third … is kept."""


def is_kept(epoch: int, epochs: int) -> bool:
    """Whether the network after `epoch` of `epochs` is kept: the first, the last, and evenly spaced ones between.

    >>> [epoch for epoch in range(1, 151) if is_kept(epoch, 150)][:4]
    [1, 3, 6, 9]
    """
    every = -(-epochs // MAX_SNAPSHOTS)
    return epoch in (1, epochs) or epoch % every == 0


class Snapshots:
    """Writes the snapshots of a run.

    Their images with known predictions are of the validation set, if there is one: the network does not learn them, so
    that they show what it has learned. The labels of these images stand in the provenance.
    """

    def __init__(self, run: Run, record: dict[str, Any], net: "Net", data: TrainingData) -> None:
        self._run, self._record, self._net, self._data = run, record, net, data

    def after_epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Write the network after the epoch of this row of the history, if it is kept. The network stays as it is.

        Raises:
            StorageError: the disk is full or the folder is not writable.
        """
        from muslin.learn.export import export
        from muslin.models.bundle import seal

        epoch, net, dataset = row["epoch"], self._net, self._data.dataset
        if not is_kept(epoch, epochs):
            return
        names = ("name", "recipe", "seed", "command", "started", "data", "versions", "machine")
        provenance = {name: self._record[name] for name in names}
        provenance["snapshot"] = {"epoch": epoch, "epochs": epochs, "row": row, "labels": self._labels}
        prefix, net.frozen_prefix = net.frozen_prefix, None  # it computes in another precision than a bundle does
        try:
            options: dict[str, Any] = {"golden": self._pixels, "provenance": provenance}
            bundle = export(net, dataset.targets, transform=dataset.transform, **options)
        finally:
            net.frozen_prefix = prefix
        seal(bundle, self._run.snapshot(epoch))

    @cached_property
    def _split(self) -> Split:
        """The parts, with the images of the snapshots in place of the training set."""
        parts = self._data.split
        return replace(parts, train=parts.validation) if len(parts.validation) else parts

    @cached_property
    def _pixels(self) -> Any:
        from muslin.learn.train import golden_images

        return golden_images(self._data.dataset, self._split)

    @cached_property
    def _labels(self) -> dict[str, Any]:
        """Per target the labels of the images: a class's index or -1; of several labels a list of 1, 0 or -1."""
        from muslin.learn.train import GOLDEN_COUNT

        indices = self._split.train[evenly_spaced(len(self._split.train), GOLDEN_COUNT)]
        return {name: values[indices].tolist() for name, values in self._data.dataset.labels.items()}
