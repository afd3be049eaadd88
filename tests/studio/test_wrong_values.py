"""A value of the wrong kind, in any place of a request of the rooms, is refused with a sentence."""

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import muslin
from asgi_client import ask
from garment_files import write_garment_folders
from muslin.errors import MuslinError
from muslin.studio.app import studio
from muslin.studio.job_kinds import JOBS
from muslin.workflows.run_predictions import run_predictions

PORT = 8001
WRONG = (True, -1, 1.5, float("nan"), 10**400, "\ud800", "..", "\0", [[]], {"x": 1}, {"confidence": [10**400, None]})
DATA = {"data": "photos"}
RUN = {"run": "runs/a", "part": "test", "target": "label"}
MODEL = "runs/a/model.muslin"
SHOWN = {"target": "label", "run": "runs/a"}
FILTERS = {"classes": ["bag"], "parts": ["train"], "groups": ["x"], "text": "a", "ranges": {"confidence": [0, 1]}}
DECISION = {"request": "r", "index": 1, "kind": "label", "target": "label", "label": "gone", "after": 0}

REQUESTS: Sequence[tuple[str, dict[str, Any]]] = (
    ("data/list", DATA | SHOWN | {"filters": FILTERS, "sort": "loss", "descending": True, "like": 1}),
    ("data/rows", DATA | SHOWN | {"images": [0]}),
    ("data/decide", DATA | {"who": "Ada", "decisions": [DECISION]}),
    ("data/decide", DATA | {"who": "Ada", "decisions": [{"request": "r", "index": 1, "kind": "undo", "undoes": 9}]}),
    ("data/map", DATA | {"run": "runs/a"}),
    ("imports/check", {"names": {".jpg": ["a.jpg"]}}),
    ("imports/start", {"name": "n", "files": 3, "bytes": 10}),
    ("imports/finish", {"name": "gone"}),
    ("mistakes/summary", RUN),
    ("mistakes/images", RUN | {"label": "bag", "predicted": "shirt", "outcome": "all", "text": "", "sort": "loss"}),
    ("mistakes/images", RUN | {"start": 0, "count": 9, "other": "runs/a", "change": "fixed"}),
    ("mistakes/images", RUN | {"slice": "decision", "value": "x"}),
    ("mistakes/image", RUN | {"id": "x"}),
    ("mistakes/neighbours", RUN | {"place": 0}),
    ("mistakes/compare", RUN | {"other": "runs/a"}),
    ("training/run", {"run": "runs/a"}),
    ("training/epoch", {"run": "runs/a", "epoch": 1}),
    ("jobs/get", {"id": "gone"}),
    ("jobs/start", {"kind": "gone", "who": "Ada", "params": {}}),
    ("walk", {"model": MODEL}),
)
JOB_PARAMS: Sequence[tuple[str, dict[str, Any]]] = (
    ("train", DATA | {"test": "photos", "read_options": {"images": "photos"}, "recipe": "quick", "seed": 0}),
    ("train", DATA | {"settings": {}, "exclude": None, "corrections": None, "time_budget_s": 60, "name": "b"}),
    ("resume", {"run": "runs/a"}),
    ("predictions", {"run": "runs/a", "parts": ["test"]}),
    ("tag", DATA | {"model": MODEL, "precision": 0.9, "read_options": {}, "name": "b"}),
    ("download", {"data": "fashion-mnist"}),
    ("map", DATA | {"run": "runs/a"}),
    ("audit", DATA | {"test": "photos", "seed": 1}),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("shop").resolve()
    photos = write_garment_folders(here / "photos", 80)
    run = muslin.train(photos, recipe="quick", settings={"epochs": 1, "batch_size": 20}, out=here / "runs/a")
    for part in ("test", "train"):
        run_predictions(run, part)
    return here


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values within `value`."""
    if place:
        yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from places(each, (*place, key))


def with_wrong_values(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`body` with each of its values replaced by each wrong one."""
    for place in places(body):
        for wrong in WRONG:
            changed = copy.deepcopy(body)
            inside: Any = changed
            for key in place[:-1]:
                inside = inside[key]
            inside[place[-1]] = wrong
            yield changed


def test_wrong_values_of_requests_are_refused_by_name(shop: Path) -> None:
    app = studio(shop, PORT)
    host = (b"host", f"127.0.0.1:{PORT}".encode())
    token = ask(app, "GET", "/", headers=[host])[1].split(b'name="muslin-token" content="')[1].split(b'"')[0]
    refused = 0
    for path, body in REQUESTS:
        for changed in with_wrong_values(body):
            status, content = ask(app, "POST", f"/api/{path}", changed, headers=[host, (b"x-muslin-token", token)])
            assert status == 200 or (400 <= status < 500 and json.loads(content)["message"]), (path, changed, content)
            refused += status != 200
    assert refused > 300


def test_wrong_values_of_jobs_are_refused_at_their_start(shop: Path) -> None:
    refused = 0
    for kind, params in JOB_PARAMS:
        JOBS[kind].check(shop, params)
        for changed in with_wrong_values(params):
            try:
                json.dumps(JOBS[kind].check(shop, changed), allow_nan=False)
            except MuslinError:
                refused += 1
    assert refused > 150
