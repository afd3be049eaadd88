"""The guarantee with which predictions are made: the precision, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from muslin.evaluation.precision_choice import Acceptance, choose_precision, of_products, precision_notes
from muslin.evaluation.selective import DEFAULT_PRECISION, AcceptancePolicy
from muslin.messages import Message
from muslin.models.predictor import Predictor


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
    policies: Mapping[str, AcceptancePolicy]
    notes: tuple[Message, ...]


def choose_guarantee(
    predictor: Predictor, precision: float | None, scope: str = "overall", *, per_product: bool
) -> ChosenGuarantee:
    """The guarantee of photos, or of products for the targets of which the model knows products.

    Args:
        precision: None to choose it, see `muslin.evaluation.precision_choice.choose_precision`.
        scope: see `muslin.evaluation.selective.AcceptancePolicy.guarantee`.
        per_product: whether products are predicted, each from all its photos.

    Raises:
        DataError: the precision or the scope is none.
    """
    acceptance, policies_at = predictor.acceptance(scope), predictor.policies
    if per_product:
        acceptance = {**acceptance, **predictor.acceptance(scope, per_product=True)}
        policies_at = predictor.product_policies
    chosen = choose_precision(acceptance) if precision is None else None
    used = (chosen or DEFAULT_PRECISION) if precision is None else precision
    policies = policies_at(used, scope)
    known = predictor.bundle.product_calibration if per_product else {}
    chosen_notes = precision_notes(acceptance, chosen) if chosen else []
    notes = [of_products(note) if note.params["target"] in known else note for note in chosen_notes]
    notes += [note for policy in policies.values() for note in policy.unsupported]
    per_photo = predictor.bundle.calibration_data.keys() - predictor.bundle.product_calibration.keys()
    if per_product and per_photo:
        notes.append(Message("guarantee_per_photo", targets=sorted(per_photo)))
    return ChosenGuarantee(used, acceptance, policies, tuple(notes))
