"""The paths below /api/data/: what the data room shows of a data set, and the decisions on its images.

A decision is acknowledged once it is on the disk, which is when `Corrections.decide` returns. Sheets of thumbnails have
threads of their own, so that no photo keeps a decision waiting.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.data.dataset import PARTS
from muslin.errors import DataError, MuslinError
from muslin.messages import Message
from muslin.studio.corrections import KINDS, ImageDecision, NewImageDecision
from muslin.studio.data_findings import findings_of
from muslin.studio.data_room import DataRoom, folder_is_writable
from muslin.studio.data_selection import STATES, Facts, Selection, class_counts, selected, unlabelled
from muslin.studio.data_sets import OpenData
from muslin.studio.image_sheets import MAX_TILES, packed_sheet, sheet
from muslin.studio.room_routes import post_route
from muslin.studio.work_queue import WorkQueue
from muslin.web.requests import Body, choice_of, integer_of, language_of, number_of, optional_text_of, text_of, value_of
from muslin.web.responses import photo_caching

READING_THREADS = 8
SHEET_THREADS = 8  # most wait for a process that decodes
MAX_QUEUED = 64

MAX_SIDE_PX = 512
MAX_ROWS = 500
MAX_DECISIONS = 5000  # of one request: a lasso around a class
MAX_GROUPS = 500  # names that a page offers
MAX_HISTORY = 200
MAX_TEXT = 500
MAX_LIMIT = 1e30  # of a range: what float32 holds

LEFT_OUT = frozenset({
    "photos_unsupported", "other_files_skipped", "photos_outside_classes", "photos_are_pointers", "unreadable_excluded",
    "photos_outside", "links_outside", "folders_unlisted",
})  # fmt: skip
"""The notes on files that reading a data set left out; hidden files and those of systems are none of a person's."""

Answer = Callable[[DataRoom, OpenData, Body], Any]


def data_routes(room: DataRoom) -> list[Route]:
    """All paths below /api/data/."""
    reading, drawing = WorkQueue(READING_THREADS, MAX_QUEUED), WorkQueue(SHEET_THREADS, MAX_QUEUED)

    def post(path: str, answer: Answer) -> Route:
        return post_route(
            reading, f"/api/data/{path}", lambda body: answer(room, room.data.open(text_of(body, "data")), body)
        )

    async def sheets(request: Request) -> Response:
        language = language_of(request.headers.get("accept-language", ""))
        content, is_current = await drawing.run(lambda: sheet_of(room, dict(request.query_params), language))
        return Response(content, media_type="application/octet-stream", headers=photo_caching(is_current))

    return [
        Route("/api/data/sheet", sheets, methods=["GET"]),
        *(post(path, answer) for path, answer in DATA_ROUTES.items()),
    ]


# ── One function a path ──────────────────────────────────────────────────────────────────────────────────


def sheet_of(room: DataRoom, query: Body, language: str) -> tuple[bytes, bool]:
    """A sheet of thumbnails, and whether a browser may keep it: a version names the files that it was made from."""
    opened = room.data.open(text_of(query, "data"))
    side = max(16, integer_of(query, "side", 112, MAX_SIDE_PX))
    texts = text_of(query, "images").split(",")
    if len(texts) > MAX_TILES:
        raise MuslinError("request_value", name="images", expected="array", maximum=MAX_TILES)
    indices = [integer_of({"images": text}, "images", -1, max(0, len(opened) - 1)) for text in texts]
    key = opened.name, opened.version, side, tuple(indices), language
    content = room.sheets.get(key, lambda: packed_sheet(*sheet(opened.thumbnails(indices, side), language)))
    return content, query.get("version") == opened.version


def describe(room: DataRoom, opened: OpenData, body: Body) -> dict[str, Any]:
    """What a page needs before it shows an image."""
    groups = [] if opened.groups is None else sorted(set(map(str, opened.groups)))
    parts = [] if opened.parts is None else [part for part in PARTS if (opened.parts == part).any()]
    corrections = room.corrections(opened)
    place = corrections.labels_path
    return {
        "data": opened.name,
        "version": opened.version,
        "title": opened.title,
        "origin": opened.origin,
        "n": len(opened),
        "shape": list(opened.shape) if opened.shape else None,
        "targets": [{"name": t.name, "kind": t.kind, "classes": list(t.classes)} for t in opened.targets],
        "parts": parts,
        "groups": groups[:MAX_GROUPS],
        "groups_count": len(groups),
        "fixes": list(opened.fixes),
        "left_out": sum(map(_left_out, opened.fixes)),
        "corrections": place.relative_to(room.root).as_posix(),
        "damaged_decisions": corrections.damaged(),
        "is_writable": folder_is_writable(place),
    }


