"""Paths on this computer, as opposed to addresses of other computers."""

import re
from typing import Any

from muslin.errors import DataError

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}(?=[^/])", re.IGNORECASE)
"""A scheme of two letters or more, because one letter is a drive. pathlib makes one slash of two."""


def url_of(path: object) -> str | None:
    """The URL that stands where a path should, or None.

    >>> url_of("https:/example.org/1.jpg")
    'https://example.org/1.jpg'
    """
    text = str(path)
    found = _URL.match(text)
    return found and (text if "://" in text else f"{found[1]}://{text[found.end() :]}")


def check_local(*paths: Any) -> None:
    """
    Raises:
        DataError: one of `paths` is a URL.
    """
    for path in paths:
        if url := url_of(path):
            raise DataError("path_is_url", url=url)
