"""The one exit for text: what is printed shows control characters of names as text, so that none steers a terminal.

`visible_output` puts the standard streams behind it, so that it also holds for warnings, tracebacks and libraries.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from muslin.text import visible


class VisibleStream:
    """A text stream that writes `visible` text to another one. It has no `buffer`, which would be a second exit.

    Attributes:
        behind: the other stream, for what brings its own control sequences.
    """

    def __init__(self, behind: TextIO) -> None:
        self.behind = behind

    def write(self, text: str) -> int:
        self.behind.write(visible(text, keep="\n"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.behind, name)


@contextmanager
def visible_output() -> Iterator[None]:
    """Put standard output and standard error behind a VisibleStream."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, VisibleStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def stream_behind(stream: TextIO) -> TextIO:
    """The stream that takes control sequences, for a caller that shows those of names itself."""
    return stream_behind(stream.behind) if isinstance(stream, VisibleStream) else stream


def echo(text: str, *, err: bool = False) -> None:
    """Print a line to standard output or standard error."""
    print(visible(text, keep="\n"), file=sys.stderr if err else sys.stdout, flush=True)


def log(sentence: str) -> None:
    """Print a sentence about progress to standard error."""
    echo(sentence, err=True)
