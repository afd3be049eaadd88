"""The photos of a review store's products, found again in the catalogue that they came from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.catalogue.product_rows import ProductRows, RowsOfProduct, find_products, with_own_names
from muslin.data.open_cache import open_cache
from muslin.data.photos import StoredImage
from muslin.data.tables.photo_column import photo_lookup
from muslin.errors import ImageError
from muslin.messages import no_log
from muslin.review.values import Product
from muslin.storage.boundary import data_boundary
from muslin.workflows.product_catalogue import holds_photos, is_table, open_data

FoundPhoto = StoredImage | NDArray[np.uint8] | ImageError
"""The place of a photo, or pixels uint8 (height, width, channels), or why there is none."""

PhotoFinder = Callable[[Product, int], FoundPhoto]
"""Finds the photo of a number, from 0, among those of a product."""


def photo_finder(path: str, read_options: Mapping[str, Any]) -> PhotoFinder:
    """What finds the photos of products of the catalogue at `path`; it may be called from several threads.

    They are found as when the catalogue was added, and never outside its bounds.

    Args:
        read_options: as the store keeps them.

    Raises:
        DataError: the catalogue is no longer there, or cannot be read.
    """
    with open_cache(), data_boundary(Path(path), allow_outside=bool(read_options.get("allow_outside"))):
        if is_table(Path(path), None, read_options) and not holds_photos(Path(path)):
            lookup = photo_lookup(Path(path), read_options.get("images"))
            return lambda product, number: lookup.locate(product.photos[number]).photo
        table, photos = open_data(path, None, read_options, no_log)
    rows, _ = find_products(table, photos, read_options.get("product"))
    products = {each.name: each for each in with_own_names(rows)}
    return lambda product, number: _photo_in_rows(rows, products.get(product.name), product, number)


def _photo_in_rows(rows: ProductRows, found: RowsOfProduct | None, product: Product, number: int) -> FoundPhoto:
    """The photo in the rows of a product, in data that hold the photos themselves, or list them."""
    photos = rows.find(found) if found else []
    name = product.photos[number]
    by_name = {photo.name: photo.image for photo in photos}
    image: FoundPhoto = by_name.get(name, ImageError("no_such_photo", path=name))
    if name not in by_name and len(photos) == len(product.photos):  # one without a name of its own
        image = photos[number].image
    return image
