"""The exception tree: one class, one stable id, one sentence, and nothing a terminal would act on."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import string

import pytest

import vmcatcher.errors
from vmcatcher.errors import MachineError, NetworkError, OperatorError, PublisherError, VmcatcherError

_BRANCHES = (VmcatcherError, PublisherError, NetworkError, MachineError, OperatorError)
_EXITS = frozenset({1, 2, 70, 75, 130})
_CLASSIC_EXITS = frozenset({1, 2, *range(10, 40), 75, 130})


def _tree(above: type[VmcatcherError] = VmcatcherError) -> list[type[VmcatcherError]]:
    below = above.__subclasses__()
    return below + [kind for child in below for kind in _tree(child)]


for _module in pkgutil.walk_packages(vmcatcher.errors.__path__, "vmcatcher.errors."):
    importlib.import_module(_module.name)

# A class with classes below it and no sentence of its own only names what they have in common; it is never raised.
# Ordered by name: the test workers must agree on the order of the parameters.
_LEAVES = sorted(
    {
        kind
        for kind in _tree()
        if kind not in _BRANCHES
        and kind.__module__.startswith("vmcatcher.")
        and ("message" in vars(kind) or not kind.__subclasses__())
    },
    key=lambda kind: kind.__qualname__,
)


def test_errors_stand_in_the_errors_room() -> None:
    assert [kind for kind in _LEAVES if not kind.__module__.startswith("vmcatcher.errors.")] == []


def test_ids_are_unique() -> None:
    ids = [kind.id for kind in _LEAVES]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("kind", _LEAVES, ids=lambda kind: kind.__name__)
class TestEachError:
    def test_has_an_id_and_a_sentence_of_its_own(self, kind: type[VmcatcherError]) -> None:
        assert "id" in vars(kind)
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", kind.id)
        assert "message" in vars(kind)
        assert kind.__doc__
        assert not kind.__doc__.startswith(f"{kind.__name__}(")  # dataclass writes one if there is none

    def test_exit_codes_are_those_of_the_table(self, kind: type[VmcatcherError]) -> None:
        assert kind.exit_code in _EXITS
        assert kind.classic_exit in _CLASSIC_EXITS

    def test_templates_name_fields_that_are_there(self, kind: type[VmcatcherError]) -> None:
        fields = {field.name for field in dataclasses.fields(kind)}
        used = {name for text in (kind.message, kind.hint) for _, name, _, _ in string.Formatter().parse(text) if name}
        assert used <= fields

    def test_names_a_classic_command_only_beside_the_new_one(self, kind: type[VmcatcherError]) -> None:
        # Both front ends raise it: whoever uses one may not have heard of the other.
        text = f"{kind.message} {kind.hint}"
        assert "vmcatcher_" not in text or "vmcatcher " in text

    def test_is_a_dataclass_that_can_be_a_cause(self, kind: type[VmcatcherError]) -> None:
        assert "__dataclass_fields__" in vars(kind)
        assert kind.__hash__ is not None  # eq=False: contextlib and traceback keep exceptions in sets

    def test_text_is_one_line_whatever_the_fields_hold(self, kind: type[VmcatcherError]) -> None:
        hostile = "\x1b[2J\n\u202e{x}\\"
        error = kind(**{field.name: hostile for field in dataclasses.fields(kind) if field.init})
        assert error.one_line().isprintable()
        assert str(error) in error.one_line()
