"""The result of a tagging job in one sentence."""

from muslin.catalogue.tagging_result import TaggingResult
from muslin.text import interval_text, percent, plural


def tagging_summary(result: TaggingResult) -> str:
    """One line per target, such as:

    `48,211 products: 39,004 accepted (at least 98.0 % correct with 95 % confidence; on calibration images 1,968 of
    2,000 were correct, 95 % interval 97.8 to 98.9 %), 8,730 to review, 461 out of scope, 16 unreadable`
    """
    lines = []
    rows = f" in {plural(result.rows, 'row')}" if result.rows > result.products else ""
    for target, decisions in result.decisions.items():
        accepted = f"{decisions.get('accept', 0):,} accepted"
        if target in result.guarantees and decisions.get("accept"):
            guarantee = result.guarantees[target]
            scope = " in each class" if guarantee.scope == "per-class" else ""
            unit = "product" if guarantee.unit == "product" else "image"
            accepted += (
                f" (at least {percent(guarantee.min_precision)} correct{scope} with "
                f"{100 * guarantee.confidence_level:g} % confidence; on calibration {unit}s {guarantee.correct:,} of "
                f"{guarantee.n:,} were correct, 95 % interval {interval_text(guarantee.interval)})"
            )
        name = f"{target}: " if len(result.decisions) > 1 else ""
        lines.append(
            f"{name}{plural(result.products, result.unit)}{rows}: {accepted}, "
            f"{decisions.get('review', 0):,} to review, "
            f"{decisions.get('out of scope', 0):,} out of scope, {result.unreadable:,} unreadable"
            + (f", {result.kept:,} left as they are" if result.kept else "")
        )
        if n := result.contradictions.get(target):
            lines.append(f"{name}{plural(n, 'prediction')} contradict{'s' * (n == 1)} the shop's own value")
    if result.copied:
        predicted = result.products - result.copied - result.kept
        lines.append(f"{plural(result.copied, result.unit)} unchanged and copied, {predicted:,} tagged anew")
    return "\n".join(lines)
