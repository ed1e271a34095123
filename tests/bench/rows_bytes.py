"""Rows about image bytes: fetching, importing and checking them."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from bench.ground import Ground, demand_blob, demand_cached
from bench.measuring import Contender, Goal, Row, Words

_OURS = "vmcatcher_cache"
_LIBRARY = "transport + store"
_CURL = "curl"
_CURL_DIGEST = "curl, openssl dgst"
_LOOKS = 100_000


def fetching(ground: Ground, scheme: str) -> Row:
    """Download and verify an image over http or https."""
    picture, url = ground.picture, ground.url("image", scheme)
    out = ground.work / "out"
    sums = ground.work / "out.sha512"
    sums.write_text(f"{picture.sha512}  {out}\n")
    bundle = str(ground.bundle)
    curl = ("curl", "-sf", "--cacert", bundle, "-o", str(out), url)
    wget = ("wget", "-q", f"--ca-certificate={bundle}", "-O", str(out), url)
    aria = (
        *("aria2c", "-q", f"--ca-certificate={bundle}", "--allow-overwrite=true", "--file-allocation=none"),
        *(f"--checksum=sha-512={picture.sha512}", "-d", str(out.parent), "-o", out.name, url),
    )
    digest = ("openssl", "dgst", "-sha512", str(out))
    return Row(
        scheme,
        f"download and verify {_sized(picture.size_bytes)} over {scheme}",
        (
            *_ours(ground, scheme, url),
            _tool(ground, _CURL, out, curl),
            _tool(ground, _CURL_DIGEST, out, curl, digest),
            _tool(ground, "wget, sha512sum -c", out, wget, ("sha512sum", "-c", "--quiet", str(sums))),
            _tool(ground, "aria2c --checksum", out, aria),
        ),
        (
            Goal("wall_s", _OURS, 1.10 if scheme == "http" else 1.45, _CURL),
            Goal("wall_s", _LIBRARY, 1.10 if scheme == "http" else 1.45, _CURL),
            Goal("cpu_s", _OURS, 1.0, _CURL_DIGEST),
            Goal("cpu_s", _LIBRARY, 1.0, _CURL_DIGEST),
            Goal("peak_mib", _OURS, 40),
            Goal("peak_mib", _LIBRARY, 40),
        ),
    )


def importing(ground: Ground) -> Row:
    """Take an image from a file of this machine into the store, and know its digest."""
    picture = ground.picture
    digest = "openssl dgst"
    return Row(
        "import",
        f"import {_sized(picture.size_bytes)} from a file: URI",
        (
            *_ours(ground, "file", f"file://{picture.path}"),
            Contender(digest, (("openssl", "dgst", "-sha512", str(picture.path)),), lacking=_lacks("openssl")),
        ),
        (
            Goal("wall_s", _OURS, 1.2, digest),
            Goal("wall_s", _LIBRARY, 1.2, digest),
            Goal("peak_mib", _OURS, 40),
        ),
    )


def checking(ground: Ground) -> Row:
    """Read every cached byte again, and what it costs not to."""
    store, sums = ground.store_of_parts(), ground.work / "parts.sha512"
    blobs = [f"{part.sha512}  {store}/blobs/sha512/{part.sha512[:2]}/{part.sha512}\n" for part in ground.parts]
    sums.write_text("".join(blobs))
    size = _sized(sum(part.size_bytes for part in ground.parts))
    environment = ground.environment(store)
    everything, unchanged, tool = "vmcatcher_cache -s", "vmcatcher_cache", "sha512sum -c"
    return Row(
        "recheck",
        f"check {size} in {len(blobs)} cached images; without -s, with fingerprints that hold",
        (
            Contender(everything, (ground.command("vmcatcher_cache", "-s"),), environment),
            Contender(unchanged, (ground.command("vmcatcher_cache"),), environment),
            Contender(tool, (("sha512sum", "-c", "--quiet", str(sums)),), lacking=_lacks("sha512sum")),
        ),
        (Goal("wall_s", everything, 0.5, tool), Goal("peak_mib", everything, 40)),
    )


def skipping(ground: Ground) -> Row:
    """Look whether a hundred thousand blobs are the files that were checked."""
    store = ground.large_store(ground.sizes.subscriptions)
    ours = "services.checking, after start-up"
    worker = Path(__file__).with_name("worker.py")
    return Row(
        "unchanged",
        f"skip {_LOOKS:,} images whose fingerprints hold",
        (
            Contender(
                ours,
                (ground.command("python", str(worker), "unchanged", str(store), str(_LOOKS)),),
                has_own_clock=True,
            ),
        ),
        (Goal("cpu_s", ours, 1.0),),
    )


def _ours(ground: Ground, scheme: str, uri: str) -> tuple[Contender, Contender]:
    picture = ground.picture
    lacking = ground.lacks_nginx if scheme != "file" else None
    template = ground.store_to_fetch(f"{scheme}-template", uri)
    store = ground.work / "fetching"
    words = ("download", uri, str(picture.size_bytes), picture.sha512, str(store), str(ground.grid.certificates))
    worker = Path(__file__).with_name("worker.py")
    return (
        Contender(
            _OURS,
            (ground.command("vmcatcher_cache"),),
            ground.environment(store),
            partial(_copied, template, store),
            partial(demand_cached, store, picture.sha512),
            lacking=lacking,
        ),
        Contender(
            _LIBRARY,
            (ground.command("python", str(worker), *words),),
            prepare=partial(_copied, template, store),
            check=partial(demand_blob, store, picture.sha512),
            lacking=lacking,
        ),
    )


def _tool(ground: Ground, name: str, out: Path, *commands: Words) -> Contender:
    missing = [lacking for words in commands if (lacking := _lacks(words[0]))]
    reasons = [*([ground.lacks_nginx] if ground.lacks_nginx else []), *missing]
    return Contender(
        name, commands, prepare=lambda: out.unlink(missing_ok=True), lacking=", ".join(reasons) if reasons else None
    )


def _lacks(tool: str) -> str | None:
    return None if shutil.which(tool) else f"{tool} is not installed"


def _copied(template: Path, store: Path) -> None:
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(template, store, symlinks=True)


def _sized(size_bytes: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:g} {name}"
    return f"{size_bytes} bytes"
