"""Long work on a review store that the page starts: training a candidate, promoting it, undoing that, and a forecast.

Each runs in a process of its own (`job_process`), so that no decision waits for it, and goes on when the page and the
studio are closed. Only for stores that the user named: a training reads whatever files the store names, and anybody may
have written one in the folder.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError, StorageError
from muslin.storage.atomic import cache_folder
from muslin.studio.job_folder import LOCKED, JobFolder
from muslin.studio.job_process import Job, Params, Work, first_state
from muslin.studio.review_stores import OpenStore


class ReviewWork:
    """At most one work for each store at a time. Safe to use from several threads at once.

    A forecast has a folder of its own, so that neither it nor a training replaces what the other found.

    Args:
        root: the folder in which runs are written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def start(self, opened: OpenStore, kind: str, who: str, **of_work: str | None) -> dict[str, Any]:
        """Begin a work of WORKS; its state.

        Raises:
            MuslinError: the store lies in the folder and nobody named it.
            StorageError: another work of the store is running, or the state cannot be written.
        """
        if not opened.is_named:
            raise MuslinError("review_serve_needed", store=opened.name)
        state = first_state(kind, who)
        if any(_folder(opened, other).is_running for other in WORKS):
            raise StorageError("review_work_running", store=opened.name)
        try:
            _folder(opened, kind).start(self._root, state, WORKS[kind], {"place": opened.place, "who": who} | of_work)
        except StorageError as error:
            if error.code == LOCKED:
                raise StorageError("review_work_running", store=opened.name) from error
            raise
        return _shown(state)

    def of(self, opened: OpenStore, kind: str = "train") -> dict[str, Any] | None:
        """The state of the last forecast of the store, or of what else was last started; None where nothing was."""
        state = _folder(opened, kind).state
        return state and _shown(state)

    def stop(self, opened: OpenStore) -> None:
        """Tell what is running to stop after its step."""
        for kind in WORKS:
            _folder(opened, kind).stop()


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in ("kind", "is_running", "lines", "error", "result")}


def _folder(opened: OpenStore, kind: str) -> JobFolder:
    name = opened.store.info.id + ("-forecast" if kind == "forecast" else "")
    return JobFolder(cache_folder() / "review-work" / name, "review_work_ended")


# ── In the process ───────────────────────────────────────────────────────────────────────────────────────


def _train(job: Job, params: Params) -> dict[str, Any]:
    """The digest of the candidate, and the folder of its run."""
    from muslin.review.store import Store
    from muslin.workflows.review_train import train_candidate
    from muslin.workflows.training_data import Callbacks

    with Store.open(params["place"]) as store:
        trained = train_candidate(store, callbacks=Callbacks(job.log, should_stop=job.should_stop))
    return {"digest": trained.digest, "run": str(trained.run.folder.absolute())}


def _promote(job: Job, params: Params) -> dict[str, Any]:
    """Whether the candidate is active now, and why not."""
    from muslin.review.store import Store
    from muslin.workflows.review_promote import promote

    with Store.open(params["place"]) as store:
        found = promote(store, params["digest"], params["who"], log=job.log, should_stop=job.should_stop)
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
        found = forecast_review(store, target=params["target"], class_name=params["class_name"], callbacks=callbacks)
    forecasts = [asdict(each) for each in found.forecasts]
    return {"target": found.target, "forecasts": forecasts, "messages": list(found.messages)}


WORKS: dict[str, Work] = {
    "train": _train, "promote": _promote, "undo_promotion": _undo_promotion, "forecast": _forecast,
}  # fmt: skip
