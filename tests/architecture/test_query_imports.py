"""A query loads what it needs: pipelines call `vmcatcher_image -l` in a loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = frozenset({"cryptography", "pydantic", "requests", "rich", "ssl", "typer", "urllib3"})

_RUN = """
import importlib, sys
module, *sys.argv = sys.argv[1:]
try:
    code = importlib.import_module(module).main()
except SystemExit as end:
    code = end.code
sys.stderr.write(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""

_QUERIES = [
    ("vmcatcher.cli.classic.image", ["vmcatcher_image", "-l"]),
    ("vmcatcher.cli.classic.subscribe", ["vmcatcher_subscribe", "-l"]),
    ("vmcatcher.cli.classic.endorser", ["vmcatcher_endorser", "-l"]),
]


@pytest.mark.parametrize(("module", "command"), _QUERIES, ids=lambda value: value if isinstance(value, str) else "")
def test_query_loads_no_heavy_library(module: str, command: list[str], tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _RUN, module, *command, "-d", str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert set(run.stderr.split()) & _HEAVY == set()
