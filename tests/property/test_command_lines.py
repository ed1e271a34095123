"""Whatever is typed: never a traceback, a code of the table, output that can be read, a store that holds together.

The options are read from the parsers, so that a new one is tried from the day it is there.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from classic.recording import documents
from support.pki import Pki
from support.schemas import check_envelope
from support.server import Server
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants
from vmcatcher.cli.app import app
from vmcatcher.errors import printable
from vmcatcher.store import root as store_root

CLASSIC = ("cache", "endorser", "handler_example", "image", "subscribe")
STORES = ("none", "empty", "cached", "lived")
# How often each is taken: where nothing is, there is little to break.
_WEIGHED_STORES = (*STORES, "cached", "lived", "lived", "lived", "lived")
# As docs/reference/exit-codes.md has them; 70, 130 and 143 are what must not come of words alone.
CLASSIC_CODES = {0, 1, 2, 10, 11, 12, 13, 16, 17, 31, 32, 33, 34, 36, 37, 38, 75}
CODES = {0, 1, 2, 3, 4, 75}
# Plays for many seconds, and has tests of its own.
LEFT_OUT = {("demo",)}


@dataclass(frozen=True)
class Option:
    """One option of a command, or with no names a word that stands alone."""

    names: tuple[str, ...]
    takes_value: bool
    meaning: str
    is_action: bool = False
    is_classic: bool = True
    is_required: bool = False


def _classic_options(command: str) -> list[Option]:
    parser: argparse.ArgumentParser = importlib.import_module(f"vmcatcher.cli.classic.{command}")._parser()
    return [
        Option(
            tuple(one.option_strings),
            one.nargs != 0,
            f"{one.dest} {one.metavar} {one.choices}",
            (group.title or "").startswith("actions"),
        )
        for group in parser._action_groups
        for one in group._group_actions
    ]


def _commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[Option]]]:
    if isinstance(group, typer.core.TyperGroup):
        for name, one in group.commands.items():
            yield from _commands(one, (*path, name))
        return
    options = [Option(("-h", "--help"), False, "help", is_classic=False)]
    for one in group.params:  # type: ignore[attr-defined]  # a command of typer's own click
        is_argument = isinstance(one, typer.core.TyperArgument)
        names = () if is_argument else (*one.opts, *one.secondary_opts)
        takes_value = is_argument or not (one.is_flag or one.count)
        meaning = f"{one.name} {one.metavar}"
        options.append(Option(names, takes_value, meaning, is_classic=False, is_required=one.required))
    yield path, options


COMMANDS: dict[tuple[str, ...], list[Option]] = {
    **{(command,): _classic_options(command) for command in CLASSIC},
    **{("vmcatcher", *path): found for path, found in _commands(typer.main.get_command(app)) if path not in LEFT_OUT},
}

# -- what stands behind an option: values that make sense, and all sorts that do not

PATHS = ("", ".", "nosuch", "nosuch/below", "directory", "file", "file/below", "fifo", "closed", "closed/below", "link")
PATHS += (
    "store",
    "cache",
    "old.db",
    "/dev/null",
    "/dev/null/x",
    "/proc/x",
    "x" * 300,
    "a b",
    "ä\u202eb",
    "\udcff",
    "-",
)
URIS = (
    "ftp://h/x",
    "http://",
    "http://[::1",
    "http://127.0.0.1:1/x",
    "http://u:p@localhost:99999/",
    "HTTP:/x",
    "mailto:x",
)
URIS += (
    "file:///nosuch",
    "file://directory",
    "file:fifo",
    "//h/x",
    "http://h.invalid/ä",
    "sqlite:///x.db",
    "sqlite://",
)
URIS += ("sqlite:////", "mysql://u:p@h/d", "javascript:1", "file:///dev/zero", "http://a b/", "x:" * 99)
NAMES = ("/CN=x", "/DC=a/CN=b/c", "CN=x,O=y", "/", "//", "=", "/CN=", "/CN=ä", "/CN=x\ny", "/cn=X", "/" + "CN=x/" * 60)
WORDS = (
    "",
    " ",
    "-",
    "--",
    "=",
    "x",
    "\n",
    "\t",
    "a\nb",
    "\x1b[31m",
    "\x07",
    "\u2028",
    "\u200b",
    "🦆",
    "\udc80",
    "*",
    "..",
)
WORDS += (
    "%s",
    "{x}",
    "{}",
    "'",
    '"',
    "$(x)",
    "-1",
    "0",
    "1",
    "1e999",
    "nan",
    "inf",
    "9" * 5000,
    "x" * 5000,
    "../x",
    "None",
)
COMMAND_LINES = ("true", "false", "", "exit 75", "kill $$", "cat", "nosuch-command", "exec >&- 2>&-", "echo 'a", "\n")
TIMES = (
    "7d",
    "0",
    "0d",
    "keep",
    "30d",
    "12h",
    "1s",
    "2w",
    "-1d",
    "1e9d",
    "9999999999d",
    "d",
    "7 d",
    "7D",
    "1.5h",
    "0x7d",
    "now",
)
MOMENTS = (
    "2026-11-01",
    "2026-11-01T12:00",
    "2026-11-01T12:00:00Z",
    "9999-12-31",
    "0000-01-01",
    "0001-01-01",
    "2026-13-01",
)
MOMENTS += (
    "2026-02-30",
    "2026-11-01T25:00",
    "2026-11-01T12:00:00+99:00",
    "admission",
    "tomorrow",
    "1d",
    "99999999d",
    "-7d",
)
RULES = (
    "arch=x86_64",
    "arch=x86_64|aarch64 size<20G",
    'os~"a b"',
    "size<1e9",
    "size>-1",
    "size<20X",
    "=",
    "arch",
    "arch=",
)
RULES += (
    "nosuch=1",
    "ad:x=1",
    "title~é",
    "arch==x",
    "version>=1.2",
    'ram>"',
    "cores<9" * 40,
    "a=b|",
    "|",
    '"',
    "id~a sha512~0",
)
SIZES = ("50M", "0", "1", "1.5G", "-1", "9" * 30, "5X", "M", "20G", "1e3")
NUMBERS = ("0", "1", "-1", "8", "64", "65", "1.5", "99999999999999999999", "1e3", "eight")
URLS = ("http://127.0.0.1:1/m/", "https://m.invalid/x?y#z", "https://u:p@m.invalid/")
PROOFS_AND_FILES = (
    "some.proof",
    "some.proof",
    "broken.proof",
    "0.json",
    "1.json",
    "5.json",
    "image",
    "file",
    "-",
    "nosuch",
    "directory",
    "closed",
)
PROOFS = ('{"format": 1}', "[]", "{", "null", '{"a": 1, "a": 2}', "[" * 2000)
FORMATS = ("lines", "json", "json", "SMIME", "message", "JSON", "xml", "")


def _values(world: World, meaning: str, *, is_classic: bool) -> SearchStrategy[str]:
    """Return values for an option, good ones more often than chance would have it."""
    if not is_classic and (known := _noun_verb_values(world, meaning)):
        return _mostly(st.sampled_from(known), _anything())
    if "COMMAND" in meaning or ("event " in meaning and "SECONDS" not in meaning):
        return st.sampled_from(COMMAND_LINES)
    known = {
        "format": FORMATS,
        "uuid": (image_id(1), image_id(2), LIST_ID, image_id(9)),
        "UUID": (image_id(1), image_id(2), LIST_ID, image_id(9)),
        "endorser": ("alice", "bob"),
        "digest": (world.digest, world.digest.upper(), world.digest[1:]),
        "uri": (world.uri, *URIS),
        "URI": (world.uri, *URIS),
        "subscribe": (world.uri, world.uri + "#x"),
        "subject": (world.subject, *NAMES),
        "issuer": (world.issuer, *NAMES),
        "SECONDS": ("0", "0.1", "1"),
        "trust": (world.certificates, world.certificates + "/"),
        "cert_dir": (world.certificates,),
        "trustanchor": ("none", "browser", "igtf", "IGTF"),
        "view_links": ("symlink", "hardlink", "copy"),
        "directory": ("cache", "cache/partial", "cache/expired"),
        "store": ("store", "new"),
        "database": ("sqlite:///store.db", "sqlite:///old.db", "old.db"),
    }
    good = [value for word, values in known.items() if word in meaning for value in values]
    return _mostly(st.sampled_from(good), _anything()) if good else _anything()


def _anything() -> SearchStrategy[str]:
    return st.sampled_from((*PATHS, *URIS, *NAMES, *WORDS)) | st.text(_LETTERS, max_size=30)


def _noun_verb_values(world: World, meaning: str) -> tuple[str, ...]:
    """Return what makes sense for an option of a noun-verb command, or nearly: by its name and what it takes."""
    name, kind = meaning.split(" ", 1)
    images = (image_id(1), image_id(2)[:-1], image_id(4), image_id(9), "a0", "Title of image 4", "title", "")
    digests = (world.digest, world.digest[:12], world.digest[:2], world.digest.upper(), "0" * 128, "0" * 127, "g" * 128)
    lists = (LIST_ID, LIST_ID[:9], "1", "test list", world.uri, "second", "", *MOMENTS[:1])
    versions = ("1", "2", "#1", "#2", "#0", "#99", "current", "previous", "1.0", "-1", "")
    by_name = {
        "at": (*MOMENTS, *TIMES),
        "older": versions,
        "newer": versions,
        "version": versions,
        "what": (*lists, "list.signed", "./list.signed", "file", *URIS),
        "ids": world.events,
        "beginning": world.events,
        "file": PROOFS_AND_FILES,
        "image_file": PROOFS_AND_FILES,
        "output": ("new", "file", "-", "directory", "nosuch/x", "/dev/full"),
        "password_file": ("file", "-", "nosuch", "directory", "closed"),
        "database": ("old.db", "sqlite:///old.db", "file", "nosuch.db", "directory"),
        "jobs": NUMBERS,
        "limit_rate": SIZES,
        "shell": ("bash", "zsh", "fish", "sh", ""),
        "prometheus": ("new", "file", "directory", "nosuch/x", "/dev/full", "/dev/null"),
        "break_lock": ("cache", "update", "store", "1", ""),
        "new_images": ("refuse", "accept", "subscribe", "Accept", ""),
        "tls": ("system", "igtf", "none", "SYSTEM"),
        "locks": ("kernel", "claim", "Claim", "none"),
        "content": (*digests, *images),
        "reason": ("a reason", "", " ", "\n", "x" * 5000),
        "username": ("token", "", ":", "a:b", "ä"),
    }
    by_kind = {
        "COMMAND": COMMAND_LINES,
        "SECONDS": ("0", "0.1", "0.5", "-1", "nan", "inf", "1e-9", "", "x"),
        "TIME": TIMES,
        "RULE": RULES,
        "IMAGE": images + digests[:3],
        "IMAGE...": images + digests[:3],
        "LIST": lists,
        "ENDORSER": ("alice", "al", "ALICE", "bob", "x", "", "new one", world.subject),
        "URL": URLS,
        "URI": (world.uri, world.uri, world.other_uri, "list.signed", *URIS),
        "DN": (world.subject, world.issuer, *NAMES),
        "DIGEST": digests,
        "USER": ("token", ""),
    }
    return by_name.get(name) or by_kind.get(kind.split(" ")[0], ())


@st.composite
def _mostly(draw: DrawFn, usual: SearchStrategy[str], odd: SearchStrategy[str]) -> str:
    return draw(odd if draw(st.integers(0, 3)) == 3 else usual)


# No slash: nothing is written outside the directory of the test. No NUL: no command line has one.
_LETTERS = st.characters(exclude_characters="/\0")
# Whoever names a FIFO here wants to wait for its other end, as with `<(command)`.
_WAITING = ("output", "log_config", "password_file", "file ", "image_file", "prometheus", "config")


@st.composite
def _words(draw: DrawFn, world: World, option: Option) -> list[str]:
    """Return an option as somebody may type it."""
    value = draw(_values(world, option.meaning, is_classic=option.is_classic))
    if value == "fifo" and any(word in option.meaning for word in _WAITING):
        value = "file"
    if not option.names:
        return [value]
    name = draw(st.sampled_from(option.names))
    shape = draw(st.integers(0, 29))
    if name.startswith("--") and shape < 8 and option.is_classic:
        name = name[: max(draw(st.integers(3, len(name))), len(name) - shape)]
    if not option.takes_value:
        return [name + "=x"] if shape == 29 else [name]
    if shape == 29:
        return [name]
    if name.startswith("--"):
        return [f"{name}={value}"] if shape % 2 else [name, value]
    return [name + value] if shape % 2 else [name, value]


def _bundled(words: list[str]) -> list[str]:
    """Put short options without a value into one word, as in `-vvl`."""
    short = [word[1] for word in words if len(word) == 2 and word[0] == "-" and word[1].isalpha()]
    return ["-" + "".join(short), *(word for word in words if word[1:] not in short)] if len(short) > 1 else words


@st.composite
def _lines(draw: DrawFn, world: World) -> list[str]:
    """Return the words of a command line: mostly one action, what it selects, and some options more."""
    path = draw(st.sampled_from(_CLASSIC_WEIGHED))
    options = COMMANDS[path]
    actions = [one for one in options if one.is_action]
    rest = [one for one in options if not one.is_action and not {"-h", "--version"} & set(one.names)]
    chosen = [draw(st.sampled_from(actions))] if actions and draw(st.integers(0, 7)) else []
    chosen += [one for one in rest if one.meaning.startswith(_SELECTING) and draw(st.booleans())]
    chosen += draw(st.lists(st.sampled_from(rest), max_size=draw(st.sampled_from((1, 2, 3, 8)))))
    chosen += draw(st.lists(st.sampled_from(options), max_size=1))
    words = [word for option in draw(st.permutations(chosen)) for word in draw(_words(world, option))]
    shape = draw(st.integers(0, 19))
    if shape == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(WORDS)))
    return [*path, *(_bundled(words) if shape < 5 else words)]


_SELECTING = ("uuids", "digests", "uris", "endorsers", "subscriptions", "subjects", "issuers")
_NOUN_VERBS = [path for path in sorted(COMMANDS) if path[0] == "vmcatcher"]
_CLASSIC_WEIGHED = [path for path in sorted(COMMANDS) if path[0] in ("subscribe", "cache", "image", "endorser")] * 3
_CLASSIC_WEIGHED += [path for path in sorted(COMMANDS) if path[0] == "handler_example"]


@st.composite
def _noun_verb_lines(draw: DrawFn, world: World) -> list[str]:
    """Return the words of a noun-verb command line: mostly what it demands, half of them with --json, and more."""
    path = draw(st.sampled_from(_NOUN_VERBS))
    options = [one for one in COMMANDS[path] if "--help" not in one.names]
    chosen = [one for one in options if one.is_required and draw(st.integers(0, 19))]
    chosen += draw(st.lists(st.sampled_from(options), max_size=draw(st.sampled_from((0, 1, 2, 3, 8)))))
    chosen += [one for one in options if {"--json", "--yes"} & set(one.names) and draw(st.booleans())]
    # Arguments keep their order: the first is the list, the next its version.
    arguments = sorted((one for one in chosen if not one.names), key=options.index)
    ordered = [arguments.pop(0) if not one.names else one for one in draw(st.permutations(chosen))]
    words = [word for option in ordered for word in draw(_words(world, option))]
    shape = draw(st.integers(0, 29))
    if shape == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from((*WORDS, "--help", "-h"))))
    return [*path, *(_bundled(words) if shape < 3 else words)]


_VARIABLES = ("OUTPUT_FORMAT", "CACHE_DIR_CACHE", "CACHE_DIR_EXPIRE", "DIR_CERT", "LOG_CONF", "CONFIG", "VIEW_LINKS")
_VARIABLES += ("CACHE_ACTION_CHECK", "CACHE_ACTION_EXPIRE", "EVENT_TIMEOUT", "WAIT", "LIST_BYTES", "TRUST_CRL")


def _environments() -> SearchStrategy[dict[str, str]]:
    values = st.sampled_from(tuple(word for word in (*PATHS, *WORDS) if word != "fifo"))
    one = st.dictionaries(st.sampled_from([f"VMCATCHER_{name}" for name in _VARIABLES]), values, max_size=1)
    return st.just({}) | st.just({}) | st.just({}) | one


# -- the places where the lines are tried


class World:
    """Three stores to start from, the server of their list, and a directory to run in."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root = root
        self.server = server
        pki = Pki(root / "pki")
        self.templates = {name: root / name for name in STORES}
        for path in self.templates.values():
            path.mkdir()
        Site(self.templates["empty"], server, pki=pki).expect(
            0, "endorser", "-C", "-e", "x", "--dn", "/CN=x", "-I", "/CN=y"
        )
        self.site = site = Site(self.templates["cached"], server, pki=pki)
        site.join(site.image(1), site.image(2), site.image(3, dc__title="Tïtle\n\x1b[2J"))
        site.select(1, 2)
        site.cache()
        self.subject, self.issuer = site.alice.subject, site.alice.issuer
        self.certificates = str(pki.certificates)
        self.uri = server.url("/list")
        self.digest = str(site.image(1)["sl:checksum:sha512"])
        lived = Site(self.templates["lived"], server, pki=pki)
        self.other_uri = server.url("/other")
        _live(lived)
        site.now = lived.now
        documents = lived.run("vmcatcher", "event", "list", "--json").answer["events"]
        self.events = (*{document["id"] for document in documents}, documents[0]["id"][:4], "e", "")
        self._beside = _beside(lived)
        self._runs = 0

    @contextlib.contextmanager
    def start(self, name: str) -> Iterator[Path]:
        """Give a fresh directory with the store of that name and all sorts of things beside it."""
        self._runs += 1
        here = self.root / f"run{self._runs}"
        shutil.copytree(self.templates[name], here, symlinks=True)
        for directory in ("directory", "cache/partial", "cache/expired", "closed"):
            (here / directory).mkdir(parents=True)
        (here / "file").write_text("a file\n")
        (here / "old.db").write_bytes(b"SQLite format 3\0")
        for beside, content in self._beside.items():
            (here / beside).write_bytes(content)
        (here / "link").symlink_to("nosuch")
        os.mkfifo(here / "fifo")
        before = Path.cwd()
        os.chdir(here)
        try:
            yield here
        finally:
            os.chdir(before)
            shutil.rmtree(here)

    def run(self, here: Path, words: list[str], environment: dict[str, str]) -> Result:
        """Run a command line in this process, in the fresh directory."""
        site = self.site
        site.environment["VMCATCHER_STORE"] = str(here / "store")
        with mock.patch("sys.stdin", io.StringIO("a password\n")):
            return site.run(words[0], *words[1:], **environment)


