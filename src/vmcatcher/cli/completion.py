"""What the shell may complete: identifiers that are in the store. A slip in here must never reach the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vmcatcher.services.context import Context

Offer = tuple[str, str]
_PLAIN: Final = frozenset(" .,:/@=+_-")
_LONGEST_ABOUT: Final = 200


def _offering(find: Callable[[Context], Iterable[Offer]]) -> Callable[[Any, str], list[Offer]]:
    """Return what typer asks: for the words so far and the beginning of this one."""

    def offer(ctx: Any, incomplete: str) -> list[Offer]:
        try:
            return sorted(one for one in _found(find, ctx) if one[0].startswith(incomplete))
        except Exception:
            # A broken store, a bad setting: there is nothing to offer, and no place to say so.
            return []

    return offer


def _found(find: Callable[[Context], Iterable[Offer]], ctx: Any) -> Iterator[Offer]:
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise
    from vmcatcher.settings import load_settings  # noqa: PLC0415 - likewise

    given = ctx.params.get("store") if ctx is not None else None
    context = wiring.reading(load_settings({"store": given}), "completion")
    for name, about in find(context) if context is not None else ():
        # What would have to be quoted is typed by hand.
        if name == printable(name) and not set(name) & set(" '\"\\$`!*?[](){}<>|&;#~:"):
            yield name, _harmless(about)


def _harmless(text: str) -> str:
    r"""Return what a publisher calls a thing with blanks in place of everything that a shell might act on.

    zsh evaluates what it is offered, and typer escapes `$` but not the `\` before it: `\$(…)` would be executed.
    """
    return "".join(char if char.isalnum() or char in _PLAIN else " " for char in text[:_LONGEST_ABOUT])


def _endorsers(context: Context) -> Iterator[Offer]:
    from vmcatcher.services.listing import list_endorsers  # noqa: PLC0415 - likewise

    for one in list_endorsers(context):
        yield one.identifier, one.credentials[0].subject if one.credentials else ""


def _subscriptions(context: Context) -> Iterator[Offer]:
    from vmcatcher.services.listing import list_subscriptions  # noqa: PLC0415 - likewise

    for one in list_subscriptions(context).found:
        yield one.identifier, one.description or one.uri


def _images(context: Context) -> Iterator[Offer]:
    from vmcatcher.services.listing import list_images  # noqa: PLC0415 - likewise

    for one in list_images(context).found:
        for image in one.columns.identifiers:
            yield image, str(one.list_id)


def _events(context: Context) -> Iterator[Offer]:
    from vmcatcher.services.owed import waiting_events  # noqa: PLC0415 - likewise

    for one in waiting_events(context).events:
        yield one.event.id, f"{one.event.kind.value} {one.image}"


endorsers = _offering(_endorsers)
subscriptions = _offering(_subscriptions)
images = _offering(_images)
events = _offering(_events)
