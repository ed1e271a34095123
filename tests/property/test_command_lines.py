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
from pathlib import Path
from unittest import mock

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from classic.recording import documents
from support.pki import Pki
from support.server import Server
from support.site import LIST_ID, Result, Site, _captured, image_id
from support.tree import check_invariants
from vmcatcher import wiring
from vmcatcher.cli.app import app
from vmcatcher.errors import printable
from vmcatcher.store import root as store_root

CLASSIC = ("cache", "endorser", "handler_example", "image", "subscribe")
STORES = ("none", "empty", "cached")
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
    options = [Option(("-h", "--help"), False, "help")]
    for one in group.params:  # type: ignore[attr-defined]  # a command of typer's own click
        if isinstance(one, typer.core.TyperArgument):
            options.append(Option((), True, f"{one.name} {one.metavar}"))
        else:
            flag = one.is_flag or one.count
            options.append(Option((*one.opts, *one.secondary_opts), not flag, f"{one.name} {one.metavar}"))
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
FORMATS = ("lines", "json", "json", "SMIME", "message", "JSON", "xml", "")


def _values(world: World, meaning: str) -> SearchStrategy[str]:
    """Return values for an option, good ones more often than chance would have it."""
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
    everything = st.sampled_from((*PATHS, *URIS, *NAMES, *WORDS)) | st.text(_LETTERS, max_size=30)
    return _mostly(st.sampled_from(good), everything) if good else everything


@st.composite
def _mostly(draw: DrawFn, usual: SearchStrategy[str], odd: SearchStrategy[str]) -> str:
    return draw(odd if draw(st.integers(0, 3)) == 3 else usual)


# No slash: nothing is written outside the directory of the test. No NUL: no command line has one.
_LETTERS = st.characters(exclude_characters="/\0")
# Whoever names a FIFO here wants to wait for its other end, as with `<(command)`.
_WAITING = ("outputs", "log_config", "password_file", "output_file")


@st.composite
def _words(draw: DrawFn, world: World, option: Option) -> list[str]:
    """Return an option as somebody may type it."""
    value = draw(_values(world, option.meaning))
    if value == "fifo" and any(word in option.meaning for word in _WAITING):
        value = "file"
    if not option.names:
        return [value]
    name = draw(st.sampled_from(option.names))
    shape = draw(st.integers(0, 29))
    if name.startswith("--") and shape < 8:
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
    path = draw(st.sampled_from(_WEIGHED))
    options = COMMANDS[path]
    actions = [one for one in options if one.is_action]
    rest = [one for one in options if not one.is_action and not {"-h", "--version"} & set(one.names)]
    chosen = [draw(st.sampled_from(actions))] if actions and draw(st.integers(0, 7)) else []
    chosen += [one for one in rest if one.meaning.startswith(_SELECTING) and draw(st.booleans())]
    chosen += draw(st.lists(st.sampled_from(rest), max_size=draw(st.sampled_from((1, 2, 3, 8)))))
    chosen += draw(st.lists(st.sampled_from(options), max_size=1))
    # An argument that a command demands, or it would never come to its work.
    if not any(option.names == () for option in chosen):
        chosen += [option for option in options if not option.names]
    words = [word for option in draw(st.permutations(chosen)) for word in draw(_words(world, option))]
    shape = draw(st.integers(0, 19))
    if shape == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(WORDS)))
    return [*path, *(_bundled(words) if shape < 5 else words)]


_SELECTING = ("uuids", "digests", "uris", "endorsers", "subscriptions", "subjects", "issuers")
_WEIGHED = (
    sorted(COMMANDS) + [path for path in sorted(COMMANDS) if path[0] in ("subscribe", "cache", "image", "endorser")] * 2
)


_VARIABLES = ("OUTPUT_FORMAT", "CACHE_DIR_CACHE", "CACHE_DIR_EXPIRE", "DIR_CERT", "LOG_CONF", "CONFIG", "VIEW_LINKS")
_VARIABLES += ("CACHE_ACTION_CHECK", "CACHE_ACTION_EXPIRE", "EVENT_TIMEOUT", "WAIT", "LIST_BYTES", "TRUST_CRL")


def _environments() -> SearchStrategy[dict[str, str]]:
    values = st.sampled_from(tuple(word for word in (*PATHS, *WORDS) if word != "fifo"))
    one = st.dictionaries(st.sampled_from([f"VMCATCHER_{name}" for name in _VARIABLES]), values, max_size=1)
    return st.just({}) | st.just({}) | one


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
            if words[0] != "vmcatcher":
                return site.run(words[0], *words[1:], **environment)
            return _noun_verb(site, words[1:], environment)


def _noun_verb(site: Site, words: list[str], environment: dict[str, str]) -> Result:
    with (
        mock.patch.dict(os.environ, {**site.environment, **environment}),
        mock.patch.object(wiring, "clock", return_value=site.now),
        _captured() as (out, err),
    ):
        code: object = 0
        try:
            app(args=words, prog_name="vmcatcher")
        except SystemExit as stop:
            code = stop.code
    raw = out.getvalue()
    return Result(code if isinstance(code, int) else 1, raw.decode(), err.getvalue(), raw)


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
        assert "internal error" not in result.err
        _demand_readable(result, words, environment)
        # The handler, and whatever else was started, has ended.
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        for place in (here, *here.iterdir()):
            if place.is_dir() and not place.is_symlink() and store_root.find_store(str(place)) is not None:
                assert check_invariants(place) == []


def _is_harmless(line: str, code: int) -> bool:
    # What typer says about a usage shows marks that turn the direction of writing; it shows no control characters.
    hidden = {"Cc"} if code == 2 else {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return not {unicodedata.category(char) for char in line} & hidden


def _demand_readable(result: Result, words: list[str], environment: dict[str, str]) -> None:
    shape = _format(words, environment)
    if shape in ("SMIME", "message"):
        return
    if shape == "json" and result.code == 0:
        list(documents(result.out))
    lines = result.out.replace("\t", " ").split("\n")
    assert [line for line in lines if printable(line) != line] == []


def _format(words: list[str], environment: dict[str, str]) -> str | None:
    """Return the format that the command was asked for; None where it has none, or is asked for its help."""
    if words[0] == "vmcatcher":
        return "json" if "--json" in words and not any(_asks_for_help(word) for word in words) else None
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


def _asks_for_help(word: str) -> bool:
    # Perhaps among other short options, as in `-vh`.
    return word == "--help" or (word.startswith("-") and not word.startswith("--") and "h" in word)


_NO_HURRY = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def _property(examples: int) -> Callable[[World], None]:
    """Return the test for that many command lines."""

    @settings(max_examples=examples, suppress_health_check=_NO_HURRY)
    @given(data=st.data())
    def try_lines(world: World, data: st.DataObject) -> None:
        store = data.draw(st.sampled_from(STORES), "store")
        words = data.draw(_lines(world), "words")
        environment = data.draw(_environments(), "environment")
        _try_line(world, store, words, environment)

    return try_lines


test_any_command_line_ends_in_order = _property(150)
test_any_of_many_command_lines_ends_in_order = pytest.mark.slow(pytest.mark.timeout(600)(_property(2_000)))
test_any_of_very_many_command_lines_ends_in_order = pytest.mark.soak(pytest.mark.timeout(7200)(_property(20_000)))
