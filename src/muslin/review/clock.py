"""Times of a store: UTC, as ISO 8601 texts that sort as the times do. No order in a store depends on them."""

from datetime import UTC, datetime


def now_text() -> str:
    """
    >>> len(now_text())
    27
    """
    return text_of(datetime.now(UTC))


def utc_text(text: str) -> str:
    """A date or time of ISO 8601, in UTC unless it says otherwise, as a store writes it.

    Raises:
        ValueError, OverflowError: it is none.

    >>> utc_text("2026-05-01T10:00:00+02:00")
    '2026-05-01T08:00:00.000000Z'
    """
    time = datetime.fromisoformat(text)
    return text_of(time.replace(tzinfo=time.tzinfo or UTC))


def text_of(time: datetime) -> str:
    """
    >>> text_of(datetime(2026, 5, 1, 8, tzinfo=UTC))
    '2026-05-01T08:00:00.000000Z'
    """
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
