"""What the trust tools could not do: explain a list, fetch a revocation list."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from vmcatcher.errors.base import MachineError, OperatorError, PublisherError
from vmcatcher.errors.trust import instant_facts
from vmcatcher.light import dataclass


@dataclass(eq=False)
class NothingToExplain(OperatorError):
    """A subscription that no update has admitted a list of."""

    subscription: str
    id: ClassVar[str] = "nothing-to-explain"
    message: ClassVar[str] = "no list of subscription {subscription} was admitted yet"
    hint: ClassVar[str] = "explain what its URI serves with --fetch, or run an update first"


@dataclass(eq=False)
class FetchedCrlRefused(PublisherError):
    """What a CRL URL served is not taken; the CRL that is there stays."""

    ca: str
    url: str

    def facts(self) -> dict[str, object]:
        """Return the fields by name, for JSON reports; instants as text in UTC."""
        return instant_facts(super().facts())


@dataclass(eq=False)
class NoCrlThere(FetchedCrlRefused):
    """The server answers, but not with a CRL: a login page, an error page, a CRL cut short."""

    problem: str
    id: ClassVar[str] = "fetched-crl-unreadable"
    message: ClassVar[str] = "{url} serves no CRL of {ca}: {problem}"
    hint: ClassVar[str] = "look at what the URL serves; if it stays so, tell the CA"


@dataclass(eq=False)
class CrlOfAnother(FetchedCrlRefused):
    """A CRL in the name of another CA."""

    found: str
    id: ClassVar[str] = "fetched-crl-issuer"
    message: ClassVar[str] = "{url} serves a CRL of {found}, expected one of {ca}"
    hint: ClassVar[str] = "update the CA certificates of this machine; if it stays so, tell the CA"


@dataclass(eq=False)
class CrlForged(FetchedCrlRefused):
    """A CRL that the key of the CA did not sign, or may not sign."""

    problem: str
    id: ClassVar[str] = "fetched-crl-signature"
    message: ClassVar[str] = "the CRL of {ca} at {url} cannot be trusted: {problem}"
    hint: ClassVar[str] = "damaged, forged, or the CA has a new key: update the CA certificates of this machine"


@dataclass(eq=False)
class CrlPartial(FetchedCrlRefused):
    """A CRL that does not speak of all certificates of the CA."""

    problem: str
    id: ClassVar[str] = "fetched-crl-scope"
    message: ClassVar[str] = "the CRL of {ca} at {url} is not a whole one: {problem}"
    hint: ClassVar[str] = "ask the CA for the URL of its full CRL"


@dataclass(eq=False)
class CrlOutOfDate(FetchedCrlRefused):
    """A CRL that does not hold now: over, made in the future, or without an end."""

    made: datetime
    ends: datetime | None
    now: datetime
    id: ClassVar[str] = "fetched-crl-date"
    message: ClassVar[str] = "the CRL of {ca} at {url} does not hold now ({now}): made {made}, next due {ends}"
    hint: ClassVar[str] = "ask the CA for a new one; if it was made in the future, compare the clock of this machine"


@dataclass(eq=False)
class CrlOlder(FetchedCrlRefused):
    """An older CRL than the one that is here: it may have been put there to hide a revocation."""

    made: datetime
    have: datetime
    id: ClassVar[str] = "fetched-crl-older"
    message: ClassVar[str] = "the CRL of {ca} at {url} was made {made}, the one that is here {have}; kept that one"
    hint: ClassVar[str] = "a stale copy, or somebody hides a revocation; if it stays so, tell the CA"


@dataclass(eq=False)
class BadCrlUrl(OperatorError):
    """A line of a crl_url file from which nothing can be fetched."""

    file: str
    url: str
    why: str
    id: ClassVar[str] = "crl-url"
    message: ClassVar[str] = "{file}: '{url}' cannot be fetched: {why}"
    hint: ClassVar[str] = "repair the file, or install the CA's package again"


@dataclass(eq=False)
class NoCrlUrl(OperatorError):
    """No CA of the trust-anchor directory says where its CRL is."""

    directory: str
    id: ClassVar[str] = "no-crl-url"
    message: ClassVar[str] = "no *.crl_url file of a CA in {directory}"
    hint: ClassVar[str] = "the packages of the CA certificates have them; without them CRLs have to come from elsewhere"


@dataclass(eq=False)
class CrlsUnusable(MachineError):
    """A CA that lists here depend on has no CRL that holds, and none could be fetched."""

    ca: str
    id: ClassVar[str] = "crl-not-fetched"
    message: ClassVar[str] = "no CRL of {ca} that holds, and none could be fetched"
    hint: ClassVar[str] = "lists that it vouches for are refused until one is there"
