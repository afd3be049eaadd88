"""Recipes: every setting that training reads, in one table, `recipes.toml`.

A recipe is a row of that table; to add one, add a row. Its class is the schema of a method: the dataclass's fields are
the settings that the method reads. Their types and the table's help, units and ranges feed the command line's `--set`,
the reference in the documentation and the check of the input.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from importlib.resources import files
from typing import Any, ClassVar, Literal, get_args

from muslin.data.dataset import Target
from muslin.errors import RecipeError, unknown
from muslin.learn.networks import NETWORKS, Network, build_network, is_backbone
from muslin.messages import Message

IMAGENET, RANDOM = "imagenet", "random"
"""Values of the setting `weights` besides a file's path."""

_TABLE = tomllib.loads((files(__package__) / "recipes.toml").read_text(encoding="utf-8"))

MAX_SEED: int = _TABLE["settings"]["split_seed"]["high"]


@dataclass(frozen=True)
class Setting:
    """A setting of a method: its type, help, unit, range and choices.

    `needs` is another setting and the values with which this one is read; no values: any but zero.
    """

    name: str
    type: Any
    help: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    needs: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Benchmark:
    """What a recipe reached on a public data set: medians over `n_seeds` trainings, and the result that has them all.

    Attributes:
        data: the data set's name.
        accuracy: share of `n_images` that were not trained on.
        train_s: seconds of training on `machine`.
        source: the result, a file of benchmarks/results.
    """

    data: str
    accuracy: float
    n_images: int
    n_seeds: int
    train_s: float
    machine: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every method reads. `settings(type(recipe))` lists the settings with unit, range and help."""

    method: ClassVar[str]

    name: str
    summary: str = ""
    benchmark: Benchmark | None = None
    network: str
    epochs: int
    label_smoothing: float = 0.0
    class_weights: Literal["none", "root", "balanced"] = "none"
    tta_flip: bool = False
    validation_fraction: float = 0.1
    stratified: bool = True
    split_seed: int | None = None
    image_size: int = 64

    def to_dict(self) -> dict[str, Any]:
        """`name`, `method` and every setting that is read, for JSON."""
        known = settings(type(self))
        read = {name: getattr(self, name) for name, setting in known.items() if _unmet(self, setting) is None}
        return {"name": self.name, "method": self.method} | read


@dataclass(frozen=True, kw_only=True)
class SGDRecipe(Recipe):
    """Train all weights by stochastic gradient descent, from random ones."""

    method = "sgd"

    widths: tuple[int, ...] = ()
    batch_size: int
    micro_batch_size: int = 0
    min_steps: int = 0
    min_steps_per_epoch: int = 0
    max_steps: int = 0
    optimizer: Literal["adam", "adamw", "muon"]
    learning_rate: float
    head_learning_rate: float = 0.0
    bias_learning_rate: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "linear"] = "constant"
    warmup: float = 0.0
    dropout: float = 0.0
    flip: bool = False
    translate_px: int = 0
    min_crop_area: float = 1.0
    low_res_scale: float = 1.0
    low_res_fraction: float = 0.0
    cutout: float = 0.0
    folds: int = 0
    activation: Literal["softmax", "sigmoid"] = "softmax"


@dataclass(frozen=True, kw_only=True)
class FineTuneRecipe(SGDRecipe):
    """Train the upper blocks and the heads of a pretrained backbone; the first `frozen_blocks` stay frozen."""

    method = "fine_tune"

    weights: str = IMAGENET
    frozen_blocks: int = 0


@dataclass(frozen=True, kw_only=True)
class LinearProbeRecipe(Recipe):
    """Fit a linear head on the features of a frozen backbone, by L-BFGS over all images."""

    method = "linear_probe"

    weights: str = IMAGENET
    weight_decay: float = 0.0
    folds: int = 5
    int8: Literal["off", "auto", "on"] = "off"


METHODS: dict[str, type[Recipe]] = {method.method: method for method in (SGDRecipe, LinearProbeRecipe, FineTuneRecipe)}
PretrainedRecipe = FineTuneRecipe | LinearProbeRecipe
"""Recipes that start from the weights of a backbone."""


def settings(*methods: type[Recipe]) -> dict[str, Setting]:
    """The settings of the given methods, or of all, by name."""
    return {
        name: _setting(method, name, kind)
        for method in methods or METHODS.values()
        for name, kind in ((f.name, f.type) for f in fields(method))
        if name in _TABLE["settings"]
    }


def _setting(method: type[Recipe], name: str, kind: Any) -> Setting:
    row = dict(_TABLE["settings"][name])
    row["choices"] = get_args(kind) if kind not in (int | None, tuple[int, ...]) else ()
    if name == "network":
        row["choices"] = tuple(n for n in NETWORKS if method is SGDRecipe or is_backbone(n))
    if name == "widths":
        row["needs"] = {"network": [n for n in NETWORKS if not is_backbone(n)]}
    if name == "folds" and method is not LinearProbeRecipe:
        del row["needs"]  # flipped images have no features, but networks predict them
    needs = [(other, tuple(values)) for other, values in row.pop("needs", {}).items()]
    has_needed = bool(needs) and needs[0][0] in {f.name for f in fields(method)}
    return Setting(name, kind, **row, needs=needs[0] if has_needed else None)


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
        if (needed := _unmet(changed, known[key])) is not None:
            faults.append(Message("setting_not_read_with", name=key, needed=needed, value=getattr(changed, needed)))
    if len(faults) == 1:
        raise RecipeError(faults[0].code, **faults[0].params)
    if faults:
        raise RecipeError("settings_faulty", faults=faults)
    # whoever names a number of epochs or the size of a batch means it
    if isinstance(changed, SGDRecipe) and "epochs" in values and "min_steps" not in values:
        changed = replace(changed, min_steps=0)
    if isinstance(changed, SGDRecipe) and "batch_size" in values and "min_steps_per_epoch" not in values:
        changed = replace(changed, min_steps_per_epoch=0)
    return changed


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_dict` recorded.

    Raises:
        RecipeError: it is not such a record: an unknown or missing key, a value of another type or out of range.
    """
    record = dict(values)
    method, name = (record.pop(key, None) for key in ("method", "name"))
    if method not in METHODS or not isinstance(name, str):
        raise RecipeError("recipe_record_invalid", name=str(name), key="method")
    known = settings(METHODS[method])
    needed = {f.name for f in fields(METHODS[method]) if f.default is MISSING} - {"name"}
    if wrong := sorted((set(record) - set(known)) | (needed - set(record))):
        raise RecipeError("recipe_record_invalid", name=name, key=wrong[0])
    for key, value in record.items():
        if type(value) not in _recorded_types(known[key]):
            raise RecipeError("recipe_record_invalid", name=name, key=key)
        _parse(known[key], value)
    if "widths" in record:
        if not all(type(width) is int for width in record["widths"]):
            raise RecipeError("recipe_record_invalid", name=name, key="widths")
        record["widths"] = tuple(record["widths"])
    return METHODS[method](name=name, **record)


