"""What vmcatcher_subscribe does besides listing."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from vmcatcher import wiring
from vmcatcher.cli.classic import decorators
from vmcatcher.cli.classic import subscribe as command
from vmcatcher.cli.classic.common import Outputs, signed_output
from vmcatcher.cli.classic.listing import as_lines
from vmcatcher.cli.output import classic_json, lines
from vmcatcher.errors import NetworkError, VmcatcherError
from vmcatcher.errors.admission import ImagesOwnedElsewhere
from vmcatcher.errors.requests import NoListYet, NoSuchSubscription
from vmcatcher.services import subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmcatcher.cli.classic.common import Run
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.subscriptions import SubscriptionInfo
    from vmcatcher.services.update import Tools

logger = command.logger()


def act(run: Run) -> int:
    """Do the one thing that the command line asks for; return the exit code."""
    options = run.options
    actions = (
        (options.list, command.show_list), (options.update, _update), (options.subscribe, _subscribe),
        (options.delete, _delete), (options.info, _info), (options.image_list, _image_list),
        (options.image_accept, _image_accept), (options.image_refuse, _image_refuse),
    )  # fmt: skip
    main_logger = logging.getLogger("main")
    chosen = [action for given, action in actions if given]
    decorated = decorators.given(options)
    if len(chosen) > 1:
        main_logger.error("More than one action selected.")
        return 1
    if not chosen and not decorated:
        main_logger.error("No actions selected")
        return 1
    if not run.is_format_known() or not decorators.are_sound(options):
        return 1
    if options.uuids and options.uris:
        main_logger.error("Conflicting selectors.")
        return 1
    if decorated and not options.subscribe:
        code = _decorate(run)
        if code or not chosen:
            return code
    return chosen[0](run)


def _demand_selection(run: Run) -> Sequence[str]:
    selectors: Sequence[str] = run.options.uuids or run.options.uris
    if not selectors:
        logging.getLogger("main").error("No subscription selections made.")
    return selectors


def _selected(run: Run, context: Context, selectors: Iterable[str]) -> dict[int, Subscription]:
    """Return the selected subscriptions by the number of their selector, from 0.

    Warns about selectors that select none, as the classic program did.
    """
    found = {}
    by_uri = bool(run.options.uris)
    for number, selector in enumerate(selectors):
        try:
            found[number] = subscriptions.find_subscription(context, selector, by_uri=by_uri, directory=os.getcwd())
        except NoSuchSubscription:
            shown = decorators.without_user(selector) if by_uri else selector
            logger.warning("Selections '%s' does not match any known subscriptions.", shown)
    return found


def _decorate(run: Run) -> int:
    selectors = _demand_selection(run)
    if not selectors:
        return 1
    password = decorators.read_password(run.options)
    context = run.writing()
    for subscription in _selected(run, context, selectors).values():
        decorators.apply(context, run.options, subscription.identifier, password)
    return 0


def _delete(run: Run) -> int:
    selectors = _demand_selection(run)
    if not selectors:
        return 1
    context = run.writing()
    found = _selected(run, context, selectors)
    for list_id in dict.fromkeys(subscription.identifier for subscription in found.values()):
        subscriptions.delete_subscription(context, list_id)
    if len(found) < len(selectors):
        shown = map(decorators.without_user, selectors) if run.options.uris else selectors
        logger.error("Failed to remove a subscription from '%s'", ", ".join(shown))
        return 1
    return 0


def _info(run: Run) -> int:
    return _show(run, with_images=False)


def _image_list(run: Run) -> int:
    return _show(run, with_images=True)


def _show(run: Run, *, with_images: bool) -> int:
    selectors = _demand_selection(run)
    if not selectors:
        return 1
    context = run.reading()
    if context is None:
        return 0
    outputs = Outputs(run.options.outputs)
    for number, subscription in _selected(run, context, selectors).items():
        info = subscriptions.subscription_info(context, subscription, show_secrets=run.options.show_secrets)
        shown = _shown(run, info, with_images=with_images)
        if shown is not None:
            outputs.write(shown, number)
    return 0


def _shown(run: Run, info: SubscriptionInfo, *, with_images: bool) -> bytes | None:
    if run.format == "json":
        document = classic_json.subscription_info(info)
        if with_images:
            document["ImageDefinition"] = classic_json.image_definitions(info.subscription)
        return as_lines([classic_json.dumped(document)])
    if run.format == "lines":
        return as_lines(lines.subscription_info(info, with_images=with_images))
    if info.current is not None:
        return signed_output(run, info.current)
    logger.error("%s", NoListYet(list_id=info.subscription.identifier).one_line())
    return None


def _image_accept(run: Run) -> int:
    return _decide(run, run.options.image_accept, accept=True)


def _image_refuse(run: Run) -> int:
    return _decide(run, run.options.image_refuse, accept=False)


def _decide(run: Run, images: Sequence[str], *, accept: bool) -> int:
    selectors = _demand_selection(run)
    if not selectors:
        return 1
    context = run.writing()
    change = subscriptions.accept_image if accept else subscriptions.refuse_image
    for subscription in _selected(run, context, selectors).values():
        for image in images:
            try:
                change(context, subscription.identifier, image)
            except VmcatcherError as error:
                # One image that cannot be accepted is no reason to drop the others; the code stays 0, as ever.
                logger.warning("%s", error.one_line())
    return 0


def _subscribe(run: Run) -> int:
    context = run.writing(create=True)
    password = decorators.read_password(run.options)
    with wiring.tools(run.settings, context) as tools:
        return max(_subscribe_one(run, context, tools, uri, password) for uri in run.options.subscribe)


def _subscribe_one(run: Run, context: Context, tools: Tools, uri: str, password: str | None) -> int:
    from vmcatcher.services.subscribe import subscribe  # noqa: PLC0415 - queries need no cryptography

    try:
        request = decorators.subscribe_request(run.options, uri, os.getcwd(), password)
        made = subscribe(context, tools, request)
    except VmcatcherError as error:
        logger.error("%s", error.one_line())
        logging.getLogger("main").error("Failed to subscribe to '%s'", decorators.without_user(uri))
        # Everything but the network is 1 here: the codes from 11 on tell what an update found.
        return 10 if isinstance(error, NetworkError) else error.exit_code
    if made.is_endorser_new:
        signer, endorser = made.endorser.credentials[0], made.endorser.identifier
        logger.warning("Endorser '%s':'%s' added as '%s'.", signer.subject, signer.issuer, endorser)
    if not made.is_new:
        logger.info("already subscribed to %s at %s", made.subscription.identifier, made.subscription.uri)
        decorators.apply(context, run.options, made.subscription.identifier, password)
    for problem in made.problems:
        logger.error("%s", problem.one_line())
    return 36 if any(isinstance(problem, ImagesOwnedElsewhere) for problem in made.problems) else 0


def _update(run: Run) -> int:
    from vmcatcher.services.update import update_all  # noqa: PLC0415 - likewise

    context = run.writing()
    teller = wiring.teller(run.settings, context, "sub_event", {}, locks=("update",))
    with wiring.tools(run.settings, context) as tools:
        report = update_all(context, tools, teller)
    for failure in report.failed:
        text = failure.error.one_line()
        logger.error("%s", text if failure.subject in text else f"subscription {failure.subject}: {text}")
    codes = {failure.error.classic_exit for failure in report.failed}
    return command.worst_of(codes)
