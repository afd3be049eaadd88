"""What a sweep found: per variant its validation metrics, and the best by these, whose test metrics alone are read."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from muslin.errors import TrainingError
from muslin.messages import examples
from muslin.storage.atomic import write_atomically
from muslin.workflows.sweep_plan import SweepFolder, Variant, variants_in

Metric = Mapping[str, Any]
"""As `headline_metric` makes it: `accuracy` or `f1`, with `interval` and `n`."""


@dataclass(frozen=True)
class VariantResult:
    """What is known of a variant.

    Attributes:
        validation: per target the main metric of the validation set or, with folds, of out-of-fold predictions.
        train_s: seconds of its training, with those of its folds.
        problem: why it failed: `code`, `message`, `hint` and `params`.
        validated_on: a digest of the images of `validation`.
    """

    variant: Variant
    status: Literal["planned", "finished", "failed"]
    validation: Mapping[str, Metric]
    train_s: float | None = None
    problem: Mapping[str, Any] | None = None
    validated_on: str | None = None

    @property
    def score(self) -> float | None:
        """The mean over the targets of their metrics, by which variants are compared; None without any."""
        values = [metric_value(metric) for metric in self.validation.values()]
        return sum(values) / len(values) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("status", "validation", "train_s", "problem")
        return {**vars(self.variant), **{name: getattr(self, name) for name in names}}


def metric_value(metric: Metric) -> float:
    """The accuracy, or the F1."""
    return float(metric["accuracy"] if "accuracy" in metric else metric["f1"])


@dataclass(frozen=True)
class SweepResult:
    """The variants of a sweep in their order."""

    folder: Path
    results: tuple[VariantResult, ...]

    @cached_property
    def best(self) -> VariantResult | None:
        """The finished variant with the highest `score`, the first of several; None where none has one."""
        scored = [result for result in self.results if result.score is not None]
        return max(scored, key=lambda result: result.score or 0.0, default=None)

    @property
    def failed(self) -> list[VariantResult]:
        """The variants that failed."""
        return [result for result in self.results if result.status == "failed"]

    def failure(self, command: str) -> TrainingError:
        """The error that names the variants that failed; `command` tries them again."""
        names = examples(result.variant.name for result in self.failed)
        counts = {"n": names.pop("count"), "total": len(self.results)}
        return TrainingError("sweep_variants_failed", **counts, **names, command=command)

    @property
    def within_chance(self) -> list[VariantResult]:
        """The other variants whose metrics all lie within the intervals of the best one's."""
        best = self.best
        return [
            other
            for other in self.results
            if best is not None and other is not best and other.validation.keys() == best.validation.keys()
            and all(
                metric_value(metric) >= best.validation[name]["interval"][0]
                for name, metric in other.validation.items()
            )
        ]  # fmt: skip

    @property
    def same_images(self) -> bool:
        """Whether all metrics are of the same images, so that chance in drawing these favours none."""
        digests = {result.validated_on for result in self.results if result.validation}
        return len(digests) <= 1 and None not in digests

    @cached_property
    def test(self) -> Mapping[str, Metric]:
        """Per target the best variant's main metric on the test set; those of other variants are not read."""
        found: Mapping[str, Metric] = {}
        if self.best is not None:
            found = SweepFolder(self.folder).run(self.best.variant).record["test"]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `muslin sweep --json` prints them."""
        best = self.best
        return {
            "sweep": str(self.folder),
            "table": str(SweepFolder(self.folder).table),
            "best": None if best is None else best.variant.name,
            "model": None if best is None else str(SweepFolder(self.folder).run(best.variant).model),
            "test": self.test,
            "same_images": self.same_images,
            "within_chance": [result.variant.name for result in self.within_chance],
            "variants": [result.to_dict() for result in self.results],
        }


def read_results(folder: SweepFolder, record: Mapping[str, Any]) -> SweepResult:
    """What a sweep has found so far.

    Args:
        record: its `sweep.json`.
    """
    rows = record["variants"]
    pairs = zip(variants_in(record), rows, strict=True)
    return SweepResult(folder.folder, tuple(_result(folder, variant, row) for variant, row in pairs))


def _result(folder: SweepFolder, variant: Variant, row: Mapping[str, Any]) -> VariantResult:
    run, problem = folder.run(variant), row.get("problem")
    if not run.model.exists() or problem:
        return VariantResult(variant, "failed" if problem else "planned", {}, problem=problem)
    record = run.record
    if record["status"] != "finished":
        return VariantResult(variant, "planned", {})
    return VariantResult(
        variant, "finished", record.get("validation", {}), record["train_s"], validated_on=row.get("validated_on")
    )


def table_rows(found: SweepResult) -> list[dict[str, Any]]:
    """A row per variant: how it was trained, its validation metrics, its time; 1 for the best one."""
    settings = dict.fromkeys(name for result in found.results for name in result.variant.settings)
    targets = dict.fromkeys(name for result in found.results for name in result.validation)
    rows = []
    for result in found.results:
        variant = result.variant
        row: dict[str, Any] = {"variant": variant.name, "recipe": variant.recipe}
        row |= {name: _cell(variant.settings.get(name)) for name in settings}
        row |= {"seed": variant.seed, "status": result.status, "best": int(result is found.best)}
        for target in targets:
            prefix = f"{target} " if len(targets) > 1 else ""
            row |= {f"{prefix}{name}": value for name, value in _metric_cells(result.validation.get(target)).items()}
        row |= {"train_s": result.train_s, "problem": (result.problem or {}).get("message")}
        rows.append(row)
    return rows


def _metric_cells(metric: Metric | None) -> dict[str, Any]:
    names = ("metric", "value", "low", "high", "images", "out_of_fold")
    if metric is None:
        return dict.fromkeys(names)
    values = ("accuracy" if "accuracy" in metric else "f1", metric_value(metric), *metric["interval"], metric["n"])
    return dict(zip(names, (*values, int(metric.get("out_of_fold", False))), strict=True))


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def write_table(folder: SweepFolder, found: SweepResult) -> None:
    """Replace `sweep.csv`."""
    rows: Sequence[dict[str, Any]] = table_rows(found)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder.table, text.getvalue())
