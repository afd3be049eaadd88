"""How long a server asks to wait."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def asked_s(retry_after: str | None) -> float:
    """The seconds of a `Retry-After`, which is a number or a date (RFC 9110, 10.2.3); 0 for none or another text.

    >>> asked_s("3"), asked_s("soon"), asked_s("Sun, 06 Nov 1994 08:49:37 GMT")
    (3.0, 0.0, 0.0)
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
