"""What a shell offers when somebody presses the tab key."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from vmcatcher.cli import completion

_ASK = """
set -eu
eval "$(vmcatcher completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_vmcatcher_completion vmcatcher "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
"""


def offered(site: Site, *words: str) -> list[str]:
    """Return what bash offers for the last word."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", _ASK, "bash", "vmcatcher", *words],
        env={**os.environ, **site.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1), site.image(2))
    return site


def test_nouns_and_verbs_are_offered(site: Site):
    assert offered(site, "su") == ["subscription"]
    assert {"list", "show", "subscribe", "unsubscribe"} <= set(offered(site, "image", ""))


@pytest.mark.slow
def test_identifiers_of_the_store_are_offered(joined: Site):
    assert offered(joined, "image", "show", "a0") == [image_id(1), image_id(2)]
    assert offered(joined, "subscription", "show", "") == [LIST_ID]
    assert offered(joined, "endorser", "show", "al") == ["alice"]
    assert offered(joined, "image", "list", "--list", "") == [LIST_ID]


@pytest.mark.slow
def test_store_that_is_not_there_or_broken_offers_nothing(site: Site, joined: Site):
    assert offered(site, "image", "show", "--store", "/nowhere", "") == []
    (joined.store / "vmcatcher.json").write_text("{")
    assert offered(joined, "image", "show", "") == []


def test_what_a_publisher_says_of_a_list_is_nothing_that_a_shell_acts_on(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.publish("1", site.image(1), dc__description=r"It's a \$(touch x) \`touch y\` \"list\" – ok; {a,b}")
    site.join()
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    ((name, about),) = completion.subscriptions(None, "")
    assert name == LIST_ID
    assert re.fullmatch(r"It s a +touch x +touch y +list +ok +a,b *", about)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_written_for_each_shell(site: Site, shell: str):
    result = site.run("vmcatcher", "completion", shell)
    assert (result.code, result.err) == (0, "")
    assert "_VMCATCHER_COMPLETE" in result.out


def test_shell_that_is_unknown_is_a_wrong_usage(site: Site):
    result = site.run("vmcatcher", "completion", "tcsh")
    assert (result.code, result.out) == (2, "")
