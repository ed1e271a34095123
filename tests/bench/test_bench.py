"""The benchmark runs, on sizes that measure nothing; what it finds is no part of any verdict."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from architecture.source import ROOT
from bench import report
from bench.command import ROWS
from bench.measuring import Contender, Cost, Goal, Measured, Row, Stopwatch, measure
from bench.page import page

_RUN = ROOT / "tests" / "bench" / "run"
_TINY = ("--size", "3M", "--rounds", "1", "--subscriptions", "4", "--images", "6", "--cached", "2")
_needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Through this Python, not through contrib/environment: what is installed here is what is tested.
    words = [sys.executable, str(_RUN), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=280)


@_needs_openssl
@pytest.mark.slow
@pytest.mark.timeout(300)  # about 40 s where nothing else runs
def test_every_row_is_measured_printed_and_written(tmp_path: Path) -> None:
    outputs = ("--json", tmp_path / "found.json", "--page", tmp_path / "page.md", "--profile", tmp_path / "profiles")
    done = _run(*_TINY, "--work", tmp_path / "work", *outputs)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert [row["name"] for row in found["rows"]] == list(ROWS)
    assert {"date", "commit", "machine", "versions", "load", "load_at_end"} <= set(found)
    for row in found["rows"]:
        assert f"\n{row['name']}: {row['title']}" in done.stdout
        for name, contender in row["contenders"].items():
            assert f"  {name}  " in done.stdout
            assert [run for run in contender["runs"] if not (run["cpu_s"] > 0 and run["peak_mib"] > 0)] == []
            assert len(contender["runs"]) == 1
        for name, reason in row["skipped"].items():
            assert f"not run: {name}: {reason}" in done.stdout
        if not row["skipped"]:
            assert [goal for goal in row["goals"] if goal["found"] is None] == []
    page = (tmp_path / "page.md").read_text()
    assert [name for name in ROWS if not name.startswith("scale-") and f"| `{name}` |" not in page] == []
    assert "| cache with nothing to do |" in page
    profiles = {path.name: path.read_text() for path in (tmp_path / "profiles").glob("*.txt")}
    assert "by room, without what it calls:" in profiles["scale-cache-0.txt"]
    assert "store.index_text" in profiles["list-0.txt"]
    assert not any("sqlite3" in text.partition("\n")[0] for text in profiles.values())


@_needs_openssl
@pytest.mark.slow
def test_work_directory_is_used_again_and_never_a_stranger_s(tmp_path: Path) -> None:
    work = tmp_path / "work"
    first, second = (_run(*_TINY, "--work", work, "list") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    assert "making" in first.stderr
    assert "making" not in second.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    refused = _run(*_TINY, "--work", tmp_path / "mine", "list")
    assert (refused.returncode, (tmp_path / "mine" / "letter").read_text()) == (1, "dear")
    assert "somebody else" in refused.stderr


@_needs_openssl
@pytest.mark.slow
def test_work_that_is_not_done_is_no_measurement(tmp_path: Path) -> None:
    """An openssl that says no at once would otherwise be the fastest."""
    broken = tmp_path / "bin" / "openssl"
    broken.parent.mkdir()
    real = shutil.which("openssl")
    # Needed to make the web server's certificate authority.
    broken.write_text(f'#!/bin/sh\ncase $1 in x509) exec {real} "$@" ;; *) echo "no" >&2; exit 3 ;; esac\n')
    broken.chmod(0o755)
    path = f"{broken.parent}:{os.environ['PATH']}"
    words = [sys.executable, str(_RUN), *_TINY, "--work", str(tmp_path / "work"), "verify"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=50, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 1
    assert "openssl cms -verify" in done.stderr
    assert "ended with 3: no" in done.stderr


def test_unknown_row_is_a_usage_error_that_names_the_rows() -> None:
    done = _run("htttp")
    assert done.returncode == 2
    assert "'htttp'" in done.stderr
    assert all(name in done.stderr for name in ROWS)


def _row(*contenders: Contender) -> Row:
    return Row("row", "a row", contenders)


def _sh(name: str, script: str, **more: str | None) -> Contender:
    return Contender(name, (("sh", "-c", script),), lacking=more.get("lacking"))


@pytest.fixture
def stopwatch(tmp_path: Path) -> Iterator[Stopwatch]:
    with Stopwatch(tmp_path, {"PATH": os.environ["PATH"]}) as running:
        yield running


def test_contenders_take_turns_and_every_other_round_goes_backwards(tmp_path: Path, stopwatch: Stopwatch) -> None:
    log = tmp_path / "log"
    row = _row(*(_sh(name, f"printf {name} >> {log}") for name in "abc"), _sh("d", "false", lacking="no d here"))
    measured = measure(row, stopwatch, rounds=3)
    assert log.read_text() == "abc" + "abc" + "cba" + "abc"
    assert measured.rounds == 3
    assert measured.skipped == {"d": "no d here"}
    assert "not run: d: no d here" in report.table(measured)


def test_cost_is_of_the_command_and_its_children_and_of_nobody_else(stopwatch: Stopwatch) -> None:
    ours = bytearray(100 * 2**20)  # must not be seen in the peak of a small command
    small = stopwatch.time(_sh("small", "true"))
    assert small.peak_mib < 30 < len(ours) / 2**20
    python = f"{sys.executable} -S -c"
    large = stopwatch.time(_sh("large", f"{python} 'bytearray(b\"x\" * (80 << 20))'; true"))
    assert large.peak_mib > 80
    code = "import time\nwhile time.process_time() < 0.2: pass"
    busy = stopwatch.time(_sh("busy", f"{python} '{code}'; sleep 0.1"))
    assert 0.2 <= busy.cpu_s < busy.wall_s
    assert busy.wall_s >= 0.3


def test_ratio_is_the_median_of_the_rounds_and_a_goal_is_held_or_not() -> None:
    goals = (Goal("wall_s", "ours", 2.0, "theirs"), Goal("peak_mib", "ours", 40), Goal("cpu_s", "ours", 1, "none"))
    row = Row("row", "a row", (), goals)
    ours = tuple(Cost(wall, 1.0, 41.0) for wall in (1.0, 4.0, 9.0))
    theirs = tuple(Cost(wall, 1.0, 1.0) for wall in (1.0, 2.0, 3.0))
    measured = Measured(row, {"ours": ours, "theirs": theirs}, {})
    assert measured.ratio("ours", "theirs", "wall_s") == 2.0
    assert [goal["held"] for goal in report.document(measured)["goals"]] == [True, False, None]  # type: ignore[attr-defined]  # JSON
    said = report.table(measured)
    assert "at most 2 × theirs: 2, held" in said
    assert "at most 40: 41, NOT HELD" in said
    assert "at most 1 × none: not measured" in said


def test_page_has_goals_figures_and_growth() -> None:
    goals = (Goal("wall_s", "ours", 2.0, "theirs"), Goal("peak_mib", "ours", 40), Goal("cpu_s", "ours", 1, "none"))
    ours, theirs = (Cost(4.0, 1.0, 41.0),), (Cost(1.0, 0.05, 1.0),)
    plain = Measured(Row("row", "a row", (), goals), {"ours": ours, "theirs": theirs}, {})
    growing = Measured(Row("scale-list", "list, a store and its double", ()), {"1 × 2": theirs, "2 × 2": ours}, {})
    said = page("machine\nload 0.1", [growing, plain]).split("\n\n")
    assert said[0] == "- machine\n- load 0.1"
    assert said[1].splitlines()[2:] == [
        "| `row` | ours: wall 2 × theirs | 4.00 × | **no** |",
        "| `row` | ours: peak 40 MiB | 41.0 MiB | **no** |",
        "| `row` | ours: CPU 1 × none | – | – |",
    ]
    assert said[2].splitlines()[2:] == [
        "| `row` | `ours` | 4.000 | 1.000 | 41.0 |",
        "|  | `theirs` | 1.000 | 0.0500 | 1.0 |",
    ]
    assert said[3] == "The first three figures are of 1 × 2, the next ones of 2 × 2."
    assert said[4].splitlines()[2:] == ["| list | 1.000 | 0.0500 | 1.0 | 4.000 | 1.000 | 41.0 | 20.00 | 41.00 |"]


def test_script_has_its_run_bit() -> None:
    assert _RUN.stat().st_mode & 0o111 == 0o111
