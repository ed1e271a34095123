"""What vmcatcher_endorser does besides listing endorsers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vmcatcher.cli.classic import endorser as command
from vmcatcher.cli.classic.common import one_action
from vmcatcher.cli.classic.listing import print_lines
from vmcatcher.cli.output import classic_json, lines
from vmcatcher.errors.requests import AlreadyLinked, NoSuchEndorser, NoSuchSubscription, NotLinked
from vmcatcher.services import endorsers
from vmcatcher.services.subscriptions import subscription_info

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.cli.classic.common import Run

logger = command.logger()


def act(run: Run) -> int:
    """Do the one thing that the command line asks for; return the exit code."""
    options = run.options
    actions = (
        (options.list, command.show_list), (options.create, _create), (options.delete, _delete),
        (options.links, _links), (options.link, _link), (options.unlink, _unlink), (options.info, _info),
    )  # fmt: skip
    if not one_action([chosen for chosen, _ in actions]) or not run.is_format_known():
        return 1
    return next(action for chosen, action in actions if chosen)(run)


def _links(run: Run) -> int:
    context = run.reading()
    found = endorsers.list_links(context) if context else ()
    if run.format == "json":
        print_lines([classic_json.dumped(classic_json.link_list(found))])
    else:
        print_lines(lines.link_list(found))
    return 0


def _selected(run: Run, *, subscriptions_too: bool = False) -> bool:
    if not run.options.endorsers:
        _usage("No endorsers selected.")
        return False
    if subscriptions_too and not run.options.subscriptions:
        _usage("No subscriptions selected.")
        return False
    return True


def _usage(message: str) -> None:
    logging.getLogger("main").error(message)


def _info(run: Run) -> int:
    if not _selected(run):
        return 1
    context = run.reading()
    if context is None:
        return 0
    for identifier in run.options.endorsers:
        try:
            endorser, linked = endorsers.find_endorser(context, identifier)
        except NoSuchEndorser as error:
            logger.error("%s", error.one_line())
            continue
        details = [subscription_info(context, one) for one in linked]
        if run.format == "json":
            print_lines([classic_json.dumped(classic_json.endorser_info(endorser, details))])
        else:
            print_lines(lines.endorser_info(endorser, details))
    return 0


def _create(run: Run) -> int:
    options = run.options
    for given, name in ((options.endorsers, "endorsers"), (options.subjects, "subjects"), (options.issuers, "issuers")):
        if not given:
            _usage(f"No {name} selected.")
            return 1
    if len(options.endorsers) > 1:
        _usage("More than one endorser cannot be created at a time.")
        return 1
    credentials = endorsers.pair_credentials(options.subjects, options.issuers)
    created = endorsers.create_endorser(run.writing(create=True), options.endorsers[0], credentials)
    for known in created.known:
        logger.error("endorser '%s' has the credential '%s' already", created.endorser.identifier, known.subject)
    return 0


def _delete(run: Run) -> int:
    if not _selected(run):
        return 1
    context = run.writing()
    for identifier in run.options.endorsers:
        try:
            endorsers.delete_endorser(context, identifier)
        except NoSuchEndorser as error:
            logger.warning("%s", error.one_line())
    return 0


def _link(run: Run) -> int:
    return _each_pair(run, endorsers.link_endorser)


def _unlink(run: Run) -> int:
    return _each_pair(run, endorsers.unlink_endorser)


def _each_pair(run: Run, change: endorsers.LinkChange) -> int:
    if not _selected(run, subscriptions_too=True):
        return 1
    pairs = _paired(run.options.endorsers, run.options.subscriptions)
    if not pairs:
        _usage("Endorsers and subscriptions do not pair up.")
        return 1
    context = run.writing()
    for endorser, subscription in pairs:
        try:
            change(context, endorser, subscription)
        except (AlreadyLinked, NotLinked, NoSuchEndorser, NoSuchSubscription) as error:
            # The classic program warned and ended with 0; scripts link again and again to be sure.
            logger.warning("%s", error.one_line())
    return 0


def _paired(endorsers: Sequence[str], subscriptions: Sequence[str]) -> list[tuple[str, str]]:
    """Return who is linked to what: selections pair up in order, a single one goes with all of the other kind.

    Never every endorser with every subscription: that would trust some for lists that nobody named them for.
    """
    longest = max(len(endorsers), len(subscriptions))
    both = [list(some) * longest if len(some) == 1 else list(some) for some in (endorsers, subscriptions)]
    return list(zip(*both, strict=True)) if len(both[0]) == len(both[1]) else []
