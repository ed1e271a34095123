"""systemd takes the units of contrib/systemd as they are, and they keep to what the program needs."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from architecture.source import ROOT

_UNITS = ROOT / "contrib" / "systemd"
_SERVICES = sorted(path.name for path in _UNITS.glob("*.service"))
_TIMERS = sorted(path.name for path in _UNITS.glob("*.timer"))
_needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


class _Directives(configparser.ConfigParser):
    """A unit as sections; a directive that stands there twice has both values, line by line."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _unit(name: str) -> configparser.ConfigParser:
    parser = _Directives(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.read_string((_UNITS / name).read_text(encoding="utf-8"))
    return parser


def _installed(directory: Path) -> list[str]:
    """Copy the units as a site installs them, with the program where it is here."""
    program = Path(sys.executable).parent / "vmcatcher"
    paths = []
    for name in (*_SERVICES, *_TIMERS):
        text = (_UNITS / name).read_text(encoding="utf-8").replace("/usr/local/bin/vmcatcher", str(program))
        (directory / name).write_text(text, encoding="utf-8")
        paths.append(str(directory / name))
    return paths


@_needs_systemd
def test_systemd_finds_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    # Manual pages are there once the program is installed.
    check = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *_installed(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


@_needs_systemd
@pytest.mark.parametrize("name", _SERVICES)
def test_systemd_rates_the_exposure_of_a_service_as_ok(name: str, tmp_path: Path) -> None:
    _installed(tmp_path)
    check = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=30", str(tmp_path / name)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("name", _SERVICES)
def test_every_service_has_a_timer_and_says_who_runs_what_where(name: str) -> None:
    service = _unit(name)["Service"]
    assert name.replace(".service", ".timer") in _TIMERS
    assert service["User"] == "vmcatcher"
    assert service["Type"] == "oneshot"
    assert re.match(r"/usr/local/bin/vmcatcher (sync|status) --quiet", service["ExecStart"])
    assert "75" in service["SuccessExitStatus"].split()


def test_a_status_unit_cannot_write_to_the_store() -> None:
    service = _unit("vmcatcher-status.service")["Service"]
    assert service["ReadWritePaths"] == "/var/lib/prometheus/node-exporter"
    assert service["ReadOnlyPaths"] == "/var/lib/vmcatcher"
