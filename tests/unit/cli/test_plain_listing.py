"""A plain listing is read without the parser: the parser would have read the same, and the answer is the same."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.site import Site
from vmcatcher.cli.classic.listing import plain_listing

COMMANDS = ("image", "subscribe", "endorser")
_WORDS = ("-l", "--list", "-f", "--format", "-d", "--database", "--store", "json", "lines", "/tmp/x", "", " ", "a b",
          "-", "--", "-1", "--lis", "--format=json", "-fjson", "-lv", "-v", "-D", "-u", "--help", "file:///x", "-L",
          "--stor", "ü", "@x")  # fmt: skip


def _parser(command: str) -> Any:
    return importlib.import_module(f"vmcatcher.cli.classic.{command}")._parser()


@pytest.mark.parametrize("command", COMMANDS)
@given(words=st.lists(st.sampled_from(_WORDS), max_size=6))
def test_words_that_are_taken_mean_to_the_parser_what_they_mean_here(command: str, words: list[str]) -> None:
    found = plain_listing(words)
    if found is None:
        return
    parser = _parser(command)
    expected = vars(parser.parse_classic([])) | {"list": True} | found
    assert vars(parser.parse_classic(words)) == expected


@pytest.mark.parametrize(
    "words",
    [
        [], ["-f", "json"], ["-l", "-f"], ["-l", "-f", "-l"], ["-l", "x"], ["-l", "--"], ["--lis"], ["-l", "-v"],
        ["-lf", "json"], ["-l", "--format=json"], ["-l", "-d", "-1"], ["-l", "-L", "x"], ["-h"], ["-l", "-D"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_words_that_are_no_plain_listing_are_left_to_the_parser(words: list[str]) -> None:
    assert plain_listing(words) is None


def test_settings_of_a_plain_listing_are_those_that_were_given_last() -> None:
    words = ["--store", "/a", "-l", "-f", "lines", "--format", "json", "--list", "--database", "sqlite:////b.db"]
    assert plain_listing(words) == {"store": "/a", "output_format": "json", "database": "sqlite:////b.db"}


# `-q -v` changes nothing but that the parser reads the words.
@pytest.mark.parametrize("more", [(), ("-f", "json"), ("-f", "SMIME"), ("-f", "nosuch"), ("-d", "sqlite:///:x:")])
@pytest.mark.parametrize("command", COMMANDS)
def test_answer_is_the_same_with_and_without_the_parser(command: str, more: tuple[str, ...], site: Site) -> None:
    site.join(site.image(1), site.image(2))
    site.select(1)
    plain = site.run(command, "-l", *more)
    parsed = site.run(command, "-l", "-q", "-v", *more)
    assert plain_listing(["-l", *more]) is not None
    assert (plain.code, plain.raw, plain.err) == (parsed.code, parsed.raw, parsed.err)


@pytest.mark.parametrize("variable", ["VMCATCHER_LOG_CONF", "VMCATCHER_CONFIG", "VMCATCHER_STORE"])
@pytest.mark.parametrize("command", COMMANDS)
def test_trouble_is_told_in_the_same_words(command: str, variable: str, site: Site) -> None:
    site.join(site.image(1))
    trouble = {variable: "/nosuch/file"}
    plain, parsed = site.run(command, "-l", **trouble), site.run(command, "-l", "-q", "-v", **trouble)
    assert plain.err
    assert (plain.code, plain.raw, plain.err) == (parsed.code, parsed.raw, parsed.err)


def test_damaged_subscription_is_told_in_the_same_words(site: Site) -> None:
    site.join(site.image(1))
    for path in (site.store / "subscriptions").glob("*/subscription.json"):
        path.write_text("{")
    plain, parsed = site.run("image", "-l"), site.run("image", "-l", "-q", "-v")
    assert (plain.code, plain.raw) == (1, b"")
    assert (plain.code, plain.raw, plain.err) == (parsed.code, parsed.raw, parsed.err)
