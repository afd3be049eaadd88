"""The terminal edge: parse, call one function of the flow, print."""

import errno
import json
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click

from muslin.errors import DataError, MuslinError, RecipeError


def _shape(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    numbers = value.replace("×", "x").split("x")
    if len(numbers) not in (2, 3) or not all(n.isdigit() and int(n) > 0 for n in numbers):
        raise click.BadParameter("give height and width, and 3 for colour: 28x28 or 32x32x3.")
    return tuple(int(n) for n in numbers)


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how data are to be read, gathered into `reading`."""
    command = click.option(
        "--format",
        "format_",
        metavar="NAME",
        help="Read DATA as idx, deepfashion, deepfashion-fine, imaterialist, parquet-photos, table, folders, "
        "pixels-csv or pixels-csv-parts, whatever it looks like.",
    )(command)
    command = click.option(
        "--shape",
        callback=_shape,
        metavar="HxW[xC]",
        help="Size of an image whose pixels are in a row, such as 28x28.",
    )(command)
    for name, metavar, about in (
        ("images", "PATH", "The folder, zip or tar with the photos that a table names."),
        ("image-column", "COLUMN", "A table's column that names the photo."),
        ("group", "COLUMN", "A table's column of groups; none is ever divided between parts."),
        ("split-column", "COLUMN", "A table's column that says each row's part."),
    ):
        command = click.option(f"--{name}", metavar=metavar, help=about, expose_value=False, callback=_kept)(
            command
        )
    command = click.option(
        "--separator",
        multiple=True,
        metavar="SEP",
        expose_value=False,
        callback=_kept,
        help="What separates labels in a table's cells: `|`, `;`, `,` or none; COLUMN=SEP for one column.",
    )(command)
    for name, metavar, about in (
        ("min-per-class", "[TARGET=]N", "Merge classes of fewer than N images into `other`."),
        (
            "rare",
            "[TARGET=]WAY",
            "`drop` makes the labels of such classes unknown; `merge` is what is done else.",
        ),
    ):
        command = click.option(
            f"--{name}", multiple=True, metavar=metavar, help=about, expose_value=False, callback=_kept
        )(command)
    command = click.option(
        "--crop",
        is_flag=True,
        expose_value=False,
        callback=_kept,
        help="Cut photos to the boxes that come with them.",
    )(command)
    return click.option(
        "--target",
        multiple=True,
        metavar="COLUMN",
        help="The column that holds the label: its name, `first` or `last`; may be repeated for a table of photos.",
    )(command)


def _kept(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Options that need no parsing wait in the context until `_gathered` asks for them."""
    if value:
        context.meta.setdefault(TABLE_OPTIONS, {})[str(option.name)] = value


TABLE_OPTIONS = "muslin.table"


def _gathered(format_: str | None, shape: tuple[int, ...] | None, target: tuple[str, ...]) -> dict[str, Any]:
    named = target[0] if len(target) == 1 else list(target) or None
    tables = click.get_current_context().meta.get(TABLE_OPTIONS, {})
    given = {"format": format_, "shape": shape, "target": named, **tables}
    return {name: value for name, value in given.items() if value is not None}


def _thresholds(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> dict[str, float]:
    changes = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            changes[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"{word!r}: give a probability, as 0.7 or NAME=0.7.") from None
    return changes


threshold = click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    callback=_thresholds,
    metavar="[NAME=]P",
    help="From which probability on a class is the answer, for two classes or several labels an image: of class "
    "NAME, or of all (the second of two). May be repeated.",
)
judged_part = click.option(
    "--split",
    "part",
    default="test",
    show_default=True,
    metavar="PART",
    help="train, validation, test or all. Data without parts are judged whole.",
)


def _wanted(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which answers may be taken without looking."""
    command = click.option(
        "--per",
        metavar="WHAT",
        help="Promise it of all accepted answers together (all, the default), or of each class by itself (class).",
    )(command)
    return click.option(
        "--precision",
        type=float,
        metavar="SHARE",
        help="How many of the accepted answers are to be right, from 0.5 to below 1. Default 0.98.",
    )(command)


def _promise(precision: float | None, per: str | None) -> dict[str, Any]:
    """Those of the two that were given."""
    return {k: v for k, v in (("precision", precision), ("per", per)) if v is not None}


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="muslin", message="muslin %(version)s")
@click.option("--debug", is_flag=True, help="On an error show the whole traceback.")
def cli(debug: bool) -> None:
    """From a fashion catalogue's files to an image classifier you have looked through and can trust.

    DATA is a known name (fashion-mnist, clothing-small, clothing, cats-dogs), a file or a folder. MODEL is a
    .muslin file or a run's folder.
    """


@cli.command()
@click.argument("name")
@click.option(
    "--csv",
    "csv_folder",
    type=PATH,
    metavar="DIR",
    help="Also write its parts as CSV files like Kaggle's: NAME_train.csv, NAME_test.csv.",
)
@as_json
def get(name: str, csv_folder: Path | None, as_json: bool) -> None:
    """Obtain a known data set, verified."""
    from muslin.data import read, registry

    facts = registry.dataset_facts(registry.lookup(name))
    if not as_json:
        for what, said in facts.items():
            click.echo(f"{what:8}  " + said.replace("\n", "\n" + " " * 10))
    found = registry.get(name, log=_log)
    written = [str(p) for p in registry.write_csv(read(name), csv_folder)] if csv_folder else []
    if as_json:
        folder = found.path if found.path.is_dir() else found.path.parent
        told = {"path": str(found.path), "origin": found.origin, "checked": found.checked, "csv": written}
        _print_json({"name": name, "folder": str(folder)} | told | facts)
        return
    click.echo(f"{name}: {found.origin}")
    click.echo(f"files in {found.path}, {found.checked}")
    for path in written:
        click.echo(f"wrote {path}")


@cli.command()
@click.argument("data")
@click.option(
    "--split", "part", metavar="PART", help="Only this part: train, validation or test. Default: all."
)
@click.option("--index", type=int, metavar="N", help="Show image N (of the part, or of all).")
@click.option("--class", "class_name", metavar="NAME", help="Only images of this class.")
@click.option("--sample", type=click.IntRange(1, 10_000), metavar="N", help="Show N images drawn at random.")
@click.option("--mean", is_flag=True, help="Show the mean image of each class.")
@click.option("--colour", "colour", flag_value="false", help="In false colours, dark violet to yellow.")
@click.option("--gray", "colour", flag_value="gray", help="In gray. Default: as the images are.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Same seed, same random sample.",
)
@click.option(
    "-o",
    "--out",
    type=PATH,
    metavar="FILE",
    help="Write what would be shown as a PNG; by default a sample of 25.",
)
@_reading
@as_json
def look(
    data: str, part: str | None, index: int | None, class_name: str | None, sample: int | None, mean: bool,
    colour: Literal["gray", "false"] | None, seed: int, out: Path | None,
    format_: str | None, shape: tuple[int, ...] | None, target: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """What is in a data set; show its images."""
    from muslin.data import read
    from muslin.reporting.data_preview import ImageSelection, dataset_summary, preview_sheet, print_preview
    from muslin.reporting.terminal.dataset import print_dataset
    from muslin.storage.atomic import write_atomically

    dataset = read(data, **_gathered(format_, shape, target), every_target=not target, log=_log)
    chosen = dataset if part in (None, "all") else dataset.part(str(part))
    if as_json:
        _print_json(dataset_summary(chosen))
        return
    if not mean and all(wish is None for wish in (index, sample, class_name, colour, out)):
        print_dataset(chosen)
        return
    selection = ImageSelection(index, mean, class_name, sample, seed, colour or "original")
    if out:
        write_atomically(out, preview_sheet(chosen, selection))
        click.echo(f"wrote {out}")
    else:
        print_preview(chosen, selection)


@cli.command()
@click.argument("data")
@click.option(
    "-o",
    "--out",
    type=PATH,
    metavar="DIR",
    help="The audit's folder. Default: one below audits/, named after DATA.",
)
@click.option("--test", metavar="FILE", help="A file with the test part, where DATA has only the train part.")
@click.option(
    "--only",
    multiple=True,
    metavar="KIND",
    help="Only this kind of finding, such as near_duplicate; may be repeated.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the networks that judge the labels.",
)
@_reading
@as_json
def audit(
    data: str, out: Path | None, test: str | None, only: tuple[str, ...], seed: int, format_: str | None,
    shape: tuple[int, ...] | None, target: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """What is wrong with a data set. Leaves a page to decide on, and the names of what to leave out of training."""
    from muslin.reporting.report.audit_page import print_audit
    from muslin.workflows import audit as audit_workflow
    from muslin.workflows import train as train_workflow

    folder = out or Path("audits") / (Path(data).name or "data")
    reading = _gathered(format_, shape, target)
    found = audit_workflow.audit(data, out=folder, test=test, only=only, seed=seed, reading=reading, log=_log)
    if as_json:
        _print_json({"audit": str(folder)} | audit_workflow.summary(found))
        return
    print_audit(found)
    click.echo(f"\nopen {folder / 'audit.html'} and decide; the suggestions are in {folder / 'exclude.csv'}")
    source = {"data": data, "test": test, "reading": reading}
    click.echo(f"then: {train_workflow.command(source, None, 0, folder / 'exclude.csv')}")


@cli.command()
@click.argument("data", required=False)
@click.option(
    "--recipe",
    metavar="NAME",
    help="quick, brisk, thorough, tutorial, small-photo, photo, photo-tuned, or auto (default), which takes what suits "
    "the images and says why; docs/reference/recipes.md has their numbers.",
)
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="How often every training image is seen.")
@click.option(
    "--within",
    metavar="TIME",
    help="How long training may take, as 30s or 2min: the most accurate recipe that fits, measured on this machine.",
)
@click.option(
    "--reach",
    type=float,
    metavar="SHARE",
    help="The quickest recipe that got this share of Fashion-MNIST right, as 0.94; says how long it will take.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a number of the recipe, as in batch_size=128; may be repeated.",
)
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Same seed, same weights. Default 0.")
@click.option("--test", metavar="FILE", help="A file with the test part, where DATA has only the train part.")
@click.option(
    "--out", type=PATH, metavar="RUN", help="The run's folder, new or empty. Default: one below runs/."
)
@click.option(
    "--without",
    type=PATH,
    metavar="FILE",
    help="Leave out the samples that this CSV names by part and id: exclude.csv of an audit, or your choices.",
)
@click.option(
    "--max-unreadable",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Train although up to this share of the photos cannot be read; they are left out. Default 0.2.",
)
@click.option("--resume", type=PATH, metavar="RUN", help="Go on with an interrupted run.")
@_reading
@as_json
def train(
    data: str | None, recipe: str | None, epochs: int | None, within: str | None, reach: float | None,
    changes: tuple[str, ...], seed: int | None, test: str | None, out: Path | None, resume: Path | None,
    format_: str | None, shape: tuple[int, ...] | None, target: tuple[str, ...], without: Path | None,
    max_unreadable: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Train a classifier on DATA. Leaves a folder with the sealed model, its evaluation and a report."""
    from muslin.reporting.terminal.progress import training_progress
    from muslin.workflows import train as train_workflow
    from muslin.workflows.time_budget import seconds_of

    settings = _settings(changes) | ({"epochs": epochs} if epochs else {})
    reading = _gathered(format_, shape, target)
    broken = {} if max_unreadable is None else {"max_unreadable": max_unreadable}
    with _stopping() as should_stop, training_progress() as on_progress:
        if resume:
            fixed = {
                "--recipe": recipe,
                "--seed": seed,
                "--out": out,
                "--epochs": epochs,
                "--within": within,
                "--reach": reach,
                "--set": changes or None,
                "--without": without,
                "--max-unreadable": max_unreadable,
                **{f"--{name.replace('_', '-')}": value for name, value in reading.items()},
            }
            if given := [name for name, value in fixed.items() if value is not None]:
                raise click.UsageError(f"--resume goes on as the run began; leave out {', '.join(given)}.")
            run = train_workflow.resume(
                resume, data, test=test, on_progress=on_progress, log=_log, should_stop=should_stop
            )
        elif data:
            run = train_workflow.train(
                data, recipe=recipe or "auto", out=out, seed=seed or 0, test=test, settings=settings,
                time_budget_s=None if within is None else seconds_of(within), reach=reach,
                reading=reading, without=without, **broken, on_progress=on_progress, log=_log, should_stop=should_stop,
            )  # fmt: skip
        else:
            raise click.UsageError("name the DATA to train on, or a run to --resume.")
    if as_json:
        _print_json(train_workflow.run_summary(run))
        return
    from muslin.reporting.terminal.model import print_run

    print_run(run.folder, run.record)


@cli.command()
@click.argument("data")
@click.argument("dest", type=PATH)
@click.option(
    "--to",
    required=True,
    metavar="FORMAT",
    help="folders (photos), csv or idx (pixels of one size), or parquet (photos and every label in one file).",
)
@click.option("--test", metavar="FILE", help="A file with the test part, where DATA has only the train part.")
@_reading
@as_json
def convert(
    data: str, dest: Path, to: str, test: str | None, format_: str | None, shape: tuple[int, ...] | None,
    target: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """The same data in another format, at DEST. Says what the format cannot hold; overwrites nothing."""
    from muslin.data.convert import convert

    made = convert(data, to, dest, test=test, read_options=_gathered(format_, shape, target), log=_log)
    if as_json:
        _print_json(made.to_dict())
        return
    click.echo(f"wrote {made.count:,} samples to {made.path}, as {made.format}")
    for sentence in made.warnings:
        click.echo(f"not kept: {sentence}")
    for sentence in made.excluded:
        click.echo(f"left out: {sentence}")


@cli.command()
@click.argument("model")
@click.argument("data")
@judged_part
@click.option("-o", "--out", type=PATH, metavar="FILE", help="Also write the figures as JSON.")
@click.option("--by", metavar="COLUMN", help="How the model does for each value of this column, as season.")
@threshold
@_wanted
@_reading
@as_json
def evaluate(
    model: str, data: str, part: str, out: Path | None, by: str | None, format_: str | None,
    shape: tuple[int, ...] | None, target: tuple[str, ...], thresholds: dict[str, float],
    precision: float | None, per: str | None, as_json: bool,
) -> None:  # fmt: skip
    """How often a model is right on DATA, and which answers may be taken. Figures come with 95 % intervals."""
    from muslin.models.predictor import Predictor
    from muslin.reporting.terminal.evaluation import print_evaluation
    from muslin.reporting.terminal.reliability import print_trust
    from muslin.workflows import evaluate as evaluate_workflow
    from muslin.workflows import train as train_workflow

    judged = evaluate_workflow.judge(
        Predictor.open(model).with_thresholds(thresholds), data, split=part, reading=_gathered(format_, shape, target),
        **_promise(precision, per), by=by, log=_log,
    )  # fmt: skip
    if out:
        train_workflow.write_evaluation(judged.evaluations, judged.part, out, judged.reliabilities)
    if as_json:
        _print_json(judged.to_dict())
        return
    _log(f"judged on {'all the data' if judged.part == 'all' else f'the {judged.part} part'}")
    for name, evaluation in judged.evaluations.items():
        print_evaluation(evaluation, name if len(judged.evaluations) > 1 else "")
        print_trust(judged.reliabilities[name], by=by)


@cli.command()
@click.argument("model")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@threshold
@_wanted
@as_json
def predict(
    model: str,
    images: tuple[str, ...],
    thresholds: dict[str, float],
    precision: float,
    per: str,
    as_json: bool,
) -> None:
    """What a model sees in images: files, or folders of them. With --json, one line per image."""
    from muslin.models.predictor import Predictor

    predictor, rows, wanted = Predictor.open(model).with_thresholds(thresholds), [], _promise(precision, per)
    if (
        predictor.bundle.calibration_data or precision is not None or per is not None
    ):  # else nobody expects a promise
        for found in predictor.policies(**wanted).values():
            for sentence in found.unsupported:
                _log(sentence)
    for prediction in predictor.predict_iter(list(images), **wanted):
        rows.append(prediction.to_dict())
        if as_json:
            _print_json(rows[-1])
    if not as_json:
        from muslin.reporting.terminal.predictions import print_predictions

        print_predictions(rows)
    if all(row["error"] for row in rows):
        raise DataError("no image could be read; each one's problem is named above.")


@cli.command()
@click.argument("model")
@click.argument("catalogue", type=PATH)
@click.option(
    "-o",
    "--out",
    type=PATH,
    required=True,
    metavar="FILE",
    help="The catalogue with its new columns, in its own format; of a folder a .csv, .tsv or .jsonl.",
)
@click.option("--images", metavar="PATH", help="The folder, zip or tar with the photos.")
@click.option("--image-column", metavar="COLUMN", help="The column that names the photo.")
@click.option(
    "--taxonomy",
    type=PATH,
    metavar="FILE",
    help="A table of what the shop calls the tags: columns tag, parent, name, language.",
)
@click.option("--language", metavar="NAME", help="Whose names of the taxonomy to use.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted job.")
@_wanted
@as_json
def tag(
    model: str, catalogue: Path, out: Path, images: str | None, image_column: str | None,
    taxonomy: Path | None, language: str | None, resume: bool, precision: float | None, per: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Tag a CATALOGUE: the same table again, with columns added that say what each photo shows."""
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.reporting.terminal.tagging import sentence
    from muslin.workflows import tag as tag_workflow

    with _stopping() as should_stop, tagging_progress() as on_progress:
        tagged = tag_workflow.tag(
            model, catalogue, out, images=images, image_column=image_column, taxonomy=taxonomy,
            language=language, resume=resume, **_promise(precision, per), log=_log, on_progress=on_progress,
            should_stop=should_stop,
        )  # fmt: skip
    if as_json:
        _print_json(tagged.to_dict())
    else:
        click.echo(sentence(tagged))
    if tagged.problems == tagged.products:
        raise DataError(
            f"none of the {tagged.products:,} photos could be read; {out} names each one's problem."
        )


@cli.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.argument("data")
@judged_part
@click.option(
    "--fail-if-worse-than",
    "most_worse",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Exit 1 where B is right on a smaller share than A by more than this, as in 0.01.",
)
@click.option(
    "-o", "--out", type=PATH, metavar="FILE", help="Also write a PNG of images on which they disagree."
)
@_reading
@as_json
def compare(
    first: str, second: str, data: str, part: str, most_worse: float | None, out: Path | None,
    format_: str | None, shape: tuple[int, ...] | None, target: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Which of two models is better on DATA, A or B, and whether that is more than chance."""
    from muslin.reporting.terminal.comparison import print_comparison, verdict
    from muslin.storage.atomic import write_atomically
    from muslin.workflows import compare as compare_workflow

    compared = compare_workflow.compare(
        first, second, data, split=part, reading=_gathered(format_, shape, target), log=_log
    )
    for name in compared.comparisons if out else ():
        place = Path(str(out)) if len(compared.comparisons) == 1 else _beside(Path(str(out)), name)
        if (sheet := compare_workflow.disagreements(compared, name)) is None:
            _log(f"{name}: the models agree on every image")
        else:
            write_atomically(place, sheet)
            _log(f"wrote {place}")
    if as_json:
        _print_json(compared.to_dict())
    else:
        print_comparison(compared.comparisons)
    if most_worse is not None:
        for name, found in compared.comparisons.items():
            if found.overall.difference < -most_worse:
                raise DataError(
                    f"{name}: {second} is {verdict(found.overall)}. At most {100 * most_worse:g} points are allowed; "
                    f"keep {first}."
                )


def _beside(path: Path, name: str) -> Path:
    """`sheet.png` for one of several targets: `sheet-kind.png`."""
    plain = "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in name)
    return path.with_name(f"{path.stem}-{plain}{path.suffix}")


@cli.command()
@click.argument("model")
@as_json
def inspect(model: str, as_json: bool) -> None:
    """What is inside a model. Its classes, its layers, and how it was made."""
    from muslin.models.predictor import Predictor
    from muslin.reporting.terminal.model import model_summary, print_model

    bundle = Predictor.open(model).bundle
    if as_json:
        _print_json(model_summary(bundle))
    else:
        print_model(bundle)


@cli.command()
@click.argument("model")
@click.argument("image", type=PATH)
@click.option("-o", "--out", type=PATH, metavar="FILE", help="Write the whole explanation as a page.")
@click.option("--target", metavar="NAME", help="Explain the answer to this question only.")
@click.option("--class", "label", metavar="NAME", help="The class to explain. Default: the model's answer.")
@click.option(
    "--rather-than", "versus", metavar="NAME", help="The class to set it against. Default: the next one."
)
@click.option("--layer", metavar="NAME", help="The layer whose cells hold the evidence.")
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", help="Of the trust tests. Default 0.")
@as_json
def explain(
    model: str, image: Path, out: Path | None, target: str | None, label: str | None, versus: str | None,
    layer: str | None, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Why a model answers as it does for IMAGE, and whether that explanation is to be trusted."""
    from muslin.reporting.report.explanation_page import page
    from muslin.reporting.terminal.explanation import print_explanation
    from muslin.storage.atomic import write_atomically
    from muslin.workflows import explain as explain_workflow

    found = explain_workflow.explain(
        model, image, target=target, label=label, versus=versus, layer=layer, seed=seed, log=_log
    )
    if out:
        write_atomically(out, page(found).encode(errors="replace"))  # a file's name need not be Unicode
    if as_json:
        _print_json(found.to_dict())
        return
    print_explanation(found.to_dict())
    if out:
        click.echo(f"\nwrote {out}; it opens in any browser, also without a network")


@cli.command()
@click.argument("folder", type=PATH, default=".")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8001,
    show_default=True,
    metavar="N",
    help="Port on this machine; 0 takes any that is free.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in your browser.")
def studio(folder: Path, port: int, open_browser: bool) -> None:
    """See inside your models, in the browser. Serves the models and images of FOLDER, to this machine only."""
    from muslin.studio.server import run_studio

    run_studio(folder, port, open_browser, log=_log)


def main() -> None:
    """Run the command line: exit 0 on success, 1 when the work could not be done, 2 for wrong usage."""
    # taken out first, so that it may stand anywhere in the line
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        sys.exit(cli.main(arguments, prog_name="muslin", standalone_mode=False) or 0)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("muslin: interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has seen enough, as `| head` does
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        click.echo(f"muslin: {' '.join(_text(error).split())}", err=True)
        sys.exit(1)


def _text(error: Exception) -> str:
    if isinstance(error, MuslinError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # files of muslin's own say which they are
        where = error.filename or "what was to be printed"
        return f"{where}: cannot be written ({error.strerror}). The disk is full: free some space."
    return f"{type(error).__name__}: {error}. This is a fault of muslin; --debug shows more."


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """A question to ask after every step: did Ctrl-C or a polite kill ask to stop? A second Ctrl-C stops at once."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _log("stopping after this step; once more to stop at once")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _settings(changes: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise RecipeError(f"--set {change}: write NAME=VALUE, for example --set batch_size=128.")
        settings[name.strip().replace("-", "_")] = value.strip()
    return settings


def _log(sentence: str) -> None:
    click.echo(sentence, err=True)


def _print_json(value: Any) -> None:
    # a file's name need not be UTF-8; JSON has an escape for what is not
    click.echo(json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode())
