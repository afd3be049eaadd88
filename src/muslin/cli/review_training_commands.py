"""The commands that train the next model of a review store, and make it the active one."""

import sys
from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_error, print_json, stop_on_signals
from muslin.cli.review_commands import user_name, who_option
from muslin.cli.training_commands import recipe_option, set_option, train_options
from muslin.errors import DataError, MuslinError
from muslin.printing import echo, log


@command(
    "review train store",
    Group(
        "options",
        recipe_option("Recipe to train with. Default: that of the active model, with its settings."),
        set_option(),
        option("--time-budget TIME", "Maximum training time, such as 2min; with --recipe auto."),
        shared.seed_option("Random seed. The same seed and decisions give the same weights. Default: 0.", None),
        shared.out_option("Folder of the run, new or empty. Default: a new one in runs/.", "RUN"),
        make=train_options,
    ),
    shared.json_option,
)
def review_train_command(store: str, options: dict[str, Any], as_json: bool) -> None:
    """Train a candidate model on the decided products of a STORE, and on the first model's data.

    One half of the random sample also calibrates the candidate, the other half only tests it. The active model stays
    active until `muslin review promote`.
    """
    from muslin.extras import require_extra

    require_extra("review")
    from muslin.reporting.terminal.model import print_run
    from muslin.reporting.terminal.progress import training_progress
    from muslin.reporting.terminal.promotion import print_candidate
    from muslin.review.store import Store
    from muslin.workflows.review_train import ReviewTrainOptions, train_candidate
    from muslin.workflows.training_data import Callbacks

    names = ("recipe", "seed", "settings", "out")
    own = {name: options.pop(name) for name in names if name in options}
    with Store.open(store) as opened, stop_on_signals() as should_stop, training_progress() as on_progress:
        callbacks = Callbacks(log, on_progress, should_stop)
        candidate = train_candidate(opened, ReviewTrainOptions(**own, others=options), callbacks)
    if as_json:
        print_json({**candidate.run.summary(), "digest": candidate.digest, "record": candidate.record})
    else:
        print_run(candidate.run.folder, candidate.run.record)
        print_candidate(store, candidate.digest)


@command(
    "review forecast store",
    option(
        "--more COUNT",
        "Number of further decided products. Default: 100, 250, 500 and 1000, at most as many as are decided.",
        type=click.IntRange(1),
    ),
    option("--class NAME", "Class of these products. Default: any class.", dest="class_name"),
    option("--target NAME", "Target. Default: the first one with one class per product."),
    shared.json_option,
)
def review_forecast_command(
    store: str, more: int | None, class_name: str | None, target: str | None, as_json: bool
) -> None:
    """Forecast which share of products nobody would have to look at after more decisions in a STORE.

    muslin trains the head on parts of the decided products, and extrapolates its learning curve.
    """
    from muslin.extras import require_extra

    require_extra("review")
    from muslin.review.store import Store
    from muslin.workflows.review_forecast import forecast_review
    from muslin.workflows.training_data import Callbacks

    with Store.open(store) as opened, stop_on_signals() as should_stop:
        callbacks, numbers = Callbacks(log, should_stop=should_stop), None if more is None else (more,)
        found = forecast_review(opened, target=target, class_name=class_name, more=numbers, callbacks=callbacks)
    if as_json:
        print_json(found.to_dict())
    for message in found.messages if not as_json else ():
        echo(message)


@command(
    "review promote store [candidate]",
    option(
        "--margin SHARE",
        "Largest loss of the candidate, as a share of the test products. Default: 0.02.",
        type=click.FloatRange(0, 1, max_open=True),
    ),
    option("--undo", "Bring back the model that was active before the last promotion."),
    who_option,
    shared.json_option,
)
def review_promote_command(
    store: str, candidate: str | None, margin: float | None, undo: bool, who: str | None, as_json: bool
) -> None:
    """Make CANDIDATE the active model of a STORE, if it is not worse on the sealed test part.

    CANDIDATE is the beginning of a digest, a .muslin file or the folder of a run. It predicts all products first;
    after an interruption, the same command continues.
    """
    from muslin.extras import require_extra

    require_extra("review")
    if undo and (candidate or margin is not None):
        raise MuslinError("options_exclusive", options=["--undo", "CANDIDATE" if candidate else "--margin"])
    if not (undo or candidate):
        raise MuslinError("promote_without_candidate")
    from muslin.reporting.terminal.promotion import print_promotion, print_undone
    from muslin.review.store import Store
    from muslin.workflows import review_promote as workflow

    with Store.open(store) as opened, stop_on_signals() as should_stop:
        if undo:
            digest, predicted = workflow.undo_promotion(opened, user_name(who), log, should_stop)
            print_json({"active": digest, "predicted": predicted}) if as_json else print_undone(digest)
            return
        assert candidate is not None
        options = workflow.PromoteOptions() if margin is None else workflow.PromoteOptions(margin)
        result = workflow.promote(opened, candidate, user_name(who), options, log, should_stop)
    if not as_json:
        print_promotion(result.checks, result.candidate, result.predicted if result.is_promoted else None)
    if result.refusals:
        names = {"candidate": result.candidate[:12], "active": result.active[:12]}
        error = DataError("promotion_refused", **names, reason=str(result.refusals[0]))
        sys.exit(print_error(error, as_json=as_json, result=result.to_dict()))
    if as_json:
        print_json(result.to_dict())
