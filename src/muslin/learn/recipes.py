"""Recipes: every number that training needs, in one table.

A recipe is a row of `RECIPES`; to add one, add a row. The fields' metadata (unit, help, range) feed the command
line's `--set`, the reference in the documentation and the check of the input, so they cannot disagree.
"""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from muslin.errors import RecipeError, nearest

MAX_SEED = 2**32 - 1
"""scikit-learn draws with no larger ones."""


def _setting(
    help: str,
    *,
    unit: str = "",
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    default: Any = ...,
) -> Any:
    metadata = {"help": help, "unit": unit, "low": low, "high": high, "choices": choices}
    return field(metadata=metadata) if default is ... else field(metadata=metadata, default=default)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every number that training needs. `settings()` lists them with unit, range and help."""

    name: str
    summary: str
    network: str = _setting(
        "which table of layers",
        choices=(
            "tutorial",
            "whitened-2",
            "whitened-4",
            "efficientnet-lite0",
            "efficientnet-lite1",
            "efficientnet-lite2",
        ),
    )
    weights: str = _setting(
        "what an EfficientNet starts from: imagenet, random, or a safetensors file", default="random"
    )
    frozen: bool = _setting("leave the trunk as it is and fit a linear head on its features", default=False)
    frozen_blocks: int = _setting(
        "blocks of an EfficientNet, from the first on, that stay as they are while the rest is trained",
        low=0,
        high=100,
        default=0,
    )
    widths: tuple[int, ...] = _setting(
        "channels of each block of the network; an EfficientNet has its own", low=1, high=4096
    )
    epochs: int = _setting("how often every training image is seen", low=1, high=10_000)
    batch_size: int = _setting("images per step", low=1, high=65_536)
    micro_batch_size: int = _setting(
        "a step's images go through the network in parts of at most so many, each on a thread of its own and "
        "measured by batch norm by itself; 0: all together",
        low=0,
        default=0,
    )
    min_steps: int = _setting(
        "small data are gone through more often than epochs says, until this many steps", low=0, default=0
    )
    max_steps: int = _setting(
        "end after this many steps, the schedule fitted to them; 0: never", low=0, default=0
    )
    optimizer: Literal["adam", "adamw", "muon"] = _setting(
        "adam for all weights; adamw, with a step size of its own for the heads; or muon for kernels with Nesterov SGD "
        "for the rest",
        choices=("adam", "adamw", "muon"),
    )
    learning_rate: float = _setting("step size of adam, of adamw, or of muon", low=1e-8, high=100)
    head_learning_rate: float = _setting(
        "step size for dense layers: of SGD beside muon, or of adamw for the heads", low=0, default=0.0
    )
    bias_learning_rate: float = _setting(
        "step size of SGD for batch norm's shifts (muon)", low=0, default=0.0
    )
    weight_decay: float = _setting(
        "the pull of weights towards zero (SGD beside muon, adamw, or a head on frozen features)",
        low=0,
        high=1,
        default=0.0,
    )
    schedule: Literal["constant", "linear"] = _setting(
        "the learning rate stays, or falls in a line to zero",
        choices=("constant", "linear"),
        default="constant",
    )
    warmup: float = _setting(
        "share of the steps in which the rate climbs from zero", low=0, high=1, default=0.0
    )
    label_smoothing: float = _setting(
        "share of the truth spread over all classes", low=0, high=0.9, default=0.0
    )
    class_weights: Literal["none", "root", "balanced"] = _setting(
        "rare classes count for more: by the root of how rare they are, or so that all classes count the same",
        choices=("none", "root", "balanced"),
        default="none",
    )
    dropout: float = _setting("share of values set to zero in training", low=0, high=0.9, default=0.0)
    flip: bool = _setting("mirror every image in every other epoch", default=False)
    translate_px: int = _setting(
        "move each image at random by up to this", unit="px", low=0, high=64, default=0
    )
    min_crop_area: float = _setting(
        "cut each image at random to a part of at least this share of it, and scale that up; 1: never",
        low=0.05,
        high=1,
        default=1.0,
    )
    low_res_scale: float = _setting(
        "side at which images are seen in the first epochs, as a share of theirs",
        low=0.1,
        high=1,
        default=1.0,
    )
    low_res_fraction: float = _setting(
        "share of the epochs in which images are seen at early_scale", low=0, high=1, default=0.0
    )
    cutout_px: int = _setting("blank a random square of this side", unit="px", low=0, high=256, default=0)
    tta_flip: bool = _setting("answer with the mean over the image and its mirror image", default=False)
    activation: Literal["softmax", "sigmoid"] = _setting(
        "how scores become probabilities", choices=("softmax", "sigmoid"), default="softmax"
    )
    validation_fraction: float = _setting(
        "share of the training images kept apart to check with", low=0.0, high=0.9, default=0.1
    )
    stratified: bool = _setting("keep each class's share when setting images apart", default=True)
    split_seed: int | None = _setting(
        "seed of that draw; none: the run's seed", low=0, high=MAX_SEED, default=None
    )
    image_size: int = _setting(
        "side that photos are brought to; pixel sets keep theirs", unit="px", low=8, high=1024, default=64
    )


AIRBENCH: dict[str, Any] = {
    "optimizer": "muon",
    "learning_rate": 0.1,
    "head_learning_rate": 0.5,
    "bias_learning_rate": 0.5,
    "weight_decay": 1e-4,
    "schedule": "linear",
    "label_smoothing": 0.1,
    "flip": True,
    "tta_flip": True,
}
"""What the recipes from scratch share: the ingredients of the CIFAR-10 speed records (Keller Jordan, 2024)."""

SHORT: dict[str, Any] = {"learning_rate": 0.15, "bias_learning_rate": 1.0, "label_smoothing": 0.05}
"""What learns faster where there are only some hundred steps, and costs nothing after a few more."""

GROWING: dict[str, Any] = AIRBENCH | {
    "network": "whitened-2",
    "widths": (32, 64, 128),
    "batch_size": 256,
    "micro_batch_size": 128,
    # after several epochs it is not missed, and answers are ranked better by how sure they are
    "label_smoothing": 0.0,
    "low_res_scale": 0.72,
    "validation_fraction": 1 / 6,
}
"""What the ladder's slower recipes share: images that are small at first."""

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="tutorial",
            summary="the article's network and settings to the letter: 50 epochs",
            network="tutorial",
            widths=(64, 32, 32),
            epochs=50,
            batch_size=512,
            micro_batch_size=256,
            optimizer="adam",
            learning_rate=1e-3,
            dropout=0.25,
            activation="sigmoid",
            validation_fraction=0.2,  # train_test_split(test_size=0.2, random_state=12345)
            stratified=False,
            split_seed=12345,
        ),
        Recipe(
            name="quick",
            summary="seconds instead of a quarter of an hour, and better than the tutorial",
            network="whitened-4",
            widths=(32, 64),
            epochs=2,
            batch_size=256,
            micro_batch_size=128,
            min_steps=200,
            **AIRBENCH | SHORT,
            validation_fraction=1 / 6,  # 10,000 of Fashion-MNIST: what is promised of answers rests on them
        ),
        Recipe(
            name="brisk",
            summary="a minute or two: wrong a fifth less often than quick",
            epochs=3,
            min_steps=500,
            low_res_fraction=0.34,  # the first of three
            **GROWING,
        ),
        Recipe(
            name="thorough",
            summary="minutes: wrong a third less often than quick",
            epochs=12,
            min_steps=2000,
            low_res_fraction=0.5,
            **GROWING,
        ),
        Recipe(
            name="small-photo",
            summary="colour photos from scratch, at 64 px: minutes, no weights from elsewhere",
            network="whitened-2",
            widths=(32, 64, 128),
            epochs=16,
            batch_size=64,
            min_steps=400,
            **AIRBENCH,
            image_size=64,
        ),
        Recipe(
            name="photo",
            summary="colour photos in a minute or two: a linear head on a network that knows ImageNet",
            network="efficientnet-lite2",
            weights="imagenet",
            frozen=True,
            widths=(),
            epochs=60,
            batch_size=1,  # the head sees all images at once
            optimizer="adam",
            learning_rate=1.0,
            weight_decay=0.1,
            label_smoothing=0.1,
            image_size=260,
        ),
        Recipe(
            name="photo-tuned",
            summary="more accurate than photo, in minutes: the upper blocks of that network are trained as well",
            network="efficientnet-lite2",
            weights="imagenet",
            frozen_blocks=10,
            widths=(),
            epochs=6,
            batch_size=32,
            optimizer="adamw",
            learning_rate=3e-4,
            head_learning_rate=1e-3,
            weight_decay=0.05,
            schedule="linear",
            warmup=0.1,
            label_smoothing=0.1,
            dropout=0.2,
            flip=True,
            min_crop_area=0.4,
            # trained on smaller images than it is asked about, as garments in random crops are larger than they are
            # (Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019). With fifteen blocks kept,
            # asked at 260 px it was right on 89.7 % of the validation photos instead of 91.8; with the mirror image as
            # well, on as many as without
            low_res_scale=0.857,  # 192 of 224 px
            low_res_fraction=1.0,
            image_size=224,
        ),
    )
}

