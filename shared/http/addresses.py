"""
Who is at the other end of a connection, when proxies of ours may stand in between.

Plain Python, because the server asks it before there is a request.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_SUBSCRIBER_BITS = 64
# As some proxies write whom they heard: 192.0.2.1:5678, [2001:db8::1]:5678.
_WITH_PORT = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^:\[\]]+))(?::[0-9]{1,5})?")


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks such as `10.0.0.0/8, ::1`, read. Raises: ValueError on others."""
    return tuple(ip_network(name.strip()) for name in text.split(",") if name.strip())


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """
    The address of the client: the peer's, or what trusted proxies say in `X-Forwarded-For`.

    Read from its end: each proxy appends whom it heard, and what stands before the first one that
    is not ours can have been written by anybody.
    """
    client = peer
    hops = [hop.strip() for hop in forwarded_for.split(",")] if forwarded_for else []
    while hops and is_among(client, trusted):
        address = _read(hops.pop())
        if address is None:
            break
        client = str(address)
    return client


def is_among(address: str, among: Sequence[Network]) -> bool:
    """Whether an address belongs to one of these networks."""
    read = _read(address)
    return read is not None and any(read in network for network in among)


def is_loopback(address: str) -> bool:
    """Whether it is this machine that speaks."""
    read = _read(address)
    return read is not None and read.is_loopback


def subscriber(address: str) -> str:
    """Whom to count an address for: itself, or the /64 that whoever has one IPv6 address has."""
    read = _read(address)
    if isinstance(read, IPv6Address):
        return str(IPv6Network((int(read), _SUBSCRIBER_BITS), strict=False))
    return address if read is None else str(read)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((found["bracketed"] or found["plain"]) if found else text)
    except ValueError:
        return None
    # An IPv4 client of an IPv6 socket.
    return getattr(address, "ipv4_mapped", None) or address
