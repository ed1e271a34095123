"""The production set-up of the classic manual, run to the letter: its user, its directories, its cron file."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.classic_database import ClassicSite
from support.cron import CronFileIgnored, Done, read_cron_file, run
from support.mounts import own_machine
from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants, tree

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("sudo") is None, reason="needs sudo"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
]

CHECKOUT = Path(__file__).resolve().parents[2]
DATABASE = "sqlite:////var/lib/vmcatcher/vmcatcher.db"
LOG = Path("/var/log/vmcatcher.log")
STORE = Path("/var/lib/vmcatcher/vmcatcher")
IMAGES = Path("/var/cache/vmimages")
TOLD = Path("/var/tmp/foo")
TITLE = "Bild für Überflüssiges [Scientific Linux/6.0/KVM]"

# The manual puts `export` before each setting, and writes to /tmp/foo.
HANDLER = "python /usr/share/doc/vmcatcher-0.1.17/vmcatcher_eventHndlExpl  --output_file=/var/tmp/foo --datetime"
CRON_FILE = f"""\
VMCATCHER_RDBMS="sqlite:////var/lib/vmcatcher/vmcatcher.db"
VMCATCHER_CACHE_DIR_CACHE="/var/cache/vmimages/endorsed/"
VMCATCHER_CACHE_DIR_DOWNLOAD="/var/cache/vmimages/partial/"
VMCATCHER_CACHE_DIR_EXPIRE="/var/cache/vmimages/expired/"
VMCATCHER_CACHE_EVENT="{HANDLER}"

50 */6 * * *    vmcatcher   (/usr/bin/vmcatcher_subscribe -U; /usr/bin/vmcatcher_cache  ) >> /var/log/vmcatcher.log 2>&1
"""


def shell(command: str, code: int = 0) -> str:
    """Run a line as root does at a prompt: nothing in its environment is ours."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        cwd="/root",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == code, f"{command}: {done.returncode}: {done.stdout}"
    return done.stdout


def install_commands(site: Site, directory: str) -> None:
    """Put the program where a package puts it, and the authorities of the test where a site has its own."""
    here = Path(sys.executable).parent
    for name in ("", "_cache", "_endorser", "_eventHndlExpl", "_image", "_subscribe"):
        Path(directory, f"vmcatcher{name}").symlink_to(here / f"vmcatcher{name}")
    anchors = Path("/etc/grid-security/certificates")
    if anchors.is_dir():
        shutil.rmtree(anchors)
    shutil.copytree(site.pki.certificates, anchors)


def install_handler() -> None:
    """Put the handler where the manual has it; `python` is one that has never heard of vmcatcher."""
    documents = Path("/usr/share/doc/vmcatcher-0.1.17")
    documents.mkdir()
    shutil.copy(CHECKOUT / "contrib/cron/vmcatcher_eventHndlExpl", documents)
    python = Path("/usr/bin/python")
    python.unlink(missing_ok=True)
    python.write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} -I "$@"\n')
    python.chmod(0o755)


def install_cron_file(text: str) -> None:
    directory = Path("/etc/cron.d")
    directory.mkdir(exist_ok=True)
    (directory / "vmcatcher").write_text(text)


def cron() -> list[Done]:
    """Let the minute of every line come, one after the other."""
    return [run(job) for job in read_cron_file(Path("/etc/cron.d/vmcatcher"))]


@pytest.fixture
def machine(site: Site) -> Iterator[Site]:
    """A machine on which root did what the manual says under "Set up for Production using Cron"."""
    with own_machine():
        install_commands(site, "/usr/bin")
        install_handler()
        shell("useradd vmcatcher")
        shell("mkdir -p /var/lib/vmcatcher /var/cache/vmimages/endorsed /var/cache/vmimages/partial"
              " /var/cache/vmimages/expired")  # fmt: skip
        shell("touch /var/log/vmcatcher.log")
        shell("chown vmcatcher:vmcatcher /var/lib/vmcatcher  /var/cache/vmimages/endorsed /var/cache/vmimages/partial"
              " /var/cache/vmimages/expired /var/log/vmcatcher.log")  # fmt: skip
        install_cron_file(CRON_FILE)
        site.store = STORE
        yield site


