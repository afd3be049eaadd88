"""The decisions of a review store, product by product, and what each is good for: to train, to calibrate or to test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.review.store import Store
from muslin.review.values import Decided, Product, labels_of

TRAIN, TEST, WAITING = "train", "test", "waiting"


@dataclass(frozen=True)
class DecidedProduct:
    """A product with the decisions that count.

    Attributes:
        decided: by the target's name.
        use: TRAIN; TEST, in the sealed test part; or WAITING: it will be in the sealed test part once the members of
            the random sample before it are decided, and is of no use until then.
        is_random: whether it is in the part of the random sample that is complete, so that it can calibrate and test.
    """

    product: Product
    decided: Mapping[str, Decided] = field(repr=False)
    use: str
    is_random: bool


def decided_products(store: Store) -> list[DecidedProduct]:
    """The products on which somebody has decided, in the order in which they were added.

    The random sample counts as far as it is decided without a gap for every target: what people decide first is no
    random sample of it.
    """
    decided: dict[int, dict[str, Decided]] = {}
    complete: set[int] | None = None
    for target in store.targets:
        for decision in store.decided(target.name):
            decided.setdefault(decision.product, {})[target.name] = decision
        prefix = set(store.random_sample(target.name).products.tolist())
        complete = prefix if complete is None else complete & prefix
    share = store.info.spot_checks
    found = []
    for product in store.products() if decided else ():
        if product.id in decided and product.error is None:
            is_random = product.id in (complete or ())
            is_sealed = product.in_test and product.rank < share
            use = TRAIN if not is_sealed else TEST if is_random else WAITING
            found.append(DecidedProduct(product, decided[product.id], use, is_random))
    return found


def labels_and_mask(
    target: Target, decisions: Sequence[Decided | None]
) -> tuple[NDArray[np.integer[Any]], NDArray[np.bool_]]:
    """Labels as in a Dataset, and bool (n,): of which no class is correct; see `Dataset.no_class`.

    "Not sure", "not ours" and a class that the target lacks are such; where nobody decided, the label is just UNKNOWN.
    """
    index = {name: i for i, name in enumerate(target.classes)}
    shape = (len(decisions), len(index))[: 2 if target.kind == "multilabel" else 1]
    labels = np.full(shape, UNKNOWN, dtype=np.int8 if target.kind == "multilabel" else np.int64)
    no_class = np.zeros(len(decisions), dtype=bool)
    for row, decision in enumerate(decisions):
        if decision is None:
            continue
        names = labels_of(target, decision.value) if decision.value is not None else ()
        if decision.value is None or not set(names) <= index.keys():
            no_class[row] = True
        elif target.kind == "multilabel":
            labels[row] = 0
            labels[row, [index[name] for name in names]] = 1
        else:
            labels[row] = index[names[0]]
    return labels, no_class
