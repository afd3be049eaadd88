"""The variants of a sweep, and `sweep.json`, which says how each of them is trained."""

import datetime
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muslin.errors import BundleError, DataError, RecipeError, TrainingError, unknown
from muslin.learn.recipes import IMAGENET, MAX_SEED, RANDOM, RECIPES, recipe
from muslin.models.json_schema import SHARE, AnyOf, Choice, Number, Object, check_schema, parse_json
from muslin.storage.atomic import write_atomically
from muslin.storage.file_names import file_stem
from muslin.workflows import run_folder as runs
from muslin.workflows.run_schema import MAX_THREADS, SOURCE, UNSAFE_IN_RECORD
from muslin.workflows.training_plan import SourceData, TrainOptions

MAX_VARIANTS = 1000
"""More are a slip of the pen, such as `--seeds 0-10000`."""

_VALUE = AnyOf((None, bool, Number(-1e300, 1e300), str, [Number(-1e300, 1e300, int)]))

_VARIANT = Object(
    {
        "name": str,
        "recipe": str,
        "seed": Number(0, MAX_SEED, int),
        "settings": {str: _VALUE},
        "validated_on": AnyOf((None, str)),
        "problem": AnyOf((None, Object({"code": str, "message": str}, required=frozenset(["code", "message"])))),
    },
    required=frozenset(["name", "recipe", "seed", "settings"]),
)

SWEEP_RECORD = Object(
    {
        "status": Choice(("training", "finished")),
        "source": AnyOf((None, SOURCE)),
        "exclude": AnyOf((None, str)),
        "corrections": AnyOf((None, str)),
        "max_unreadable": SHARE,
        "threads": AnyOf((None, Number(1, MAX_THREADS, int))),
        "fingerprint": str,
        "variants": [_VARIANT],
    },
    required=frozenset(["status", "source", "max_unreadable", "threads", "fingerprint", "variants"]),
)


@dataclass(frozen=True)
class SweepOptions:
    """What varies in a sweep, and what its trainings share.

    Attributes:
        recipes: names of recipes. Of two variants whose validation metrics are equal, the first counts as the better
            one, so put the quicker or simpler recipe first.
        seeds: of each recipe.
        settings: per name of a setting its values; every combination is a variant.
        training: what all share. Its recipe, seed, settings, time budget and snapshots do not count.
    """

    recipes: Sequence[str]
    seeds: Sequence[int] = (0,)
    settings: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    training: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True)
class Variant:
    """One training of a sweep; `name` is that of its run's folder: the recipe, what varies, and the seed."""

    name: str
    recipe: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def options(self, shared: TrainOptions) -> dict[str, Any]:
        """The arguments of its TrainOptions, as `muslin train` would be called."""
        names = ("test", "read_options", "exclude", "corrections", "max_unreadable", "threads")
        own = {"recipe": self.recipe, "seed": self.seed, "settings": dict(self.settings)}
        return own | {name: getattr(shared, name) for name in names}


def variants_of(options: SweepOptions) -> tuple[Variant, ...]:
    """Every combination of recipe, settings and seed, in the order in which they are given.

    Raises:
        RecipeError: an unknown recipe, or a setting that one of them does not read.
        TrainingError: a seed out of range, the same training twice, too many, or none.
    """
    for seed in options.seeds:
        if not 0 <= seed <= MAX_SEED:
            raise TrainingError("seed_out_of_range", seed=seed, high=MAX_SEED)
    count = len(options.recipes) * len(options.seeds)
    for values in options.settings.values():
        count *= len(values)
    if not 0 < count <= MAX_VARIANTS:
        raise TrainingError("sweep_size", n=count, high=MAX_VARIANTS)
    found: list[Variant] = []
    known: dict[str, str] = {}
    names: set[str] = set()
    for name, *values, seed in itertools.product(options.recipes, *options.settings.values(), options.seeds):
        if name not in RECIPES:
            raise RecipeError("recipe_unknown", **unknown(name, RECIPES))
        settings = dict(zip(options.settings, values, strict=True))
        training = repr((recipe(name, **settings).to_dict(), seed))
        varied = {setting: value for setting, value in settings.items() if len(options.settings[setting]) > 1}
        folder = _folder_name(name, varied, seed)
        if training in known or folder.casefold() in names:
            raise TrainingError("sweep_duplicate", name=folder, other=known.get(training, folder))
        known[training] = folder
        names.add(folder.casefold())
        found.append(Variant(folder, name, seed, settings))
    return tuple(found)


def _folder_name(recipe_name: str, settings: Mapping[str, Any], seed: int) -> str:
    changed = [f"{name}={','.join(map(str, v)) if isinstance(v, list | tuple) else v}" for name, v in settings.items()]
    return file_stem(re.sub(r"[^\w.=,+-]", "_", "-".join([recipe_name, *changed, f"seed-{seed}"])))


_FOLDER = re.compile(r"\w[\w.=,+-]*")
"""A name that leads nowhere else."""


def weights_files(variants: Sequence[Variant]) -> list[str]:
    """The files of weights from which variants start."""
    values = dict.fromkeys(str(variant.settings.get("weights", IMAGENET)) for variant in variants)
    return [value for value in values if value not in (IMAGENET, RANDOM)]


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep: `sweep.json`, `sweep.csv`, and a run's folder for each variant."""

    folder: Path

    @property
    def table(self) -> Path:
        """The variants with their validation metrics."""
        return self.folder / "sweep.csv"

    def run(self, variant: Variant) -> runs.Run:
        """The run of a variant, which need not be there yet."""
        return runs.Run(self.folder / variant.name)

    @property
    def record(self) -> dict[str, Any]:
        """`sweep.json`.

        Raises:
            DataError: the folder is not a sweep's, or the file is not as muslin wrote it.
        """
        path = str(self.folder)
        try:
            with open(self.folder / "sweep.json", "rb") as file:
                content = parse_json(file.read(runs.MAX_RECORD_BYTES), UNSAFE_IN_RECORD)
        except (OSError, ValueError, BundleError) as error:
            raise DataError("sweep_missing" if os.path.lexists(path) else "path_missing", path=path) from error
        record = {**content}
        try:
            if record.pop("sha256", None) != runs.digest_of_record(record):
                raise DataError("sweep_record_edited", path=path)
            check_schema(record, SWEEP_RECORD)
            if not all(_FOLDER.fullmatch(variant.name) for variant in variants_in(record)):
                raise DataError("sweep_record_edited", path=path)
        except BundleError as error:
            raise DataError("sweep_record_edited", path=path) from error
        return record

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace `sweep.json`."""
        write_atomically(self.folder / "sweep.json", runs.record_content(record))


def variants_in(record: Mapping[str, Any]) -> tuple[Variant, ...]:
    """The variants of a `sweep.json`."""
    return tuple(Variant(*(row[key] for key in ("name", "recipe", "seed", "settings"))) for row in record["variants"])


def first_record(data: SourceData, variants: Sequence[Variant], options: TrainOptions) -> dict[str, Any]:
    """`sweep.json` before the first training."""
    return {
        "status": "training",
        "source": data.source,
        "exclude": options.exclude and str(options.exclude),
        "corrections": options.corrections and str(options.corrections),
        "max_unreadable": options.max_unreadable,
        "threads": options.threads,
        "fingerprint": data.dataset.fingerprint,
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": runs.package_versions(),
        "variants": [{**vars(variant), "settings": dict(variant.settings)} for variant in variants],
    }
