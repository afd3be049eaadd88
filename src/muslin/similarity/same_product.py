"""When two photos can be said to show the same product: at a precision that a shop's own products prove."""

from collections.abc import Sequence
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

FITTED = 0.25
"""Share of these products by which a cosine becomes a probability, of which the search for a threshold begins."""

MIN_FITTED = 10
RIDGE = 0.01
USUAL = (15.0, -9.0)
"""The slope and the intercept of that probability where fewer products than MIN_FITTED could fit it."""


@dataclass(frozen=True, eq=False)
class SameProductData:
    """What would be said of calibration photos: one row for each product near one, the most similar first.

    Attributes:
        cosine: float32 (n,), falling.
        correct: bool (n,): whether the product is the photo's own.
        group: int32 (n,): the number of the product whose photo was looked up. Its rows are not independent.
        logit: float64 (2,): slope and intercept of the logit of `confidence`, from other products than these.
    """

    cosine: NDArray[np.float32]
    correct: NDArray[np.bool_]
    group: NDArray[np.int32]
    logit: NDArray[np.float64]

    @property
    def n_products(self) -> int:
        """Products with several photos that were looked up: each has one row of its own."""
        return int(self.correct.sum())

    @property
    def confidence(self) -> NDArray[np.float64]:
        """float64 (n,), falling: about the probability of being correct, which decides where the search for a threshold
        begins. So no `correct` of these rows may decide it."""
        return np.asarray(1 / (1 + np.exp(-(self.logit[0] * self.cosine.astype(np.float64) + self.logit[1]))))


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


def calibrate(
    searches: Sequence[Search], known: NDArray[np.int64], unknown: NDArray[np.int64], same: frozenset[tuple[int, int]]
) -> SameProductData:
    """Look up a photo of each of these products, drawn at random, among all others of the catalogue.

    The photo of a known product finds its own, which is correct, and others, which are not. That of an unknown product
    is looked up as if the index had no photo of it, so all that it finds is incorrect. There are as many of both, and
    each product is looked up once: so they are a random sample of what is looked up.

    Args:
        searches: k of the same photos; every kth product of `known` and `unknown`, from its own place on, is looked up
            in one of them, which was not fitted to it.
        known: int64 (k,), in random order: products with several photos.
        unknown: int64 (k,), in random order: other products.
        same: pairs of products that a person found to be the same one.
    """
    n_fitted = int(FITTED * len(known))
    if n_fitted < MIN_FITTED:
        n_fitted = 0
    places = np.arange(len(known))
    logit = np.array(USUAL)
    if n_fitted:
        logit = _fit_logit(*_all_rows(searches, known, unknown, places[:n_fitted], same)[:2])
    return SameProductData(*_all_rows(searches, known, unknown, places[n_fitted:], same), logit)


def _all_rows(
    searches: Sequence[Search],
    known: NDArray[np.int64],
    unknown: NDArray[np.int64],
    places: NDArray[np.int64],
    same: frozenset[tuple[int, int]],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
    """The rows of the products at these places of `known` and `unknown`, the most similar first."""
    parts, groups = [], 0
    for number, search in enumerate(searches):
        own = places[places % len(searches) == number]
        cosine, correct, group = _rows(search, known[own], unknown[own], same)
        parts.append((cosine, correct, group + groups))
        groups += 2 * len(own)
    cosine, correct, group = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.lexsort((group, correct, -cosine))
    return cosine[order], correct[order], group[order].astype(np.int32)


def _rows(
    search: Search, known: NDArray[np.int64], unknown: NDArray[np.int64], same: frozenset[tuple[int, int]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
    """The cosine, correctness and group of each row, the most similar first."""
    random = np.random.default_rng(0)
    looked_up = np.concatenate([known, unknown]).astype(np.int64)
    photos = np.array([random.integers(search.starts[p], search.ends[p]) for p in looked_up], np.int64)
    own = search.own_cosines(photos)
    rows: list[tuple[float, bool, int]] = [(float(own[group]), True, group) for group in range(len(known))]
    for group, nearest in enumerate(search.nearest_others(photos, OTHERS)):
        for other, cosine in zip(nearest.products.tolist(), nearest.cosines.tolist(), strict=True):
            pair = (min(int(looked_up[group]), other), max(int(looked_up[group]), other))
            if pair not in same:
                rows.append((cosine, False, group))
    rows.sort(key=lambda row: (-row[0], row[1], row[2]))
    cosine, correct, groups = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(cosine, np.float32), np.array(correct, np.bool_), np.array(groups, np.int32)


def _fit_logit(cosine: NDArray[np.float32], correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Slope and intercept of a logistic regression, by Newton's method, drawn a little towards USUAL."""
    inputs = np.stack([cosine.astype(np.float64), np.ones(len(cosine))], axis=1)
    logit, usual = np.array(USUAL), np.array(USUAL)
    for _ in range(50):
        probability = 1 / (1 + np.exp(-np.clip(inputs @ logit, -50, 50)))
        gradient = inputs.T @ (probability - correct) + RIDGE * (logit - usual)
        curvature = (inputs * (probability * (1 - probability))[:, np.newaxis]).T @ inputs + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        logit = logit - step * min(1.0, 10 / max(float(np.abs(step).max()), 1e-12))
    return np.array([max(float(logit[0]), 1e-3), float(logit[1])])


def same_product_rule(data: SameProductData | None, precision: float | None = None) -> SameProductRule:
    """The least cosine at which `precision` is guaranteed; by default the highest of PRECISIONS that can be.

    Raises:
        DataError: `precision` is out of range.
    """
    if precision is not None:
        check_precision_target(precision)
    if data is None or not len(data.cosine):
        return SameProductRule(None, np.inf, 0, 0, Message("same_product_no_data"))
    confidence = data.confidence
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
