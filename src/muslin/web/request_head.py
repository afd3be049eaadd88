"""What the head of a request tells: whether a page of another site sends it, and the size of its body.

A page of another site can make a browser send requests to this machine, but it can neither choose their Host header nor
hide where they come from (https://owasp.org/www-community/attacks/csrf).
"""

from collections.abc import Collection, Iterable, Sequence

from muslin.errors import MuslinError

MAX_DIGITS = 19  # of a length: more bytes than any machine holds, and few enough to be converted


def is_foreign(origins: Iterable[str], own: Collection[str], sites: Iterable[str], modes: Sequence[str]) -> bool:
    """Whether a page of another site makes a browser send a request.

    A link on another page may lead here, as any bookmark does; nothing else of another site may send requests.

    Args:
        origins: the values of its Origin headers.
        own: origins of this server's pages, in lower case.
        sites, modes: the values of its Sec-Fetch-Site and Sec-Fetch-Mode headers.
    """
    if any(origin.lower() not in own for origin in origins):
        return True
    return any(site not in ("same-origin", "none") for site in sites) and list(modes) != ["navigate"]


def check_length(content_length: str, max_bytes: int) -> None:
    """Refuse a request whose Content-Length is not a number, or more than its body may have.

    Raises:
        MuslinError: it is.
    """
    is_number = content_length.isascii() and content_length.isdigit() and len(content_length) <= MAX_DIGITS
    if not is_number or int(content_length) > max_bytes:
        raise MuslinError("request_size", maximum_mb=max_bytes / 1e6)
