"""The kinds of jobs that a page can start: how a request's parameters are checked, and what the process does.

The checks run in the studio, before the job starts. The work runs in the job's process, in the studio's folder, and
imports what it needs itself.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from muslin.errors import BundleError, DataError, MuslinError, StorageError
from muslin.messages import Message
from muslin.models.json_schema import Object, check_schema
from muslin.storage.file_names import file_stem
from muslin.studio.corrections import decision_files
from muslin.studio.job_process import Job, Params, Work
from muslin.studio.model_files import MODEL_SUFFIXES, file_within, path_within
from muslin.studio.review_job import review
from muslin.studio.run_sources import source_of
from muslin.web.requests import Body, choice_of, integer_of, number_of, optional_text_of, text_of, value_of
from muslin.workflows.run_schema import READ_OPTIONS

PAGE_READ_OPTIONS = {name: schema for name, schema in READ_OPTIONS.items() if name != "allow_outside"}
"""What a page can say of how to read the data; photos outside of them are never read for it."""

MAX_BUDGET_S = 366 * 86_400
"""Seconds that a training can be allowed: a year."""

OF_ANOTHER_JOB = ("journal_locked", "job_inputs_changed")
"""The errors of a tagging whose file another job writes, or has begun with other data or another model."""

AUDIT_STEPS = {
    "read": (0.0, 0.02), "image_stats": (0.02, 0.3), "duplicates": (0.3, 0.4), "label_check": (0.4, 0.95),
    "write": (0.95, 1.0),
}  # fmt: skip
"""Where in an audit its long steps begin and end, by the time that they take of some thousand photos."""

T = TypeVar("T")

NAME = re.compile(r"[^\W_][\w .()-]{0,80}")


class JobKind(NamedTuple):
    """A kind of job.

    Attributes:
        check: the studio's folder and a request's parameters → those of the job, JSON values; it raises a MuslinError.
        work: what the process does with them.
        takes_steps: whether the work looks for `should_stop` often; a work that does not is ended at once.
    """

    check: Callable[[Path, Body], dict[str, Any]]
    work: Work
    takes_steps: bool = True


# ── In the studio ────────────────────────────────────────────────────────────────────────────────────────


def data_within(root: Path, body: Body, name: str = "data") -> str:
    """The data that a request names: a registered name, or a path below the folder.

    Raises:
        DataError: there is neither.
    """
    from muslin.data.registry import DATASETS

    value = text_of(body, name)
    if value not in DATASETS:
        path_within(root, value)
    return value


def read_options_of(root: Path, body: Body) -> dict[str, Any]:
    """The options of `muslin.read` that a request names.

    Raises:
        MuslinError: an unknown option, or a value that it does not take.
        DataError: `images` is no folder below the studio's.
    """
    options: dict[str, Any] = value_of(body, "read_options", dict)
    try:
        check_schema(options, Object(PAGE_READ_OPTIONS, allows_additional=False))
    except BundleError as error:
        raise MuslinError("request_choice", name="read_options", choices=list(PAGE_READ_OPTIONS)) from error
    if options.get("images"):
        path_within(root, options["images"])
    return options


def _check_audit(root: Path, body: Body) -> dict[str, Any]:
    return {
        "data": data_within(root, body),
        "test": data_within(root, body, "test") if body.get("test") else None,
        "read_options": read_options_of(root, body),
        "seed": integer_of(body, "seed", 0, 2**32 - 1),
    }


def _check_train(root: Path, body: Body) -> dict[str, Any]:
    from muslin.learn.recipes import RECIPES

    recipe = choice_of({"recipe": body.get("recipe") or "auto"}, "recipe", "auto", ("auto", *RECIPES))
    settings = dict(value_of(body, "settings", dict))
    weights = settings.get("weights")
    if weights is not None and weights not in ("imagenet", "random"):
        settings["weights"] = str(file_within(root, str(weights), MODEL_SUFFIXES))
    decided = decision_files(root, data_within(root, body))
    given = {name: optional_text_of({**decided, **body}, name) or None for name in ("exclude", "corrections")}
    for value in filter(None, given.values()):
        file_within(root, value, (".csv",))
    budget_s = None if body.get("time_budget_s") is None else number_of(body, "time_budget_s", 1, MAX_BUDGET_S)
    return _check_audit(root, body) | given | {
        "recipe": recipe,
        "settings": settings,
        "time_budget_s": budget_s,
        "leaves_out_unknown": True,  # a page cannot edit the decisions on images that are gone
        "snapshots": body.get("snapshots") is not False,
        "name": _new_name(body),
    }  # fmt: skip


def _new_name(body: Body) -> str | None:
    """The name of a new folder or file, if the request has one."""
    name = optional_text_of(body, "name")
    if not name:
        return None
    if not NAME.fullmatch(name):
        raise MuslinError("new_name", name=name[:100])
    return name


def _check_resume(root: Path, body: Body) -> dict[str, Any]:
    name = text_of(body, "run")
    _check_run_data(root, name)
    return {"run": name}


def _check_run_data(root: Path, name: str) -> None:
    """The run must lie in the folder, and so must the data that its `run.json` names: anybody may have written it."""
    from muslin.workflows.run_folder import Run

    if source := source_of(root, Run(path_within(root, name))):
        source.check()


def _check_predictions(root: Path, body: Body) -> dict[str, Any]:
    from muslin.data.dataset import PARTS

    name, parts = text_of(body, "run"), value_of(body, "parts", list) or ["test"]
    if any(part not in PARTS for part in parts):
        raise MuslinError("request_choice", name="parts", choices=list(PARTS))
    _check_run_data(root, name)
    return {"run": name, "parts": parts}


def _check_review(root: Path, body: Body) -> dict[str, Any]:
    from muslin.extras import require_extra

    require_extra("review")
    return _check_tag(root, body)


def _check_tag(root: Path, body: Body) -> dict[str, Any]:
    from muslin.evaluation.selective import check_precision_target

    file_within(root, text_of(body, "model"), MODEL_SUFFIXES)
    if (precision := body.get("precision")) is not None:
        check_precision_target(precision := number_of(body, "precision", 0, 1))
    return {
        "model": body["model"],
        "data": data_within(root, body),
        "precision": precision,
        "read_options": read_options_of(root, body),
        "name": _new_name(body),
    }


def _check_download(root: Path, body: Body) -> dict[str, Any]:
    from muslin.data.registry import DATASETS

    return {"data": choice_of(body, "data", "", DATASETS)}


def _check_map(root: Path, body: Body) -> dict[str, Any]:
    run = optional_text_of(body, "run")
    if run:
        path_within(root, run)
    return {"data": data_within(root, body), "run": run}


# ── In the process ───────────────────────────────────────────────────────────────────────────────────────


def train(job: Job, params: Params) -> dict[str, Any]:
    """Train as `muslin train` does; the run and what it says of itself."""
    from muslin.workflows.train import run_plan
    from muslin.workflows.training_plan import TrainOptions, plan_training

    options = TrainOptions(**{each.name: params[each.name] for each in fields(TrainOptions) if each.name in params})
    callbacks = training_callbacks(job)
    plan = _for_targets(
        params, lambda reading: plan_training(params["data"], replace(options, read_options=reading), callbacks)
    )
    out = params["name"] and f"runs/{params['name']}"

    def on_start(run: Any) -> None:
        job.report(0.0, at_once=True, run=run.folder.as_posix(), expected_s=plan.choice.expected_s)

    return run_plan(plan, out, callbacks, on_start).summary()


def offer(job: Job, params: Params) -> dict[str, Any]:
    """What is in the data, and what each recipe takes and promises."""
    from muslin.workflows.training_data import Callbacks
    from muslin.workflows.training_offers import TrainingOffers, offer_recipes
    from muslin.workflows.training_plan import TrainOptions

    def on_offers(offers: TrainingOffers) -> None:
        job.report(None, at_once=True, offers=asdict(offers))

    names = ("test", "read_options", "exclude", "corrections", "leaves_out_unknown", "seed")
    options, callbacks = (
        TrainOptions(**{name: params[name] for name in names}),
        Callbacks(job.log, should_stop=job.should_stop),
    )
    return asdict(
        _for_targets(
            params,
            lambda reading: offer_recipes(params["data"], replace(options, read_options=reading), callbacks, on_offers),
        )
    )


def _for_targets(params: Params, work: Callable[[dict[str, Any]], T]) -> T:
    """`work` with the options of reading; with all targets, as the data room has them, where a table has several
    columns that could be the label and nobody chose.
    """
    try:
        return work(params["read_options"])
    except DataError as error:
        if error.code != "label_column_ambiguous":
            raise
    return work(params["read_options"] | {"all_targets": True})


def resume(job: Job, params: Params) -> dict[str, Any]:
    """Continue an interrupted run."""
    from muslin.workflows import train as workflow

    job.report(None, at_once=True, run=params["run"])
    callbacks = training_callbacks(job)
    run = workflow.resume(
        params["run"], log=callbacks.log, on_progress=callbacks.on_progress, should_stop=callbacks.should_stop
    )
    return run.summary()


def training_callbacks(job: Job) -> Any:
    """What a training calls: the job's state says how far it is, also while features are extracted."""
    from muslin.workflows.training_data import Callbacks

    def on_progress(progress: Any) -> None:
        facts = {name: value for name, value in vars(progress).items() if name not in ("row", "share")}
        job.report(progress.share, at_once=progress.row is not None, **facts)

    def log(line: str) -> None:
        if isinstance(line, Message) and line.code == "features_extracted":
            job.report(line.params["done"] / line.params["n"])
        job.log(line)

    return Callbacks(log, on_progress, job.should_stop)


