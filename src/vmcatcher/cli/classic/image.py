"""vmcatcher_image: which images there are, and which are wanted in the cache."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vmcatcher.cli.classic.common import (
    Outputs,
    Parser,
    Run,
    as_lines,
    one_action,
    print_lines,
    run_command,
    say_unread,
    signed_output,
)
from vmcatcher.cli.output import classic_json, lines
from vmcatcher.errors.requests import NoSuchImage, NoSuchSubscription
from vmcatcher.services import images
from vmcatcher.services.subscriptions import delete_subscription, subscription_info

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.services.context import Context
    from vmcatcher.services.images import ImageInfo

logger = logging.getLogger(__name__)


_DESCRIPTION = "List images and select those that are kept in the cache."
_SYNOPSIS = (
    "-l [-f FORMAT]",
    "-i (-u UUID | -s SHA512)... [-f FORMAT] [-o FILE]...",
    "-a | -r (-u UUID | -s SHA512)...",
    "-D (-u UUID | -s SHA512)...",
)
_EXAMPLES = (
    "vmcatcher_image -a -u 3f0a8c5e-0d3b-5b0f-9a0e-1f1c2b6d7e8f",
    "vmcatcher_image -l | awk '$2 == 3 { print $1 }'",
)


def _parser() -> Parser:
    parser = Parser("vmcatcher_image", _DESCRIPTION, _SYNOPSIS, _EXAMPLES)
    action = parser.add_argument_group("actions (exactly one)")
    action.add_argument("-l", "--list", action="store_true",
                        help="list images with state (1 selected, 2 available, 3 both) and subscription")  # fmt: skip
    action.add_argument("-a", "--add", action="store_true", help="select images for the cache")
    action.add_argument("-r", "--remove", action="store_true", help="no longer select images; they leave the cache")
    action.add_argument("-i", "--info", action="store_true", help="show images and their subscriptions")
    action.add_argument(
        "-D", "--delete", action="store_true", help="delete the whole subscription that an image belongs to"
    )
    choice = parser.add_argument_group("selection and output")
    choice.add_argument("-u", "--uuid", dest="uuids", action="append", default=[], metavar="UUID",
                        help="select an image by its identifier; may be repeated")  # fmt: skip
    choice.add_argument("-s", "--sha512", dest="digests", action="append", default=[], metavar="SHA512",
                        help="select images by the SHA-512 of their bytes; may be repeated")  # fmt: skip
    choice.add_argument("-f", "--format", dest="output_format", metavar="FORMAT",
                        help="output format: lines (the default), json, message (content of the signed list) or "
                        "SMIME (the list as received)")  # fmt: skip
    choice.add_argument("-o", "--output", dest="outputs", action="append", default=[], metavar="FILE",
                        help="write the details there; repeated ones pair up with the selections")  # fmt: skip
    choice.add_argument("-c", "--cert-dir", dest="trust_directory", metavar="DIR",
                        help="trust-anchor directory (default: /etc/grid-security/certificates)")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run vmcatcher_image and return its exit code."""
    return run_command(_parser(), argv, ("output_format", "trust_directory"), _run)


def _run(run: Run) -> int:
    options = run.options
    actions = (
        (options.list, _list), (options.add, _add), (options.remove, _remove), (options.info, _info),
        (options.delete, _delete),
    )  # fmt: skip
    if not one_action([chosen for chosen, _ in actions]) or not run.is_format_known():
        return 1
    if options.uuids and options.digests:
        logging.getLogger("main").error("Conflicting selectors.")
        return 1
    return next(action for chosen, action in actions if chosen)(run)


def _list(run: Run) -> int:
    context = run.reading()
    listing = images.list_images(context) if context else None
    found = listing.lines if listing else ()
    if run.format == "json":
        print_lines([classic_json.dumped(classic_json.image_list(found))])
    else:
        print_lines(lines.image_list(found))
    return say_unread(listing.failed if listing else ())


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
