"""vmcatcher_cache: make the cache hold what is endorsed and selected, and tell the cloud."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from vmcatcher import wiring
from vmcatcher.cli.classic.common import Parser, Run, run_command
from vmcatcher.errors.cache import ViewDirectoryMissing
from vmcatcher.model.recheck import share_in
from vmcatcher.services.cache import CacheRequest, run_cache
from vmcatcher.services.view_places import demand_places
from vmcatcher.store.views import Views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.services.cache import CacheReport
    from vmcatcher.services.context import Context
    from vmcatcher.store.views import LinkKind

logger = logging.getLogger("main")
_TRY_AGAIN = 75


_DESCRIPTION = "Download, check and expire images, and tell an event handler what comes and goes."
_SYNOPSIS = ("[-D] [-s] [-E] [-C DIR [-p DIR] [-e DIR]] [-x COMMAND] [--jobs N] [--limit-rate BYTES]",)
_EXAMPLES = (
    "vmcatcher_cache",
    "vmcatcher_cache -C /srv/images -x /usr/local/bin/tell-the-cloud",
    "vmcatcher_cache -s     # read and check every cached image",
    "vmcatcher_cache --jobs 8 --limit-rate 50M",
)


def _parser() -> Parser:
    parser = Parser("vmcatcher_cache", _DESCRIPTION, _SYNOPSIS, _EXAMPLES)
    action = parser.add_argument_group("actions (none: all three)")
    action.add_argument("-D", "--download", action="store_true", help="download what is selected; includes -E")
    action.add_argument("-s", "--sha512", action="store_true", help="read every cached image and check its SHA-512")
    action.add_argument("-E", "--expire", action="store_true", help="take away what is no longer endorsed or selected")
    place = parser.add_argument_group("directories and events")
    place.add_argument("-C", "--cache-dir", dest="cache_directory", metavar="DIR",
                       help="directory that shows the images in use (default: ./cache if it is there, else one "
                       "inside the store)")  # fmt: skip
    place.add_argument("-p", "--partial-dir", dest="partial_directory", metavar="DIR",
                       help="directory that shows an image while the handler is told AvailablePrefix (default: "
                       "partial below the first one)")  # fmt: skip
    place.add_argument("-e", "--expired-dir", dest="expired_directory", metavar="DIR",
                       help="directory that shows images that left (default: expired below the first one)")  # fmt: skip
    place.add_argument("--view-links", dest="view_links", choices=("symlink", "hardlink", "copy"),
                       help="what these directories are filled with (default: symlink)")  # fmt: skip
    place.add_argument("-x", "--execute", dest="cache_event", metavar="COMMAND", help="handler to run for each event")
    place.add_argument("--event-timeout", dest="event_timeout", type=float, metavar="SECONDS",
                       help="end a handler that runs longer (default: 10)")  # fmt: skip
    place.add_argument("-c", "--cert-dir", dest="trust_directory", metavar="DIR",
                       help="trust-anchor directory (default: /etc/grid-security/certificates)")  # fmt: skip
    place.add_argument("--keep-until-replaced", dest="keep_until_replaced", action="store_true", default=None,
                       help="keep a replaced image until its new bytes could be had")  # fmt: skip
    check = parser.add_argument_group("checks without -s")
    check.add_argument("--recheck-after", dest="recheck_after", metavar="TIME",
                       help="read an image again when its last check is that old: 30d, 12h (default: 30d)")  # fmt: skip
    check.add_argument("--check-share", dest="check_share", metavar="SHARE",
                       help="read at least that share of all bytes at each run, those first whose last check is "
                       "longest ago: 1/7, 0.15 (default: none)")  # fmt: skip
    speed = parser.add_argument_group("downloads")
    speed.add_argument("--jobs", dest="jobs", type=int, metavar="N",
                       help="images to download at a time (default: 4)")  # fmt: skip
    speed.add_argument("--jobs-per-host", dest="jobs_per_host", type=int, metavar="N",
                       help="how many of them from one host (default: 2)")  # fmt: skip
    speed.add_argument("--limit-rate", dest="limit_rate", metavar="BYTES",
                       help="most bytes a second, all downloads together: 500K, 20M (default: no limit)")  # fmt: skip
    return parser


_FLAGS = (
    "cache_directory",
    "partial_directory",
    "expired_directory",
    "view_links",
    "cache_event",
    "event_timeout",
    "trust_directory",
    "keep_until_replaced",
    "recheck_after",
    "check_share",
    "jobs",
    "jobs_per_host",
    "limit_rate",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run vmcatcher_cache and return its exit code."""
    return run_command(_parser(), argv, _FLAGS, _run)


