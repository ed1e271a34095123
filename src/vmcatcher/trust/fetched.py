"""Whether what a CRL URL served may take the place of what is here: whole, genuine, holding now, and not older."""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from vmcatcher.errors.trust_tools import (
    CrlForged,
    CrlOfAnother,
    CrlOlder,
    CrlOutOfDate,
    CrlPartial,
    NoCrlThere,
)
from vmcatcher.trust.anchor_files import AnchorFile, encoded_in
from vmcatcher.trust.certificates import Certificate
from vmcatcher.trust.crl import Crl, read_crl
from vmcatcher.trust.shield import Undecodable, shielded

_SKEW: Final = timedelta(minutes=5)
_PEM_LINE: Final = 64
# As PEM it is a third longer, and no file of more than 64 MiB is read.
LARGEST_BYTES: Final = 47 * 2**20


def read_served(content: bytes, authorities: Iterable[Certificate], url: str, now: datetime) -> Crl:
    """Return the CRL in what was served, in DER or PEM, if it is one that a CA can be judged by now.

    `authorities` are the certificates of one CA: its old and its new one while it exchanges its key.

    Raises:
        NoCrlThere: it is no CRL, or several, or too large to be kept.
        CrlOfAnother: it is in the name of another CA.
        CrlForged: no key of the CA signed it, or one that may not.
        CrlPartial: it does not speak of all certificates of the CA.
        CrlOutOfDate: it is over, from the future, or does not say until when it holds.
    """
    known = list(authorities)
    ca = str(known[0].subject)
    crl = _decoded(content, ca, url)
    named = [one for one in known if one.subject.escaped == crl.issuer.escaped]
    if not named:
        raise CrlOfAnother(ca=ca, url=url, found=str(crl.issuer))
    signers = [one for one in named if crl.is_signed_by(one)]
    if not signers:
        raise CrlForged(ca=ca, url=url, problem="it was not signed with the key of that CA that is trusted here")
    if not any(one.usages is None or "cRLSign" in one.usages for one in signers):
        raise CrlForged(ca=ca, url=url, problem="the CA may not sign CRLs (keyUsage)")
    if len(crl.der) > LARGEST_BYTES:
        raise NoCrlThere(ca=ca, url=url, problem=f"it has {len(crl.der)} bytes, at most {LARGEST_BYTES} can be kept")
    if crl.gap is not None:
        raise CrlPartial(ca=ca, url=url, problem=crl.gap)
    if crl.last_update > now + _SKEW or crl.next_update is None or crl.next_update <= now:
        raise CrlOutOfDate(ca=ca, url=url, made=crl.last_update, ends=crl.next_update, now=now)
    return crl


def demand_newer(crl: Crl, have: Crl | None, ca: str, url: str, now: datetime) -> bool:
    """Return whether a served CRL is newer than the one that is here; False where it is the same.

    Of two that were made in the same second the one with the higher number is the newer one (RFC 5280, section 5.2.3).

    Raises:
        CrlOlder: it is older.
        CrlPartial: it speaks of fewer certificates than the one that is here and still holds: in the place of that it
            would undo revocations, and whoever is on the way of a plain http URL can send any CRL that the CA made.
    """
    if have is None:
        return True
    if crl.der == have.der:
        return False
    holds = have.next_update is None or have.next_update > now
    if holds and not _speaks_of_all(crl, have):
        raise CrlPartial(ca=ca, url=url, problem="it is for other distribution points than the CRL that is here")
    offered, kept = (crl.last_update, _number(crl)), (have.last_update, _number(have))
    if offered < kept:
        raise CrlOlder(ca=ca, url=url, made=crl.last_update, have=have.last_update)
    return offered > kept


def _speaks_of_all(crl: Crl, have: Crl) -> bool:
    """Tell whether a CRL speaks of all certificates of which another one does, as far as distribution points go."""
    if crl.distribution_points is None:
        return True
    return have.distribution_points is not None and have.distribution_points <= crl.distribution_points


def newest_of(crls: Iterable[Crl], authorities: Iterable[Certificate]) -> Crl | None:
    """Return the newest CRL that one of these certificates of a CA signed."""
    known = list(authorities)
    signed = [crl for crl in crls if any(crl.is_signed_by(one) for one in known)]
    return max(signed, key=lambda crl: (crl.last_update, _number(crl)), default=None)


def pem_of(crl: Crl) -> bytes:
    """Return a CRL as PEM, which every tool reads."""
    text = binascii.b2a_base64(crl.der, newline=False)
    # Not textwrap, which copies the rest for each line: and that takes an hour for the largest ones.
    lines = (text[at : at + _PEM_LINE] for at in range(0, len(text), _PEM_LINE))
    return b"\n".join((b"-----BEGIN X509 CRL-----", *lines, b"-----END X509 CRL-----", b""))


def crl_in(content: bytes) -> Crl | None:
    """Return the CRL in the bytes of a file of ours; None where they hold none."""
    try:
        return read_crl(next(encoded_in(AnchorFile("", "crl", content=content))))
    except Undecodable:
        return None


def _decoded(content: bytes, ca: str, url: str) -> Crl:
    try:
        found = list(encoded_in(AnchorFile("", "crl", content=content)))
        if len(found) != 1:
            raise NoCrlThere(ca=ca, url=url, problem=f"it holds {len(found)} CRLs, expected one")
        return read_crl(found[0])
    except Undecodable as exc:
        raise NoCrlThere(ca=ca, url=url, problem=str(exc)) from exc


def _number(crl: Crl) -> int:
    """Return the CRL's number; -1 where it has none."""
    try:
        with shielded():
            return crl.parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except Undecodable:
        return -1
