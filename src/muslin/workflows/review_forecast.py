"""How many more? What a review store's next model will accept after more products are decided.

Learning curves of linear heads on the features of a frozen backbone, which are extracted once and cached; see
`muslin.evaluation.learning_curve` and docs/explanation/review-loop.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin import machine
from muslin.data import photos
from muslin.data.copies import units_of
from muslin.data.dataset import UNKNOWN, Dataset, Split, Target
from muslin.data.folds import fold_numbers
from muslin.errors import DataError, RecipeError, unknown
from muslin.evaluation.learning_curve import FRACTIONS, MAX_GROWTH, Forecast, LearningCurve, forecast
from muslin.evaluation.product_calibration import product_labels, product_probabilities
from muslin.evaluation.selective import calibrate_probabilities, fit_calibration_data
from muslin.extras import require_extra
from muslin.learn.recipes import LinearProbeRecipe, recipe_from_dict
from muslin.messages import Message
from muslin.models.bundle import Bundle, open_bundle
from muslin.models.decision_rules import DecisionRules
from muslin.review.store import Store
from muslin.text import short_interval
from muslin.workflows.review_dataset import read_review_data
from muslin.workflows.training_data import Callbacks

if TYPE_CHECKING:
    from muslin.learn.cross_val import FitPredict
    from muslin.learn.features import Features

FOLDS = 5
REPEATS = 2

MORE = (100, 250, 500, 1000)
"""Numbers of further products for which a forecast is made where none is named and the curve reaches them."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TargetForecast:
    """Forecasts for one target.

    Attributes:
        class_name: the class of the further products; None for any, as they come.
        precision: target of the accepted predictions.
        forecasts: for rising numbers of further products.
    """

    target: str
    class_name: str | None
    precision: float
    forecasts: tuple[Forecast, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """A sentence for each number of further products."""
        names = {"target": self.target, "class_name": self.class_name, "precision": self.precision}
        return tuple(
            Message("review_forecast", **names, more=each.more,
                    now=each.accepted_now, interval=short_interval(each.accepted_interval, 0),
                    accuracy_now=each.accuracy_now, accuracy_interval=short_interval(each.accuracy_interval, 0))
            for each in self.forecasts
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        forecasts = [vars(each) for each in self.forecasts]
        messages = [message.to_dict() for message in self.messages]
        return {**vars(self), "forecasts": forecasts, "messages": messages}


def forecast_review(
    store: Store,
    *,
    target: str | None = None,
    class_name: str | None = None,
    more: tuple[int, ...] | None = None,
    seed: int = 0,
    callbacks: Callbacks | None = None,
) -> TargetForecast:
    """What a model trained on more decided products will accept, by learning curves of those decided so far.

    Args:
        target: by default the first one with one class for each product.
        class_name: of the further products; their share that is accepted is then that of this class. None for
            products of any class, as they come.
        more: numbers of further products; by default `default_numbers`.

    Raises:
        MissingPartError: what training needs is not installed.
        DataError: nothing is decided, no such target or class, no random product of the class, or a number that no
            curve reaches.
        RecipeError: the active model was not trained by a linear probe.
        StoppedError: `callbacks.should_stop` returned true.
    """
    require_extra("train")
    callbacks = callbacks or Callbacks()
    bundle = open_bundle(store.open_model(store.active.digest))
    recipe = _recipe(bundle)
    precision = DecisionRules(bundle).precision(store.info.precision, store.info.guarantee, per_product=True)
    data = read_review_data(store, callbacks.log).dataset
    data = data.take(np.flatnonzero(data.parts != "test"))
    chosen = _target(data, target)
    if class_name is not None and class_name not in chosen.classes:
        raise DataError("review_value_unknown", target=chosen.name, **unknown(class_name, chosen.classes))
    curve, labelled = learning_curve(data, chosen, recipe, class_name, seed, callbacks)
    forecasts = [
        forecast(curve, labelled, number, precision, calibrates=class_name is None, seed=seed)
        for number in more or default_numbers(labelled)
    ]
    return TargetForecast(chosen.name, class_name, precision, tuple(forecasts))


def default_numbers(labelled: int) -> tuple[int, ...]:
    """Those of MORE that the curve of `labelled` products reaches; where it reaches none, the largest that it does."""
    largest = int((MAX_GROWTH - 1) * labelled)
    return tuple(number for number in MORE if number <= largest) or (max(largest, 1),)


def learning_curve(
    data: Dataset, target: Target, recipe: LinearProbeRecipe, class_name: str | None, seed: int, callbacks: Callbacks
) -> tuple[LearningCurve, int]:
    """The curve of the products, or photos, that were drawn at random, and how many there are to learn from.

    Args:
        data: photos; all of them train, and those drawn at random are predicted. What a person was not sure of counts
            as incorrect.
        class_name: of which only a part trains at a time, while all others do; None for all classes.

    Raises:
        DataError: none of those drawn at random is of the class.
        StoppedError: `callbacks.should_stop` returned true.
    """
    from muslin.learn.train import extract_features

    side = recipe.image_size
    resized = photos.resize_photos(data, (side, side, 3))
    threads, log, should_stop = machine.physical_cores(), callbacks.log, callbacks.should_stop
    features, problems = extract_features(resized, recipe, seed=seed, threads=threads, log=log, should_stop=should_stop)
    labels = data.labels[target.name]
    is_decided = (labels != UNKNOWN) | data.no_class.get(target.name, np.zeros(len(data), np.bool_))
    usable = np.setdiff1d(np.flatnonzero(is_decided), list(problems))
    is_grown = labels == target.classes.index(class_name) if class_name is not None else np.ones(len(data), np.bool_)
    predicted = [
        list(_predictions(resized, features, recipe, usable, is_grown, seed + repeat, callbacks))
        for repeat in range(REPEATS)
    ]
    rows = usable[data.is_random[usable]]
    numbers = None if data.products is None else np.unique(data.products.astype(str)[rows], return_inverse=True)[1]
    arrays = [
        [_calibrated(target, each[target.name][rows], labels[rows], numbers) for each in one] for one in predicted
    ]
    true = labels[rows] if numbers is None else product_labels(target, labels[rows], numbers)
    confidence = np.array([[p.max(axis=1) for p in one] for one in arrays])
    correct = np.array([[p.argmax(axis=1) == true for p in one] for one in arrays])
    groups = units_of(resized, rows)
    groups = groups if numbers is None else groups[np.unique(numbers, return_index=True)[1]]
    counted = None if class_name is None else true == target.classes.index(class_name)
    if counted is not None and not counted.any():
        raise DataError("forecast_class", class_name=class_name)
    single = len(np.unique(groups)) == len(groups)
    curve = LearningCurve(FRACTIONS, confidence, correct, None if single else groups, counted)
    grown = usable[is_grown[usable]]
    labelled = len(grown) if data.products is None else len(np.unique(data.products.astype(str)[grown]))
    return curve, labelled


def _predictions(
    data: Dataset,
    features: "Features",
    recipe: LinearProbeRecipe,
    usable: NDArray[np.int64],
    is_grown: NDArray[np.bool_],
    seed: int,
    callbacks: Callbacks,
) -> Iterator[dict[str, Floats]]:
    """Per fraction the out-of-fold predictions of the photos at `usable`, by heads fitted to that part of the rest."""
    from muslin.learn.cross_val import cross_val_predict, fit_predict_heads
    from muslin.learn.modules import Net
    from muslin.learn.train import network_for

    folds = np.full(len(data), -1)
    folds[usable], _ = fold_numbers(data, usable, FOLDS, seed)
    net = Net(network_for(data, Split(usable, usable[:0], usable[:0]), recipe), seed)
    fit_predict = fit_predict_heads(net, features, dict(data.labels), recipe, should_stop=callbacks.should_stop)
    units = np.unique(units_of(data, np.arange(len(data))), return_inverse=True)[1]
    place = np.random.default_rng(seed).permutation(units.max() + 1)[units] / (units.max() + 1)
    for fraction in FRACTIONS:
        trains = (place < fraction) | ~is_grown
        yield cross_val_predict(folds, _of_part(fit_predict, trains))


def _of_part(fit_predict: "FitPredict", trains: NDArray[np.bool_]) -> "FitPredict":
    return lambda fold, train, held_out: fit_predict(fold, train[trains[train]], held_out)


def _calibrated(target: Target, raw: Floats, labels: NDArray[Any], numbers: NDArray[np.int64] | None) -> Floats:
    """Calibrated probabilities of photos, or of products by their numbers."""
    data = fit_calibration_data(target, labels, raw)
    calibrated = calibrate_probabilities(target, raw, data)
    if numbers is None:
        return calibrated
    combined = product_probabilities(target, calibrated, numbers, None)
    of_products = fit_calibration_data(target, product_labels(target, labels, numbers), combined)
    return calibrate_probabilities(target, combined, of_products)


def _recipe(bundle: Bundle) -> LinearProbeRecipe:
    recorded = bundle.provenance.get("recipe")
    if isinstance(recorded, Mapping):
        recipe = recipe_from_dict(recorded)
        if isinstance(recipe, LinearProbeRecipe):
            return recipe
    raise RecipeError("forecast_recipe")


def _target(data: Dataset, name: str | None) -> Target:
    single = [target for target in data.targets if target.kind == "multiclass"]
    for target in single:
        if name in (None, target.name):
            return target
    if name is None or name in [target.name for target in data.targets]:
        raise DataError("forecast_multilabel", targets=[t.name for t in data.targets if t.kind == "multilabel"])
    raise DataError("review_target_unknown", **unknown(name, [target.name for target in data.targets]))
