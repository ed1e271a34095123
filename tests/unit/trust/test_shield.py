"""Whatever the cryptography library raises stays inside this room, and what is not its own passes through."""

from __future__ import annotations

import warnings

import pytest

from vmcatcher.trust.shield import Undecodable, shielded

# What a panic of the library's Rust half looks like: no Exception, and of a type that cannot be imported.
PanicException = type("PanicException", (BaseException,), {})


@pytest.mark.parametrize("error", [ValueError("a\n b"), TypeError("a b"), OverflowError("a b"), PanicException("a b")])
def test_error_of_the_library_becomes_ours(error: BaseException) -> None:
    with pytest.raises(Undecodable) as caught, shielded():
        raise error
    assert str(caught.value) == "a b"
    assert caught.value.__cause__ is error


def test_error_without_words_is_named_after_its_kind() -> None:
    with pytest.raises(Undecodable, match="RecursionError"), shielded():
        raise RecursionError


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit])
def test_what_is_meant_for_the_whole_program_passes_through(error: type[BaseException]) -> None:
    with pytest.raises(error), shielded():
        raise error


def test_warnings_are_silent_inside_and_as_before_outside() -> None:
    before = list(warnings.filters)
    with shielded():
        warnings.warn("for developers", stacklevel=1)
    assert warnings.filters == before


def test_shield_can_be_used_again_after_an_error() -> None:
    with pytest.raises(Undecodable), shielded():
        raise ValueError
    with shielded():
        pass
