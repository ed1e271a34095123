"""Where lists and images are: http, https and file locations, read strictly and written back as they were given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Literal
from urllib.parse import quote, unquote

from vmcatcher.errors import BadLocation, VmcatcherError
from vmcatcher.errors.location import BadListedLocation

Scheme = Literal["http", "https", "file"]
WebScheme = Literal["http", "https"]

_LONGEST: Final = 8192
# RFC 3986 appendix B, for text that has a scheme.
_URI: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<place>[^/?#]*))?(?P<path>[^?#]*)(?P<rest>.*)")
_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,252}")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_USERINFO: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:)?/*.*@", re.DOTALL)
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
_IN_PATHS: Final = "/!$&'()*+,;=:@~"
_WEB: Final[dict[str, WebScheme]] = {"http": "http", "https": "https"}
_PORTS: Final = {"http": 80, "https": 443, "file": 0}

_Refusal = Callable[[str], VmcatcherError]


@dataclass(frozen=True, slots=True)
class UserInfo:
    """A user name and password taken out of a URI, decoded."""

    username: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what a password is bound to (RFC 6454). Written `https://host:443`."""

    scheme: Scheme
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Location:
    """An http, https or file URI without user name, password and fragment; `str()` gives it back.

    Scheme and host are in lower case; port, path and query are as given, but that characters outside ASCII are
    percent-encoded (RFC 3987 section 3.1). For `file` the host is empty and the path absolute.
    """

    scheme: Scheme
    host: str
    port: int | None
    path: str
    query: str | None

    def __str__(self) -> str:
        if self.scheme == "file":
            return f"file://{self.path}"
        port = "" if self.port is None else f":{self.port}"
        query = "" if self.query is None else f"?{self.query}"
        return f"{self.scheme}://{_bracketed(self.host)}{port}{self.path}{query}"

    @property
    def origin(self) -> Origin:
        """Scheme, host and port, the default port filled in."""
        return Origin(self.scheme, self.host, _PORTS[self.scheme] if self.port is None else self.port)

    @property
    def target(self) -> str:
        """Path and query as an HTTP request names them (RFC 9112 section 3.2.1)."""
        path = self.path or "/"
        return path if self.query is None else f"{path}?{self.query}"

    @property
    def file_path(self) -> str:
        """The path of a `file` location as the operating system spells it."""
        return unquote(self.path, errors="surrogateescape")

    @classmethod
    def parse(cls, text: str, *, directory: str = "") -> tuple[Location, UserInfo | None]:
        """Return the location that an operator typed, and the user name and password that were in it.

        Besides URIs this takes a plain path; a relative one is below `directory`, which must be absolute.

        Raises:
            BadLocation: empty, too long, unknown scheme, no host, bad port, space or control character, relative path
                without a directory. The text shown is without user name and password.
        """

        def refuse(why: str) -> VmcatcherError:
            return BadLocation(uri=_without_userinfo(text), why=why)

        if text and not _URI.match(text):
            return _plain_path(text, directory, refuse), None
        return _parse(text, refuse)

    @classmethod
    def from_list(cls, text: str) -> Location:
        """Return the location that a signed list or a redirect names; stricter than `parse`.

        Raises:
            BadListedLocation: as `parse`, and for a plain path, a user name or a password.
        """

        def refuse(why: str) -> VmcatcherError:
            return BadListedLocation(uri=_without_userinfo(text), why=why)

        location, userinfo = _parse(text, refuse)
        if userinfo is not None:
            raise refuse("it holds a user name")
        return location


def move_refusal(old: Location, new: Location) -> str | None:
    """Return why a list may not move from `old` to `new` by naming another `hv:uri`; None if it may."""
    if new == old:
        return None
    if new.scheme == "file":
        return "a list may move to http and https only"
    if old.scheme == "https" and new.scheme == "http":
        return "a list may not move from https to http"
    return None


