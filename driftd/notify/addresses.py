"""Which addresses messages may be sent to. Pure.

Where messages go is written by people who may not see everything that driftd can reach: an
address of this machine, of its link, of a cloud's metadata or of the private network is refused
unless the operator opened its network.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_CLOSED: Final = _networks(
    # This machine, private networks, carriers' shared space, and what no receiver can have.
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "::1/128", "fc00::/7", "fec0::/10"),
    *("100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16"),
)
_SEALED: Final = _networks(
    # Metadata services, groups, and addresses that stand for others: a wide network in the
    # settings does not open these.
    *("0.0.0.0/32", "169.254.0.0/16", "100.100.100.200/32", "192.0.0.192/32", "224.0.0.0/4"),
    *("240.0.0.0/4", "::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/32"),
    # IPv4 inside IPv6, by ways on which the embedded address does not decide alone.
    *("64:ff9b:1::/48", "2001::/23", "2002::/16", "::/96"),
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks that settings open; an address alone is one, too. Raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def refused(text: str, opened: Iterable[Network] = ()) -> bool:
    """Whether nothing may be sent to an address; also where it is none in the usual spelling."""
    try:
        address = _plain(ip_address(text.partition("%")[0].strip("[]")))
    except ValueError:
        return True
    ours = [one for one in opened if one.version == address.version]
    if any(address in one for one in _of(_SEALED, address)) or _is_isatap(address):
        return not any(address in one and _is_inside_sealed(one) for one in ours)
    return any(address in one for one in _of(_CLOSED, address)) and not any(
        address in one for one in ours
    )


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one is only a spelling of, else the address."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _of(networks: Iterable[Network], address: Address) -> list[Network]:
    return [one for one in networks if one.version == address.version]


def _is_inside_sealed(network: Network) -> bool:
    """Whether a network was opened that means a sealed one, and no more."""
    return any(
        network.version == one.version and network.subnet_of(one)  # type: ignore[arg-type]
        for one in _SEALED
    )


def _is_isatap(address: Address) -> bool:
    """Whether an IPv6 address ends in an IPv4 one, as tunnels inside a site have it."""
    return address.version == 6 and (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
