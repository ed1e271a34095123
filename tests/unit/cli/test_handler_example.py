"""vmcatcher_eventHndlExpl, the classic example handler (HEPiX vmcatcher, section Events)."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmcatcher import __version__
from vmcatcher.cli.classic.handler_example import main
from vmcatcher.hooks import HookRunner
from vmcatcher.model.event import EventKind, OwedEvent, event_variables, image_variables

_PROGRAM = "import sys; from vmcatcher.cli.classic.handler_example import main; sys.exit(main())"
_CLASSIC = {
    "VMCATCHER_CACHE_ACTION_CHECK",
    "VMCATCHER_CACHE_ACTION_DOWNLOAD",
    "VMCATCHER_CACHE_ACTION_EXPIRE",
    "VMCATCHER_CACHE_DIR_CACHE",
    "VMCATCHER_CACHE_DIR_DOWNLOAD",
    "VMCATCHER_CACHE_DIR_EXPIRE",
    "VMCATCHER_CACHE_EVENT",
    "VMCATCHER_DIR_CERT",
    "VMCATCHER_EVENT_DC_DESCRIPTION",
    "VMCATCHER_EVENT_DC_IDENTIFIER",
    "VMCATCHER_EVENT_DC_TITLE",
    "VMCATCHER_EVENT_FILENAME",
    "VMCATCHER_EVENT_HV_FORMAT",
    "VMCATCHER_EVENT_HV_HYPERVISOR",
    "VMCATCHER_EVENT_HV_SIZE",
    "VMCATCHER_EVENT_HV_URI",
    "VMCATCHER_EVENT_HV_VERSION",
    "VMCATCHER_EVENT_IL_DC_IDENTIFIER",
    "VMCATCHER_EVENT_SL_ARCH",
    "VMCATCHER_EVENT_SL_CHECKSUM_SHA512",
    "VMCATCHER_EVENT_SL_COMMENTS",
    "VMCATCHER_EVENT_SL_OS",
    "VMCATCHER_EVENT_SL_OSVERSION",
    "VMCATCHER_EVENT_TYPE",
    "VMCATCHER_LOG_CONF",
    "VMCATCHER_RDBMS",
}


def run(*arguments):
    """Run the command as a program of its own would: with nothing set up for logging yet, and undone afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        return main([str(argument) for argument in arguments])
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "events.json"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_event_is_one_line_of_json_with_sorted_keys(output, monkeypatch):
    monkeypatch.setenv("VMCATCHER_EVENT_TYPE", "AvailablePostfix")
    monkeypatch.setenv("VMCATCHER_EVENT_DC_TITLE", 'Größe "x"\ny')
    monkeypatch.setenv("VMCATCHER_STORE", "/s")
    monkeypatch.setenv("VMCATCHER_SOMETHING_ELSE", "x")
    assert run("--output_file", output) == 0
    (event,) = lines(output)
    assert list(event) == sorted(event)
    assert set(event) >= _CLASSIC
    assert {name: value for name, value in event.items() if value} == {
        "VMCATCHER_EVENT_TYPE": "AvailablePostfix",
        "VMCATCHER_EVENT_DC_TITLE": 'Größe "x"\ny',
        "VMCATCHER_STORE": "/s",
    }
    assert output.read_text().isascii()


@pytest.mark.parametrize("generator", ["minium", "minimum"])
def test_generator_minium_leaves_out_what_is_not_set(output, monkeypatch, generator):
    monkeypatch.setenv("VMCATCHER_EVENT_TYPE", "ProcessPrefix")
    monkeypatch.setenv("VMCATCHER_EVENT_SL_COMMENTS", "")
    assert run("--output_file", output, "--generator", generator) == 0
    assert lines(output) == [{"VMCATCHER_EVENT_TYPE": "ProcessPrefix", "VMCATCHER_EVENT_SL_COMMENTS": ""}]


def test_other_generator_is_the_default_one(output):
    assert run("--output_file", output, "--generator", "full") == 0
    assert set(lines(output)[0]) >= _CLASSIC


def test_datetime_is_the_time_of_writing_in_utc(output):
    before = datetime.now(UTC).replace(microsecond=0)
    assert run("--output_file", output, "--datetime") == 0
    (event,) = lines(output)
    assert list(event) == sorted(event)
    assert event["DATETIME"].endswith("Z")
    assert before <= datetime.fromisoformat(event["DATETIME"]) <= datetime.now(UTC)


def test_events_are_appended(output):
    output.write_text("{}\n")
    run("--output_file", output)
    run("--output_file", output)
    assert len(lines(output)) == 3


def test_long_options_may_be_abbreviated(output):
    assert run("--out", output, "--gen", "minium", "--date") == 0
    assert list(lines(output)[0]) == ["DATETIME"]


