"""Every file of the trust-anchor directory and of the store's overlay: what it holds, under which names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from vmcatcher.errors.trust import TrustDirectoryEmpty, TrustDirectoryMissing
from vmcatcher.trust.anchor_files import EVERY_KIND, AnchorFile, AnchorProblem, FileKind, encoded_in, read_files
from vmcatcher.trust.certificates import Certificate, read_certificate
from vmcatcher.trust.crl import Crl, read_crl
from vmcatcher.trust.policy import Grant, PolicyProblem, parse_policy
from vmcatcher.trust.shield import Undecodable

HASH: Final = re.compile(r"[0-9a-f]{8}")
"""Names of files by the hash of a name, as OpenSSL looks for them."""
_CRLS: Final = frozenset[FileKind]({"crl"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, however many links name it. `paths` are all of its names, those by hash last."""

    kind: FileKind
    paths: tuple[str, ...]
    is_overlay: bool
    certificates: tuple[Certificate, ...] = ()
    crls: tuple[Crl, ...] = ()
    grants: tuple[Grant, ...] = ()
    text: str = ""
    """Of a `crl_url` or `info` file."""
    problems: tuple[str, ...] = ()
    """Why it, or a part of it, is of no use."""

    @property
    def file(self) -> str:
        """The name by which people know it: `CERN-Root-2.pem` rather than one by hash."""
        return self.paths[0]

    @property
    def stems(self) -> frozenset[str]:
        """Its names without directory and ending; files of one stem belong together."""
        return frozenset(os.path.basename(path).rpartition(".")[0] for path in self.paths)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lies in the directory and its overlay, sorted by file."""

    directory: str
    entries: tuple[Entry, ...]
    _places: dict[bytes, str] = field(repr=False)

    def place_of(self, der: bytes) -> str | None:
        """Return the path of the file that holds a certificate or CRL; None where none does."""
        return self._places.get(der)

    def of_kind(self, *kinds: FileKind) -> Iterator[Entry]:
        """Yield the entries of these kinds."""
        return (entry for entry in self.entries if entry.kind in kinds)


def take_inventory(directory: str, *, overlay: str | None = None) -> Inventory:
    """Return what lies in the trust-anchor directory and in the overlay, which need not be there.

    The files are read by the same functions as for verifying; `crl_url` and `info` files besides.

    Raises:
        TrustDirectoryMissing, TrustDirectoryEmpty: there is no such directory, or it cannot be listed.
    """
    try:
        entries = _entries(directory, EVERY_KIND, is_overlay=False)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise TrustDirectoryMissing(directory=directory) from exc
    except OSError as exc:
        raise TrustDirectoryEmpty(directory=directory, problem=exc.strerror or str(exc)) from exc
    if overlay is not None:
        entries += _overlaid(overlay)
    entries.sort(key=lambda entry: (entry.is_overlay, entry.file))
    places: dict[bytes, str] = {}
    for entry in entries:
        for der in (*(one.der for one in entry.certificates), *(one.der for one in entry.crls)):
            places.setdefault(der, entry.file)
    return Inventory(directory, tuple(entries), places)


def _overlaid(overlay: str) -> list[Entry]:
    try:
        return _entries(overlay, _CRLS, is_overlay=True)
    except FileNotFoundError:
        return []
    except OSError as exc:
        return [Entry("crl", (overlay,), is_overlay=True, problems=(exc.strerror or str(exc),))]


def _entries(directory: str, kinds: frozenset[FileKind], *, is_overlay: bool) -> list[Entry]:
    problems: list[AnchorProblem] = []
    entries = [_entry(directory, file, is_overlay=is_overlay) for file in read_files(directory, kinds, problems)]
    for one in problems:
        paths = (os.path.join(directory, one.file),)
        entries.append(Entry(one.kind, paths, is_overlay, problems=(one.problem,)))
    return entries


def _entry(directory: str, file: AnchorFile, *, is_overlay: bool) -> Entry:
    certificates: list[Certificate] = []
    crls: list[Crl] = []
    grants: list[Grant] = []
    problems: list[str] = []
    try:
        for der in encoded_in(file) if file.kind in ("ca", "crl") else ():
            try:
                if file.kind == "ca":
                    certificates.append(read_certificate(der, is_anchor=True))
                else:
                    crls.append(read_crl(der))
            except Undecodable as exc:
                problems.append(str(exc))
        if file.kind in ("signing_policy", "namespaces"):
            grants = parse_policy(file.kind, file.content, file.name)
    except (Undecodable, PolicyProblem) as exc:
        problems.append(str(exc))
    paths = sorted((os.path.join(directory, name) for name in file.names), key=_by_name)
    text = file.content.decode("utf-8", "replace") if file.kind in ("crl_url", "info") else ""
    found = (tuple(certificates), tuple(crls), tuple(grants))
    return Entry(file.kind, tuple(paths), is_overlay, *found, text=text, problems=tuple(problems))


def _by_name(path: str) -> tuple[bool, bool, str]:
    return HASH.fullmatch(os.path.basename(path).rpartition(".")[0]) is not None, os.path.islink(path), path
