"""The noun-verb command where stdin, stdout, the working directory or the store are not what they should be."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants

VMCATCHER = str(Path(sys.executable).parent / "vmcatcher")


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1), site.image(2))
    return site


def in_shell(site: Site, line: str) -> Result:
    """Run a line of a shell, in which `vmcatcher` is the installed command."""
    done = subprocess.run(
        ["sh", "-c", re.sub(r"(?<!\S)vmcatcher(?= )", shlex.quote(VMCATCHER), line, count=1)],
        env={**os.environ, **site.environment},
        cwd=site.root,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert check_invariants(site.store) == []
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode(), done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["--help", "image --help", "image list --help", "--version"])
def test_help_that_nobody_can_take_is_one_line_and_1(joined: Site, asked: str):
    result = in_shell(joined, f"vmcatcher {asked} > /dev/full")
    assert result.code == 1
    assert result.err == ("ERROR:main:cannot write output file stdout: No space left on device [output-unwritable]\n")


@pytest.mark.slow
def test_password_from_a_closed_stdin_is_refused(joined: Site):
    result = in_shell(joined, f"vmcatcher subscription set {LIST_ID} --password-file - <&-")
    assert result.code == 1
    assert result.err == (
        "ERROR:main:the user name or password cannot be used: it was to come from stdin, which is closed "
        "[bad-password]\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["subscription add list", "trust explain ./list", "store init new", "store import-db old.db --json"]
)
def test_path_from_a_working_directory_that_is_gone_is_refused(joined: Site, line: str):
    gone = joined.root / "gone"
    gone.mkdir()
    result = in_shell(joined, f"cd {shlex.quote(str(gone))}; rmdir ../gone; exec vmcatcher {line}")
    assert result.code == 1
    assert result.err == (
        "ERROR:main:the directory that this command was started in is gone; go to one that is there, or give paths "
        "that begin with / [directory-gone]\n"
    )
    assert "--json" not in line or [one["id"] for one in result.errors] == ["directory-gone"]


def test_store_that_is_a_socket_is_named_as_a_wrong_location(joined: Site, monkeypatch: pytest.MonkeyPatch):
    # From its own directory: the path of a socket is short.
    monkeypatch.chdir(joined.root)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
        result = joined.run("vmcatcher", "image", "list", "--store", "s", "--json")
    assert (result.code, [one["id"] for one in result.errors]) == (1, ["bad-store-location"])


def test_store_on_a_disk_that_is_not_there_is_missing_and_no_wrong_location(joined: Site):
    link = joined.root / "link"
    link.symlink_to(joined.root / "nosuch")
    result = joined.run("vmcatcher", "sync", "--store", str(link), "--json")
    assert (result.code, [one["id"] for one in result.errors]) == (75, ["store-missing"])


def test_two_names_for_a_new_store_contradict_each_other(joined: Site):
    result = joined.run(
        "vmcatcher", "store", "init", "--store", str(joined.root / "a"), str(joined.root / "b"), "--json"
    )
    assert (result.code, [one["id"] for one in result.errors]) == (2, ["options-contradict"])
    assert not (joined.root / "a").exists()
    assert not (joined.root / "b").exists()


def test_image_named_twice_is_decided_once(joined: Site):
    for verb, done in (("refuse", "refused"), ("accept", "accepted")):
        result = joined.run("vmcatcher", "subscription", verb, LIST_ID, image_id(1), image_id(1))
        assert (result.code, result.lines) == (0, [f"{done} {image_id(1)}"])


def test_subject_that_no_list_writes_so_is_warned_of(joined: Site):
    names = ("--subject", "CN=Bob,O=Example", "--issuer", "/CN=Example CA")
    result = joined.run("vmcatcher", "endorser", "add", "bob", *names)
    assert (result.code, result.lines) == (0, ["1 credential added to bob"])
    assert result.err == (
        "WARNING:main:'CN=Bob,O=Example' is no name of a certificate as lists have it, such as /DC=org/CN=Alice\n"
    )


def test_one_thing_is_no_plural(joined: Site):
    joined.select(1)
    asked = joined.run("vmcatcher", "subscription", "remove", LIST_ID, "--json")
    [error] = asked.errors
    assert "with 1 selected image)" in error["line"]
    [error] = joined.run("vmcatcher", "endorser", "remove", "alice", "--json").errors
    assert "from 1 subscription)" in error["line"]


@pytest.mark.parametrize("verb", ["prune", "import-db"])
def test_dry_run_has_its_short_option_everywhere(joined: Site, verb: str):
    # Not understood as an option, it would be a usage error.
    result = joined.run("vmcatcher", "store", verb, "-n", *(("nosuch.db",) if verb == "import-db" else ()))
    assert result.code == (1 if verb == "import-db" else 0)


def test_options_of_a_second_subscription_are_not_ignored_in_silence(joined: Site):
    again = ("subscription", "add", joined.server.url("/list"))
    asked = ("--new-images", "subscribe", "--username", "token")
    result = joined.run("vmcatcher", *again, *asked)
    assert (result.code, result.lines) == (0, [f"already subscribed to {LIST_ID}"])
    assert result.err == (
        f"WARNING:main:{LIST_ID} was subscribed to before, and --new-images and --username changed nothing; use "
        f"`vmcatcher subscription set {LIST_ID}`\n"
    )
    # What it is already need not be said.
    joined.expect(0, "vmcatcher", "subscription", "set", LIST_ID, *asked)
    assert joined.run("vmcatcher", *again, *asked).err == ""
