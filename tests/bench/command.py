"""The command line of the benchmark: which rows, how large, how often."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import report, rows_bytes, rows_lists
from bench.ground import Ground, Sizes
from bench.measuring import CommandFailed, Measured, Row, Stopwatch, measure
from bench.page import page
from bench.profiling import profile

ROWS: dict[str, Callable[[Ground], Row]] = {
    "http": partial(rows_bytes.fetching, scheme="http"),
    "https": partial(rows_bytes.fetching, scheme="https"),
    "import": rows_bytes.importing,
    "recheck": rows_bytes.checking,
    "unchanged": rows_bytes.skipping,
    "startup": rows_lists.starting,
    "verify": rows_lists.verifying,
    "list": rows_lists.listing,
    "update": rows_lists.updating,
    **{
        f"scale-{work}": partial(rows_lists.growing, work=work)
        for work in ("update", "sync", "plan", "cache", "status", "list", "check", "prune")
    },
}
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_MEMORY = Path("/dev/shm")


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]+)([KMG]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError("a number of bytes, with K, M or G behind it if wanted")
    return int(match[1]) * _UNITS[match[2]]


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,6}", text):
        raise argparse.ArgumentTypeError("a number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description="Measure vmcatcher beside public tools, on data of its own and a web server of its own.",
        epilog="Whatever is found, it ends with 0; with 1 where something could not be done at all; what was measured "
        "by then is kept. Wants a quiet machine. Everything is run once to warm up, then in turn, every other round "
        "backwards.",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which rows (default: all): {', '.join(ROWS)}")
    parser.add_argument("--size", type=_size, default=2**30, metavar="BYTES", help="of the image (default: 1G)")
    parser.add_argument(
        "--rounds", type=_count, default=5, help="how often each contender is run (default: 5; scale: at most 3)"
    )
    parser.add_argument("--subscriptions", type=_count, default=1000, help="of the large store (default: 1000)")
    parser.add_argument("--images", type=_count, default=100, help="of each of its lists (default: 100)")
    parser.add_argument("--cached", type=_count, default=10, help="of each of its lists (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables there as Markdown")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="DIR",
        help="run each of our commands once more under Python's profiler, and write there where the time goes",
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="keep the data there for a next run (default: a directory in memory if there are 8 GB, removed afterwards;"
        " on a slow disk the disk is measured)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 1 where something could not be done."""
    parser = _parser()
    given = parser.parse_args(arguments)
    unknown = [name for name in given.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row is called {unknown[0]!r}; there are {', '.join(ROWS)}")
    # So that nothing is left running, whoever ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = Sizes(given.size, given.subscriptions, given.images, min(given.cached, given.images), given.rounds)
    with ExitStack() as stack:
        work = given.work
        if work is None:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="vmcatcher-bench.", dir=_roomy()))
            work = Path(place) / "work"
        try:
            _run(
                stack,
                Ground(work.resolve(), sizes),
                given.rows or list(ROWS),
                _Outputs(given.json, given.page, given.profile),
            )
        except (CommandFailed, OSError) as error:
            print(f"tests/bench/run: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def _roomy() -> Path | None:
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > 8e9 else None


@dataclass(frozen=True, slots=True)
class _Outputs:
    """What is written besides what is printed, and where."""

    json: Path | None
    page: Path | None
    profiles: Path | None

    def write(self, where: dict[str, object], measured: Sequence[Measured]) -> None:
        if self.json is not None:
            rows = [report.document(one) for one in measured]
            found = {**where, "load_at_end": [round(one, 2) for one in os.getloadavg()], "rows": rows}
            self.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        if self.page is not None:
            self.page.write_text(page(report.said_of(where), measured))


def _run(stack: ExitStack, ground: Ground, names: Sequence[str], outputs: _Outputs) -> None:
    where = report.circumstances(ground.work)
    report.say(report.said_of(where))
    # Nothing of the caller's: neither settings nor proxies, and the programs keep their compiled modules.
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "HOME": str(ground.work)}
    stopwatch = stack.enter_context(Stopwatch(ground.work, environment))
    if ground.lacks_nginx is None:
        stack.enter_context(ground.serve())
    measured: list[Measured] = []
    for name in names:
        row = ROWS[name](ground)
        measured.append(measure(row, stopwatch, rounds=ground.sizes.rounds))
        report.say(report.table(measured[-1]))
        if outputs.profiles is not None:
            profile(row, stopwatch, outputs.profiles)
        # After each row: whoever breaks it off keeps what was measured.
        outputs.write(where, measured)
