"""What became of a catalogue, in one sentence."""

from collections.abc import Mapping
from typing import Protocol

from muslin.text import percent, plural


class Promised(Protocol):
    """What is promised of accepted products; `muslin.workflows.tag.Promise` is one."""

    @property
    def expected(self) -> float: ...
    @property
    def at_least(self) -> float: ...
    @property
    def per_class(self) -> bool: ...
    @property
    def confidence(self) -> float: ...


class Counts(Protocol):
    """What is told of a catalogue; `muslin.workflows.tag.Tagged` is one."""

    @property
    def products(self) -> int: ...
    @property
    def problems(self) -> int: ...
    @property
    def decisions(self) -> Mapping[str, Mapping[str, int]]: ...
    @property
    def promises(self) -> Mapping[str, Promised]: ...


def sentence(tagged: Counts) -> str:
    """`48,211 products: 39,004 accepted (expected right 98.4 %, at least 98.0 % with 95 % confidence), 8,730 to review,
    461 out of scope, 16 problems`; a line a target."""
    lines = []
    for target, decisions in tagged.decisions.items():
        accepted = f"{decisions.get('accept', 0):,} accepted"
        if target in tagged.promises and decisions.get("accept"):
            accepted += f" ({_promise(tagged.promises[target])})"
        parts = [
            accepted,
            f"{decisions.get('review', 0):,} to review",
            f"{decisions.get('out of scope', 0):,} out of scope",
        ]
        parts.append(plural(tagged.problems, "problem"))
        name = f"{target}: " if len(tagged.decisions) > 1 else ""
        lines.append(f"{name}{plural(tagged.products, 'product')}: {', '.join(parts)}")
    return "\n".join(lines)


def _promise(promise: Promised) -> str:
    whose = " of each class" if promise.per_class else ""
    sure = f"{100 * promise.confidence:g} % confidence"
    return (
        f"expected right {percent(promise.expected)}, at least {percent(promise.at_least)}{whose} with {sure}"
    )
