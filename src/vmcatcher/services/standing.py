"""How each subscription stands now: its current list judged again, offline, against the trust directory of today."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.services.foresight import stand_now
from vmcatcher.store import subscriptions
from vmcatcher.store.subscriptions import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmcatcher.model.identity import ListId
    from vmcatcher.model.plan import Standing
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.services.judging import Judgement
    from vmcatcher.services.memory import Memory
    from vmcatcher.services.update import Tools

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """How every subscription stands now."""

    standings: Mapping[ListId, Standing]
    unread: frozenset[ListId]
    """Subscriptions whose document cannot be read: nothing of theirs may expire for that."""
    failed: tuple[Failure, ...]
    """What could not be judged; its images stay as they are."""


def judge_all(context: Context, tools: Tools, memory: Memory | None = None) -> Judged:
    """Return how every subscription stands; one that cannot be judged says so and never stops the others.

    What `memory` knows of this run is believed as long as nobody wrote to what it was found out from.

    Raises:
        DocumentDamaged, DocumentLost: an endorser cannot be read; leaving it out could expire images.
    """
    outlook = stand_now(context, tools.anchors, tools.rules, memory)
    for judged in outlook.judged.values():
        _say(context, judged)
    for failure in outlook.failed:
        logger.error("subscription %s: %s", failure.subject, failure.error.one_line())
    return Judged(outlook.standings, outlook.unread, outlook.failed)


def _say(context: Context, judged: Judgement) -> None:
    """Say what is not as it should be with a subscription, and keep the verdict for queries."""
    name, gone = judged.standing.subscription.identifier, judged.standing.gone
    if judged.is_outrun:
        logger.warning("subscription %s: its newest list is not here; the next update fetches it", name)
    elif judged.snapshot is not None and (gone is not None or judged.standing.listed is not None):
        _keep_verdict(context, name, Verdict(judged.snapshot.name, gone.value if gone else None))
    for warning in judged.warnings:
        logger.warning("subscription %s: %s", name, warning)
    for error in (judged.refusal, judged.past_limit):
        if error is not None:
            logger.warning("subscription %s: %s", name, error.one_line())


def _keep_verdict(context: Context, list_id: ListId, verdict: Verdict) -> None:
    known = subscriptions.read_verdict(context.layout, list_id)
    # A list without a verdict counts as trusted, so only a reason, or its end, is worth a file.
    if known == verdict or (known is None and verdict.reason is None):
        return
    try:
        with context.lock("store"):
            if subscriptions.find_subscription(context.layout, list_id) is not None:
                subscriptions.put_verdict(context.layout, list_id, verdict)
    except VmcatcherError as error:
        # Queries go by it, nothing else does: a full disk must not keep a revoked image in use.
        logger.warning("subscription %s: the verdict on its list cannot be kept: %s", list_id, error)
