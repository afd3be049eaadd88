"""What the command line prints: results on standard output, progress and errors on standard error."""

import codecs
import errno
import io
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import click

from muslin.errors import MuslinError, StorageError
from muslin.library_errors import reason_of
from muslin.printing import echo, log
from muslin.strict_json import json_text

ASCII_FORMS = {
    "–": "-", "—": "-", "─": "-", "━": "-", "·": "-", "…": "...", "×": "x", "→": "->", "±": "+-", "≥": ">=", "≤": "<=",
    "’": "'", "‘": "'", "“": '"', "”": '"', "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
}  # fmt: skip
"""What stands for typographical characters that a stream's encoding lacks; any other is escaped."""


def escape_unencodable() -> None:
    """Make standard output and error print `\\u5e3d` for what their encoding lacks, instead of raising an error."""

    def escape(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        letters = error.object[error.start : error.end]
        escaped = (ASCII_FORMS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in letters)
        return "".join(escaped), error.end

    codecs.register_error("muslin", escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="muslin")


EXIT_CODES = {
    "usage": 2, "resume_with_options": 2, "train_without_data": 2, "promote_without_candidate": 2,
    "sweep_without_data": 2, "interrupted": 130,
}  # fmt: skip
"""Exit codes of error codes; of all others it is 1."""


def print_json(value: Any) -> None:
    """Print one line of JSON. What the encoding of the output lacks is escaped."""
    is_unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    echo(json_text(value, ascii_only=not is_unicode))


def print_error(error: Exception, *, as_json: bool, result: Mapping[str, Any] | None = None) -> int:
    """Print an error: one line on standard error and, with `--json`, one object on standard output.

    Args:
        result: what the command did produce; it stands beside `error` in the JSON object.

    Returns:
        The exit code: 2 for wrong usage, 130 for an interruption, else 1.
    """
    coded = _coded(error)
    if isinstance(error, click.UsageError):
        error.show(file=sys.stderr)
    else:
        log(f"muslin: {' '.join(str(coded).split())}")
    if as_json:
        with suppress(OSError):  # standard output may be what failed
            print_json({**(result or {}), "error": coded.to_dict()})
    return EXIT_CODES.get(coded.code, 1)


OUT_OF_MEMORY = re.compile(
    r"bad_alloc|allocate memory|alloc_cpu|failed to map segment|can't start new thread", re.IGNORECASE
)
"""In the exceptions of ONNX Runtime, torch, the loader of libraries, and Python's threads."""


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
    if _is_out_of_memory(error):
        return MuslinError("out_of_memory")
    return MuslinError("internal", kind=type(error).__name__, detail=reason_of(error))


def _is_out_of_memory(error: Exception) -> bool:
    """Whether the system refused memory to Python or to a library; several of those have no exception of their own."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError) and bool(OUT_OF_MEMORY.search(str(error)))


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """A `should_stop` that turns true at Ctrl-C or SIGTERM. A second Ctrl-C stops at once."""
    received: list[int] = []

    def handle(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log("stopping soon; press Ctrl-C again to stop at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
