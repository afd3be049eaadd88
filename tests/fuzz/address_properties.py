"""What holds for every address in a table or a redirect: it is refused, or two readers agree on its host."""

from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from hypothesis import strategies as st

from muslin.errors import FetchError
from muslin.fetching.address import Address, parse_address, parse_redirect
from muslin.fetching.address_cells import texts_in
from muslin.fetching.public_addresses import is_public

PIECES = (
    "http://", "https://", "HTTP://", "//", "http:", "/", "\\", "\\\\", "@", ":", ":80", ":443", ":8080", ":0",
    ":99999", "?", "#", ".", "..", "/../", "%2e", "%00", "%", "[", "]", "[::1]", "[::ffff:7f00:1]",
    "[2606:2800:220:1::1]", "127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "93.184.216.34",
    "localhost", "cdn.example", "xn--", "bücher.example", "中文.example", "。", "\u200b", "\u00ad", "ⓛ", "İ",
    "user:pw", " ", "\t", "\n", "\r", "\0", "\ufeff", "\ud800", ",", ";", "|", ", ", "{", "'", "\"", "[\"",
    "a.jpg", "1.jpg?v=1&w=2", "é", "🧥", "-", "_", "x" * 64, "ftp://", "data:", "javascript:",
)  # fmt: skip

BASE = parse_address("https://cdn.example/folder/1.jpg")


def addresses() -> st.SearchStrategy[str]:
    """A text of pieces on which readers of addresses disagree."""
    piece = st.one_of(st.sampled_from(PIECES), st.text(max_size=3))
    return st.lists(piece, max_size=10).map("".join)


def check_address(text: str, scratch: Path) -> None:
    """Whichever way it is read, it is refused or has one form and a host that is not private."""
    for part in (text, *texts_in(text)):
        assert part == text or part.strip() == part != ""
        with suppress(FetchError):
            check_one_form(parse_address(part))
        with suppress(FetchError):
            check_one_form(parse_redirect(part, BASE))


def check_one_form(address: Address) -> None:
    assert parse_address(address.url) == address
    assert address.url.isascii()
    assert address.url.isprintable()
    assert " " not in address.url
    parts = urlsplit(address.url)
    assert (parts.scheme, parts.hostname, parts.username) == (address.scheme, address.host.strip("[]"), None)
    assert (parts.port or {"http": 80, "https": 443}[parts.scheme]) == address.port
    with suppress(ValueError):  # of a name
        assert is_public(ip_address(address.host.strip("[]")))
