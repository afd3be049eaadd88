"""The table of commands, and the options that several commands share."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from muslin.errors import MuslinError

if TYPE_CHECKING:
    from muslin.execution import Executor

COMMANDS: dict[str, click.Command] = {}
"""Every command by its name, one of a group as `review add`. `@command(name, …)` adds a row."""

GROUPS = {
    "review": "Correct predictions with a click, train again, and keep the guarantee.\n\n"
    "STORE is a file, such as shop.db, or the URL of a PostgreSQL database.",
    "similar": "Find products that look alike.\n\n"
    "INDEX is a file that `muslin similar build` writes, such as shop.index.",
}
"""The help of each group of commands by its name."""

PATH = click.Path(path_type=Path)


class ChoiceOption(click.Option):
    """An option whose choices `load` reads only when needed: the module that defines them is slow to import."""

    def __init__(self, names: list[str], load: Callable[[], Iterable[str]], **settings: Any) -> None:
        super().__init__(names, **settings)
        self.load = load

    @property
    def full_help(self) -> str:
        return f"{self.help} One of: {', '.join(self.load())}."

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        self.type = click.Choice([*self.load()])
        return super().type_cast_value(ctx, value)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0], self.full_help)


class Command(click.Command):
    """A command that refuses an option given twice where one value counts; click takes the last in silence."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        for parameter in self.params:
            is_single = isinstance(parameter, click.Option) and not (parameter.multiple or parameter.is_flag)
            if is_single and order.count(parameter) > 1:
                raise MuslinError("option_repeated", option=parameter.opts[-1])
        return super().parse_args(ctx, args)