def _left_out(fix: Message | str) -> int:
    """How many files a note on the data says that reading them left out."""
    if not isinstance(fix, Message):
        return 0
    return _left_out(fix.params["fix"]) if fix.code == "in_part" else fix.params["count"] * (fix.code in LEFT_OUT)


def listed(room: DataRoom, opened: OpenData, body: Body) -> Any:
    """The indices of the images that are wanted, in the wanted order; and counts of the whole data set."""
    target = _target_name(opened, body)
    facts = room.facts(opened, target, optional_text_of(body, "run"))
    facts = _with_similarity(room, opened, facts, body)
    order = selected(opened, target, facts, _selection(body))
    header = {
        "dtype": "int32",
        "n": len(order),
        "counts": _counts(opened, target, facts),
        "values": {name: _range(values) for name, values in facts.values.items()},
    }
    return header, order


def rows(room: DataRoom, opened: OpenData, body: Body) -> dict[str, Any]:
    """What is known of some images."""
    target, indices = _target_name(opened, body), _indices_of(opened, body, MAX_ROWS)
    run = optional_text_of(body, "run")
    facts = room.facts(opened, target, run)
    given = None if target is None else opened.labels(target)
    standing: dict[str, list[ImageDecision]] = {}
    for each in room.corrections(opened).current():
        if each.target in (target or "", ""):
            standing.setdefault(each.id, []).append(each)
    predicted = room.run_facts(opened, run).predicted.get(target or "") if run else None
    return {
        "rows": [
            {
                "index": index,
                "id": str(opened.ids[index]),
                "part": "" if opened.parts is None else str(opened.parts[index]),
                "group": "" if opened.groups is None else str(opened.groups[index]),
                "label": _label_json(facts.labels, index),
                "given": _label_json(given, index),
                "predicted": None if predicted is None or predicted[index] < 0 else int(predicted[index]),
                "values": {name: _number(values[index]) for name, values in facts.values.items()},
                "is_excluded": bool(facts.excluded[index]),
                "decisions": [decision_json(each) for each in standing.get(str(opened.ids[index]), [])],
            }
            for index in indices
        ]
    }


def decide(room: DataRoom, opened: OpenData, body: Body) -> dict[str, Any]:
    """Add decisions: all of them or none. They are on the disk when this returns."""
    who = text_of(body, "who")[:MAX_TEXT]
    found = value_of(body, "decisions", list)
    if not found or len(found) > MAX_DECISIONS:
        raise MuslinError("request_value", name="decisions", expected="array", items="object", maximum=MAX_DECISIONS)
    receipts = room.corrections(opened).decide([_new_decision(opened, each) for each in found], who)
    return {
        "receipts": [
            {"number": r.number, "is_repeated": r.is_repeated, "earlier": r.earlier and decision_json(r.earlier)}
            for r in receipts
        ]
    }


def history(room: DataRoom, opened: OpenData, body: Body) -> dict[str, Any]:
    """The last decisions, newest first, also those that were taken back."""
    decisions = room.corrections(opened).history()
    undone = {each.undoes for each in decisions if each.kind == "undo"}
    return {
        "n": len(decisions),
        "decisions": [
            decision_json(each) | {"is_undone": each.number in undone} for each in reversed(decisions[-MAX_HISTORY:])
        ],
    }


def findings(room: DataRoom, opened: OpenData, body: Body) -> dict[str, Any]:
    """The findings of the last audit of the data set, in the order in which a person should look at them."""
    return findings_of(room.root, opened)


def similarity_map(room: DataRoom, opened: OpenData, body: Body) -> Any:
    """The points of the map, float32 (points, 3): the image's index, and where it lies, from 0 to 1.

    Raises:
        DataError: the job `map` must compute it first.
    """
    found = room.map(opened, optional_text_of(body, "run"))
    if found is None:
        raise DataError("map_missing", name=opened.title)
    points = np.column_stack([found.indices.astype(np.float32), found.points])
    header = {"dtype": "float32", "method": found.method, "by": found.by, "is_first": found.is_first}
    return header | {"n": len(points)}, points


DATA_ROUTES: dict[str, Answer] = {
    "open": describe,
    "list": listed,
    "rows": rows,
    "decide": decide,
    "history": history,
    "findings": findings,
    "map": similarity_map,
}


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────


def decision_json(decision: ImageDecision) -> dict[str, Any]:
    """A decision for a page."""
    return {name: value for name, value in asdict(decision).items() if name not in ("request", "part")}


