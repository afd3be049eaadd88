"""Write the reference from the code: cli.md, recipes.md, errors.md, python.md and server.md in this folder.

    python docs/reference/make.py            # write the pages that changed
    python docs/reference/make.py --check    # write nothing; exit 1 if a page is stale

The pages contain only names, tables and docstrings, never the layout of a terminal or a library, so they are the
same on every machine.
"""

import ast
import inspect
import math
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

import muslin
from muslin import errors
from muslin.cli import cli
from muslin.cli.options import COMMANDS, ChoiceOption
from muslin.data.dataset import Target
from muslin.learn.layer_kinds import layer_detail
from muslin.learn.networks import describe
from muslin.learn.recipes import METHODS, RECIPES, Recipe, recipe_network, settings
from muslin.server.metrics import COUNTS, GAUGES
from muslin.server.openapi import OPERATIONS
from muslin.text import duration, plural

HERE = Path(__file__).resolve().parent
SOURCE = Path(muslin.__file__).parent
COMMAND = "python docs/reference/make.py"

INNER = (
    ("muslin.data.reader", "ReadArguments"),
    ("muslin.models.prediction", "Predictions"),
    ("muslin.models.prediction", "TargetPrediction"),
    ("muslin.evaluation.selective", "Triage"),
    ("muslin.models.decision_rules", "DecisionRules"),
    ("muslin.models.decision_rules", "ChosenGuarantee"),
    ("muslin.evaluation.selective", "AcceptancePolicy"),
    ("muslin.models.product_prediction", "ProductPrediction"),
    ("muslin.client.results", "ServedPrediction"),
    ("muslin.client.results", "ServedTargetPrediction"),
    ("muslin.client.results", "ServedProduct"),
    ("muslin.client.results", "ModelDescription"),
    ("muslin.client.results", "RefusalError"),
    ("muslin.workflows.evaluate", "EvaluationResult"),
    ("muslin.evaluation.multiclass", "ClassMetrics"),
    ("muslin.evaluation.averages", "Averages"),
    ("muslin.evaluation.multiclass", "ConfusedPair"),
    ("muslin.evaluation.multiclass", "ConfidentError"),
    ("muslin.evaluation.metrics", "CalibrationBin"),
    ("muslin.evaluation.reliability", "Reliability"),
    ("muslin.evaluation.reliability", "SelectiveMetrics"),
    ("muslin.evaluation.reliability", "DecisionMetrics"),
    ("muslin.evaluation.reliability", "SliceMetrics"),
    ("muslin.evaluation.product_metrics", "ProductMetrics"),
    ("muslin.evaluation.reliability", "LeakMetrics"),
    ("muslin.models.bundle", "Bundle"),
    ("muslin.models.bundle", "Preprocessing"),
    ("muslin.learn.training_loop", "Progress"),
    ("muslin.data.audit.findings", "Audit"),
    ("muslin.data.audit.findings", "Finding"),
    ("muslin.data.audit.findings", "Sample"),
)
"""Classes inside the public values, which need no import: (module, name)."""


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(f"usage: {COMMAND} [--check]", file=sys.stderr)
        return 2
    made = pages()
    old = stale(HERE, made)
    if arguments:
        if old:
            print(f"stale in docs/reference: {', '.join(old)}. Run: {COMMAND}", file=sys.stderr)
        return 1 if old else 0
    for name in old:
        (HERE / name).write_text(made[name], encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


def stale(folder: Path, made: Mapping[str, str]) -> list[str]:
    """The pages in `folder` that are missing or differ from those made of the code."""
    return [
        name
        for name, text in made.items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


def pages() -> dict[str, str]:
    """The content per file name."""
    note = f"<!-- Made by {COMMAND}; change the code, not this page. -->"
    made = {
        "cli.md": command_line(),
        "recipes.md": recipes(),
        "errors.md": errors_page(),
        "python.md": python(),
        "server.md": server(),
    }
    return {name: f"{note}\n\n" + "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


# --- cli.md


def command_line() -> Iterator[str]:
    yield "# The command line"
    yield ""
    yield from _prose(cli.help or "")
    yield ""
    yield (
        "Results go to standard output; progress and errors go to standard error. Exit codes: 0 done, 1 failed (one "
        "line says what is wrong, where and what to do), 2 wrong usage, 130 interrupted at once. With `--json` a "
        "failed command also prints an object to standard output: "
        '`{"error": {"code": …, "message": …, "hint": …, "params": {…}}}`; the codes are in [errors](errors.md).'
    )
    yield ""
    yield from _options(cli)
    for name, command in sorted({**COMMANDS, **cli.commands}.items()):
        yield f"## `muslin {name}`"
        yield ""
        if isinstance(command, click.Group):
            yield from _prose(command.help or "")
            yield ""
            continue
        yield "```text"
        yield " ".join(["muslin", name, *_usage(command)])
        yield "```"
        yield ""
        yield from _prose(command.help or "")
        yield ""
        yield from _options(command)


def _usage(command: click.Command) -> Iterator[str]:
    yield "[OPTIONS]"
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            name = parameter.metavar or (parameter.name or "").upper()
            yield name if parameter.required else f"[{name}]"


def _options(command: click.Command) -> Iterator[str]:
    yield "| option | |"
    yield "| --- | --- |"
    for option in command.params:
        if isinstance(option, click.Option):
            value = "" if option.is_flag else f" {_placeholder(option)}"
            names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
            text = option.full_help if isinstance(option, ChoiceOption) else option.help or ""
            about = [_cell(text)]
            if isinstance(option.type, click.IntRange):
                about.append(_whole_number(option.type))
            if option.show_default and option.default is not None:
                about.append(f"Default: {option.default}.")
            yield f"| {names} | {' '.join(about)} |"
    yield "| `-h`, `--help` | Show the help and exit. |"
    yield ""


def _placeholder(option: click.Option) -> str:
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    return (option.metavar or "|".join(choices) or option.type.name.upper()).replace("|", "\\|")


def _whole_number(kind: click.IntRange) -> str:
    low, high = (None if end is None else f"{int(end):,}" for end in (kind.min, kind.max))
    return f"A whole number from {low} to {high}." if high else f"A whole number from {low}."


# --- recipes.md


def recipes() -> Iterator[str]:
    yield "# Recipes"
    yield ""
    yield (
        "A recipe is every setting that training reads. `muslin train --recipe NAME` trains with one; "
        "`--set NAME=VALUE` changes a setting ([how](../how-to/change-a-recipe.md)). "
        "In Python: `muslin.train(data, recipe=NAME, settings={...})`. "
        "A setting that the recipe does not read is refused."
    )
    yield ""
    for row in RECIPES.values():
        measured = ""
        if row.benchmark:
            of = row.benchmark
            measured = (
                f" Accuracy on {of.n_images:,} images of {of.data}: {of.accuracy:.2%} after {duration(of.train_s)} of "
                f"training ({plural(of.n_seeds, 'seed')}; {of.machine}; "
                f"[result](../../benchmarks/results/{of.source}))."
            )
        yield f"- **{row.name}** (`{row.method}`): {row.summary}.{measured}"
    yield ""
    for name, method in METHODS.items():
        rows = [row for row in RECIPES.values() if row.method == name]
        yield f"## Method `{name}`"
        yield ""
        yield str(method.__doc__)
        yield ""
        yield f"| setting | {' | '.join(row.name for row in rows)} | meaning | value |"
        yield f"| --- |{' --- |' * len(rows)} --- | --- |"
        for key, setting in settings(method).items():
            values = " | ".join(_value(row.to_dict().get(key, "–")) for row in rows)
            needs = _needs(setting.needs)
            yield f"| `{key}` | {values} | {_cell(setting.help)}{needs} | {_range(setting)} |"
        yield ""
    yield "## Networks"
    yield ""
    yield "For gray images of 28×28 px and ten classes. Multiply-adds are those of one prediction."
    yield ""
    for row in RECIPES.values():
        yield from _network(row)


def _needs(needs: tuple[str, tuple[str, ...]] | None) -> str:
    if needs is None:
        return ""
    name, values = needs
    return f". Only with `{name}` {' or '.join(f'`{value}`' for value in values) if values else 'above 0'}"


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(str, value))
        case float():
            return f"{value:.6g}"
        case None:
            return "none"
        case _:
            return str(value)


def _range(setting: Any) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.type is bool:
        return "yes or no"
    if setting.type is str:
        return "text"
    kind, example = {
        int: ("a whole number", ""),
        float: ("a number", ""),
        tuple[int, ...]: ("whole numbers", ", as in `64,32,32`"),
        int | None: ("a whole number", ", or `none`"),
    }[setting.type]
    low, high = (None if math.isinf(end) else f"{end:,g}" for end in (setting.low, setting.high))
    ends = f" from {low} to {high}" if low and high else f" from {low}" if low else ""
    unit = f" {setting.unit}" if setting.unit else ""
    return kind + ends + unit + example


def _network(made: Recipe) -> Iterator[str]:
    target = Target("label", tuple(map(str, range(10))))
    drawn = describe(recipe_network(made, (28, 28, 1), (target,)))
    yield f"### {made.name}"
    yield ""
    yield f"{drawn['parameters']:,} parameters, {drawn['multiply_adds']:,} multiply-adds an image."
    yield ""
    yield "| layer | what it does | output | parameters |"
    yield "| --- | --- | --- | ---: |"
    for layer in drawn["layers"]:
        output = "×".join(map(str, layer["output"]))
        parameters = f"{layer['parameters']:,}" if layer["parameters"] else ""
        yield f"| `{layer['name']}` ({layer['kind']}) | {_cell(layer_detail(layer))} | {output} | {parameters} |"
    yield ""


# --- server.md


def server() -> Iterator[str]:
    yield "# The server"
    yield ""
    yield "What `muslin serve` answers, as its `/openapi.json` describes it, and what it measures at `/metrics`."
    yield from ("", "## Paths", "")
    yield "Requests marked *open* need no token. `Retry-After` comes with 503."
    yield ""
    yield from ("| request | what it does | query | body | |", "| --- | --- | --- | --- | --- |")
    for (method, path), operation in OPERATIONS.items():
        query, body = (", ".join(f"`{name}`" for name in names) for names in (operation.query, operation.request or ()))
        is_open = "open" if operation.is_open else ""
        yield f"| `{method} {path}` | {_cell(operation.summary)} | {query} | {body} | {is_open} |"
    yield from ("", "## Metrics", "")
    yield (
        "Names as Prometheus shows them. A histogram has `_bucket`, `_sum` and `_count`. With a token, Prometheus must "
        "send it (`authorization` of a scrape configuration)."
    )
    yield from ("", "| metric | labels | what it tells |", "| --- | --- | --- |")
    for name, (text, labels, bounds) in COUNTS.items():
        ending = "" if bounds else "_total"
        yield f"| `muslin_{name}{ending}` | {', '.join(labels)} | {_cell(text)} |"
    for name, (text, labels) in GAUGES.items():
        yield f"| `muslin_{name}` | {', '.join(labels)} | {_cell(text)} |"


# --- errors.md


def errors_page() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield from _prose(inspect.getdoc(errors) or "")
    yield ""
    yield (
        "The classes are in `muslin.errors`; their base is also `muslin.MuslinError`. Every error has `code`, "
        "`params`, `status` (of HTTP) and `to_dict()`, which the command line prints with `--json`. Text in `[[…]]` is "
        "left out if its parameter is missing."
    )
    kinds = _kinds_of_errors()
    for file in sorted((SOURCE / "messages/en").glob("*.toml")):
        text = file.read_text(encoding="utf-8")
        rows = {code: row for code, row in tomllib.loads(text).items() if code in kinds}
        if rows:
            heading = text.removeprefix("# ").partition(".")[0]
            yield from ("", f"## {' '.join(heading.replace(chr(10) + '#', ' ').split())}", "")
            yield from ("| code | class | HTTP | message |", "| --- | --- | ---: | --- |")
            for code, row in sorted(rows.items()):
                yield _error_row(code, row, kinds[code])


def _error_row(code: str, row: dict[str, Any], names: set[str]) -> str:
    classes = [getattr(errors, name) for name in sorted(names)]
    statuses = [str(row["status"])] if "status" in row else sorted({str(kind.STATUS) for kind in classes})
    sentences = [row["message"], row.get("hint", ""), *row.get("hints", {}).values()]
    text = "<br>".join(_cell(sentence) for sentence in sentences if sentence)
    return f"| `{code}` | {', '.join(f'`{kind.__name__}`' for kind in classes)} | {', '.join(statuses)} | {text} |"


def _kinds_of_errors() -> dict[str, set[str]]:
    """Per code the classes of error that are raised with it, anywhere in the source."""
    kinds: dict[str, set[str]] = {}
    for file in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and call.args:
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                kind = getattr(errors, name, None)
                if isinstance(kind, type) and issubclass(kind, errors.MuslinError):
                    for node in ast.walk(call.args[0]):  # a code, or one of two
                        if isinstance(node, ast.Constant) and isinstance(node.value, str):
                            kinds.setdefault(node.value, set()).add(name)
    return kinds


# --- python.md


def python() -> Iterator[str]:
    yield "# Python"
    yield ""
    yield from _prose(inspect.getdoc(muslin) or "")
    yield ""
    things = {name: getattr(muslin, name) for name in muslin.__all__}
    functions_first = sorted(things, key=lambda name: isinstance(things[name], type))
    for name in functions_first:
        found = _found(things[name].__module__, things[name].__qualname__)
        yield from _documented(found, f"muslin.{name}", level=2)
    yield "## Inside these values"
    yield ""
    yield "Classes of the values above. There is nothing to import."
    yield ""
    for module, name in INNER:
        yield from _documented(_found(module, name), name, level=3)


Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def _found(module: str, qualified_name: str) -> Definition:
    """The definition in the source: signatures stay as written, and nothing heavy is imported."""
    spec = find_spec(module)
    assert spec
    assert spec.origin
    node: ast.Module | Definition = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for name in qualified_name.split("."):
        node = next(n for n in node.body if isinstance(n, Definition) and n.name == name)
    assert isinstance(node, Definition)
    return node


def _documented(node: Definition, name: str, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{name}`"
    yield ""
    if isinstance(node, Function):
        yield from _code(_signature(node, name))
        yield from _docstring(node)
        return
    methods = [n for n in node.body if isinstance(n, Function)]
    initial = next((method for method in methods if method.name == "__init__"), None)
    if initial:
        yield from _code(_signature(initial, name))
    elif fields := [n for n in node.body if isinstance(n, ast.AnnAssign)]:
        yield from _code([f"{ast.unparse(f.target)}: {_annotation(f.annotation)}{_default(f)}" for f in fields])
    yield from _docstring(node)
    for method in methods:
        if not method.name.startswith("_"):
            is_property = any("property" in ast.unparse(d) for d in method.decorator_list)
            as_attribute = [f"{method.name}: {_annotation(method.returns)}"]
            (line,) = as_attribute if is_property else _signature(method, method.name, width=1000)
            yield f"**`{line}`**"
            yield ""
            yield from _docstring(method)


def _signature(node: Function, name: str, width: int = 88) -> list[str]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    given = zip(positional, defaults, strict=True)
    words = [_argument(a, d) for a, d in given if a.arg not in ("self", "cls")]
    if arguments.kwonlyargs:
        words.append("*")
        words += [_argument(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        words.append(f"**{_argument(arguments.kwarg, None)}")
    returns = f" -> {_annotation(node.returns)}" if node.returns and node.name != "__init__" else ""
    line = f"{name}({', '.join(words)}){returns}"
    if len(line) <= width:
        return [line]
    return [f"{name}(", *(f"    {word}," for word in words), f"){returns}"]


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_annotation(argument.annotation)}" if argument.annotation else ""
    return argument.arg + kind + (f" = {_written(default)}" if default else "")


def _default(field: ast.AnnAssign) -> str:
    if field.value is None or isinstance(field.value, ast.Call):  # field(repr=False) tells a reader nothing
        return ""
    return f" = {_written(field.value)}"


def _annotation(annotation: ast.expr | None) -> str:
    if annotation is None:
        return "None"
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return _written(annotation)


def _written(expression: ast.expr) -> str:
    """As the formatter of the code would write it."""
    text = ast.unparse(expression)
    return text if '"' in text else text.replace("'", '"')


def _code(lines: list[str]) -> Iterator[str]:
    yield "```python"
    yield from lines
    yield "```"
    yield ""


SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Warns):$")
ENTRY = re.compile(r"    (\w[\w, ]*): (.*)")


def _docstring(node: Definition) -> Iterator[str]:
    """A Google-style docstring, with its sections as lists."""
    section = None
    for line in (ast.get_docstring(node) or "").splitlines():
        if heading := SECTION.match(line):
            section = heading[1]
            yield from (f"{section}:", "")
        elif section not in (None, "Returns") and (entry := ENTRY.match(line)):
            yield f"- `{entry[1]}`: {_text(entry[2])}"
        elif section and line.startswith("    "):
            yield ("" if section == "Returns" else "  ") + _text(line.strip())
        else:
            section = None if line else section
            yield _text(line)
    yield ""


def _prose(text: str) -> Iterator[str]:
    yield from (_text(line) for line in inspect.cleandoc(text).splitlines())


def _text(line: str) -> str:
    """A line of a docstring as Markdown: Markdown's own characters are escaped, except in code."""
    if line.startswith("    "):
        return line
    return "`".join(re.sub(r"([*<])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(line.split("`")))


def _cell(text: str) -> str:
    return _text(" ".join(text.split())).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
