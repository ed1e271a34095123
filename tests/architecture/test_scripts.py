"""The scripts around the program can be started, and say so when they cannot do what was asked."""

from __future__ import annotations

import subprocess

import pytest

from architecture.source import ROOT

_SCRIPTS = ["contrib/demo", "contrib/environment", "contrib/test", ".ci/run", "contrib/docs/generate"]


@pytest.mark.parametrize("name", _SCRIPTS)
def test_script_has_its_run_bit(name: str) -> None:
    assert (ROOT / name).stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("name", ["contrib/demo", "contrib/environment", "contrib/test", ".ci/run"])
def test_shell_script_parses(name: str) -> None:
    shell = (ROOT / name).read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()
    check = subprocess.run([*shell, "-n", str(ROOT / name)], capture_output=True, text=True, check=False)
    assert (check.returncode, check.stderr) == (0, "")


def test_unknown_argument_is_a_usage_error() -> None:
    run = subprocess.run([str(ROOT / "contrib/test"), "--al"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "'--al'" in run.stderr


def test_unknown_environment_is_refused_before_anything_is_made() -> None:
    run = subprocess.run([str(ROOT / "contrib/environment"), "all"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "say run or test" in run.stderr
