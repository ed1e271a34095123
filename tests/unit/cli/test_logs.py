"""Where log records go: one line each on stderr, or what a configuration file says."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmcatcher.cli import logs
from vmcatcher.errors.settings import LogConfigBad, LogConfigMissing

_INI = """
[loggers]
keys=root
[handlers]
keys=file
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=file
[handler_file]
class=FileHandler
formatter=plain
args=({log!r},)
[formatter_plain]
format=%(levelname)s %(message)s
"""
_DOCUMENT = {
    "version": 1,
    "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "formatter": "plain", "filename": "LOG"}},
    "root": {"level": "INFO", "handlers": ["file"]},
}
_TOML = """
version = 1
[formatters.plain]
format = "%(levelname)s %(message)s"
[handlers.file]
class = "logging.FileHandler"
formatter = "plain"
filename = "LOG"
[root]
level = "INFO"
handlers = ["file"]
"""


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Close what a test made and put the root logger back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("urllib3", "requests", "filelock")}
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def _say(logger: str = "some.room") -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.getLogger(logger).log(level, "said")


@pytest.mark.parametrize(
    ("verbose", "quiet", "shown"),
    [
        (0, 0, ["WARNING", "ERROR", "CRITICAL"]),
        (1, 0, ["INFO", "WARNING", "ERROR", "CRITICAL"]),
        (2, 0, ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        (9, 0, ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        (0, 1, ["ERROR", "CRITICAL"]),
        (0, 2, ["CRITICAL"]),
        (0, 9, ["CRITICAL"]),
        (3, 2, ["INFO", "WARNING", "ERROR", "CRITICAL"]),
    ],
)
def test_counts_choose_the_level(verbose: int, quiet: int, shown: list[str], capsys: pytest.CaptureFixture[str]):
    logs.set_up(verbose=verbose, quiet=quiet, config=None)
    _say()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "".join(f"{level}:some.room:said\n" for level in shown)


@pytest.mark.parametrize("name", ["urllib3.connectionpool", "requests", "filelock"])
def test_libraries_do_not_chat_about_urls_and_headers(name: str, capsys: pytest.CaptureFixture[str]):
    logs.set_up(verbose=5, quiet=0, config=None)
    _say(name)
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["ERROR", "CRITICAL"]


@pytest.mark.parametrize("text", ["a\nERROR:main:forged", "\x1b[2J", "\u202e", "a\r\tb", "\u2028", "\udcff"])
def test_record_is_one_printable_line(text: str, capsys: pytest.CaptureFixture[str]):
    logs.set_up(verbose=0, quiet=0, config=None)
    logging.getLogger("main").error("said %s", text)
    err = capsys.readouterr().err
    assert err.startswith("ERROR:main:said ")
    assert err.removesuffix("\n").isprintable()
    assert err.count("\n") == 1


def test_traceback_that_was_asked_for_follows_its_line(capsys: pytest.CaptureFixture[str]):
    logs.set_up(verbose=0, quiet=0, config=None)
    try:
        raise KeyError("x")  # noqa: TRY301 - something to be in the middle of
    except KeyError:
        logging.getLogger("main").exception("said")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "ERROR:main:said"
    assert rest[0] == "Traceback (most recent call last):"


@pytest.mark.parametrize("kind", ["ini", "json", "toml"])
def test_configuration_takes_the_place_of_the_counts(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log, config = tmp_path / "log", tmp_path / f"log.{kind}"
    before = logging.getLogger("made.before")
    text = {"ini": _INI.format(log=str(log)), "json": json.dumps(_DOCUMENT), "toml": _TOML}[kind]
    config.write_text(text.replace("LOG", str(log)))
    logs.set_up(verbose=0, quiet=2, config=str(config))
    _say("made.after")
    before.warning("still heard")
    logging.getLogger().handlers[0].close()
    assert capsys.readouterr().err == ""
    assert log.read_text().splitlines() == [
        "INFO said",
        "WARNING said",
        "ERROR said",
        "CRITICAL said",
        "WARNING still heard",
    ]


def test_missing_configuration_is_named():
    with pytest.raises(LogConfigMissing) as caught:
        logs.set_up(verbose=0, quiet=0, config="/nosuch\x1b[2J.conf")
    assert str(caught.value) == r"Logfile configuration file '/nosuch\x1b[2J.conf' was not found."


@pytest.mark.parametrize("kind", ["ini", "conf", "json", "toml"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\xff\xfe\x00",
        b"[loggers]\n",
        b"[loggers]\nkeys=root\n[loggers]\nkeys=root\n",
        _INI.replace("FileHandler", "NoSuchHandler").encode(),
        _INI.replace("FileHandler", "os.nosuch").encode(),
        _INI.replace("{log!r},", "(").encode(),
        _INI.replace("{log!r},", "undefined_name").encode(),
        _INI.replace("{log!r}", "'/nosuch/directory/log'").encode(),
        _INI.replace("level=INFO", "level=LOUD").encode(),
        _INI.replace("%(levelname)s", "%(nosuch").encode(),
        b"{}",
        b"[]",
        b"null",
        b'{"version": 2}',
        b'{"version": 1, "handlers": {"x": {"class": "nosuch.Handler"}}, "root": {"handlers": ["x"]}}',
        b'{"version": 1, "root": {"handlers": ["x"]}}',
        b'{"version": 1, "root": {"level": "LOUD"}}',
        b"[" * 100_000,
        b"version = 2",
        b"version = 1\n[root]\nhandlers = ['x']",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_configuration_that_cannot_be_used_is_named(kind: str, content: bytes, tmp_path: Path):
    config = tmp_path / f"log.{kind}"
    config.write_bytes(content)
    with pytest.raises(LogConfigBad) as caught:
        logs.set_up(verbose=0, quiet=0, config=str(config))
    assert str(config) in caught.value.one_line()
    assert caught.value.one_line().isprintable()


def test_directory_as_configuration_is_named(tmp_path: Path):
    for name in ("log.json", "log.toml", "log.conf"):
        (tmp_path / name).mkdir()
        with pytest.raises(LogConfigBad):
            logs.set_up(verbose=0, quiet=0, config=str(tmp_path / name))
