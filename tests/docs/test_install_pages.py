"""The installation pages, run from top to bottom on a machine that forgets it: overlays over /etc, /usr and so on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, Step, is_as_told, is_there, replaced, steps
from support.cron import Done, read_cron_file, run
from support.mounts import own_machine
from support.site import Site

PAGES = ["install-on-debian", "install-on-rhel"]
COMMANDS = ("vmcatcher", "vmcatcher_cache", "vmcatcher_endorser", "vmcatcher_eventHndlExpl", "vmcatcher_image",
            "vmcatcher_subscribe")  # fmt: skip
# What would reach out of the machine, or manage services that are not running in a test. Each notes how it was called.
PRETENDED = ("apt-get", "curl", "dnf", "fetch-crl", "restorecon", "rpm", "semanage", "systemctl")
_MARK = "@@ next @@"


def _page(name: str) -> str:
    return (DOCS / "how-to" / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture
def machine(site: Site) -> Iterator[Site]:
    with own_machine():
        anchors = Path("/etc/grid-security/certificates")
        if anchors.is_dir():
            shutil.rmtree(anchors)
        shutil.copytree(site.pki.certificates, anchors)
        _pretend(Path("/usr/local/sbin"), site.root / "called")
        yield site


def _pretend(directory: Path, called: Path) -> None:
    called.touch()
    for name in PRETENDED:
        program = directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{called}"\n')
        program.chmod(0o755)
    # In the place of `python3 -m venv`: the commands of this checkout, and a pip that installs nothing.
    environment = directory / "make-environment"
    here = Path(sys.executable).parent
    links = "\n".join(f'ln -s "{here / name}" "$1/bin/{name}"' for name in COMMANDS)
    environment.write_text(
        f'#!/bin/sh -e\nmkdir -p "$1/bin"\n{links}\n'
        f'printf \'#!/bin/sh\\necho "pip $*" >>"{called}"\\n\' >"$1/bin/pip"\nchmod 755 "$1/bin/pip"\n'
    )
    environment.chmod(0o755)


def _read(site: Site, name: str) -> list[Step]:
    """Return the steps of a page, with what is there in a test in the place of its examples."""
    site.publish("1", site.image(1, dc__identifier="worker"), dc__identifier="site-list")
    page = replaced(
        _page(name),
        ("https://images.example.org/site.image_list", site.server.url("/list")),
        ("/DC=org/DC=example/CN=Alice", site.alice.subject),
        ("/DC=org/DC=example/CN=Example CA", site.alice.issuer),
    )
    page, count = re.subn(r"python3(\.\d+)? -m venv", "make-environment", page)
    assert count == 1
    return steps(page)


def _done(wanted: list[Step]) -> list[tuple[Step, str]]:
    """Run the steps as root in one shell that ends with the first command that fails."""
    script = "set -e\n" + "".join(f"{{ {step.command}\n}} 2>&1\nprintf '%s\\n' '{_MARK}'\n" for step in wanted)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    printed = done.stdout.split(f"{_MARK}\n")
    assert len(printed) == len(wanted) + 1, f"the page ended early: {printed[-1]}"
    return list(zip(wanted, printed, strict=False))


def _lies(done: list[tuple[Step, str]]) -> list[tuple[str, str]]:
    return [(step.command, printed) for step, printed in done if not is_as_told(step, printed)]


def _number_of(wanted: list[Step], beginning: str) -> int:
    return next(number for number, step in enumerate(wanted) if step.command.startswith(beginning))


def _installed() -> set[str]:
    roots = ("/etc", "/opt", "/usr/bin", "/usr/local", "/usr/share/doc", "/var/lib", "/var/log")
    return {str(path) for root in roots for path in Path(root).glob("*")} | {str(p) for p in Path("/etc").glob("*/*")}


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.skipif(not is_there("runuser"), reason="needs runuser")
@pytest.mark.parametrize("name", PAGES)
def test_program_is_installed_run_upgraded_and_taken_away_as_told(machine: Site, name: str) -> None:
    before = _installed()
    wanted = _read(machine, name)
    upgrade = _number_of(wanted, "mv /etc/cron.d/vmcatcher")
    for directory in ("/etc/cron.d", "/etc/logrotate.d"):  # which the packages bring
        Path(directory).mkdir(exist_ok=True)

    assert _lies(_done(wanted[:upgrade])) == []
    daily, monthly = read_cron_file(Path("/etc/cron.d/vmcatcher"))
    assert 0 <= int(daily.when.split()[0]) <= 59
    assert (run(daily), run(monthly)) == (Done(0, ""), Done(0, ""))
    assert (Path("/var/lib/vmcatcher/endorsed/worker").stat().st_mode & 0o777) == 0o444
    told = Path("/var/log/vmcatcher/events.json")
    assert (told.owner(), told.parent.stat().st_mode & 0o777) == ("vmcatcher", 0o750)
    # The handler of old cron files, through whatever `python` is.
    handler = f"{sys.executable} -I /usr/share/doc/vmcatcher/vmcatcher_eventHndlExpl --output_file /root/told"
    subprocess.run(handler.split(), check=True, env={"PATH": "/usr/local/bin:/usr/bin:/bin"})
    assert '"VMCATCHER_EVENT_TYPE"' in Path("/root/told").read_text()

    assert _lies(_done(wanted[upgrade:])) == []
    after = _installed()
    assert (after - before, before - after) == (_left_by_packages(after - before), set())
    called = (machine.root / "called").read_text().splitlines()
    assert [line for line in called if line.startswith("pip ")] == ["pip install .", "pip install --upgrade ."]
    assert "systemctl enable --now fetch-crl.timer" in called


def _left_by_packages(found: set[str]) -> set[str]:
    """Return what is not the page's doing: directories of packages, and the copies that useradd and userdel keep."""
    ours = {"/etc/cron.d", "/etc/logrotate.d"}
    return {path for path in found if path in ours or re.fullmatch(r"/etc/(passwd|group|g?shadow|sub[ug]id)-?", path)}


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_shell(name: str) -> None:
    blocks = [step.command for step in steps(_page(name))]
    assert len(blocks) > 10
    for block in blocks:
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), block


