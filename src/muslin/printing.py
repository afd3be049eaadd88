"""The one exit for text: control characters of names are escaped, so that none of them steers a terminal.

`escaped_output` wraps the standard streams, so that this also holds for warnings, tracebacks and libraries.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from muslin.text import escape_controls


class EscapingStream:
    """A text stream that escapes control characters and writes to another one. It has no `buffer`: a second exit.

    Attributes:
        wrapped: the other stream, for text that brings its own control sequences.
    """

    def __init__(self, wrapped: TextIO) -> None:
        self.wrapped = wrapped

    def write(self, text: str) -> int:
        self.wrapped.write(escape_controls(text, keep="\n"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.wrapped, name)


@contextmanager
def escaped_output() -> Iterator[None]:
    """Wrap standard output and standard error in an EscapingStream during the block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, EscapingStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unwrap_stream(stream: TextIO) -> TextIO:
    """The stream within an EscapingStream, for a caller that escapes names itself and writes control sequences."""
    return unwrap_stream(stream.wrapped) if isinstance(stream, EscapingStream) else stream


def echo(text: str, *, err: bool = False) -> None:
    """Print a line to standard output or standard error."""
    print(escape_controls(text, keep="\n"), file=sys.stderr if err else sys.stdout, flush=True)


def log(sentence: str) -> None:
    """Print a sentence about progress to standard error."""
    echo(sentence, err=True)


def write_line(line: str) -> None:
    """Write a line to standard error past Python's buffer, so that a thread which waits there holds no lock."""
    content = (escape_controls(line, keep="\n") + "\n").encode("utf-8", "backslashreplace")
    while content:
        content = content[os.write(unwrap_stream(sys.stderr).fileno(), content) :]
