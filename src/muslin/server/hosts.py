"""Which server a request says that it is for: names in the Host header, and what proxies forward.

A page of another site can let a name of its own point to this machine (DNS rebinding). That name then stands in the
Host header, so only known names and IP addresses are accepted there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from starlette.types import Scope

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})

NAMES = frozenset({
    b"host", b"origin", b"authorization", b"content-length", b"content-encoding", b"sec-fetch-site",
    b"sec-fetch-mode", b"accept-language", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix",
})  # fmt: skip

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-][a-z0-9._-]*)(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")

Headers = Mapping[bytes, Sequence[str]]


def checked_headers(scope: Scope) -> Headers:
    """The values of the headers that are looked at, by name: one that is sent twice has two."""
    found: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name in NAMES:
            found.setdefault(name, []).append(value.decode("latin-1"))
    return found


def last_value(headers: Headers, name: bytes) -> str:
    """What the last proxy wrote into a header, of which each may have added to what it got; "" where it is missing."""
    return headers.get(name, ("",))[-1].rpartition(",")[2].strip()


def is_path_prefix(text: str) -> bool:
    """Whether `text` can stand before all paths of a server: "", or `/name` once or several times."""
    return bool(_PREFIX.fullmatch(text))


def is_host_name(text: str) -> bool:
    """Whether `HostNames` can take it: a name or address without a port, or with `*` in place of names."""
    found = _HOST.fullmatch(text.lower().removeprefix("*."))
    return text == "*" or (found is not None and found[1] == found[0])


class HostNames:
    """The hosts that a server answers for.

    Args:
        names: further names than those of this machine; `*.example.com` stands for all below it, `*` for every host.
        is_local: whether only programs on this machine reach the server. Otherwise every IP address is a name of it.
    """

    def __init__(self, names: Iterable[str], is_local: bool) -> None:
        lower = {name.lower() for name in names}
        self._names = LOOPBACK_HOSTS | lower
        self._endings = tuple(name[1:] for name in lower if name.startswith("*."))
        self._is_any, self._is_local = "*" in lower, is_local

    def __contains__(self, host: str) -> bool:
        """Whether a Host header may be `host`: a name or an address, also with a port."""
        found = _HOST.fullmatch(host.lower())
        if not found:
            return False
        name = found[1]
        if self._is_any or name in self._names or (self._endings and name.endswith(self._endings)):
            return True
        return not self._is_local and is_address(name.strip("[]"))


class Proxies:
    """The proxies whose forwarded headers count.

    Args:
        words: addresses and networks, such as `10.0.0.0/8`.

    Raises:
        ValueError: one is neither.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._networks = [ip_network(word) for word in words]

    def __contains__(self, scope: Scope) -> bool:
        client = scope.get("client")
        if not self._networks or not client or not is_address(client[0]):
            return False
        address = ip_address(client[0])
        return any(address in network for network in self._networks)


def is_address(text: str) -> bool:
    """Whether `text` is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