def subscribe(site: Site) -> None:
    site.publish("1", site.image(1, dc__title=TITLE), site.image(2))
    shell(f"sudo -u vmcatcher /usr/bin/vmcatcher_endorser --create --endorser_uuid='Alice Endorser'"
          f" --subject='{site.alice.subject}' --issuer='{site.alice.issuer}' -d {DATABASE}")  # fmt: skip
    shell(f"sudo -u vmcatcher /usr/bin/vmcatcher_subscribe -s {site.server.url('/list')} -d {DATABASE}")
    shell(f"sudo -u vmcatcher /usr/bin/vmcatcher_image -a -u {image_id(1)} -d {DATABASE}")


def told() -> list[str]:
    """Return what the handler wrote, as `TYPE FILENAME`, and forget it."""
    if not TOLD.exists():
        return []
    events = [json.loads(line) for line in TOLD.read_text().splitlines()]
    TOLD.unlink()
    for event in events:
        assert event["VMCATCHER_RDBMS"] == DATABASE
        assert event["VMCATCHER_CACHE_DIR_CACHE"] == "/var/cache/vmimages/endorsed/"
        assert event["VMCATCHER_CACHE_DIR_DOWNLOAD"] == "/var/cache/vmimages/partial/"
        assert event["VMCATCHER_CACHE_DIR_EXPIRE"] == "/var/cache/vmimages/expired/"
        assert event["VMCATCHER_EVENT_DC_TITLE"] in {"", TITLE, "Title of image 1"}
        assert event["DATETIME"]
    return [f"{event['VMCATCHER_EVENT_TYPE']} {event['VMCATCHER_EVENT_FILENAME']}".strip() for event in events]


def owners(*roots: Path) -> set[str]:
    paths = [path for root in roots for path in (root, *root.rglob("*"))]
    return {pwd.getpwuid(path.lstat().st_uid).pw_name for path in paths}


def shown(view: str) -> list[str]:
    return sorted(path.name for path in (IMAGES / view).iterdir() if path.name != "cache.index")


@pytest.mark.slow
def test_classic_cron_file_keeps_the_images_of_its_user_up_to_date(machine: Site):
    subscribe(machine)
    assert sorted(os.listdir("/var/lib/vmcatcher")) == ["vmcatcher"]

    assert cron() == [Done(0, "")]
    assert LOG.read_text() == ""
    assert (IMAGES / "endorsed" / image_id(1)).read_bytes() == b"image 1 version 1\n" * 100
    assert told() == [
        "ProcessPrefix",
        f"AvailablePrefix {image_id(1)}",
        f"AvailablePostfix {image_id(1)}",
        "ProcessPostfix",
    ]
    assert owners(STORE, *(IMAGES / view for view in ("endorsed", "partial", "expired"))) == {"vmcatcher"}
    assert not Path("/var/lib/vmcatcher/vmcatcher.db").exists()

    before = tree(Path("/var/lib/vmcatcher"), ignore=("vmcatcher/locks/", "vmcatcher/events/log/")), tree(IMAGES)
    asked = machine.server.gets("/images/1-v1.raw")
    assert cron() == [Done(0, "")]
    assert LOG.read_text() == ""
    assert told() == ["ProcessPrefix", "ProcessPostfix"]
    after = tree(Path("/var/lib/vmcatcher"), ignore=("vmcatcher/locks/", "vmcatcher/events/log/")), tree(IMAGES)
    assert _less_last_attempt(after[0]) == _less_last_attempt(before[0])
    assert after[1] == before[1]
    assert machine.server.gets("/images/1-v1.raw") == asked == 1
    # "Now at any time users with file permissions can get a list of valid images."
    listed = shell(f'cd /; setpriv --reuid=65534 --clear-groups env VMCATCHER_RDBMS="{DATABASE}" vmcatcher_image -l')
    assert listed == f"{image_id(1)}\t3\t{LIST_ID}\n{image_id(2)}\t2\t{LIST_ID}\n"


def _less_last_attempt(found: dict[str, str]) -> dict[str, str]:
    return {path: what for path, what in found.items() if not path.endswith("/fetch.json")}


