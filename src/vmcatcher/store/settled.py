"""What an update notes of a list of which everything that follows was done, so that the next one knows it again."""

from __future__ import annotations

from vmcatcher.light import dataclass
from vmcatcher.model import document as doc
from vmcatcher.model.instant import instant_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """A list that was verified, admitted, kept, and of which nothing was left to do or to say."""

    files: str
    """Names the files that belong to it as they were then, and the program and the rules that looked at them."""
    snapshot: str
    """Name of the current snapshot."""
    signed: str
    """SHA-256 of its signed bytes, whose signature held."""
    signer: str
    """SHA-256 of the certificate that signed them; whether that is trusted is asked at every run."""
    version: str
    created: datetime
    expires: datetime
    looked: datetime
    """When all of those files were read."""


def parse_settled(document: doc.Document | None) -> Settled | None:
    """Return what a stored note describes, or None where there is none."""
    if document is None:
        return None
    return Settled(
        doc.text(document, "files"),
        doc.text(document, "snapshot"),
        doc.text(document, "signed"),
        doc.text(document, "signer"),
        doc.text(document, "version"),
        doc.instant(document, "created"),
        doc.instant(document, "expires"),
        doc.instant(document, "looked"),
    )


def settled_document(settled: Settled) -> dict[str, object]:
    """Return the JSON that the store keeps of it; `parse_settled` reads it back unchanged."""
    return {
        "files": settled.files,
        "snapshot": settled.snapshot,
        "signed": settled.signed,
        "signer": settled.signer,
        "version": settled.version,
        "created": instant_text(settled.created),
        "expires": instant_text(settled.expires),
        "looked": instant_text(settled.looked),
    }
