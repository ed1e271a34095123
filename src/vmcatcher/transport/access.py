"""What one subscription may do on the network: whose certificates it trusts, and its password, bound to one origin."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal

from vmcatcher.errors.network import BadUserName, PasswordOverHttp
from vmcatcher.model.location import Location, Origin
from vmcatcher.transport.addresses import is_loopback

Tls = Literal["system", "igtf", "insecure"]


@dataclass(frozen=True, slots=True)
class Access:
    """TLS trust, password and permissions of one subscription."""

    tls: Tls = "system"
    """`system`: the CAs of this machine; `igtf`: those in `trust_directory`; `insecure`: whoever answers."""
    trust_directory: str | None = None
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    origin: Origin | None = None
    """Where user name and password may go. Without it they go nowhere."""
    plain_password: bool = False
    """Send the password over http too, readable on the way."""
    file_images: bool = False
    """Fetch images from files of this machine."""


def authorization(location: Location, access: Access, *, through_proxy: bool) -> str | None:
    """Return the Authorization header for a request to `location`; None if no password is meant for it.

    A password goes to the scheme, host and port it was set for and nowhere else; over plain http only if allowed,
    or if it does not leave this machine.

    Raises:
        PasswordOverHttp: it would go over the network in the clear.
        BadUserName: Basic authentication cannot carry it.
    Source: RFC 7617 section 2; UTF-8 as most servers expect.
    """
    if access.username is None or access.origin != location.origin:
        return None
    stays_here = is_loopback(location.host) and not through_proxy
    if location.scheme == "http" and not access.plain_password and not stays_here:
        raise PasswordOverHttp(url=str(location))
    if ":" in access.username:
        raise BadUserName(url=str(location))
    return basic(access.username, access.password or "", url=str(location))


def basic(username: str, password: str, *, url: str) -> str:
    """Return the value of a Basic authorization header.

    Raises:
        BadUserName: a control character or lone surrogate, which RFC 7617 does not allow.
    """
    if not (username + password).isprintable():
        raise BadUserName(url=url)
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
