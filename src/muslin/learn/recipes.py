"""Recipes: every setting that training reads, in one table.

A recipe is a row of `RECIPES`; to add one, add a row. Its class is the schema of a method: the dataclass's fields are
the settings that the method reads, and their metadata (help, unit, range, choices) feed the command line's `--set`,
the reference in the documentation and the check of the input.
"""

import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

from muslin.data.dataset import Target
from muslin.errors import RecipeError, unknown
from muslin.learn.networks import NETWORKS, Network, build_network, is_backbone
from muslin.messages import Message

MAX_SEED = 2**32 - 1
"""scikit-learn accepts no larger ones."""

IMAGENET, RANDOM = "imagenet", "random"
"""Values of the setting `weights` besides a file's path."""

BACKBONES = tuple(name for name in NETWORKS if is_backbone(name))


def _setting(
    help: str,
    *,
    unit: str = "",
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    needs: tuple[str, tuple[str, ...]] | None = None,
    default: Any = ...,
) -> Any:
    """A dataclass field. `needs` names another setting and the values with which this one is read; no values: any
    but zero."""
    metadata = {"help": help, "unit": unit, "low": low, "high": high, "choices": choices, "needs": needs}
    return field(metadata=metadata) if default is ... else field(metadata=metadata, default=default)


@dataclass(frozen=True)
class Benchmark:
    """Test accuracy measured on Fashion-MNIST: the median over `n_seeds` runs, and where it is written down."""

    accuracy: float
    n_seeds: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every method reads. `settings(type(recipe))` lists the settings with unit, range and help."""

    method: ClassVar[str]

    name: str
    summary: str = ""
    benchmark: Benchmark | None = None
    network: str
    epochs: int = _setting("passes over the training set", low=1, high=10_000)
    label_smoothing: float = _setting(
        "share of the true class's probability spread over all classes", low=0, high=0.9, default=0.0
    )
    class_weights: Literal["none", "root", "balanced"] = _setting(
        "weight of rare classes in the loss: none, by the root of their rarity, or so that all classes weigh the same",
        choices=("none", "root", "balanced"),
        default="none",
    )
    tta_flip: bool = _setting(
        "test-time augmentation: predict the mean over the image and its mirror image", default=False
    )
    validation_fraction: float = _setting(
        "share of the training images used as validation set", low=0.0, high=0.9, default=0.1
    )
    stratified: bool = _setting("keep each class's share when splitting", default=True)
    split_seed: int | None = _setting(
        "seed of the split; none: the run's seed", low=0, high=MAX_SEED, default=None
    )
    image_size: int = _setting(
        "side to which photos are resized; pixel sets keep theirs", unit="px", low=8, high=1024, default=64
    )

    def to_dict(self) -> dict[str, Any]:
        """`name`, `method` and every setting that is read, for JSON."""
        read = {name: getattr(self, name) for name in settings(type(self)) if _unmet(self, name) is None}
        return {"name": self.name, "method": self.method} | read


@dataclass(frozen=True, kw_only=True)
class SGDRecipe(Recipe):
    """Train all weights by stochastic gradient descent, from random ones."""

    method = "sgd"

    network: str = _setting("network to train", choices=tuple(NETWORKS))
    widths: tuple[int, ...] = _setting(
        "channels of each block of the network",
        low=1,
        high=4096,
        needs=("network", tuple(name for name in NETWORKS if not is_backbone(name))),
        default=(),
    )
    batch_size: int = _setting("images per step", low=1, high=65_536)
    micro_batch_size: int = _setting(
        "micro-batch size: each batch is split into pieces of this size, which run on separate threads and are "
        "batch-normalised separately (ghost batch norm); 0: do not split",
        low=0,
        default=0,
    )
    min_steps: int = _setting("more epochs on small data, until this many steps", low=0, default=0)
    max_steps: int = _setting(
        "end after this many steps, with the schedule fitted to them; 0: no limit", low=0, default=0
    )
    optimizer: Literal["adam", "adamw", "muon"] = _setting(
        "adam; adamw, with a learning rate of its own for the heads; or muon for kernels, with Nesterov SGD for others",
        choices=("adam", "adamw", "muon"),
    )
    learning_rate: float = _setting("learning rate of adam, adamw or muon", low=1e-8, high=100)
    head_learning_rate: float = _setting(
        "learning rate of dense layers: of SGD with muon, or of adamw for the heads",
        low=0,
        needs=("optimizer", ("adamw", "muon")),
        default=0.0,
    )
    bias_learning_rate: float = _setting(
        "learning rate of SGD for the biases of batch norms",
        low=0,
        needs=("optimizer", ("muon",)),
        default=0.0,
    )
    weight_decay: float = _setting(
        "weight decay of adamw, or of SGD with muon",
        low=0,
        high=1,
        needs=("optimizer", ("adamw", "muon")),
        default=0.0,
    )
    schedule: Literal["constant", "linear"] = _setting(
        "learning rate schedule: constant, or linear to zero",
        choices=("constant", "linear"),
        default="constant",
    )
    warmup: float = _setting(
        "share of the steps in which the learning rate rises from zero",
        low=0,
        high=1,
        needs=("schedule", ("linear",)),
        default=0.0,
    )
    dropout: float = _setting("share of values that dropout sets to zero", low=0, high=0.9, default=0.0)
    flip: bool = _setting("flip every image horizontally in every other epoch", default=False)
    translate_px: int = _setting(
        "translate each image at random by up to this", unit="px", low=0, high=64, default=0
    )
    min_crop_area: float = _setting(
        "crop each image at random to at least this share of its area, and resize it back; 1: do not crop",
        low=0.05,
        high=1,
        default=1.0,
    )
    low_res_scale: float = _setting(
        "image side in the first epochs, as a share of the full side",
        low=0.1,
        high=1,
        needs=("low_res_fraction", ()),
        default=1.0,
    )
    low_res_fraction: float = _setting(
        "share of the epochs that train at low_res_scale", low=0, high=1, default=0.0
    )
    cutout_px: int = _setting("blank a random square of this side", unit="px", low=0, high=256, default=0)
    activation: Literal["softmax", "sigmoid"] = _setting(
        "how scores become probabilities", choices=("softmax", "sigmoid"), default="softmax"
    )


@dataclass(frozen=True, kw_only=True)
class FineTuneRecipe(SGDRecipe):
    """Train the upper blocks and the heads of a pretrained backbone; the first `frozen_blocks` stay frozen."""

    method = "fine_tune"

    network: str = _setting("backbone to fine-tune", choices=BACKBONES)
    weights: str = _setting("initial weights: imagenet, random, or a safetensors file", default=IMAGENET)
    frozen_blocks: int = _setting(
        "blocks that stay frozen, counted from the input", low=0, high=100, default=0
    )


@dataclass(frozen=True, kw_only=True)
class LinearProbeRecipe(Recipe):
    """Fit a linear head on the features of a frozen backbone, by L-BFGS over all images."""

    method = "linear_probe"

    network: str = _setting("frozen backbone", choices=BACKBONES)
    weights: str = _setting(
        "weights of the backbone: imagenet, random, or a safetensors file", default=IMAGENET
    )
    weight_decay: float = _setting("L2 penalty on the head's weights", low=0, high=1, default=0.0)


METHODS: dict[str, type[Recipe]] = {
    method.method: method for method in (SGDRecipe, LinearProbeRecipe, FineTuneRecipe)
}
PretrainedRecipe = FineTuneRecipe | LinearProbeRecipe
"""Recipes that start from the weights of a backbone."""


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
"""Shared by the recipes from scratch: the ingredients of the CIFAR-10 speed records (Keller Jordan, 2024)."""

FEW_STEPS: dict[str, Any] = {"learning_rate": 0.15, "bias_learning_rate": 1.0, "label_smoothing": 0.05}
"""Faster where there are only some hundred steps, and no loss after a few more."""

PROGRESSIVE: dict[str, Any] = AIRBENCH | {
    "network": "whitened-2",
    "widths": (32, 64, 128),
    "batch_size": 256,
    "micro_batch_size": 128,
    # not missed after several epochs, and confidence ranks predictions better without it
    "label_smoothing": 0.0,
    "low_res_scale": 0.72,
    "validation_fraction": 1 / 6,
}
"""Shared by the slower recipes of the ladder: progressive resizing."""

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        SGDRecipe(
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
        SGDRecipe(
            name="quick",
            summary="seconds instead of a quarter of an hour, and more accurate than the tutorial",
            benchmark=Benchmark(0.909, 5, "benchmarks/results/recipes_quick_20261126T233122Z.json"),
            network="whitened-4",
            widths=(32, 64),
            epochs=2,
            batch_size=256,
            micro_batch_size=128,
            min_steps=200,
            **AIRBENCH | FEW_STEPS,
            validation_fraction=1 / 6,  # 10,000 of Fashion-MNIST: guarantees of predictions rest on them
        ),
        SGDRecipe(
            name="brisk",
            summary="a minute or two: a quarter fewer errors than quick",
            benchmark=Benchmark(0.9304, 5, "benchmarks/results/recipes_brisk_20261126T235139Z.json"),
            epochs=3,
            min_steps=500,
            low_res_fraction=0.34,  # the first of three
            **PROGRESSIVE,
        ),
        SGDRecipe(
            name="thorough",
            summary="minutes: a third fewer errors than quick (measured with two seeds only)",
            benchmark=Benchmark(0.9411, 2, "docs/explanation/speed.md"),  # 94.09 and 94.12 %
            epochs=12,
            min_steps=2000,
            low_res_fraction=0.5,
            **PROGRESSIVE,
        ),
        SGDRecipe(
            name="small-photo",
            summary="colour photos from scratch, at 64 px: minutes, without pretrained weights",
            network="whitened-2",
            widths=(32, 64, 128),
            epochs=16,
            batch_size=64,
            min_steps=400,
            **AIRBENCH,
            image_size=64,
        ),
        LinearProbeRecipe(
            name="photo",
            summary="colour photos in a minute or two: a linear head on a backbone pretrained on ImageNet",
            network="efficientnet-lite2",
            epochs=60,
            weight_decay=0.1,
            label_smoothing=0.1,
            image_size=260,
        ),
        FineTuneRecipe(
            name="photo-tuned",
            summary="more accurate than photo, in minutes: the upper blocks of that backbone are trained as well",
            network="efficientnet-lite2",
            frozen_blocks=10,
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
            # trained on smaller images than it predicts, because garments in random crops are larger (Touvron et al.,
            # Fixing the train-test resolution discrepancy, NeurIPS 2019). With fifteen frozen blocks, validation
            # accuracy was 89.7 % when trained at 260 px, and 91.8 % this way; TTA changed nothing
            low_res_scale=0.857,  # 192 of 224 px
            low_res_fraction=1.0,
            image_size=224,
        ),
    )
}

LADDER = tuple(name for name, recipe in RECIPES.items() if recipe.benchmark)
"""The recipes between which a time budget chooses, quickest first."""


def settings(*methods: type[Recipe]) -> dict[str, Field[Any]]:
    """Per setting its dataclass field, of the given methods or of all; `metadata` has help, unit, range and choices."""
    return {f.name: f for method in methods or METHODS.values() for f in fields(method) if f.metadata}


def recipe(name: str, /, **changes: Any) -> Recipe:
    """The recipe `name` with changed settings. Values can be text, as from a command line.

    Raises:
        RecipeError: unknown recipe or setting; a setting that the recipe does not read; a value of the wrong type or
            out of range. All faults are reported together.
    """
    if name not in RECIPES:
        raise RecipeError("recipe_unknown", **unknown(name, RECIPES))
    row = RECIPES[name]
    known = settings(type(row))
    faults: list[Message] = []
    values = {}
    for key, value in changes.items():
        if key in known:
            try:
                values[key] = _parse(known[key], value)
            except RecipeError as error:
                faults.append(Message(error.code, **error.params))
        elif key in settings():
            faults.append(Message("setting_not_read", name=key, recipe=name, method=row.method))
        else:
            faults.append(Message("setting_unknown", **unknown(key, known)))
    changed = replace(row, **values)
    for key in values:
        if (needed := _unmet(changed, key)) is not None:
            faults.append(
                Message("setting_not_read_with", name=key, needed=needed, value=getattr(changed, needed))
            )
    if len(faults) == 1:
        raise RecipeError(faults[0].code, **faults[0].params)
    if faults:
        raise RecipeError("settings_faulty", faults=faults)
    if isinstance(changed, SGDRecipe) and "epochs" in values and "min_steps" not in values:
        return replace(changed, min_steps=0)  # whoever names a number of epochs means it
    return changed


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_dict` recorded.

    Raises:
        KeyError, TypeError, ValueError: it is not such a record.
    """
    changes = {key: value for key, value in dict(values).items() if key != "method"}
    if "widths" in changes:
        changes["widths"] = tuple(changes["widths"])
    return METHODS[values["method"]](**changes)