def _parse(text: str, refuse: _Refusal) -> tuple[Location, UserInfo | None]:
    if not text:
        raise refuse("it is empty")
    if len(text) > _LONGEST:
        raise refuse(f"longer than {_LONGEST} characters")
    # Also the backslash: some programs read it as a slash, and then see another host than we do.
    if not text.isprintable() or " " in text or "\\" in text:
        raise refuse("it holds a space, a backslash or a character that cannot be printed")
    found = _URI.fullmatch(text)
    if found is None:
        raise refuse("it has no scheme")
    scheme, path = found["scheme"].lower(), found["path"]
    query = found["rest"].partition("#")[0]
    if scheme == "file":
        return _file(found["place"] or "", path, query, refuse), None
    web = _WEB.get(scheme)
    if web is None:
        raise refuse(f"scheme '{scheme}' is not known")
    if found["place"] is None:
        raise refuse("it names no host")
    return _web(web, found, query, refuse)


def _web(scheme: WebScheme, found: re.Match[str], query: str, refuse: _Refusal) -> tuple[Location, UserInfo | None]:
    before, at, place = found["place"].rpartition("@")
    userinfo = _userinfo(before, refuse) if at else None
    host, port = _host_and_port(place, refuse)
    location = Location(
        scheme=scheme,
        host=host,
        port=port,
        path=quote(found["path"], safe=_ASCII),
        query=quote(query[1:], safe=_ASCII) if query else None,
    )
    return location, userinfo


def _userinfo(text: str, refuse: _Refusal) -> UserInfo | None:
    name, colon, word = text.partition(":")
    userinfo = UserInfo(unquote(name), unquote(word) if colon else None)
    if not userinfo.username.isprintable() or not (userinfo.password or "").isprintable():
        raise refuse("its user name or password holds a character that cannot be printed")
    return userinfo if text else None


def _host_and_port(place: str, refuse: _Refusal) -> tuple[str, int | None]:
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket:
            raise refuse("a bracket is missing after its host")
        name = _ipv6(host, refuse)
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = place.partition(":")
        name = host.lower()
        if not name:
            raise refuse("it names no host")
        if not _NAME.fullmatch(name):
            raise refuse("its host holds a character that no host name has (write it in its xn-- form)")
    if colon not in {"", ":"} or (port and (not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535)):
        raise refuse("its port is no number from 1 to 65535")
    return name, int(port) if port else None


def _ipv6(text: str, refuse: _Refusal) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError as exc:
        raise refuse("its host is no IPv6 address") from exc
    if address.scope_id is not None:
        raise refuse("its host holds a zone, which means something on one machine only")
    return str(address)


def _file(place: str, path: str, query: str, refuse: _Refusal) -> Location:
    if place.lower() not in {"", "localhost"}:
        raise refuse("between file:// and the next slash stands a host; write file:/// and the path")
    if query:
        raise refuse("a file has no query; a question mark in a name is written %3F")
    if not path.startswith("/"):
        raise refuse("a file URI needs an absolute path")
    return _file_location(quote(path, safe=_ASCII), refuse)


def _plain_path(text: str, directory: str, refuse: _Refusal) -> Location:
    if not text.startswith("/"):
        if not directory.startswith("/"):
            raise refuse("a relative path")
        text = f"{directory.rstrip('/')}/{text}"
    try:
        path = quote(text, safe=_IN_PATHS, errors="surrogateescape")
    except UnicodeEncodeError as exc:
        raise refuse("it holds a character that no file name has") from exc
    return _file_location(path, refuse)


def _file_location(path: str, refuse: _Refusal) -> Location:
    # "any number of slashes": //tmp and ///tmp are /tmp here, whatever POSIX leaves open about exactly two.
    location = Location("file", "", None, f"/{path.lstrip('/')}", None)
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in location.file_path):
        raise refuse("it holds a control character")
    return location


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_userinfo(text: str) -> str:
    """Cut whatever could be a password out of a text that could not be parsed: everything up to the last @."""
    return _USERINFO.sub(lambda found: f"{found[1] or ''}//***@", text)
