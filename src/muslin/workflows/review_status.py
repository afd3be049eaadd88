"""How far the work on a review store is, and whether its guarantee still holds: the work of `muslin review status`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muslin.messages import Message, examples
from muslin.review.store import Store
from muslin.review.values import CatalogueRow, ModelRow, Promotion, Tally
from muslin.workflows.review_statistics import TargetStatistics, review_statistics

MAX_LISTED = 100
"""Products that the JSON lists by number."""


@dataclass(frozen=True)
class StoreStatus:
    """What a review store holds.

    Attributes:
        path: of the store, or its URL without a password.
        active: the model whose predictions are shown, and `promotion`, how it came about.
        unreadable: products without a readable photo.
        targets: per target's name what the store says about it.
        conflicts: per target's name the products on which people differ.
        notes: of the store itself: that the clock was set back.
    """

    path: str
    catalogues: tuple[CatalogueRow, ...]
    active: ModelRow
    promotion: Promotion
    models: tuple[ModelRow, ...]
    targets: Mapping[str, TargetStatistics]
    conflicts: Mapping[str, tuple[str, ...]]
    notes: tuple[Message, ...] = ()

    @property
    def unreadable(self) -> int:
        return next(iter(self.targets.values())).counts.unreadable

    @property
    def messages(self) -> tuple[Message, ...]:
        """What a person should know, a sentence each."""
        notes = [*self.notes, *(message for each in self.targets.values() for message in each.messages)]
        for target, names in self.conflicts.items():
            if names:
                named = self.targets[target].named
                notes.append(Message("review_people_differ", target=named, **examples(names)))
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "path": self.path,
            "catalogues": [row.path for row in self.catalogues],
            "active": self.active.digest,
            "models": [{"digest": row.digest, "name": row.name, "added_at": row.added_at} for row in self.models],
            "unreadable": self.unreadable,
            "targets": {name: _target_json(each) for name, each in self.targets.items()},
            "conflicts": {name: len(names) for name, names in self.conflicts.items()},
            "messages": [message.to_dict() for message in self.messages],
        }


def store_status(store: Store, who: str | None = None) -> StoreStatus:
    """What a store holds, and how far the work on it is.

    Args:
        who: the person whose pace counts; None for nobody's.

    Raises:
        StorageError, DataError: as the store's methods.
        BundleError: the active model cannot be opened.
    """
    targets = review_statistics(store, who)
    conflicts = {name: tuple(each.name for each in store.conflicts(name)) for name in targets}
    return StoreStatus(
        store.name,
        tuple(store.catalogues()),
        store.active,
        store.promotions()[-1],
        tuple(store.models()),
        targets,
        conflicts,
        tuple(store.notes()),
    )


def _target_json(found: TargetStatistics) -> dict[str, Any]:
    counts, precision = found.counts, found.precision
    return {
        "decisions": {name: _tally_json(tally) for name, tally in counts.decisions.items()},
        "queue": _tally_json(counts.queue),
        "random_sample": {**_tally_json(counts.sample), "in_order": counts.prefix},
        "seconds_per_decision": found.pace and found.pace.seconds,
        "left_s": found.left_s,
        "precision": {**vars(precision), "incorrect": precision.incorrect[:MAX_LISTED]},
        "shift": {
            "is_shifted": found.shift.is_shifted,
            "out_of_scope": found.shift.out_of_scope and vars(found.shift.out_of_scope),
            "classes": [vars(each) for each in found.shift.classes],
            "confidence": found.shift.confidence and vars(found.shift.confidence),
        },
    }


def _tally_json(tally: Tally) -> dict[str, int]:
    return {"total": tally.total, "decided": tally.decided, "left": tally.left}
