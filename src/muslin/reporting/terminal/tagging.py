"""The result of a tagging job in one sentence."""

from muslin.catalogue.tagging_result import TaggingResult
from muslin.text import percent, plural


def tagging_summary(result: TaggingResult) -> str:
    """One line per target, such as:

    `48,211 products: 39,004 accepted (98.4 % expected to be correct, at least 98.0 % with 95 % confidence), 8,730 to
    review, 461 out of scope, 16 unreadable`
    """
    lines = []
    for target, decisions in result.decisions.items():
        accepted = f"{decisions.get('accept', 0):,} accepted"
        if target in result.guarantees and decisions.get("accept"):
            guarantee = result.guarantees[target]
            scope = " of each class" if guarantee.scope == "per-class" else ""
            accepted += (
                f" ({percent(guarantee.expected_precision)} expected to be correct, at least "
                f"{percent(guarantee.min_precision)}{scope} with {100 * guarantee.confidence_level:g} % confidence)"
            )
        name = f"{target}: " if len(result.decisions) > 1 else ""
        lines.append(
            f"{name}{plural(result.products, 'product')}: {accepted}, {decisions.get('review', 0):,} to review, "
            f"{decisions.get('out of scope', 0):,} out of scope, {result.unreadable:,} unreadable"
        )
    return "\n".join(lines)