@pytest.mark.slow
@pytest.mark.skipif(not is_there("apt-cache"), reason="needs apt-cache")
def test_packages_of_the_debian_page_are_in_debian() -> None:
    page = _page("install-on-debian")
    named = {word for line in re.findall(r"^apt-get install (.*)$", page, re.MULTILINE) for word in line.split()}
    named |= set(re.findall(r"`(igtf-policy-[a-z]+)`", page))
    assert {"python3-venv", "fetch-crl", "igtf-policy-classic"} <= named
    if not subprocess.run(["apt-cache", "show", "bash"], capture_output=True, check=False).stdout:
        pytest.skip("apt-cache knows no packages")
    known = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True).stdout.split()
    if "cron" not in known:
        pytest.skip("apt-cache knows the installed packages only")
    assert named - set(known) == set()


def test_both_pages_install_the_same_program() -> None:
    """Where the two differ it is for a reason that can be listed here."""
    different = re.compile(r"^(apt-get|dnf|curl|semanage|restorecon|systemctl|useradd|python3[.\d]* -m venv)\b")
    debian, rhel = (
        [line for step in steps(_page(name)) for line in step.command.splitlines() if not different.match(line)]
        for name in PAGES
    )
    assert debian == rhel


@pytest.mark.parametrize("name", PAGES)
def test_page_is_in_the_table_of_contents_and_on_the_first_page(name: str) -> None:
    assert f"how-to/{name}.md" in (ROOT / ".mkdocs.yml").read_text(encoding="utf-8")
    assert f"how-to/{name}.md" in (DOCS / "index.md").read_text(encoding="utf-8")
    assert f"docs/how-to/{name}.md" in (ROOT / "README.md").read_text(encoding="utf-8")
