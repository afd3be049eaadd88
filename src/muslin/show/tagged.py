"""What became of a catalogue, in one sentence."""

from collections.abc import Mapping
from typing import Protocol

from muslin.show.words import counted


class Counts(Protocol):
    """What is told of a catalogue; `muslin.tagging.Tagged` is one."""

    @property
    def products(self) -> int: ...
    @property
    def problems(self) -> int: ...
    @property
    def lanes(self) -> Mapping[str, Mapping[str, int]]: ...


def sentence(tagged: Counts) -> str:
    """`48,211 products: 39,004 accepted, 8,730 to review, 461 not ours, 16 problems`; a line a target."""
    lines = []
    for target, lanes in tagged.lanes.items():
        parts = [f"{lanes.get('accept', 0):,} accepted", f"{lanes.get('review', 0):,} to review"]
        parts += [f"{lanes.get('not ours', 0):,} not ours", counted(tagged.problems, "problem")]
        name = f"{target}: " if len(tagged.lanes) > 1 else ""
        lines.append(f"{name}{counted(tagged.products, 'product')}: {', '.join(parts)}")
    return "\n".join(lines)
