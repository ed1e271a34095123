"""What vmcatcher_image does besides listing: details, selections, deleting."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vmcatcher.cli.classic import image as command
from vmcatcher.cli.classic.common import Outputs, one_action, signed_output
from vmcatcher.cli.classic.listing import as_lines
from vmcatcher.cli.output import classic_json, lines
from vmcatcher.errors.requests import NoSuchImage, NoSuchSubscription
from vmcatcher.services import images
from vmcatcher.services.subscriptions import delete_subscription, subscription_info

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.cli.classic.common import Run
    from vmcatcher.services.context import Context
    from vmcatcher.services.images import ImageInfo

logger = command.logger()


def act(run: Run) -> int:
    """Do the one thing that the command line asks for; return the exit code."""
    options = run.options
    actions = (
        (options.list, command.show_list), (options.add, _add), (options.remove, _remove), (options.info, _info),
        (options.delete, _delete),
    )  # fmt: skip
    if not one_action([chosen for chosen, _ in actions]) or not run.is_format_known():
        return 1
    if options.uuids and options.digests:
        logging.getLogger("main").error("Conflicting selectors.")
        return 1
    return next(action for chosen, action in actions if chosen)(run)


def _selectors(run: Run, action: str) -> Sequence[str]:
    selectors: Sequence[str] = run.options.uuids or run.options.digests
    if not selectors:
        logging.getLogger("main").error("Action '%s' requires an image to be selected.", action)
    return selectors


def _add(run: Run) -> int:
    return _select(run, "add", selected=True)


def _remove(run: Run) -> int:
    return _select(run, "remove", selected=False)


def _select(run: Run, action: str, *, selected: bool) -> int:
    selectors = _selectors(run, action)
    if not selectors:
        return 1
    unknown = images.select_images(run.writing(), selectors, by_digest=bool(run.options.digests), selected=selected)
    for selector in unknown:
        # The classic program said nothing at all and ended with 0; the code stays, the silence does not.
        logger.warning("%s", NoSuchImage(image=selector).one_line())
    return 0


def _delete(run: Run) -> int:
    selectors = _selectors(run, "delete")
    if not selectors:
        return 1
    context = run.writing()
    by_digest = bool(run.options.digests)
    owners: dict[str, None] = {}
    for selector in selectors:
        for info in images.find_images(context, selector, by_digest=by_digest):
            owners[info.subscription.identifier] = None
    for list_id in owners:
        try:
            delete_subscription(context, list_id)
        except NoSuchSubscription as error:
            logger.warning("%s", error.one_line())
    return 0


def _info(run: Run) -> int:
    selectors = _selectors(run, "info")
    if not selectors:
        return 1
    context = run.reading()
    if context is None:
        return 0
    outputs = Outputs(run.options.outputs)
    for number, selector in enumerate(selectors):
        try:
            found = images.find_images(context, selector, by_digest=bool(run.options.digests))
        except NoSuchImage as error:
            logger.warning("Selections '%s' does not match any known images.", error.image)
            continue
        shown = b"".join(_shown(run, context, info) for info in found)
        if shown:
            outputs.write(shown, number)
    return 0


def _shown(run: Run, context: Context, info: ImageInfo) -> bytes:
    if info.image is None or info.current is None:
        logger.warning("Subscription '%s' needs an update.", info.subscription.identifier)
    details = subscription_info(context, info.subscription)
    match run.format:
        case "json":
            return as_lines([classic_json.dumped(classic_json.image_info(info, details))])
        case "lines":
            return as_lines(lines.image_info(info, details))
        case _ if info.current is not None and info.image is not None:
            return signed_output(run, info.current)
        case _:
            return b""