def _recorded_types(setting: Setting) -> tuple[type, ...]:
    """The types that JSON has for a setting's values."""
    kinds = {
        float: (float, int),
        int: (int,),
        bool: (bool,),
        int | None: (int, type(None)),
        tuple[int, ...]: (list, tuple),
    }
    return (str,) if setting.choices else kinds.get(setting.type, (str,))


def _recipe_row(name: str, row: dict[str, Any]) -> Recipe:
    values: dict[str, Any] = {"name": name}
    for shared in row.pop("shared", ()):
        values |= _TABLE["shared"][shared]
    values |= row
    if "benchmark" in row:
        values["benchmark"] = Benchmark(**row["benchmark"])
    if "widths" in values:
        values["widths"] = tuple(values["widths"])
    return METHODS[values.pop("method")](**values)


RECIPES: dict[str, Recipe] = {name: _recipe_row(name, row) for name, row in _TABLE["recipes"].items()}

LADDER: tuple[str, ...] = tuple(_TABLE["ladder"])
"""The recipes between which a time budget chooses, quickest first."""


def recipe_network(recipe: Recipe, input_shape: tuple[int, int, int], targets: tuple[Target, ...]) -> Network:
    """The network that `recipe` names, for images of `input_shape` (height, width, channels).

    Raises:
        RecipeError: the images are too small for it, or a target's name is taken.
    """
    own: dict[str, Any] = {"widths": ()}
    if isinstance(recipe, SGDRecipe):
        own = {"widths": recipe.widths, "dropout": recipe.dropout, "activation": recipe.activation}
    return build_network(recipe.network, input_shape, targets, tta_flip=recipe.tta_flip, **own)


def cross_fitting_folds(recipe: Recipe) -> int:
    """The number of folds whose out-of-fold predictions calibrate the model; 0 where the validation set does."""
    assert isinstance(recipe, SGDRecipe | LinearProbeRecipe)
    return recipe.folds if _unmet(recipe, settings(type(recipe))["folds"]) is None else 0


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


def _unmet(recipe: Recipe, setting: Setting) -> str | None:
    """The setting whose value keeps `recipe` from reading `setting`; None if it is read."""
    if setting.needs is None:
        return None
    needed, values = setting.needs
    value = getattr(recipe, needed)
    return None if (value in values if values else value) else str(needed)


def _parse(setting: Setting, value: Any) -> Any:
    kind, name = setting.type, setting.name
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise RecipeError("setting_not_boolean", name=name, value=str(value))
        return words[str(value).lower()]
    if setting.choices:
        if value not in setting.choices:
            raise RecipeError("setting_choice", setting=name, **unknown(value, setting.choices))
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


def _parse_number(setting: Setting, kind: type, value: Any) -> Any:
    try:
        number = kind(value)
        valid = kind is float or number == float(value)
    except (TypeError, ValueError):
        valid = False
    fault: dict[str, Any] = {"name": setting.name, "value": str(value)}
    if not valid:
        raise RecipeError("setting_not_number" if kind is float else "setting_not_integer", **fault)
    if setting.name == "folds" and number == 1:
        raise RecipeError("one_fold")
    if not setting.low <= number <= setting.high:
        fault |= {"low": setting.low, "high": setting.high, "unit": setting.unit}
        raise RecipeError("setting_out_of_range", **fault)
    return number