def _run(run: Run) -> int:
    download, check, expire = _actions(run)
    typed = _typed_directories(run)
    context = run.writing()
    views = _views(run, context, typed)
    request = CacheRequest(
        views=views,
        download=download,
        expire=expire or download,
        check=check is not None,
        check_everything=check is True,
        recheck_after=timedelta(seconds=run.settings.number("recheck_after")),
        check_share=share_in(run.settings.optional("check_share"), run.settings.sources["check_share"]),
        keep_until_replaced=run.settings.flag("keep_until_replaced"),
        jobs=run.settings.count("jobs"),
        jobs_per_host=run.settings.count("jobs_per_host"),
    )
    told = wiring.view_variables(views)
    teller = wiring.teller(run.settings, context, "cache_event", told, locks=("cache",))
    with wiring.tools(run.settings, context) as tools:
        return _code(run_cache(context, tools, teller, request))


def _code(report: CacheReport) -> int:
    for failure in report.failed:
        logger.debug("failed: %s: %s", failure.subject, failure.error)
    if not report.failed:
        return 0
    temporary = all(failure.error.exit_code == _TRY_AGAIN for failure in report.failed)
    return _TRY_AGAIN if temporary else 1


def _actions(run: Run) -> tuple[bool, bool | None, bool]:
    """Return download, check, expire. A check that nobody asked for by name skips what was checked lately (False)."""
    options = run.options
    # Only the exact value 1 counts, as ever: a site may have `0` or `no` there to switch an action off.
    download = options.download or run.settings.optional("action_download") == "1"
    check = options.sha512 or run.settings.optional("action_check") == "1"
    expire = options.expire or run.settings.optional("action_expire") == "1"
    if not (download or check or expire):
        logger.info("Defaulting actions as 'expire', 'sha512' and 'download'.")
        return True, False, True
    return download, True if check else None, expire


def _typed_directories(run: Run) -> tuple[str, str, str] | None:
    """Return the three directories exactly as they were given or defaulted; None for the views inside the store."""
    given = run.settings.optional("cache_directory")
    cache = given or "cache"
    partial = run.settings.optional("partial_directory") or os.path.join(cache, "partial")
    expired = run.settings.optional("expired_directory") or os.path.join(cache, "expired")
    found = (cache, partial, expired)
    if given is None and not all(os.path.isdir(path) for path in found):
        named = run.settings.optional("partial_directory") or run.settings.optional("expired_directory")
        if named is None:
            if os.path.isdir(cache):
                logger.info("./cache has no partial and expired: the views inside the store are used")
            return None
    for name, path, setting in zip(
        ("cache-dir", "partial-dir", "expired-dir"), found, ("cache", "partial", "expired"), strict=True
    ):
        if run.settings.is_default(setting + "_directory"):
            logger.info("Defaulting %s to '%s'.", name, path)
    return found


def _views(run: Run, context: Context, typed: tuple[str, str, str] | None) -> Views:
    links: LinkKind = run.settings.text("view_links")  # type: ignore[assignment]  # one of the setting's choices
    if typed is None:
        return Views.inside(context.layout, links)
    missing = [
        ViewDirectoryMissing(kind=kind, path=path)
        for kind, path in zip(("Cache", "Download", "Expired"), typed, strict=True)
        if not os.path.isdir(path)
    ]
    for error in missing[:-1]:
        logger.error("%s", error)
    if missing:
        raise missing[-1]
    views = Views(*typed, links)
    demand_places(context.layout, views)
    return views
