"""Times of a store: UTC, as ISO 8601 texts that sort as the times do. No order in a store depends on them."""

from datetime import UTC, datetime


def now_text() -> str:
    """
    >>> len(now_text())
    27
    """
    return text_of(datetime.now(UTC))


def text_of(time: datetime) -> str:
    """
    >>> text_of(datetime(2026, 5, 1, 8, tzinfo=UTC))
    '2026-05-01T08:00:00.000000Z'
    """
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
