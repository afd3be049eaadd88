"""From a prediction to the new cells of a product."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from muslin.catalogue.taxonomy import Taxonomy
from muslin.data.dataset import Target
from muslin.data.tables import Row
from muslin.evaluation.selective import DECISIONS, AcceptancePolicy
from muslin.models.prediction import Prediction, TargetPrediction
from muslin.models.product_prediction import ProductPrediction

MAX_PREDICTION_SET = 3
"""Classes in the prediction set of a model without calibration data, which cannot exclude any. A calibrated model's set
stays whole, because a part of it would hold the true class less often than it should."""


_ACCEPT, _REVIEW, _OUT_OF_SCOPE = DECISIONS


@dataclass(frozen=True)
class _Tags:
    """What is written of one target of one product; for a multilabel target one tag for each label."""

    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    decision: str
    prediction_set: tuple[str, ...]


def new_cells(
    prediction: Prediction | ProductPrediction,
    targets: Sequence[Target],
    taxonomy: Taxonomy,
    policies: Mapping[str, AcceptancePolicy],
) -> Row:
    """The new cells of a row with one photo, or of a product, which also has the reasons for its review.

    Args:
        policies: per target's name what decided on it.
    """
    reason: list[Any] = []
    if isinstance(prediction, ProductPrediction):
        reason = ["; ".join(" ".join(each.split()) for each in prediction.reasons) or None]
    if prediction.error is not None:
        n_empty = (4 + taxonomy.extra_cells) * len(targets)
        return [*[None] * n_empty, *reason, " ".join(prediction.error.split())]
    tags_of = {target.name: _tags(prediction.predictions[target.name], policies[target.name]) for target in targets}
    if len(targets) > 1 and taxonomy.parents:
        tags_of = _resolve_conflicts(tags_of, prediction, taxonomy)
    cells: list[Any] = []
    for target in targets:
        tags = _merge_equal_names(tags_of[target.name], prediction.predictions[target.name], taxonomy)
        names = [taxonomy.name(tag) for tag in tags.tags]
        parents = [taxonomy.path_above(tag) for tag in tags.tags]
        ids = [taxonomy.ids.get(tag, "") for tag in tags.tags]
        probabilities = [round(probability, 4) for probability in tags.probabilities]
        of_taxonomy: list[list[Any]] = [*([parents] if taxonomy.parents else []), *([ids] if taxonomy.ids else [])]
        if target.kind == "multilabel":
            of_taxonomy = [values if any(values) else [] for values in of_taxonomy]
            cells += [names, *of_taxonomy, [f"{probability:.4f}" for probability in probabilities]]
        else:
            cells += [next(iter(values), None) for values in (names, *of_taxonomy, probabilities)]
        cells += [tags.decision, list(dict.fromkeys(map(taxonomy.name, tags.prediction_set)))]
    return [*cells, *reason, None]


def _tags(prediction: TargetPrediction, policy: AcceptancePolicy) -> _Tags:
    """The predicted labels; none for an image out of scope."""
    if prediction.decision == _OUT_OF_SCOPE:
        return _Tags((), (), _OUT_OF_SCOPE, ())
    tags = (prediction.label,) if prediction.labels is None else prediction.labels
    prediction_set = prediction.prediction_set
    if prediction.decision == _ACCEPT:
        prediction_set = ()  # there is nothing to choose
    elif policy.n == 0:
        prediction_set = prediction_set[:MAX_PREDICTION_SET]
    probabilities = tuple(prediction.probabilities[tag] for tag in tags)
    return _Tags(tags, probabilities, prediction.decision, prediction_set)


def _resolve_conflicts(
    tags_of: Mapping[str, _Tags], prediction: Prediction | ProductPrediction, taxonomy: Taxonomy
) -> dict[str, _Tags]:
    """The tags, changed so that none contradicts the tree.

    The most probable come first, accepted ones before all others. A later one that contradicts them becomes the most
    probable of its classes that does not, or none, and goes to review.
    """
    classes = {name: tuple(target.probabilities) for name, target in prediction.predictions.items()}
    order = sorted(tags_of, key=lambda n: (tags_of[n].decision != _ACCEPT, -max(tags_of[n].probabilities, default=0)))
    resolved: dict[str, _Tags] = {}

    def fits(tag: str, name: str) -> bool:
        for other, tags in resolved.items():
            if len(tags.tags) != 1:
                continue
            [fixed] = tags.tags
            above = next((a for a in taxonomy.ancestors(tag) if a in classes[other]), fixed)
            below = next((a for a in taxonomy.ancestors(fixed) if a in classes[name]), tag)
            if above != fixed or below != tag:
                return False
        return True

    for name in order:
        tags = tags_of[name]
        if len(tags.tags) == 1 and not fits(tags.tags[0], name):
            probabilities = prediction.predictions[name].probabilities
            fitting = [tag for tag in probabilities if fits(tag, name)]
            best = sorted(fitting, key=lambda tag: -probabilities[tag])[:1]
            tags = _Tags(
                tuple(best),
                tuple(probabilities[tag] for tag in best),
                _REVIEW,
                tuple(dict.fromkeys([*tags.tags, *tags.prediction_set, *best])),
            )
        resolved[name] = tags
    return resolved


def _merge_equal_names(tags: _Tags, prediction: TargetPrediction, taxonomy: Taxonomy) -> _Tags:
    """The same, with the probabilities of classes added that have the same name in the shop.

    An accepted tag stays; otherwise the name with the greatest sum becomes the tag. Of several labels with one name,
    which do not exclude each other, the most probable one stays.
    """
    if prediction.labels is not None:
        return _one_of_each_name(tags, taxonomy)
    if len(tags.tags) != 1 or not taxonomy.names:
        return tags
    sums: dict[str, float] = {}
    for tag, probability in prediction.probabilities.items():
        sums[taxonomy.name(tag)] = sums.get(taxonomy.name(tag), 0.0) + probability
    if len(sums) == len(prediction.probabilities):
        return tags
    [tag] = tags.tags
    best = max(sums, key=lambda name: sums[name])
    if tags.decision != _ACCEPT and sums[best] > sums[taxonomy.name(tag)]:
        same_name = [tag for tag in prediction.probabilities if taxonomy.name(tag) == best]
        tag = max(same_name, key=lambda tag: prediction.probabilities[tag])
    return replace(tags, tags=(tag,), probabilities=(min(1.0, sums[taxonomy.name(tag)]),))


def _one_of_each_name(tags: _Tags, taxonomy: Taxonomy) -> _Tags:
    """The most probable tag of each name that the shop gives them."""
    most: dict[str, tuple[float, str]] = {}
    for tag, probability in zip(tags.tags, tags.probabilities, strict=True):
        name = taxonomy.name(tag)
        if name not in most or probability > most[name][0]:
            most[name] = probability, tag
    return replace(
        tags,
        tags=tuple(tag for _, tag in most.values()),
        probabilities=tuple(probability for probability, _ in most.values()),
    )
