"""Times of a store: UTC, as ISO 8601 texts that sort as the times do. No order in a store depends on them."""

from datetime import UTC, datetime


def now_text() -> str:
    """
    >>> len(now_text())
    27
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
