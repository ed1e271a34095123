"""Which addresses lead to this machine or to the machines that stand behind it (server-side request forgery)."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services of clouds outside 169.254.0.0/16: they hand out keys to whoever asks from the machine itself.
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_local(host: str) -> bool:
    """Tell whether `host` is `localhost` or a loopback, link-local, unspecified or metadata address in any spelling.

    Other names are not looked up: whoever connects asks again for the address that was found.
    """
    address = _literal(host)
    if address is None:
        return _is_localhost(host)
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA


def is_loopback(host: str) -> bool:
    """Tell whether `host` is `localhost` or a loopback address: what is sent there does not leave this machine."""
    address = _literal(host)
    return _is_localhost(host) if address is None else address.is_loopback


def _is_localhost(host: str) -> bool:
    name = host.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")  # RFC 6761 section 6.3


def _literal(host: str) -> _Address | None:
    try:
        address: _Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _old_spelling(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address
    return address


def _old_spelling(host: str) -> _Address | None:
    # 127.1, 0x7f000001, 017700000001: the C library connects to them all the same.
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
