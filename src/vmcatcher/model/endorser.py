"""An endorser: whom the operator trusts to sign lists, by certificate subject and issuer."""

from __future__ import annotations

from vmcatcher.light import dataclass
from vmcatcher.model import document as doc
from vmcatcher.model.identity import Credential, EndorserId, OneLineName
from vmcatcher.model.instant import precise_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Endorser:
    """One endorser with the credentials it signs with, in the order they were added."""

    identifier: EndorserId
    credentials: tuple[Credential, ...]
    added: datetime

    def owns(self, signer: OneLineName, issuer: OneLineName) -> bool:
        """Tell whether one of the credentials is this certificate's subject under this issuer."""
        return any(signer.is_named(own.subject) and issuer.is_named(own.issuer) for own in self.credentials)


def endorser_document(endorser: Endorser) -> dict[str, object]:
    """Return the JSON document that the store keeps; `parse_endorser` reads it back unchanged."""
    return {
        "format": 1,
        "identifier": endorser.identifier,
        "credentials": [{"subject": own.subject, "issuer": own.issuer} for own in endorser.credentials],
        "added": precise_text(endorser.added),
    }


def parse_endorser(document: doc.Document) -> Endorser:
    """Return the endorser that a stored document describes.

    Raises:
        BadDocument: a field is missing or of the wrong kind.
    """
    return Endorser(
        EndorserId(doc.text(document, "identifier")),
        tuple(
            Credential(doc.text(own, "subject"), doc.text(own, "issuer"))
            for own in doc.documents(document, "credentials")
        ),
        doc.instant(document, "added"),
    )
