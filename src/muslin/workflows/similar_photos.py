"""The photos of an index, found again in the data that it was built from."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.catalogue.product_rows import with_identifiers, with_own_names
from muslin.data.photo_content import read_photo
from muslin.data.photos import PhotoImages
from muslin.errors import DataError, ImageError
from muslin.messages import Log, no_log
from muslin.models.photo_features import digest_of
from muslin.similarity.index import Index
from muslin.workflows.product_catalogue import open_catalogue

SIDE_PX = 320
"""Photos are decoded with at least this side, where the decoder can reduce them."""


def find_photos(index: Index, numbers: Collection[int], log: Log = no_log) -> dict[int, Any]:
    """Where these photos are: by number an image as `Predictor.predict_named` takes it; absent where it is gone.

    Raises:
        DataError: the data of the index cannot be read.
    """
    source = index.source
    options = {name: tuple(value) if name == "shape" else value for name, value in source.read_options.items()}
    wanted: dict[str, dict[str, int]] = {}
    for number in sorted(numbers):
        name = index.products[int(index.photos.products[number])]
        wanted.setdefault(name, {})[index.photos.names[number]] = number
    try:
        catalogue = open_catalogue(source.data, None, options, log, survey=False)
    except DataError as error:
        raise DataError("index_data_unreadable", reason=error.message) from error
    found: dict[int, Any] = {}
    for product in with_own_names(with_identifiers(catalogue.rows)):
        if product.name in wanted:
            of_product = wanted[product.name]
            for photo in catalogue.rows.find(product):
                if photo.name in of_product:
                    found[of_product[photo.name]] = photo.image
    return found


def decode_indexed(index: Index, number: int, source: Any) -> NDArray[np.uint8] | None:
    """A photo's pixels; None where it is not the one that was indexed, or cannot be read.

    Args:
        source: as of `find_photos`.
    """
    name = index.photos.names[number]
    if source is None or isinstance(source, ImageError):
        return None
    content = read_photo(name, source)
    if digest_of(content, source) != index.photos.digests[number].tobytes():
        return None
    if content is None:
        return source[:, :, np.newaxis] if source.ndim == 2 else np.asarray(source)
    try:
        return PhotoImages((content,)).decode(0, SIDE_PX)
    except ImageError:
        return None
