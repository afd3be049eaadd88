"""The same flow under scikit-learn's contract: `fit`, `predict`, `predict_proba`, `score`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from muslin.data.dataset import Dataset, PixelImages, Split, Target
from muslin.errors import DataError
from muslin.learn.recipes import recipe, with_min_steps
from muslin.models.bundle import Bundle, seal
from muslin.models.predictor import Predictor
from muslin.workflows.train import require_training

SMALLEST_PX = 14
"""Images with a shorter side are enlarged by a whole factor: every recipe's network has room in 14 px."""


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A muslin recipe as a scikit-learn estimator, for `cross_val_score`, `Pipeline` and `GridSearchCV`.

    Images are (count, height, width), (count, height, width, 1 or 3), or rows of pixels (count, features): square
    gray where that fits, then square RGB, then a strip one pixel high; `shape` overrules. uint8 is taken as it is;
    other numbers within 0–1 are multiplied by 255, within 0–255 rounded, and any other range is stretched to 0–255
    by the training images' smallest and largest value.

    Args:
        recipe: a row of `muslin.learn.recipes.RECIPES`.
        epochs: how often every image is seen; None for what the recipe says.
        settings: other numbers of the recipe to change, by name.
        shape: (height, width) or (height, width, channels) of a row of pixels.
        random_state: None (as 0), a whole number, or a numpy RandomState. The same number gives the same weights.

    Attributes:
        classes_: the distinct labels, sorted.
        model_: the trained Bundle; `save` seals it into a file.
        history_: one row per epoch.
        n_features_in_: how many numbers an image has.
    """

    def __init__(
        self,
        recipe: str = "quick",
        *,
        epochs: int | None = None,
        settings: Mapping[str, Any] | None = None,
        shape: tuple[int, ...] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.settings = settings
        self.shape = shape
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "ImageClassifier":  # noqa: N803  # scikit-learn's name
        """Learn from images `X` and labels `y`, (count,) numbers or text.

        Raises:
            MuslinError: a recipe or setting is unknown, or torch is not installed.
            ValueError: scikit-learn's own, for arrays that do not fit together; or a single class.
        """
        require_training()
        from muslin.learn.export import export
        from muslin.learn.torch_setup import choose_compute_settings
        from muslin.learn.train import golden_images, train_network

        X, y = validate_data(self, X, y, allow_nd=True, dtype=None)  # noqa: N806
        check_classification_targets(y)
        y = column_or_1d(y)
        self.classes_, answers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"ImageClassifier needs at least two classes; the data have one class, {self.classes_[0]}."
            )
        self._stretch = _stretch_for(_numbers(X))
        pixels = self._pixels(X)
        usual: dict[str, Any] = {"validation_fraction": 0.0}
        if _image_shape(X.shape[1:], self.shape)[0] == 1:
            usual |= {"flip": False, "tta_flip": False}  # the two ends of a strip are not alike
        changes = (
            usual | dict(self.settings or {}) | ({"epochs": self.epochs} if self.epochs is not None else {})
        )
        batch_size = _batch(recipe(self.recipe, **changes).batch_size, len(pixels))
        chosen = recipe(self.recipe, **{"batch_size": batch_size} | changes)
        chosen = with_min_steps(chosen, len(pixels))
        target = Target("label", tuple(str(c) for c in self.classes_))
        dataset = Dataset(
            name="arrays",
            format="arrays",
            images=PixelImages(pixels),
            targets=(target,),
            labels={"label": answers.astype(np.int64)},
            ids=np.array([str(i) for i in range(len(pixels))], dtype=object),
        )
        everything, nothing = np.arange(len(pixels)), np.arange(0)
        split = Split(everything, nothing, nothing, ("all images are for training",))
        seed = _seed(self.random_state)
        net, self.history_ = train_network(
            dataset, split, chosen, seed=seed, compute=choose_compute_settings()
        )
        provenance = {"recipe": chosen.name, "seed": seed}
        self.model_: Bundle = export(
            net, (target,), transform="fit", golden=golden_images(dataset, split), provenance=provenance
        )
        self._predictor = Predictor(self.model_)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Probabilities, float32 (count, classes), columns in the order of `classes_`."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, allow_nd=True, dtype=None)  # noqa: N806
        if not hasattr(self, "_predictor"):  # after unpickling
            self._predictor = Predictor(self.model_)
        return self._predictor.predict_pixels(self._pixels(X))["label"]

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each image, (count,), as `y` had them."""
        probabilities = self.predict_proba(X)
        answers: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return answers

    def save(self, path: str | Path) -> None:
        """Seal the model into a .muslin file, for `muslin predict` and `muslin.open`."""
        check_is_fitted(self)
        seal(self.model_, path)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_predictor", None)  # a live session of the runtime; made again from `model_`
        return state

    def _pixels(self, X: NDArray[Any]) -> NDArray[np.uint8]:  # noqa: N803
        pictures = _numbers(X).reshape(len(X), *_image_shape(X.shape[1:], self.shape))
        if pictures.dtype != np.uint8:
            low, high = self._stretch
            scaled = (pictures.astype(np.float64) - low) * (255 / (high - low))
            pictures = np.rint(scaled).clip(0, 255).astype(np.uint8)
        factor = -(-SMALLEST_PX // min(pictures.shape[1:3]))
        return pictures.repeat(factor, axis=1).repeat(factor, axis=2) if factor > 1 else pictures


def _numbers(X: Any) -> NDArray[Any]:  # noqa: N803
    """`X` as it is, or as float64 where it holds objects."""
    array = np.asarray(X)
    return array if array.dtype.kind in "uif" else array.astype(np.float64)


def _stretch_for(numbers: NDArray[Any]) -> tuple[float, float]:
    """Which two values become 0 and 255."""
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    return low, high if high > low else low + 1


def _image_shape(given: tuple[int, ...], shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """(height, width, channels) of an image given as `given`, one of the forms the class lists."""
    if shape is not None or len(given) == 2:
        height, width, channels = (*(shape or given), 1)[:3]
    elif len(given) == 3:
        height, width, channels = given
    else:
        features = int(np.prod(given))
        gray, colour = round(features**0.5), round((features / 3) ** 0.5)
        if gray**2 == features:
            return gray, gray, 1
        if 3 * colour**2 == features:
            return colour, colour, 3
        return 1, features, 1
    if height * width * channels != np.prod(given) or channels not in (1, 3):
        raise DataError(
            f"images of shape {given} cannot be {height}×{width} px with {channels} channels. Check shape=."
        )
    return height, width, channels


def _batch(usual: int, count: int) -> int:
    """The recipe's batch, or an eighth of a small data set."""
    return max(min(usual, count // 8), min(count, 2))


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if random_state is None:
        return 0
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    return int(random_state)
