"""The commands that train, and that say what each recipe takes."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_json, stop_on_signals
from muslin.errors import MuslinError, RecipeError
from muslin.printing import log


def _recipe_names() -> list[str]:
    table = (files("muslin.learn") / "recipes.toml").read_text(encoding="utf-8")
    return ["auto", *tomllib.loads(table)["recipes"]]


def recipe_option(help: str) -> click.Option:
    """The option that names a recipe."""
    return option("--recipe NAME", help, load=_recipe_names)


def set_option() -> click.Option:
    """The option that changes settings of the recipe."""
    return option(
        "--set NAME=VALUE...", "Change a setting, such as batch_size=128. Repeat it for several.", dest="changes"
    )


def train_options(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as arguments of `muslin.train`."""
    from muslin.workflows.time_budget import parse_duration

    given = {name: value for name, value in values.items() if value is not None}
    settings = {}
    for change in given.pop("changes", ()):
        name, equals, value = change.partition("=")
        if not equals:
            raise RecipeError("setting_syntax", text=change)
        name = name.strip().replace("-", "_")
        if name in settings:
            raise MuslinError("option_repeated", option=f"--set {name}")
        settings[name] = value.strip()
    if "epochs" in given:
        if "epochs" in settings:
            raise MuslinError("options_exclusive", options=["--epochs", "--set epochs"])
        settings["epochs"] = given.pop("epochs")
    if "folds" in given:
        if "folds" in settings:
            raise MuslinError("options_exclusive", options=["--folds", "--set folds"])
        settings["folds"] = given.pop("folds")
    if "time_budget" in given:
        given["time_budget_s"] = parse_duration(given.pop("time_budget"))
    return given | {"settings": settings}


@command(
    "train [data]",
    Group(
        "options",
        recipe_option("Recipe to train with. Default: auto, which chooses by the images and says why."),
        option("--epochs N", "Passes over the training set.", type=click.IntRange(1)),
        option(
            "--folds K",
            "Calibrate on out-of-fold predictions of K folds. For each fold, the network, or the head of a linear "
            "probe, is trained once more. 0: calibrate on the validation set. Default: 5 for a linear probe; for a "
            "network 0, or 5 where a time budget allows it.",
            type=click.IntRange(0, 100),
        ),
        option(
            "--time-budget TIME",
            "Maximum training time, such as 2min. Chooses the most accurate recipe that fits on this machine.",
        ),
        set_option(),
        shared.seed_option("Random seed. The same seed gives the same weights. Default: 0.", None),
        shared.out_option("Folder of the run, new or empty. Default: a new one in runs/.", "RUN"),
        option(
            "--exclude FILE",
            "Exclude the samples that this CSV names by part and id: exclude.csv of an audit, or your decisions.",
            type=shared.PATH,
        ),
        option(
            "--corrections FILE",
            "Correct the labels that this CSV names by part, id and target: corrections.csv of an audit, or your own.",
            type=shared.PATH,
        ),
        option(
            "--max-unreadable SHARE",
            "Largest share of unreadable photos to train without. Default: 0.2.",
            type=click.FloatRange(0, 1),
        ),
        option(
            "--threads N",
            "Threads to train with. The same number gives the same weights. Default: one a core.",
            type=click.IntRange(1, 1024),
        ),
        option("--snapshots", "Keep the network after each epoch in RUN/snapshots. The studio shows them."),
        make=train_options,
    ),
    shared.test_option,
    option("--resume RUN", "Continue an interrupted run.", type=shared.PATH),
    Group("place", shared.on_option("Where to extract the features of photos")),
    shared.read_options,
    shared.json_option,
)
def train_command(
    data: str | None, options: dict[str, Any], test: str | None, resume: Path | None, place: dict[str, Any],
    read_options: dict[str, Any], as_json: bool,
) -> None:  # fmt: skip
    """Train a classifier on DATA. Writes a folder with the model, its evaluation and a report."""
    from muslin.models.predictor import Predictor
    from muslin.reporting.terminal.acceptance import print_acceptance, print_tag_precision
    from muslin.reporting.terminal.model import print_run
    from muslin.reporting.terminal.progress import training_progress
    from muslin.workflows import train as train_workflow

    shared.refuse_with_resume(resume, "data", "test", "resume", "as_json", "on")
    if not (data or resume):
        raise MuslinError("train_without_data")
    with stop_on_signals() as should_stop, shared.executor_of(place) as executor, training_progress() as on_progress:
        callbacks: dict[str, Any] = {"on_progress": on_progress, "log": log, "should_stop": should_stop}
        callbacks["executor"] = executor
        if resume:
            run = train_workflow.resume(resume, data, test=test, **callbacks)
        else:
            assert data
            run = train_workflow.train(data, test=test, **options, read_options=read_options, **callbacks)
    if as_json:
        print_json(run.summary())
    else:
        print_run(run.folder, run.record)
        predictor = Predictor.open(run.model)
        of_images, of_products = predictor.rules.acceptance(), predictor.rules.acceptance(per_product=True)
        print_acceptance(of_images)
        print_acceptance(of_products, of="product")
        if any(of_products.values()):
            print_tag_precision(of_products, of="product")
        else:
            print_tag_precision(of_images)


@command("recipes [data]", shared.test_option, shared.read_options, shared.json_option)
def recipes_command(data: str | None, test: str | None, read_options: dict[str, Any], as_json: bool) -> None:
    """Say how accurate each recipe was on public data, and how long it would train here, on DATA.

    Without DATA the times are for as many images as Fashion-MNIST and clothing-small have. Each recipe is tried for a
    moment; nothing is kept.
    """
    from dataclasses import asdict

    from muslin import machine
    from muslin.learn.recipes import RECIPES
    from muslin.reporting.terminal.recipes import print_recipes
    from muslin.workflows.training_data import Callbacks
    from muslin.workflows.training_offers import offer_for_assumed_data, offer_recipes
    from muslin.workflows.training_plan import TrainOptions

    if data is None and (unused := [*(["test"] if test else []), *read_options]):
        raise MuslinError("option_needs", option=f"--{unused[0].replace('_', '-')}", needed="DATA")
    with stop_on_signals() as should_stop:
        callbacks = Callbacks(log, should_stop=should_stop)
        if data is None:
            found = offer_for_assumed_data(callbacks)
        else:
            found = [offer_recipes(data, TrainOptions(test=test, read_options=read_options), callbacks)]
    here = machine.description()
    if as_json:
        print_json({"machine": here, "data": [asdict(offers) for offers in found]})
        return
    summaries = {name: recipe.summary for name, recipe in RECIPES.items()}
    print_recipes([asdict(offers) for offers in found], summaries, here)
