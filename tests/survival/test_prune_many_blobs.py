"""A hundred thousand blobs: whoever does not ask for them does not look at them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from support.pruning import lapse, prune, vmcatcher
from support.site import Site, image_id

_MANY = 100_000
_SOME = 20_000
_FEW = 400

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def fill(site: Site, count: int) -> None:
    """Put so many empty blobs into the store, all of them two months old."""
    top = site.store / "blobs" / "sha512"
    then = (site.now - timedelta(days=60)).timestamp()
    for prefix in range(256):
        (top / f"{prefix:02x}").mkdir(exist_ok=True)
    for number in range(count):
        digest = hashlib.sha512(b"%d" % number).hexdigest()
        path = f"{top}/{digest[:2]}/{digest}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o444))
        os.utime(path, (then, then))


def prepare(site: Site, count: int) -> set[str]:
    """Make a site with two images in the cache beside so many blobs; return the digests of the two."""
    images = (site.image(1), site.image(2), site.image(3))
    site.join(*images)
    site.select(1, 2)
    site.cache()
    fill(site, count)
    return {str(image["sl:checksum:sha512"]) for image in images[:2]}


def looked_at(site: Site, *command: str) -> set[str]:
    """Run an installed command; return the blobs that it names to the kernel, and the directories that it lists."""
    log = site.root / "strace"
    done = site.call(*command, prefix=("strace", "-f", "-s", "4096", "-e", "trace=%file", "-o", str(log)))
    assert done.code == 0, done
    text = log.read_text(errors="replace")
    assert str(site.store) in text
    listed = re.findall(r"blobs/sha512/([0-9a-f]{2})\", [A-Z_|]*O_DIRECTORY", text)
    return {*re.findall(r"blobs/sha512/([0-9a-f]{2}/[^\"]+)\"", text), *listed}


@needs_strace
@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [_FEW, pytest.param(_MANY, marks=pytest.mark.slow)])
def test_fault_93_queries_and_idle_cache_runs_look_at_no_blob_but_their_own(site: Site, count: int):
    own = prepare(site, count)
    assert looked_at(site, "vmcatcher_image", "-l") == set()
    assert looked_at(site, "vmcatcher_subscribe", "-l") == set()
    assert looked_at(site, "vmcatcher_image", "-i", "-u", image_id(1)) == set()
    # The two that it keeps, by name; not even the directories of the others are opened.
    assert looked_at(site, "vmcatcher_cache") == {f"{digest[:2]}/{digest}" for digest in own}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_fault_93_twenty_thousand_blobs_are_counted_and_dropped_and_no_other(site: Site):
    own = prepare(site, _SOME)
    counted = vmcatcher(site, "store", "stats", "--json").answer["kinds"]
    assert (counted["blobs needed"]["count"], counted["blobs unneeded"]["count"]) == (2, _SOME)
    planned = prune(site, "--dry-run")
    assert len(planned.lines) == _SOME + 2
    assert prune(site, "--grace", "61d").lines == ["total: 0 things, 0 bytes"]
    lapse(site, timedelta(0))
    assert len(prune(site).lines) == _SOME + 1
    assert {path.name for path in Path(site.store, "blobs", "sha512").glob("*/*")} == own
