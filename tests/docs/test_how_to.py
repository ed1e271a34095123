"""The recipes under docs/how-to and the files of contrib that they name do what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, Step, is_there, lies, publisher, replaced, run, steps
from vmcatcher.cli.classic import cache, subscribe

_needs_openssl = pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")
_needs_rsync = pytest.mark.skipif(not is_there("rsync"), reason="needs rsync")

# A site that has subscribed to the tutorial's list and keeps its image.
_SITE = Step(
    """export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)"
vmcatcher_subscribe -U
vmcatcher_image -a -u worker
vmcatcher_cache
""",
    "",
)


def _page(name: str) -> str:
    return (DOCS / "how-to" / name).read_text(encoding="utf-8")


@pytest.mark.slow
@_needs_openssl
def test_endorser_is_added_linked_and_taken_away_as_told(tmp_path: Path, port: int) -> None:
    page = replaced(
        _page("add-an-endorser.md"),
        ("https://images.example.org/site.image_list", f"http://127.0.0.1:{port}/tutorial.image_list"),
        ("Example CA", "Tutorial CA"),
        ("site-list", "tutorial-list"),
        ("alice.pem", "endorser/cert.pem"),
    )
    begin = Step("export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates", "")
    # The page subscribes without an endorser first; then there is a store, and none of it is to be seen later.
    wanted = [*publisher(port), begin, *steps(page)]
    done = run(wanted, tmp_path / "work")
    assert lies(done) == []
    assert len(done) == len(wanted)


@pytest.mark.slow
@_needs_openssl
def test_list_is_subscribed_to_and_images_are_chosen_as_told(tmp_path: Path, port: int) -> None:
    page = replaced(
        _page("subscribe-and-choose-images.md"),
        ("https://images.example.org/site.image_list", f"http://127.0.0.1:{port}/tutorial.image_list"),
        ("site-list", "tutorial-list"),
    )
    begin = Step(
        "export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates\n"
        'vmcatcher endorser add alice --subject "/DC=org/DC=example/CN=Alice"'
        ' --issuer "/DC=org/DC=example/CN=Tutorial CA"',
        None,
    )
    done = run([*publisher(port), begin, *steps(page)], tmp_path / "work")
    assert lies(done) == []


@pytest.mark.slow
@_needs_openssl
def test_damaged_image_is_found_and_mended_as_told(tmp_path: Path, port: int) -> None:
    work = tmp_path / "work"
    page = replaced(_page("verify-and-repair.md"), ("/srv/vmcatcher", f"{work}/store"))
    sound, *rest = steps(page)
    damage = Step("chmod u+w store/blobs/sha512/*/*; printf x | dd of=$(echo store/blobs/sha512/*/*) conv=notrunc"
                  " status=none; chmod a-w store/blobs/sha512/*/*", "")  # fmt: skip
    done = run([*publisher(port), _SITE, sound, damage, *rest], work)
    assert lies(done) == []
    assert done[-1][1] == "0\n"


@pytest.mark.slow
@_needs_openssl
@_needs_rsync
def test_store_is_backed_up_and_restored_as_told(tmp_path: Path, port: int) -> None:
    work = tmp_path / "work"
    page = replaced(
        _page("backup-and-restore.md"), ("/srv/vmcatcher", f"{work}/store"), ("/backup/vmcatcher", f"{work}/backup")
    )
    wanted = steps(page)
    restore = next(
        number
        for number, step in enumerate(wanted)
        if step.command.startswith("rsync") and step.command.endswith("store/")
    )
    accident = Step("rm -rf store/endorsers store/subscriptions store/cache store/endorsed", "")
    is_back = Step("cmp store/endorsed/worker published/worker.raw && vmcatcher_image -l", "worker\t3\ttutorial-list\n")
    done = run([*publisher(port), _SITE, *wanted[:restore], accident, *wanted[restore:], is_back], work)
    assert lies(done) == []
    assert done[-1][0] is is_back


def _handler(directory: Path) -> Path:
    """Write the handler of the page, with its spool in `directory`."""
    text = replaced(
        steps(_page("write-an-event-handler.md"))[0].command, ("/var/spool/vmcatcher", f"{directory}/spool")
    )
    (directory / "spool").mkdir(parents=True)
    handler = directory / "handler"
    handler.write_text(text, encoding="utf-8")
    handler.chmod(0o755)
    return handler


def test_handler_can_be_tried_as_told(tmp_path: Path) -> None:
    work = tmp_path / "work"
    _handler(work)
    page = replaced(_page("write-an-event-handler.md"), ("/var/spool/vmcatcher", f"{work}/spool"))
    trial = [step for step in steps(page) if step.expected is not None]
    assert lies(run(trial, work)) == []


@pytest.mark.slow
@_needs_openssl
def test_handler_of_the_page_spools_what_a_cache_run_tells(tmp_path: Path, port: int) -> None:
    work = tmp_path / "work"
    handler = _handler(work)
    leave = Step(f"vmcatcher_image -r -u worker; vmcatcher_cache -x {handler}", "")
    come = Step(f"vmcatcher_image -a -u worker; vmcatcher_cache -x {handler}", "")
    done = run([*publisher(port), _SITE, leave, come], work)
    assert lies(done) == []
    entries = sorted((work / "spool").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    events = [json.loads(entry.read_text(encoding="utf-8")) for entry in entries]
    told = [(event["VMCATCHER_EVENT_TYPE"], event["VMCATCHER_EVENT_FILENAME"].partition(".")[0]) for event in events]
    assert told == [("ExpirePostfix", "worker"), ("AvailablePostfix", "worker")]


@pytest.mark.slow
@_needs_openssl
def test_refused_event_is_seen_and_told_again_as_told(tmp_path: Path, port: int) -> None:
    leave = Step("vmcatcher_image -r -u worker; vmcatcher_cache", "")
    come = Step("vmcatcher_image -a -u worker; vmcatcher_cache -x 'exit 3' 2>/dev/null", "")
    wanted = steps(_page("when-a-handler-fails.md"))
    done = run([*publisher(port), _SITE, leave, come, *wanted], tmp_path / "work")
    assert lies(done) == []
    assert len(wanted) == 3


def _cron_lines() -> list[str]:
    lines = (ROOT / "contrib/cron/vmcatcher").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_cron_file_runs_known_commands_with_known_options_as_its_own_user() -> None:
    table = [line for line in _cron_lines() if not re.match(r"[A-Z_]+=", line)]
    commands = []
    for line in table:
        *when, user, command = line.split(None, 6)
        assert len(when) == 5
        assert user == "vmcatcher"
        commands += [shlex.split(one) for one in command.split(";")]
    parsers = {"vmcatcher_subscribe": subscribe._parser(), "vmcatcher_cache": cache._parser()}
    assert [command[0] for command in commands] == ["vmcatcher_subscribe", "vmcatcher_cache", "vmcatcher_cache"]
    for name, *options in commands:
        parsers[name].parse_args(options)


def test_cron_file_sets_the_store_and_no_unknown_variable() -> None:
    names = {line.partition("=")[0] for line in _cron_lines() if re.match(r"[A-Z_]+=", line)}
    assert names == {"SHELL", "PATH", "MAILTO", "VMCATCHER_STORE", "VMCATCHER_DIR_CERT"}


@pytest.mark.parametrize("name", ["stderr", "rotating-file", "syslog"])
def test_logging_example_is_taken_by_the_commands(name: str, tmp_path: Path) -> None:
    text = (ROOT / "contrib/logging" / f"{name}.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["version"] == 1
    (tmp_path / "log").mkdir()
    config = tmp_path / "log.toml"
    config.write_text(text.replace("/var/log/vmcatcher", f"{tmp_path}/log"), encoding="utf-8")
    asked = Step(f"vmcatcher_image -l --store {tmp_path}/none --log-config {config}; echo $?", None)
    ended = Step(f"vmcatcher_cache --store {tmp_path}/none --log-config {config}; echo $?", None)
    (_, shown), (_, failed) = run([asked, ended], tmp_path / "work")
    assert shown.splitlines()[-1] == "0"
    assert failed.splitlines()[-1] == "75"
    # Errors reach whoever reads what cron mails, in each of the three.
    assert "there is no store at" in failed
    if name == "rotating-file":
        assert "WARNING main: there is no store" in (tmp_path / "log/vmcatcher.log").read_text(encoding="utf-8")


def test_syslog_example_sends_messages_with_facility_and_tag(tmp_path: Path) -> None:
    text = (ROOT / "contrib/logging/syslog.toml").read_text(encoding="utf-8")
    # Not below tmp_path: the address of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(f"{short}/log")
        log.settimeout(10)
        config = tmp_path / "log.toml"
        config.write_text(replaced(text, ("/dev/log", f"{short}/log")), encoding="utf-8")
        run([Step(f"vmcatcher_image -l --store {tmp_path}/none --log-config {config}", "")], tmp_path / "work")
        message = log.recv(4096)
    # 28: facility daemon (3), severity warning (4); RFC 3164 section 4.1.1.
    assert re.match(rb"<28>vmcatcher\[\d+\]: WARNING main: there is no store at ", message)


def test_every_file_of_contrib_that_a_how_to_names_is_there() -> None:
    for page in sorted((DOCS / "how-to").glob("*.md")):
        for path in re.findall(r"`(contrib/[\w./-]+)`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_python_of_the_handler_page_finds_the_file(tmp_path: Path) -> None:
    code = re.findall(r"^```python\n(.*?)^```$", _page("write-an-event-handler.md"), re.MULTILINE | re.DOTALL)[0]
    entry = tmp_path / "entry.json"
    entry.write_text(
        '{"VMCATCHER_EVENT_TYPE": "ExpirePostfix", "VMCATCHER_CACHE_DIR_EXPIRE": "/srv/expired/",'
        ' "VMCATCHER_EVENT_FILENAME": "a.2026-01-05_10-00-00"}',
        encoding="utf-8",
    )
    program = f"import json\nfrom pathlib import Path\nentry = Path({str(entry)!r})\n{code}\nprint(image)"
    done = subprocess.run(["python3", "-c", program], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout == "/srv/expired/a.2026-01-05_10-00-00\n"


@pytest.mark.slow
@_needs_openssl
@pytest.mark.skipif(not is_there("jq"), reason="needs jq")
def test_queries_answer_as_told(tmp_path: Path, port: int) -> None:
    page = replaced(_page("query-with-jq.md"), ("http://127.0.0.1:8000/", f"http://127.0.0.1:{port}/"))
    done = run([*publisher(port), _SITE, *steps(page)], tmp_path / "work")
    assert lies(done) == []
