"""Lists and images that cannot be reached: names, connections, certificates, proxies, passwords, files.

Each error names the URL without user name and password. Those about files stand here too: for whoever subscribes
to a `file:` list it is the place that failed. What a server answers wrongly stands in `vmcatcher.errors.answer`.
"""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import NetworkError, OperatorError, PublisherError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class HostUnknown(NetworkError):
    """The name of the server cannot be resolved."""

    url: str
    host: str
    why: str
    id: ClassVar[str] = "host-unknown"
    message: ClassVar[str] = "{url}: no address for host '{host}' ({why})"
    hint: ClassVar[str] = "check the spelling and this machine's name service; the next run tries again"


@dataclass(eq=False)
class ConnectionRefused(NetworkError):
    """Nobody listens at that address and port."""

    url: str
    address: str
    id: ClassVar[str] = "connection-refused"
    message: ClassVar[str] = "{url}: {address} refused the connection"
    hint: ClassVar[str] = "check the port; if it is right the server is down, and the next run tries again"


@dataclass(eq=False)
class Unreachable(NetworkError):
    """No way leads to that address."""

    url: str
    address: str
    why: str
    id: ClassVar[str] = "unreachable"
    message: ClassVar[str] = "{url}: {address} cannot be reached ({why})"
    hint: ClassVar[str] = "check network, route and firewall; the next run tries again"


@dataclass(eq=False)
class ConnectionBroken(NetworkError):
    """The connection ended while an answer was awaited or a body arrived."""

    url: str
    why: str
    id: ClassVar[str] = "connection-broken"
    message: ClassVar[str] = "{url}: the connection broke ({why})"
    hint: ClassVar[str] = "the next run tries again"


@dataclass(eq=False)
class ServerTimeout(NetworkError):
    """Nothing came within the time allowed for it."""

    url: str
    waiting_for: str
    seconds: float
    id: ClassVar[str] = "server-timeout"
    message: ClassVar[str] = "{url}: waited {seconds} s for {waiting_for}"
    hint: ClassVar[str] = "the next run tries again"


@dataclass(eq=False)
class TransferTooSlow(NetworkError):
    """The body trickles: a server that never finishes would hold up all others."""

    url: str
    got_bytes: int
    seconds: float
    least_bytes_s: int
    id: ClassVar[str] = "transfer-too-slow"
    message: ClassVar[str] = "{url}: {got_bytes} bytes in {seconds} s, expected at least {least_bytes_s} bytes/s"
    hint: ClassVar[str] = "the next run tries again"


@dataclass(eq=False)
class TookTooLong(NetworkError):
    """The list was not there within the time allowed for all of it, redirects and repeats included."""

    url: str
    seconds: float
    id: ClassVar[str] = "took-too-long"
    message: ClassVar[str] = "{url}: not received within {seconds} s"
    hint: ClassVar[str] = "the next run tries again"


@dataclass(eq=False)
class TlsRefused(NetworkError):
    """The server could not prove who it is, or speaks no TLS that is still safe."""

    url: str
    why: str
    id: ClassVar[str] = "tls-refused"
    message: ClassVar[str] = "{url}: TLS refused, {why}"
    hint: ClassVar[str] = (
        "check host name and clock; a certificate of a grid CA needs --uri-trustanchor-set igtf; "
        "else tell the server's administrator"
    )


@dataclass(eq=False)
class TrustDirectoryUnusable(OperatorError):
    """TLS should be verified with a trust-anchor directory that is not there."""

    url: str
    directory: str
    id: ClassVar[str] = "trust-directory-unusable"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 10
    message: ClassVar[str] = "{url}: no directory '{directory}' to verify TLS with"
    hint: ClassVar[str] = "install the IGTF trust anchors, or name their directory with --cert-dir"


@dataclass(eq=False)
class ProxyFailed(NetworkError):
    """The proxy refused, or could not be reached."""

    url: str
    proxy: str
    why: str
    id: ClassVar[str] = "proxy-failed"
    message: ClassVar[str] = "{url}: proxy {proxy} failed, {why}"
    hint: ClassVar[str] = "check https_proxy, http_proxy, all_proxy and no_proxy"


@dataclass(eq=False)
class UnusableProxy(OperatorError):
    """A proxy setting that vmcatcher cannot use."""

    proxy: str
    why: str
    id: ClassVar[str] = "unusable-proxy"
    message: ClassVar[str] = "cannot use proxy '{proxy}': {why}"
    hint: ClassVar[str] = "set http://HOST:PORT in https_proxy, http_proxy or all_proxy"


@dataclass(eq=False)
class PasswordOverHttp(OperatorError):
    """A password would go over the network in the clear."""

    url: str
    id: ClassVar[str] = "password-over-http"
    classic_exit: ClassVar[int] = 10
    message: ClassVar[str] = "{url}: not sending the password over plain http"
    hint: ClassVar[str] = "use the https:// URL, or allow it for this subscription with --uri-password-over-http"


@dataclass(eq=False)
class BadUserName(OperatorError):
    """A user name that Basic authentication cannot carry (RFC 7617 section 2)."""

    url: str
    id: ClassVar[str] = "bad-user-name"
    classic_exit: ClassVar[int] = 10
    message: ClassVar[str] = "{url}: the user name or password holds a character that cannot be sent"
    hint: ClassVar[str] = "no colon in a user name, no control characters in either"


@dataclass(eq=False)
class FileMissing(NetworkError):
    """No such file."""

    url: str
    id: ClassVar[str] = "file-missing"
    message: ClassVar[str] = "{url}: no such file"
    hint: ClassVar[str] = "check the path, and that its file system is mounted"


@dataclass(eq=False)
class FileUnreadable(NetworkError):
    """The operating system refused to open or read the file."""

    url: str
    why: str
    id: ClassVar[str] = "file-unreadable"
    message: ClassVar[str] = "{url}: cannot be read ({why})"
    hint: ClassVar[str] = "check permissions and disk"


@dataclass(eq=False)
class NotARegularFile(NetworkError):
    """A link, directory, device or pipe: it might lead anywhere, or never end."""

    url: str
    found: str
    id: ClassVar[str] = "not-a-regular-file"
    message: ClassVar[str] = "{url}: expected a regular file, found {found}"
    hint: ClassVar[str] = "name the file itself"


@dataclass(eq=False)
class FileImageRefused(PublisherError):
    """A list names a file of this machine as an image; only lists the operator allows to may do so."""

    url: str
    id: ClassVar[str] = "file-image-refused"
    classic_exit: ClassVar[int] = 10
    message: ClassVar[str] = "{url}: a list may not name files of this machine"
    hint: ClassVar[str] = "if this list is your own, allow it for the subscription"
