"""Endorsers of a classic database with all their credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors.requests import CredentialTaken
from vmcatcher.model.endorser import Endorser
from vmcatcher.model.identity import Credential, normal_dn
from vmcatcher.store import endorsers as documents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.services.importing.work import Work
    from vmcatcher.store.classic_contents import ClassicEndorser


def import_endorsers(work: Work, rows: Iterable[ClassicEndorser]) -> None:
    """Make the endorsers that the store lacks, and add the credentials that it lacks to those it has.

    A credential that two endorsers claim stays with the first: whose signature it is would be a guess.
    """
    for row in rows:
        known = work.endorsers.get(row.identifier)
        if work.is_repeated:
            if known is None:
                work.tally.warn(f"endorser '{row.identifier}' was deleted after the import and is not made again")
            continue
        before = known.credentials if known else ()
        added = tuple(one for one in row.credentials if not _has(before, one) and _is_free(work, row, one))
        if known is None or added:
            made = known or Endorser(row.identifier, (), work.next_instant())
            _keep(work, replace(made, credentials=(*before, *dict.fromkeys(added))))
            work.tally.count("endorsers imported", int(known is None))
            work.tally.count("credentials imported", len(set(added)))
        else:
            work.tally.count("endorsers there already")


def _keep(work: Work, endorser: Endorser) -> None:
    work.endorsers[endorser.identifier] = endorser
    if not work.is_dry:
        with work.commit():
            documents.put_endorser(work.context.layout, endorser)


def _has(credentials: Iterable[Credential], wanted: Credential) -> bool:
    return any(_normal(own) == _normal(wanted) for own in credentials)


def _normal(credential: Credential) -> tuple[str, str]:
    return normal_dn(credential.subject), normal_dn(credential.issuer)


def _is_free(work: Work, row: ClassicEndorser, wanted: Credential) -> bool:
    subject = f"endorser row {row.row}"
    for other in work.endorsers.values():
        if other.identifier == row.identifier:
            continue
        if _has(other.credentials, wanted):
            taken = CredentialTaken(subject=wanted.subject, issuer=wanted.issuer, owner=other.identifier)
            work.tally.fail(subject, taken)
            return False
        if any(normal_dn(own.subject) == normal_dn(wanted.subject) for own in other.credentials):
            work.tally.warn(
                f"{subject}: '{wanted.subject}' is a credential of '{row.identifier}' and, under another issuer, of "
                f"'{other.identifier}'"
            )
    return True
