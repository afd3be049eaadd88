"""What the commands of the review loop print."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from muslin.messages import Message
from muslin.printing import echo
from muslin.text import duration, percent, plural

if TYPE_CHECKING:
    from muslin.review.values import ModelRow
    from muslin.workflows.review_add import AddedCatalogue
    from muslin.workflows.review_exchange import ExportedFile, ImportedFile
    from muslin.workflows.review_export import ExportedCatalogue
    from muslin.workflows.review_init import MadeStore
    from muslin.workflows.review_statistics import TargetStatistics
    from muslin.workflows.review_status import StoreStatus

DIGEST_CHARACTERS = 12
"""Of a model's digest, by which a person tells it."""


def print_made_store(made: "MadeStore") -> None:
    """Where the store is, and what comes next."""
    echo(f"made {made.path}")
    echo(f"precision target: {percent(made.precision)} of the accepted predictions are correct")
    echo(f"spot checks: a person checks {percent(made.spot_checks)} of the products, drawn at random")
    if made.inspection is not None:
        echo(Message("review_inspection", precision=made.precision, inspection=made.inspection))
    echo(f"next: muslin review add {made.path} CATALOGUE")


def print_added_catalogue(added: "AddedCatalogue") -> None:
    """How many products are new, changed, and as they were, and what the model decides on them."""
    counts = {
        "new": added.added,
        "with changed photos": added.changed,
        "back in the catalogue": added.returned,
        "with changed cells": added.text_changed,
        "unchanged": added.unchanged,
        "no longer in the catalogue": added.gone,
    }
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    echo(f"{plural(added.products, 'product')}: {told}")
    for target, decisions in added.decisions.items():
        if decisions:
            echo(f"{_prefix(target, added.decisions)}{_decisions_text(decisions)}")
    if added.unreadable:
        echo(f"{plural(added.unreadable, 'product')} without a readable photo")


def print_exported_catalogue(exported: "ExportedCatalogue") -> None:
    """What the written table says."""
    for target, decisions in exported.decisions.items():
        told = ", ".join(f"{count:,} {decision}" for decision, count in decisions.items())
        echo(f"{_prefix(target, exported.decisions)}{plural(exported.products, 'product')}: {told or 'none decided'}")
    echo(f"wrote {exported.path}")


def print_store_status(status: "StoreStatus") -> None:
    """What is left, how long it takes, whether the guarantee still holds, and which model is active."""
    for name, found in status.targets.items():
        prefix, counts = _prefix(name, status.targets), found.counts
        decisions = {decision: tally.total for decision, tally in counts.decisions.items()}
        products = sum(decisions.values()) + counts.unreadable
        unreadable = f", {counts.unreadable:,} without a readable photo" if counts.unreadable else ""
        echo(f"{prefix}{plural(products, 'product')}: {_decisions_text(decisions)}{unreadable}")
        echo(f"{prefix}{_left_text(found)}")
    for message in status.messages:
        echo(message)
    active, promotion = status.active, status.promotion
    echo(f"active model: {_model_text(active)}, since {_time(promotion.at)}, by {promotion.who}")
    for model in status.models:
        if model.digest != active.digest:
            echo(f"other model: {_model_text(model)}, added {_time(model.added_at)}")
    if any(found.counts.queue.decided for found in status.targets.values()):
        echo(f"what more decisions would bring: muslin review forecast {status.path}")
    for catalogue in status.catalogues if len(status.catalogues) > 1 else ():
        echo(f"catalogue: {catalogue.path}")


def _left_text(found: "TargetStatistics") -> str:
    """`1,012 of 1,400 products are left to look at, 24 of them drawn at random: about 42 min at your pace (…)`."""
    queue, sample = found.counts.queue, found.counts.sample
    if not queue.left:
        return "no product is left to look at"
    text = (
        f"{queue.left:,} of {plural(queue.total, 'product')} left to look at, {sample.left:,} of them drawn at random"
    )
    if found.left_s is None or found.pace is None or found.pace.seconds is None:
        return text
    return f"{text}: about {duration(found.left_s)} at your pace ({duration(found.pace.seconds)} each)"


def _model_text(model: "ModelRow") -> str:
    """`model.muslin c8dc79a3195e`."""
    return f"{model.name} {model.digest[:DIGEST_CHARACTERS]}"


def _time(text: str) -> str:
    """`2026-11-29 09:07 UTC`."""
    return f"{text[:16].replace('T', ' ')} UTC"


def print_exported_file(exported: "ExportedFile") -> None:
    """What a labelling tool gets."""
    echo(f"{plural(exported.products, 'product')}, {plural(exported.decisions, 'decision')}")
    echo(f"wrote {exported.path}")
    if exported.settings:
        echo(f"wrote {exported.settings}, the settings of the project")


def print_imported_file(imported: "ImportedFile") -> None:
    """What a file of a labelling tool added."""
    for target, names in imported.classes.items():
        echo(f"{target}: {plural(len(names), 'class', 'classes')} added")
    same = f", {imported.same:,} there already" if imported.same else ""
    echo(f"{imported.tool}: {plural(imported.added, 'decision')} added{same}")


def _prefix(target: str, of_all: Mapping[str, object]) -> str:
    return f"{target}: " if len(of_all) > 1 else ""


def _decisions_text(decisions: Mapping[str, int]) -> str:
    return (
        f"{decisions.get('accept', 0):,} accepted, {decisions.get('review', 0):,} to review, "
        f"{decisions.get('out of scope', 0):,} out of scope"
    )
