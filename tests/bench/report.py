"""What was measured, as a table for people and as JSON, with the machine it was measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from bench.measuring import Figure, Goal, Measured
from bench.nginx import NGINX

ROOT = Path(__file__).resolve().parents[2]
FIGURES: tuple[Figure, ...] = get_args(Figure)
_UNITS: dict[Figure, str] = {"wall_s": "wall s", "cpu_s": "CPU s", "peak_mib": "peak MiB"}
_TOOLS = {
    "openssl": ("openssl", "version"),
    "curl": ("curl", "--version"),
    "wget": ("wget", "--version"),
    "aria2c": ("aria2c", "--version"),
    "sha512sum": ("sha512sum", "--version"),
    "sqlite3": ("sqlite3", "--version"),
}
_PACKAGES = ("vmcatcher", "cryptography", "requests", "urllib3", "filelock", "typer")


def circumstances(work: Path) -> dict[str, object]:
    """Return where and when this is measured: machine, versions, date, commit, load."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "machine": {
            "processors": os.cpu_count(),
            "model": _field(Path("/proc/cpuinfo"), "model name"),
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "kernel": platform.release(),
            "file_system": _file_system(work),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
            **{name: said for name, words in _TOOLS.items() if (said := _first_line(words))},
            **({"nginx": said} if NGINX and (said := _first_line((NGINX, "-v"))) else {}),
        },
    }


def _commit() -> str:
    git = ("git", "-C", str(ROOT))
    commit = _first_line((*git, "rev-parse", "HEAD"))
    if not commit:
        return "unknown"
    return f"{commit}, changed" if _first_line((*git, "status", "--porcelain", "-uno")) else commit


def _first_line(words: tuple[str, ...]) -> str:
    if shutil.which(words[0]) is None:
        return ""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip()


def _field(path: Path, name: str) -> str:
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), platform.machine())


def _file_system(work: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", str(work)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def table(measured: Measured) -> str:
    """Return one row's contenders and goals as lines of text."""
    reference = _reference(measured)
    heads = ["", *(_UNITS[figure] for figure in FIGURES)]
    heads += [f"{_UNITS[figure].split()[0]} ×" for figure in FIGURES] if reference else []
    lines = [heads]
    for name in measured.costs:
        cells = [_seconds(measured.median(name, "wall_s")), _seconds(measured.median(name, "cpu_s"))]
        cells.append(f"{measured.median(name, 'peak_mib'):.1f}")
        if reference:
            cells += [f"{measured.ratio(name, reference, figure):.2f}" for figure in FIGURES]
        lines.append([name, *cells])
    said = [f"\n{measured.row.name}: {measured.row.title}; medians of {measured.rounds}", *_aligned(lines)]
    if reference:
        said.append(f"  ×: times {reference}")
    said += [f"  not run: {name}: {reason}" for name, reason in measured.skipped.items()]
    return "\n".join([*said, *(f"  {_judged(measured, goal)}" for goal in measured.row.goals)])


def _seconds(found: float) -> str:
    return f"{found:.3f}" if found >= 0.1 else f"{found:.4f}"


def _reference(measured: Measured) -> str | None:
    named = [goal.reference for goal in measured.row.goals if goal.reference in measured.costs]
    if named:
        return named[0]
    return list(measured.costs)[-1] if len(measured.costs) > 1 else None


def _aligned(lines: list[list[str]]) -> Iterable[str]:
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    for line in lines:
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        yield f"  {line[0].ljust(widths[0])}  {'  '.join(rest)}"


def _judged(measured: Measured, goal: Goal) -> str:
    unit, found = _UNITS[goal.figure], measured.found(goal)
    limit = f"{goal.at_most:g}" if goal.reference is None else f"{goal.at_most:g} × {goal.reference}"
    text = f"goal: {goal.ours}, {unit} at most {limit}"
    if found is None:
        return f"{text}: not measured"
    return f"{text}: {found:.3g}, {'held' if found <= goal.at_most else 'NOT HELD'}"


def document(measured: Measured) -> dict[str, object]:
    """Return one row as JSON members."""
    return {
        "name": measured.row.name,
        "title": measured.row.title,
        "contenders": {
            name: {
                "runs": [{figure: cost.of(figure) for figure in FIGURES} for cost in costs],
                "median": {figure: measured.median(name, figure) for figure in FIGURES},
            }
            for name, costs in measured.costs.items()
        },
        "skipped": dict(measured.skipped),
        "goals": [
            {
                "figure": goal.figure,
                "of": goal.ours,
                "at_most": goal.at_most,
                "times": goal.reference,
                "found": (found := measured.found(goal)),
                "held": None if found is None else found <= goal.at_most,
            }
            for goal in measured.row.goals
        ],
    }


def said_of(where: dict[str, object]) -> str:
    """Return the circumstances as lines of text."""
    machine, versions = where["machine"], where["versions"]
    assert isinstance(machine, dict)
    assert isinstance(versions, dict)
    load = where["load"]
    assert isinstance(load, list)
    lines = [
        f"{where['date']}  commit {where['commit']}",
        f"{machine['processors']} × {machine['model']}, {machine['memory_mib']} MiB, Linux {machine['kernel']}",
        f"work directory on {machine['file_system']}",
        "; ".join(f"{name} {said}" for name, said in versions.items()),
        f"load {load[0]}",
    ]
    if load[0] > 1.5:
        lines.append("THE MACHINE IS BUSY: these figures are no verdict; measure again on a quiet one")
    return "\n".join(lines)


def say(text: str) -> None:
    """Print for whoever reads along."""
    print(text, flush=True)
