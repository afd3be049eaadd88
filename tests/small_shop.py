"""A shop's photos, the model that tags them, and calibration data that accept some of the tags."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from muslin.evaluation.selective import CalibrationData
from muslin.models.bundle import seal
from small_models import SIDE, small_bundle


def small_shop(folder: Path) -> Path:
    """A model that calls black photos Trouser and white ones Bag, three photos, and a page that is none."""
    seal(small_bundle(), folder / "model.muslin")
    (folder / "images").mkdir()
    for name, brightness in {"black": 0, "gray": 128, "white": 255}.items():
        Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(folder / "images" / f"{name}.png")
    (folder / "images/page.jpg").write_text("<html>not found</html>")
    return folder


def table_rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def calibration_data(count: int = 1000, temperature: float = 1.0) -> CalibrationData:
    """Predictions of 0.9 and more are correct, and half of the others."""
    confidence = np.linspace(1, 0.34, count).astype(np.float32)
    correct = (confidence >= 0.9) | (np.arange(count) % 2 == 0)
    predicted, group = (np.arange(count) % 3).astype(np.int32), np.arange(count, dtype=np.int32)
    of_true = np.where(correct, confidence, 0.2)
    return CalibrationData(
        np.array([temperature], np.float32), np.zeros(0), confidence, predicted, correct, of_true, group
    )
