"""The rich console of all output on a terminal: its own colours pass, control characters of names are escaped."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from muslin.text import escape_controls


class EscapingConsole(Console):
    """A rich console that escapes control characters; every text that it prints goes through `render`."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text, keep="\n"), segment.style)
