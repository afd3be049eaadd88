"""What a run's folder says of its training, for a page: from files that anybody may have written."""

from pathlib import Path
from typing import Any

from muslin.errors import DataError
from muslin.studio.model_files import MODEL_SUFFIXES, file_within
from muslin.workflows.run_folder import Run

MAX_HISTORY_BYTES = 16_000_000  # 50,000 epochs
CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


def training_of(root: Path, model: str) -> dict[str, Any] | None:
    """How the model at `model` was trained, and its learning curves; None where no run lies beside it.

    Raises:
        DataError: `model` is not in the folder.
    """
    folder = file_within(root, model, MODEL_SUFFIXES).parent
    run = Run(folder)
    try:
        for name in ("run.json", "history.jsonl"):
            path = file_within(root, (folder / name).relative_to(root).as_posix(), (Path(name).suffix,))
            if path.stat().st_size > MAX_HISTORY_BYTES:
                return None
        record, history = run.record, run.history
    except (DataError, OSError):
        return None
    data = record["data"]
    return {
        "name": record["name"],
        "recipe": record["recipe"]["name"],
        "method": record["recipe"]["method"],
        "dropout": record["recipe"].get("dropout"),
        "data": data["name"],
        "split_sizes": data["split_sizes"],
        "epochs": [_epoch(row) for row in history],
    }


def _epoch(row: dict[str, Any]) -> dict[str, Any]:
    return {"epoch": row["epoch"]} | {name: _number(row.get(name)) for name in CURVES}


def _number(value: Any) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
