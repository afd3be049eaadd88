"""What is like a photo, or like a product of an index."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muslin.data.photo_content import read_photo
from muslin.errors import DataError, ImageError
from muslin.images.decoder import decode
from muslin.messages import Log, no_log
from muslin.models.photo_features import photo_features
from muslin.similarity.index import SAME, VERDICTS, Index
from muslin.similarity.same_product import SameProductRule, same_product_rule
from muslin.similarity.search import Nearest
from muslin.storage.outputs import Output
from muslin.workflows.similar_photos import SIDE_PX, decode_indexed, find_photos

DEFAULT_COUNT = 20


@dataclass(frozen=True)
class SimilarProduct:
    """A product near a query.

    Attributes:
        product: its name.
        photo: the name of its nearest photo.
        number: that photo's number in the index.
        similarity: the cosine of the two photos' vectors, -1 to 1.
        same: whether it is said to be the same product: at the guaranteed precision, because a person decided so, or
            because the files are identical.
        reason: why: `guarantee`, `person` or `file`; "" where it is not said.
        decision: what a person decided on the two products, one of VERDICTS; "" for none.
    """

    product: str
    photo: str
    number: int
    similarity: float
    same: bool = False
    reason: str = ""
    decision: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {name: value for name, value in vars(self).items() if name != "number"}


@dataclass(frozen=True, eq=False)
class Found:
    """What is like a query.

    Attributes:
        query: the photo's path, or the name of the product.
        is_product: whether it is a product of the index.
        products: the nearest first.
        rule: what "the same product" rests on; None of a product, of which it is not said.
    """

    query: str
    is_product: bool
    products: tuple[SimilarProduct, ...]
    rule: SameProductRule | None
    n_products: int

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "query": self.query,
            "is_product": self.is_product,
            "products": [product.to_dict() for product in self.products],
            "same_product": self.rule.to_dict() if self.rule else None,
            "of": self.n_products,
        }


def find(index: Index, path: Path, query: str, count: int = DEFAULT_COUNT, *, precision: float | None = None) -> Found:
    """The products of an index that are most like a photo, or like one of its own products.

    Args:
        path: of the index, for errors.
        query: the path of a photo; where there is no such file, the name of a product.
        count: the number of products.
        precision: at which "the same product" is said of a photo; by default the highest that can be guaranteed.

    Raises:
        DataError: there is neither such a file nor such a product; or a precision is given with a product.
        ImageError: the photo cannot be read.
        BundleError: the index's network cannot be run.
    """
    if not os.path.isfile(query):
        if query not in index.numbers:
            raise DataError("similar_query_unknown", name=query, path=str(path), nearest=index.nearest_name(query))
        if precision is not None:
            raise DataError("option_needs", option="--precision", needed="a photo")
        return _find_product(index, query, count)
    index.graph.check()
    content = read_photo(query, Path(query))
    [photo] = photo_features(index.graph, [(query, content or Path(query))])
    if photo.features is None:
        assert photo.error is not None
        raise ImageError(photo.error.code, photo.error.hint_code, **photo.error.params)
    vectors = index.projection(photo.features[np.newaxis].astype(np.float16))
    rule = same_product_rule(index.calibration, precision)
    nearest = index.search.nearest(vectors, count)
    products = []
    for number, place, cosine in zip(*(each.tolist() for each in nearest), strict=True):
        is_file = index.photos.digests[place].tobytes() == photo.digest
        is_same = is_file or cosine >= rule.threshold
        reason = "file" if is_file else "guarantee" if is_same else ""
        products.append(
            SimilarProduct(index.products[number], index.photos.names[place], place, cosine, is_same, reason)
        )
    return Found(query, False, tuple(products), rule, len(index.products))


def write_found(output: Output, index: Index, found: Found, log: Log = no_log) -> None:
    """Write a page with the photos, whole or not at all.

    Raises:
        DataError: the photos of the index cannot be found.
        StorageError: see `Output.open`.
    """
    from muslin.reporting.report.similar_page import found_html

    own = np.flatnonzero(index.photos.products == index.numbers[found.query]).tolist() if found.is_product else []
    photos = [product.number for product in found.products]
    sources = find_photos(index, {*photos, *own}, log)
    shown = [decode_indexed(index, number, sources.get(number)) for number in photos]
    query = [decode_indexed(index, number, sources.get(number)) for number in own]
    if not found.is_product:
        query = [decode(Path(found.query), name=found.query, min_side_px=SIDE_PX).pixels]
    output.write(found_html(found, [pixels for pixels in query if pixels is not None], shown))


def _find_product(index: Index, name: str, count: int) -> Found:
    number = index.numbers[name]
    own = np.flatnonzero(index.photos.products == number)
    nearest: Nearest = index.search.nearest(index.search.vectors[own], count, frozenset({number}))
    own_digests = {index.photos.digests[place].tobytes() for place in own.tolist()}
    products = []
    for other, place, cosine in zip(*(each.tolist() for each in nearest), strict=True):
        verdict = index.decisions.get((min(number, other), max(number, other)))
        is_file = verdict is None and index.photos.digests[place].tobytes() in own_digests
        reason = "person" if verdict == SAME else "file" if is_file else ""
        decision = "" if verdict is None else VERDICTS[verdict]
        photo = index.photos.names[place]
        products.append(SimilarProduct(index.products[other], photo, place, cosine, bool(reason), reason, decision))
    return Found(name, True, tuple(products), None, len(index.products))
