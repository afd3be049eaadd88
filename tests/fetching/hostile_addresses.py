"""Addresses that lead to this machine or a private network: all spellings, redirects, names that change."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

PUBLIC = (ip_address("93.184.216.34"), ip_address("2606:2800:220:1::1"))
"""The only addresses to which a connection may be made."""

PRIVATE_V4 = tuple(map(IPv4Address, (
    "127.0.0.1", "127.99.1.2", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254", "0.0.0.0",
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.7", "192.88.99.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
)))  # fmt: skip
PRIVATE_V6 = tuple(map(IPv6Address, (
    "::", "::1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::", "fe80::1", "fec0::1", "fd00::1", "fd00:ec2::254", "fc00::7",
    "ff02::1", "100::1", "2001:db8::1", "3fff::1", "5f00::1", "2606:2800::5efe:7f00:1", "2606:2800::200:5efe:a00:1",
)))  # fmt: skip

Spelling = Callable[[IPv4Address], str]


def _octets(form: str) -> Spelling:
    return lambda address: ".".join(form.format(octet) for octet in address.packed)


def _short(address: IPv4Address) -> str:
    first, *rest = address.packed
    return f"{first}.{int.from_bytes(bytes(rest))}"


def _mixed(address: IPv4Address) -> str:
    a, b, c, d = address.packed
    return f"0x{a:x}.{b:#o}".replace("0o", "0") + f".{c * 256 + d}"


SPELLINGS: tuple[Spelling, ...] = (
    str,
    lambda address: str(int(address)),
    lambda address: hex(int(address)),
    lambda address: f"0X{int(address):X}",
    lambda address: f"0{int(address):o}",
    lambda address: f"0000{int(address):o}",
    _octets("{:#x}"),
    _octets("0{:o}"),
    _octets("{:03d}"),
    _octets("0x{:08x}"),
    _short,
    _mixed,
    lambda address: f"{address}.",
    lambda address: f"{address}..",
    lambda address: str(address).replace(".", "。"),
    lambda address: "".join(chr(0xFEE0 + ord(c)) if c.isdigit() else c for c in str(address)),
    lambda address: "".join(f"%{ord(c):02x}" for c in str(address)),
    lambda address: str(address).replace("1", "①"),
    lambda address: f"{address}%00.cdn.example",
    lambda address: f"{address}\t",
    lambda address: f" {address}",
    lambda address: f"[::ffff:{address}]",
    lambda address: f"[::{address}]",
    lambda address: f"[0:0:0:0:0:ffff:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}]",
    lambda address: f"[64:ff9b::{address}]",
    lambda address: f"[{address}]",
)

TRICKS = (
    "http://{}/a.jpg", "http://{}:80/a.jpg", "https://{}/a.jpg", "//{}/a.jpg", "HTTP://{}/a.jpg", "http:/{}/a.jpg",
    "http:{}/a.jpg", "http:///{}/a.jpg", "http:\\\\{}\\a.jpg", "http://cdn.example@{}/a.jpg",
    "http://cdn.example:80@{}/a.jpg", "http://{}\\@cdn.example/a.jpg", "http://cdn.example\\@{}/a.jpg",
    "http://cdn.example#@{}/a.jpg", "http://cdn.example?@{}/a.jpg", "http://{}#@cdn.example/a.jpg",
    "http://{}?cdn.example/a.jpg", "http://{}:80:80/a.jpg", "http://{}:00080/a.jpg", "http://{}:/a.jpg",
    "http://cdn.example;@{}/a.jpg", "http://[cdn.example]@{}/a.jpg", "http://{} cdn.example/a.jpg",
    "http://cdn.example/../../{}/a.jpg", "\thttp://{}/a.jpg", "ht\ntp://{}/a.jpg", "http://\u200b{}/a.jpg",
)  # fmt: skip

NAMES = (
    "localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "ip6-localhost", "metadata.google.internal",
    "printer.local", "router", "kubernetes.default.svc", "ⓛocalhost", "loc\u00adalhost",
)  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """A case.

    Attributes:
        address: in the table.
        host: a name that is looked up; empty for none of this case's own.
        answers: what the look-ups of `host` find, one after the other; the last stays.
        location: where the path of this case is redirected to; empty for a photo.
    """

    address: str
    host: str = ""
    answers: tuple[tuple[IPv4Address | IPv6Address, ...], ...] = ()
    location: str = ""


def hostile_addresses(count: int, seed: int = 0) -> list[Hostile]:
    """`count` different cases of all kinds."""
    chance = random.Random(seed)
    made: dict[str, Hostile] = {}
    while len(made) < count:
        case = chance.choice((_direct, _redirected, _redirected, _named, _named))(chance, len(made))
        made.setdefault(case.address, case)
    return list(made.values())


def _private_host(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(NAMES)
    if kind < 0.3:
        address = chance.choice(PRIVATE_V6)
        return chance.choice((f"[{address}]", f"[{address.exploded}]", f"[{address}%25lo]", str(address)))
    return chance.choice(SPELLINGS)(chance.choice(PRIVATE_V4))


def _trick(chance: random.Random) -> str:
    template = chance.choice(TRICKS) if chance.random() < 0.7 else TRICKS[0]
    return template.format(_private_host(chance))


def _direct(chance: random.Random, number: int) -> Hostile:
    return Hostile(f"{_trick(chance)}?{number}")


def _redirected(chance: random.Random, number: int) -> Hostile:
    return Hostile(f"http://cdn.example/{number}.jpg", location=_trick(chance))


def _named(chance: random.Random, number: int) -> Hostile:
    private = (*PRIVATE_V4, *PRIVATE_V6)

    def answer() -> tuple[IPv4Address | IPv6Address, ...]:
        found: Sequence[IPv4Address | IPv6Address] = chance.sample(private, chance.randint(1, 3))
        mixed = [*found, chance.choice(PUBLIC)] if chance.random() < 0.5 else list(found)
        chance.shuffle(mixed)
        return tuple(mixed)

    changing = tuple(answer() for _ in range(chance.randint(1, 4)))
    if chance.random() < 0.5:  # public at the first look-up only
        changing = ((chance.choice(PUBLIC),), *changing)
    host = f"h{number}.rebind.example"
    # some lead to themselves, over another scheme or port, so that they are looked up again
    location = chance.choice(("", f"http://{host}:81/{number}.jpg", f"http://{host}/{number}.jpg"))
    return Hostile(f"http://{host}/{number}.jpg", host, changing, location)
