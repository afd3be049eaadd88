"""`python -m muslin.oip_check URL`: check a server against the Open Inference Protocol v2.

Exit codes: 0 it conforms, 1 it does not, 2 wrong usage, or the server cannot be reached.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from muslin.errors import MuslinError
from muslin.oip_check.check import check_server
from muslin.oip_check.connection import Server
from muslin.oip_check.outcomes import RuleBrokenError
from muslin.oip_check.target import given_inputs
from muslin.printing import echo, escaped_output, log
from muslin.strict_json import json_text


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("url")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="A model to check. Default: all that the server lists."
)
@click.option(
    "--request",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An inference request in JSON that the models accept. Default: made from the metadata.",
)
@click.option("--token", metavar="TOKEN", envvar="MUSLIN_TOKEN", help="Sent as Authorization: Bearer TOKEN.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header to send with every request.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds to wait for a reply.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def cli(
    url: str,
    models: tuple[str, ...],
    request: Path | None,
    token: str | None,
    headers: tuple[str, ...],
    timeout_s: float,
    as_json: bool,
) -> None:
    """Check the server at URL against each rule of the Open Inference Protocol v2 over HTTP."""
    named = dict(split_header(header) for header in headers)
    if token:
        named["Authorization"] = f"Bearer {token}"
    for name, value in named.items():
        if not (name + value).isascii() or not (name + value).isprintable():
            raise click.UsageError(f"The header {name} can only have printable ASCII characters.")
    server = Server(url.rstrip("/"), named, timeout_s)
    report = check_server(server, models, read_request(request) if request else None)
    echo(json_text(report.to_dict(), indent=2) if as_json else "\n".join(report.lines()))
    sys.exit(0 if report.conforms else 1)


def split_header(text: str) -> tuple[str, str]:
    """A header's name and value.

    Raises:
        click.UsageError: there is no colon.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.UsageError(f"--header {text!r}: expected NAME:VALUE.")
    return name.strip(), value.strip()


def read_request(path: Path) -> dict[str, Any]:
    """The inference request in a file.

    Raises:
        click.UsageError: it is not a JSON object.
    """
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--request {path}: not JSON ({error}).") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"--request {path}: not a JSON object.")
    try:
        given_inputs(found)
    except RuleBrokenError as error:
        raise click.UsageError(f"--request {path}: {error}") from None
    return found


def main() -> None:
    """Run the command."""
    with escaped_output():
        try:
            cli.main(prog_name="python -m muslin.oip_check")
        except MuslinError as error:
            log(str(error))
            sys.exit(2)


if __name__ == "__main__":
    main()
