"""What the commands of the review loop print."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from muslin.printing import echo
from muslin.text import duration, percent, plural

if TYPE_CHECKING:
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
    echo(f"made {made.path}: {percent(made.precision)} of the accepted predictions are to be correct")
    echo(f"{percent(made.spot_checks)} of the products will be drawn at random and checked by a person")
    echo(f"next: muslin review add {made.path} CATALOGUE")


def print_added_catalogue(added: "AddedCatalogue") -> None:
    """How many products are new, changed, and as they were, and what the model decides on them."""
    counts = {
        "new": added.added,
        "with other photos": added.changed,
        "back in the catalogue": added.returned,
        "with other cells": added.text_changed,
        "as before": added.unchanged,
        "gone from the catalogue": added.gone,
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
    """What is left, how long it takes, and whether the guarantee still holds."""
    for name, found in status.targets.items():
        prefix, counts = _prefix(name, status.targets), found.counts
        decisions = {decision: tally.total for decision, tally in counts.decisions.items()}
        products = sum(decisions.values()) + counts.unreadable
        echo(f"{prefix}{plural(products, 'product')}: {_decisions_text(decisions)}, {counts.unreadable:,} unreadable")
        queue, checks = counts.queue, counts.sample
        echo(f"{prefix}to look at: {queue.left:,} of {queue.total:,} left{_time_text(found)}")
        echo(f"{prefix}random sample: {checks.left:,} of {checks.total:,} left")
    for message in status.messages:
        echo(message)
    active, promotion = status.active, status.promotion
    since = f"since {_time(promotion.at)} by {promotion.who}"
    echo(f"model: {active.name} {active.digest[:DIGEST_CHARACTERS]}, {since}")
    for model in status.models:
        if model.digest != active.digest:
            echo(f"other model: {model.name} {model.digest[:DIGEST_CHARACTERS]}, added {_time(model.added_at)}")
    for catalogue in status.catalogues:
        echo(f"catalogue: {catalogue.path}")


def _time(text: str) -> str:
    """`2026-11-29 09:07 UTC`."""
    return f"{text[:16].replace('T', ' ')} UTC"


def _time_text(found: "TargetStatistics") -> str:
    """`, about 12 min at your pace (4.2 s each)`."""
    if found.left_s is None or found.pace is None or found.pace.seconds is None or not found.counts.queue.left:
        return ""
    return f", about {duration(found.left_s)} at your pace ({duration(found.pace.seconds)} each)"


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