def audit(job: Job, params: Params) -> dict[str, Any]:
    """Audit as `muslin audit` does; the audit's folder and its summary."""
    return _for_targets(params, lambda reading: _audit(job, {**params, "read_options": reading}))


def _audit(job: Job, params: Params) -> dict[str, Any]:
    from muslin.storage.outputs import Output
    from muslin.studio.data_findings import audit_folder
    from muslin.workflows.audit import audit as run_audit

    folder = audit_folder(params["data"])
    names = ("test", "seed", "read_options")
    data, options = _decided_data(job, params), {name: params[name] for name in names}
    if data is not None:
        options = {"seed": params["seed"]}
    source = params["data"] if data is None else data

    def on_progress(step: str, share: float) -> None:
        if step in AUDIT_STEPS:
            start, end = AUDIT_STEPS[step]
            job.report(start + (end - start) * share)

    found = run_audit(source, out=Output(folder, overwrite=True), log=job.log, on_progress=on_progress, **options)
    return {"folder": folder.as_posix()} | found.summary()


def _decided_data(job: Job, params: Params) -> Any:
    """The data set with the decisions of the data room, as a training takes it; None where nobody has decided."""
    from muslin.data import read
    from muslin.workflows.training_plan import TrainOptions, edit_dataset

    files = decision_files(Path.cwd(), params["data"])
    if not any(files.values()):
        return None
    dataset = read(params["data"], test=params["test"], **params["read_options"])

    def log(line: str) -> None:  # the audit logs the rest of what was read and edited
        if isinstance(line, Message) and line.code == "edits_left_out":
            job.log(line)

    options = TrainOptions(
        exclude=files["exclude"],
        corrections=files["corrections"],
        leaves_out_unknown=True,
        read_options=params["read_options"],
    )
    return edit_dataset(dataset, options, log)[0]


