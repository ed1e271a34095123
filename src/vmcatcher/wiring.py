"""The composition root: settings in, a context and its tools out. The only place that picks implementations.

What needs cryptography or the network is imported inside the functions that build it, because listing images in a
shell loop must not pay for it.
"""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime

from vmcatcher import __version__
from vmcatcher.errors.store import BadStoreLocation, DatabaseNotImported, StoreMissing
from vmcatcher.light import dataclass
from vmcatcher.services.context import Context
from vmcatcher.settings import HELD_LOCKS
from vmcatcher.store import imports, root
from vmcatcher.store.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

    from vmcatcher.services.events import Teller
    from vmcatcher.services.sources import Mirrors
    from vmcatcher.services.update import Tools
    from vmcatcher.settings import Settings
    from vmcatcher.store.locks import LockName
    from vmcatcher.store.views import Views
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules

# As SQLAlchemy reads it: perhaps a driver, three slashes and a path, perhaps options.
_DATABASE: Final = r"(?s)sqlite(\+[a-z0-9_]+)?:///(?P<path>[^?]+)(\?.*)?"
_URL: Final = r"(?P<scheme>[A-Za-z][A-Za-z0-9+._-]*:/+)(?P<userinfo>.*@)?"
_SYSTEM_STORE: Final = "/var/lib/vmcatcher"


