"""The command that trains many variants."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_error, print_json, stop_on_signals
from muslin.errors import MuslinError, RecipeError
from muslin.messages import Message
from muslin.printing import log

if TYPE_CHECKING:
    from muslin.workflows.sweep_results import VariantResult

MAX_SEEDS = 10_000
"""Of a range; a sweep has fewer variants."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0-4` or `0,1,5-7` as whole numbers.

    >>> parse_seeds("0,5-7")
    (0, 5, 6, 7)

    Raises:
        TrainingError: it is something else.
    """
    from muslin.errors import TrainingError

    seeds: list[int] = []
    for piece in text.replace(" ", "").split(","):
        found = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", piece)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not 0 <= last - first < MAX_SEEDS:
            raise TrainingError("sweep_seeds", value=text)
        seeds += range(first, last + 1)
    return tuple(seeds)


def parse_values(changes: tuple[str, ...]) -> dict[str, list[str]]:
    """`NAME=A,B` as the values of a setting.

    >>> parse_values(("epochs=2,4", "flip=true"))
    {'epochs': ['2', '4'], 'flip': ['true']}

    Raises:
        MuslinError: it is something else, or a setting is given twice.
    """
    settings: dict[str, list[str]] = {}
    for change in changes:
        name, equals, values = change.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise RecipeError("setting_syntax", text=change)
        if name in settings:
            raise MuslinError("option_repeated", option=f"--set {name}")
        settings[name] = [value.strip() for value in values.split(",")]
    return settings


def _log_variant(result: "VariantResult", done: int, n: int) -> None:
    from muslin.text import short_interval

    place: dict[str, Any] = {"done": done, "n": n, "name": result.variant.name}
    if result.problem:
        log(Message("sweep_variant_failed", **place, reason=result.problem["message"]))
        return
    metrics = list(result.validation.values())
    if len(metrics) == 1:
        [metric] = metrics
        name = "accuracy" if "accuracy" in metric else "f1"
        place |= {"metric": name.replace("f1", "F1"), "value": metric[name], "images": metric["n"]}
        place["interval"] = short_interval(metric["interval"])
    log(Message("sweep_variant_done", **place, train_s=result.train_s))


@command(
    "sweep [data]",
    Group(
        "varied",
        option("--recipes NAMES", "Recipes to train with, such as photo,photo-tuned: the simpler first."),
        option("--seeds RANGE", "Random seeds, such as 0-4 or 0,1,5-7. Default: 0."),
        option(
            "--set NAME=VALUES...",
            "Values of a setting, such as learning_rate=0.1,0.2. Each combination is a variant. Widths: 32-64,64-128.",
            dest="changes",
        ),
    ),
    Group(
        "training",
        shared.test_option,
        option("--exclude FILE", "Exclude the samples that this CSV names by part and id.", type=shared.PATH),
        option(
            "--corrections FILE", "Correct the labels that this CSV names by part, id and target.", type=shared.PATH
        ),
        option(
            "--max-unreadable SHARE",
            "Largest share of unreadable photos to train without. Default: 0.2.",
            type=click.FloatRange(0, 1),
        ),
        option(
            "--threads N",
            "Threads of each training, on which the weights depend. Default: one a core; with --on, the cores of this "
            "machine by the number of workers.",
            type=click.IntRange(1, 1024),
        ),
        make=shared.given,
    ),
    Group(
        "place",
        shared.on_option("Where to train the variants", "this process, one after another."),
        shared.out_option("Folder of the sweep, new or empty. Default: a new one in runs/.", "FOLDER"),
        option("--resume FOLDER", "Continue an interrupted sweep, and try again what failed.", type=shared.PATH),
    ),
    shared.read_options,
    shared.json_option,
)
def sweep_command(
    data: str | None, varied: dict[str, Any], training: dict[str, Any], place: dict[str, Any],
    read_options: dict[str, Any], as_json: bool,
) -> None:  # fmt: skip
    """Train many variants on DATA: recipes, seeds and settings. Writes a run's folder for each, and one table.

    The best is the one with the best validation metric. Only this one is evaluated on the test set.
    """
    from muslin.reporting.terminal.progress import training_progress
    from muslin.reporting.terminal.sweep import print_sweep
    from muslin.workflows.sweep import SweepControl, resume_sweep, resuming_command, sweep
    from muslin.workflows.sweep_plan import SweepOptions
    from muslin.workflows.sweep_variant import MEMORY_MB
    from muslin.workflows.training_data import Callbacks
    from muslin.workflows.training_plan import TrainOptions

    resume: Path | None = place["resume"]
    _check_given(data, varied, resume)
    executor_of = shared.executor_of(place, memory_mb=MEMORY_MB)
    with stop_on_signals() as should_stop, executor_of as executor, training_progress() as on_progress:
        control = SweepControl(executor, Callbacks(log, on_progress, should_stop), _log_variant)
        if resume:
            result = resume_sweep(resume, data, control=control)
        else:
            assert data
            recipes = tuple(name.strip() for name in varied["recipes"].split(","))
            seeds, settings = parse_seeds(varied["seeds"] or "0"), parse_values(varied["changes"])
            options = SweepOptions(recipes, seeds, settings, TrainOptions(**training, read_options=read_options))
            result = sweep(data, options, out=place["out"], control=control)
    found = result.to_dict()
    if not as_json:
        print_sweep(found)
    if result.failed:
        error = result.failure(resuming_command(result.folder))
        sys.exit(print_error(error, as_json=as_json, result=found))
    if as_json:
        print_json(found)


def _check_given(data: str | None, varied: dict[str, Any], resume: Path | None) -> None:
    shared.refuse_with_resume(resume, "data", "resume", "as_json", "on")
    if not resume and not (data and varied["recipes"]):
        raise MuslinError("sweep_without_data")
