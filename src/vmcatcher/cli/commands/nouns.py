"""The nouns of the noun-verb command, the modules that hold their verbs, and how these are loaded when one is meant."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

from vmcatcher.cli.commands.help import NounHelp

if TYPE_CHECKING:
    from collections.abc import Mapping


class Noun(NamedTuple):
    """A noun: what it is about, and the modules below `vmcatcher.cli.commands` that add its verbs."""

    about: str
    modules: tuple[str, ...]
    is_verb: bool = False
    """Not a noun at all, but a command that stands alone."""


NOUNS: Final[Mapping[str, Noun]] = {
    "sync": Noun(
        "Fetch lists, then make the cache hold what they endorse: the line for cron.", ("sync",), is_verb=True
    ),
    "plan": Noun("Show what the next sync would do, and why; change nothing.", ("plan",), is_verb=True),
    "status": Noun("Show on one screen how everything stands.", ("status",), is_verb=True),
    "endorser": Noun("Say who may endorse lists.", ("endorser",)),
    "subscription": Noun(
        "Subscribe to image lists, and decide about them.", ("subscription", "subscription_update", "history", "rules")
    ),
    "image": Noun(
        "See images, and decide which ones are kept in the cache.", ("image", "history", "proof", "rules", "vetoes")
    ),
    "cache": Noun("See, check and verify the images that are there.", ("cache",)),
    "event": Noun("See the events that no handler has taken yet, have them told again, or forget them.", ("event",)),
    "trust": Noun("Look after the CAs and revocation lists by which signers are judged.", ("trust",)),
    "store": Noun(
        "Make a store, and see whether one holds together.", ("store", "store_prune", "store_stats", "store_import")
    ),
    "config": Noun("See what is set, and where that comes from.", ("config",)),
    "completion": Noun(
        "Write what a shell needs to complete nouns, verbs and identifiers.", ("completion",), is_verb=True
    ),
    "demo": Noun("Show what it does, from signature to event.", ("demo",), is_verb=True),
}


def _noun(about: str) -> typer.Typer:
    return typer.Typer(
        cls=NounHelp,
        help=about,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain help: the same in a terminal, a pipe and the manual, and quick
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


GROUPS: Final[Mapping[str, typer.Typer]] = {name: _noun(one.about) for name, one in NOUNS.items()}
"""What the verbs are added to, by noun. A command without a noun is added to the group of its own name."""


_FIRST: Final = (
    "list",
    "show",
    "add",
    "remove",
    "set",
    "update",
    "accept",
    "refuse",
    "subscribe",
    "unsubscribe",
    "link",
    "unlink",
)


def _place(verb: str) -> tuple[int, str]:
    return (_FIRST.index(verb), "") if verb in _FIRST else (len(_FIRST), verb)


class _Loading(MutableMapping[str, Any]):
    """The nouns by name; the modules of a noun are imported when somebody asks for it."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            noun = NOUNS[name]
            for module in noun.modules:
                importlib.import_module(f"vmcatcher.cli.commands.{module}")
            group = get_group(GROUPS[name])
            # Whichever module came first: what people look for comes first.
            group.commands = dict(sorted(group.commands.items(), key=lambda one: _place(one[0])))
            self._loaded[name] = group.commands[name] if noun.is_verb else group
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(NOUNS)

    def __len__(self) -> int:
        return len(NOUNS)


class Program(TyperGroup):
    """The program itself: its nouns are loaded one by one, and its help loads none of them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Loading()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as typer calls it
        """Return the names of the nouns, in the order of the help."""
        return list(NOUNS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - likewise
        """Write the nouns and what they are about, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.about) for name, one in NOUNS.items()])
