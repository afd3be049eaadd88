"""The command that serves models over HTTP."""

from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, given, option
from muslin.printing import log


def _named(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    if unnamed := [word for word in words if "=" not in word]:
        raise click.BadParameter(f"{unnamed[0]!r}: give NAME=MODEL.")
    return words


_places = (
    option(
        "--host ADDRESS", "Address to listen on. Any other than this machine's own needs a token. Default: 127.0.0.1."
    ),
    option("--port N", "Port; 0 takes a free one. Default: 8000.", type=click.IntRange(0, 65535)),
    option("--workers N", "Processes that serve. Default: 1.", type=click.IntRange(1, 64)),
    option(
        "--token TEXT",
        "Token that each request must send as `Authorization: Bearer TEXT`. Better set MUSLIN_TOKEN: other users of "
        "this machine can see a command line.",
        envvar="MUSLIN_TOKEN",
    ),
    option(
        "--allow-host NAME...",
        "Further host name that clients can use for the server. Repeat it for several.",
        dest="allow_hosts",
    ),
    option("--root-path PATH", "Path prefix under which a proxy shows the server, such as `/muslin`."),
    option(
        "--trust-proxy ADDRESS...",
        "Address of a proxy whose X-Forwarded headers are trusted. Repeat it for several.",
        dest="trust_proxy",
    ),
)
_limits = (
    option("--max-batch N", "Maximum images in a batch. Default: as many as suit the model.", type=click.IntRange(1)),
    option(
        "--max-wait-ms MS",
        "Maximum time for which an image waits for others that are arriving. Default: 2.",
        type=click.FloatRange(0, 1000),
    ),
    option(
        "--max-image-mb MB",
        "Maximum size of an image file. Default: 20.",
        type=click.FloatRange(0, 1000, min_open=True),
    ),
    option("--max-images N", "Maximum images in a request. Default: 64.", type=click.IntRange(1, 10_000)),
    option("--max-requests N", "Maximum requests at a time. Default: 128.", type=click.IntRange(1)),
    option(
        "--request-seconds S",
        "Maximum time from the start of a request to its response. Default: 30.",
        dest="request_s",
        type=click.FloatRange(0, 3600, min_open=True),
    ),
    option(
        "--grace S",
        "Maximum time to finish requests when the server stops. Default: 30.",
        dest="grace_s",
        type=click.FloatRange(0, 3600),
    ),
)


@command(
    "serve model...",
    Group(
        "settings",
        *_places,
        *_limits,
        *shared.guarantee_options.options,
        option(
            "--shadow NAME=MODEL...",
            "A candidate that predicts beside the model NAME, only to be compared. Repeat it for several.",
            dest="shadows",
            callback=_named,
        ),
        option("--log", "Format of the log. Default: `text`.", dest="log_format", type=click.Choice(["text", "json"])),
        option(
            "--threads N",
            "Threads of a model in each worker. Default: the physical cores, shared out among the workers.",
            type=click.IntRange(1, 1024),
        ),
        make=given,
    ),
)
def serve_command(model: tuple[str, ...], settings: dict[str, Any]) -> None:
    """Serve models over HTTP.

    MODEL is a .muslin file or the folder of a run. NAME=MODEL names it; otherwise it has the name of its file or
    folder. With several models, each request names one.
    """
    from muslin.server.run import run_server
    from muslin.server.settings import Settings, models_by_name

    shadows = models_by_name(settings.pop("shadows", ()))
    run_server(Settings(models_by_name(model), shadows=shadows, **settings), log)
