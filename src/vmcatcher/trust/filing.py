"""How the files of a trust-anchor directory are named and kept: what others, or somebody some day, would trip over."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from typing import Final

from vmcatcher.errors.trust import BadAsn1
from vmcatcher.model.identity import normal_dn
from vmcatcher.model.upkeep import Finding, Weight
from vmcatcher.trust.certificates import Certificate, outline
from vmcatcher.trust.crl_urls import read_crl_urls
from vmcatcher.trust.hashes import name_hashes
from vmcatcher.trust.inventory import HASH, Entry, Inventory

_FINGERPRINT: Final = re.compile(r"^\s*sha1fp\.0\s*=\s*([0-9A-Fa-f:]+)\s*$", re.MULTILINE)


def filing_findings(inventory: Inventory) -> Iterator[Finding]:
    """Yield what is wrong with files, whatever their CAs are like."""
    known = _Known(inventory)
    yield from _open_to_all(inventory)
    yield from known.duplicates()
    for entry in inventory.entries:
        yield from _useless(entry)
        yield from known.names(entry)
        yield from known.strangers(entry)
    for urls in read_crl_urls(inventory):
        for error in urls.problems:
            yield Finding(Weight.WARNS, error.id, str(error), urls.file)


def _useless(entry: Entry) -> Iterator[Finding]:
    # While a CA file cannot be read, no CA can be said to be gone, and nobody can tell whom it would vouch for.
    weight = Weight.REFUSES if entry.kind == "ca" and not os.path.islink(entry.file) else Weight.WARNS
    for problem in entry.problems:
        yield Finding(
            weight, f"{entry.kind.replace('_', '-')}-file", f"{entry.file} is of no use: {problem}", entry.file
        )


def _open_to_all(inventory: Inventory) -> Iterator[Finding]:
    """Yield what anybody on this machine may write: whoever can add a CA can sign any list."""
    for path in (
        inventory.directory,
        *(entry.file for entry in inventory.of_kind("ca", "signing_policy", "namespaces")),
    ):
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue  # said elsewhere
        if mode & stat.S_IWOTH:
            yield Finding(Weight.WARNS, "open-to-all", f"anybody on this machine may write to {path}", path)


class _Known:
    """The CAs of the directory by name and by hash."""

    def __init__(self, inventory: Inventory) -> None:
        self._cas = [(entry, ca) for entry in inventory.of_kind("ca") for ca in entry.certificates]
        self._by_name: dict[str, set[str]] = {}
        self._stems: set[str] = set()
        for entry, ca in self._cas:
            self._by_name.setdefault(ca.subject.escaped, set()).update(_hashes(ca))
            self._stems |= entry.stems
        self._spellings: dict[str, set[str]] = {}
        for _, ca in self._cas:
            for form in (ca.subject.escaped, ca.subject.plain):
                if form is not None:
                    self._spellings.setdefault(normal_dn(form), set()).update(_hashes(ca))

    def duplicates(self) -> Iterator[Finding]:
        """Yield CA certificates that are in several files; links to one file are none."""
        places: dict[bytes, list[str]] = {}
        for entry, ca in self._cas:
            places.setdefault(ca.der, []).append(entry.file)
        for files in places.values():
            if len(files) > 1:
                said = f"{', '.join(sorted(files))} hold the same CA certificate"
                yield Finding(Weight.WARNS, "duplicate-ca", said, files[0])

    def names(self, entry: Entry) -> Iterator[Finding]:
        """Yield names by which OpenSSL would look for another CA, and CAs that it would not find."""
        wanted = self._wanted(entry)
        if not wanted or entry.is_overlay:
            return
        hashed = [path for path in entry.paths if HASH.fullmatch(_stem(path))]
        for path in hashed:
            if _stem(path) not in wanted:
                said = f"{path} has the hash of another name, expected {' or '.join(sorted(wanted))}"
                yield Finding(Weight.WARNS, "wrong-hash", said, path)
        if entry.kind == "ca" and not any(_stem(path) in wanted for path in hashed):
            said = f"{entry.file} has no name by hash, such as {min(wanted)}.0: TLS with these CAs does not find it"
            yield Finding(Weight.WARNS, "no-hash", said, entry.file)

    def _wanted(self, entry: Entry) -> set[str]:
        """Return the hashes that the name of a file may have; none where nothing is known about it."""
        match entry.kind:
            case "ca":
                return {one for ca in entry.certificates for one in _hashes(ca)}
            case "crl":
                return {one for crl in entry.crls for one in self._by_name.get(crl.issuer.escaped, ())}
            case "signing_policy" | "namespaces":
                issuers = {normal_dn(grant.issuer) for grant in entry.grants if grant.issuer}
                return {one for issuer in issuers for one in self._spellings.get(issuer, ())}
            case _:
                return set()

    def strangers(self, entry: Entry) -> Iterator[Finding]:
        """Yield files that belong to no CA that is here."""
        for crl in entry.crls:
            cas = [ca for _, ca in self._cas if ca.subject.escaped == crl.issuer.escaped]
            if not cas:
                said = f"{entry.file} is a CRL of {crl.issuer}, which is no CA here"
                yield Finding(Weight.WARNS, "crl-without-ca", said, entry.file)
            elif not any(crl.is_signed_by(ca) for ca in cas):
                said = f"{entry.file} was not signed with the key of {crl.issuer} that is trusted here"
                yield Finding(Weight.WARNS, "crl-signature", said, entry.file, str(crl.issuer))
        if entry.stems & self._stems or entry.problems:
            yield from self._mistaken(entry)
        elif entry.kind in ("signing_policy", "namespaces"):
            issuers = {normal_dn(grant.issuer) for grant in entry.grants if grant.issuer}
            if not issuers & self._spellings.keys():
                yield Finding(Weight.WARNS, "policy-without-ca", f"{entry.file} is of no CA that is here", entry.file)
        elif entry.kind == "crl_url":
            yield Finding(Weight.WARNS, "crl-url-without-ca", f"{entry.file} is of no CA that is here", entry.file)

    def _mistaken(self, entry: Entry) -> Iterator[Finding]:
        """Yield an info file that describes another certificate than the one beside it."""
        match = _FINGERPRINT.search(entry.text) if entry.kind == "info" else None
        if match is None:
            return
        said = match[1].replace(":", "").lower()
        beside = [ca for other, ca in self._cas if other.stems & entry.stems]
        if all(hashlib.sha1(ca.der, usedforsecurity=False).hexdigest() != said for ca in beside):
            yield Finding(
                Weight.WARNS, "info-differs", f"{entry.file} describes another certificate (sha1fp.0)", entry.file
            )


def _stem(path: str) -> str:
    return os.path.basename(path).rpartition(".")[0]


def _hashes(ca: Certificate) -> tuple[str, ...]:
    try:
        return name_hashes(outline(ca.der).subject)
    except BadAsn1:
        return ()
