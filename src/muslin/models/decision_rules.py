"""What decides on a model's predictions: policies, the precision that is chosen, and what is said of it."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any, TypeVar

import numpy as np

from muslin.data.dataset import Target
from muslin.evaluation.precision_choice import (
    Acceptance,
    acceptance_table,
    choose_precision,
    in_products,
    of_products,
    precision_notes,
)
from muslin.evaluation.selective import (
    DEFAULT_PRECISION,
    AcceptancePolicy,
    CalibrationData,
    acceptance_policy,
    check_guarantee,
)
from muslin.evaluation.thresholds import default_thresholds
from muslin.messages import Message
from muslin.models.bundle import Bundle

Policies = Mapping[str, AcceptancePolicy]
"""Per target's name its policy."""

T = TypeVar("T")

_MAX_KEPT = 64  # results, so that a server which is asked for ever new precisions does not grow


@dataclass(frozen=True)
class ChosenGuarantee:
    """What decides on predictions.

    Attributes:
        precision: target of the accepted predictions.
        acceptance: how much can be accepted at which precision.
        policies: per target's name.
        notes: on a precision that was chosen, and on guarantees that the model cannot give.
    """

    precision: float
    acceptance: Acceptance
    policies: Policies
    notes: tuple[Message, ...]


class DecisionRules:
    """What decides on the predictions of one model. Each result is computed once and kept. Thread-safe.

    Attributes:
        thresholds: minimum probabilities for predicting a label, for every target that has any (`Bundle.thresholds`).
        ood_threshold: the OOD score above which an image is out of scope, a float32 as scores are; None without an OOD
            detector.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.targets: tuple[Target, ...] = bundle.targets
        self.thresholds = default_thresholds(bundle.targets) | dict(bundle.thresholds)
        detector = bundle.ood_detector
        self.ood_threshold = None if detector is None else float(np.float32(detector.threshold))
        self._of_photos, self._of_products = bundle.calibration_data, bundle.product_calibration
        self._kept: dict[Hashable, Any] = {}
        self._lock = RLock()

    def precision(
        self, precision: float | None = None, guarantee: str = "overall", *, per_product: bool = False
    ) -> float:
        """`precision`, or the one that is chosen where it is None.

        That is `muslin.evaluation.precision_choice.choose_precision`; of a model without calibration data, which
        accepts nothing, DEFAULT_PRECISION.
        """
        if precision is not None:
            return precision
        key = "precision", guarantee, per_product
        return self._once(
            key, lambda: choose_precision(self._acceptance_of(guarantee, per_product)) or DEFAULT_PRECISION
        )

    def for_predictions(self, precision: float | None = None, guarantee: str = "overall") -> tuple[float, Policies]:
        """The precision and the policies of photos, as `precision` and `policies` give them, without explanations."""
        key = "for predictions", precision, guarantee
        if (kept := self._kept.get(key)) is not None:
            rules: tuple[float, Policies] = kept
            return rules
        used = self.precision(precision, guarantee)
        return self._once(key, lambda: (used, self.policies(used, guarantee, explain=False)))

    def policies(
        self, precision: float | None = None, guarantee: str = "overall", *, per_product: bool = False,
        explain: bool = True,
    ) -> Policies:  # fmt: skip
        """Per target's name the policy; see `muslin.evaluation.selective.acceptance_policy`.

        Args:
            precision: None to choose it.
            per_product: for products; of targets without calibration data of products, the policy for photos.

        Raises:
            DataError: `precision` is out of range, or `guarantee` is neither `overall` nor `per-class`.
        """
        precision = self.precision(precision, guarantee, per_product=per_product)
        key = "policies", precision, guarantee, per_product, explain
        return self._once(key, lambda: self._policies(precision, guarantee, per_product, explain))

    def acceptance(self, guarantee: str = "overall", *, per_product: bool = False) -> Acceptance:
        """How much can be accepted at which precision; see `muslin.evaluation.precision_choice`.

        Args:
            per_product: of products, each with all its photos; empty where the model knows no products.

        Raises:
            DataError: `guarantee` is neither `overall` nor `per-class`.
        """
        return self._once(("acceptance", guarantee, per_product), lambda: self._acceptance(guarantee, per_product))

    def choose(
        self, precision: float | None = None, guarantee: str = "overall", *, per_product: bool = False
    ) -> ChosenGuarantee:
        """What decides on photos, or on products for the targets of which the model knows products.

        Args:
            precision, guarantee, per_product: as of `policies`, with its errors.
        """
        acceptance = self._acceptance_of(guarantee, per_product)
        used = self.precision(precision, guarantee, per_product=per_product)
        policies = self.policies(used, guarantee, per_product=per_product)
        notes = []
        if precision is None and any(acceptance.values()):
            known = self._of_products if per_product else {}
            chosen = precision_notes(acceptance, used)
            notes = [of_products(note) if note.params["target"] in known else note for note in chosen]
        notes += [note for policy in policies.values() for note in policy.unsupported]
        per_photo = self._of_photos.keys() - self._of_products.keys()
        if per_product and per_photo:
            notes.append(Message("guarantee_per_photo", targets=sorted(per_photo)))
        return ChosenGuarantee(used, acceptance, policies, tuple(notes))

    def _once(self, key: Hashable, compute: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._kept:
                result = compute()
                while len(self._kept) >= _MAX_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = result
            kept: T = self._kept[key]
            return kept

    def _acceptance_of(self, guarantee: str, per_product: bool) -> Acceptance:
        """Of photos; of products for the targets of which the model knows products."""
        acceptance = self.acceptance(guarantee)
        return {**acceptance, **self.acceptance(guarantee, per_product=True)} if per_product else acceptance

    def _acceptance(self, guarantee: str, per_product: bool) -> Acceptance:
        scope, data = check_guarantee(guarantee), self._of_products if per_product else self._of_photos
        return {
            target.name: acceptance_table(target, data[target.name], scope, self.thresholds.get(target.name, ()))
            for target in self.targets
            if target.name in data
        }

    def _policies(self, precision: float, guarantee: str, per_product: bool, explain: bool) -> Policies:
        def policy(target: Target, data: CalibrationData | None) -> AcceptancePolicy:
            thresholds = self.thresholds.get(target.name, ())
            return acceptance_policy(target, data, precision, guarantee, thresholds, explain=explain)

        policies = {}
        for target in self.targets:
            data = self._of_products.get(target.name) if per_product else None
            found = policy(target, self._of_photos.get(target.name) if data is None else data)
            say = of_products if data else in_products if self._groups_are_products(target.name) else None
            policies[target.name] = replace(found, unsupported=tuple(map(say, found.unsupported))) if say else found
        return policies

    def _groups_are_products(self, target: str) -> bool:
        """Whether the groups of a target's calibration photos are their products."""
        return target in self._of_products and self._of_products[target].n_groups is None
