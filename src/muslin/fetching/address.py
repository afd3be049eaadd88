"""The addresses of photos, taken apart once and strictly: a host that programs read in two ways is refused."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, urljoin

from muslin.errors import FetchError
from muslin.fetching.public_addresses import is_public
from muslin.text import CONTROL_CHARACTERS

MAX_CHARACTERS = 4096
"""Of an address; browsers and servers take about as many."""

START = re.compile(r"https?://|//", re.IGNORECASE)
"""How an address begins. `//cdn.example/1.jpg` takes the scheme of the page on which it stands, which is https."""

PORTS = {"http": 80, "https": 443}

_PARTS = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT = "%/?:@!$&'()*+,;=~-._[]|"
"""Characters of a path and a query that are sent as they are; others are sent as `%20`."""


@dataclass(frozen=True)
class Address:
    """Where a photo is.

    Attributes:
        scheme: `http` or `https`.
        host: a name in ASCII and lower case, an IPv4 address, or an IPv6 address in brackets.
        target: path and query, escaped.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def site(self) -> str:
        """What a user confirms: the host, with its port where that is none of the two usual ones."""
        return site_of(self.host, self.port)

    @property
    def url(self) -> str:
        """The address as text; equal for equal addresses."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """The host as the request names it, with its port where that is not the scheme's."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"


def site_of(host: str, port: int) -> str:
    """The name of a host and port in lists and options.

    >>> site_of("cdn.example", 443), site_of("cdn.example", 8080)
    ('cdn.example', 'cdn.example:8080')
    """
    return host if port in PORTS.values() else f"{host}:{port}"


def parse_address(text: str) -> Address:
    """The address that a cell or a user wrote.

    >>> parse_address("//CDN.example/a b.jpg?v=1#top").url
    'https://cdn.example/a%20b.jpg?v=1'

    Raises:
        FetchError: it is no address of http or https, holds credentials, or its host or port is not written ordinarily.
    """
    if len(text) > MAX_CHARACTERS:
        raise FetchError("address_too_long", address=f"{text[:80]}…", maximum=MAX_CHARACTERS)
    if CONTROL_CHARACTERS.search(text):
        raise FetchError("address_characters", address=text)
    parts = _PARTS.fullmatch(f"https:{text}" if text.startswith("//") else text)
    if parts is None:
        raise FetchError("address_not_http", address=text)
    scheme, authority, target = parts[1].lower(), parts[2], parts[3]
    if "@" in authority:
        raise FetchError("address_credentials", host=authority.rpartition("@")[2])
    found = _HOST_AND_PORT.fullmatch(authority)
    if found is None:
        raise FetchError("address_host", address=text, host=authority)
    port = int(found[2]) if found[2] else PORTS[scheme]
    if not 0 < port < 2**16:
        raise FetchError("address_port", address=text, port=port)
    host = _ordinary_host(found[1])
    if host is None:
        raise FetchError("address_host", address=text, host=authority)
    check_literal(host)
    return Address(scheme, host, port, _escaped(target))


def check_literal(host: str) -> None:
    """
    Raises:
        FetchError: the host is written as an address, and that is not on the public internet.
    """
    try:
        literal = ip_address(host.strip("[]"))
    except ValueError:  # a name
        return
    if not is_public(literal):
        raise FetchError("host_not_public", host=host, address=None)


def parse_redirect(location: str, base: Address) -> Address:
    """The address to which a response of `base` leads; see `parse_address`."""
    if CONTROL_CHARACTERS.search(location) or len(location) > MAX_CHARACTERS:  # urljoin would drop some of them
        raise FetchError("address_characters", address=location[:MAX_CHARACTERS])
    try:
        return parse_address(urljoin(base.url, location))
    except ValueError as error:
        raise FetchError("address_not_http", address=location) from error


def parse_site(text: str) -> str:
    """The site that a user names: `cdn.example`, `cdn.example:8080`, or an address there.

    Raises:
        FetchError: as `parse_address`.
    """
    return parse_address(text if START.match(text) else f"https://{text}/").site


def _ordinary_host(text: str) -> str | None:
    """The host as it is looked up; None where it is not the ordinary form of a public host's name or address."""
    try:
        if text.startswith("["):
            return f"[{IPv6Address(text[1:-1])}]" if "%" not in text else None
        host = text.removesuffix(".").lower()
        host = host if host.isascii() else host.encode("idna").decode("ascii").lower()
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):  # then all programs take it for an address, but not for the same one
            return str(IPv4Address(host))
    except ValueError:  # of ipaddress, and UnicodeError
        return None
    is_name = len(labels) > 1 and len(host) <= 253 and all(map(_LABEL.fullmatch, labels))
    return host if is_name else None


def _escaped(target: str) -> str:
    path = quote(_LONE_PERCENT.sub("%25", target.strip()), safe=_KEPT)
    return path if path.startswith("/") else f"/{path}"
