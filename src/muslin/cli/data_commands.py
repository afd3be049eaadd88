"""Commands on data sets: get, look, audit, convert."""

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_json
from muslin.errors import MuslinError
from muslin.printing import echo, log


@command(
    "get name",
    option("--csv DIR", "Also write new CSV files like Kaggle's: NAME_train.csv, NAME_test.csv.", type=shared.PATH),
    shared.overwrite_option("Replace the CSV files if they exist."),
    shared.json_option,
)
def get_command(name: str, csv: Path | None, overwrite: bool, as_json: bool) -> None:
    """Download a registered data set and verify it."""
    from muslin.data import read
    from muslin.data.convert import csv_files, write_csv
    from muslin.data.dataset_cache import local_copies, obtain
    from muslin.data.registry import lookup
    from muslin.storage.outputs import Output

    if overwrite and csv is None:
        raise MuslinError("option_needs", option="--overwrite", needed="--csv")
    facts = lookup(name).to_dict()
    csv_output = csv and Output(csv, overwrite)
    if csv_output:
        for file in csv_files(name, csv_output):
            file.check(local_copies(name))
    if not as_json:
        for title, text in facts.items():
            echo(f"{title:8}  " + text.replace("\n", "\n" + " " * 10))
    files = obtain(name, log=log)
    written = [str(path) for path in write_csv(read(name), csv_output)] if csv_output else []
    if as_json:
        folder = files.path if files.path.is_dir() else files.path.parent
        places = {"path": str(files.path), "origin": files.origin, "checked": files.checked, "csv": written}
        print_json({"name": name, "folder": str(folder)} | places | facts)
        return
    echo(f"{name}: {files.origin}")
    echo(f"files in {files.path}, {files.checked}")
    for written_path in written:
        echo(f"wrote {written_path}")


def _selection(values: dict[str, Any]) -> Any:
    """None if no option asks for images."""
    from muslin.reporting.data_preview import ImageSelection

    seed, false_colour, gray = values.pop("seed"), values.pop("false_colour"), values.pop("gray")
    if seed is not None and values["sample"] is None:
        raise MuslinError("option_needs", option="--seed", needed="--sample")
    shared.refuse_together(false_colour=false_colour, gray=gray)
    values["colour"] = "false" if false_colour else "gray" if gray else None
    chosen = {"class": values["class_name"], "sample": values["sample"]}
    for name in ("class", "sample"):  # a sample of a class is one choice, a single image or the means another
        shared.refuse_together(index=values["index"], class_means=values["class_means"], **{name: chosen[name]})
    asked = shared.given(values)
    return ImageSelection(**asked, seed=seed or 0) if asked else None


@command(
    "look data",
    option("--split", "Only this part. Default: all.", type=shared.SPLITS),
    Group(
        "selection",
        option("--index N", "Show image N, counted from 0 in the part.", type=int),
        option("--class NAME", "Show only images of this class.", dest="class_name"),
        option("--sample N", "Show N images drawn at random.", type=click.IntRange(1, 10000)),
        option("--class-means", "Show the mean image of each class."),
        option("--false-colour", "Show false colours, dark violet to yellow."),
        option("--gray", "Show gray images. Default: their own colours."),
        shared.seed_option("Seed of the random sample. Default: 0.", None),
        make=_selection,
    ),
    shared.output_options(
        "Write the images to this new PNG file instead of showing them. Default: a sample of 25.", suffix=".png"
    ),
    shared.read_options,
    shared.json_option,
)
def look_command(
    data: str, split: str | None, selection: Any, output: Any, read_options: dict[str, Any], as_json: bool
) -> None:
    """Describe a data set, or show its images."""
    from muslin.data import read, read_and_log
    from muslin.reporting.data_preview import ImageSelection, dataset_summary, preview_sheet, print_preview
    from muslin.reporting.terminal.dataset import print_dataset
    from muslin.workflows.inputs import check_output, check_photos

    if as_json and (output or selection):
        raise MuslinError("options_exclusive", options=["--json", "--out" if output else "the choice of images"])
    check_output(output, data=(data,))
    read_data = read_and_log if as_json or output or selection else read  # print_dataset shows the fixes
    dataset = read_data(data, **read_options, all_targets="target" not in read_options, log=log)
    check_photos(output, dataset)
    chosen = dataset if split in (None, "all") else dataset.part(str(split))
    if as_json:
        print_json(dataset_summary(chosen))
    elif output:
        output.write(preview_sheet(chosen, selection or ImageSelection()))
        echo(f"wrote {output.path}")
    elif selection:
        print_preview(chosen, selection)
    else:
        print_dataset(chosen)


