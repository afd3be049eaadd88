"""The table of rules: what the protocol asks, where it says so, and the function that tries it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from muslin.oip_check.outcomes import NotOfferedError, NotTriedError, RuleBrokenError

if TYPE_CHECKING:
    from muslin.oip_check.target import Target

Level = Literal["required", "recommended", "extension"]
"""required: of the protocol. recommended: of its OpenAPI document's statuses and its examples, or of good sense.
extension: of an extension that the server says it has."""

Outcome = Literal["passed", "failed", "not offered", "not tried"]

PROTOCOL = "https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md"
OPENAPI = "https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_rest.yaml"
TENSORS = "https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol"
TRITON = "https://github.com/triton-inference-server/server/blob/main/docs/protocol"
BINARY = f"{TRITON}/extension_binary_data.md"
CLASSIFICATION = f"{TRITON}/extension_classification.md"


@dataclass(frozen=True)
class Rule:
    """A rule of the protocol.

    Attributes:
        name: such as `infer.id`.
        title: what holds, as a sentence without its full stop.
        level: whether breaking it breaks conformance.
        source: the document that says so.
        check: tries it; raises RuleBrokenError, NotOfferedError or NotTriedError.
    """

    name: str
    title: str
    level: Level
    source: str
    check: "Callable[[Target], None]"

    @property
    def area(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]

    @property
    def is_of_server(self) -> bool:
        """Whether the rule is of the server itself, not of a model."""
        return self.area in ("health", "server")


@dataclass(frozen=True)
class Result:
    """What became of a rule with one model; `model` is None for the rules of the server itself."""

    rule: Rule
    model: str | None
    outcome: Outcome
    detail: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether the server does not conform because of it."""
        if self.rule.level == "recommended":
            return False
        return self.outcome == "failed" or (self.outcome == "not tried" and self.rule.level == "required")

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        rule = self.rule
        named = {"rule": rule.name, "model": self.model, "level": rule.level, "outcome": self.outcome}
        return named | {"title": rule.title, "detail": self.detail, "source": rule.source}


AREAS = ("health", "server", "model", "infer", "binary", "classification", "error")
"""In the order in which they are tried: wrong requests last, because a careless server may not survive them."""

RULES: dict[str, Rule] = {}
"""Every rule by its name. `rule` adds a row."""


def rules_in_order() -> list[Rule]:
    """All rules, area after area."""
    return sorted(RULES.values(), key=lambda row: AREAS.index(row.area))


def add_rule(row: Rule) -> None:
    """Add a row to RULES."""
    assert row.name not in RULES, row.name
    RULES[row.name] = row


def rule(
    name: str, title: str, source: str = PROTOCOL, level: Level = "required"
) -> "Callable[[Callable[[Target], None]], Callable[[Target], None]]":
    """Make the function the check of a rule."""

    def add(check: "Callable[[Target], None]") -> "Callable[[Target], None]":
        add_rule(Rule(name, title, level, source, check))
        return check

    return add


def run_rule(row: Rule, target: "Target") -> Result:
    """Try a rule."""
    model = None if row.is_of_server else target.model
    try:
        row.check(target)
    except RuleBrokenError as error:
        return Result(row, model, "failed", str(error))
    except NotOfferedError as error:
        return Result(row, model, "not offered", str(error))
    except NotTriedError as error:
        return Result(row, model, "not tried", str(error))
    return Result(row, model, "passed")