def tag(job: Job, params: Params) -> dict[str, Any]:
    """Tag as `muslin tag` does; the tagged table, and how many products got which decision."""
    from muslin.workflows.tag import TagOptions
    from muslin.workflows.tag import tag as run_tag

    options = TagOptions(precision=params["precision"], resume=True, read_options=params["read_options"])
    for out in _tagged_files(params):
        job.report(0.0, at_once=True, out=out.as_posix())
        try:
            found = run_tag(
                params["model"], params["data"], out, options, log=job.log, should_stop=job.should_stop,
                on_progress=lambda done, count: job.report(done / max(count, 1), done=done, count=count),
            )  # fmt: skip
        except (DataError, StorageError) as error:
            if error.code not in OF_ANOTHER_JOB:
                raise
        else:
            return found.to_dict() | {"out": out.as_posix(), "notes": list(found.notes)}
    raise AssertionError("unreachable")


def _tagged_files(params: Params) -> Iterator[Path]:
    """New files in `tagged/`, and those of interrupted jobs, by their number."""
    from muslin.workflows.tag import JOURNAL_SUFFIX

    path = Path(params["name"] or Path(params["data"]).name)
    suffix = path.suffix if path.suffix.lower() in (".csv", ".tsv", ".xlsx", ".parquet", ".jsonl") else ".csv"
    stem = file_stem(path.name.removesuffix(path.suffix) if path.suffix == suffix else path.name)
    for number in itertools.count(1):
        out = Path("tagged", f"{stem}{'' if number == 1 else f'-{number}'}{suffix}")
        if not out.exists() or out.with_name(out.name + JOURNAL_SUFFIX).exists():
            yield out