class TargetChoice(click.Choice[str]):
    """One of some values, for all targets or, as TARGET=VALUE, for one. The text is passed on as it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        super().convert(value.rpartition("=")[2], param, ctx)
        return str(value)


@contextmanager
def executor_of(options: dict[str, Any], **settings: Any) -> "Iterator[Executor | None]":
    """What runs the work as `--on` of `options` says, which is taken out of them; None for this process.

    Args:
        settings: of `muslin.distributed.open_executor`.
    """
    if (where := options.pop("on", None)) is None:
        yield None
        return
    from muslin.distributed import open_executor

    with open_executor(where, **settings) as executor:
        yield executor


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in values.items() if not (value is None or value is False or value == ())}


class Group:
    """Options that a command gets as one argument, `name`: what `make` makes of a dict of their values."""

    def __init__(
        self, name: str, *options: click.Option, make: Callable[[dict[str, Any]], Any] = lambda values: values
    ) -> None:
        self.name, self.options, self.make = name, options, make


def command(usage: str, *parameters: click.Option | Group) -> Callable[..., click.Command]:
    """Make the function a command of muslin. Its docstring is the help.

    Args:
        usage: the name of the command and those of its arguments, as in `train [data]`, `predict model image...`,
            `review add store data`.
    """
    name, *arguments = usage.split()
    if name in GROUPS:
        name, arguments = f"{name} {arguments[0]}", arguments[1:]
    params: list[click.Parameter] = []
    for argument in arguments:
        nargs, metavar = (-1, argument.upper()) if argument.endswith("...") else (1, None)
        is_required = not argument.startswith("[")
        params.append(click.Argument([argument.strip("[].")], required=is_required, nargs=nargs, metavar=metavar))
    groups = [group for group in parameters if isinstance(group, Group)]
    for parameter in parameters:
        params += parameter.options if isinstance(parameter, Group) else (parameter,)

    def register(function: Callable[..., None]) -> click.Command:
        def callback(**values: Any) -> None:
            for group in groups:
                names = {str(option.name) for option in group.options}  # two flags can set one name
                values[group.name] = group.make({name: values.pop(name) for name in names})
            function(**values)

        COMMANDS[name] = Command(name.split()[-1], callback=callback, params=params, help=function.__doc__)
        return COMMANDS[name]

    return register


def commands_and_groups() -> dict[str, click.Command]:
    """The commands and groups of the command line, by their names."""
    top: dict[str, click.Command] = {}
    for name, each in COMMANDS.items():
        group, _, inner = name.partition(" ")
        if not inner:
            top[name] = each
            continue
        found = top.setdefault(group, click.Group(group, help=GROUPS[group]))
        assert isinstance(found, click.Group)
        found.add_command(each, inner)
    return top


def option(spec: str, help: str, *, dest: str | None = None, **settings: Any) -> click.Option:
    """An option by its names and the name of its value. `--check KIND...` can be repeated; `--json` is a flag."""
    words = spec.split()
    names = [word for word in words if word.startswith("-")] + ([dest] if dest else [])
    if not words[-1].startswith("-"):
        settings |= {"metavar": words[-1].removesuffix("..."), "multiple": words[-1].endswith("...")}
    elif not settings:
        settings["is_flag"] = True
    kind = ChoiceOption if "load" in settings else click.Option
    return kind(names, help=help, **settings)


def _shape(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not re.fullmatch(r"0*[1-9]\d*([x×]0*[1-9]\d*){1,2}", value):
        raise click.BadParameter("give height and width, and 3 for colour: 28x28 or 32x32x3.")
    return tuple(map(int, re.split("[x×]", value)))


def _read_options(values: dict[str, Any]) -> dict[str, Any]:
    several = {name: list(values.pop(name)) for name in ("target", "image_column")}
    return given(
        {**values, **{name: names[0] if len(names) == 1 else names or None for name, names in several.items()}}
    )


read_options = Group(
    "read_options",
    option(
        "--format NAME",
        "Format of DATA. Default: detected from the content.",
        load=lambda: [row.name for row in import_module("muslin.data.formats").FORMATS],
    ),
    option("--shape HxW[xC]", "Image size, such as 28x28, of a file with one image per row.", callback=_shape),
    option("--images PATH", "Folder, zip or tar with the photos that a table names."),
    option("--allow-outside", "Also open files outside the photo folder that DATA names or links to."),
    option(
        "--image-column COLUMN...",
        "Column of a table that names the photo. Repeat it for several whose photos show one product.",
    ),
    option("--target COLUMN...", "Column with the label: its name, `first` or `last`. Repeat it for several."),
    option(
        "--label-separator [COLUMN=]SEP...",
        "Separator of several labels in a cell: `|`, `;`, `,` or `none`.",
        type=TargetChoice(("|", ";", ",", "none")),
    ),
    option(
        "--group COLUMN",
        "Column of groups, such as samples or senders. A group is never split. Default: found or proposed by names and "
        "photos, and reported. `none`: no groups.",
    ),
    option(
        "--product COLUMN",
        "Column of products. The photos of a product stay together. Default: found in common exports and columns such "
        "as `sku`, and reported. `none`: no products.",
    ),
    option("--split-column COLUMN", "Column of a table that names the part of each row."),
    option("--crop-to-boxes", "Crop photos to the boxes that come with them."),
    option("--levels N", "Levels of nested folders that make a class's name, such as 2.", type=click.IntRange(1)),
    option(
        "--junk NAMES...",
        "Labels that are no classes, such as `Not sure,Other,Skip`: their images count as unlabelled.",
    ),
    option("--min-per-class [TARGET=]N...", "A class with fewer than N images is rare."),
    option(
        "--rare-classes [TARGET=]merge|drop...",
        "Merge rare classes into `other` (the default), or drop their labels.",
        type=TargetChoice(("merge", "drop")),
    ),
    make=_read_options,
)
"""How to read DATA: a dict of arguments of `muslin.read`."""


def _thresholds(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> dict[str, float]:
    thresholds = {}
    for word in words:
        name, _, number = word.rpartition("=")
        if name in thresholds:
            raise MuslinError("option_repeated", option=f"--threshold {name}".strip())
        try:
            thresholds[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"{word!r}: give a probability, as 0.7 or NAME=0.7.") from None
    return thresholds


threshold_option = option(
    "--threshold [NAME=]P...",
    "Minimum probability for predicting a label: `0.7` for all (of two classes: the second), `NAME=0.7` for one.",
    dest="thresholds",
    callback=_thresholds,
)
graph_option = option(
    "--graph",
    "The model's graph that predicts. Default: `int8` where the model has it and this processor is faster with it, "
    "else `float32`.",
    type=click.Choice(["float32", "int8"]),
)


def on_option(what: str = "Where to work", default: str = "this process. The result is the same.") -> click.Option:
    """`--on WHERE`."""
    return option(
        "--on WHERE",
        f"{what}: `local:N` for N processes of this machine, `ray://HOST:PORT` for a Ray cluster, `ray` for one on "
        f"this machine. Default: {default}",
    )


guarantee_options = Group(
    "guarantee",
    option(
        "--precision SHARE",
        "Minimum share of accepted predictions that are correct: 0.5 to below 1. Default: chosen from what the "
        "model can guarantee, and reported.",
        type=float,
    ),
    option(
        "--guarantee",
        "Reach the precision over all accepted predictions, `overall` (the default), or within each class, "
        "`per-class`.",
        type=click.Choice(["overall", "per-class"]),
    ),
    make=given,
)
"""Which predictions can be accepted without review: a dict of the options that were given."""

SPLITS = click.Choice(["train", "validation", "test", "all"])
split_option = option(
    "--split",
    "Part of the data to evaluate on. `test` leaves out images that the model has seen. In data without parts, `train` "
    "and `validation` are those images.",
    type=SPLITS,
    default="test",
    show_default=True,
)
test_option = option("--test PATH", "A file or folder with the test set, if DATA has only the training set.")
json_option = option("--json", "Print JSON instead of text.", dest="as_json")
serving_options = (
    option(
        "--port N",
        "Port on this machine; 0 takes a free one.",
        type=click.IntRange(0, 65535),
        default=8001,
        show_default=True,
    ),
    option("--open", "Open the page in your browser.", dest="open_browser"),
)


def seed_option(help: str, default: int | None = 0) -> click.Option:
    """`--seed N`."""
    return option("--seed N", help, type=click.IntRange(0), default=default)


def out_option(help: str, metavar: str = "FILE", *, suffix: str = "", **settings: Any) -> click.Option:
    """`-o`, `--out`: where to write; with `suffix`, a file whose name must end so."""
    return file_option(f"-o --out {metavar}", help, suffix=suffix, **settings)


def file_option(spec: str, help: str, *, suffix: str = "", **settings: Any) -> click.Option:
    """An option whose value is a file to write, as `option` takes it; see `out_option`."""

    def check(context: click.Context, option: click.Parameter, value: Path | None) -> Path | None:
        if value is not None and suffix and value.suffix.lower() != suffix:
            raise MuslinError("output_suffix", path=str(value), suffix=suffix)
        return value

    return option(spec, help, type=PATH, callback=check, **settings)


def _output(values: dict[str, Any]) -> Any:
    from muslin.storage.outputs import Output

    if values["overwrite"] and values["out"] is None:
        raise MuslinError("option_needs", option="--overwrite", needed="--out")
    return values["out"] and Output(values["out"], values["overwrite"])


def overwrite_option(help: str = "Replace the file if it exists.") -> click.Option:
    """`--overwrite`."""
    return option("--overwrite", help)


def output_options(help: str, *, suffix: str = "", **settings: Any) -> Group:
    """`-o`, `--out` and `--overwrite`: an Output, or None."""
    return Group("output", out_option(help, suffix=suffix, **settings), overwrite_option(), make=_output)


def table_output_options() -> Group:
    """`-o` for a catalogue's table with more columns: an Output."""
    return output_options(
        "A new file for the table with its new columns, in its own format; for other data, a .csv, .tsv or .jsonl.",
        required=True,
    )


def refuse_with_resume(resume: Path | None, *kept: str) -> None:
    """Refuse options of this command line, except those called `kept`, beside --resume: a run keeps its own.

    Raises:
        MuslinError: there are such options.
    """
    context = click.get_current_context()
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in kept
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if resume and given:
        raise MuslinError("resume_with_options", options=given)


def refuse_together(**values: Any) -> None:
    """Raises MuslinError where more than one of the options, by their names, was given."""
    names = [f"--{name.replace('_', '-')}" for name in given(values)]
    if len(names) > 1:
        raise MuslinError("options_exclusive", options=names)
