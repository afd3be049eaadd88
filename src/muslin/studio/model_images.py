"""What a model's run has beside it: its images with true labels, as `sample:DATA:INDEX`, and its snapshots."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError, MuslinError
from muslin.studio.data_sets import DataSets, OpenData
from muslin.studio.model_files import MODEL_SUFFIXES, file_within
from muslin.studio.run_sources import source_of
from muslin.web.requests import Body, integer_of, text_of
from muslin.workflows.run_folder import Run, run_of_snapshot

PAGE_IMAGES = 48
"""Images of a page: four rows of twelve."""


def model_images(data: DataSets, targets: tuple[Target, ...], body: Body) -> dict[str, Any]:
    """A page of the test images of a model's run, or of all its images where it has no test set.

    Args:
        data: the data sets of the studio's folder.
        targets: the model's.
        body: `model`; `start`, the first image of the page; and `label`, a true class of the first target.

    Raises:
        DataError: no run names the data, or they are not within the folder.
    """
    name, part = data_of_model(data.root, text_of(body, "model"))
    opened = data.open(name)
    indices = np.arange(len(opened))
    if part == "test" and opened.parts is not None and (opened.parts == "test").any():
        indices = np.flatnonzero(opened.parts == "test")
    elif part == "test":
        part = "all"
    if label := body.get("label"):
        indices = indices[_has_label(opened, targets[0], str(label))[indices]]
    start = integer_of(body, "start", 0)
    shown = indices[start : start + PAGE_IMAGES].tolist()
    images = [{"image": f"sample:{quote(name, safe='')}:{i}", "labels": true_labels(opened, targets, i)} for i in shown]
    return {"data": name, "part": part, "total": len(indices), "start": start, "images": images}


def data_of_model(root: Path, model: str) -> tuple[str, str]:
    """The data set that a model's run names as the studio names it, and the part that tests the model.

    `part` is `test`, or `file` where the test images are a data set of their own.

    Raises:
        DataError: no run names the data, or they are not within the folder.
    """
    path = file_within(root, model, MODEL_SUFFIXES)
    try:
        source = source_of(root, Run(run_of_snapshot(path) or path.parent))
    except DataError as error:
        if error.code != "run_missing":
            raise  # says what is wrong with the run
        raise DataError("run_without_data") from error
    if source is None:
        raise DataError("run_without_data")
    return source.of_part("test")[0], "file" if source.has_own_test else "test"


def epochs_of_model(root: Path, model: str) -> dict[str, Any] | None:
    """The epochs of which a model's run keeps snapshots: `run`, its path; `epochs`; and `epoch`, of this snapshot.

    `epoch` is None of the finished model. None where there are no snapshots.
    """
    path = file_within(root, model, MODEL_SUFFIXES)
    folder = run_of_snapshot(path)
    if epochs := Run(folder or path.parent).snapshots:
        run = (folder or path.parent).relative_to(root).as_posix()
        return {"run": "" if run == "." else run, "epochs": epochs, "epoch": int(path.stem) if folder else None}
    return None


def labels_of_sample(data: DataSets, targets: tuple[Target, ...], image: str) -> dict[str, str]:
    """The true labels of an image that a request names; none of one that is not of a data set."""
    kind, _, rest = image.partition(":")
    name, _, index = rest.rpartition(":")
    if kind != "sample" or not index.isdecimal():
        return {}
    opened = data.open(unquote(name))
    return true_labels(opened, targets, int(index)) if int(index) < len(opened) else {}


def true_labels(opened: OpenData, targets: tuple[Target, ...], index: int) -> dict[str, str]:
    """Per target of a model the class of an image; several labels are joined. Without those that are not known."""
    found = {}
    for target in targets:
        same = _target_named(opened, target.name)
        label = None if same is None else opened.labels(same.name)[index]
        if same is None or label is None:
            continue
        if same.kind == "multilabel":
            found[target.name] = ", ".join(np.array(same.classes, object)[np.asarray(label) == 1])
        elif label != UNKNOWN:
            found[target.name] = same.classes[int(label)]
    return found


def _has_label(opened: OpenData, target: Target, label: str) -> NDArray[np.bool_]:
    same = _target_named(opened, target.name)
    if same is None or label not in same.classes:
        return np.zeros(len(opened), bool)
    labels, place = opened.labels(same.name), same.classes.index(label)
    return np.asarray(labels[:, place] == 1 if same.kind == "multilabel" else labels == place)


def _target_named(opened: OpenData, name: str) -> Target | None:
    try:
        return opened.target(name)
    except MuslinError:
        return None  # the data were read with other options by the run
