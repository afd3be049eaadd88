"""Commands on colours: colour, colour-table."""

import sys
from typing import Any

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_error, print_json, stop_on_signals
from muslin.errors import DataError
from muslin.printing import echo, log


@command(
    "colour data",
    shared.table_output_options(),
    Group(
        "options",
        option(
            "--colours FILE",
            "Table of the shop's named colours, with the columns name and hex; a name can have several rows. Default: "
            "the one that `muslin colour-table` writes.",
            type=shared.PATH,
        ),
        option("--language COLUMN", "Column of that table with the names to use, such as `zh`. Default: `name`."),
        option("--resume", "Continue an interrupted job."),
    ),
    shared.read_options,
    shared.json_option,
)
def colour_command(
    data: str, output: Any, options: dict[str, Any], read_options: dict[str, Any], as_json: bool
) -> None:
    """Name the main colours of the garments in DATA, such as a catalogue of products.

    Writes the same table with columns added; for other data, such as folders, a new table. The background does not
    count; where it has colours like the garment's, the column colour_note says unclear.
    """
    from muslin.reporting.terminal.colours import colour_summary
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.workflows import colour as colour_workflow

    with stop_on_signals() as should_stop, tagging_progress() as on_progress:
        result = colour_workflow.colour(
            data, output, colour_workflow.ColourOptions(**options, read_options=read_options),
            log=log, on_progress=on_progress, should_stop=should_stop,
        )  # fmt: skip
    if not as_json:
        echo(colour_summary(result))
    if result.unreadable == result.products:
        error = DataError("all_images_unreadable", "written", count=result.products, path=str(output.path))
        sys.exit(print_error(error, as_json=as_json, result=result.to_dict()))
    if as_json:
        print_json(result.to_dict())


@command("colour-table", shared.output_options("A new CSV file for the table.", required=True))
def colour_table_command(output: Any) -> None:
    """Write the table of named colours, to edit it for `muslin colour --colours FILE`."""
    from muslin.colour import builtin_table

    output.write(builtin_table())
    echo(f"wrote {output.path}")
