"""The directory of trust anchors of a grid site, as the IGTF distributes it and fetch-crl keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from vmcatcher.errors.trust import TrustDirectoryEmpty, TrustDirectoryMissing
from vmcatcher.model.identity import OneLineName, normal_dn
from vmcatcher.trust.anchor_files import AnchorFile, AnchorProblem, FileKind, encoded_in, read_files
from vmcatcher.trust.certificates import Certificate, read_certificate
from vmcatcher.trust.crl import Crl, read_crl
from vmcatcher.trust.policy import Grant, PolicyProblem, parse_policy
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.shield import Undecodable

__all__ = ["AnchorProblem", "TrustAnchors"]

Overlaid = tuple[str, str, tuple[Crl, ...]]
"""A file of the overlay: its name, why it cannot be read, if so, and its CRLs."""
Matter = tuple[bytes, datetime, TrustRules, bool]
"""A certificate, the time it is judged at, by which rules, and whether for the first time."""
Finding = tuple[tuple[Certificate, ...], tuple[Crl, ...], tuple[str, ...]]
"""Its chain, the CRLs that were asked, and what there is to warn of."""

_ALL: frozenset[FileKind] = frozenset({"ca", "crl", "signing_policy", "namespaces"})
_CRLS: frozenset[FileKind] = frozenset({"crl"})


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """The CAs that a site trusts, what they may sign and what they took back; read once for a whole run."""

    directory: str
    problems: tuple[AnchorProblem, ...]
    """Files that are of no use. They never spoil the rest, but somebody should look."""
    unread_ca: AnchorProblem | None
    """A CA file that could not be read, if there is one: while it lasts, no CA can be said to be gone."""
    authorities: dict[str, tuple[Certificate, ...]] = field(repr=False)
    crls: dict[str, tuple[Crl, ...]] = field(repr=False)
    grants: dict[str, tuple[Grant, ...]] = field(repr=False)
    broken_policies: dict[str, AnchorProblem] = field(repr=False)
    broken_crls: dict[str, AnchorProblem] = field(repr=False)
    overlaid: dict[str, tuple[Overlaid, ...]] = field(default_factory=dict, repr=False)
    """Files of the overlay with the CRLs in them, by the name of the CA whose file name they have."""
    vouched: dict[Matter, Finding] = field(default_factory=dict, repr=False, compare=False)
    """What was found out about signers' certificates with these anchors, for `verify` alone."""

    @classmethod
    def load(cls, directory: str, *, overlay: str | None = None) -> TrustAnchors:
        """Read `<hash>.0`, `*.pem`, `*.crt`, `<hash>.r0`, `*.signing_policy` and `*.namespaces` of `directory`.

        CRLs of `overlay` count beside those of `directory`, the newest first; it need not exist.

        Raises:
            TrustDirectoryMissing: there is no such directory.
            TrustDirectoryEmpty: it cannot be listed, or no CA certificate could be read from it.
        """
        reading = _Reading()
        try:
            files = read_files(directory, _ALL, reading.problems)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise TrustDirectoryMissing(directory=directory) from exc
        except OSError as exc:
            raise TrustDirectoryEmpty(directory=directory, problem=exc.strerror or str(exc)) from exc
        reading.take(files)
        if not reading.authorities:
            problem = (
                f"{reading.problems[0].file}: {reading.problems[0].problem}" if reading.problems else "none is there"
            )
            raise TrustDirectoryEmpty(directory=directory, problem=problem)
        if overlay is not None:
            reading.take_overlay(overlay)
        return reading.anchors(directory)

    def issuers_of(self, certificate: Certificate) -> tuple[Certificate, ...]:
        """Return the anchored certificates that carry the name of the certificate's issuer."""
        return self.authorities.get(certificate.issuer.escaped, ())

    def crls_of(self, ca: Certificate) -> tuple[Crl, ...]:
        """Return the CRLs in the name of `ca`; who signed them is not said."""
        return self.crls.get(ca.subject.escaped, ())

    def grants_of(self, ca: Certificate) -> tuple[Grant, ...]:
        """Return what the policy files grant to, and deny, a CA of this name."""
        return tuple(grant for key in _keys(ca.subject) for grant in self.grants.get(key, ()))

    def broken_policy_of(self, ca: Certificate) -> AnchorProblem | None:
        """Return the CA's own policy file that is of no use, if there is one."""
        return self.broken_policies.get(ca.subject.escaped)

    def spoilt_crl_of(self, ca: Certificate) -> AnchorProblem | None:
        """Return a file of the overlay that should have a CRL of this CA and has none that its key signed.

        What it revoked is not known any more; a CRL of the directory may be older.
        """
        known = self.authorities.get(ca.subject.escaped, ())
        for file, problem, crls in self.overlaid.get(ca.subject.escaped, ()):
            if not any(crl.is_signed_by(one) for crl in crls for one in known):
                words = problem or "it was not signed with the key of that CA that is trusted here"
                return AnchorProblem(file, words, "crl", frozenset())
        return None

    def broken_crl_of(self, ca: Certificate) -> AnchorProblem | None:
        """Return the CA's own CRL file that is of no use, if there is one."""
        return self.broken_crls.get(ca.subject.escaped)