LADDER: dict[str, float] = {"quick": 0.909, "brisk": 0.93, "thorough": 0.94}
"""The recipes for every patience, the quickest first: what share of Fashion-MNIST's test images each got right, the
median over the seeds that docs/explanation/speed.md names. To add a rung, add a row here and to RECIPES."""


def settings() -> dict[str, Any]:
    """Per setting's name its dataclass field; `metadata` holds help, unit, low, high and choices."""
    return {f.name: f for f in fields(Recipe) if f.metadata}


def recipe(name: str, /, **changes: Any) -> Recipe:
    """The recipe `name`, with some of its settings changed. Values may be text, as from a command line.

    Raises:
        RecipeError: no such recipe or setting, or values of the wrong type or out of range; all faults together.
    """
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name!r}. {nearest(name, RECIPES)}")
    known = settings()
    faults, values = [], {}
    for key, value in changes.items():
        if key not in known:
            faults.append(f"no setting {key!r}. {nearest(key, known)}")
            continue
        try:
            values[key] = _parse(known[key], value)
        except ValueError as error:
            faults.append(f"{key}: {error}")
    if faults:
        raise RecipeError(" ".join(faults))
    if "epochs" in values:
        values.setdefault("min_steps", 0)  # who names a number of epochs means it
    return replace(RECIPES[name], **values)


