"""Which addresses are on the public internet: connections go to no others.

Source: the IANA registries of special-purpose addresses for IPv4 and IPv6. `ipaddress` has such properties too, but
they differ between versions of Python.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by customers of a provider
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the host of a virtual machine at Azure
            "169.254.0.0/16",  # link-local: the metadata of virtual machines, with their credentials
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocols
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is assigned. Outside are loopback, IPv4-mapped, NAT64 (64:ff9b::), private, link-local, multicast."""

NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols: Teredo, which holds an IPv4 address, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which holds an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)

ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""The upper half of an interface's identifier that holds an IPv4 address (RFC 5214)."""


def is_public(address: IPAddress) -> bool:
    """Whether a connection to this address leaves for the public internet.

    >>> is_public(IPv4Address("93.184.216.34")), is_public(IPv6Address("::ffff:93.184.216.34"))
    (True, False)
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    if address.scope_id is not None or address not in PUBLIC_V6 or int(address) >> 32 & 0xFFFF_FFFF in ISATAP:
        return False
    return not any(address in network for network in NOT_PUBLIC_V6)
