"""The commands of the review loop."""

import sys
from importlib import import_module
from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_error, print_json, stop_on_signals
from muslin.errors import DataError, MuslinError
from muslin.printing import echo, log
from muslin.text import percent

who_option = option(
    "--who NAME", "Your name, which the store keeps with the change. Default: your user name on this computer."
)


def user_name(who: str | None) -> str:
    """`who`, or the name of the user on this computer."""
    from getpass import getuser

    try:
        return who or getuser()
    except (KeyError, OSError, ImportError):  # a user without a name
        return "unknown"


@command(
    "review init store",
    option("--model FILE", "The model that predicts: a .muslin file or the folder of a run.", required=True),
    option(
        "--data DATA",
        "The data that trained the model, for `muslin review train`. Default: the data of the run that made the model.",
    ),
    Group(
        "options",
        option(
            "--spot-checks SHARE",
            "Share of products that muslin draws at random for a person to check, even where the model accepts them.",
            type=click.FloatRange(0, 1),
            default=0.05,
            show_default=True,
        ),
        shared.seed_option("Random seed of the spot checks. Default: 0."),
    ),
    shared.guarantee_options,
    shared.read_options,
    who_option,
    shared.json_option,
)
def review_init_command(
    store: str, model: str, data: str | None, options: dict[str, Any], guarantee: dict[str, Any],
    read_options: dict[str, Any], **rest: Any,
) -> None:  # fmt: skip
    """Make a STORE for the review of a model's predictions.

    The store keeps a copy of the model. The options from --format on are for reading --data.
    """
    from muslin.extras import require_extra

    require_extra("review")
    from muslin.reporting.terminal.review import print_made_store
    from muslin.workflows.review_init import InitOptions, init

    init_options = InitOptions(data=data, **options, **guarantee, read_options=read_options)
    made = init(store, model, init_options, who=user_name(rest["who"]), log=log)
    if rest["as_json"]:
        print_json(made.to_dict())
    else:
        print_made_store(made)


@command(
    "review add store data",
    Group(
        "options",
        option("--instead-of DATA", "A catalogue of the store that this one replaces, such as last month's."),
        option("--new", "Add the products as new ones, even where another catalogue has the same.", dest="is_new"),
    ),
    shared.read_options,
    shared.json_option,
)
def review_add_command(
    store: str, data: str, options: dict[str, Any], read_options: dict[str, Any], as_json: bool
) -> None:
    """Add the products of DATA, such as a catalogue, to a STORE.

    The active model predicts them. People review those that it does not accept, and a random sample of all. Add the
    same DATA again to update what has changed. After an interruption, the same command continues.
    """
    from muslin.extras import require_extra

    require_extra("review")
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.reporting.terminal.review import print_added_catalogue
    from muslin.review.store import Store
    from muslin.workflows.review_add import AddOptions, add_catalogue

    shared.refuse_together(instead_of=options["instead_of"], new=options["is_new"])
    with Store.open(store) as opened, stop_on_signals() as should_stop, tagging_progress() as on_progress:
        added = add_catalogue(
            opened, data, read_options, options=AddOptions(**options), log=log, on_progress=on_progress,
            should_stop=should_stop,
        )  # fmt: skip
    if not as_json:
        print_added_catalogue(added)
    if added.unreadable == added.products:
        error = DataError("all_images_unreadable", "written", count=added.products, path=store)
        sys.exit(print_error(error, as_json=as_json, result=added.to_dict()))
    if as_json:
        print_json(added.to_dict())


as_option = option(
    "--as TOOL",
    "Write a file for this labelling tool instead, and the settings of its project if it needs them.",
    dest="tool",
    load=lambda: import_module("muslin.review.exchange.files").EXCHANGE_FORMATS,
)
prefix_option = option(
    "--photo-prefix TEXT",
    "Folder or address that the labelling tool needs before the name of each photo. Default: none.",
)


@command(
    "review export store",
    shared.output_options(
        "A new file for the table with its new columns, in its own format; for other data, a .csv, .tsv or .jsonl.",
        required=True,
    ),
    option("--catalogue DATA", "Catalogue to export, if the store has several."),
    Group("tool_options", as_option, prefix_option, make=shared.given),
    shared.json_option,
)
def review_export_command(
    store: str, output: Any, catalogue: str | None, tool_options: dict[str, str], as_json: bool
) -> None:
    """Write a catalogue of a STORE with the decisions of people and model.

    muslin adds columns: the tag, the decision, who decided it and when, and the prediction. With --as, it writes a
    file for a labelling tool instead, which `muslin review import` reads again.
    """
    from muslin.extras import require_extra

    require_extra("review")
    if tool_options:
        _export_for_tool(store, output, catalogue, tool_options, as_json)
        return
    from muslin.reporting.terminal.review import print_exported_catalogue
    from muslin.review.store import Store
    from muslin.workflows.review_export import export_catalogue

    with Store.open(store) as opened:
        exported = export_catalogue(opened, output, catalogue, log=log)
    if as_json:
        print_json(exported.to_dict())
    else:
        print_exported_catalogue(exported)


def _export_for_tool(
    store: str, output: Any, catalogue: str | None, tool_options: dict[str, str], as_json: bool
) -> None:
    from muslin.reporting.terminal.review import print_exported_file
    from muslin.review.store import Store
    from muslin.workflows.review_exchange import export_for_tool

    if "tool" not in tool_options:
        raise MuslinError("option_needs", option="--photo-prefix", needed="--as")
    with Store.open(store) as opened:
        exported = export_for_tool(opened, output=output, catalogue=catalogue, **tool_options)
    if as_json:
        print_json(exported.to_dict())
    else:
        print_exported_file(exported)


@command(
    "review status store",
    option("--who NAME", "Person whose pace gives the remaining time. Default: your user name on this computer."),
    shared.json_option,
)
def review_status_command(store: str, who: str | None, as_json: bool) -> None:
    """Say what is left to do in a STORE, how long it takes, and whether the guarantee still holds."""
    from muslin.extras import require_extra

    require_extra("review")
    from muslin.reporting.terminal.review import print_store_status
    from muslin.review.store import Store
    from muslin.workflows.review_status import store_status

    with Store.open(store) as opened:
        status = store_status(opened, user_name(who))
    if as_json:
        print_json(status.to_dict())
    else:
        print_store_status(status)


@command("review spot-checks store share")
def review_spot_checks_command(store: str, share: str) -> None:
    """Raise the SHARE of products, such as 0.1, that muslin draws at random for a person to check.

    You cannot lower it, because drawn products stay drawn.
    """
    from muslin.extras import require_extra

    require_extra("review")
    from muslin.review.store import Store

    try:
        wanted = float(share)
    except ValueError:
        raise click.BadParameter(f"{share!r}: give a share, such as 0.1.") from None
    with Store.open(store) as opened:
        opened.raise_spot_checks(wanted)
        sizes = {target.name: opened.counts(target.name).sample.total for target in opened.targets}
    echo(f"{percent(wanted)} of the products are drawn: {max(sizes.values()):,} in the store")


@command("review serve store", *shared.serving_options)
def review_serve_command(store: str, port: int, open_browser: bool) -> None:
    """Review the products of a STORE in the browser.

    This starts muslin studio for the folder of the STORE. Only this machine can open the page.
    """
    from pathlib import Path

    from muslin.extras import require_extra

    require_extra("review")
    from muslin.storage.local_path import url_of
    from muslin.studio.server import run_studio

    folder = Path() if url_of(store) else Path(store).parent
    run_studio(folder, port, open_browser, log=log, store=store)
