"""vmcatcher_image: which images there are, and which are wanted in the cache."""

from __future__ import annotations

import sys

from vmcatcher.cli.boundary import print_bytes
from vmcatcher.cli.classic.common import run_command, run_listing
from vmcatcher.cli.classic.listing import plain_listing, print_text, say_unread
from vmcatcher.services.listing import list_images, list_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from vmcatcher.cli.classic.listing import Query
    from vmcatcher.cli.classic.parser import Parser
    from vmcatcher.services.listing import ImageListing, ListedStates


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
    from vmcatcher.cli.classic.parser import Parser  # noqa: PLC0415 - a plain listing needs none

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


_FLAGS = ("output_format", "trust_directory")


def main(argv: Sequence[str] | None = None) -> int:
    """Run vmcatcher_image and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    given = plain_listing(words)
    if given is not None:
        return run_listing("vmcatcher_image", given, show_list)
    from vmcatcher.cli.classic import image_actions  # noqa: PLC0415 - see `listing`

    return run_command(_parser(), words, _FLAGS, image_actions.act)


def logger() -> logging.Logger:
    """Return the logger of this command, for what it does besides listing."""
    import logging  # noqa: PLC0415 - see `speech`

    return logging.getLogger(__name__)


def show_list(query: Query) -> int:
    """List what there is; return the exit code."""
    context = query.reading()
    if query.format != "json":
        states = list_states(context) if context else None
        print_bytes(b"".join(map(_as_lines, states.found if states else ())))
        return say_unread(states.failed if states else ())
    listing = list_images(context) if context else None
    print_text(_as_json(listing))
    return say_unread(listing.failed if listing else ())


def _as_lines(listed: ListedStates) -> bytes:
    # Whole runs, not line by line: there may be a hundred thousand. Nothing in them needs escaping (`identity`).
    ends = [f"\t{state}\t{listed.list_id}\n".encode() for state in range(4)]
    return b"".join([names.replace(b" ", ends[state]) + ends[state] for state, names in listed.runs])


def _as_json(listing: ImageListing | None) -> str:
    from vmcatcher.cli.output import classic_json  # noqa: PLC0415 - only where it is asked for

    return classic_json.dumped(classic_json.image_list(listing.lines if listing else ())) + "\n"
