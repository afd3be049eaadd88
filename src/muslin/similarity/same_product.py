"""When two photos can be said to show the same product: at a precision that a shop's own products prove."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.precision_bound import CONFIDENCE_LEVEL, accept_threshold, images_needed, max_precision
from muslin.evaluation.selective import MIN_PRECISION, check_precision_target
from muslin.messages import Message, plain
from muslin.similarity.search import Search

PRECISIONS = (0.99, 0.98, 0.95, 0.9)
"""From which the precision is chosen where the user names none: the highest that can be guaranteed."""

MAX_CALIBRATED = 1_000
"""Products with several photos that the guarantee rests on."""

OTHERS = 5
"""Other products near each calibration photo that count: what would be said of them is incorrect."""

OWN_FOUND, OWN_SPREAD = 0.8, 0.08
"""The share of products whose own photos are expected above all others', and how sharply. They only decide where the
search for a threshold begins."""

UNKNOWN_PER_KNOWN = 1
"""Photos of products that the index does not have, for each of one that it has, up to which the guarantee holds."""


@dataclass(frozen=True, eq=False)
class SameProductData:
    """What would be said of calibration photos: one row for each product near one, the most similar first.

    Attributes:
        cosine: float32 (n,), falling.
        correct: bool (n,): whether the product is the photo's own.
        group: int32 (n,): the number of the product whose photo was looked up. Its rows are not independent.
    """

    cosine: NDArray[np.float32]
    correct: NDArray[np.bool_]
    group: NDArray[np.int32]

    @property
    def n_products(self) -> int:
        """Products whose photos were looked up."""
        return int(self.group.max(initial=-1)) + 1


@dataclass(frozen=True)
class SameProductRule:
    """From which cosine on "the same product" is said.

    Attributes:
        precision: at least this share of what is said is correct, with 95 % confidence; None where nothing is said.
        threshold: the least cosine; infinite where nothing is said.
        n_products: calibration products.
        said: of their photos, those whose own product is found so.
        unsupported: why nothing is said, or nothing at the precision that was asked for.
    """

    precision: float | None
    threshold: float
    n_products: int
    said: int
    unsupported: Message | None = None
    confidence_level: float = CONFIDENCE_LEVEL

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values; no threshold where nothing is said."""
        threshold = None if self.precision is None else float(self.threshold)
        values: dict[str, Any] = plain({**asdict(self), "threshold": threshold, "unsupported": self.unsupported})
        return values


def calibrate(search: Search, products: NDArray[np.int64], same: frozenset[tuple[int, int]]) -> SameProductData:
    """Look up a photo of each of these products, drawn at random, among all others of the catalogue.

    Each photo counts once as that of a product that the index has, where what is said of its own product is correct,
    and UNKNOWN_PER_KNOWN times as that of one that it has not, where all that is said is incorrect.

    Args:
        products: int64 (k,): products with several photos, that nothing else was fitted to.
        same: pairs of products that a person found to be the same one.
    """
    random = np.random.default_rng(0)
    ends = np.append(search.starts[1:], len(search.products))
    photos = np.array([random.integers(search.starts[p], ends[p]) for p in products], np.int64)
    rows: list[tuple[float, bool, int]] = []
    group = 0
    for some, cosines in search.of_products(photos):
        for photo, of_product in zip(some.tolist(), cosines, strict=True):
            own = int(search.products[photo])
            rows.append((float(of_product[own]), True, group))
            others = np.argpartition(-of_product, min(OTHERS + 1, len(of_product) - 1))[: OTHERS + 1]
            for other in [each for each in others.tolist() if each != own][:OTHERS]:
                if (min(own, other), max(own, other)) not in same:
                    rows += [(float(of_product[other]), False, group)] * (1 + UNKNOWN_PER_KNOWN)
            group += 1
    rows.sort(key=lambda row: (-row[0], row[1], row[2]))
    cosine, correct, groups = zip(*rows, strict=True) if rows else ((), (), ())
    return SameProductData(np.array(cosine, np.float32), np.array(correct, np.bool_), np.array(groups, np.int32))


def same_product_rule(data: SameProductData | None, precision: float | None = None) -> SameProductRule:
    """The least cosine at which `precision` is guaranteed; by default the highest of PRECISIONS that can be.

    Raises:
        DataError: `precision` is out of range.
    """
    if precision is not None:
        check_precision_target(precision)
    if data is None or not len(data.cosine):
        return SameProductRule(None, np.inf, 0, 0, Message("same_product_no_data"))
    confidence = _confidence(data)
    for wanted in (precision,) if precision else PRECISIONS:
        least = accept_threshold(confidence, data.correct, wanted, data.group)
        if least < np.inf:
            threshold = float(data.cosine[confidence >= least].min())
            said = int((data.correct & (data.cosine >= threshold)).sum())
            return SameProductRule(wanted, threshold, data.n_products, said)
    wanted = precision or PRECISIONS[-1]
    highest = max_precision(confidence, data.correct, data.group)
    params = {
        "n": data.n_products, "precision": wanted, "needed": images_needed(wanted),
        "max_precision": highest if highest >= MIN_PRECISION else None,
    }  # fmt: skip
    code = "same_product_few" if data.n_products < images_needed(wanted) else "same_product_unsupported"
    return SameProductRule(None, np.inf, data.n_products, 0, Message(code, **params))


def _confidence(data: SameProductData) -> NDArray[np.float64]:
    """A number for each row that falls with its cosine, as if it were the probability of being correct.

    The search for a threshold starts where such probabilities make a pass likely, so they may depend on the cosines
    alone. A cosine is no probability, whatever the projection; a rank nearly is: while fewer rows are above than there
    are products, most of them should be the products' own.
    """
    above = np.searchsorted(-data.cosine, -data.cosine, side="right")  # equal cosines get equal numbers
    return np.asarray(1 / (1 + np.exp((above / data.n_products - OWN_FOUND) / OWN_SPREAD)))
