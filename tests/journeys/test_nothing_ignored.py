"""What a user gives is used or refused: options given twice, settings that nothing reads, options of reading."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from command_line import error_object, invoke
from garment_files import write_garment_folders
from muslin.cli.options import COMMANDS
from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import Dataset, Target
from muslin.data.formats import FORMATS
from muslin.data.formats.read_options import ReadOptions
from muslin.data.rare_classes import reduce_rare_classes
from muslin.data.reader import ReadArguments
from muslin.data.synthetic import SyntheticDataset
from muslin.errors import MuslinError
from muslin.evaluation.thresholds import change_thresholds
from muslin.learn import recipes
from muslin.learn.networks import NETWORKS, is_backbone
from muslin.learn.recipes import RECIPES, LinearProbeRecipe, recipe, settings
from muslin.models.bundle import seal
from muslin.sklearn import ImageClassifier
from muslin.workflows import audit as audit_workflow
from muslin.workflows import train as train_workflow
from muslin.workflows.compare import CompareOptions, compare
from muslin.workflows.evaluate import EvaluateOptions, evaluate
from muslin.workflows.expected_time import expected_train_s
from muslin.workflows.tag import TagOptions, tag
from muslin.workflows.time_budget import check_time_budget, fit_backbone_to_budget
from muslin.workflows.unused_settings import check_settings_used
from refusals import refuses
from small_models import SIDE, small_bundle

TWICE = [
    (name, parameter.opts[-1])
    for name, command in COMMANDS.items()
    for parameter in command.params
    if isinstance(parameter, click.Option) and not (parameter.multiple or parameter.is_flag)
]
"""Every option of every command of which one value counts."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, six photos in folders of their classes, and a table that names them."""
    seal(small_bundle(), tmp_path / "model.muslin")
    rows = ["image,kind,colour"]
    for kind, brightness in (("Bag", 255), ("Trouser", 0)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(tmp_path / f"photos/{kind}/{i}.png")
            rows.append(f"{kind}/{i}.png,{kind},{'red' if i else 'blue'}")
    (tmp_path / "shop.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("command", "option"), TWICE)
def test_an_option_given_twice_is_refused(command: str, option: str, capfd: pytest.CaptureFixture[str]) -> None:
    flag = ["--json"] if any("--json" in parameter.opts for parameter in COMMANDS[command].params) else []
    parameter = next(each for each in COMMANDS[command].params if option in each.opts)
    value = parameter.type.choices[0] if isinstance(parameter.type, click.Choice) else "1"
    arguments = [str(p.name) for p in COMMANDS[command].params if isinstance(p, click.Argument) for _ in range(p.nargs)]
    result = invoke(capfd, *command.split(), *arguments, option, value, option, value, *flag)
    if flag:
        error = error_object(result)
        assert (error["code"], error["params"]) == ("option_repeated", {"option": option})
    assert result.code == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("train x --set epochs=1 --set epochs=2", "option_repeated"),
        ("train x --set batch-size=8 --set batch_size=16", "option_repeated"),
        ("train x --epochs 1 --set epochs=2", "options_exclusive"),
        ("train x --time-budget 1min --set min_steps=10", "time_budget_and_steps"),
        ("evaluate model.muslin photos --threshold 0.3 --threshold 0.4", "option_repeated"),
        ("evaluate model.muslin photos --threshold Bag=0.3 --threshold Bag=0.4", "option_repeated"),
        ("look shop.csv --images photos --seed 3 --json", "option_needs"),
        ("audit shop.csv --images photos --seed 3 --check dark", "option_needs"),
        ("look shop.csv --images photos --target kind --label-separator ; --label-separator ,", "option_repeated"),
        ("look shop.csv --images photos --target kind --label-separator ; --label-separator kind=,", "option_repeated"),
        ("look shop.csv --images photos --target kind --min-per-class 2 --min-per-class 3", "option_repeated"),
        ("look shop.csv --images photos --target kind --min-per-class kind=2 --min-per-class 3", "option_repeated"),
        ("tag model.muslin shop.csv --images photos -o out.csv --target kind", "tag_options_unused"),
        ("tag model.muslin shop.csv --images photos -o out.csv --levels 2", "tag_options_unused"),
        ("tag model.muslin shop.csv --images photos -o out.csv --min-per-class 2", "tag_options_unused"),
        ("tag model.muslin photos -o out.csv --min-per-class 2", "tag_options_unused"),
        ("tag model.muslin photos -o out.csv --min-per-class 2 --rare-classes drop", "tag_options_unused"),
        ("tag model.muslin shop.csv --images photos -o out.csv --language de", "option_needs"),
        ("look shop.csv --images photos --target kind --target kind", "option_repeated"),
        ("evaluate model.muslin shop.csv --images photos --target kind --target colour", "target_unknown"),
        ("compare model.muslin model.muslin shop.csv --images photos --target kind --target colour", "target_unknown"),
        ("evaluate model.muslin photos --slice-by season", "format_option_unused"),
        ("explain model.muslin photos/Bag/0.png --seed 0", "explain_options_unused"),
        ("explain model.muslin photos/Bag/0.png --versus Shirt", "explain_options_unused"),
    ],
)
def test_a_value_that_would_be_lost_is_refused(
    words: str, code: str, shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = words.split()
    if "--json" not in arguments:
        arguments.append("--json")
    assert error_object(invoke(capfd, *arguments))["code"] == code


def test_an_unused_option_of_another_name_is_not_blamed(shop: Path) -> None:
    with refuses("format_option_unused", options=["slice_by"]):
        evaluate("model.muslin", "photos", EvaluateOptions(slice_by="season"))


GIVEN: dict[str, Any] = {
    "shape": (8, 8), "target": "kind", "images": "photos", "image_column": "image", "group": "kind",
    "product": "kind",
    "split_column": "kind", "label_separator": ";", "crop_to_boxes": True, "levels": 1,
}  # fmt: skip
"""A value for every option of reading that a format can use."""


def test_every_option_of_reading_has_a_value_here() -> None:
    names = {field.name for field in fields(ReadOptions)} - {
        "targets",
        "image_columns",
        "all_targets",
        "model_targets",
        "allow_outside",
        "format_chosen",
        "guess_products",
    } | {"target", "image_column"}
    assert names == GIVEN.keys()
    assert names <= ReadArguments.__annotations__.keys()


@pytest.mark.parametrize(
    ("format", "option"), [(row.name, option) for row in FORMATS for option in GIVEN if option not in row.options]
)
def test_a_format_refuses_each_option_that_it_does_not_use(option: str, format: str, shop: Path) -> None:
    with refuses("format_option_unused", options=[option]):
        read("shop.csv", format=format, **{option: GIVEN[option]})


@pytest.mark.parametrize("option", [*GIVEN, "junk", "min_per_class", "rare_classes", "format"])
def test_tagging_a_table_uses_or_refuses_every_option(option: str, shop: Path) -> None:
    values = GIVEN | {"junk": "Other", "min_per_class": 2, "rare_classes": "drop", "format": "table"}
    options = TagOptions(read_options={"images": "photos", option: values[option]})
    if option in ("images", "image_column", "format", "product"):
        assert tag("model.muslin", "shop.csv", "out.csv", options).rows == 6
    else:
        with refuses("tag_options_unused", options=[option]):
            tag("model.muslin", "shop.csv", "out.csv", options)


def test_a_place_of_photos_beside_photos_in_the_table_is_refused(shop: Path) -> None:
    convert("photos", "parquet", "shop.parquet")
    with refuses("images_in_table", column="image"):
        read("shop.parquet", images="photos")
    with refuses("images_in_table"):
        tag("model.muslin", "shop.parquet", "out.parquet", TagOptions(read_options={"images": "photos"}))
    with refuses("separator_of_list", column="label"):
        read("shop.parquet", label_separator=";")


def test_options_of_reading_are_refused_for_data_in_memory(shop: Path) -> None:
    dataset, options = read("photos"), {"levels": 1}
    actions = {
        ("levels",): [
            lambda: evaluate("model.muslin", dataset, EvaluateOptions(read_options=options)),
            lambda: compare("model.muslin", "model.muslin", dataset, CompareOptions(read_options=options)),
            lambda: train_workflow.train(dataset, read_options=options),
        ],
        ("test",): [
            lambda: convert(dataset, "csv", "csv", test="photos"),
            lambda: audit_workflow.audit(dataset, test="photos"),
            lambda: train_workflow.train(dataset, test="photos"),
        ],
    }
    for names, calls in actions.items():
        for call in calls:
            with refuses("read_already", options=list(names)):
                call()


def test_a_narrower_threshold_overrules_a_wider_one_in_any_order() -> None:
    tags = Target("tags", ("red", "new", "sale"), "multilabel")
    for changes in ({"": 0.2, "red": 0.7}, {"red": 0.7, "": 0.2}, {"red": 0.7, "tags": 0.2}):
        assert change_thresholds([tags], {}, changes) == {"tags": (0.7, 0.2, 0.2)}
    with refuses("threshold_overruled", name="all"):
        change_thresholds([tags], {}, {"": 0.2, "tags": 0.3})
    with refuses("threshold_overruled", name="kind"):
        change_thresholds([Target("kind", ("Bag", "Shoe"))], {}, {"kind": 0.3, "Bag": 0.6})
    with refuses("threshold_overruled", name="Bag"):
        change_thresholds([Target("kind", ("Bag", "Shoe"))], {}, {"Bag": 0.3, "Shoe": 0.6})


def test_an_action_for_a_target_without_a_minimum_is_refused(synthetic: SyntheticDataset) -> None:
    labels = synthetic.dataset.labels["label"]
    target = replace(synthetic.dataset.targets[0], name="other")
    targets = (*synthetic.dataset.targets, target)
    data = replace(synthetic.dataset, targets=targets, labels={"label": labels, "other": labels})
    with refuses("rare_without_minimum", target="other"):
        reduce_rare_classes(data, "label=2", "other=drop")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recorded_setting_is_one_that_training_reads(name: str) -> None:
    """A changed setting is refused, or is part of the recorded recipe with the new value."""
    for setting in recipes.settings().values():
        changes = {setting.name: _another_value(name, setting)}
        code, changed = attempt(lambda changes=changes: recipe(name, **changes))
        if code == "setting_not_read":
            assert setting.name not in settings(type(RECIPES[name]))
        elif code != "setting_not_read_with":
            assert changes.items() <= changed.to_dict().items()


def attempt(call: Callable[[], Any]) -> tuple[str, Any]:
    """The code with which muslin refuses a call, or "" and the result."""
    try:
        return "", call()
    except MuslinError as error:
        return error.code, None


def _another_value(name: str, setting: recipes.Setting) -> Any:
    present = getattr(RECIPES[name], setting.name, None)
    if setting.name == "network":
        return present
    if setting.choices:
        return next(choice for choice in setting.choices if choice != present)
    if setting.type is bool:
        return not present
    if setting.type is str:
        return "weights.safetensors"
    if setting.type == tuple[int, ...]:
        return (8, 8, 8)
    if setting.type is float:
        return (max(setting.low, 0) + min(setting.high, 1)) / 2.5
    return int(max(setting.low, 0)) + 7


def test_settings_without_effect_on_the_data_are_refused(synthetic: SyntheticDataset) -> None:
    data = synthetic.dataset
    parts = np.array([("train", "validation", "test")[i % 3] for i in range(len(data))], dtype=object)
    multilabel = Target("tags", ("red", "new"), "multilabel")
    tagged = replace(data, targets=(multilabel,), labels={"tags": np.zeros((len(data), 2), np.int8)})
    for changed, setting in (
        (data, "image_size"),
        (replace(data, parts=parts), "validation_fraction"),
        (replace(data, parts=parts), "split_seed"),
        (replace(data, parts=parts), "stratified"),
        (tagged, "label_smoothing"),
        (tagged, "activation"),
        (tagged, "stratified"),
    ):
        with refuses("settings_without_effect", settings=[setting]):
            check_settings_used(changed, {setting: 1})
    with refuses("settings_without_effect", settings=["max_unreadable"]):
        check_settings_used(data, {}, 0.5)
    check_settings_used(data, {"validation_fraction": 0.3, "split_seed": 1, "stratified": True, "activation": "x"})


def test_training_refuses_settings_without_effect(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    with refuses("settings_without_effect", settings=["image_size"]):
        train_workflow.train(synthetic.dataset, settings={"image_size": 32}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_estimator_refuses_settings_of_data_sets() -> None:
    pixels, labels = np.zeros((20, 14, 14), np.uint8), [0, 1] * 10
    for name in ("validation_fraction", "image_size", "split_seed", "stratified", "folds"):
        with refuses("settings_without_effect", settings=[name]):
            ImageClassifier(settings={name: 0.3}).fit(pixels, labels)
    with refuses("options_exclusive"):
        ImageClassifier(epochs=1, settings={"epochs": 2}).fit(pixels, labels)


@pytest.mark.parametrize("changes", [{"network": "efficientnet-lite2"}, {"weights": "random"}, {"image_size": 64}])
def test_a_time_budget_keeps_what_was_set(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget of a microsecond fits no network, so all that may be tried are tried."""
    tried: list[LinearProbeRecipe] = []

    def noting(dataset: Dataset, recipe: LinearProbeRecipe, seed: int) -> float:
        tried.append(recipe)
        return expected_train_s(dataset, recipe, seed)

    monkeypatch.setattr("muslin.workflows.time_budget.expected_train_s", noting)
    probe = recipe("photo", **({"weights": "random"} | changes))
    assert isinstance(probe, LinearProbeRecipe)
    data = read(write_garment_folders(tmp_path / "garments", 20))
    with refuses("time_budget_too_short_for_photos"):
        fit_backbone_to_budget(1e-6, data, probe, 0, changes)
    backbones = [name for name in reversed(NETWORKS) if is_backbone(name)]
    assert [each.network for each in tried] == (backbones if "image_size" in changes else [probe.network])
    assert all({name: getattr(each, name) for name in changes} == changes for each in tried)
    assert fit_backbone_to_budget(1e6, data, probe, 0, changes).recipe == probe


def test_a_time_budget_refuses_settings_of_length() -> None:
    for name in ("epochs", "max_steps", "min_steps"):
        with refuses("time_budget_and_steps", settings=[name]):
            check_time_budget(60, {name: 5})


def test_a_column_of_parts_beside_a_file_for_each_part_is_refused(tmp_path: Path) -> None:
    rows = "label,split,pixel1,pixel2,pixel3,pixel4\na,train,1,2,3,4\nb,test,5,6,7,8\n"
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text(rows)
    with refuses("format_option_unused", options=["split_column"]):
        read(tmp_path, split_column="split")
