"""What `vmcatcher store init` and `vmcatcher demo` cannot do as they are asked."""

from __future__ import annotations

from vmcatcher.errors.base import MachineError, OperatorError
from vmcatcher.errors.store import NotOurFile
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class BlobsElsewhere(OperatorError):
    """The store is there already and keeps its image bytes in another directory than the one asked for."""

    path: str
    found: str
    wanted: str
    id: ClassVar[str] = "blobs-elsewhere"
    message: ClassVar[str] = "the store {path} keeps its image bytes in {found}, not in {wanted}"
    hint: ClassVar[str] = "leave --blobs out, or make a new store"


@dataclass(eq=False)
class StrangersThere(NotOurFile):
    """The directory in which a store is to be made holds files, but no store."""

    id: ClassVar[str] = "strangers-there"
    message: ClassVar[str] = "no store is made beside {path}, which is {found}"
    hint: ClassVar[str] = "give a directory that is empty or not there; is the store's disk mounted?"


@dataclass(eq=False)
class DemoPlaceUnusable(OperatorError):
    """The demonstration cannot be played in that directory."""

    path: str
    why: str
    id: ClassVar[str] = "demo-place-unusable"
    message: ClassVar[str] = "the demonstration cannot be played in {path}: {why}"
    hint: ClassVar[str] = "--keep wants a directory that is empty or not there; without it, TMPDIR says where"


@dataclass(eq=False)
class DemoSurprise(MachineError):
    """A step of the demonstration did something else than the story says."""

    act: str
    what: str
    expected: str
    found: str
    id: ClassVar[str] = "demo-surprise"
    message: ClassVar[str] = "act {act}: {what}: {expected} expected, {found} found"
    hint: ClassVar[str] = "play it again with --keep DIR and look at what it leaves; then please report it"