def download(job: Job, params: Params) -> dict[str, Any]:
    """Obtain a registered data set as `muslin get` does."""
    from muslin.data.dataset_cache import obtain

    copy = obtain(params["data"], log=job.log, on_progress=job.report)
    return {"data": params["data"], "origin": copy.origin}


def predictions(job: Job, params: Params) -> dict[str, Any]:
    """Predict the images of these parts of a run, which the mistakes and the data room then show from the cache."""
    from muslin.workflows.run_folder import Run
    from muslin.workflows.run_predictions import run_predictions

    run, parts = Run(Path(params["run"])), params["parts"]
    for done, part in enumerate(parts):
        job.report(done / len(parts), at_once=True, part=part)
        on_progress = partial(_report_part, job, done, len(parts))
        run_predictions(run, part, log=job.log, on_progress=on_progress)
    return dict(params)


def similarity_map(job: Job, params: Params) -> dict[str, Any]:
    """Compute the map of a data set, which `muslin.studio.data_room` then finds in the cache."""
    from muslin.studio.data_room import DataRoom
    from muslin.studio.data_sets import DataSets

    room = DataRoom(DataSets(Path.cwd().resolve()))
    opened = room.data.open(params["data"])
    try:
        first_kept = partial(job.report, 0.6, at_once=True, is_drawn=True)
        found = room.make_map(opened, params["run"], job.report, first_kept)
    finally:
        room.data.close()
    return {"method": found.method, "by": found.by, "points": len(found.indices)}


def _report_part(job: Job, done: int, parts: int, share: float) -> None:
    job.report((done + share) / parts)


JOBS: Mapping[str, JobKind] = {
    "offer": JobKind(_check_train, offer),
    "train": JobKind(_check_train, train),
    "resume": JobKind(_check_resume, resume),
    "audit": JobKind(_check_audit, audit, takes_steps=False),
    "tag": JobKind(_check_tag, tag),
    "review": JobKind(_check_review, review),
    "download": JobKind(_check_download, download, takes_steps=False),
    "predictions": JobKind(_check_predictions, predictions, takes_steps=False),
    "map": JobKind(_check_map, similarity_map, takes_steps=False),
}
"""A new kind is a new row."""
