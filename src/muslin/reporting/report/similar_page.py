"""Pages with photos side by side: what an index finds, and products that are listed twice. They work offline."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from muslin.images.decoder import Pixels
from muslin.reporting.image_grids import data_uri, is_small
from muslin.reporting.report.page import render_page
from muslin.reporting.terminal.similar import REASONS, guarantee_text, said

if TYPE_CHECKING:
    from muslin.workflows.similar_duplicates import Duplicates
    from muslin.workflows.similar_find import Found

PhotoOf = Callable[[int], Pixels | None]
"""A photo of the index by its number; None where it is not as it was when the index was built."""

IMAGE_PX = 280

PAGE_BYTES = 3_600_000
"""For the images of a page, so that it stays below 5 MB."""

PHOTOS_PER_GROUP = 6
"""Of more products that show one photo, the first are shown."""


@dataclass(frozen=True)
class ShownPhoto:
    """A photo as a page shows it; `uri` is empty where it is not as it was.

    Attributes:
        product: its product's name.
        photo: its own.
        notes: what is said of it.
        same: whether it is said to show the same product.
    """

    product: str
    photo: str
    notes: tuple[str, ...] = ()
    same: bool = False
    uri: str = ""
    is_small: bool = False


def duplicates_html(duplicates: "Duplicates", photo_of: PhotoOf) -> str:
    """The page of products that are listed twice: a card for each group, by falling agreement, while there is room."""
    index, cards, room = duplicates.index, [], PAGE_BYTES
    for group in duplicates.groups:
        if room <= 0:
            break
        pairs = [pair for pair in duplicates.pairs if pair.products[0] in group]
        photo_in = {product: photo for pair in reversed(pairs) for product, photo in zip(*pair[:2], strict=True)}
        shown = [
            _shown(index.products[product], index.photos.names[photo_in[product]], photo_of(photo_in[product]))
            for product in group[:PHOTOS_PER_GROUP]
        ]
        room -= sum(len(photo.uri) + 600 for photo in shown)
        reasons = list(dict.fromkeys(REASONS[pair.kind] for pair in pairs))
        agreements = list(dict.fromkeys(f"{pick(pair.agreement for pair in pairs):.3f}" for pick in (min, max)))
        cards.append((shown, reasons, agreements, len(group) - len(shown)))
    return render_page(
        "similar_duplicates.html.j2", duplicates=duplicates, cards=cards, left_out=len(duplicates.groups) - len(cards)
    )


def found_html(found: "Found", query: Sequence[Pixels], photos: Sequence[Pixels | None]) -> str:
    """The page of what is like a query.

    Args:
        query: the photos that were looked up.
        photos: of `found.products`, in order.
    """
    tiles = [
        _shown(product.product, product.photo, pixels, (said(product), f"{product.similarity:.3f}"), product.same)
        for product, pixels in zip(found.products, photos, strict=True)
    ]
    guarantee = "" if found.rule is None else str(guarantee_text(found.rule))
    name = found.query if found.is_product else os.path.basename(found.query)
    looked_up = [_shown(name, "", pixels) for pixels in query]
    return render_page(
        "similar_found.html.j2", found=found, name=name, tiles=tiles, query=looked_up, guarantee=guarantee
    )


def _shown(
    product: str, photo: str, pixels: Pixels | None, notes: tuple[str, ...] = (), same: bool = False
) -> ShownPhoto:
    if pixels is None:
        return ShownPhoto(product, photo, notes, same)
    return ShownPhoto(product, photo, notes, same, data_uri(pixels, IMAGE_PX), is_small(pixels))
