"""The options of vmcatcher_subscribe that change a subscription, alone, beside an action, or on a new one."""

from __future__ import annotations

import argparse
import logging
import os
from typing import TYPE_CHECKING, Final

from vmcatcher.cli import passwords
from vmcatcher.errors import BadLocation
from vmcatcher.model.location import Location
from vmcatcher.model.subscription import NewImages, TlsTrust
from vmcatcher.services import subscriptions
from vmcatcher.services.subscriptions import Permissions

if TYPE_CHECKING:
    from vmcatcher.cli.classic.common import Parser
    from vmcatcher.services.context import Context
    from vmcatcher.services.subscribe import SubscribeRequest

logger = logging.getLogger("main")
_TRUST: Final = {"none": TlsTrust.UNSET, "browser": TlsTrust.BROWSER, "igtf": TlsTrust.IGTF}


def add_options(parser: Parser) -> None:
    """Add the options to the command line."""
    group = parser.add_argument_group("changes to the selected, or to the new, subscriptions")
    add = group.add_argument
    add(
        "--uri-trustanchor-set",
        metavar="none|browser|igtf",
        help="whom to trust about https servers: authorities of the system (browser, or none for the default) or of "
        "the trust-anchor directory (igtf)",
    )
    add("--uri-username-set", metavar="USER", help="user name for the server of the list and of its images")
    add("--uri-username-clear", action="store_true", help="forget the user name")
    add(
        "--uri-password-set",
        metavar="PASSWORD",
        help="password for that server; every user can see it while the command runs",
    )
    add("--uri-password-file", metavar="FILE", help="password in the first line; - is stdin, on a terminal a prompt")
    add("--uri-password-clear", action="store_true", help="forget the password")
    add(
        "--uri-password-over-http",
        action="store_true",
        help="send the password over http as well, where everybody on the way can read it",
    )
    add(
        "--uri-insecure",
        action="store_true",
        help="do not verify https servers at all; the signature of a list always is",
    )
    either = argparse.BooleanOptionalAction
    add("--pin-uri", action=either, help="keep this URI although a new list names another one, or no longer")
    add("--allow-file-images", action=either, help="let the list name files of this machine as images, or no longer")
    add("--imagelist-newimage-accept", action="store_true", help="accept every image, also those that later lists name")
    add("--imagelist-newimage-subscribe", action="store_true", help="accept every image and select it for the cache")
    add(
        "--imagelist-newimage-refuse",
        action="store_true",
        help="leave the images that later lists name undecided (the default)",
    )


def given(options: argparse.Namespace) -> bool:
    """Tell whether any of the options is there."""
    if policy(options) is not None or options.pin_uri is not None or options.allow_file_images is not None:
        return True
    return any(
        value not in (None, False)  # an empty value is one, and will be refused
        for name, value in vars(options).items()
        if name.startswith("uri_")
    )


def are_sound(options: argparse.Namespace) -> bool:
    """Tell whether the values make sense; says in the classic words where they do not."""
    trust = options.uri_trustanchor_set
    if trust is not None and trust.lower() not in _TRUST:
        logger.error("Invalid trust anchor value")
        return False
    return True


def policy(options: argparse.Namespace) -> NewImages | None:
    """Return the new-image policy. Of several the most careful one counts, in whatever order they were given."""
    if options.imagelist_newimage_refuse:
        return NewImages.REFUSE
    if options.imagelist_newimage_subscribe:
        return NewImages.SUBSCRIBE
    return NewImages.ACCEPT if options.imagelist_newimage_accept else None


def read_password(options: argparse.Namespace) -> str | None:
    """Return the password that the options give; read it once, for stdin gives it once.

    Raises:
        BadPassword: its file cannot be read.
    """
    if options.uri_password_file is not None:
        return passwords.read_password(options.uri_password_file)
    if options.uri_password_set is not None:
        logger.warning("a password on the command line can be seen by every user; --uri-password-file keeps it secret")
        found: str = options.uri_password_set
        return found
    return None


def apply(context: Context, options: argparse.Namespace, list_id: str, password: str | None) -> None:
    """Make the changes that were asked for, each of them.

    Raises:
        BadPassword: the user name or the password cannot be sent.
    """
    _apply_credentials(context, options, list_id, password)
    trust = options.uri_trustanchor_set
    if trust is not None:
        subscriptions.set_tls_trust(context, list_id, _TRUST[trust.lower()])
    permissions = Permissions(
        # Who says whose certificates are trusted wants them verified, whatever was allowed before.
        insecure=options.uri_insecure or (None if trust is None else False),
        # It was allowed for the password that is forgotten now.
        password_over_http=options.uri_password_over_http or (False if options.uri_password_clear else None),
        file_images=options.allow_file_images,
        pin_uri=options.pin_uri,
    )
    subscriptions.permit(context, list_id, permissions)
    chosen = policy(options)
    if chosen is not None:
        subscriptions.set_new_images(context, list_id, chosen)


def _apply_credentials(context: Context, options: argparse.Namespace, list_id: str, password: str | None) -> None:
    if options.uri_username_clear:
        subscriptions.set_username(context, list_id, None)
    if options.uri_username_set is not None:
        subscriptions.set_username(context, list_id, options.uri_username_set)
    if options.uri_password_clear:
        subscriptions.set_password(context, list_id, None)
    if password is not None:
        subscriptions.set_password(context, list_id, password)


def subscribe_request(options: argparse.Namespace, uri: str, directory: str, password: str | None) -> SubscribeRequest:
    """Return what the options ask for about a new subscription."""
    from vmcatcher.services.subscribe import SubscribeRequest  # noqa: PLC0415 - queries need no network

    trust = options.uri_trustanchor_set
    return SubscribeRequest(
        uri=uri,
        directory=directory,
        auto_endorse=options.auto_endorse,
        new_images=policy(options) or NewImages.REFUSE,
        tls=_TRUST[trust.lower()] if trust else TlsTrust.UNSET,
        insecure=options.uri_insecure,
        username=options.uri_username_set,
        password=password,
        password_over_http=options.uri_password_over_http,
        file_images=options.allow_file_images is True,
        pin_uri=options.pin_uri is True,
    )


def without_user(uri: str) -> str:
    """Return the URI as it may be printed: without a user name and password."""
    try:
        return str(Location.parse(uri, directory=os.getcwd())[0])
    except BadLocation as error:
        return error.uri
