"""`muslin review promote`: make a candidate the active model, if it is not worse on the sealed test part."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.data.photo_roles import ProductPhoto
from muslin.data.photos import PhotoImages
from muslin.errors import DataError
from muslin.evaluation.product_calibration import product_labels
from muslin.evaluation.promotion import DEFAULT_MARGIN, ModelOutcomes, PromotionCheck, check_promotion
from muslin.evaluation.selective import DECISIONS
from muslin.messages import Log, Message, no_log
from muslin.models.prediction import TargetPrediction
from muslin.models.predictor import Predictor
from muslin.review.model_rows import check_targets
from muslin.review.store import Store
from muslin.workflows.review_dataset import read_sealed_test
from muslin.workflows.review_predict import find_row, predict_products
from muslin.workflows.review_products import open_store_model
from muslin.workflows.review_train import record_of_file


@dataclass(frozen=True)
class PromoteOptions:
    """Options of `promote`.

    Attributes:
        margin: by how much the candidate may be worse, as a share of the test products; 0 to below 1.
    """

    margin: float = DEFAULT_MARGIN


@dataclass(frozen=True)
class PromotionResult:
    """What became of a promotion.

    Attributes:
        active: the digest of the model that was active before.
        candidate: the digest of the one that was promoted, or refused.
        checks: one per target.
        predicted: products that were predicted with it.
    """

    active: str
    candidate: str
    checks: tuple[PromotionCheck, ...]
    is_promoted: bool = False
    predicted: int = 0

    @property
    def refusals(self) -> tuple[Message, ...]:
        """Why it is not promoted."""
        return tuple(message for check in self.checks for message in check.refusals)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        checks = [check.to_dict() for check in self.checks]
        return {**vars(self), "checks": checks}


def compare_with_active(
    store: Store, candidate: str, options: PromoteOptions | None = None, log: Log = no_log
) -> PromotionResult:
    """The candidate beside the active model on the sealed test part; nothing is changed.

    Both are asked for the store's precision; where it names none, for the one that the active model chooses.

    Raises:
        DataError: no such model, it is the active one or has other targets, no sealed test part, or a margin out of
            range.
    """
    options = options or PromoteOptions()
    if not 0 <= options.margin < 1:
        raise DataError("promotion_margin", found=options.margin)
    active, digest = store.active.digest, find_model(store, candidate)
    if digest == active:
        raise DataError("promotion_active", digest=digest[:12], path=store.name)
    rows = [find_row(store, each) for each in (active, digest)]
    check_targets(*rows)
    test = SealedProducts.of(read_sealed_test(store, log))
    predictors = [open_store_model(store, row) for row in rows]
    info = store.info
    chosen = predictors[0].rules.choose(info.precision, info.guarantee, per_product=test.has_several)
    predicted = [test.predict(each, chosen.precision, info.guarantee) for each in predictors]
    checks = []
    for target in test.targets:
        counted = test.is_decided(target)
        if counted.any():
            of_models = [test.outcomes(target, each, counted) for each in predicted]
            measure: dict[str, Any] = {"precision": chosen.precision, "margin": options.margin}
            checks.append(check_promotion(target.name, *of_models, groups=test.clusters_of(counted), **measure))
    if not checks:
        raise DataError("promotion_without_test", path=store.name)
    return PromotionResult(active, digest, tuple(checks))


def promote(
    store: Store,
    candidate: str,
    who: str,
    options: PromoteOptions | None = None,
    log: Log = no_log,
    should_stop: Callable[[], bool] = lambda: False,
) -> PromotionResult:
    """Make the candidate the active model, unless it may be worse; all products are predicted with it first.

    Killed or stopped before its end, the old model stays active, and the same call goes on where it was.

    Raises:
        DataError: as `compare_with_active`, photos of products are gone, or another model has become active meanwhile.
        StoppedError: `should_stop` returned true.
    """
    compared = compare_with_active(store, candidate, options, log)
    if compared.refusals:
        return compared
    metrics = {"checks": [check.to_dict() for check in compared.checks]}
    make_active = partial(store.promote, compared.candidate, who, metrics, instead_of=compared.active)
    predicted = _predict_and(make_active, store, compared.candidate, log, should_stop)
    return PromotionResult(compared.active, compared.candidate, compared.checks, True, predicted)


def _predict_and(
    make_active: Callable[[], object], store: Store, digest: str, log: Log, should_stop: Callable[[], bool]
) -> int:
    """Predict all products with a model and make it active; again where `muslin review add` adds some meanwhile.

    Returns:
        how many were predicted.
    """
    predicted = 0
    while True:
        predicted += predict_products(store, digest, log, should_stop)
        try:
            make_active()
        except DataError as error:
            if error.code != "review_predictions_missing":
                raise
        else:
            return predicted


def undo_promotion(
    store: Store, who: str, log: Log = no_log, should_stop: Callable[[], bool] = lambda: False
) -> tuple[str, int]:
    """Make the model before the last promotion active again: its digest, and how many products it predicted first.

    Raises:
        DataError: there was no promotion, photos of products are gone, or another model has become active meanwhile.
        StoppedError: `should_stop` returned true.
    """
    undo, previous = partial(store.undo_promotion, who, instead_of=store.active.digest), store.previous
    if previous is None:
        return undo(), 0  # which says why
    return previous, _predict_and(undo, store, previous, log, should_stop)


def find_model(store: Store, name: str) -> str:
    """The digest of a model of the store: by the beginning of its digest, or by a file that is added where it is new.

    Raises:
        DataError: none or several begin so.
    """
    found = [model.digest for model in store.models() if name and model.digest.startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    path = Path(name)
    file = path / "model.muslin" if path.is_dir() else path
    if not found and file.is_file():
        return store.add_model(file, record_of_file(store, file))
    choices = [model.digest[:12] for model in store.models()]
    raise DataError("promotion_candidate", "several" if found else None, name=name, choices=choices)


@dataclass(frozen=True, eq=False)
class SealedProducts:
    """The products of the sealed test part, with all their photos.

    Attributes:
        labels: per target integer (n,) or (n, classes), as in a Dataset.
        no_class: per target bool (n,); see `Dataset.no_class`.
        clusters: (n,): products of one are not independent; None where all are.
    """

    targets: tuple[Target, ...]
    photos: Sequence[Sequence[ProductPhoto]]
    names: Sequence[str]
    labels: Mapping[str, NDArray[np.integer[Any]]] = field(repr=False)
    no_class: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    clusters: NDArray[Any] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, test: Dataset) -> "SealedProducts":
        """From the images of the sealed test part."""
        names = test.ids if test.products is None else test.products
        _, first, numbers = np.unique(names.astype(str), return_index=True, return_inverse=True)
        photos: list[list[ProductPhoto]] = [[] for _ in first]
        for row, number in enumerate(numbers.tolist()):
            image = test.images.photos[row] if isinstance(test.images, PhotoImages) else test.images[row]
            photos[number].append(
                ProductPhoto(str(test.ids[row]), image, "" if test.roles is None else test.roles[row])
            )
        none = np.zeros(len(test), dtype=bool)
        return cls(
            test.targets,
            photos,
            [str(name) for name in names[first]],
            {t.name: product_labels(t, test.labels[t.name], numbers) for t in test.targets},
            {t.name: test.no_class.get(t.name, none)[first] for t in test.targets},
            None if test.groups is None or test.clusters is None else test.clusters[first],
        )

    @property
    def has_several(self) -> bool:
        """Whether some product has several photos."""
        return any(len(photos) > 1 for photos in self.photos)

    def predict(self, predictor: Predictor, precision: float, guarantee: str) -> list[Mapping[str, TargetPrediction]]:
        """Per product the predictions by the target's name; empty where no photo can be read."""
        options: dict[str, Any] = {"precision": precision, "guarantee": guarantee}
        if self.has_several:
            named = zip(self.names, self.photos, strict=True)
            return [each.predictions for each in predictor.predict_named_products(named, **options)]
        one_each = ((photos[0].name, photos[0].image) for photos in self.photos)
        return [each.predictions for each in predictor.predict_named(one_each, **options)]

    def is_decided(self, target: Target) -> NDArray[np.bool_]:
        """bool (n,): the products with a label, or of which a person said that they have none."""
        labels = self.labels[target.name]
        known = (labels != UNKNOWN).reshape(len(labels), -1).any(axis=1)
        return np.asarray(known | self.no_class[target.name])

    def clusters_of(self, counted: NDArray[np.bool_]) -> NDArray[Any] | None:
        return None if self.clusters is None else self.clusters[counted]

    def outcomes(
        self, target: Target, predicted: Sequence[Mapping[str, TargetPrediction]], counted: NDArray[np.bool_]
    ) -> ModelOutcomes:
        """Which predictions are correct and which accepted. Where there is none, neither; classes go by their names."""
        correct, accepted = [], []
        for row in np.flatnonzero(counted).tolist():
            prediction = predicted[row].get(target.name)
            accepted.append(prediction is not None and prediction.decision == DECISIONS[0])
            correct.append(prediction is not None and self._is_correct(target, row, prediction))
        return ModelOutcomes(np.array(correct, dtype=bool), np.array(accepted, dtype=bool))

    def _is_correct(self, target: Target, row: int, prediction: TargetPrediction) -> bool:
        if self.no_class[target.name][row]:
            return False
        labels = self.labels[target.name][row]
        if target.kind == "multiclass":
            return prediction.label == target.classes[int(labels)]
        said = set(prediction.labels or ())
        known = {name: bool(value) for name, value in zip(target.classes, labels, strict=True) if value != UNKNOWN}
        return all((name in said) == is_true for name, is_true in known.items())