def recipe_network(recipe: Recipe, input_shape: tuple[int, int, int], targets: tuple[Target, ...]) -> Network:
    """The network that `recipe` names, for images of `input_shape` (height, width, channels).

    Raises:
        RecipeError: the images are too small for it, or a target's name is taken.
    """
    own: dict[str, Any] = {"widths": ()}
    if isinstance(recipe, SGDRecipe):
        own = {"widths": recipe.widths, "dropout": recipe.dropout, "activation": recipe.activation}
    return build_network(recipe.network, input_shape, targets, tta_flip=recipe.tta_flip, **own)


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def with_min_steps(recipe: AnyRecipe, count: int) -> AnyRecipe:
    """`recipe` for `count` training images, with as many epochs as `min_steps` asks for."""
    if not isinstance(recipe, SGDRecipe):
        return recipe
    steps_per_epoch = max(count // recipe.batch_size, 1)
    return replace(recipe, epochs=max(recipe.epochs, math.ceil(recipe.min_steps / steps_per_epoch)))


def train_image_size(recipe: SGDRecipe, epoch: int, size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) to which images of `size` are resized in `epoch`, from 0 on."""
    height, width = (max(round(side * image_scale(recipe, epoch)), 1) for side in size)
    return height, width


def eval_image_size(recipe: SGDRecipe, epoch: int, size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) for validation after `epoch`: that of training until images grow to full size, because the
    network knows no other; the full size where they never do."""
    return size if image_scale(recipe, recipe.epochs - 1) != 1 else train_image_size(recipe, epoch, size)


def image_scale(recipe: SGDRecipe, epoch: int) -> float:
    """The side of images in `epoch`, from 0 on, as a share of the full side.

    Progressive resizing: small images cost less and teach coarse features (Howard, DAWNBench 2018; Tan & Le,
    EfficientNetV2, ICML 2021).
    """
    return recipe.low_res_scale if epoch < round(recipe.low_res_fraction * recipe.epochs) else 1.0


def _unmet(recipe: Recipe, name: str) -> str | None:
    """The setting whose value keeps `recipe` from reading the setting `name`; None if it is read."""
    needs = settings(type(recipe))[name].metadata["needs"]
    if needs is None:
        return None
    needed, values = needs
    value = getattr(recipe, needed)
    return None if (value in values if values else value) else str(needed)


def _parse(setting: Field[Any], value: Any) -> Any:
    kind, name, choices = setting.type, setting.name, setting.metadata["choices"]
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise RecipeError("setting_not_boolean", name=name, value=str(value))
        return words[str(value).lower()]
    if choices:
        if value not in choices:
            raise RecipeError("setting_choice", setting=name, **unknown(value, choices))
        return value
    if kind is str:
        if not str(value):
            raise RecipeError("setting_empty", name=name)
        return str(value)
    if kind == tuple[int, ...]:
        items = value.replace("-", ",").split(",") if isinstance(value, str) else value
        return tuple(_parse_number(setting, int, item) for item in items)
    if value in (None, "none") and kind == int | None:
        return None
    return _parse_number(setting, float if kind is float else int, value)


def _parse_number(setting: Field[Any], kind: type, value: Any) -> Any:
    meta, name = setting.metadata, setting.name
    try:
        number = kind(value)
        valid = kind is float or number == float(value)
    except (TypeError, ValueError):
        valid = False
    if not valid:
        code = "setting_not_number" if kind is float else "setting_not_integer"
        raise RecipeError(code, name=name, value=str(value))
    if not meta["low"] <= number <= meta["high"]:
        limits = {"low": meta["low"], "high": meta["high"], "unit": meta["unit"]}
        raise RecipeError("setting_out_of_range", name=name, value=str(value), **limits)
    return number
