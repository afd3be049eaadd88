"""The command line: parse, call one workflow, print. One module per group of commands.

Every module of this package registers its commands in `options.COMMANDS`, so a new command touches one file. Heavy
modules are imported inside the commands, so that `muslin --help` is fast.
"""

import importlib
import pkgutil
import sys
import traceback

import click

from muslin.cli.options import commands_and_groups
from muslin.cli.output import escape_unencodable, print_error
from muslin.printing import escaped_output, log

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


@click.group(
    commands=commands_and_groups(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="muslin", message="muslin %(version)s")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def cli(debug: bool) -> None:
    """Train an image classifier on your product photos, on an ordinary computer, and know when to trust it.

    DATA is a registered data set (such as fashion-mnist), a file or a folder. MODEL is a .muslin file or the folder
    of a run.
    """


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    escape_unencodable()
    with escaped_output():
        sys.exit(_run_command(sys.argv[1:]))


def _run_command(words: list[str]) -> int:
    """The exit code of the command."""
    # taken out first, so that it can stand anywhere in the line
    arguments = [word for word in words if word != "--debug"]
    try:
        return cli.main(arguments, prog_name="muslin", standalone_mode=False) or 0
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    except BrokenPipeError:  # the reader of our output has closed it, as `| head` does
        sys.stderr.close()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if len(arguments) < len(words):
            log("".join(traceback.format_exception(error)).rstrip())
        stopped = click.Abort() if isinstance(error, KeyboardInterrupt) else error
        return print_error(stopped, as_json="--json" in arguments)
