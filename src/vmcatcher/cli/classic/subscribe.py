"""vmcatcher_subscribe: subscribe to image lists, bring them up to date, decide about their images."""

from __future__ import annotations

import sys

from vmcatcher.cli.classic.common import run_command, run_listing
from vmcatcher.cli.classic.listing import plain_listing, print_lines, say_unread
from vmcatcher.cli.output import lines
from vmcatcher.services.listing import list_subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Sequence

    from vmcatcher.cli.classic.listing import Query
    from vmcatcher.cli.classic.parser import Parser


_DESCRIPTION = """\
Subscribe to signed image lists and keep them up to date.

The options that change a subscription are given alone, beside one action,
or with -s for the new subscription."""
_SYNOPSIS = (
    "-s URI... [-e] [CHANGES]",
    "-U",
    "-l [-f FORMAT]",
    "-i | --image-list (-u UUID | -r URI)... [-f FORMAT] [-o FILE]...",
    "-D (-u UUID | -r URI)...",
    "--image-accept UUID... | --image-refuse UUID... (-u UUID | -r URI)...",
    "(-u UUID | -r URI)... CHANGES",
)
_EXAMPLES = (
    "vmcatcher_subscribe -e -s https://images.example.org/site.image_list",
    "vmcatcher_subscribe -U     # from cron, before vmcatcher_cache",
    "vmcatcher_subscribe -u 76fdee70-8119-5d33-9f40-3c57e1c60df1 --imagelist-newimage-subscribe",
)


def _parser() -> Parser:
    from vmcatcher.cli.classic import decorators  # noqa: PLC0415 - a plain listing needs none
    from vmcatcher.cli.classic.parser import Parser  # noqa: PLC0415 - a plain listing needs none

    parser = Parser("vmcatcher_subscribe", _DESCRIPTION, _SYNOPSIS, _EXAMPLES)
    action = parser.add_argument_group("actions (at most one)")
    action.add_argument("-l", "--list", action="store_true", help="list subscriptions")
    action.add_argument("-U", "--update", action="store_true", help="fetch and verify the lists of all subscriptions")
    action.add_argument("-s", "--subscribe", action="append", default=[], metavar="URI",
                        help="subscribe to the list at a URI or path; may be repeated")  # fmt: skip
    action.add_argument("-D", "--delete", action="store_true", help="delete subscriptions; their images leave")
    action.add_argument("-i", "--info", action="store_true", help="show subscriptions")
    action.add_argument("--image-list", action="store_true", help="show subscriptions with their images")
    action.add_argument("--image-accept", action="append", default=[], metavar="UUID",
                        help="accept an image of the selected subscriptions; may be repeated")  # fmt: skip
    action.add_argument("--image-refuse", action="append", default=[], metavar="UUID",
                        help="refuse an image of the selected subscriptions; may be repeated")  # fmt: skip
    choice = parser.add_argument_group("selection and output")
    choice.add_argument("-u", "--uuid", dest="uuids", action="append", default=[], metavar="UUID",
                        help="select a subscription by the identifier of its list")  # fmt: skip
    choice.add_argument("-r", "--uri", dest="uris", action="append", default=[], metavar="URI",
                        help="select a subscription by its URI")  # fmt: skip
    choice.add_argument("-f", "--format", dest="output_format", metavar="FORMAT",
                        help="output format: lines (the default), json, message (content of the signed list) or "
                        "SMIME (the list as received)")  # fmt: skip
    choice.add_argument("-o", "--output", dest="outputs", action="append", default=[], metavar="FILE",
                        help="write the details there; repeated ones pair up with the selections")  # fmt: skip
    choice.add_argument("--show-secrets", action="store_true", help="show passwords in the details")
    more = parser.add_argument_group("trust and events")
    more.add_argument("-e", "--auto-endorse", action="store_true",
                      help="trust whoever signed the list: make an endorser of an unknown signer")  # fmt: skip
    more.add_argument("-c", "--cert-dir", dest="trust_directory", metavar="DIR",
                      help="trust-anchor directory (default: /etc/grid-security/certificates)")  # fmt: skip
    more.add_argument("-x", "--execute", dest="sub_event", metavar="COMMAND", help="handler to run for each event")
    more.add_argument("--event-timeout", dest="event_timeout", type=float, metavar="SECONDS",
                      help="end a handler that runs longer (default: 10)")  # fmt: skip
    decorators.add_options(parser)
    return parser


_FLAGS = ("output_format", "trust_directory", "sub_event", "event_timeout")


def main(argv: Sequence[str] | None = None) -> int:
    """Run vmcatcher_subscribe and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    given = plain_listing(words)
    if given is not None:
        return run_listing("vmcatcher_subscribe", given, show_list)
    from vmcatcher.cli.classic import subscribe_actions  # noqa: PLC0415 - see `listing`

    return run_command(_parser(), words, _FLAGS, subscribe_actions.act)


def logger() -> logging.Logger:
    """Return the logger of this command, for what it does besides listing."""
    import logging  # noqa: PLC0415 - see `speech`

    return logging.getLogger(__name__)


def show_list(query: Query) -> int:
    """List what there is; return the exit code."""
    context = query.reading()
    listing = list_subscriptions(context) if context else None
    found = listing.found if listing else ()
    if query.format == "json":
        from vmcatcher.cli.output import classic_json  # noqa: PLC0415 - only where it is asked for

        print_lines([classic_json.dumped(classic_json.subscription_list(found))])
    else:
        print_lines(lines.subscription_list(found))
    return say_unread(listing.failed if listing else ())


# When several subscriptions fail, the code of the first kind in this order that occurred: trust before replayed lists
# before content before age before single images before the network.
_WORST_FIRST = (11, 12, 13, 31, 17, 16, 37, 38, 33, 34, 36, 32, 1, 75, 10)


def worst_of(codes: Collection[int]) -> int:
    """Return the exit code of an update in which subscriptions failed with these."""
    return next((code for code in _WORST_FIRST if code in codes), 1 if codes else 0)
