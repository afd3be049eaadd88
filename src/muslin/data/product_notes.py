"""What a person must know of the products in a data set."""

from collections.abc import Iterable, Iterator

import numpy as np

from muslin.data.copies import conflicting_labels
from muslin.data.dataset import Dataset
from muslin.messages import Message, examples

MANY_PHOTOS = 30
"""A product with more photos than this is named: a shop shows 1 to 15, so the column can be another one."""


def product_notes(dataset: Dataset) -> Iterator[Message]:
    """Which products have labels that contradict each other, and which very many photos."""
    if dataset.products is None:
        return
    names, numbers, counts = np.unique(dataset.products.astype(str), return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    conflicts = []
    for name, members in zip(names, np.split(order, np.cumsum(counts)[:-1]), strict=True):
        if len(members) > 1 and (labels := conflicting_labels(dataset, members)):
            conflicts.append(f"{name} ({'; '.join(labels)})")
    if conflicts:
        yield Message("products_with_several_labels", **examples(conflicts))
    yield from note_of_many_photos(zip(names.tolist(), counts.tolist(), strict=True))


def note_of_many_photos(products: Iterable[tuple[str, int]]) -> list[Message]:
    """A note on products, each with its number of photos, of which that is above MANY_PHOTOS."""
    large = [f"{name} ({count:,})" for name, count in products if count > MANY_PHOTOS]
    return [Message("products_of_many_photos", **examples(large), maximum=MANY_PHOTOS)] if large else []


def lost_products(dataset: Dataset, kept: Dataset) -> list[Message]:
    """The products of `dataset` of which `kept` has no photo."""
    if dataset.products is None or kept.products is None:
        return []
    lost = sorted(set(map(str, dataset.products)) - set(map(str, kept.products)))
    return [Message("products_without_photo", **examples(lost))] if lost else []
