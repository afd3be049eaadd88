"""What the mistakes room shows of a run: its predictions, with the names of its images in the studio's data sets."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Target
from muslin.errors import DataError, ExplanationError, MuslinError, unknown
from muslin.evaluation.selective import DECISIONS
from muslin.studio.data_sets import DataSets, OpenData
from muslin.studio.made_once import MadeOnce
from muslin.studio.model_files import path_within
from muslin.studio.run_sources import source_of
from muslin.web.requests import Body, choice_of, text_of
from muslin.workflows.run_folder import Run
from muslin.workflows.run_predictions import FILES, RunPredictions, known_predictions

MAX_KEPT_BYTES = 300_000_000
"""Of predictions in memory; those of 70,000 images take 30 MB."""

PROBABILITIES_SHOWN = 5

Key = tuple[Any, ...]


class RunsOfFolder:
    """The predictions of the runs in one folder. Safe to use from several threads at once.

    Args:
        root: the studio's folder, absolute, with links resolved.
    """

    def __init__(self, root: Path, data: DataSets) -> None:
        self._root, self._data = root, data
        self._kept: MadeOnce[Key, RunPredictions] = MadeOnce(MAX_KEPT_BYTES, _bytes)

    def run(self, name: str) -> Run:
        """The run at this path below the folder.

        Raises:
            DataError: there is none.
        """
        return Run(path_within(self._root, name))

    def known(self, name: str, part: str) -> RunPredictions | None:
        """The predictions of a part of a run; None where a job must compute them.

        Raises:
            DataError: there is no such run.
        """
        run = self.run(name)
        key = (run.folder, part, *(_stamp(run.folder / file) for file in FILES))
        if (found := self._kept.known(key)) or (found := known_predictions(run, part)) is None:
            return found
        made = found
        return self._kept.get(key, lambda: made)

    def of(self, body: Body) -> tuple[str, RunPredictions, Target]:
        """The run's name, its predictions and the target that a request names.

        Raises:
            DataError: there is no such run or target, or the predictions are not computed yet.
        """
        name, part = text_of(body, "run"), choice_of(body, "part", "test", PARTS)
        found = self.known(name, part)
        if found is None:
            raise DataError("predictions_missing", run=name, part=part)
        return name, found, target_of(found, body.get("target"))

    def data_of(self, name: str, part: str) -> tuple[str, str] | None:
        """The data set with the images of a part as the data room names it, and what the run puts before their ids.

        None where the data are not in the folder, or were in memory.
        """
        source = source_of(self._root, self.run(name))
        try:
            return source.of_part(part) if source else None
        except DataError:
            return None

    def images(self, name: str, found: RunPredictions) -> "ImageNames":
        """How the images of a run are named in requests."""
        data, prefix = self.data_of(name, found.part) or (None, "")
        try:
            opened = None if data is None else self._data.open(data)
        except MuslinError:
            opened = None  # the numbers can be shown without the images
        return ImageNames(data, opened, found, prefix)


class ImageNames:
    """How the images of a run are named in requests: `sample:DATA:INDEX`, found by their ids.

    Args:
        prefix: what the run puts before the ids of its data set.
    """

    def __init__(self, data: str | None, opened: OpenData | None, found: RunPredictions, prefix: str = "") -> None:
        self.data, self.opened = data, opened
        self.indices = found.indices
        ids = [str(id_).removeprefix(prefix) for id_ in found.ids]
        if opened is not None and not _are_at(opened.ids, found.indices, ids):  # read otherwise than in the data room
            self.indices = np.array([-1 if (i := opened.index_of(id_)) is None else i for id_ in ids], np.int64)

    def name(self, place: int) -> str | None:
        """The image at a place in the predictions; None where the data room does not have it."""
        index = int(self.indices[place])
        if self.data is None or self.opened is None or not 0 <= index < len(self.opened):
            return None
        return f"sample:{quote(self.data, safe='')}:{index}"

    def column(self, values: NDArray[Any], names: tuple[str, ...] | None = None) -> NDArray[np.object_]:
        """Values of the data set as texts of the predicted images: object (n,); "" where there is none."""
        known = self.indices >= 0
        found = np.full(len(self.indices), "", object)
        chosen = values[self.indices[known]]
        found[known] = [str(each) for each in chosen] if names is None else [*map((*names, "").__getitem__, chosen)]
        return found

    def columns(self, target: str) -> dict[str, NDArray[np.object_]]:
        """What the data set says of the images, beside this target: its other targets, and its groups."""
        if self.opened is None:
            return {}
        others = {
            each.name: self.column(self.opened.labels(each.name), each.classes)
            for each in self.opened.targets
            if each.name != target and each.kind == "multiclass"
        }
        return others if self.opened.groups is None else others | {"group": self.column(self.opened.groups)}


def target_of(found: RunPredictions, name: Any) -> Target:
    """The target that a request names, by default the first.

    Raises:
        DataError: there is no such target.
    """
    return found.target(name if isinstance(name, str) and name else None)


def class_of(target: Target, name: Any) -> str:
    """A class that a request names; "" for none.

    Raises:
        ExplanationError: there is no such class.
    """
    if name in (None, ""):
        return ""
    if name not in target.classes:
        raise ExplanationError("explained_class_unknown", target=target.name, **unknown(str(name)[:80], target.classes))
    return str(name)


def image_row(found: RunPredictions, target: Target, place: int, name: str | None) -> dict[str, Any]:
    """What a page shows of one image."""
    probabilities = found.probabilities[target.name][place]
    order = np.argsort(-probabilities, kind="stable")[:PROBABILITIES_SHOWN]
    loss = float(found.loss_of(target, place))
    return {
        "place": place,
        "image": name,
        "id": str(found.ids[place]),
        "labels": class_names(found.labels[target.name][place], target),
        "predicted": class_names(found.predicted[target.name][place], target),
        "probabilities": [[target.classes[i], float(probabilities[i])] for i in order],
        "loss": None if np.isnan(loss) else loss,
        "decision": DECISIONS[found.decisions[target.name][place]],
    }


def class_names(value: Any, target: Target) -> list[str]:
    """The class of a label or of a prediction, or of a multilabel target all; empty for UNKNOWN."""
    if target.kind == "multilabel":
        return [target.classes[i] for i in np.flatnonzero(value == 1)]
    return [] if value == UNKNOWN else [target.classes[int(value)]]


def _are_at(known: NDArray[np.object_], indices: NDArray[np.int64], ids: list[str]) -> bool:
    inside = not ids or int(indices.max()) < len(known)
    return inside and known[indices].tolist() == ids


def _bytes(found: RunPredictions) -> int:
    arrays = [*found.probabilities.values(), *found.labels.values(), *found.predicted.values()]
    vectors = 0 if found.vectors is None else found.vectors.nbytes
    return vectors + sum(array.nbytes for array in arrays) + 100 * len(found)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
