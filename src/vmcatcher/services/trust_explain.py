"""Why a list is taken or refused: every step of verifying and admitting it, with its verdict. Nothing is written.

The steps are those of an update, in its order, and call what it calls. So the first one that fails is what the update
says; `tests/refusals` holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar, cast

from vmcatcher.errors import VmcatcherError, printable
from vmcatcher.errors.trust_tools import NothingToExplain
from vmcatcher.model import admission
from vmcatcher.model.explanation import Outcome, Step
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import instant_text
from vmcatcher.model.location import Location
from vmcatcher.model.validity import limit_of
from vmcatcher.services.judging import judge_subscription
from vmcatcher.services.newest import compare, newest_admitted
from vmcatcher.services.subscriptions import find_subscription
from vmcatcher.services.update import access_for
from vmcatcher.store import endorsers, snapshots, subscriptions
from vmcatcher.transport.access import Access
from vmcatcher.transport.results import Fetched
from vmcatcher.trust.explain import examine

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.model.imagelist import ImageList, ParsedList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.context import Context
    from vmcatcher.services.trust_ground import Ground
    from vmcatcher.transport.transport import Transport

_T = TypeVar("_T")
_UNSIGNED = "not looked at: nobody signed what there is"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was looked at, every step, and what stops the list."""

    source: str
    """Where the signed bytes are from: a URL, a file, a snapshot of the store."""
    steps: tuple[Step, ...]
    listed: ImageList | None
    """What the list says, whether it is taken or not; None where it cannot be read."""
    list_id: str | None
    """The subscription that it was held against; None where there is none for it."""

    @property
    def refusal(self) -> VmcatcherError | None:
        """What an update would refuse it with; None where it would be taken."""
        return next((step.error for step in self.steps if step.outcome is Outcome.FAILED), None)


def explain_current(context: Context, ground: Ground, subscription: Subscription) -> Explanation:
    """Explain the current list of a subscription as if it came now; the last step is what a cache run makes of it.

    Raises:
        NothingToExplain: no update has admitted a list yet.
        StoreInputOutput: it cannot be read.
    """
    snapshot = snapshots.current_snapshot(context.layout, subscription.identifier)
    if snapshot is None:
        raise NothingToExplain(subscription=subscription.identifier)
    found = explain_bytes(context, ground, snapshots.read_signed(snapshot), snapshot.path, subscription)
    return replace(found, steps=(*found.steps, _standing(context, ground, subscription)))


def explain_served(context: Context, ground: Ground, transport: Transport, subscription: Subscription) -> Explanation:
    """Explain the list that the URI of a subscription serves now; it is fetched as an update does, and not kept."""
    location = Location.parse(subscription.uri)[0]
    access = access_for(context, subscription, ground.directory)
    return _explain_fetched(context, ground, transport, (location, access), subscription)


def explain_location(
    context: Context | None, ground: Ground, transport: Transport, uri: str, directory: str
) -> Explanation:
    """Explain the list at a URL or in a file; held against its subscription, where there is one for it.

    A relative path is one below `directory`. The URI of a subscription is asked as that subscription asks it.

    Raises:
        BadLocation: it is neither.
    """
    location, userinfo = Location.parse(uri, directory=directory)
    subscription = _subscribed(context, uri, directory)
    if context is not None and subscription is not None and userinfo is None:
        return _explain_fetched(
            context, ground, transport, (location, access_for(context, subscription, ground.directory)), subscription
        )
    access = Access(trust_directory=ground.directory, origin=location.origin)
    if userinfo is not None:
        access = replace(access, username=userinfo.username, password=userinfo.password)
    return _explain_fetched(context, ground, transport, (location, access), None)


def _subscribed(context: Context | None, uri: str, directory: str) -> Subscription | None:
    try:
        return find_subscription(context, uri, by_uri=True, directory=directory) if context is not None else None
    except VmcatcherError:
        return None


def _explain_fetched(
    context: Context | None,
    ground: Ground,
    transport: Transport,
    place: tuple[Location, Access],
    subscription: Subscription | None,
) -> Explanation:
    location, access = place
    try:
        answer = transport.fetch_list(location, access)
    except VmcatcherError as error:
        step = Step("fetch", Outcome.FAILED, str(error), error)
        return Explanation(str(location), (step,), None, subscription.identifier if subscription else None)
    assert isinstance(answer, Fetched), "nothing was asked for that could be unmodified"
    found = explain_bytes(context, ground, answer.body, str(location), subscription)
    fetched = Step("fetch", Outcome.OK, f"{len(answer.body)} bytes from {answer.final_url}")
    return replace(found, steps=(fetched, *found.steps))


def explain_bytes(
    context: Context | None, ground: Ground, signed: bytes, source: str, subscription: Subscription | None
) -> Explanation:
    """Explain a signed list, held against `subscription`, or else against the one of its own identifier."""
    examined = examine(signed, ground.anchors, ground.now, ground.rules, ground.inventory())
    # The rules of admission are asked what they would say of a list that is not trusted; nothing comes of it.
    claims = examined.verified or cast("VerifiedList | None", examined.claimed)
    judging = _Admitting(context, ground, list(examined.steps))
    if claims is None:
        judging.skip_all()
        return Explanation(source, tuple(judging.steps), None, subscription.identifier if subscription else None)
    parsed = judging.read(claims)
    if parsed is None:
        return Explanation(source, tuple(judging.steps), None, subscription.identifier if subscription else None)
    listed = parsed.imagelist
    if subscription is None and context is not None:
        subscription = subscriptions.find_subscription(context.layout, listed.identifier)
    judging.admit(claims, listed, subscription)
    return Explanation(source, tuple(judging.steps), listed, subscription.identifier if subscription else None)