def _new_decision(opened: OpenData, found: Any) -> NewImageDecision:
    if not isinstance(found, dict):
        raise MuslinError("request_value", name="decisions", expected="array", items="object")
    kind = choice_of(found, "kind", "label", KINDS)
    index = integer_of(found, "index", -1, max(0, len(opened) - 1))
    part = "" if opened.parts is None else str(opened.parts[index])
    values: dict[str, Any] = {"after": integer_of(found, "after", 0, 2**53)}
    if kind == "label":
        values |= _label_of(opened, found)
    elif kind == "undo":
        values |= {"undoes": integer_of(found, "undoes", -1, 2**53)}
    return NewImageDecision(text_of(found, "request")[:MAX_TEXT], kind, part, str(opened.ids[index]), **values)


def _label_of(opened: OpenData, found: Body) -> dict[str, str]:
    """The target and the label of a decision, as a row of corrections writes it."""
    target = opened.target(found.get("target"))
    name = text_of(found, "label")
    if target is None or name not in target.classes:
        raise MuslinError("request_choice", name="label", choices=list(target.classes)[:50] if target else [])
    if target.kind == "multilabel":
        name = f"{name}: {choice_of(found, 'answer', 'yes', ('yes', 'no'))}"
    return {"target": target.name, "label": name}


def _target_name(opened: OpenData, body: Body) -> str | None:
    target = opened.target(body.get("target") or None)
    return target.name if target else None


def _indices_of(opened: OpenData, body: Body, maximum: int) -> list[int]:
    found = value_of(body, "images", list)
    if len(found) > maximum:
        raise MuslinError("request_value", name="images", expected="array", items="integer", maximum=maximum)
    return [integer_of({"images": each}, "images", -1, max(0, len(opened) - 1)) for each in found]


def _selection(body: Body) -> Selection:
    filters = value_of(body, "filters", dict)
    ranges = value_of(filters, "ranges", dict)
    return Selection(
        classes=_names_of(filters, "classes"),
        parts=_names_of(filters, "parts"),
        groups=_names_of(filters, "groups"),
        text=str(filters.get("text") or "")[:MAX_TEXT],
        state=choice_of(filters, "state", "all", STATES),
        ranges={str(name): _limits_of(str(name), limits) for name, limits in ranges.items()},
        sort=str(body.get("sort") or "order"),
        descending=bool(body.get("descending")),
    )


def _names_of(filters: Body, name: str) -> tuple[str, ...]:
    found = value_of(filters, name, list)
    if not all(isinstance(each, str) for each in found):
        raise MuslinError("request_value", name=name, expected="array", items="string")
    return tuple(found)


def _limits_of(name: str, limits: Any) -> tuple[float | None, float | None]:
    if not isinstance(limits, list) or len(limits) != 2:
        raise MuslinError("request_value", name=name, expected="array", items="number")
    low, high = (None if each is None else number_of({name: each}, name, -MAX_LIMIT, MAX_LIMIT) for each in limits)
    return low, high


def _with_similarity(room: DataRoom, opened: OpenData, facts: Facts, body: Body) -> Facts:
    """The facts with each image's similarity to the image `like`, if the request names one."""
    if body.get("like") is None:
        return facts
    index = integer_of(body, "like", -1, max(0, len(opened) - 1))
    vectors = room.vectors(opened, optional_text_of(body, "run"))
    return replace(facts, values={**facts.values, "similarity": vectors @ vectors[index]})


def _counts(opened: OpenData, target: str | None, facts: Facts) -> dict[str, Any]:
    of_target = opened.target(target)
    classes = [] if of_target is None or facts.labels is None else class_counts(facts.labels, len(of_target.classes))
    parts = {} if opened.parts is None else {part: int((opened.parts == part).sum()) for part in PARTS}
    return {
        "classes": classes,
        "parts": parts,
        "decided": int(facts.decided.sum()),
        "excluded": int(facts.excluded.sum()),
        "unlabelled": int(unlabelled(facts.labels, len(opened)).sum()),
    }


def _range(values: Any) -> list[float] | None:
    known = values[~np.isnan(values)]
    return [float(known.min()), float(known.max())] if len(known) else None


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _label_json(labels: Any, index: int) -> Any:
    """A class's index, null where it is unknown; of a multilabel target the indices of the labels."""
    if labels is None:
        return None
    if labels.ndim == 2:
        return [int(each) for each in np.flatnonzero(labels[index] == 1)]
    return None if labels[index] < 0 else int(labels[index])
