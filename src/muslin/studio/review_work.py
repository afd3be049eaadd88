"""Long work on a review store that the page starts: training a candidate, promoting it, undoing that, and a forecast.

Each runs in a process of its own (`job_process`), so that no decision waits for it, and goes on when the page and the
studio are closed. A training reads whatever files the store names, and anybody may have written one in the folder: so
only for stores that the user named, and for those whose data lie in the folder.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muslin.errors import DataError, MuslinError, StorageError
from muslin.storage.atomic import cache_folder
from muslin.studio.job_folder import LOCKED, JobFolder
from muslin.studio.job_process import Job, Params, Work, first_state
from muslin.studio.review_stores import OpenStore
from muslin.studio.run_sources import check_within

if TYPE_CHECKING:
    from muslin.review.store import Store

MAX_MARGIN = 0.99
"""Of the share of products by which a promoted model may be worse."""


class ReviewWork:
    """At most one work for each store at a time. Safe to use from several threads at once.

    A forecast has a folder of its own, so that neither it nor a training replaces what the other found.

    Args:
        root: the folder in which runs are written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def start(self, opened: OpenStore, kind: str, who: str, **of_work: str | float | None) -> dict[str, Any]:
        """Begin a work of WORKS; its state.

        Raises:
            MuslinError: nobody named the store, and its data lie outside the folder.
            StorageError: another work of the store is running, or the state cannot be written.
        """
        if not self.is_allowed(opened):
            raise MuslinError("review_serve_needed", store=opened.name)
        state = first_state(kind, who)
        given = {"place": opened.place, "who": who, "root": None if opened.is_named else str(self._root)}
        if any(_folder(opened, other).is_running for other in WORKS):
            raise StorageError("review_work_running", store=opened.name)
        try:
            _folder(opened, kind).start(self._root, state, WORKS[kind], given | of_work)
        except StorageError as error:
            if error.code == LOCKED:
                raise StorageError("review_work_running", store=opened.name) from error
            raise
        return _shown(state)

    def is_allowed(self, opened: OpenStore) -> bool:
        """Whether the user named the store, or all data that it names lie in the folder or are registered."""
        from muslin.workflows.review_first_data import source_of

        if opened.is_named:
            return True
        store = opened.store
        sources = [] if store.info.data is None else [source_of(store.info.data)]
        sources += [{"data": each.path, "read_options": each.read_options} for each in store.catalogues()]
        try:
            return all(_is_within(self._root, source) for source in sources)
        except (AttributeError, KeyError, TypeError):  # of another kind than muslin writes
            return False

    def of(self, opened: OpenStore, kind: str = "train") -> dict[str, Any] | None:
        """The state of the last forecast of the store, or of what else was last started; None where nothing was."""
        state = _folder(opened, kind).state
        return state and _shown(state)

    def stop(self, opened: OpenStore) -> None:
        """Tell what is running to stop after its step."""
        for kind in WORKS:
            _folder(opened, kind).stop()


def _is_within(root: Path, source: Mapping[str, Any]) -> bool:
    options = source["read_options"]
    try:
        for path in (source["data"], source.get("test"), options.get("images")):
            check_within(root, path)
    except DataError:
        return False
    return not options.get("allow_outside")


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in ("kind", "is_running", "lines", "error", "result")}


def _folder(opened: OpenStore, kind: str) -> JobFolder:
    name = opened.store.info.id + ("-forecast" if kind == "forecast" else "")
    return JobFolder(cache_folder() / "review-work" / name, "review_work_ended")


# ── In the process ───────────────────────────────────────────────────────────────────────────────────────


def _check_edits(store: "Store", params: Params) -> None:
    """Of a store that nobody named, the files that change the first model's data must lie in the folder too."""
    from muslin.workflows.review_first_data import edits_of_first, first_model

    if params["root"] is not None:
        edits = edits_of_first(store, first_model(store))
        for path in filter(None, (edits.exclude, edits.corrections)):
            check_within(Path(params["root"]), Path(str(path)).absolute())


def _train(job: Job, params: Params) -> dict[str, Any]:
    """The digest of the candidate, and the folder of its run."""
    from muslin.review.store import Store
    from muslin.workflows.review_train import train_candidate
    from muslin.workflows.training_data import Callbacks

    with Store.open(params["place"]) as store:
        _check_edits(store, params)
        trained = train_candidate(store, callbacks=Callbacks(job.log, should_stop=job.should_stop))
    return {"digest": trained.digest, "run": str(trained.run.folder.absolute())}


def _promote(job: Job, params: Params) -> dict[str, Any]:
    """Whether the candidate is active now, and why not."""
    from muslin.review.store import Store
    from muslin.workflows.review_promote import PromoteOptions, promote

    options = PromoteOptions(params["margin"])
    with Store.open(params["place"]) as store:
        _check_edits(store, params)
        found = promote(store, params["digest"], params["who"], options, job.log, job.should_stop)
    return {"digest": found.candidate, "is_promoted": found.is_promoted, "refusals": list(found.refusals)}


def _undo_promotion(job: Job, params: Params) -> dict[str, Any]:
    """The digest of the model that is active again."""
    from muslin.review.store import Store
    from muslin.workflows.review_promote import undo_promotion

    with Store.open(params["place"]) as store:
        return {"digest": undo_promotion(store, params["who"], job.log, job.should_stop)[0]}


def _forecast(job: Job, params: Params) -> dict[str, Any]:
    """What more decided products would bring: for rising numbers, each with a sentence."""
    from muslin.review.store import Store
    from muslin.workflows.review_forecast import forecast_review
    from muslin.workflows.training_data import Callbacks

    callbacks = Callbacks(job.log, should_stop=job.should_stop)
    with Store.open(params["place"]) as store:
        _check_edits(store, params)
        found = forecast_review(store, target=params["target"], class_name=params["class_name"], callbacks=callbacks)
    forecasts = [asdict(each) for each in found.forecasts]
    return {"target": found.target, "forecasts": forecasts, "messages": list(found.messages)}


WORKS: dict[str, Work] = {
    "train": _train, "promote": _promote, "undo_promotion": _undo_promotion, "forecast": _forecast,
}  # fmt: skip
