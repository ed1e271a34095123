"""The classic command lines: options, abbreviations, usage errors, verbosity, and what happens to stdout."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from vmcatcher import __version__

COMMANDS = ("endorser", "subscribe", "image", "cache")
BIN = Path(sys.executable).parent


def _help(site: Site, command: str) -> str:
    return site.expect(0, command, "--help").out


def _options(command: str) -> list[str]:
    parser = importlib.import_module(f"vmcatcher.cli.classic.{command}")._parser()
    return [word for action in parser._actions for word in action.option_strings]


# The synonyms and spellings that cron files and handlers of sites use (CONTRACT A4).
_COMMON = "-h --help --version -v --verbose -q --quiet -L --logfile --log-config -d --database"
_CLASSIC = {
    "endorser": (
        "-l --list -C --create -e --endorser --endorser_uuid -D --delete -K --links -k --link -u --unlink -i --info"
        " -f --format -S --subject --dn -I --issuer -s --subscription --subscription_uuid"
    ),
    "subscribe": (
        "-l --list -U --update -s --subscribe -D --delete -i --info -u --uuid -r --uri -e --auto-endorse -f --format"
        " -o --output -c --cert-dir --image-list --image-accept --image-refuse --imagelist-newimage-accept"
        " --imagelist-newimage-subscribe --imagelist-newimage-refuse --uri-trustanchor-set --uri-username-set"
        " --uri-username-clear --uri-password-set --uri-password-clear -x --execute"
    ),
    "image": (
        "-l --list -a --add -r --remove -i --info -D --delete -u --uuid -s --sha512 -f --format -o --output"
        " -c --cert-dir"
    ),
    "cache": ("-C --cache-dir -p --partial-dir -e --expired-dir -D --download -s --sha512 -E --expire -x --execute"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_classic_option_is_still_known(command: str):
    known = _options(command)
    for option in (*_COMMON.split(), *_CLASSIC[command].split()):
        assert [word for word in known if word == option or word.startswith(option)], option


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_about_every_option_on_stdout(command: str, site: Site):
    result = site.expect(0, command, "-h")
    assert result.err == ""
    assert result.out.startswith(f"usage: vmcatcher_{command} ")
    for option in _options(command):
        if option != "--log-sql-info":
            assert re.search(rf"(^|[\s,\[]){re.escape(option)}($|[\s,\]])", result.out), option
    assert result.out == _help(site, command)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_works_without_a_terminal_or_a_locale(command: str, tmp_path: Path):
    done = subprocess.run(
        [BIN / f"vmcatcher_{command}", "--help"],
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_version_is_printed_and_nothing_else_done(command: str, site: Site):
    result = site.expect(0, command, "--version", "-l")
    assert (result.out, result.err) == (f"vmcatcher_{command} {__version__}\n", "")
    assert not site.store.exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--nosuch"], "no such option: --nosuch"),
        (["-Z"], "no such option: -Z"),
        (["--nosuch=CANARY"], "no such option: --nosuch"),
        (["--verb\n\x1b[2J"], r"no such option: --verb\n\x1b[2J"),
        (["--ver"], "ambiguous option: --ver could match --version, --verbose"),
        (["--ver=CANARY"], "ambiguous option: --ver could match --version, --verbose"),
        (["--wait", "soon"], "argument --wait: invalid float value: 'soon'"),
        (["-d"], "argument -d/--database: expected one argument"),
    ],
)
def test_wrong_usage_ends_with_2_and_the_classic_words(command: str, words: list[str], says: str, site: Site):
    result = site.run(command, *words)
    assert result.code == 2
    assert result.out == ""
    assert result.err == f"Usage: vmcatcher_{command} [options]\n\nvmcatcher_{command}: error: {says}\n"


def test_long_options_may_be_abbreviated(site: Site):
    site.publish("1", site.image(1))
    issuer = site.alice.issuer
    site.expect(0, "endorser", "--crea", "--endorser", "alice", "--subj", site.alice.subject, "--iss", issuer)
    site.expect(0, "subscribe", "--subs", site.server.url("/list"))
    site.expect(0, "subscribe", "--upd")
    assert site.expect(0, "endorser", "--links").out == f"'alice'\t'{LIST_ID}'\t'True'\n"
    for name in ("--endors", "--endorser", "--endorser_u", "--endorser_uuid=alice"):
        words = [name] if "=" in name else [name, "alice"]
        site.expect(0, "endorser", "--unl", *words, "--subscription", LIST_ID)
        site.expect(0, "endorser", "--link", *words, f"--subscription_uuid={LIST_ID}")
    site.expect(0, "image", "--ad", "--uu", image_id(1))
    assert site.expect(0, "image", "--lis", "--form", "json").json[0]["state"] == 3
    site.expect(0, "subscribe", "--imagelist-newimage-a", "--uri-trust", "igtf", "--uu", LIST_ID)


def test_stray_words_and_what_follows_two_dashes_are_ignored(site: Site):
    site.join(site.image(1))
    expected = site.expect(0, "image", "-l").out
    for words in (["foo", "-l", "bar", "-"], ["-l", "--", "--nosuch", "-a"], ["-l", "--"]):
        assert site.expect(0, "image", *words).out == expected


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        ("endorser", [], "No actions selected"),
        ("subscribe", [], "No actions selected"),
        ("image", [], "No actions selected"),
        ("image", ["-u", "x"], "No actions selected"),
        ("subscribe", ["-u", "x"], "No actions selected"),
        ("endorser", ["-l", "-K"], "More than one action selected."),
        ("subscribe", ["-l", "-U"], "More than one action selected."),
        ("subscribe", ["--image-accept", "x", "--image-refuse", "y"], "More than one action selected."),
        ("image", ["-a", "-r", "-u", "x"], "More than one action selected."),
        ("subscribe", ["-i", "-u", "x", "-r", "y"], "Conflicting selectors."),
        ("image", ["-i", "-u", "x", "-s", "y"], "Conflicting selectors."),
        ("endorser", ["-C", "-S", "x", "-I", "y"], "No endorsers selected."),
        ("endorser", ["-C", "-e", "x", "-I", "y"], "No subjects selected."),
        ("endorser", ["-C", "-e", "x", "-S", "y"], "No issuers selected."),
        ("endorser", ["-C", "-ex", "-ey", "-Sa", "-Ib"], "More than one endorser cannot be created at a time."),
        ("endorser", ["-D"], "No endorsers selected."),
        ("endorser", ["-i"], "No endorsers selected."),
        ("endorser", ["-k", "-e", "x"], "No subscriptions selected."),
        ("endorser", ["-u", "-s", "x"], "No endorsers selected."),
        ("subscribe", ["-i"], "No subscription selections made."),
        ("subscribe", ["-D"], "No subscription selections made."),
        ("subscribe", ["--image-list"], "No subscription selections made."),
        ("subscribe", ["--image-accept", "x"], "No subscription selections made."),
        ("subscribe", ["--uri-username-set", "x"], "No subscription selections made."),
        ("subscribe", ["-l", "--uri-username-set", "x"], "No subscription selections made."),
        ("subscribe", ["--uri-trustanchor-set", "foo", "-u", "x"], "Invalid trust anchor value"),
        ("image", ["-a"], "Action 'add' requires an image to be selected."),
        ("image", ["-r"], "Action 'remove' requires an image to be selected."),
        ("image", ["-i"], "Action 'info' requires an image to be selected."),
        ("image", ["-D"], "Action 'delete' requires an image to be selected."),
    ],
)  # fmt: skip
def test_request_that_makes_no_sense_ends_with_1_and_the_classic_words(
    command: str, words: list[str], says: str, site: Site
):
    result = site.run(command, *words)
    assert (result.code, result.out, result.err) == (1, "", f"ERROR:main:{says}\n")
    assert not site.store.exists()


@pytest.mark.parametrize("command", ["endorser", "subscribe", "image"])
@pytest.mark.parametrize("name", ["xml", "smime", "JSON", "lines "])
def test_unknown_format_is_refused_with_the_known_ones(command: str, name: str, site: Site):
    for words, environment in ((["-f", name], {}), ([], {"VMCATCHER_OUTPUT_FORMAT": name})):
        result = site.run(command, "-l", *words, **environment)
        assert result.code == 1
        assert result.err == f"ERROR:main:Invalid format '{name}' allowed formats are 'SMIME, message, lines, json'\n"


@pytest.mark.parametrize("command", ["endorser", "subscribe", "image"])
def test_format_option_counts_before_its_variable(command: str, site: Site):
    site.join(site.image(1))
    by_variable = site.expect(0, command, "-l", VMCATCHER_OUTPUT_FORMAT="json")
    assert isinstance(by_variable.json, list)
    lines = site.expect(0, command, "-l", "-f", "lines", VMCATCHER_OUTPUT_FORMAT="json").out
    assert lines == site.expect(0, command, "-l").out
    for other in ("SMIME", "message"):
        assert site.expect(0, command, "-l", "-f", other).out == lines


def test_decorators_may_stand_beside_an_action_and_beside_each_other(site: Site):
    site.join(site.image(1))
    words = (
        "--uri-username-set",
        "user",
        "--uri-trustanchor-set",
        "BROWSER",
        "--imagelist-newimage-accept",
        "--pin-uri",
    )
    result = site.expect(0, "subscribe", "-l", *words, "-u", LIST_ID)
    assert result.lines == [f"{LIST_ID}\tTrue\tBrowser\t{site.server.url('/list')}"]
    details = site.expect(0, "subscribe", "-i", "-u", LIST_ID).lines
    assert "subscription.hv:uri.username=user" in details
    assert "subscription.updateMode=1" in details


@pytest.mark.parametrize(
    ("words", "levels"),
    [
        ([], {"WARNING", "ERROR"}),
        (["-v"], {"INFO", "WARNING", "ERROR"}),
        (["-vv"], {"DEBUG", "INFO", "WARNING", "ERROR"}),
        (["-v", "--verbose", "-v"], {"DEBUG", "INFO", "WARNING", "ERROR"}),
        (["-q"], {"ERROR"}),
        (["-qq"], set()),
        (["-v", "-q"], {"WARNING", "ERROR"}),
    ],
)
def test_verbosity_chooses_what_is_said_on_stderr(words: list[str], levels: set[str], site: Site):
    site.publish("1", site.image(1), dc__title=None)
    site.join(update=False)
    other = site.publish("1", path="/other", dc__identifier="other-list", hv__uri=site.server.url("/other"))
    site.expect(0, "subscribe", "-s", site.server.url("/other"))
    site.server.publish("/other", other[:-100])
    result = site.run("subscribe", "-U", *words)
    assert result.code == 11
    assert result.out == ""
    assert {line.partition(":")[0] for line in result.err.splitlines()} == levels


def test_missing_log_configuration_is_named_wherever_it_was_given(site: Site):
    expected = "ERROR:main:Logfile configuration file '/nosuch.conf' was not found.\n"
    for words, environment in (
        (["--log-config", "/nosuch.conf"], {}),
        (["--logfile", "/nosuch.conf"], {}),
        (["-L", "/nosuch.conf"], {}),
        ([], {"VMCATCHER_LOG_CONF": "/nosuch.conf"}),
    ):
        for command in COMMANDS:
            result = site.run(command, *words, **environment)
            assert (result.code, result.err) == (1, expected)


def test_log_configuration_takes_the_place_of_stderr(site: Site):
    site.join(site.image(1))
    log, config = site.root / "log", site.root / "log.ini"
    config.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=file\n"
        f"[handler_file]\nclass=FileHandler\nargs=({str(log)!r},)\n"
    )
    site.server.withdraw("/list")
    # In a process of its own: handlers that a configuration makes stay open as long as their process lives.
    result = site.call("vmcatcher_subscribe", "-U", "-qq", "--log-config", str(config))
    assert (result.code, result.err) == (10, "")
    assert f"updating {LIST_ID}" in log.read_text()
    assert "not found (404)" in log.read_text()


# -- stdout


def _shell(site: Site, line: str, **more: str) -> tuple[int, str]:
    environment = {**os.environ, **site.environment, "PATH": f"{BIN}:{os.environ['PATH']}"}
    environment.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env={**environment, **more}, cwd=site.root, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture
def many(site: Site) -> Site:
    """A site with more lines of output than a pipe holds."""
    site.server.publish("/image", b"x")
    images = [site.image(number, content=b"x", path="/image") for number in range(1000)]
    site.join(*images)
    assert len(site.expect(0, "image", "-l").out) > 1 << 16
    return site


_UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


def test_reader_that_has_seen_enough_is_no_error(many: Site):
    for line in (
        "vmcatcher_image -l | head -1",
        "vmcatcher_image -l -f json | head -1",
        "vmcatcher_image -l | true",
        "vmcatcher_image --help | true",
        "vmcatcher_image --version | true",
        "vmcatcher_subscribe -l | true",
    ):
        assert _shell(many, line) == (0, ""), line
    for line in ("vmcatcher_image -l | head -1", "vmcatcher_image --help | true"):
        assert _shell(many, line, **_UNBUFFERED) == (0, ""), line


def test_full_disk_below_stdout_is_one_line(many: Site):
    for command in ("vmcatcher_image -l", "vmcatcher_subscribe -l", "vmcatcher_image -h", "vmcatcher_image --version"):
        for more in ({}, _UNBUFFERED):
            code, err = _shell(many, f"{command} > /dev/full", **more)
            assert code == 1, (command, more)
            assert "cannot write output file stdout: No space left on device" in err
            assert err.count("\n") == 1


def test_closed_stdout_is_no_error(many: Site):
    for command in ("vmcatcher_image -l", "vmcatcher_subscribe -U", "vmcatcher_image -l -f json"):
        assert _shell(many, f"{command} >&-") == (0, ""), command


@pytest.mark.parametrize(
    ("number", "code", "says"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signal_ends_an_update_in_one_line(site: Site, number: int, code: int, says: str):
    site.join(site.image(1))
    site.server.forget()
    site.server.fault("/list", "hang")
    before = site.tree()
    running = subprocess.Popen(
        [BIN / "vmcatcher_subscribe", "-U"], env={**os.environ, **site.environment}, stderr=subprocess.PIPE, text=True
    )
    while not site.server.gets("/list"):
        time.sleep(0.01)
    running.send_signal(number)
    _, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert err == f"ERROR:main:{says}\n"
    assert site.tree() == before
    site.server.heal("/list")
    site.expect(0, "subscribe", "-U")


def test_traceback_is_shown_with_debug_only(site: Site):
    for words, shown in (([], False), (["--debug"], True)):
        result = site.run("endorser", "-C", "-e", "", "--dn", "/CN=a", "-I", "/CN=b", *words)
        assert result.code == 1
        assert ("Traceback" in result.err) is shown
