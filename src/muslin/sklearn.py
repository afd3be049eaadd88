"""muslin's training as a scikit-learn estimator: `fit`, `predict`, `predict_proba`, `score`."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, PixelImages, Split, Target
from muslin.errors import DataError, RecipeError
from muslin.extras import require_extra
from muslin.learn.batches import with_min_steps
from muslin.learn.recipes import SGDRecipe
from muslin.learn.recipes import recipe as recipe_named
from muslin.messages import Message
from muslin.models.bundle import Bundle, seal
from muslin.models.predictor import Predictor
from muslin.models.seen_images import SeenImages, digest_images
from muslin.storage.outputs import Output

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ModuleNotFoundError:  # the class can be imported and read about; making one names what is missing
    BaseEstimator, ClassifierMixin = type("BaseEstimator", (), {}), type("ClassifierMixin", (), {})

MIN_SIDE_PX = 14
"""Images with a shorter side are enlarged by a whole factor: 14 px is enough for every recipe's network."""

UNUSED_SETTINGS = frozenset({"validation_fraction", "stratified", "split_seed", "image_size", "folds"})
"""Settings of a data set's parts and of calibration: `fit` trains on all images that it is given, in their size."""


class SeenImagesWarning(UserWarning):
    """The accuracy of an ImageClassifier is computed on images that it was fitted on."""


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A muslin recipe as a scikit-learn estimator, for `cross_val_score`, `Pipeline` and `GridSearchCV`.

    Images are (count, height, width), (count, height, width, 1 or 3), or rows of pixels (count, features): square
    gray where that fits, then square RGB, then a strip one pixel high; `shape` overrules. uint8 is used as it is;
    other numbers within 0–1 are multiplied by 255, within 0–255 rounded, and any other range is stretched to 0–255
    by the training images' minimum and maximum.

    Args:
        recipe: a row of `muslin.learn.recipes.RECIPES` that trains by gradient descent.
        epochs: passes over the images; None for the recipe's.
        settings: settings of the recipe to change, by name.
        shape: (height, width) or (height, width, channels) of a row of pixels.
        random_state: None (as 0), a whole number, or a numpy RandomState. The same number gives the same weights.

    Attributes:
        classes_: the distinct labels, sorted.
        model_: the trained Bundle; `save` writes it to a file.
        history_: one row per epoch.
        n_features_in_: length of the second axis of the images: values in a row of pixels, or else the height.

    Raises:
        MissingPartError: what training needs is not installed.
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
        require_extra("train")
        self.recipe = recipe
        self.epochs = epochs
        self.settings = settings
        self.shape = shape
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "ImageClassifier":  # noqa: N803  # scikit-learn's name
        """Train on images `X` and labels `y`, (count,) numbers or text.

        Raises:
            MuslinError: a recipe or setting is unknown or cannot train on arrays.
            ValueError: scikit-learn's own, for arrays that do not fit together; or a single class.
        """
        from muslin.learn.export import export
        from muslin.learn.torch_setup import choose_compute_settings
        from muslin.learn.train import golden_images, initial_network, training_arrays
        from muslin.learn.training_loop import fit

        X, y = validate_data(self, X, y, allow_nd=True, dtype=None)  # noqa: N806
        check_classification_targets(y)
        y = column_or_1d(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            name = self.classes_[0]
            raise ValueError(f"ImageClassifier needs at least two classes; the data have one class, {name}.")
        self._range = _pixel_range(_as_numbers(X))
        pixels = self._pixels(X)
        recipe = self._fitted_recipe(len(pixels), is_strip=_image_shape(X.shape[1:], self.shape)[0] == 1)
        target = Target("label", tuple(str(c) for c in self.classes_))
        dataset = Dataset(
            name="arrays",
            format="arrays",
            images=PixelImages(pixels),
            targets=(target,),
            labels={"label": labels.astype(np.int64)},
            ids=np.array([str(i) for i in range(len(pixels))], dtype=object),
        )
        everything, nothing = np.arange(len(pixels)), np.arange(0)
        split = Split(everything, nothing, nothing, ("all images are for training",))
        seed = _seed(self.random_state)
        net = initial_network(dataset, split, recipe, seed=seed)
        arrays = training_arrays(dataset, everything), training_arrays(dataset, nothing)
        compute = choose_compute_settings()
        if min(_image_shape(X.shape[1:], self.shape)[:2]) < MIN_SIDE_PX:
            # patches of enlarged images hardly vary: in bfloat16 the accuracy on three blobs was 33 %, not 93
            compute = replace(compute, precision="float32")
        self.history_ = fit(net, *arrays, recipe, seed=seed, compute=compute)
        provenance = {"recipe": recipe.to_dict(), "seed": seed}
        bundle = export(net, (target,), transform="fit", golden=golden_images(dataset, split), provenance=provenance)
        digests = digest_images(pixels)
        self.model_: Bundle = replace(bundle, seen_images=SeenImages.of(digests, digests[:0], bundle.weights))
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
        """The most probable class of each image, (count,), of the type of `y`."""
        indices = self.predict_proba(X).argmax(axis=1)  # first: refuses an estimator that is not fitted
        predicted: NDArray[Any] = self.classes_[indices]
        return predicted

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy on images `X`, of all of them as scikit-learn wants it; warns of images that `fit` has seen.

        Warns:
            SeenImagesWarning: `fit` has seen some of the images.
        """
        accuracy = float(super().score(X, y, sample_weight))
        seen_images = self.model_.seen_images
        assert seen_images is not None
        pixels = self._pixels(validate_data(self, X, reset=False, allow_nd=True, dtype=None))
        if n_seen := int(seen_images.roles(digest_images(pixels)).astype(bool).sum()):
            message = Message("scored_on_seen_images", n=len(pixels), seen=n_seen)
            warnings.warn(message, SeenImagesWarning, stacklevel=2)
        return accuracy

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a new .muslin file, for `muslin predict` and `muslin.open`.

        Args:
            overwrite: replace a file at `path`.

        Raises:
            StorageError: the file exists and `overwrite` is false, or the place cannot be written.
        """
        check_is_fitted(self)
        Output(Path(path), overwrite).check()
        seal(self.model_, path)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_predictor", None)  # an ONNX Runtime session, made again from `model_`
        return state

    def _fitted_recipe(self, count: int, is_strip: bool) -> SGDRecipe:
        """The recipe for `count` images, with batches of at most an eighth of them."""
        changes: dict[str, Any] = {"validation_fraction": 0.0}
        if is_strip:
            changes |= {"flip": False, "tta_flip": False}  # the two ends of a strip differ
        if unused := sorted(UNUSED_SETTINGS & dict(self.settings or {}).keys()):
            raise RecipeError("settings_without_effect", "arrays", name="ImageClassifier", settings=unused)
        if self.epochs is not None and "epochs" in (self.settings or {}):
            raise RecipeError("options_exclusive", options=["epochs", "settings['epochs']"])
        changes |= dict(self.settings or {}) | ({"epochs": self.epochs} if self.epochs is not None else {})
        recipe = recipe_named(self.recipe, **changes)
        if not isinstance(recipe, SGDRecipe):
            raise RecipeError("recipe_needs_photos", recipe=recipe.name)
        if "batch_size" not in changes:
            batch_size = max(min(with_min_steps(recipe, count).batch_size, count // 8), min(count, 2))
            recipe = replace(recipe, batch_size=batch_size, min_steps_per_epoch=0)
        return with_min_steps(recipe, count)

    def _pixels(self, X: NDArray[Any]) -> NDArray[np.uint8]:  # noqa: N803
        images = _as_numbers(X).reshape(len(X), *_image_shape(X.shape[1:], self.shape))
        if images.dtype != np.uint8:
            low, high = self._range
            scaled = (images.astype(np.float64) - low) * (255 / (high - low))
            images = np.rint(scaled).clip(0, 255).astype(np.uint8)
        factor = -(-MIN_SIDE_PX // min(images.shape[1:3]))
        return images.repeat(factor, axis=1).repeat(factor, axis=2) if factor > 1 else images


def _as_numbers(X: Any) -> NDArray[Any]:  # noqa: N803
    """`X` as it is, or as float64 where it holds objects."""
    array = np.asarray(X)
    return array if array.dtype.kind in "uif" else array.astype(np.float64)


def _pixel_range(numbers: NDArray[Any]) -> tuple[float, float]:
    """The two values that become 0 and 255."""
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    return low, high if high > low else low + 1


def _image_shape(array_shape: tuple[int, ...], shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """(height, width, channels) of an image in an array of `array_shape`, one of those that the class lists."""
    if shape is not None or len(array_shape) == 2:
        height, width, channels = (*(shape or array_shape), 1)[:3]
    elif len(array_shape) == 3:
        height, width, channels = array_shape
    else:
        features = int(np.prod(array_shape))
        gray, colour = round(features**0.5), round((features / 3) ** 0.5)
        if gray**2 == features:
            return gray, gray, 1
        if 3 * colour**2 == features:
            return colour, colour, 3
        return 1, features, 1
    if height * width * channels != np.prod(array_shape) or channels not in (1, 3):
        expected = [height, width, channels]
        raise DataError("array_shape", found=[int(side) for side in array_shape], expected=expected)
    return height, width, channels


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    return int(random_state or 0)
