"""The process of a training, a promotion or a forecast, which goes on when the page and the studio are closed.

Its folder holds `state.json`, which it writes after each line of its log; `stop`, a file by which it is told to stop;
and `output.txt`, what libraries print. The process holds the folder's lock as long as it lives.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError
from muslin.messages import Message
from muslin.storage.atomic import write_atomically
from muslin.strict_json import json_text
from muslin.workers import pack_messages

STATE, STOP, OUTPUT = "state.json", "stop", "output.txt"
LINES_KEPT = 200

Params = Mapping[str, Any]


def first_state(kind: str, who: str) -> dict[str, Any]:
    """The state of a work that begins: `lines` is what it said; in the end it has an `error` or a `result`."""
    return {"kind": kind, "who": who, "pid": None, "is_running": True, "lines": [], "error": None, "result": None}


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    write_atomically(folder / STATE, json_text(pack_messages(state)))


class Work:
    """The state of a work, written as it changes, and whether it is to stop."""

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self._folder, self.state = folder, state

    def log(self, line: str) -> None:
        self.change(lines=[*self.state["lines"], str(line)][-LINES_KEPT:])

    def should_stop(self) -> bool:
        return (self._folder / STOP).exists()

    def change(self, **changes: Any) -> None:
        self.state |= changes
        write_state(self._folder, self.state)


def main() -> None:
    """Do the work that stdin describes: its folder and state, the store's place, and what the work needs else."""
    params = json.load(sys.stdin)
    work = Work(Path(params["folder"]), params["state"])
    work.change(pid=os.getpid())
    try:
        work.change(result=WORKS[work.state["kind"]](work, params["place"], params["of_work"]))
    except MuslinError as error:
        work.change(error=_without_folder(error.message))
    except Exception:
        traceback.print_exc()
        work.change(error=Message("review_work_ended"))


def _without_folder(message: Message) -> Message:
    """The message with the name of a file in place of its path on this machine."""
    path = message.params.get("path")
    if not isinstance(path, str) or not os.path.isabs(path):
        return message
    return Message(message.code, message.hint_code, **{**message.params, "path": Path(path).name})


def _train(work: Work, place: str, of_work: Params) -> dict[str, Any]:
    """The digest of the candidate, and the folder of its run."""
    from muslin.review.store import Store
    from muslin.workflows.review_train import train_candidate
    from muslin.workflows.training_data import Callbacks

    with Store.open(place) as store:
        trained = train_candidate(store, callbacks=Callbacks(work.log, should_stop=work.should_stop))
    return {"digest": trained.digest, "run": str(trained.run.folder.absolute())}


def _promote(work: Work, place: str, of_work: Params) -> dict[str, Any]:
    """Whether the candidate is active now, and why not."""
    from muslin.review.store import Store
    from muslin.workflows.review_promote import promote

    with Store.open(place) as store:
        found = promote(store, of_work["digest"], work.state["who"], log=work.log, should_stop=work.should_stop)
    return {"digest": found.candidate, "is_promoted": found.is_promoted, "refusals": list(found.refusals)}


def _undo_promotion(work: Work, place: str, of_work: Params) -> dict[str, Any]:
    """The digest of the model that is active again."""
    from muslin.review.store import Store
    from muslin.workflows.review_promote import undo_promotion

    with Store.open(place) as store:
        return {"digest": undo_promotion(store, work.state["who"], work.log, work.should_stop)[0]}


def _forecast(work: Work, place: str, of_work: Params) -> dict[str, Any]:
    """What more decided products would bring: for rising numbers, each with a sentence."""
    from muslin.review.store import Store
    from muslin.workflows.review_forecast import forecast_review
    from muslin.workflows.training_data import Callbacks

    callbacks = Callbacks(work.log, should_stop=work.should_stop)
    with Store.open(place) as store:
        found = forecast_review(store, target=of_work["target"], class_name=of_work["class_name"], callbacks=callbacks)
    forecasts = [asdict(each) for each in found.forecasts]
    return {"target": found.target, "forecasts": forecasts, "messages": list(found.messages)}


WORKS: dict[str, Callable[[Work, str, Params], dict[str, Any]]] = {
    "train": _train, "promote": _promote, "undo_promotion": _undo_promotion, "forecast": _forecast,
}  # fmt: skip
