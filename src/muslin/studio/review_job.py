"""A job that predicts products into a review store, which it makes where there is none for them."""

import hashlib
import itertools
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError
from muslin.storage.file_names import file_stem
from muslin.studio.job_process import Job, Params


def review(job: Job, params: Params) -> dict[str, Any]:
    """Predict the products into a review store, a new one or that of the same data; its name and what is in it."""
    from muslin.review.store import Store
    from muslin.workflows.review_add import add_catalogue
    from muslin.workflows.review_init import InitOptions, init
    from muslin.workflows.run_folder import absolute_source

    source = absolute_source({"data": params["data"], "test": None, "read_options": params["read_options"]})
    place, is_new = _review_store(params, source["data"])
    if is_new:
        place.parent.mkdir(exist_ok=True)
        init(str(place), params["model"], InitOptions(precision=params["precision"]), who=job.state["who"], log=job.log)
    job.report(0.0, at_once=True, store=place.as_posix())
    with Store.open(place) as store:
        added = add_catalogue(
            store, params["data"], params["read_options"], log=job.log, should_stop=job.should_stop,
            on_progress=lambda done, count: job.report(done / max(count, 1), done=done, count=count),
        )  # fmt: skip
    return added.to_dict() | {"store": place.as_posix(), "notes": list(added.notes)}


def _review_store(params: Params, data: str) -> tuple[Path, bool]:
    """The store in `reviews/` that has this model and these data already, else the name of a new one; whether it is
    new."""
    from muslin.review.store import Store

    digest = hashlib.sha256(Path(params["model"]).read_bytes()).hexdigest()
    stem = file_stem(Path(params["name"] or Path(params["data"]).name.partition(".")[0]).name)
    for number in itertools.count(1):
        place = Path("reviews", f"{stem}{'' if number == 1 else f'-{number}'}.db")
        if not place.exists():
            return place, True
        try:
            with Store.open(place) as store:
                has_data = not store.catalogues() or any(each.path == data for each in store.catalogues())
                if has_data and any(each.digest == digest for each in store.models()):
                    return place, False
        except MuslinError:
            continue  # another file with this name
    raise AssertionError("unreachable")
