"""The command that reads the files of labelling tools."""

from muslin.cli import options as shared
from muslin.cli.options import command, option
from muslin.cli.output import print_json
from muslin.cli.review_commands import user_name, who_option
from muslin.printing import log


@command(
    "review import store file",
    option("--add-classes", "Add the labels of FILE that are not classes yet."),
    who_option,
    shared.json_option,
)
def review_import_command(store: str, file: str, add_classes: bool, who: str | None, as_json: bool) -> None:
    """Add the decisions in a labelling tool's FILE to a STORE.

    FILE is what Label Studio exports as JSON, FiftyOne writes with write_json, or CVAT exports as "CVAT for images
    1.1". Decisions keep who made them and when, if FILE says so; otherwise they belong to --who and are made now.
    Importing the same FILE again adds nothing twice.
    """
    from muslin.extras import require_extra

    require_extra("review")
    from muslin.reporting.terminal.review import print_imported_file
    from muslin.review.store import Store
    from muslin.workflows.review_exchange import import_decisions

    with Store.open(store) as opened:
        imported = import_decisions(opened, file, user_name(who), add_classes=add_classes, log=log)
    if as_json:
        print_json(imported.to_dict())
    else:
        print_imported_file(imported)
