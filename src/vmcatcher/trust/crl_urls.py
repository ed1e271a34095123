"""Where the CAs of a trust-anchor directory publish their revocation lists: the `*.crl_url` files of the IGTF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmcatcher.errors.location import BadListedLocation
from vmcatcher.errors.trust_tools import BadCrlUrl
from vmcatcher.model.location import Location
from vmcatcher.trust.certificates import Certificate
from vmcatcher.trust.inventory import Entry, Inventory

# IGTF files have one or two lines; more would only keep somebody waiting.
_MOST_URLS = 8


@dataclass(frozen=True, slots=True)
class CrlUrls:
    """The URLs of one file, to be tried in order, and the CAs of that file name."""

    alias: str
    """Name of the file without its ending, such as `CERN-Root-2`."""
    file: str
    authorities: tuple[Certificate, ...]
    urls: tuple[Location, ...]
    problems: tuple[BadCrlUrl, ...]


def read_crl_urls(inventory: Inventory) -> tuple[CrlUrls, ...]:
    """Return the URLs of every `crl_url` file with the CAs that they are for, sorted by file."""
    cas = [entry for entry in inventory.of_kind("ca") if entry.certificates]
    return tuple(_read(entry, cas) for entry in inventory.of_kind("crl_url"))


def _read(entry: Entry, cas: list[Entry]) -> CrlUrls:
    found: dict[bytes, Certificate] = {}
    for other in cas:
        if other.stems & entry.stems:
            found |= {ca.der: ca for ca in other.certificates}
    urls: list[Location] = []
    problems: list[BadCrlUrl] = []
    for line in _lines(entry.text):
        try:
            urls.append(_location(entry.file, line))
        except BadCrlUrl as error:
            problems.append(error)
    alias = min(entry.stems)
    return CrlUrls(alias, entry.file, tuple(found.values()), tuple(urls[:_MOST_URLS]), tuple(problems))


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def _location(file: str, line: str) -> Location:
    try:
        location = Location.from_list(line)
    except BadListedLocation as exc:
        raise BadCrlUrl(file=file, url=exc.uri, why=exc.why) from exc
    if location.scheme == "file":
        raise BadCrlUrl(file=file, url=line, why="only http and https are fetched")
    return location
