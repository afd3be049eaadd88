"""The data of a run, read again as its training read them: with its corrections, without what it excluded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit import exclusions
from muslin.data.audit.corrections import correct_labels, read_corrections
from muslin.data.dataset import Dataset
from muslin.errors import DataError
from muslin.messages import Log, no_log
from muslin.workflows.run_folder import Run
from muslin.workflows.training_data import read_source


@dataclass(frozen=True, eq=False)
class RunData:
    """The data of a run, before photos are decoded and parts are drawn.

    Attributes:
        dataset: the samples that the run did not exclude, with its corrected labels.
        indices: int64 (n,): where each of them is in the data as they were read.
    """

    dataset: Dataset
    indices: NDArray[np.int64]

    def find(self, ids: NDArray[np.object_]) -> NDArray[np.int64]:
        """Where the samples with these ids are in the data as they were read, int64 (n,)."""
        places = dict(zip(self.dataset.ids, self.indices.tolist(), strict=True))
        return np.array([places[id_] for id_ in ids], np.int64)


def read_run_data(run: Run, record: Mapping[str, Any], log: Log = no_log) -> RunData:
    """The data from where `run.json` says that they are.

    Raises:
        DataError: they were in memory, or cannot be read.
    """
    if record["source"] is None:
        raise DataError("run_data_in_memory", path=str(run.folder))
    return edit_as_run(run, record, read_source(record["source"], log))


def edit_as_run(run: Run, record: Mapping[str, Any], dataset: Dataset) -> RunData:
    """`dataset`, which was read as the run says, with the run's corrections and without what it excluded.

    Raises:
        DataError: the data are not those of the run's corrections or exclusions.
    """
    if corrections := record["corrections"]:
        dataset = correct_labels(dataset, read_corrections(run.corrections), corrections["path"])
    kept = dataset
    if exclude := record["exclude"]:
        kept = exclusions.exclude_samples(dataset, exclusions.read_exclusions(run.excluded), exclude["path"])
    if len(kept) == len(dataset):
        return RunData(kept, np.arange(len(dataset)))
    return RunData(kept, np.flatnonzero(np.isin(dataset.ids.astype(str), kept.ids.astype(str))))
