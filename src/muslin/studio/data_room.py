"""What the data room knows: data sets with the decisions on their images, and what a run predicts for these."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS
from muslin.errors import BundleError, DataError, MuslinError
from muslin.models.predictor import MODEL_FILE
from muslin.studio.corrections import Corrections, ImageDecision, corrected_labels
from muslin.studio.data_selection import Facts
from muslin.studio.data_sets import DataSets, OpenData
from muslin.studio.made_once import MadeOnce
from muslin.studio.model_files import path_within
from muslin.studio.run_sources import RunSource, source_of
from muslin.studio.similarity_map import SimilarityMap, load_map, make_map, map_path, save_map

MAX_SHEET_BYTES = 60_000_000
"""Of all sheets in memory."""

MAX_CORRECTIONS = 20
MAX_RUNS = 4


@dataclass(frozen=True, eq=False)
class RunFacts:
    """What a run's model says of the images of a data set.

    Attributes:
        values: per target's name, per name of a value, float32 (count,); NaN of images that it has not predicted.
        predicted: per target's name int64 (count,) of places in the target's classes; -1 where it has not.
        vectors: float32 (count, width) by whose dot products images are similar, zeros where there is none; or None.
    """

    values: Mapping[str, dict[str, NDArray[np.float32]]]
    predicted: Mapping[str, NDArray[np.int64]]
    vectors: NDArray[np.float32] | None


class DataRoom:
    """The data sets of one folder and the decisions on them. Safe to use from several threads at once."""

    def __init__(self, data: DataSets) -> None:
        self.data, self.root = data, data.root
        self.sheets: MadeOnce[tuple[Any, ...], bytes] = MadeOnce(MAX_SHEET_BYTES, len)
        self._corrections: MadeOnce[tuple[str, str], Corrections] = MadeOnce(MAX_CORRECTIONS)
        self._runs: MadeOnce[tuple[Any, ...], RunFacts] = MadeOnce(MAX_RUNS)

    def corrections(self, opened: OpenData) -> Corrections:
        """The decisions on a data set."""
        key = opened.name, opened.version
        return self._corrections.get(key, lambda: Corrections(self.root, opened.name, opened.targets))

    def facts(self, opened: OpenData, target: str | None, run: str = "") -> Facts:
        """What is known of the images for one target, with the decisions and what a run says of them.

        Raises:
            DataError: there is no such target or run.
        """
        standing = self.corrections(opened).current()
        labels = None if target is None else corrected_labels(opened, standing, target)
        excluded = marked(opened, standing, "exclude")
        decided = excluded | marked(opened, [each for each in standing if each.target in (target, "")], "label")
        values = self.run_facts(opened, run).values.get(target or "", {}) if run else {}
        return Facts(labels, decided, excluded, values)

    def map(self, opened: OpenData, run: str = "") -> SimilarityMap | None:
        """The map of a data set, by a run's features if one is named; None where it is to be computed by a job.

        Raises:
            DataError: there is no such run in the folder.
        """
        path = map_path(opened, self.root, run, self._run_version(run))
        found = load_map(path)
        return found if found is not None and len(found.vectors) == len(opened) else None

    def make_map(
        self,
        opened: OpenData,
        run: str,
        report: Callable[[float], object],
        first_kept: Callable[[], object] = lambda: None,
    ) -> SimilarityMap:
        """Compute the map of a data set and keep it.

        Args:
            report: called with the share that is done, from 0 to 1.
            first_kept: called when a first view of the map can be shown.

        Raises:
            DataError: there is no such run in the folder.
            StorageError: the cache cannot be written.
        """
        path = map_path(opened, self.root, run, self._run_version(run))

        def keep(first: SimilarityMap) -> None:
            save_map(path, first)
            first_kept()

        found = make_map(opened, self.run_facts(opened, run).vectors if run else None, report, keep)
        save_map(path, found)
        return found

    def vectors(self, opened: OpenData, run: str = "") -> NDArray[np.float32]:
        """float32 (count, width) of unit length, by whose dot products images are similar.

        Raises:
            DataError: there is no such run, or the images must be compared by a job first.
        """
        found = self.run_facts(opened, run).vectors if run else None
        if found is None:
            known = self.map(opened, run) or (self.map(opened) if run else None)
            if known is None:
                raise DataError("map_missing", name=opened.title)
            found = known.vectors
        return found

    def _run_version(self, run: str) -> str:
        return str((self._run_folder(run) / MODEL_FILE).stat().st_mtime_ns) if run else ""

    def _run_folder(self, run: str) -> Path:
        folder = path_within(self.root, run)
        if not (folder / MODEL_FILE).is_file():
            raise BundleError("bundle_missing", "run", path=run)
        return folder

    def run_facts(self, opened: OpenData, run: str) -> RunFacts:
        """What is cached of a run's predictions for the images of a data set.

        Raises:
            DataError: there is no such run in the folder, or it is not finished.
        """
        from muslin.workflows.run_folder import Run
        from muslin.workflows.run_predictions import known_predictions

        folder = self._run_folder(run)
        parts = _parts_within(opened.name, source_of(self.root, Run(folder)))
        of_part = {part: known_predictions(Run(folder), part) for part in parts}
        known = tuple(part for part, found in of_part.items() if found is not None)
        key = opened.name, opened.version, run, (folder / MODEL_FILE).stat().st_mtime_ns, known
        return self._runs.get(key, lambda: _joined(opened, [(of_part[part], parts[part]) for part in known]))


def marked(opened: OpenData, standing: list[ImageDecision], kind: str) -> NDArray[np.bool_]:
    """bool (count,): the images with a decision of this kind."""
    found = np.zeros(len(opened), bool)
    indices = [opened.index_of(each.id) for each in standing if each.kind == kind]
    found[[index for index in indices if index is not None]] = True
    return found


def _parts_within(data: str, source: RunSource | None) -> dict[str, str]:
    """The parts of a run whose images can be in a data set, and what the run puts before their ids."""
    if source is None or not source.has_own_test:
        return dict.fromkeys(PARTS, "")
    found: dict[str, str] = {}
    for part in PARTS:
        with suppress(DataError):  # outside the folder, and so another data set
            name, prefix = source.of_part(part)
            found |= {part: prefix} if name == data else {}
    return found


def _joined(opened: OpenData, predictions: list[tuple[Any, str]]) -> RunFacts:
    """The predictions of several parts of a run, by the images' ids, each with what the run puts before these."""
    count = len(opened)
    values: dict[str, dict[str, NDArray[np.float32]]] = {}
    predicted: dict[str, NDArray[np.int64]] = {}
    vectors: NDArray[np.float32] | None = None
    for found, prefix in predictions:
        ids = (str(each).removeprefix(prefix) for each in found.ids)
        indices = np.array([-1 if (i := opened.index_of(each)) is None else i for each in ids], np.int64)
        has, places = indices >= 0, indices[indices >= 0]
        for target in found.targets:
            of_target = values.setdefault(target.name, {})
            for name in ("confidence", "loss"):
                of_target.setdefault(name, np.full(count, np.nan, np.float32))
                of_target[name][places] = getattr(found, name)(target)[has]
            if target.kind == "multiclass":
                numbers = _numbers(opened, target)
                predicted.setdefault(target.name, np.full(count, -1, np.int64))
                predicted[target.name][places] = numbers[found.predicted[target.name][has]]
        if found.vectors is not None:
            vectors = np.zeros((count, found.vectors.shape[1]), np.float32) if vectors is None else vectors
            vectors[places] = found.vectors[has]
    return RunFacts(values, predicted, vectors)


def _numbers(opened: OpenData, target: Any) -> NDArray[np.int64]:
    """Per class of a model's target its place among the data's classes; -1 where they have none of this name."""
    classes: tuple[str, ...] = ()
    with suppress(MuslinError):
        known = opened.target(target.name)
        classes = known.classes if known else ()
    return np.array([classes.index(name) if name in classes else -1 for name in target.classes], np.int64)


def folder_is_writable(path: Path) -> bool:
    """Whether a decision could be written: of the nearest folder that exists."""
    while not path.exists():
        path = path.parent
    return os.access(path, os.W_OK)
