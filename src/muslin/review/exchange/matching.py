"""Which product of a store a decision in a file is about, and which decisions of a file the store does not have."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from muslin.data.dataset import Target
from muslin.review.clock import utc_text
from muslin.review.exchange.decisions import ReadDecision, said_of
from muslin.review.values import Item, NewDecision, value_of
from muslin.strict_json import json_text

UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded photo."""


@dataclass
class ImportPlan:
    """What the import of a file adds to a store. Entries are numbers of tasks, samples or images in the file, from 1.

    Attributes:
        decisions: the new ones in the order in which they count, each with who made it; None where the file does not
            tell.
        same: how many decisions say what the store says already.
        older: entries whose product has a later decision in the store.
        unknown: entries whose product is not in the store.
        ambiguous: entries that several products fit, or with several labels where the target has one.
        classes: per target, labels that are no classes of it.
    """

    decisions: list[tuple[str | None, NewDecision]] = field(default_factory=list)
    same: int = 0
    older: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    ambiguous: list[int] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)


def plan_import(
    tool: str, decisions: Iterable[ReadDecision], targets: Sequence[Target], products: Iterable[Sequence[Item]]
) -> ImportPlan:
    """Find the product of each decision, and the decisions that the store does not have.

    A decision that is older than that in the store is left out; one without a time is newer. A file that is read
    twice gives the same requests, so that a store adds each decision once.

    Args:
        tool: name of the format.
        targets: with the classes that people added.
        products: per product its items, one for each target.
    """
    index, plan = _ProductIndex(products), ImportPlan()
    places = {target.name: place for place, target in enumerate(targets)}
    for read in sorted(decisions, key=lambda one: (utc(one.at) or "~", one.entry)):
        target = targets[places[read.target]]
        found = index.find(read)
        if unknown := [label for label in read.said.labels if label not in target.classes]:
            names = plan.classes.setdefault(target.name, [])
            names.extend(label for label in unknown if label not in names)
        elif not found:
            plan.unknown.append(read.entry)
        elif len(found) > 1 or (target.kind == "multiclass" and len(read.said.labels) > 1):
            plan.ambiguous.append(read.entry)
        else:
            _add(plan, tool, read, found[0][places[read.target]], target)
    return plan


def _add(plan: ImportPlan, tool: str, read: ReadDecision, item: Item, target: Target) -> None:
    at, current = utc(read.at), utc(item.decided.at) if item.decided else None
    if said_of(item, target) == read.said:
        plan.same += 1
    elif at and current and at < current:
        plan.older.append(read.entry)
    else:
        said = read.said
        content = [tool, item.product, target.name, said.kind, said.labels, said.note, read.who, at, read.replaces]
        decision = NewDecision(
            item.product,
            target.name,
            said.kind,
            request=hashlib.sha256(json_text(content).encode()).hexdigest(),
            fingerprint=read.fingerprint or item.fingerprint,
            digest=read.digest or item.digest,
            value=value_of(target, said.labels) if said.kind == "value" else None,
            note=said.note,
            after=item.decided.id if item.decided else None,
            shown={"view": "import", "tool": tool},
            at=at,
        )
        plan.decisions.append((read.who, decision))


def utc(at: str | None) -> str | None:
    """A time of ISO 8601 as a store writes it, so that texts are in the order of times; None where it is none.

    >>> utc("2026-05-01T10:00:00+02:00")
    '2026-05-01T08:00:00.000000Z'
    """
    try:
        return utc_text(at or "")
    except (ValueError, OverflowError):
        return None


class _ProductIndex:
    """The products of a store, by name and by photo."""

    def __init__(self, products: Iterable[Sequence[Item]]) -> None:
        self._by_name: dict[str, list[Sequence[Item]]] = defaultdict(list)
        self._by_photo: dict[str, list[tuple[str, Sequence[Item]]]] = defaultdict(list)
        for items in products:
            self._by_name[items[0].name].append(items)
            for photo in items[0].photos:
                self._by_photo[_last_part(photo)].append((photo, items))

    def find(self, read: ReadDecision) -> list[Sequence[Item]]:
        """The products that a decision of a file can be about: of its product's name, or else of its photos."""
        if read.product is None:
            return self._find_photos(read.photos)
        found = self._by_name.get(read.product, [])
        same = [items for items in found if items[0].fingerprint == read.fingerprint]
        return same if len(found) > 1 and same else found

    def _find_photos(self, photos: Sequence[str]) -> list[Sequence[Item]]:
        fitting: dict[int, Sequence[Item]] = {}
        for photo in photos:
            name = _last_part(photo)
            known = self._by_photo.get(name) or self._by_photo.get(UPLOADED.sub("", name, count=1), [])
            exact = [items for path, items in known if _is_same_file(path, photo)]
            fitting |= {items[0].product: items for items in exact or (items for _, items in known)}
        return list(fitting.values())


def _last_part(path: str) -> str:
    return re.split(r"[/\\=]", path)[-1]  # `=` as in Label Studio's /data/local-files/?d=1.jpg


def _is_same_file(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return short == long or long.endswith(("/" + short, "\\" + short, "=" + short))
