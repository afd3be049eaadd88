"""What the rules found, as text and as JSON."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from muslin.oip_check.rules import Result
from muslin.text import plural

OUTCOMES = ("passed", "failed", "not offered", "not tried")

CHECKED_EXTENSIONS = ("binary_tensor_data", "classification")


@dataclass(frozen=True)
class Report:
    """The results of all rules.

    Attributes:
        url: the server's.
        models: that were checked.
        extensions: that the server lists.
        results: one a rule; one a rule and model for the rules of models.
    """

    url: str
    models: tuple[str, ...]
    extensions: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def conforms(self) -> bool:
        """Whether no required rule and none of a listed extension failed, and each required one was tried."""
        return not any(result.is_fault for result in self.results)

    def counts(self) -> dict[str, int]:
        """How many results of each outcome there are."""
        found = Counter[str](result.outcome for result in self.results)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "url": self.url,
            "conforms": self.conforms,
            "counts": self.counts(),
            "models": [*self.models],
            "extensions": [*self.extensions],
            "unchecked_extensions": self.unchecked_extensions,
            "results": [result.to_dict() for result in self.results],
        }

    @property
    def unchecked_extensions(self) -> list[str]:
        """Extensions that the server lists, and that no rule is about."""
        return [name for name in self.extensions if name not in CHECKED_EXTENSIONS]

    def lines(self) -> Iterator[str]:
        """The report as lines of text."""
        model = ""
        for result in self.results:
            if (shown := f"Model {result.model}" if result.model else f"Server {self.url}") != model:
                yield from ([""] if model else [])
                yield (model := shown)
            note = "" if result.rule.level == "required" else f" ({result.rule.level})"
            yield f"  {result.outcome:<12} {result.rule.name:<30} {result.rule.title}{note}"
            if result.detail:
                yield f"{'':<46}{result.detail}"
        yield ""
        yield from self.summary()

    def summary(self) -> Iterator[str]:
        """Counts, what was not checked, and whether the server conforms."""
        yield ", ".join(f"{count} {outcome}" for outcome, count in self.counts().items()) + "."
        if self.unchecked_extensions:
            yield f"Extensions without rules here: {', '.join(self.unchecked_extensions)}."
        if self.conforms:
            yield "The server conforms to the Open Inference Protocol v2."
        else:
            faults = sum(result.is_fault for result in self.results)
            yield f"The server does not conform: {plural(faults, 'rule')} failed or could not be tried."
