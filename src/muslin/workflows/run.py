"""A run's folder: everything one training made, each file whole at every moment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muslin.data.dataset import Dataset, Split
from muslin.data.split import split
from muslin.errors import DataError
from muslin.learn.recipes import Recipe
from muslin.storage.atomic import write_atomically


@dataclass(frozen=True)
class Run:
    """A folder with `run.json`, `history.jsonl`, `checkpoint.safetensors` and, once finished, `model.muslin`,
    `evaluation.json`, `report.html` and images.

    `run.json` says how the run was made and, under `status`, whether it is `training` or `finished`.
    """

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """Where training stands, for going on after an interruption."""
        return self.folder / "checkpoint.safetensors"

    @property
    def excluded(self) -> Path:
        """The names of the samples that were left out; there where the run was told to leave some out."""
        return self.folder / "excluded.csv"

    @property
    def model(self) -> Path:
        """The sealed bundle; there once the run is finished."""
        return self.folder / "model.muslin"

    @property
    def report(self) -> Path:
        """The report; there once the run is finished."""
        return self.folder / "report.html"

    @property
    def record(self) -> dict[str, Any]:
        """`run.json`.

        Raises:
            DataError: the folder holds no run.
        """
        path = self.folder / "run.json"
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.folder}: no run here ({path.name} cannot be read). Name the folder of a run."
            ) from error
        if not isinstance(content, dict):
            raise DataError(f"{path}: not a run's record. Name the folder of a run.")
        return content

    @property
    def history(self) -> list[dict[str, Any]]:
        """`history.jsonl`, one row per finished epoch.

        Raises:
            DataError: it is damaged.
        """
        path = self.folder / "history.jsonl"
        try:
            return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        except ValueError as error:
            raise DataError(
                f"{path}: damaged ({error}). Delete it: going on writes it again from the checkpoint."
            ) from error

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace `run.json`."""
        write_atomically(self.folder / "run.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Replace `history.jsonl`."""
        write_atomically(self.folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in history))


def recipe_from_record(record: Mapping[str, Any]) -> Recipe:
    """The recipe in `run.json` or in a bundle's provenance.

    Raises:
        KeyError, TypeError, ValueError: this muslin did not write it.
    """
    values = record["recipe"]
    return Recipe(**{**values, "widths": tuple(values["widths"])})


def split_for_recipe(dataset: Dataset, recipe: Recipe, seed: int) -> Split:
    """`dataset` split as training with this recipe and seed splits it."""
    return split(
        dataset,
        validation_fraction=recipe.validation_fraction,
        seed=seed if recipe.split_seed is None else recipe.split_seed,
        stratified=recipe.stratified,
    )
