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
        "What each request must carry as `Authorization: Bearer TEXT`. Better set MUSLIN_TOKEN, which other users of "
        "this machine do not see.",
        envvar="MUSLIN_TOKEN",
    ),
    option("--allow-host NAME...", "A name under which clients may address the server.", dest="allow_hosts"),
    option("--root-path PATH", "Start of each path that a proxy takes away, such as `/muslin`."),
    option("--trust-proxy ADDRESS...", "Address of a proxy whose X-Forwarded headers count.", dest="trust_proxy"),
)
_limits = (
    option("--max-batch N", "Maximum images in a run of a model. Default: as many as suit it.", type=click.IntRange(1)),
    option(
        "--max-wait-ms MS",
        "How long an image waits at most for others that are on their way. Default: 2.",
        type=click.FloatRange(0, 1000),
    ),
    option(
        "--max-image-mb MB",
        "Maximum size of an image's file. Default: 20.",
        type=click.FloatRange(0, 1000, min_open=True),
    ),
    option("--max-images N", "Maximum images in a request. Default: 64.", type=click.IntRange(1, 10_000)),
    option("--max-requests N", "Maximum requests that are answered at a time. Default: 128.", type=click.IntRange(1)),
    option(
        "--request-seconds S",
        "Maximum time for a request to arrive and to be answered. Default: 30.",
        dest="request_s",
        type=click.FloatRange(0, 3600, min_open=True),
    ),
    option(
        "--grace S",
        "Time in which a stop finishes the requests that were taken. Default: 30.",
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
            "A candidate that predicts beside the model NAME. Its predictions are only compared.",
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

    MODEL can be NAME=MODEL; without a name it has that of its file or folder. One model predicts for every request;
    of several, a request names one.
    """
    from muslin.server.run import run_server
    from muslin.server.settings import Settings, models_by_name

    shadows = models_by_name(settings.pop("shadows", ()))
    run_server(Settings(models_by_name(model), shadows=shadows, **settings), log)