def test_every_variable_of_our_events_is_written(output, monkeypatch):
    names = ["dc:description", "dc:identifier", "dc:title", "hv:hypervisor", "hv:uri", "hv:version", "hv:format"]
    names += ["sl:arch", "sl:comments", "sl:os", "sl:osversion", "ad:mpuri"]
    variables = image_variables(dict.fromkeys(names, "x"), size_bytes=1, sha512="0", list_id="l", vo="v")
    owed = OwedEvent(EventKind.EXPIRE_POSTFIX, "event-id")
    variables |= event_variables(owed, session="s", filename="f", reason="withdrawn")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run("--output_file", output, "--generator", "minium") == 0
    assert lines(output) == [variables]


def test_value_that_is_no_unicode_is_written_as_json(output, monkeypatch):
    monkeypatch.setenv("VMCATCHER_EVENT_DC_TITLE", "\udcff")
    assert run("--output_file", output, "--generator", "minium") == 0
    assert lines(output) == [{"VMCATCHER_EVENT_DC_TITLE": "\udcff"}]


def test_without_output_file_nothing_is_written_and_a_hint_given(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run() == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--output_file" in captured.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("flags", "shown"), [([], True), (["-q"], False), (["-qq"], False), (["-v"], True), (["-vvvv", "-q"], True)]
)
def test_quiet_and_verbose_change_what_is_logged(capsys, flags, shown):
    assert run(*flags) == 0
    assert ("--output_file" in capsys.readouterr().err) == shown


@pytest.mark.parametrize("place", ["missing/events.json", "."])
def test_file_that_cannot_be_written_is_one_line_and_exit_1(tmp_path, capsys, place):
    assert run("--output_file", str(tmp_path / place)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "cannot write" in captured.err


def test_full_disk_is_one_line_and_exit_1(capsys):
    assert run("--output_file", "/dev/full") == 1
    assert "No space left on device" in capsys.readouterr().err


def test_line_that_the_disk_took_in_part_is_exit_1(output):
    # A file size limit is the one full disk that can be had everywhere; Python ignores its signal.
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)); " + _PROGRAM
    done = _python(["-c", program, "--output_file", output])
    assert done.returncode == 1
    assert b"no space left for the whole line" in done.stderr
    assert output.stat().st_size == 20


def test_log_config_decides_where_messages_go(tmp_path):
    config = tmp_path / "logger.conf"
    config.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=file\n"
        f"[handler_file]\nclass=FileHandler\nargs=('{tmp_path}/log',)\n"
    )
    for flag in ("-L", "--log-config", "--logfile", "--logcfg"):
        done = _python(["-c", _PROGRAM, flag, config])
        assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "log").read_text().count("--output_file") == 4


@pytest.mark.parametrize("content", [None, "", "[loggers]\nkeys=root\n", "\xff", "[loggers\n"])
def test_log_config_that_cannot_be_used_is_one_line_and_exit_1(tmp_path, capsys, output, content):
    config = tmp_path / "logger.conf"
    if content is not None:
        config.write_text(content, encoding="latin-1")
    assert run("--log-config", config, "--output_file", output) == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert str(config) in captured.err
    assert not output.exists()


def test_version_and_help_end_with_zero_and_bad_usage_with_two(capsys):
    for arguments, status in ((["--version"], 0), (["-h"], 0), (["--help"], 0), (["--bogus"], 2), (["--generator"], 2)):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == status
    captured = capsys.readouterr()
    assert captured.out.startswith(f"vmcatcher_eventHndlExpl {__version__}\n")
    assert "--output_file" in captured.out


def test_program_starts_without_the_heavy_libraries():
    program = "import sys, vmcatcher.cli.classic.handler_example as m; print(*sys.modules)"
    loaded = set(_python(["-c", program]).stdout.decode().split())
    assert "vmcatcher.cli.classic.handler_example" in loaded
    assert not loaded & {"cryptography", "requests", "typer", "filelock"}


def test_run_as_a_handler_it_writes_what_it_was_told(output):
    command = f"{sys.executable} -c '{_PROGRAM}' --output_file {output} --generator minium"
    runner = HookRunner(command, timeout_s=30, base_environment=_environment())
    variables = {"VMCATCHER_EVENT_TYPE": "AvailablePostfix", "VMCATCHER_EVENT_DC_TITLE": "a\nb"}
    assert runner.run(variables, {}).delivered
    assert lines(output) == [variables]


def test_handlers_at_the_same_time_keep_lines_whole(output):
    title = "x" * 100_000
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "--output_file", str(output)],
            env=_environment() | {"VMCATCHER_EVENT_DC_TITLE": title, "VMCATCHER_EVENT_ID": str(number)},
        )
        for number in range(8)
    ]
    assert [each.wait(30) for each in running] == [0] * 8
    assert sorted(event["VMCATCHER_EVENT_ID"] for event in lines(output)) == list("01234567")


def _environment():
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "src")}


def _python(arguments):
    arguments = [sys.executable, *map(str, arguments)]
    return subprocess.run(arguments, env=_environment(), capture_output=True, check=False, timeout=30)
