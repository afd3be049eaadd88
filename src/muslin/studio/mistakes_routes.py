"""The paths below /api/mistakes/: what a run's model predicts incorrectly, image by image, and why."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from starlette.routing import Route

from muslin.data.dataset import PARTS, Target
from muslin.errors import BundleError
from muslin.evaluation.selective import DECISIONS
from muslin.models.predictor import MODEL_FILE
from muslin.studio.mistakes import ImageNames, RunsOfFolder, class_names, class_of, image_row, target_of
from muslin.studio.room_routes import MAX_QUEUED, post_route
from muslin.studio.work_queue import WorkQueue
from muslin.web.requests import Body, choice_of, integer_of, text_of
from muslin.workflows import run_mistakes
from muslin.workflows.run_mistakes import OUTCOMES, SORTS, ImageQuery
from muslin.workflows.run_predictions import RunPredictions, parts_of_run

THREADS = 4
PAGE = 200
MAX_PAGE = 1000
NEIGHBOURS = 8
CHANGES = ("", "fixed", "broken", "neither")
"""Of two runs: images that only the other one predicts correctly, that only this one does, or neither, differently."""


def mistakes_routes(runs: RunsOfFolder) -> list[Route]:
    """All paths below /api/mistakes/."""
    queue = WorkQueue(THREADS, MAX_QUEUED)
    return [post_route(queue, f"/api/mistakes/{path}", partial(answer, runs)) for path, answer in ROUTES.items()]


def summary(runs: RunsOfFolder, body: Body) -> dict[str, Any]:
    """What the room shows of a part of a run, or that a job must compute it first."""
    name, part = text_of(body, "run"), choice_of(body, "part", "test", PARTS)
    run = runs.run(name)
    record = run.record
    if record["status"] != "finished" or not (run.folder / MODEL_FILE).exists():
        raise BundleError("bundle_missing", "run", path=name)
    found, data = runs.known(name, part), runs.data_of(name, part)
    sizes = record["data"]["split_sizes"]
    return {
        "run": name,
        "part": part,
        "parts": [{"name": each, "n": sizes[each]} for each in parts_of_run(record)],
        "data": data and data[0],
        "model": f"{name}/{MODEL_FILE}",
        "found": found and _found(found, target_of(found, body.get("target")), record),
    }


def _found(found: RunPredictions, target: Target, record: dict[str, Any]) -> dict[str, Any]:
    correct = run_mistakes.is_correct(found, target)
    cells, order = _cells(found, target)
    decisions = found.decisions[target.name]
    reported = (record.get("test") or {}).get(target.name) if found.part == "test" else None
    return {
        "part": found.part,
        "n": len(found),
        "target": target.name,
        "targets": [{"name": t.name, "kind": t.kind, "classes": list(t.classes)} for t in found.targets],
        "accuracy": run_mistakes.accuracy(found, target),
        "reported_accuracy": reported and reported.get("accuracy"),
        "cells": cells,
        "order": order,
        "classes": [asdict(row) for row in run_mistakes.class_rows(found, target)],
        "decisions": [
            {"decision": decision, "n": int((decisions == i).sum()), "correct": int(np.nansum(correct[decisions == i]))}
            for i, decision in enumerate(DECISIONS)
        ],
        "has_vectors": found.vectors is not None,
    }


def _cells(found: RunPredictions, target: Target) -> tuple[list[list[int]] | None, list[int]]:
    """The cells of the confusion matrix that are not 0, each label, predicted class and count; and the order."""
    if target.kind == "multilabel":
        return None, list(range(len(target.classes)))
    counts = run_mistakes.confusion(found, target)
    rows, columns = np.nonzero(counts)
    cells = np.stack([rows, columns, counts[rows, columns]], axis=1).tolist()
    return cells, run_mistakes.order_by_similarity(counts)


def images(runs: RunsOfFolder, body: Body) -> dict[str, Any]:
    """A page of the images of a cell, a row, a column or a slice."""
    name, found, target = runs.of(body)
    names = runs.images(name, found)
    wanted = ImageQuery(
        class_of(target, body.get("label")),
        class_of(target, body.get("predicted")),
        choice_of(body, "outcome", "all", OUTCOMES),
        choice_of(body, "decision", "", ("", *DECISIONS)),
        str(body.get("text") or "")[:200],
        choice_of(body, "sort", "confidence", SORTS),
    )
    places = run_mistakes.select(found, target, wanted)
    others: dict[int, list[str]] = {}
    if body.get("other"):
        others, of_change = _other_predictions(runs, body, found, target)
        if (change := choice_of(body, "change", "", CHANGES)) != "":
            places = places[np.isin(places, of_change[change])]
    if body.get("slice"):
        places = places[_slice_mask(runs, names, found, target, body)[places]]
    start, count = integer_of(body, "start", 0), integer_of(body, "count", PAGE, MAX_PAGE)
    rows = [
        image_row(found, target, place, names.name(place)) | {"other_predicted": others.get(place)}
        for place in places[start : start + count].tolist()
    ]
    version = names.opened.version if names.opened else ""
    return {"total": len(places), "start": start, "data": names.data, "version": version, "images": rows}


def _slice_mask(
    runs: RunsOfFolder, names: ImageNames, found: RunPredictions, target: Target, body: Body
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    columns = run_mistakes.slice_columns(found, target, names.columns(target.name))
    column = columns[choice_of(body, "slice", "decision", columns)]
    return np.asarray(column.astype(str) == str(body.get("value") or ""))


def _other_predictions(
    runs: RunsOfFolder, body: Body, found: RunPredictions, target: Target
) -> tuple[dict[int, list[str]], dict[str, Any]]:
    """Per place the other run's prediction; and per change the places where it happened."""
    _, other, of_other = runs.of({**body, "run": body["other"], "target": target.name})
    paired = run_mistakes.pair(found, other, target)
    comparison = paired.compare()
    predicted = other.predicted[target.name]
    named = {
        place: class_names(predicted[other_place], of_other)
        for place, other_place in zip(paired.places.tolist(), paired.other_places.tolist(), strict=True)
    }
    changes = {
        "fixed": comparison.images_only_b_correct,
        "broken": comparison.images_only_a_correct,
        "neither": comparison.images_neither_correct,
    }
    return named, {change: paired.places[list(each)] for change, each in changes.items()}


