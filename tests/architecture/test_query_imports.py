"""A query loads what it needs: pipelines call `vmcatcher_image -l` in a loop (docs/adr/0010-quick-queries.md)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.site import Site, image_id

_HEAVY = frozenset({"cryptography", "pydantic", "requests", "rich", "ssl", "typer", "urllib3"})
# What the library of Python offers, and what a plain listing cannot afford: each takes from 1 to 10 ms.
_NOT_FOR_LISTING = frozenset(
    {
        "argparse",
        "dataclasses",
        "gettext",
        "inspect",
        "locale",
        "logging",
        "random",
        "secrets",
        "shutil",
        "socket",
        "threading",
        "traceback",
        "typing",
        "urllib",
        "uuid",
    }
)
_LISTING = frozenset(
    f"vmcatcher.{name}".removesuffix(".")
    for name in (
        "", "cli", "cli.boundary", "cli.classic", "cli.classic.common", "cli.classic.listing", "cli.speech",
        "errors", "errors.base", "errors.document", "errors.identity", "errors.requests", "errors.settings",
        "errors.store", "light", "model", "model.document", "model.endorser", "model.identity", "model.instant",
        "model.setting", "model.validity",
        "services", "services.context", "services.listing", "settings", "store", "store.aside", "store.documents",
        "store.endorsers", "store.files", "store.imports", "store.index_lines", "store.index_text", "store.layout",
        "store.reading", "store.root", "store.snapshots", "store.subscriptions", "store.vetoes", "wiring",
    )
)  # fmt: skip
_LOADED = {
    "image -l": _LISTING | {"vmcatcher.cli.classic.image"},
    "subscribe -l": _LISTING
    | {"vmcatcher.cli.classic.subscribe", "vmcatcher.cli.output", "vmcatcher.cli.output.lines"}
    | {"vmcatcher.model.subscription"},
    "endorser -l": _LISTING | {"vmcatcher.cli.classic.endorser", "vmcatcher.cli.output", "vmcatcher.cli.output.lines"},
}

_RUN = """
import sys
before = set(sys.modules)
import importlib
module, *sys.argv = sys.argv[1:]
try:
    code = importlib.import_module(module).main()
except SystemExit as end:
    code = end.code
sys.stderr.write("\\n" + " ".join(sorted(set(sys.modules) - before)))
sys.exit(code)
"""

_QUERIES = {
    "image -l": ("vmcatcher.cli.classic.image", ["vmcatcher_image", "-l"]),
    "subscribe -l": ("vmcatcher.cli.classic.subscribe", ["vmcatcher_subscribe", "-l"]),
    "endorser -l": ("vmcatcher.cli.classic.endorser", ["vmcatcher_endorser", "-l"]),
    "image -i": ("vmcatcher.cli.classic.image", ["vmcatcher_image", "-i", "-u", image_id(1)]),
}


def _loaded(site: Site, query: str) -> frozenset[str]:
    """Return the modules that a query loads on a store with a list, beyond those of the interpreter."""
    site.join(site.image(1))
    module, command = _QUERIES[query]
    run = subprocess.run(
        [sys.executable, "-c", _RUN, module, *command, "--store", str(site.store)],
        capture_output=True,
        text=True,
        check=False,
    )
    *said, loaded = run.stderr.split("\n")
    assert (run.returncode, "".join(said)) == (0, "")
    assert run.stdout
    return frozenset(loaded.split())


@pytest.mark.parametrize("query", _QUERIES)
def test_query_loads_no_heavy_library(query: str, site: Site) -> None:
    assert {name.partition(".")[0] for name in _loaded(site, query)} & _HEAVY == set()


@pytest.mark.parametrize("query", _LOADED)
def test_plain_listing_loads_its_own_modules_and_little_else(query: str, site: Site) -> None:
    loaded = _loaded(site, query)
    assert {name for name in loaded if name.partition(".")[0] == "vmcatcher"} == _LOADED[query]
    assert {name.partition(".")[0] for name in loaded} & _NOT_FOR_LISTING == set()