def _live(site: Site) -> None:
    """Let a store have seen everything: two lists, replaced and vetoed images, a rule, events owed and given up."""
    site.join(site.image(1), site.image(2), site.image(3), site.image(5))
    site.select(1, 2, 5)
    site.cache(VMCATCHER_CACHE_EVENT="true")
    site.publish("2", site.image(1, "2"), site.image(3), site.image(4), site.image(5))
    site.expect(
        0, "vmcatcher", "subscription", "set", LIST_ID, "--where", "arch=x86_64", "--mirror", "http://127.0.0.1:1/"
    )
    site.expect(0, "vmcatcher", "image", "veto", "--reason", "bad", image_id(5))
    for _ in range(6):
        site.run("vmcatcher", "sync", "-x", "false")
        site.now += timedelta(days=1)
    site.expect(0, "vmcatcher", "image", "unveto", image_id(5))
    site.run("vmcatcher", "sync", "-x", "false")


def _beside(site: Site) -> dict[str, bytes]:
    """Return files that somebody may name: proofs, an image, a signed list."""
    proof = site.run("vmcatcher", "image", "proof", image_id(1), "-o", "-").raw
    made = {f"{number}.json": document.encode() for number, document in enumerate(PROOFS)}
    image = b"image 1 version 2\n" * 100
    signed = site.publish("3", site.image(1, "2"), path="/list.signed")
    return {"some.proof": proof, "broken.proof": proof[:-40], "image": image, "list.signed": signed, **made}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Server() as server:
        yield World(tmp_path_factory.mktemp("world"), server)


