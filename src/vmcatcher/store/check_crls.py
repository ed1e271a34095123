"""Looking at the revocation lists that the store fetched (I1, I12). What the operator put beside them is his own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.store import crls
from vmcatcher.store.aside import is_untrustworthy
from vmcatcher.store.findings import Finding, Remedy, damage, mode_of, note, read

if TYPE_CHECKING:
    from vmcatcher.store.layout import Layout

_FETCH: Final = "vmcatcher trust fetch-crls fetches it again"


def check_crls(layout: Layout, found: list[Finding]) -> None:
    """Add what is wrong with fetched revocation lists and the notes about them."""
    for alias in crls.noted(layout):
        path = crls.note_path(layout, alias)
        known = read(found, path, crls.parse_note, Remedy.ASIDE)
        found.extend(mode_of(crls.crl_path(layout, alias)))
        if known is not None:
            found.extend(_fits(layout, alias, known))


def _fits(layout: Layout, alias: str, known: crls.CrlNote) -> list[Finding]:
    path = crls.crl_path(layout, alias)
    try:
        content = crls.read_fetched(layout, alias)
    except VmcatcherError as error:
        return [damage("I1", path, str(error), Remedy.ASIDE if is_untrustworthy(error) else Remedy.NONE)]
    if content is None:
        return [note("I1", path, f"it was fetched and is gone: what it revokes counts no longer; {_FETCH}")]
    if crls.digest_of(content) != known.sha256:
        # As a note: a fetch that is killed leaves the new list beside the note about the old one.
        text = f"it is not the list that {os.path.basename(crls.note_path(layout, alias))} tells of; {_FETCH}"
        return [note("I1", path, text)]
    return []
