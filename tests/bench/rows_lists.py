"""Rows about lists and records: starting, listing, verifying, updating, and how the cost grows with the store."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.ground import Ground
from bench.measuring import Contender, Figure, Goal, Row
from bench.stores import image_id, list_id
from support.pki import Signer, sign
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.verify import verify

_MOST_GROWTH = 2.2
"""Twice the store, twice the cost, and a tenth for what the machine does besides."""
_CYCLES = 200


def starting(ground: Ground) -> Row:
    """Start a query on an empty store, and Python on nothing."""
    ours, python = "vmcatcher_image -l", "python -c pass"
    environment = ground.environment(ground.fresh("empty-store"))
    command = ground.command("vmcatcher_subscribe", "-l")
    return Row(
        "startup",
        "start-up of a query, no store",
        (
            Contender(ours, (ground.command("vmcatcher_image", "-l"),), environment),
            Contender("vmcatcher_subscribe -l", (command,), environment),
            Contender("vmcatcher --version", (ground.command("vmcatcher", "--version"),), environment),
            Contender("vmcatcher --help", (ground.command("vmcatcher", "--help"),), environment),
            Contender(python, (ground.command("python", "-c", "pass"),)),
        ),
        (Goal("cpu_s", ours, 0.035),),
    )


def listing(ground: Ground) -> Row:
    """List every image of a large store, and the same lines from a database."""
    sizes = ground.sizes
    store = ground.large_store(sizes.subscriptions)
    ours, tool = "vmcatcher_image -l", "sqlite3"
    query = "select id, cache + (available << 1), subscription from image"
    lacking = None if shutil.which(tool) else "sqlite3 is not installed"
    database = _database(ground)
    return Row(
        "list",
        f"list {sizes.subscriptions * sizes.images:,} images of {sizes.subscriptions:,} subscriptions",
        (
            Contender(ours, (ground.command("vmcatcher_image", "-l"),), ground.environment(store)),
            Contender(tool, ((tool, "-separator", "\t", str(database), query),), lacking=lacking),
        ),
        (Goal("cpu_s", ours, 0.1),),
    )


def _database(ground: Ground) -> Path:
    path = ground.work / "images.db"
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.execute(
        "create table image(id text primary key, cache int, available int, subscription text, sha512 text)"
        " without rowid"
    )
    sizes = ground.sizes
    base.executemany(
        "insert into image values(?, ?, 1, ?, ?)",
        (
            (image_id(number, at), at < sizes.cached, list_id(number), f"{number:064x}{at:064x}")
            for number in range(sizes.subscriptions)
            for at in range(sizes.images)
        ),
    )
    base.commit()
    base.close()
    return path


def verifying(ground: Ground) -> Row:
    """Verify one signed list: signature, chain, policies, CRLs."""
    signed, anchors = ground.signed_list(), ground.grid.certificates
    ours, tool = "trust.verify, after start-up", "openssl cms -verify"
    worker = Path(__file__).with_name("worker.py")
    theirs = ("openssl", "cms", "-verify", "-in", str(signed), "-CApath", str(anchors), "-no-CAfile")
    return Row(
        "verify",
        f"verify one list of {ground.sizes.images} images ({signed.stat().st_size / 1000:.0f} kB)",
        (
            Contender(
                ours,
                (ground.command("python", str(worker), "verify", str(signed), str(anchors), str(_CYCLES)),),
                has_own_clock=True,
            ),
            Contender(
                tool,
                ((*theirs, "-crl_check_all", "-out", "/dev/null"),),
                lacking=None if shutil.which("openssl") else "openssl is not installed",
            ),
        ),
        (Goal("cpu_s", ours, 0.001),),
    )


def updating(ground: Ground) -> Row:
    """Ask for every list of a large store, of which none changed, or one."""
    count = ground.sizes.subscriptions
    store = ground.large_store(count)
    ours, changed, tool = "vmcatcher_subscribe -U", "… one list changed", "curl -z"
    asked = ground.work / "lists.curl"
    urls = [f'url = "{ground.url(f"{store.name}/lists/{number}")}"\noutput = "/dev/null"\n' for number in range(count)]
    asked.write_text("".join(urls))
    now = format_datetime(datetime.now(UTC), usegmt=True)
    return Row(
        "update",
        f"update {count:,} subscriptions whose lists are unchanged (304)",
        (
            Contender(
                ours,
                (ground.command("vmcatcher_subscribe", "-U"),),
                ground.environment(store),
                lacking=ground.lacks_nginx,
            ),
            Contender(
                changed,
                (ground.command("vmcatcher_subscribe", "-U"),),
                ground.environment(store),
                prepare=partial(_publish_anew, ground, store),
                lacking=ground.lacks_nginx,
            ),
            Contender(
                tool,
                (("curl", "-sf", "-z", now, "-K", str(asked)),),
                lacking=ground.lacks_nginx or (None if shutil.which("curl") else "curl is not installed"),
            ),
        ),
        (Goal("cpu_s", ours, 1.0),),
    )


def _publish_anew(ground: Ground, store: Path) -> None:
    """Publish the first list of a large store again, with the next version."""
    served = ground.www / store.name / "lists" / "0"
    grid = store.with_name(f"{store.name}-grid")
    anchors = TrustAnchors.load(str(grid / "certificates"))
    document = json.loads(verify(served.read_bytes(), anchors, datetime.now(UTC)).content)
    listed = document["hv:imagelist"]
    listed["hv:version"] = str(int(listed["hv:version"]) + 1)
    (certificate,) = grid.glob("endorser-*.pem")
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    secret = certificate.with_suffix(".key")
    key = load_pem_private_key(secret.read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    signer = Signer(certificate, secret, "", "", parsed, key)
    before = served.stat().st_mtime
    served.write_bytes(sign(json.dumps(document, indent=4).encode(), signer))
    # nginx names versions by whole seconds and size.
    os.utime(served, (before + 1, before + 1))


_GROWING: dict[str, tuple[str, tuple[str, ...]]] = {
    "update": ("update, every list unchanged", ("vmcatcher_subscribe", "-U")),
    "cache": ("cache with nothing to do", ("vmcatcher_cache",)),
    "list": ("list", ("vmcatcher_image", "-l")),
    "check": ("check without the bytes", ("vmcatcher", "store", "check")),
    "prune": ("look for what can be pruned", ("vmcatcher", "store", "prune", "--dry-run")),
    "sync": ("sync with nothing to do", ("vmcatcher", "sync")),
    "plan": ("plan, every list unchanged", ("vmcatcher", "plan")),
    # The lists of the store hold for three weeks, which is no trouble here.
    "status": ("status", ("vmcatcher", "status", "--warn-within", "1d")),
}
_ASKING = ("update", "sync", "plan")
# Lists that were never updated would be trouble, and the command would end with another code than 0.
_NEEDS_NEWS = ("status",)


def _no_preparation() -> None:
    pass


def _update_once(ground: Ground, store: Path) -> None:
    mark = store.with_name(f"{store.name}.updated")
    if not mark.exists():
        words = ground.command("vmcatcher_subscribe", "-U")
        subprocess.run(words, env={**os.environ, **ground.environment(store)}, check=True)
        mark.touch()


def growing(ground: Ground, work: str) -> Row:
    """Do the same with a store and with one that is twice as large."""
    title, words = _GROWING[work]
    sizes = ground.sizes
    counts = (sizes.subscriptions, 2 * sizes.subscriptions)
    names = [f"{count:,} × {sizes.images}, {count * sizes.cached:,} cached" for count in counts]
    contenders = tuple(
        Contender(
            name,
            (ground.command(*words),),
            ground.environment(ground.large_store(count)),
            prepare=partial(_update_once, ground, ground.large_store(count))
            if work in _NEEDS_NEWS
            else _no_preparation,
            lacking=ground.lacks_nginx if work in (*_ASKING, *_NEEDS_NEWS) else None,
        )
        for name, count in zip(names, counts, strict=True)
    )
    figures: tuple[Figure, ...] = ("wall_s", "cpu_s", "peak_mib")
    goals = tuple(Goal(figure, names[1], _MOST_GROWTH, names[0]) for figure in figures)
    return Row(f"scale-{work}", f"{title}, a store and its double", contenders, goals, most_rounds=3)
