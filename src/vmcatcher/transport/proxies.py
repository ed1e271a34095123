"""Which proxy a request goes through, after the settings that curl and its like read from the environment."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vmcatcher.errors import BadLocation
from vmcatcher.errors.network import UnusableProxy
from vmcatcher.model.location import Location
from vmcatcher.transport.access import basic


@dataclass(frozen=True, slots=True)
class Proxy:
    """An http proxy; `authorization` is the value of its Proxy-Authorization header."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}"


class Proxies:
    """The proxies of one run. Files never go through one."""

    def __init__(self, by_scheme: Mapping[str, str], no_proxy: str) -> None:
        """Take the values of `http_proxy`, `https_proxy` and `all_proxy` by `http`, `https` and `all`."""
        self._by_scheme = {scheme.lower(): text.strip() for scheme, text in by_scheme.items() if text.strip()}
        self._exceptions = [entry for entry in re.split(r"[\s,]+", no_proxy.lower()) if entry]

    def choose(self, location: Location) -> Proxy | None:
        """Return the proxy for a request to `location`; None for a direct connection.

        Raises:
            UnusableProxy: the setting is no http:// URL; it is shown without user name and password.
        """
        text = self._by_scheme.get(location.scheme) or self._by_scheme.get("all")
        if text is None or any(_is_meant(entry, location) for entry in self._exceptions):
            return None
        return _read(text)


def _read(text: str) -> Proxy:
    try:
        location, userinfo = Location.parse(text if "://" in text else f"http://{text}")
    except BadLocation as exc:
        raise UnusableProxy(proxy=exc.uri, why=exc.why) from exc
    if location.scheme != "http":
        raise UnusableProxy(proxy=str(location), why="only http:// proxies are supported")
    login = basic(userinfo.username, userinfo.password or "", url=str(location)) if userinfo else None
    return Proxy(location.host, location.origin.port, login)


def _is_meant(entry: str, location: Location) -> bool:
    """Tell whether an entry of no_proxy covers `location`: `*`, a domain, an address, a network, each with a port."""
    if entry == "*":
        return True
    if (network := _network(entry)) is not None:
        return _is_inside(location.host, network)
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal():
        if int(port) != location.origin.port:
            return False
        entry = name
    if (network := _network(entry)) is not None:
        return _is_inside(location.host, network)
    domain, host = entry.removeprefix("*").strip("."), location.host.rstrip(".")
    return host == domain or host.endswith(f".{domain}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _is_inside(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
