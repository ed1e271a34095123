"""What the operator decided about one image list, and the pure rules for changing it."""

from __future__ import annotations

from enum import StrEnum

from vmcatcher.errors.document import BadDocument
from vmcatcher.light import dataclass, replace
from vmcatcher.model import document as doc
from vmcatcher.model.identity import EndorserId, ImageId, ListId
from vmcatcher.model.instant import precise_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime
    from typing import Final


class NewImages(StrEnum):
    """What happens to an image that a list newly names."""

    REFUSE = "refuse"
    ACCEPT = "accept"
    SUBSCRIBE = "subscribe"

    @property
    def update_mode(self) -> int:
        """The number that the classic outputs show for it."""
        return {"refuse": 0, "accept": 1, "subscribe": 3}[self.value]


class TlsTrust(StrEnum):
    """Whose certificates an https server may show; the value is what the classic outputs print."""

    UNSET = "None"
    BROWSER = "Browser"
    IGTF = "IGTF"


@dataclass(frozen=True, slots=True)
class AcceptedImage:
    """An image of the list that the site knows; `selected` ones are kept in the cache."""

    identifier: ImageId
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Subscription:
    """One image list at one URI, with the endorsers, images and access that the operator chose for it."""

    identifier: ListId
    uri_asked: str
    uri: str
    added: datetime
    description: str = ""
    endorsers: tuple[EndorserId, ...] = ()
    new_images: NewImages = NewImages.REFUSE
    images: tuple[AcceptedImage, ...] = ()
    refused: tuple[ImageId, ...] = ()
    tls: TlsTrust = TlsTrust.UNSET
    insecure: bool = False
    username: str | None = None
    username_origin: str | None = None
    """Where the user name may be sent, as the password's own document says for that."""
    password_over_http: bool = False
    file_images: bool = False
    pin_uri: bool = False

    def find(self, identifier: str) -> AcceptedImage | None:
        """Return the accepted image of that identifier, or None."""
        return next((image for image in self.images if image.identifier == identifier), None)

    @property
    def selected(self) -> frozenset[ImageId]:
        """The images that the operator wants in the cache."""
        return frozenset(image.identifier for image in self.images if image.selected)

    def answers_to(self, uri: str) -> bool:
        """Tell whether `uri` is the one asked for at first or the current one."""
        return uri in (self.uri_asked, self.uri)

    def with_selection(self, identifiers: Collection[str], *, selected: bool) -> Subscription:
        """Return the subscription with these accepted images selected or not; others stay as they are."""
        return replace(
            self,
            images=tuple(
                replace(image, selected=selected) if image.identifier in identifiers else image for image in self.images
            ),
        )

    def accepting(self, identifier: ImageId, *, selected: bool = False) -> Subscription:
        """Return the subscription with that image accepted; one that is accepted already stays as it is."""
        if self.find(identifier) is not None:
            return self
        return replace(
            self,
            images=(*self.images, AcceptedImage(identifier, selected)),
            refused=tuple(other for other in self.refused if other != identifier),
        )

    def refusing(self, identifier: ImageId) -> Subscription:
        """Return the subscription without that image; no policy will accept it again until the operator does."""
        return replace(
            self,
            images=tuple(image for image in self.images if image.identifier != identifier),
            refused=(*(other for other in self.refused if other != identifier), identifier),
        )

    def linked(self, endorser: EndorserId) -> Subscription:
        """Return the subscription with that endorser linked."""
        return self if endorser in self.endorsers else replace(self, endorsers=(*self.endorsers, endorser))

    def unlinked(self, endorser: EndorserId) -> Subscription:
        """Return the subscription without that endorser."""
        return replace(self, endorsers=tuple(other for other in self.endorsers if other != endorser))


@dataclass(frozen=True, slots=True)
class Registered:
    """A subscription after its current list was looked through for images it does not know yet."""

    subscription: Subscription
    undecided: tuple[ImageId, ...]
    """Images of the list that nobody accepted or refused: the policy is `refuse` and the operator has not spoken."""
    owned_elsewhere: tuple[ImageId, ...]
    """Images that another subscription accepted first; they stay that one's."""


def register_images(
    subscription: Subscription, listed: Iterable[ImageId], *, owned_elsewhere: Collection[str]
) -> Registered:
    """Apply the subscription's new-image policy to the identifiers that its list names.

    Doing it twice changes nothing, so a run that was interrupted between keeping a list and registering its images
    is completed by the next one.
    """
    undecided: list[ImageId] = []
    clashes: list[ImageId] = []
    current = subscription
    known = {image.identifier for image in subscription.images} | set(subscription.refused)
    accepted = list(subscription.images)
    for identifier in listed:
        if identifier in known:
            continue
        if identifier in owned_elsewhere:
            clashes.append(identifier)
        elif subscription.new_images is NewImages.REFUSE:
            undecided.append(identifier)
        else:
            accepted.append(AcceptedImage(identifier, subscription.new_images is NewImages.SUBSCRIBE))
    if len(accepted) != len(subscription.images):
        current = replace(subscription, images=tuple(accepted))
    return Registered(current, tuple(undecided), tuple(clashes))


_FORMAT: Final = 1


def subscription_document(subscription: Subscription) -> dict[str, object]:
    """Return the JSON document that the store keeps; `parse_subscription` reads it back unchanged."""
    return {
        "format": _FORMAT,
        "identifier": subscription.identifier,
        "uri_asked": subscription.uri_asked,
        "uri": subscription.uri,
        "added": precise_text(subscription.added),
        "description": subscription.description,
        "endorsers": list(subscription.endorsers),
        "new_images": subscription.new_images.value,
        "images": [{"identifier": image.identifier, "selected": image.selected} for image in subscription.images],
        "refused": list(subscription.refused),
        "tls": subscription.tls.value,
        "insecure": subscription.insecure,
        "username": subscription.username,
        "username_origin": subscription.username_origin,
        "password_over_http": subscription.password_over_http,
        "file_images": subscription.file_images,
        "pin_uri": subscription.pin_uri,
    }


def parse_subscription(document: doc.Document) -> Subscription:
    """Return the subscription that a stored document describes.

    Raises:
        BadDocument: a field is missing or of the wrong kind.
    """
    try:
        new_images = NewImages(doc.text(document, "new_images"))
        tls = TlsTrust(doc.text(document, "tls"))
    except ValueError as exc:
        raise BadDocument(field="new_images, tls", expected="known words") from exc
    return Subscription(
        identifier=ListId(doc.text(document, "identifier")),
        uri_asked=doc.text(document, "uri_asked"),
        uri=doc.text(document, "uri"),
        added=doc.instant(document, "added"),
        description=doc.text(document, "description"),
        endorsers=tuple(EndorserId(text) for text in doc.texts(document, "endorsers")),
        new_images=new_images,
        images=tuple(
            AcceptedImage(ImageId(doc.text(image, "identifier")), doc.flag(image, "selected"))
            for image in doc.documents(document, "images")
        ),
        refused=tuple(ImageId(text) for text in doc.texts(document, "refused")),
        tls=tls,
        insecure=doc.flag(document, "insecure"),
        username=doc.optional_text(document, "username"),
        username_origin=doc.optional_text(document, "username_origin"),
        password_over_http=doc.flag(document, "password_over_http"),
        file_images=doc.flag(document, "file_images"),
        pin_uri=doc.flag(document, "pin_uri"),
    )
