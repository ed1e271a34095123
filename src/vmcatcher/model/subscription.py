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


class Decided(StrEnum):
    """Who decided whether an image is selected; nobody did where it is as the policy for new images left it."""

    BY_HAND = "hand"
    BY_RULE = "rule"


@dataclass(frozen=True, slots=True)
class AcceptedImage:
    """An image of the list that the site knows; `selected` ones are kept in the cache."""

    identifier: ImageId
    selected: bool = False
    decided: Decided | None = None


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
    mirrors: tuple[str, ...] = ()
    """Where else than at the listed locations the images may be, in the order in which they are asked."""
    where: str | None = None
    """The rule that selects images that nobody selected by hand; None where there is none."""
    max_validity_s: int | None = None
    """How long after its creation a list holds at most; 0: as long as it says; None: what the setting says."""
    keep_until_replaced: bool = False
    """A replaced image stays until the new bytes are there, also where the setting would let it leave."""

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

    def with_selection(
        self, identifiers: Collection[str], *, selected: bool, decided: Decided | None = Decided.BY_HAND
    ) -> Subscription:
        """Return the subscription with these accepted images selected or not; others stay as they are.

        What was decided by hand stays so, whatever the rule says.
        """
        return replace(
            self,
            images=tuple(
                replace(image, selected=selected, decided=decided) if image.identifier in identifiers else image
                for image in self.images
            ),
        )

    def undecided(self, identifiers: Collection[str]) -> Subscription:
        """Return the subscription with these images as nobody's decision, so that the rule may decide about them."""
        return replace(
            self,
            images=tuple(
                replace(image, decided=None) if image.identifier in identifiers else image for image in self.images
            ),
        )

    def without_rule(self) -> Subscription:
        """Return the subscription without its rule; what that selected stays selected, as if by hand."""
        images = tuple(
            replace(image, decided=Decided.BY_HAND if image.selected else None)
            if image.decided is Decided.BY_RULE
            else image
            for image in self.images
        )
        return replace(self, where=None, images=images)

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

    Where there is a rule, all are accepted and nobody has to decide: `matching.follow_rule` selects among them.
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
        elif subscription.where is not None:
            accepted.append(AcceptedImage(identifier))
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
        "images": [_accepted_document(image) for image in subscription.images],
        "refused": list(subscription.refused),
        "tls": subscription.tls.value,
        "insecure": subscription.insecure,
        "username": subscription.username,
        "username_origin": subscription.username_origin,
        "password_over_http": subscription.password_over_http,
        "file_images": subscription.file_images,
        "pin_uri": subscription.pin_uri,
        "mirrors": list(subscription.mirrors),
        "where": subscription.where,
        "max_validity_s": subscription.max_validity_s,
        "keep_until_replaced": subscription.keep_until_replaced,
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
        images=tuple(_parse_accepted(image) for image in doc.documents(document, "images")),
        refused=tuple(ImageId(text) for text in doc.texts(document, "refused")),
        tls=tls,
        insecure=doc.flag(document, "insecure"),
        username=doc.optional_text(document, "username"),
        username_origin=doc.optional_text(document, "username_origin"),
        password_over_http=doc.flag(document, "password_over_http"),
        file_images=doc.flag(document, "file_images"),
        pin_uri=doc.flag(document, "pin_uri"),
        mirrors=doc.texts(document, "mirrors"),
        where=doc.optional_text(document, "where"),
        max_validity_s=None if document.get("max_validity_s") is None else doc.number(document, "max_validity_s"),
        keep_until_replaced=doc.flag(document, "keep_until_replaced"),
    )


def _unsaid(selected: bool) -> Decided | None:  # noqa: FBT001 - it is what the answer depends on
    """Return who decided about an image where its document does not say, as those from before there were rules."""
    # Mostly somebody selected it, by hand; that it is not selected was mostly nobody's decision.
    return Decided.BY_HAND if selected else None


def _accepted_document(image: AcceptedImage) -> dict[str, object]:
    document: dict[str, object] = {"identifier": image.identifier, "selected": image.selected}
    if image.decided is not _unsaid(image.selected):
        document["decided"] = image.decided and image.decided.value
    return document


def _parse_accepted(document: doc.Document) -> AcceptedImage:
    selected = doc.flag(document, "selected")
    word = doc.optional_text(document, "decided") if "decided" in document else _unsaid(selected)
    try:
        decided = None if word is None else Decided(word)
    except ValueError as exc:
        raise BadDocument(field="decided", expected="hand, rule or null") from exc
    return AcceptedImage(ImageId(doc.text(document, "identifier")), selected, decided)
