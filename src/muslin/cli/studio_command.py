"""The command that serves the studio."""

from pathlib import Path

import click

from muslin.cli import options as shared
from muslin.cli.options import option
from muslin.cli.output import log


@shared.command("studio")
@click.argument("folder", type=shared.PATH, default=".")
@option(
    "--port",
    "N",
    "Port on this machine; 0 takes a free one.",
    type=click.IntRange(0, 65535),
    default=8001,
    show_default=True,
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in your browser.")
def studio_command(folder: Path, port: int, open_browser: bool) -> None:
    """See inside your models in the browser. Serves the models and images of FOLDER to this machine only."""
    from muslin.studio.server import run_studio

    run_studio(folder, port, open_browser, log=log)
