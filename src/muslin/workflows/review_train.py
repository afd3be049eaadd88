"""`muslin review train`: a candidate model from everything decided in a review store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muslin.errors import BundleError, RecipeError, StorageError
from muslin.learn.recipe_choice import AUTO
from muslin.learn.recipes import RECIPES, recipe_from_dict
from muslin.messages import Log, Message
from muslin.models.bundle import open_bundle
from muslin.models.json_schema import SHARE, Object, check_schema, parse_json
from muslin.review.store import Store
from muslin.storage.atomic import write_atomically
from muslin.strict_json import json_text
from muslin.workflows.review_dataset import read_review_data
from muslin.workflows.run_folder import MAX_RECORD_BYTES, Run
from muslin.workflows.run_schema import UNSAFE_IN_RECORD
from muslin.workflows.training_data import Callbacks

RECORD_FILE = "review.json"
"""In the folder of a candidate's run: what the store records of it."""

_RECORD = Object({"store": str, "spot_checks": SHARE}, required=frozenset(["store", "spot_checks"]))


@dataclass(frozen=True)
class ReviewTrainOptions:
    """Options of `train_candidate`.

    Attributes:
        recipe: by default that of the active model, with its settings.
        settings: settings to change, by name.
        out: folder of the run, new or empty.
        others: further options of `muslin.workflows.train.train`, such as `time_budget_s`.
    """

    recipe: str | None = None
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    out: Path | None = None
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A model that was trained on the decisions of a store, and that `promote` can make the active one.

    Attributes:
        digest: of the model, under which the store has it.
        record: what it was trained on, as JSON.
    """

    digest: str
    run: Run
    record: Mapping[str, Any]


def train_candidate(
    store: Store, options: ReviewTrainOptions | None = None, callbacks: Callbacks | None = None
) -> Candidate:
    """Train a model on everything decided and on the first model's data, and put it into the store.

    The active model stays active. A training that was stopped starts again from the photos' features, which are cached.

    Raises:
        MuslinError: nothing to train on, or as `muslin.workflows.train.train`.
        StoppedError: `callbacks.should_stop` returned true.
        StorageError: the store cannot be written; the run is complete, and a note says how to use it.
    """
    from muslin.workflows.train import train

    options, callbacks = options or ReviewTrainOptions(), callbacks or Callbacks()
    name, settings = _recipe(store, options)
    data = read_review_data(store, callbacks.log)
    run = train(
        data.dataset,
        recipe=name,
        out=options.out,
        seed=options.seed,
        settings=settings,
        on_progress=callbacks.on_progress,
        log=callbacks.log,
        should_stop=callbacks.should_stop,
        **options.others,
    )
    finished = run.record
    of_run = {key: finished.get(key) for key in ("recipe", "seed", "test", "validation")}
    record = {**data.record, "run": str(run.folder.absolute()), "sampling": _sampling(finished), **of_run}
    return Candidate(_add_model(store, run, record, callbacks.log), run, record)


def _add_model(store: Store, run: Run, record: Mapping[str, Any], log: Log) -> str:
    """Put the trained model into the store, under its digest. Where that fails, nobody has to train it again."""
    try:
        write_atomically(run.folder / RECORD_FILE, json_text(record, indent=2) + "\n")
        return store.add_model(run.model, record)
    except StorageError:
        log(Message("review_candidate_kept", path=store.name, run=str(run.folder)))
        raise


def record_of_file(store: Store, model: Path) -> dict[str, Any]:
    """What a store is to record of a model that is added from its file: for a candidate, what it was trained on.

    A model that learned from decisions, nobody knows of which, may know all but the sealed half of the random sample.

    Raises:
        BundleError: no model that can be opened.
    """
    path = {"path": str(model.absolute())}
    try:
        with open(model.parent / RECORD_FILE, "rb") as file:
            record = parse_json(file.read(MAX_RECORD_BYTES), UNSAFE_IN_RECORD)
        check_schema(record, _RECORD)
    except (OSError, ValueError, BundleError):
        is_from_review = open_bundle(model).provenance.get("data", {}).get("format") == "review"
        return {"spot_checks": store.info.spot_checks, **path} if is_from_review else path
    return {**record, **path} if record["store"] == store.info.id else path


def _sampling(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record["data"].get(key) for key in ("split_sizes", "drawn_at_random", "no_class")}


def _recipe(store: Store, options: ReviewTrainOptions) -> tuple[str, dict[str, Any]]:
    """The recipe and the settings to change in it: those asked for, or those of the active model."""
    if options.recipe is not None:
        return options.recipe, dict(options.settings)
    recorded = open_bundle(store.open_model(store.active.digest)).provenance.get("recipe")
    try:
        recipe = recipe_from_dict(recorded)  # type: ignore[arg-type]
    except (RecipeError, TypeError, ValueError, AttributeError):
        return AUTO, dict(options.settings)  # a model of other origin
    defaults = RECIPES[recipe.name].to_dict()
    changed = {key: value for key, value in recipe.to_dict().items() if value != defaults.get(key)}
    return recipe.name, {**changed, **options.settings}