def _keys(name: OneLineName) -> list[str]:
    """Return how policy files may spell the name, each spelling once."""
    forms = (name.escaped, name.escaped if name.plain is None else name.plain)
    return list(dict.fromkeys(map(normal_dn, forms)))


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    problems: list[AnchorProblem] = field(default_factory=list)
    authorities: dict[str, dict[bytes, Certificate]] = field(default_factory=dict)
    crls: dict[str, dict[bytes, Crl]] = field(default_factory=dict)
    grants: dict[str, list[Grant]] = field(default_factory=dict)
    subjects: dict[str, set[str]] = field(default_factory=dict)
    """Names of the CAs by the stem of their file: `SELF`, policies and CRLs are of the CA of the same stem."""
    overlaid: dict[str, list[Overlaid]] = field(default_factory=dict)

    def take(self, files: list[AnchorFile]) -> None:
        """Read certificates and CRLs, then the policies, which refer to the certificates."""
        takers = {"ca": self._take_authorities, "crl": self._take_crls}
        for file in sorted(files, key=lambda file: file.kind not in takers):
            takers.get(file.kind, self._take_policy)(file)

    def take_overlay(self, overlay: str) -> None:
        """Read the CRLs of a directory that need not exist, and note which file of it is for which CA."""
        known = len(self.problems)
        try:
            files = read_files(overlay, _CRLS, self.problems)
        except FileNotFoundError:
            return
        except OSError as exc:
            self.problems.append(AnchorProblem(overlay, exc.strerror or str(exc), "crl", frozenset()))
            return
        found = {file.name: (file.stems, self._take_crls(file)) for file in files}
        for problem in self.problems[known:]:
            if not problem.is_gone:
                found.pop(problem.file, None)
                self._lay(problem.file, problem.problem, problem.stems, [])
        for name, (stems, crls) in found.items():
            self._lay(name, "", stems, crls)

    def _lay(self, name: str, problem: str, stems: Iterable[str], crls: list[Crl]) -> None:
        for subject in self._subjects_of(stems):
            self.overlaid.setdefault(subject, []).append((name, problem, tuple(crls)))

    def anchors(self, directory: str) -> TrustAnchors:
        """Return everything, frozen."""
        present = [problem for problem in self.problems if not problem.is_gone]
        policies = [problem for problem in present if problem.kind in ("signing_policy", "namespaces")]
        return TrustAnchors(
            directory=directory,
            problems=tuple(self.problems),
            unread_ca=next((problem for problem in present if problem.kind == "ca"), None),
            authorities={name: tuple(found.values()) for name, found in self.authorities.items()},
            crls={name: tuple(found.values()) for name, found in self.crls.items()},
            grants={name: tuple(found) for name, found in self.grants.items()},
            broken_policies=self._by_subject(policies),
            broken_crls=self._by_subject([problem for problem in present if problem.kind == "crl"]),
            overlaid={name: tuple(found) for name, found in self.overlaid.items()},
        )

    def _take_authorities(self, file: AnchorFile) -> None:
        for der in self._encoded(file):
            try:
                ca = read_certificate(der, is_anchor=True)
            except Undecodable as exc:
                self.problems.append(file.problem(str(exc)))
                continue
            self.authorities.setdefault(ca.subject.escaped, {}).setdefault(der, ca)
            for stem in file.stems:
                self.subjects.setdefault(stem, set()).add(ca.subject.escaped)

    def _take_crls(self, file: AnchorFile) -> list[Crl]:
        found = []
        for der in self._encoded(file):
            try:
                crl = read_crl(der)
            except Undecodable as exc:
                self.problems.append(file.problem(str(exc)))
                continue
            found.append(self.crls.setdefault(crl.issuer.escaped, {}).setdefault(der, crl))
        return found

    def _encoded(self, file: AnchorFile) -> Iterator[bytes]:
        try:
            yield from encoded_in(file)
        except Undecodable as exc:
            self.problems.append(file.problem(str(exc)))

    def _take_policy(self, file: AnchorFile) -> None:
        own = self._subjects_of(file.stems)
        try:
            grants = parse_policy(
                "namespaces" if file.kind == "namespaces" else "signing_policy", file.content, file.name
            )
        except PolicyProblem as exc:
            self.problems.append(file.problem(str(exc)))
            return
        if not own and any(grant.issuer is None for grant in grants):
            self.problems.append(file.problem("SELF, but there is no CA certificate of that file name"))
            return
        for grant in grants:
            for issuer in own if grant.issuer is None else {grant.issuer}:
                self.grants.setdefault(normal_dn(issuer), []).append(grant)

    def _subjects_of(self, stems: Iterable[str]) -> set[str]:
        return {subject for stem in stems for subject in self.subjects.get(stem, ())}

    def _by_subject(self, problems: list[AnchorProblem]) -> dict[str, AnchorProblem]:
        return {subject: problem for problem in problems for subject in self._subjects_of(problem.stems)}