@dataclass(slots=True)
class _Admitting:
    """The steps behind the verification: what the list says, and whether this site takes it."""

    context: Context | None
    ground: Ground
    steps: list[Step] = field(default_factory=list)

    def skip_all(self) -> None:
        """Note that there is nothing to look at."""
        for name in ("list", "named-signer", "endorser", "version", "dates"):
            self.steps.append(Step(name, Outcome.SKIPPED, _UNSIGNED))

    def read(self, claims: VerifiedList) -> ParsedList | None:
        """Note whether what was signed is an image list that names its signer; return it."""
        parsed = self._try("list", lambda: parse_image_list(claims.content))
        if parsed is None:
            return None
        listed = parsed.imagelist
        said = f"{listed.identifier}, version {listed.version}, {len(listed.images)} images"
        warnings = (*parsed.warnings, *(one.one_line() for one in parsed.refused))
        outcome = Outcome.WARNING if warnings else Outcome.OK
        self.steps.append(Step("list", outcome, printable(said), details=tuple(map(printable, warnings))))
        self._run(
            "named-signer",
            lambda: admission.demand_named_signer(claims, listed),
            f"hv:dn and hv:ca name the certificate {claims.signer}",
        )
        return parsed

    def admit(self, claims: VerifiedList, listed: ImageList, subscription: Subscription | None) -> None:
        """Note whether this site takes the list, in the order of an update."""
        if self.context is None:
            for name in ("endorser", "version"):
                self.steps.append(Step(name, Outcome.SKIPPED, "there is no store here to hold it against"))
        else:
            self._look_at_endorser(self.context, claims, subscription)
            if subscription is not None:
                said = f"it is the list of subscription {subscription.identifier}"
                self._run("identifier", lambda: admission.demand_identifier(subscription, listed), said)
            self._look_at_version(self.context, claims, listed, subscription)
        self._look_at_dates(listed, subscription)

    def _look_at_endorser(self, context: Context, claims: VerifiedList, subscription: Subscription | None) -> None:
        known = endorsers.all_endorsers(context.layout)
        if subscription is not None:
            found = self._try("endorser", lambda: admission.demand_linked(claims, subscription, known))
            if found is not None:
                said = f"{found.identifier} owns that credential and is linked to {subscription.identifier}"
                self.steps.append(Step("endorser", Outcome.OK, said))
            return
        found = self._try("endorser", lambda: admission.find_endorser(claims, known))
        if found is not None:
            self.steps.append(Step("endorser", Outcome.OK, f"{found.identifier} owns that credential"))

    def _look_at_version(
        self, context: Context, claims: VerifiedList, listed: ImageList, subscription: Subscription | None
    ) -> None:
        newest = newest_admitted(context, subscription.identifier if subscription else listed.identifier)
        taken = self._try("version", lambda: compare(claims, listed, newest))
        if taken is None:
            return
        before = "no list of it was admitted before"
        if newest is not None:
            before = f"the newest one admitted is version {newest.version} of {instant_text(newest.created)}"
        said = f"version {listed.version} of {instant_text(listed.created)}; {before}"
        outcome = Outcome.WARNING if taken.warning else Outcome.OK
        details = (taken.warning,) if taken.warning else ()
        self.steps.append(Step("version", outcome, printable(said), details=details))

    def _look_at_dates(self, listed: ImageList, subscription: Subscription | None) -> None:
        site_limit = self.context.max_validity_s if self.context is not None else None
        limit = limit_of(subscription.max_validity_s if subscription else None, site_limit)
        said = f"created {instant_text(listed.created)}, holds until {instant_text(listed.expires)}"
        self._run("dates", lambda: admission.demand_valid_now(listed, self.ground.now, limit), said)

    def _try(self, name: str, step: Callable[[], _T]) -> _T | None:
        try:
            return step()
        except VmcatcherError as error:
            self.steps.append(Step(name, Outcome.FAILED, str(error), error))
            return None

    def _run(self, name: str, step: Callable[[], None], said: str) -> None:
        try:
            step()
        except VmcatcherError as error:
            self.steps.append(Step(name, Outcome.FAILED, str(error), error))
        else:
            self.steps.append(Step(name, Outcome.OK, printable(said)))


def _standing(context: Context, ground: Ground, subscription: Subscription) -> Step:
    """Return what the next cache run makes of the current list: whether its images may stay in use."""
    known = endorsers.all_endorsers(context.layout)
    try:
        judged = judge_subscription(context, ground.anchors, ground.rules, subscription, known)
    except VmcatcherError as error:
        return Step("standing", Outcome.WARNING, f"its images stay as they are: {error}", error)
    if judged.refusal is not None:
        reason = judged.standing.gone
        return Step("standing", Outcome.FAILED, f"its images leave, reason {reason}: {judged.refusal}", judged.refusal)
    if judged.is_outrun:
        return Step(
            "standing", Outcome.WARNING, "a newer list was admitted, which is not here; the next update fetches it"
        )
    warnings = judged.warnings
    outcome = Outcome.WARNING if warnings else Outcome.OK
    return Step("standing", outcome, "its images may stay in use until the list is over", details=warnings)
