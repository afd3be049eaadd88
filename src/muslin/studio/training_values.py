"""What the training room shows of a run: how far it is, its history, and its network after each epoch."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muslin.errors import DataError, MuslinError, StorageError
from muslin.explain.feature_map_sheets import kernel_sheet
from muslin.explain.inspection import InspectedModel
from muslin.messages import Message
from muslin.models.predictor import MODEL_FILE
from muslin.studio.made_once import MadeOnce
from muslin.studio.model_files import path_within
from muslin.studio.model_worker import open_within_limits
from muslin.web.requests import Body, integer_of, text_of
from muslin.workflows.run_folder import Run

MAX_KERNELS = 64
SHEET_COLUMNS, SHEET_ENLARGED = 8, 4  # kernels in a row, and pixels for each weight
WHITE = 255
MAX_EPOCHS_SHOWN = 5_000
KEPT = 200
"""Snapshots whose values are kept, each some kilobytes."""

CURVES = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "elapsed_s")


class TrainingRoom:
    """The runs of one folder, as the training room shows them. Safe to use from several threads at once.

    Args:
        root: the studio's folder, absolute, with links resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._epochs: MadeOnce[tuple[str, int, int], dict[str, Any]] = MadeOnce(KEPT)

    def run(self, body: Body) -> dict[str, Any]:
        """A run: what it is, how far it is, and which epochs can be looked at.

        Raises:
            DataError: the folder is not a run, or its record cannot be read.
        """
        name = text_of(body, "run")
        run = Run(path_within(self._root, name))
        record, history = run.record, run.history[-MAX_EPOCHS_SHOWN:]
        is_running = _is_locked(run)
        return {
            "run": name,
            "name": record["name"],
            "status": "running" if is_running else "finished" if _is_finished(run, record) else "interrupted",
            "recipe": record["recipe"]["name"],
            "command": record["command"],
            "started": record["started"],
            "data": record["data"]["name"],
            "counts": record["data"]["split_sizes"],
            "epochs": record["epochs"],
            "parameters": record["parameters"],
            "expected_s": record["expected_s"],
            "train_s": record.get("train_s"),
            "version": _version_note(record),
            "test": record.get("test", {}),
            "history": [{key: row.get(key) for key in CURVES} for row in history],
            "snapshots": [epoch for epoch in run.snapshots if epoch <= len(run.history)],
            "model": f"{name}/{MODEL_FILE}" if run.model.is_file() else None,
        }

    def epoch(self, body: Body) -> dict[str, Any]:
        """The network after an epoch: what it predicted for the fixed images, and its first kernels.

        Raises:
            DataError: there is no such snapshot.
            BundleError: it cannot be opened.
        """
        name, epoch = text_of(body, "run"), integer_of(body, "epoch", 1)
        path = Run(path_within(self._root, name)).snapshot(epoch)
        model = f"{name}/snapshots/{path.name}"
        path = path_within(self._root, model)
        key = (model, path.stat().st_mtime_ns, path.stat().st_size)
        return self._epochs.get(
            key, lambda: {"epoch": epoch, "model": model} | _snapshot_values(open_within_limits(path, model))
        )


def _is_locked(run: Run) -> bool:
    """Whether a process is training the run."""
    from muslin.storage.locks import locked_folder

    try:
        with locked_folder(run.folder, "run_locked"):
            return False
    except StorageError:
        return True
    except OSError as error:  # without permission to open it
        raise DataError("run_missing", path=str(run.folder)) from error


def _is_finished(run: Run, record: dict[str, Any]) -> bool:
    return record["status"] == "finished" and run.model.exists()


def _version_note(record: dict[str, Any]) -> Message | None:
    """A note on a run of another version of muslin, which may not be resumed to the same weights."""
    from muslin import __version__

    found = record["versions"].get("muslin", "")
    return None if found == __version__ else Message("run_of_version", found=found, version=__version__)


def _snapshot_values(model: InspectedModel) -> dict[str, Any]:
    bundle = model.bundle
    known = bundle.provenance.get("snapshot")
    labels = known.get("labels") if isinstance(known, dict) else None
    return {
        "images": len(bundle.golden_pixels),
        "targets": [
            {
                "name": target.name,
                "classes": list(target.classes),
                "labels": _labels(labels, target.name, len(bundle.golden_pixels), len(target.classes)),
                "predicted": bundle.golden_probabilities[target.name].argmax(1).tolist(),
                "probabilities": np.round(bundle.golden_probabilities[target.name].astype(float), 4).tolist(),
            }
            for target in bundle.targets
        ],
        "kernels": _kernels(model),
    }


def _labels(found: Any, target: str, n: int, classes: int) -> list[int | None]:
    """The true class of each image; None where it is not known, and of several labels: anybody may have written it."""
    values = found.get(target) if isinstance(found, dict) else None
    if not isinstance(values, list) or len(values) != n:
        return [None] * n
    return [value if isinstance(value, int) and 0 <= value < classes else None for value in values]


def _kernels(model: InspectedModel) -> dict[str, Any] | None:
    """The kernels of the first convolution as one gray PNG, a kernel for each output and its first input; or as colours
    where it takes three channels. None where there is none that can be shown."""
    from muslin.images import encode_png

    if not model.has_layers:
        return None
    layer = next((layer for layer in model.layered.layers if layer.kernel is not None), None)
    if layer is None:
        return None
    try:
        _, weights = kernel_sheet(model.layered, layer.name)
    except MuslinError:
        return None
    weights = weights[:MAX_KERNELS]
    shown = weights if weights.shape[1] == 3 else weights[:, :1]
    size = np.abs(shown).max((1, 2, 3), keepdims=True)
    codes = np.rint((shown / np.where(size > 0, size, 1) + 1) * 127.5).astype(np.uint8)
    png = "data:image/png;base64," + base64.b64encode(encode_png(kernels_in_rows(codes))).decode()
    return {"layer": layer.name, "count": len(codes), "side": int(codes.shape[3]), "png": png}


def kernels_in_rows(kernels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Kernels (n, channels, height, width) in rows of at most SHEET_COLUMNS, each enlarged, with white lines between:
    uint8 (height, width, channels)."""
    columns, gap = min(len(kernels), SHEET_COLUMNS), SHEET_ENLARGED // 2
    large = np.kron(kernels, np.ones((1, 1, SHEET_ENLARGED, SHEET_ENLARGED), np.uint8))
    missing = -len(kernels) % columns
    tiles = np.pad(large, ((0, missing), (0, 0), (0, gap), (0, gap)), constant_values=WHITE)
    _, channels, height, width = tiles.shape
    rows = tiles.reshape(-1, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(rows.reshape(-1, columns * width, channels)[:-gap, :-gap])