def with_min_steps(recipe: Recipe, count: int) -> Recipe:
    """`recipe` for `count` training images: with as many epochs as `min_steps` asks for."""
    steps_per_epoch = max(count // recipe.batch_size, 1)
    return replace(recipe, epochs=max(recipe.epochs, math.ceil(recipe.min_steps / steps_per_epoch)))


def train_image_size(recipe: Recipe, epoch: int, size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) at which images of `size` are seen in `epoch`, from 0 on."""
    height, width = (max(round(side * image_scale(recipe, epoch)), 1) for side in size)
    return height, width


def eval_image_size(recipe: Recipe, epoch: int, size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) at which `epoch` is judged: that of answers, or, while images are yet to grow to it, that
    which is learned from, for until then the network knows no other."""
    return size if image_scale(recipe, recipe.epochs - 1) != 1 else train_image_size(recipe, epoch, size)


def image_scale(recipe: Recipe, epoch: int) -> float:
    """The side at which images are seen in `epoch`, from 0 on, as a share of theirs.

    What is coarse can be learned from small images, which cost less: progressive resizing (Howard, DAWNBench 2018;
    Tan & Le, EfficientNetV2, ICML 2021).
    """
    return recipe.low_res_scale if epoch < round(recipe.low_res_fraction * recipe.epochs) else 1.0


def _parse(setting: Any, value: Any) -> Any:
    kind, meta = setting.type, setting.metadata
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ValueError(f"{value!r} is neither yes nor no.")
        return words[str(value).lower()]
    if kind is str and not meta["choices"]:
        if not str(value):
            raise ValueError("is empty.")
        return str(value)
    if meta["choices"]:
        if value not in meta["choices"]:
            raise ValueError(f"{value!r} is unknown. {nearest(str(value), meta['choices'])}")
        return value
    if kind == tuple[int, ...]:
        if value in ("", "none", ()):
            return ()
        items = value.replace("-", ",").split(",") if isinstance(value, str) else value
        return tuple(_number(int, item, meta) for item in items)
    if value in (None, "none") and kind == int | None:
        return None
    return _number(float if kind is float else int, value, meta)


def _number(kind: type, value: Any, meta: Any) -> Any:
    try:
        number = kind(value)
        whole = kind is float or number == float(value)
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(f"{value!r} is not {'a number' if kind is float else 'a whole number'}.")
    if not meta["low"] <= number <= meta["high"]:
        raise ValueError(
            f"{value} is out of range: {meta['low']:g} to {meta['high']:g}{' ' + meta['unit'] if meta['unit'] else ''}."
        )
    return number
