"""vmcatcher_endorser: who may sign image lists, and which."""

from __future__ import annotations

import sys

from vmcatcher.cli.classic.common import run_command, run_listing
from vmcatcher.cli.classic.listing import plain_listing, print_lines
from vmcatcher.cli.output import lines
from vmcatcher.services.listing import list_endorsers

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from vmcatcher.cli.classic.listing import Query
    from vmcatcher.cli.classic.parser import Parser


_DESCRIPTION = """\
Add and remove endorsers, and link them to subscriptions.

An endorser is somebody who may sign image lists: an identifier, and the
subject and issuer of each of their certificates."""
_SYNOPSIS = (
    "-l | -K [-f FORMAT]",
    "-i -e ID... [-f FORMAT]",
    "-C -e ID (-S DN -I DN)...",
    "-D -e ID...",
    "-k | -u (-e ID -s UUID)...",
)
_EXAMPLES = (
    "vmcatcher_endorser -C -e 'Jane Doe' -S '/DC=org/DC=grid/CN=Jane Doe' -I '/DC=org/DC=grid/CN=CA'",
    "vmcatcher_endorser -k -e 'Jane Doe' -s 76fdee70-8119-5d33-9f40-3c57e1c60df1",
    "vmcatcher_endorser -l",
)


def _parser() -> Parser:
    from vmcatcher.cli.classic.parser import Parser  # noqa: PLC0415 - a plain listing needs none

    parser = Parser("vmcatcher_endorser", _DESCRIPTION, _SYNOPSIS, _EXAMPLES)
    action = parser.add_argument_group("actions (exactly one)")
    action.add_argument("-l", "--list", action="store_true", help="list endorsers with their credentials")
    action.add_argument("-C", "--create", action="store_true", help="make an endorser, or add credentials to one")
    action.add_argument("-D", "--delete", action="store_true", help="delete an endorser; images of its lists leave")
    action.add_argument("-K", "--links", action="store_true", help="list which endorser may sign which subscription")
    action.add_argument("-k", "--link", action="store_true", help="let an endorser sign a subscription")
    action.add_argument("-u", "--unlink", action="store_true", help="no longer let an endorser sign a subscription")
    action.add_argument("-i", "--info", action="store_true", help="show an endorser and its subscriptions")
    choice = parser.add_argument_group("selection and output")
    # One long name each, so that shorter ones such as --endorser mean them and are not ambiguous.
    choice.add_argument("-e", "--endorser_uuid", dest="endorsers", action="append", default=[], metavar="ID",
                        help="identifier of an endorser; may be repeated")  # fmt: skip
    choice.add_argument("-s", "--subscription_uuid", dest="subscriptions", action="append", default=[],
                        metavar="UUID", help="identifier of a subscription; may be repeated")  # fmt: skip
    choice.add_argument("-S", "--subject", "--dn", dest="subjects", action="append", default=[], metavar="DN",
                        help="subject of a certificate, such as /DC=org/DC=grid/CN=Somebody")  # fmt: skip
    choice.add_argument("-I", "--issuer", dest="issuers", action="append", default=[], metavar="DN",
                        help="issuer of that certificate, likewise; repeated ones pair up in order")  # fmt: skip
    choice.add_argument(
        "-f", "--format", dest="output_format", metavar="FORMAT", help="output format: lines (the default) or json"
    )
    return parser


_FLAGS = ("output_format",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run vmcatcher_endorser and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    given = plain_listing(words)
    if given is not None:
        return run_listing("vmcatcher_endorser", given, show_list)
    from vmcatcher.cli.classic import endorser_actions  # noqa: PLC0415 - see `listing`

    return run_command(_parser(), words, _FLAGS, endorser_actions.act)


def logger() -> logging.Logger:
    """Return the logger of this command, for what it does besides listing."""
    import logging  # noqa: PLC0415 - see `speech`

    return logging.getLogger(__name__)


def show_list(query: Query) -> int:
    """List what there is; return the exit code."""
    context = query.reading()
    found = list_endorsers(context) if context else ()
    if query.format == "json":
        from vmcatcher.cli.output import classic_json  # noqa: PLC0415 - only where it is asked for

        print_lines([classic_json.dumped(classic_json.endorser_list(found))])
    else:
        print_lines(lines.endorser_list(found))
    return 0