@command(
    "audit data",
    shared.out_option("New folder of the audit. Default: audits/ and the name of DATA.", "DIR"),
    shared.overwrite_option("Replace an earlier audit in the folder, with its exclude.csv."),
    Group(
        "options",
        shared.test_option,
        option(
            "--check KIND...",
            "Look only for this kind of finding. Repeat it for several.",
            dest="checks",
            load=lambda: import_module("muslin.data.audit.findings").KINDS,
        ),
        shared.seed_option("Seed of the models that check the labels. Default: 0.", None),
    ),
    shared.read_options,
    shared.json_option,
)
def audit_command(
    data: str, out: Path | None, overwrite: bool, options: dict[str, Any], read_options: dict[str, Any], as_json: bool
) -> None:
    """Find faults in a data set.

    Finds wrong labels, duplicates, leaks and unusable images. Writes a page to decide on, and exclude.csv.
    """
    from muslin.reporting.terminal.audit import print_audit
    from muslin.storage.outputs import Output
    from muslin.workflows import audit as audit_workflow
    from muslin.workflows.run_folder import command_to_repeat

    seed, checks = options.pop("seed"), options["checks"]
    if seed is not None and checks and "suspect_label" not in checks:
        raise MuslinError("option_needs", option="--seed", needed="--check suspect_label")
    folder = out or Path("audits") / (Path(data).name or "data")
    audit = audit_workflow.audit(
        data, out=Output(folder, overwrite), seed=seed or 0, **options, read_options=read_options, log=log
    )
    if as_json:
        print_json({"folder": str(folder)} | audit.summary())
        return
    print_audit(audit)
    echo(f"\nOpen {folder / 'audit.html'} to decide. The suggestions are in {folder / 'exclude.csv'}.")
    if suspects := audit.of("suspect_label"):
        echo(_how_to_correct(folder / "corrections.csv", len(suspects), len(audit.corrections)))
    source = {"data": data, "test": options["test"], "read_options": read_options}
    echo(f"Then run: {command_to_repeat(source, None, 0, folder / 'exclude.csv')}")


def _how_to_correct(path: Path, suspects: int, suggested: int) -> str:
    """What an audit's corrections.csv holds, and how a person completes it."""
    from muslin.text import plural

    listed = f"{path} lists {plural(suspects, 'suspect label')}"
    use = "Then pass the file to `muslin train --corrections`."
    if not suggested:
        return (
            f"{listed}, of which none is probably wrong. Where one is, write the correct label into `suggested`. {use}"
        )
    return f"{listed}, with a suggestion for {suggested:,}. Check the column `suggested`, and complete it. {use}"


@command(
    "convert data dest",
    option(
        "--to FORMAT",
        "Format to write: `folders` of photos, `csv` or `idx` of pixels, or `parquet` of photos with all labels.",
        required=True,
        load=lambda: [row.writer for row in import_module("muslin.data.formats").FORMATS if row.writer],
    ),
    shared.test_option,
    shared.read_options,
    shared.json_option,
)
def convert_command(
    data: str, dest: str, to: str, test: str | None, read_options: dict[str, Any], as_json: bool
) -> None:
    """Convert DATA to another format, at DEST.

    Names what the format cannot hold. Overwrites nothing.
    """
    from muslin.data.convert import convert

    converted = convert(data, to, Path(dest), test=test, read_options=read_options, log=log)
    if as_json:
        print_json(converted.to_dict())
        return
    echo(f"wrote {converted.count:,} samples to {converted.path}, as {converted.format}")
    for warning in converted.warnings:
        echo(warning)