@pytest.mark.slow
def test_classic_cron_file_expires_what_a_newer_list_leaves_out(machine: Site):
    subscribe(machine)
    cron()
    told()
    machine.publish("2", machine.image(2))
    assert cron() == [Done(0, "")]
    (left,) = shown("expired")
    assert left.startswith(f"{image_id(1)}.")
    assert (IMAGES / "expired" / left).read_bytes() == b"image 1 version 1\n" * 100
    assert (shown("endorsed"), shown("partial")) == ([], [])
    assert told() == ["ProcessPrefix", f"ExpirePrefix {image_id(1)}", f"ExpirePostfix {left}", "ProcessPostfix"]
    assert check_invariants(STORE) == []


@pytest.mark.slow
def test_classic_cron_file_logs_what_could_not_be_done_and_goes_on(machine: Site):
    subscribe(machine)
    cron()
    told()
    machine.server.fault("/list", "status", code=503)
    (done,) = cron()
    # The code is that of the last command: the images that are there are well.
    assert done == Done(0, "")
    assert "503" in LOG.read_text()
    assert len(LOG.read_text().splitlines()) == 1
    assert told() == ["ProcessPrefix", "ProcessPostfix"]
    assert shown("endorsed") == [image_id(1)]


def test_table_is_read_as_cron_reads_it(tmp_path: Path):
    """crontab(5); the same lines were given to Debian's own."""
    table = tmp_path / "table"
    table.write_text(
        """# a comment
 FIRST = 'kept  '
SECOND=$HOME "is no shell" # nor is this a comment
5 0 * * * nobody echo "$FIRST" a\\%b%in%put
THIRD=later
@daily nobody echo
"""
    )
    first, second = read_cron_file(table)
    assert (first.when, first.user, first.command) == ("5 0 * * *", "nobody", 'echo "$FIRST" a%b')
    assert first.stdin == "in\nput\n"
    assert first.settings == {"FIRST": "kept  ", "SECOND": '$HOME "is no shell" # nor is this a comment'}
    assert (second.when, second.settings["THIRD"]) == ("@daily", "later")
    for line in ("export A=b", "A='b' c", "* * * * nobody", "61minutes * * * * nobody x"):
        table.write_text(f"{line}\n")
        with pytest.raises(CronFileIgnored):
            read_cron_file(table)
    table.chmod(0o664)
    with pytest.raises(CronFileIgnored, match="mode"):
        read_cron_file(table)


def test_export_of_the_manual_makes_cron_ignore_the_file(machine: Site):
    """As every cron does; sites whose cron file works have left it out."""
    install_cron_file(CRON_FILE.replace("VMCATCHER_RDBMS=", "export VMCATCHER_RDBMS=", 1))
    with pytest.raises(CronFileIgnored, match="export VMCATCHER_RDBMS"):
        cron()


@pytest.mark.slow
def test_root_by_accident_changes_nothing_under_the_cron_user(machine: Site):
    subscribe(machine)
    cron()
    before = tree(STORE), tree(IMAGES)
    refused = shell(f"VMCATCHER_CACHE_DIR_CACHE=/var/cache/vmimages/endorsed/ vmcatcher_cache -d {DATABASE}", code=1)
    assert "sudo -u vmcatcher" in refused
    assert refused.count("\n") == 1
    assert (tree(STORE), tree(IMAGES)) == before


@pytest.mark.slow
def test_directory_that_the_user_cannot_enter_is_no_obstacle(machine: Site):
    """Root does everything from its own home directory, and `sudo -u` stays there."""
    subscribe(machine)
    Path("/var/closed").mkdir(mode=0o700)
    for words in (
        "vmcatcher_endorser -l",
        "vmcatcher_subscribe -l",
        f"vmcatcher_subscribe -s {machine.server.url('/list')}",
        "vmcatcher_subscribe -U",
        "vmcatcher_image -l",
        "vmcatcher_cache",
        "vmcatcher store check",
    ):
        option = "--store /var/lib/vmcatcher/vmcatcher" if "check" in words else f"-d {DATABASE}"
        said = shell(f"cd /var/closed; sudo -u vmcatcher {words} {option}")
        assert "ermission" not in said, words
    assert (STORE / "endorsed" / image_id(1)).exists()


