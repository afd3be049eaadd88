"""What the command line prints: results on standard output, progress and errors on standard error."""

import errno
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import click

from muslin.errors import MuslinError, StorageError


def log(sentence: str) -> None:
    """Print a sentence about progress to standard error."""
    click.echo(sentence, err=True)


EXIT_CODES = {"usage": 2, "resume_with_options": 2, "train_without_data": 2, "interrupted": 130}
"""Exit codes of error codes; of all others it is 1."""


def print_json(value: Any) -> None:
    """Print one line of JSON. A file name need not be UTF-8; JSON escapes the rest."""
    click.echo(json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode())


def print_error(error: Exception, *, as_json: bool, result: Mapping[str, Any] | None = None) -> int:
    """Print an error: one line on standard error and, with `--json`, one object on standard output.

    Args:
        result: what the command did produce; it stands beside `error` in the JSON object.

    Returns:
        The exit code: 2 for wrong usage, 130 for an interruption, else 1.
    """
    coded = _coded(error)
    if isinstance(error, click.UsageError):
        error.show()
    else:
        click.echo(f"muslin: {' '.join(str(coded).split())}", err=True)
    if as_json:
        with suppress(OSError):  # standard output may be what failed
            print_json({**(result or {}), "error": coded.to_dict()})
    return EXIT_CODES.get(coded.code, 1)


def _coded(error: Exception) -> MuslinError:
    """`error` with a code; an exception that muslin did not raise on purpose gets `internal`."""
    if isinstance(error, MuslinError):
        return error
    if isinstance(error, click.UsageError):
        return MuslinError("usage", detail=error.format_message())
    if isinstance(error, click.Abort):
        return MuslinError("interrupted")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # muslin's own files are named by StorageError
        return StorageError("output_disk_full", path=error.filename, reason=error.strerror)
    return MuslinError("internal", kind=type(error).__name__, detail=str(error))


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """A `should_stop` that turns true at Ctrl-C or SIGTERM. A second Ctrl-C stops at once."""
    received: list[int] = []

    def handle(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log("stopping after this step; press Ctrl-C again to stop at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
