"""Rules that choose images, vetoes, and other decisions that cannot be taken as they were asked for."""

from __future__ import annotations

from vmcatcher.errors.base import OperatorError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class BadRule(OperatorError):
    """A rule that cannot be read: its syntax, a field that there is not, a value that its field cannot have."""

    rule: str
    where: str
    why: str
    id: ClassVar[str] = "bad-rule"
    exit_code: ClassVar[int] = 2
    message: ClassVar[str] = "the rule cannot be read {where}: {why}"
    hint: ClassVar[str] = "terms are like arch=x86_64 os~Ubuntu size<20G; see docs/reference/rules.md"


@dataclass(eq=False)
class NoRule(OperatorError):
    """An image was to be chosen by the rule of a subscription that has none."""

    image: str
    list_id: str
    id: ClassVar[str] = "no-rule"
    message: ClassVar[str] = "image '{image}' cannot be chosen by rule: subscription {list_id} has none"
    hint: ClassVar[str] = "set one with vmcatcher subscription set {list_id} --where RULE"


@dataclass(eq=False)
class NoSuchVeto(OperatorError):
    """There is no veto on these bytes."""

    selector: str
    id: ClassVar[str] = "no-such-veto"
    message: ClassVar[str] = "there is no veto on '{selector}'"
    hint: ClassVar[str] = "vmcatcher image vetoes lists them"


@dataclass(eq=False)
class NoDigest(OperatorError):
    """An image that no current list names has no bytes that a veto could be on."""

    image: str
    id: ClassVar[str] = "no-digest"
    message: ClassVar[str] = "no current list names image '{image}', so it is not known which bytes are meant"
    hint: ClassVar[str] = "give the SHA-512 itself"


@dataclass(eq=False)
class BadReason(OperatorError):
    """A reason that nobody could read later."""

    why: str
    id: ClassVar[str] = "bad-reason"
    message: ClassVar[str] = "the reason of a veto cannot be used: {why}"
    hint: ClassVar[str] = "say on one line why nobody is to have these bytes"


@dataclass(eq=False)
class OptionsContradict(OperatorError):
    """Two options of one command that ask for opposite things."""

    one: str
    other: str
    id: ClassVar[str] = "options-contradict"
    exit_code: ClassVar[int] = 2
    message: ClassVar[str] = "{one} and {other} contradict each other"
    hint: ClassVar[str] = "give one of them"


@dataclass(eq=False)
class NothingToSet(OperatorError):
    """A subscription was to be changed, but not in what."""

    list_id: str
    id: ClassVar[str] = "nothing-to-set"
    exit_code: ClassVar[int] = 2
    message: ClassVar[str] = "nothing was given that could be set for subscription {list_id}"
    hint: ClassVar[str] = "vmcatcher subscription set --help names what can"