def image(runs: RunsOfFolder, body: Body) -> dict[str, Any]:
    """One image by its name, wherever it lies in a selection; None where the part does not have it."""
    name, found, target = runs.of(body)
    places = np.flatnonzero(found.ids == text_of(body, "id"))
    if not len(places):
        return {"image": None}
    place = int(places[0])
    return {"image": image_row(found, target, place, runs.images(name, found).name(place))}


def neighbours(runs: RunsOfFolder, body: Body) -> dict[str, Any]:
    """The training images nearest to one image: those with another label, and those with its own."""
    name, found, target = runs.of(body)
    place = integer_of(body, "place", 0, max(0, len(found) - 1))
    train = runs.known(name, "train")
    if train is None or train.vectors is None or found.vectors is None:
        return {"is_known": train is not None, "data": None, "other_label": [], "same_label": []}
    names = runs.images(name, train)
    is_other = run_mistakes.has_other_label(train, target, found.labels[target.name][place])
    is_itself = train.ids.astype(str) == str(found.ids[place])

    def rows(chosen: Any) -> list[dict[str, Any]]:
        nearest = run_mistakes.nearest(found.vectors[place], train, chosen & ~is_itself, NEIGHBOURS)  # type: ignore[index]
        return [image_row(train, target, i, names.name(i)) | {"similarity": cosine} for i, cosine in nearest]

    return {"is_known": True, "data": names.data, "other_label": rows(is_other), "same_label": rows(~is_other)}


def slices(runs: RunsOfFolder, body: Body) -> dict[str, Any]:
    """The accuracy of slices, the weak ones first."""
    name, found, target = runs.of(body)
    columns = runs.images(name, found).columns(target.name)
    made = run_mistakes.slices(found, target, run_mistakes.slice_columns(found, target, columns))
    return {"slices": {by: [asdict(row) for row in rows] for by, rows in made.items()}}


def compare(runs: RunsOfFolder, body: Body) -> dict[str, Any]:
    """Two runs on the images that both have in a part."""
    _, found, target = runs.of(body)
    other_name, part = text_of(body, "other"), choice_of(body, "part", "test", PARTS)
    other = runs.known(other_name, part)
    if other is None:
        return {"is_known": False, "comparison": None}
    comparison = run_mistakes.pair(found, other, target).compare().to_dict()
    counts = {key: len(value) for key, value in comparison.items() if key.startswith("images_")}
    return {"is_known": True, "comparison": {**comparison, **counts}}


ROUTES: dict[str, Callable[[RunsOfFolder, Body], Any]] = {
    "summary": summary,
    "images": images,
    "image": image,
    "neighbours": neighbours,
    "slices": slices,
    "compare": compare,
}
"""The paths below /api/mistakes/."""
