"""What every use case is given: the store, the one `now` of the run, and who takes locks."""

from __future__ import annotations

from vmcatcher.light import dataclass
from vmcatcher.store import root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.services.progress import Progress
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.locks import LockName


@dataclass(frozen=True, slots=True)
class Context:
    """One run of one command on one store."""

    layout: Layout
    now: datetime
    """The only time of the run: freshness, expiry and names are all judged by it."""
    command: str
    wait_s: float = 0.0
    """How long to wait for another update or cache run to end; for a commit of another command never less than 30 s."""
    inherited_locks: frozenset[str] = frozenset()
    max_validity_s: int | None = None
    """How long after its creation a list holds at most here, where its subscription has no limit of its own."""
    progress: Progress | None = None
    """Who is told how far downloads and checks are; None where nobody looks."""

    def lock(self, name: LockName) -> AbstractContextManager[None]:
        """Return the lock of the store for a `with` block.

        Raises (on entry):
            ForeignOwner: the store belongs to another user.
            StoreHeld: another process has it.
        """
        from vmcatcher.store.locks import STORE_WAIT_S, Holder, hold  # noqa: PLC0415 - readers take no lock

        root.demand_owner(self.layout)
        # Everybody takes the store lock for a moment: giving up at once would make commands fail by chance.
        wait_s = max(STORE_WAIT_S, self.wait_s) if name == "store" else self.wait_s
        return hold(self.layout, name, Holder(self.command, self.now, self.inherited_locks), wait_s=wait_s)

    def break_claim(self, claim: str) -> bool:
        """Break the claim on a lock that the operator names; return False where there is none of that name.

        Raises:
            ForeignOwner: the store belongs to another user.
            ClaimInUse: the process that made it is running on this host.
        """
        from vmcatcher.store.claims import break_claim  # noqa: PLC0415 - likewise
        from vmcatcher.store.holders import Holder  # noqa: PLC0415 - likewise

        root.demand_owner(self.layout)
        return break_claim(self.layout, claim, Holder(self.command, self.now))

    def held_name(self, name: LockName) -> str:
        """Return what a child process has to be told about a lock that this one holds."""
        from vmcatcher.store.locks import inherited_name  # noqa: PLC0415 - likewise

        return inherited_name(self.layout, name)


def new_event_id() -> str:
    """Return a fresh identifier for an event; it stays the same however often the event is told."""
    import uuid  # noqa: PLC0415 - queries tell no events

    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing of a batch that was not done; the others were."""

    subject: str
    """What it was about: a list, an image, an event; printable."""
    error: VmcatcherError
