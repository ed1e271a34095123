"""Light dataclasses are those of the library, as far as they go."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any, ClassVar

import pytest

from vmcatcher import light


@light.dataclass(frozen=True, slots=True, order=True)
class Light:
    """Somebody."""

    name: str
    size: int = 1


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Library:
    """Somebody."""

    name: str
    size: int = 1


@light.dataclass(frozen=True, slots=True)
class Below(Light):
    more: str = "more"

    @property
    def both(self) -> str:
        return self.name + self.more


@light.dataclass(eq=False)
class Refusal(Exception):
    id: ClassVar[str] = "refusal"
    what: str


@dataclasses.dataclass(eq=False)
class LibraryRefusal(Refusal):
    why: str = "because"


_CALLS: list[Callable[[Any], object]] = [
    lambda kind: kind("a"),
    lambda kind: kind("a", 2),
    lambda kind: kind(size=2, name="a"),
    lambda kind: kind("a", size=3),
    lambda kind: kind("a") == kind("a", 1),
    lambda kind: kind("a") == ("a", 1),
    lambda kind: kind("a") != kind("b"),
    lambda kind: kind("a") < kind("b"),
    lambda kind: kind("b", 1) >= kind("b", 2),
    lambda kind: hash(kind("a")) == hash(kind("a", 1)),
    lambda kind: dataclasses.asdict(kind("a")),
    lambda kind: [(one.name, one.type, one.default) for one in dataclasses.fields(kind)][1:],
    lambda kind: dataclasses.replace(kind("a"), size=7),
    lambda kind: copy.copy(kind("a")) == kind("a") == copy.deepcopy(kind("a")),
    lambda kind: pickle.loads(pickle.dumps(kind("a"))),
    lambda kind: kind.__match_args__,
    lambda kind: kind.__slots__,
    lambda kind: kind.__doc__,
    lambda kind: hasattr(kind("a"), "__dict__"),
]


@pytest.mark.parametrize("call", _CALLS, ids=range(len(_CALLS)))
def test_light_dataclass_answers_as_one_of_the_library(call: Callable[[Any], object]) -> None:
    assert repr(call(Light)).replace("Light", "Library") == repr(call(Library))


@pytest.mark.parametrize(
    "call",
    [
        lambda kind: kind(),
        lambda kind: kind("a", 1, 2),
        lambda kind: kind("a", name="b"),
        lambda kind: kind("a", colour="red"),
        lambda kind: kind("a") < ("b", 1),
    ],
    ids=["nothing", "too much", "twice", "unknown", "another kind"],
)
def test_call_that_the_library_refuses_is_refused(call: Callable[[Any], object]) -> None:
    for kind in (Light, Library):
        with pytest.raises(TypeError):
            call(kind)


def test_field_of_a_frozen_one_cannot_be_changed_or_deleted() -> None:
    one = Light("a")
    with pytest.raises(FrozenInstanceError):
        one.size = 2  # type: ignore[misc]  # the point of the test
    with pytest.raises(FrozenInstanceError):
        del one.size
    assert one == Light("a", 1)


def test_replaced_field_leaves_the_others() -> None:
    assert light.replace(Below("a", 2), more="b") == Below("a", 2, "b")
    with pytest.raises(TypeError):
        light.replace(Light("a"), colour="red")


def test_class_below_has_the_fields_above_first() -> None:
    assert Below("a", 2, "c").both == "ac"
    assert [one.name for one in dataclasses.fields(Below)] == ["name", "size", "more"]
    assert Below("a") != Light("a")


def test_exception_keeps_its_identity_and_its_class_variables() -> None:
    error = Refusal(what="x")
    assert (error.what, error.id, Refusal.__match_args__) == ("x", "refusal", ("what",))
    assert error != Refusal("x")
    assert len({error, Refusal("x")}) == 2


def test_class_of_the_library_can_stand_below_a_light_one() -> None:
    assert repr(LibraryRefusal("x")) == "LibraryRefusal(what='x', why='because')"
    assert dataclasses.is_dataclass(Refusal)


def test_light_class_below_one_of_the_library_is_refused() -> None:
    with pytest.raises(TypeError, match="light"):

        @light.dataclass(frozen=True, slots=True)
        class Wrong(Library):
            more: str = ""


@pytest.mark.parametrize("default", [[], dataclasses.field(default=1)], ids=["list", "field"])
def test_default_that_only_the_library_can_keep_apart_is_refused(default: object) -> None:
    with pytest.raises(TypeError, match="library"):

        @light.dataclass()
        class Wrong:
            some: object = default


def test_field_without_default_behind_one_that_has_one_is_refused() -> None:
    with pytest.raises(TypeError, match="behind"):

        @light.dataclass()
        class Wrong:
            first: int = 1
            second: int


def test_making_and_using_one_loads_no_library() -> None:
    program = (
        "from __future__ import annotations\nimport sys\nfrom vmcatcher.light import dataclass, replace\n"
        "@dataclass(frozen=True, slots=True)\nclass One:\n    name: str\n"
        "assert replace(One('a'), name='b') == One('b') and repr(One('a')) and hash(One('a'))\n"
        "print(*{'dataclasses', 'inspect'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True,
                         env={"PYTHONPATH": str(next(iter(sys.modules["vmcatcher"].__path__)) + "/..")})  # fmt: skip
    assert run.stdout.split() == []