# -- what holds for every line


def _try_line(world: World, store: str, words: list[str], environment: dict[str, str]) -> None:
    with world.start(store) as here:
        result = world.run(here, words, environment)
        classic = words[0] != "vmcatcher"
        assert result.code in (CLASSIC_CODES if classic else CODES), result
        if not {word for word in words if "--debug".startswith(word) and len(word) > 3}:
            assert "Traceback" not in result.err
            assert [line for line in result.err.split("\n") if not _is_harmless(line, result.code)] == []
            assert classic or result.code == 2 or [line for line in result.err.split("\n") if _is_no_log(line)] == []
        assert "internal error" not in result.err
        if classic:
            _demand_readable(result, words, environment)
        else:
            _demand_document(result, words[1:])
        # The handler, and whatever else was started, has ended.
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        for place in (here, *here.iterdir()):
            if place.is_dir() and not place.is_symlink() and store_root.find_store(str(place)) is not None:
                assert check_invariants(place) == []


def _is_harmless(line: str, code: int) -> bool:
    # What typer says about a usage shows marks that turn the direction of writing; it shows no control characters but
    # the tabs before its choices.
    hidden = {"Cc"} if code == 2 else {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return not {unicodedata.category(char) for char in line.removeprefix("\t" if code == 2 else "")} & hidden


def _demand_readable(result: Result, words: list[str], environment: dict[str, str]) -> None:
    shape = _format(words, environment)
    if shape in ("SMIME", "message"):
        return
    if shape == "json" and result.code == 0:
        list(documents(result.out))
    lines = result.out.replace("\t", " ").split("\n")
    assert [line for line in lines if printable(line) != line] == []


def _is_no_log(line: str) -> bool:
    return line != "" and line.split(":", 1)[0] not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _demand_document(result: Result, words: list[str]) -> None:
    """Demand one valid JSON document where one was asked for, and nothing but readable lines of results elsewhere."""
    given = _given(words)
    if result.code == 2:
        # What the usage says, or the error of a command that took it for one.
        assert result.out == "" or (given.get("as_json") and check_envelope(result.out)["exit_code"] == 2)
    elif given.get("as_json") and not result.out.startswith("Usage: vmcatcher"):
        document = check_envelope(result.out)
        assert document["exit_code"] == result.code
        assert document["command"] == " ".join(words[: len(document["command"].split())])
        assert result.code in (0, 3, 4) or document["errors"] or document["result"] is not None
    elif given.get("output") != "-":
        lines = result.out.replace("\t", " ").split("\n")
        assert [line for line in lines if printable(line) != line] == []
        assert [line for line in lines if line.startswith(("ERROR:", "WARNING:", "INFO:", "CRITICAL:"))] == []


def _given(words: list[str]) -> dict[str, object]:
    """Return the values of the options as the program itself reads them; none where it shows its help."""
    command: Any = typer.main.get_command(app)
    rest = words
    while hasattr(command, "commands"):
        name, *rest = rest
        command = command.commands[name]
    seen = command.make_context("", [*rest], resilient_parsing=True)
    return dict(seen.params)


def _format(words: list[str], environment: dict[str, str]) -> str | None:
    """Return the format that the command was asked for; None where it has none, or is asked for its help."""
    if words[0] in ("handler_example", "cache"):
        return None
    parser = importlib.import_module(f"vmcatcher.cli.classic.{words[0]}")._parser()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            options = parser.parse_classic(words[1:])
    except (SystemExit, AttributeError, io.UnsupportedOperation):
        return None
    found: str = options.output_format or environment.get("VMCATCHER_OUTPUT_FORMAT") or "lines"
    return found


_NO_HURRY = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


Lines = Callable[[World], SearchStrategy[list[str]]]


def _property(examples: int, lines: Lines) -> Callable[[World], None]:
    """Return the test for that many command lines."""

    @settings(max_examples=examples, suppress_health_check=_NO_HURRY)
    @given(data=st.data())
    def try_lines(world: World, data: st.DataObject) -> None:
        store = data.draw(st.sampled_from(_WEIGHED_STORES), "store")
        words = data.draw(lines(world), "words")
        environment = data.draw(_environments(), "environment")
        _try_line(world, store, words, environment)

    return try_lines


_slow = pytest.mark.timeout(600)
_soak = pytest.mark.timeout(7200)
test_any_command_line_ends_in_order = _property(70, _lines)
test_any_of_many_command_lines_ends_in_order = pytest.mark.slow(_slow(_property(500, _lines)))
test_any_of_very_many_command_lines_ends_in_order = pytest.mark.soak(_soak(_property(20_000, _lines)))
test_any_noun_verb_line_ends_in_order = _property(40, _noun_verb_lines)
test_any_of_many_noun_verb_lines_ends_in_order = pytest.mark.slow(_slow(_property(120, _noun_verb_lines)))
test_any_of_very_many_noun_verb_lines_ends_in_order = pytest.mark.soak(_soak(_property(20_000, _noun_verb_lines)))
