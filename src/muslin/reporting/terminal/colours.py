"""The result of naming colours in a few lines."""

from muslin.catalogue.colour_result import ColourResult
from muslin.text import plural


def colour_summary(result: ColourResult) -> str:
    """Such as:

    `300 photos: black 71, navy 40, white 38, …, 2 unreadable`
    `59 photos unclear: the garment and its background have similar colours`
    """
    counts = [f"{name} {count:,}" for name, count in result.counts.items()]
    lines = [f"{plural(result.products, result.unit)}: {', '.join([*counts, f'{result.unreadable:,} unreadable'])}"]
    if result.unclear:
        lines.append(
            f"{plural(result.unclear, result.unit)} unclear: the garment and its background have similar colours"
        )
    return "\n".join(lines)
