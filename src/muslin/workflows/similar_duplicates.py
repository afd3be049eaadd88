"""Products that are listed twice, from the index of a catalogue and its photos."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from muslin.data.audit.exclusions import csv_text
from muslin.data.photos import ordered_map
from muslin.errors import StoppedError, StorageError
from muslin.messages import Log, Message, examples, no_log
from muslin.reporting.terminal.similar import REASONS
from muslin.similarity.duplicates import SAME_PHOTO, Duplicate, PhotoPair, candidates, equal_files, groups_of
from muslin.similarity.index import NOT_SAME, Index
from muslin.similarity.registration import MIN_SIDE_PX, Pyramid, agreement, pyramid
from muslin.storage.outputs import Output
from muslin.workflows.similar_photos import decode_indexed, find_photos

COLUMNS = ("group", "product_a", "product_b", "photo_a", "photo_b", "why", "similarity", "agreement", "decision")
"""Of the table; a person fills in the last one."""

SUFFIXES = (".html", ".csv")

KEPT_PHOTOS = 256
"""Photos of which the details are in memory; 0.6 MB each."""


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Products that are probably one.

    Attributes:
        index: in which they are.
        pairs: by group, the highest agreement first.
        groups: numbers of products that belong together, in the order of `pairs`.
        compared: pairs of photos that were laid over each other.
        decided: pairs of products that a person has decided on, which are left out.
        changed: names of photos that are gone or not as they were when the index was built, and were not compared.
        without_details: names of photos that are too small or too plain to be compared.
    """

    index: Index
    pairs: tuple[Duplicate, ...]
    groups: tuple[tuple[int, ...], ...]
    compared: int
    decided: int
    changed: tuple[str, ...]
    without_details: tuple[str, ...]

    @property
    def notes(self) -> tuple[Message, ...]:
        """What a person must know."""
        notes = [Message("indexed_photos_changed", **examples(self.changed))] if self.changed else []
        if self.without_details:
            notes.append(Message("photos_without_details", side_px=MIN_SIDE_PX, **examples(self.without_details)))
        return tuple(notes)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Cells in the order of COLUMNS, a row for each pair."""
        for row in self.to_dict()["pairs"]:
            agreement = "" if row["agreement"] is None else f"{row['agreement']:.3f}"
            yield (
                str(row["group"]), row["product_a"], row["product_b"], row["photo_a"], row["photo_b"],
                REASONS[row["why"]], f"{row['similarity']:.3f}", agreement, "",
            )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        group_of = {product: number for number, group in enumerate(self.groups, 1) for product in group}
        names, photos = self.index.products, self.index.photos.names
        pairs = [
            {
                "group": group_of[pair.products[0]],
                "product_a": names[pair.products[0]],
                "product_b": names[pair.products[1]],
                "photo_a": photos[pair.photos[0]],
                "photo_b": photos[pair.photos[1]],
                "why": pair.kind,
                "similarity": pair.cosine,
                "agreement": pair.agreement,
            }
            for pair in self.pairs
        ]
        return {
            "products": len(names),
            "groups": [[names[number] for number in group] for group in self.groups],
            "pairs": pairs,
            "compared": self.compared,
            "decided": self.decided,
            "changed": list(self.changed),
            "without_details": list(self.without_details),
        }


def find_duplicates(
    index: Index,
    *,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, pairs: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Duplicates:
    """Products that show the same photo: an equal file, or one that was cropped, scaled, mirrored or saved again.

    Args:
        index: opened as a whole.
        on_progress: called with the numbers of compared and of all pairs of photos.

    Raises:
        DataError: the data of the index cannot be read.
        StoppedError: `should_stop` returned True.
    """
    decided = index.decisions
    files = equal_files(index.photos.digests, index.photos.products, index.pairs(NOT_SAME))
    equal = [_equal(index, photos) for photos in files]
    known = {pair.products for pair in equal} | set(decided)
    near = candidates(index.photos.features, index.search, index.photos.digests)
    near = [pair for pair in near if _products_of(index, pair.photos) not in known]
    aligned = _aligned(index, near, log, on_progress, should_stop)
    pairs = [
        pair
        for pair in {pair.products: pair for pair in [*equal, *aligned.found]}.values()
        if pair.products not in decided
    ]
    groups = groups_of(pair.products for pair in pairs)
    return _ordered(index, pairs, groups, aligned)


def _products_of(index: Index, photos: tuple[int, int]) -> tuple[int, int]:
    a, b = sorted(int(index.photos.products[photo]) for photo in photos)
    return a, b


def _equal(index: Index, photos: tuple[int, int]) -> Duplicate:
    one, other = sorted(photos, key=lambda photo: int(index.photos.products[photo]))
    return Duplicate(_products_of(index, photos), (one, other), "file", 1.0, 1.0)


class _Aligned(NamedTuple):
    """Pairs that are one photo, the number of pairs that were compared, and numbers of photos that were not: those that
    are not as they were, and those that are too small or too plain."""

    found: list[Duplicate]
    compared: int
    changed: list[int]
    without_details: list[int]


def _aligned(
    index: Index,
    pairs: Sequence[PhotoPair],
    log: Log,
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> _Aligned:
    """Lay the photos of each pair over each other."""
    sources = find_photos(index, {photo for pair in pairs for photo in pair.photos}, log) if pairs else {}
    changed: set[int] = set()
    without_details: set[int] = set()

    @lru_cache(KEPT_PHOTOS)
    def details(photo: int) -> Pyramid | None:
        pixels = decode_indexed(index, photo, sources[photo]) if photo in sources else None
        if pixels is None:
            changed.add(photo)
            return None
        made = pyramid(pixels)
        if made is None:
            without_details.add(photo)
        return made

    def compare(pair: PhotoPair) -> float | None:
        one, other = (details(photo) for photo in pair.photos)
        return None if one is None or other is None else agreement(one, other)

    found, compared = [], 0
    for done, (pair, agreed) in enumerate(zip(pairs, ordered_map(compare, pairs), strict=True), 1):
        on_progress(done, len(pairs))
        if should_stop() and done < len(pairs):
            raise StoppedError("duplicates_stopped", done=done, n=len(pairs))
        compared += agreed is not None
        if agreed is not None and agreed >= SAME_PHOTO:
            found.append(Duplicate(_products_of(index, pair.photos), pair.photos, "photo", pair.cosine, agreed))
    return _Aligned(found, compared, sorted(changed), sorted(without_details))


def _ordered(
    index: Index, pairs: Sequence[Duplicate], groups: Sequence[Sequence[int]], aligned: _Aligned
) -> Duplicates:
    """The groups, the one with the highest agreement first."""
    group_of = {product: number for number, group in enumerate(groups) for product in group}
    best: Counter[int] = Counter()
    for pair in pairs:
        number = group_of[pair.products[0]]
        best[number] = max(best[number], round(1e6 * pair.agreement))
    order = sorted(range(len(groups)), key=lambda number: (-best[number], number))
    place = {number: rank for rank, number in enumerate(order)}
    ordered = sorted(pairs, key=lambda pair: (place[group_of[pair.products[0]]], -pair.agreement, pair.products))
    changed, without_details = (
        tuple(index.photos.names[photo] for photo in photos) for photos in (aligned.changed, aligned.without_details)
    )
    return Duplicates(
        index,
        tuple(ordered),
        tuple(tuple(groups[number]) for number in order),
        aligned.compared,
        len(index.decisions),
        changed,
        without_details,
    )


def check_suffix(output: Output) -> None:
    """
    Raises:
        StorageError: the name ends neither with .html nor with .csv.
    """
    if output.path.suffix.lower() not in SUFFIXES:
        raise StorageError("duplicates_suffix", path=str(output.path), suffixes=list(SUFFIXES))


def write_duplicates(output: Output, duplicates: Duplicates, log: Log = no_log) -> None:
    """Write a page, or for a name that ends with `.csv` a table, whole or not at all.

    Raises:
        DataError: the photos for the page cannot be found.
        StorageError: see `Output.open`.
    """
    if output.path.suffix.lower() == ".csv":
        output.write(csv_text(COLUMNS, duplicates.rows()))
        return
    from muslin.reporting.report.similar_page import duplicates_html

    shown = {photo for pair in duplicates.pairs for photo in pair.photos}
    sources = find_photos(duplicates.index, shown, log) if shown else {}
    output.write(duplicates_html(duplicates, lambda photo: decode_indexed(duplicates.index, photo, sources.get(photo))))
