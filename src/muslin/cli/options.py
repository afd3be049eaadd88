"""The table of commands, and the options that several commands share."""

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

COMMANDS: dict[str, click.Command] = {}
"""Every command by its name. `@command(name)` adds a row."""

PATH = click.Path(path_type=Path)
SPLITS = ("train", "validation", "test", "all")


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make the function a command of muslin. Its docstring is the help."""

    def register(function: Callable[..., Any]) -> click.Command:
        COMMANDS[name] = click.command(name)(function)
        return COMMANDS[name]

    return register


def option(name: str, metavar: str, help: str, *, dest: str | None = None, **settings: Any) -> Decorator:
    """An option with a value."""
    names = (name, dest) if dest else (name,)
    return click.option(*names, metavar=metavar, help=help, **settings)


def gathered(
    parameter: str, *options: Decorator, make: Callable[[dict[str, Any]], Any] = lambda values: values
) -> Decorator:
    """Options that the function gets as one argument, `parameter`: what `make` makes of a dict of their values."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        names = {str(option.name) for option in _parameters(options)}  # two flags can set one name

        @wraps(function)
        def wrapper(**values: Any) -> Any:
            own = {name: values.pop(name) for name in names}
            return function(**values, **{parameter: make(own)})

        wrapped: Callable[..., Any] = wrapper
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def _parameters(options: Iterable[Decorator]) -> list[click.Parameter]:
    def probe() -> None: ...

    for option in options:
        option(probe)
    parameters: list[click.Parameter] = probe.__click_params__  # type: ignore[attr-defined]
    return parameters


class LazyChoice(click.ParamType):  # type: ignore[type-arg]
    """One of several names, which `load` reads only when needed: the module that defines them is slow to import."""

    name = "name"

    def __init__(self, load: Callable[[], Iterable[str]]) -> None:
        self.load = load

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return click.Choice([*self.load()]).convert(value, param, ctx)


class ChoiceOption(click.Option):
    """An option of a LazyChoice: its help ends with the names."""

    @property
    def full_help(self) -> str:
        assert isinstance(self.type, LazyChoice)
        return f"{self.help} One of: {', '.join(self.type.load())}."

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0], self.full_help)


class TargetChoice(click.ParamType):  # type: ignore[type-arg]
    """One of some values, for all targets or, as TARGET=VALUE, for one. The text is passed on as it is."""

    name = "value"

    def __init__(self, values: tuple[str, ...]) -> None:
        self.values = values

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        click.Choice(self.values).convert(value.rpartition("=")[2], param, ctx)
        return value


def _shape(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    numbers = value.replace("×", "x").split("x")
    if len(numbers) not in (2, 3) or not all(n.isdigit() and int(n) > 0 for n in numbers):
        raise click.BadParameter("give height and width, and 3 for colour: 28x28 or 32x32x3.")
    return tuple(int(n) for n in numbers)


def _format_names() -> list[str]:
    from muslin.data.formats import FORMATS

    return [row.name for row in FORMATS]


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value is not False and value != ()
    }


def _read_options(values: dict[str, Any]) -> dict[str, Any]:
    targets = values.pop("target")
    return given({**values, "target": targets[0] if len(targets) == 1 else list(targets) or None})


read_options = gathered(
    "read_options",
    option(
        "--format",
        "NAME",
        "Format of DATA. Default: detected from the content.",
        cls=ChoiceOption,
        type=LazyChoice(_format_names),
    ),
    option(
        "--shape", "HxW[xC]", "Image size, such as 28x28, of a file with one image per row.", callback=_shape
    ),
    option("--images", "PATH", "Folder, zip or tar with the photos that a table names."),
    option("--image-column", "COLUMN", "Column of a table that names the photo."),
    option(
        "--target",
        "COLUMN",
        "Column with the label: its name, `first` or `last`. Repeat it for several.",
        multiple=True,
    ),
    option(
        "--separator",
        "[COLUMN=]SEP",
        "Separator of several labels in a cell: `|`, `;`, `,` or `none`.",
        multiple=True,
        type=TargetChoice(("|", ";", ",", "none")),
    ),
    option("--group", "COLUMN", "Column of groups, such as products. A group is never split."),
    option("--split-column", "COLUMN", "Column of a table that names the part of each row."),
    click.option("--crop", is_flag=True, help="Crop photos to the boxes that come with them."),
    option("--min-per-class", "[TARGET=]N", "A class with fewer than N images is rare.", multiple=True),
    option(
        "--rare",
        "[TARGET=]merge|drop",
        "Merge rare classes into `other` (the default), or drop their labels.",
        multiple=True,
        type=TargetChoice(("merge", "drop")),
    ),
    make=_read_options,
)
"""How to read DATA: a dict of arguments of `muslin.read`."""


def _thresholds(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> dict[str, float]:
    thresholds = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            thresholds[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"{word!r}: give a probability, as 0.7 or NAME=0.7.") from None
    return thresholds


threshold_option = option(
    "--threshold",
    "[NAME=]P",
    "Minimum probability for predicting a label: `0.7` for all (of two classes: the second), `NAME=0.7` for one.",
    dest="thresholds",
    multiple=True,
    callback=_thresholds,
)
guarantee_options = gathered(
    "guarantee",
    option(
        "--precision",
        "SHARE",
        "Share of the accepted predictions that must be correct, from 0.5 to below 1. Default: 0.98.",
        type=float,
    ),
    click.option(
        "--guarantee",
        type=click.Choice(["overall", "per-class"]),
        help="Whether the guarantee holds over all accepted predictions (`overall`, the default) or within each "
        "class (`per-class`).",
    ),
    make=given,
)
"""Which predictions can be accepted without review: a dict of the options that were given."""

split_option = click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Part of the data to evaluate on. Data without parts are used whole.",
)
test_option = option("--test", "FILE", "File with the test set, if DATA has only the training set.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def seed_option(help: str, default: int | None = 0) -> Decorator:
    """`--seed N`."""
    return click.option("--seed", type=click.IntRange(0), default=default, metavar="N", help=help)


def out_option(help: str, metavar: str = "FILE", **settings: Any) -> Decorator:
    """`-o`, `--out`: where to write."""
    return click.option("-o", "--out", type=PATH, metavar=metavar, help=help, **settings)