def clock() -> datetime:
    """Return the time of the run; every command asks once."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """Which directory is the store, who said so, and the classic database that stands for it."""

    root: str
    source: str
    database: str | None = None


def choose_store(settings: Settings) -> StoreChoice:
    """Return the store that the options and variables name, in the order --store, -d, VMCATCHER_STORE, VMCATCHER_RDBMS.

    Raises:
        BadStoreLocation: what was given cannot name a store.
    """
    ranked = sorted(("store", "database"), key=lambda name: _rank(settings.sources[name]))
    for name in ranked:
        given = settings.optional(name)
        if given is not None:
            return _named(given, settings.sources[name])
    if settings.is_root:
        return StoreChoice(_SYSTEM_STORE, "default")
    shared = settings.environment.get("XDG_DATA_HOME") or os.path.join(settings.home, ".local", "share")
    if not os.path.isabs(shared):
        raise BadStoreLocation(given=shared, why="this user has no home directory")
    return StoreChoice(os.path.join(shared, "vmcatcher"), "default")


def _rank(source: str) -> int:
    """Return the place of an option, a variable or the settings file among them, best first."""
    return 0 if source == "option" else 1 if source.startswith("VMCATCHER_") else 2


def _named(given: str, source: str) -> StoreChoice:
    match = given.startswith("sqlite") and re.fullmatch(_DATABASE, given)
    if match:
        return _stood_for_by(os.path.abspath(match["path"]), given, source)
    if given.startswith("file:"):
        from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - see the module's first lines

        parts = urlsplit(given)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise BadStoreLocation(given=given, why="a file URL needs an absolute path on this machine")
        return StoreChoice(os.path.abspath("/" + unquote(parts.path).lstrip("/")), source)
    url = ":/" in given and re.match(_URL, given)
    if url:
        # A database server's user and password stand there; they are nobody's business.
        shown = given if url["userinfo"] is None else f"{url['scheme']}***@{given[url.end() :]}"
        raise BadStoreLocation(given=shown, why="only SQLite databases stand for a store")
    return StoreChoice(os.path.abspath(given), source)


def _stood_for_by(database: str, given: str, source: str) -> StoreChoice:
    stem = os.path.splitext(database)[0]
    if stem == database:
        raise BadStoreLocation(given=given, why="the database has no ending such as .db to take off")
    return StoreChoice(stem, source, database)


def reading(settings: Settings, command: str) -> Context | None:
    """Return the context of a query, or None where there is no store.

    Raises:
        DatabaseNotImported: a classic database is there instead: never an empty answer where a site had images.
    """
    choice = choose_store(settings)
    layout = _find(choice)
    _refuse_unimported(choice, layout)
    return None if layout is None else _context(settings, command, layout)


def writing(settings: Settings, command: str, *, create: bool = False) -> Context:
    """Return the context of a command that changes the store; with `create` one that is not there is made.

    Raises:
        StoreMissing: there is none, and this command must not make one.
        DatabaseNotImported: as for `reading`.
        ForeignOwner: the store belongs to another user.
    """
    choice = choose_store(settings)
    layout = _find(choice)
    _refuse_unimported(choice, layout)
    if layout is None:
        if not create:
            raise StoreMissing(path=choice.root)
        layout = root.make_store(choice.root, notes=imports.MADE_IN_PASSING)
    root.demand_owner(layout)
    root.complete(layout)
    return _context(settings, command, layout)


def _find(choice: StoreChoice) -> Layout | None:
    # A link that leads nowhere is a store whose disk is not there.
    if os.path.exists(choice.root) and not os.path.isdir(choice.root):
        raise BadStoreLocation(given=choice.root, why="it is a file, not a directory")
    return root.find_store(choice.root)


def _refuse_unimported(choice: StoreChoice, layout: Layout | None) -> None:
    if layout is not None:
        lacking = imports.lacking(layout, choice.database)
    else:
        lacking = choice.database if choice.database is not None and os.path.exists(choice.database) else None
    if lacking is not None:
        raise DatabaseNotImported(database=lacking, store=choice.root)


def importing(settings: Settings, command: str, given: str) -> tuple[str, Context]:
    """Return the path of the classic database that `given` names, and the context of importing it.

    The store is the one that an option, a variable or the settings file names; else the one that the database stands
    for. It need not be there; the import makes it.

    Raises:
        BadStoreLocation: `given` is no SQLite database, or nothing names a store.
    """
    match = re.fullmatch(_DATABASE, given)
    # Whatever else looks like a URL is a file's, or is refused.
    database = os.path.abspath(match["path"]) if match else _named(given, "option").root
    store = settings.optional("store")
    choice = _named(store, settings.sources["store"]) if store else _stood_for_by(database, given, "option")
    layout = _find(choice) or Layout(choice.root, os.path.join(choice.root, "blobs"))
    return database, _context(settings, command, layout)


def _context(settings: Settings, command: str, layout: Layout) -> Context:
    given_s = settings.number("max_validity")
    limit_s = max(1, int(given_s)) if given_s else None
    return Context(layout, clock(), command, settings.number("wait"), settings.held_locks, limit_s)


def trust_rules(settings: Settings) -> TrustRules:
    """Return how strictly signers are judged."""
    from vmcatcher.trust.rules import TrustRules  # noqa: PLC0415 - see the module's first lines

    return TrustRules(
        sha1=settings.flag("trust_sha1"),
        crl=settings.text("trust_crl"),  # type: ignore[arg-type]  # one of the choices of the settings table
        policy=settings.text("trust_policy"),  # type: ignore[arg-type]  # likewise
        ekus=frozenset(settings.texts("trust_ekus")),
        ca_signer=settings.flag("trust_ca_signer"),
        max_bytes=settings.count("list_bytes"),
    )


def trust_anchors(settings: Settings, layout: Layout | None) -> TrustAnchors:
    """Return the trust-anchor directory, with the store's own revocation lists laid over it.

    Raises:
        TrustDirectoryMissing, TrustDirectoryEmpty: nothing can be verified with it.
    """
    from vmcatcher.trust.anchors import TrustAnchors  # noqa: PLC0415 - likewise

    overlay = layout.trust if layout is not None else None
    return TrustAnchors.load(settings.text("trust_directory"), overlay=overlay)


@contextlib.contextmanager
def tools(settings: Settings, context: Context) -> Iterator[Tools]:
    """Give what an update or cache run reaches the network and the trust-anchor directory with, and close it after.

    Raises:
        TrustDirectoryMissing, TrustDirectoryEmpty: nothing can be verified, so nothing is changed.
        BadMirror: the settings name one that is none.
    """
    from vmcatcher.services.update import Tools  # noqa: PLC0415 - likewise
    from vmcatcher.transport.limits import Limits  # noqa: PLC0415 - likewise
    from vmcatcher.transport.transport import Transport  # noqa: PLC0415 - likewise

    limits = Limits(
        connect_s=settings.number("connect_timeout"),
        idle_s=settings.number("idle_timeout"),
        total_s=settings.number("list_timeout"),
        list_bytes=settings.count("list_bytes"),
        most_bytes_s=settings.count("limit_rate"),
    )
    anchors = trust_anchors(settings, context.layout)
    with Transport(
        limits=limits,
        user_agent=f"vmcatcher/{__version__}",
        proxies=settings.proxies,
        no_proxy=settings.no_proxy,
    ) as transport:
        yield Tools(
            transport,
            anchors,
            trust_rules(settings),
            settings.text("trust_directory"),
            _mirrors(settings),
            settings.count("list_jobs"),
        )


def _mirrors(settings: Settings) -> Mirrors:
    from vmcatcher.model.mirror import Mirror  # noqa: PLC0415 - likewise
    from vmcatcher.services.sources import Mirrors  # noqa: PLC0415 - likewise

    return Mirrors(
        asked=tuple(Mirror.parse(text) for text in settings.texts("mirrors")),
        only=settings.flag("mirrors_only"),
        tls=settings.text("mirrors_tls"),  # type: ignore[arg-type]  # one of the setting's choices
    )


def shown_views(settings: Settings, layout: Layout) -> Views:
    """Return where the views lie, as options, variables and the settings file say; else they are inside the store."""
    from vmcatcher.store.views import LinkKind, Views  # noqa: PLC0415 - likewise

    links: LinkKind = settings.text("view_links")  # type: ignore[assignment]  # one of the setting's choices
    cache = settings.optional("cache_directory")
    if cache is None:
        return Views.inside(layout, links)
    partial = settings.optional("partial_directory") or os.path.join(cache, "partial")
    return Views(cache, partial, settings.optional("expired_directory") or os.path.join(cache, "expired"), links)


def view_variables(shown: Views) -> dict[str, str]:
    """Return what handlers are told about where the views lie, as it was typed: they paste strings."""
    return {
        "VMCATCHER_CACHE_DIR_CACHE": shown.cache,
        "VMCATCHER_CACHE_DIR_DOWNLOAD": shown.partial,
        "VMCATCHER_CACHE_DIR_EXPIRE": shown.expired,
    }


def teller(
    settings: Settings, context: Context, handler: str, common: Mapping[str, str], *, locks: Sequence[LockName]
) -> Teller:
    """Return who tells events to the handler that the setting `handler` names; nobody listens where it is not set.

    `locks` are the ones that this run holds while the handler runs: a child that asked for them would wait for ever.
    """
    from vmcatcher.hooks import HookRunner  # noqa: PLC0415 - likewise
    from vmcatcher.services.events import Teller  # noqa: PLC0415 - likewise

    everywhere = {"VMCATCHER_STORE": context.layout.root}
    database = settings.optional("database")
    if database is not None:
        everywhere["VMCATCHER_RDBMS"] = database
    command = settings.optional(handler)
    if command is None:
        return Teller(context, None, {})
    held = (*settings.held_locks, *(context.held_name(name) for name in locks))
    environment = {**settings.environment, HELD_LOCKS: "\n".join(held)}
    runner = HookRunner(command, timeout_s=settings.number("event_timeout"), base_environment=environment)
    return Teller(context, runner, {**everywhere, **common})
