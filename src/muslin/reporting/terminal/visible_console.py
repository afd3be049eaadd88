"""The rich console of all output on a terminal: colours are its own, control characters of names are text."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from muslin.text import visible


class VisibleConsole(Console):
    """A rich console in which no text steers the terminal; every text that it prints goes through `render`."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text, keep="\n"), segment.style)