def _old_database(site: Site) -> None:
    """Leave what the classic program left on this machine: its database, one cached and one expired image."""
    root = Path("/var/lib/vmcatcher")
    old = ClassicSite(root)
    old.endorser("Alice Endorser", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, site.server.url("/list"), endorsers=["Alice Endorser"])
    for number, is_cached in ((1, True), (2, False)):
        old.image(LIST_ID, image_id(number), cached=is_cached)
    created = (site.now - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    first = site.publish("1", site.image(1), site.image(2), dc__date__created=created)
    old.take(LIST_ID, first, imported=site.now - timedelta(hours=4))
    second = site.publish("2", site.image(1, "2"), site.image(2))
    old.take(LIST_ID, second, imported=site.now - timedelta(hours=2))
    old.cache(image_id(1), b"image 1 version 2\n" * 100, second)
    old.expire(image_id(1), b"image 1 version 1\n" * 100, "2024-03-01_10-00-00", first)
    old.close()
    for view in ("endorsed", "partial", "expired"):
        for path in (root / view).iterdir():
            shutil.move(path, IMAGES / view / path.name)
        (root / view).rmdir()
    shell("chown -R vmcatcher:vmcatcher /var/lib/vmcatcher /var/cache/vmimages/*")


@pytest.mark.slow
def test_database_of_the_classic_program_stops_the_cron_file_until_it_is_imported(machine: Site):
    _old_database(machine)
    before = tree(Path("/var/lib/vmcatcher")), tree(IMAGES)
    assert cron() == [Done(1, "")]
    said = LOG.read_text().splitlines()
    assert len(said) == 2
    remedy = re.compile(r"`vmcatcher store import-db (\S+ )*/var/lib/vmcatcher/vmcatcher\.db`")
    assert all(remedy.search(line) for line in said), said
    assert told() == []
    assert (tree(Path("/var/lib/vmcatcher")), tree(IMAGES)) == before

    LOG.write_text("")
    machine.server.forget()
    directories = "--cache-dir /var/cache/vmimages/endorsed/ --expired-dir /var/cache/vmimages/expired/"
    (command,) = {found[0].strip("`") for line in said if (found := remedy.search(line))}
    shell(f"sudo -u vmcatcher {command} {directories}")
    listed = shell(f"vmcatcher_image -l -d {DATABASE}")
    assert listed == f"{image_id(1)}\t3\t{LIST_ID}\n{image_id(2)}\t2\t{LIST_ID}\n"
    assert cron() == [Done(0, "")]
    assert LOG.read_text() == ""
    assert told() == ["ProcessPrefix", "ProcessPostfix"]
    assert shown("endorsed") == [image_id(1)]
    assert shown("expired") == [f"{image_id(1)}.2024-03-01_10-00-00"]
    assert [request.path for request in machine.server.requests] == ["/list"]


@pytest.mark.slow
def test_our_own_cron_file_does_the_same(machine: Site):
    install_commands(machine, "/usr/local/bin")
    shutil.copy(CHECKOUT / "contrib/cron/vmcatcher", "/etc/cron.d/vmcatcher")
    store = machine.store = Path("/var/lib/vmcatcher")
    shell("usermod --home /var/lib/vmcatcher vmcatcher")
    shell("sudo -u vmcatcher vmcatcher store init /var/lib/vmcatcher")
    machine.publish("1", machine.image(1))
    words = f"sudo -u vmcatcher env VMCATCHER_STORE={store}"
    shell(f"{words} vmcatcher_subscribe -e -s {machine.server.url('/list')}")
    shell(f"{words} vmcatcher_image -a -u {image_id(1)}")
    daily, monthly = read_cron_file(Path("/etc/cron.d/vmcatcher"))
    assert run(daily) == Done(0, "")
    assert (store / "endorsed" / image_id(1)).read_bytes() == b"image 1 version 1\n" * 100
    assert run(monthly) == Done(0, "")

    blob = (store / "endorsed" / image_id(1)).resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"IMAGE" + blob.read_bytes()[5:])
    done = run(monthly)
    assert done.code == 1
    assert "do not match SHA-512" in done.mail
    assert (store / "endorsed" / image_id(1)).read_bytes() == b"image 1 version 1\n" * 100
    assert owners(store) == {"vmcatcher"}
    assert check_invariants(store) == []
