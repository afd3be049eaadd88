"""Commands on exports of shop systems: fetch, fill."""

import sys
from pathlib import Path
from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_error, print_json, stop_on_signals
from muslin.errors import FetchError, MuslinError
from muslin.printing import echo, log


@command(
    "fetch data",
    shared.out_option("Folder of the photos and the tables; the same command goes on in it.", "DIR", required=True),
    option(
        "--host HOST...",
        "Host that may be asked, as the table names it, such as cdn.shopify.com. Repeat it for several. Default: a "
        "list to confirm.",
        dest="hosts",
    ),
    Group(
        "options",
        option(
            "--column COLUMN...",
            "Column with addresses. Repeat it for several. Default: those that hold addresses of photos.",
            dest="columns",
        ),
        option(
            "--rate N",
            "Requests to one host in a second, at most.",
            type=click.FloatRange(0.01, 1000),
            default=10,
            show_default=True,
        ),
        option("--again", "Also ask for addresses that had no photo before."),
        option("--update", "Also ask whether photos that are there have changed; unchanged ones are not transferred."),
        shared.overwrite_option("Replace tables in the folder that muslin did not write."),
    ),
    shared.json_option,
)
def fetch_command(data: str, out: Path, hosts: tuple[str, ...], options: dict[str, Any], as_json: bool) -> None:
    """Fetch the photos whose web addresses a table names, such as a shop's export.

    Writes the photos and the same table with a column of their names. Only hosts that you confirm are asked.
    """
    from muslin.fetching.address import parse_site
    from muslin.reporting.terminal.fetching import fetch_summary
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.workflows import fetch as fetch_workflow

    sites = {parse_site(host) for host in hosts}
    plan = fetch_workflow.plan_fetch(data, out, fetch_workflow.FetchOptions(**options))
    if not hosts and plan.hosts:
        sites = _confirmed(plan.columns, plan.hosts, as_json)
    with stop_on_signals() as should_stop, tagging_progress("photos") as on_progress:
        result = fetch_workflow.fetch(plan, sites, log=log, on_progress=on_progress, should_stop=should_stop)
    if not as_json:
        echo(fetch_summary(result))
    if not result.photos:
        error = FetchError("no_photo_fetched", path=str(result.failed))
        sys.exit(print_error(error, as_json=as_json, result=result.to_dict()))
    if as_json:
        print_json(result.to_dict())


def _confirmed(columns: tuple[str, ...], hosts: Any, as_json: bool) -> set[str]:
    """The hosts, once a person at the terminal has said yes."""
    from muslin.reporting.terminal.fetching import host_list
    from muslin.text import plural, word_list

    if as_json or not sys.stdin.isatty():
        raise FetchError("hosts_not_confirmed", hosts=[f"{host} ({count:,})" for host, count in hosts.items()])
    echo(f"addresses: {plural(len(columns), 'column')} {word_list(list(columns))}", err=True)
    echo(f"{plural(sum(hosts.values()), 'photo')} to fetch:", err=True)
    for line in host_list(hosts):
        echo(line, err=True)
    if not click.confirm("Fetch them?", err=True):
        raise MuslinError("interrupted")
    return set(hosts)


@command(
    "fill data tagged",
    Group(
        "options",
        option("--column COLUMN", "Column of DATA to fill.", required=True),
        option(
            "--from COLUMN",
            "Column of TAGGED with what is filled in, such as `category_id`.",
            dest="source",
            default="tag",
            show_default=True,
        ),
        option("--with-parents", "Write the names above a tag before it: Clothing > Tops > T-Shirts."),
        option("--all-tags", "Also fill in tags that are not accepted."),
        option("--replace", "Also replace the shop's own values."),
    ),
    shared.output_options("A new file for the table.", required=True),
    shared.json_option,
)
def fill_command(data: str, tagged: str, options: dict[str, Any], output: Any, as_json: bool) -> None:
    """Fill a column of a shop's own table with tags.

    DATA is a CSV, TSV or XLSX such as an export, TAGGED what `tag` wrote for the same rows. Accepted tags go into empty
    cells; everything else in DATA stays: byte for byte, or in XLSX cell for cell.
    """
    from muslin.reporting.terminal.fetching import fill_summary
    from muslin.workflows.fill import FillOptions, fill

    result = fill(data, tagged, output, FillOptions(**options))
    if as_json:
        print_json(result.to_dict())
    else:
        echo(fill_summary(result))
