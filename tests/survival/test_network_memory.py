"""How much memory and time a hostile server can cost: the installed commands, each in a process of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.server_client import some_bytes
from support.site import Site
from support.tree import check_invariants

MIB = 1 << 20
_MOST_MIB = 200
# From a small process: on Linux a child begins with the peak of whoever forked it.
_MEASURED = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
    "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)"
)


@dataclass(frozen=True)
class Load:
    """Something large or endless at a path, and how the command ends that asks for it."""

    path: str
    mode: str | None
    code: int
    cause: str
    options: Mapping[str, object] = field(default_factory=dict)


_LIST, _IMAGE = "/list", "/images/1-v1.raw"
LOADS = {
    "fault_36-endless list": Load(_LIST, "endless", 10, "more than 10485760 bytes"),
    "fault_36-endless image": Load(_IMAGE, "endless", 1, "wrong bytes: size 67108864 expected"),
    "fault_36-list of 100 MB": Load(_LIST, None, 10, "more than 10485760 bytes"),
    "fault_36-list of 100 MB without length": Load(_LIST, "nolength", 10, "more than 10485760 bytes"),
    "fault_36-endless interim answers": Load(_LIST, "continues", 10, "waited 3.0 s for an answer"),
    "fault_38-huge header of a list": Load(_LIST, "hugeheader", 10, "longer than 64 KiB", {"size": 256 * MIB}),
    "fault_38-huge header of an image": Load(_IMAGE, "hugeheader", 75, "longer than 64 KiB", {"size": 256 * MIB}),
    "fault_49-bomb for a list": Load(_LIST, "bomb", 10, "encoded as 'gzip'"),
    "fault_49-bomb for an image": Load(_IMAGE, "bomb", 75, "encoded as 'gzip'"),
}


@pytest.fixture
def large(site: Site) -> Site:
    site.join(site.image(1, content=some_bytes(64 * MIB)))
    site.select(1)
    return site


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADS)
def test_memory_and_disk_stay_small(large: Site, name: str, record_property: Callable[[str, object], None]) -> None:
    load = LOADS[name]
    if "100 MB" in name:
        large.server.publish(_LIST, large.content("2", dc__description="x" * 100 * MIB))
    if load.mode:
        large.server.fault(load.path, load.mode, **load.options)
    command = ("vmcatcher_subscribe", "-U") if load.path == _LIST else ("vmcatcher_cache",)
    began = time.monotonic()
    result = large.call(*command, prefix=(sys.executable, "-c", _MEASURED), VMCATCHER_IDLE_TIMEOUT="3")
    spent = time.monotonic() - began
    line, peak = result.err.splitlines()
    peak_mib = int(peak.split()[1]) / 1024
    record_property("figures", f"{name}: {peak_mib:.0f} MiB, {spent:.1f} s")
    assert result.code == load.code, result
    assert load.cause in line
    assert peak_mib < _MOST_MIB
    assert spent < 30
    assert stored_bytes(large.store) <= 64 * MIB + MIB
    assert check_invariants(large.store) == []


def stored_bytes(store: Path) -> int:
    return sum(path.lstat().st_size for path in store.rglob("*") if path.is_file())
