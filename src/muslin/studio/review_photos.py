"""The photos of a store's products as JPEG: found in their catalogue, made small, and kept in memory for the page."""

import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from muslin.data.registry import DATASETS
from muslin.errors import DataError, ImageError, MuslinError
from muslin.review.values import Product
from muslin.storage.boundary import is_below
from muslin.studio.made_once import MadeOnce
from muslin.studio.review_stores import OpenStore
from muslin.studio.thumbnail_worker import PROCESSES, thumbnail_of_file, thumbnail_of_pixels
from muslin.workflows.review_photos import PhotoFinder, photo_finder

MAX_CACHE_BYTES = 100_000_000
"""Of all thumbnails: 10,000 of the page's grid."""

MAX_PHOTO_PX = 2048
"""Longest edge of a photo that is zoomed into."""

GRID_PX = 224
"""Longest edge of a photo in the page's grid, on a screen with two pixels for each."""

MAX_AHEAD = 200
"""Products whose thumbnails are made before a page asks for them; of more pages at once, only when it asks."""

Key = tuple[str, int, str, int, int]
"""A store's place, a product and its fingerprint, the number of the photo, and the longest edge in pixels."""


class ReviewPhotos:
    """Thumbnails of products. Safe to use from several threads at once.

    Args:
        root: the studio's folder, which the photos of stores that were found in it may not leave.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._thumbnails: MadeOnce[Key, bytes] = MadeOnce(MAX_CACHE_BYTES, len)
        self._finders: MadeOnce[tuple[str, int], PhotoFinder] = MadeOnce()
        self._ahead = ThreadPoolExecutor(PROCESSES, "thumbnails")
        self._places_ahead = threading.Semaphore(MAX_AHEAD)

    def get(self, opened: OpenStore, product: int, photo: int, side: int, fingerprint: str = "") -> tuple[bytes, str]:
        """A JPEG of a product's photo, whose longer edge is at most `side` pixels; and the product's fingerprint.

        Args:
            fingerprint: the one that a page knows of the product.

        Raises:
            DataError: there is no such product or photo, or its catalogue cannot be read.
            ImageError: the photo is gone, or cannot be decoded.
        """
        known = self._thumbnails.known((opened.place, product, fingerprint, photo, side))
        if known is not None:
            return known, fingerprint
        found = opened.store.product(product)
        if photo >= len(found.photos):
            raise DataError("product_photo_missing", number=photo, count=len(found.photos))
        key = opened.place, product, found.fingerprint, photo, side
        return self._thumbnails.get(key, lambda: self._make(opened, found, photo, side)), found.fingerprint

    def prepare(self, opened: OpenStore, products: Iterable[int]) -> None:
        """Begin to make the thumbnails that a page of these products asks for next."""

        def make(product: int) -> None:
            try:
                with suppress(MuslinError):  # the page asks again, and is told
                    self.get(opened, product, 0, GRID_PX)
            finally:
                self._places_ahead.release()

        for product in products:
            if self._places_ahead.acquire(blocking=False):
                self._ahead.submit(make, product)

    def close(self) -> None:
        """Make no more."""
        self._ahead.shutdown(wait=False, cancel_futures=True)

    def _make(self, opened: OpenStore, product: Product, number: int, side: int) -> bytes:
        key = opened.place, product.catalogue
        find = self._finders.get(key, lambda: self._open_catalogue(opened, product.catalogue))
        photo = find(product, number)
        if isinstance(photo, ImageError):
            raise photo
        if isinstance(photo, np.ndarray):
            return thumbnail_of_pixels(photo, side)
        return thumbnail_of_file(photo.content(), side, product.photos[number], photo.box)

    def _open_catalogue(self, opened: OpenStore, number: int) -> PhotoFinder:
        catalogue = next(each for each in opened.store.catalogues() if each.id == number)
        options = dict(catalogue.read_options)
        if not opened.is_named:  # anybody may have written a store that lies in the folder
            options.pop("allow_outside", None)
            for path in filter(None, (catalogue.path, options.get("images"))):
                self._check_within(str(path))
        return photo_finder(catalogue.path, options)

    def _check_within(self, path: str) -> None:
        if path not in DATASETS and not is_below(os.path.realpath(path), str(self._root)):
            raise DataError("catalogue_outside")
