"""The story: what an endorser signs, what a site takes, what its cloud is told. Every step is checked."""

from __future__ import annotations

import contextlib
import math
import shlex
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vmcatcher.demo.grid import make_grid
from vmcatcher.demo.publisher import LIST_ID, DemoImage, Publisher
from vmcatcher.demo.stage import EVENTS, Stage, installed_program, tree_lines
from vmcatcher.errors.demands import DemoPlaceUnusable
from vmcatcher.model.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vmcatcher.demo.grid import Endorser
    from vmcatcher.demo.voice import Voice

WORKER: Final = DemoImage("worker", "Worker node", 1)
WORKER_2: Final = DemoImage("worker", "Worker node", 2)
DESKTOP: Final = DemoImage("desktop", "Remote desktop", 1)
BUILDER: Final = DemoImage("builder", "Build machine", 1)
GPU: Final = DemoImage("gpu", "Worker node with a GPU", 1)
_HANDLER: Final = f"cat >>{EVENTS}"
_VALID: Final = timedelta(days=30)
_REFUSED_SIGNATURE: Final = 11


@dataclass(frozen=True, slots=True)
class _Cast:
    stage: Stage
    publisher: Publisher
    alice: Endorser

    def say(self, text: str) -> None:
        self.stage.voice.sentence(text)


def play(
    voice: Voice,
    environment: Mapping[str, str],
    *,
    keep: str | None = None,
    find_program: Callable[[str], Sequence[str]] = installed_program,
) -> None:
    """Play the story in a directory that is removed at the end, or in `keep`, which stays.

    `environment` is what commands inherit, less what would lead them astray; `find_program` says how each is started.

    Raises:
        DemoPlaceUnusable: there is something in `keep`, or nothing can be written there.
        DemoSurprise: a step did something else than the story says.
    """
    started = time.monotonic()
    place = keep or "TMPDIR"
    try:
        with _directory(keep) as root:
            stage = Stage(root, environment, voice, find_program)
            _play_in(stage, is_kept=keep is not None)
            seconds = time.monotonic() - started
            voice.title(f"Every step did what it should: {stage.commands_run} commands in {seconds:.1f} s.")
            if keep is None:
                voice.sentence(f"{root} is removed again. To play with it: vmcatcher demo --keep DIR")
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise DemoPlaceUnusable(path=exc.filename or place, why=exc.strerror or str(exc)) from exc


@contextlib.contextmanager
def _directory(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="vmcatcher-demo-") as name:
            yield Path(name).resolve()
        return
    root = Path(keep).resolve()
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise DemoPlaceUnusable(path=str(root), why="there is something in it already")
    yield root


def _play_in(stage: Stage, *, is_kept: bool) -> None:
    root = stage.root
    alice = make_grid(root / "certificates", root / "endorser", _now())
    publisher = Publisher(root / "www", root / "lists", alice)
    cast = _Cast(stage, publisher, alice)
    try:
        for act in (_set_up, _trust, _subscribe, _update, _select, _cache, _forge, _renew, _ask, _end, _look_back):
            act(cast)
        if is_kept:
            _go_on(cast)
    finally:
        publisher.stop()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _set_up(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "1. A grid, a publisher, a site",
        f"All of it in {stage.root}: a certificate authority with its CRL and policies; Alice, an endorser whom it "
        f"certified; and a web server on 127.0.0.1, port {cast.publisher.port}, with three images and a list of them "
        "that Alice signed (S/MIME). The site says where its store shall be and which authorities it trusts.",
    )
    cast.publisher.publish(1, (WORKER, DESKTOP, BUILDER), _now(), _now() + _VALID)
    for name in ("certificates", "www"):
        stage.voice.output([f"{name}/", *tree_lines(stage.root / name)])
    for name, value in stage.settings.items():
        stage.voice.command(f"export {name}={shlex.quote(value)}")


def _trust(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "2. Say whom you trust",
        "Nobody's signature counts until the site says so: an endorser is the subject and the issuer of a certificate.",
    )
    names = ("--subject", cast.alice.subject, "--issuer", cast.alice.issuer)
    stage.run("vmcatcher", "endorser", "add", "alice", *names)
    lines = stage.run("vmcatcher", "endorser", "list")
    stage.demand("endorsers", [f"alice\t{cast.alice.subject}\t{cast.alice.issuer}\t0"], lines)


def _subscribe(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "3. Subscribe",
        "The list is fetched; signature, certificate chain, CRL and namespace are verified. Its images are known now, "
        "in state 0. (The state adds up: 1 you selected it, 2 a valid list offers it; 3 is both.)",
    )
    stage.run("vmcatcher_subscribe", "-s", cast.publisher.list_url, "--imagelist-newimage-accept")
    stage.images(worker=0, desktop=0, builder=0)


def _update(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin("4. Update", "This is what cron does. The list is current now, and offers its images: state 2.")
    stage.run("vmcatcher_subscribe", "-U")
    stage.images(worker=2, desktop=2, builder=2)


def _select(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "5. Select, and look ahead",
        "The site wants two of the three: state 3. The plan shows what the next run would do, and why; in a pipe, as "
        "here, its columns are separated by tabs. It changes nothing.",
    )
    stage.run("vmcatcher", "image", "subscribe", "worker", "desktop")
    stage.images(worker=3, desktop=3, builder=2)
    stage.planned("publish worker", "publish desktop")


def _cache(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "6. Cache",
        "The other half of cron: both are downloaded, checked against size and SHA-512 in the signed list, and shown "
        "in store/endorsed. A handler, any command line, is told of each step; this one notes what it hears.",
    )
    stage.run("vmcatcher_cache", "-x", _HANDLER)
    stage.view("endorsed", WORKER, DESKTOP)
    stage.events(
        "ProcessPrefix",
        "AvailablePrefix worker",
        "AvailablePostfix worker",
        "AvailablePrefix desktop",
        "AvailablePostfix desktop",
        "ProcessPostfix",
    )


def _forge(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "7. Somebody tampers with the list",
        "On the web server, a checksum in the list is exchanged for that of another image. The signature does not fit "
        "any more: the list is refused with exit code 11, and the store stays as it was.",
    )
    before = stage.state_of_store()
    cast.publisher.publish_forged(1, WORKER)
    stage.run("vmcatcher_subscribe", "-U", code=_REFUSED_SIGNATURE)
    stage.images(worker=3, desktop=3, builder=2)
    stage.demand("files of the store", before, stage.state_of_store())


def _renew(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "8. Alice signs a new list",
        "Version 2 has a new worker, no desktop any more, and a new image, gpu, of which the handler is told. Sync is "
        "both halves of cron in one run. The desktop leaves: it is selected but no longer offered, state 1. The worker "
        "is replaced. What left is in store/expired.",
    )
    cast.publisher.publish(2, (WORKER_2, BUILDER, GPU), _now(), _now() + _VALID)
    stage.run("vmcatcher", "sync", "-x", _HANDLER)
    stage.images(worker=3, builder=2, gpu=2, desktop=1)
    stage.view("endorsed", WORKER_2)
    stage.view("expired", DESKTOP, WORKER)
    stage.events(
        "SubscriptionImageNew gpu",
        "ProcessPrefix",
        "ExpirePrefix desktop",
        "ExpirePostfix desktop",
        "ExpirePrefix worker",
        "ExpirePostfix worker",
        "AvailablePrefix worker",
        "AvailablePostfix worker",
        "ProcessPostfix",
    )


def _ask(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "9. Ask how it stands, and how it came to that",
        "Status is for people and for monitoring: all is well. History tells which list endorsed which bytes, and when "
        "they were in the cache. A proof is one file that shows it to others, without the store and the network.",
    )
    report = stage.run("vmcatcher", "status", "--warn-within", "7d", shown=4)
    stage.demand("the first line of status", ["status", "well"], report[0].split("\t")[:2])
    history = stage.run("vmcatcher", "image", "history", "worker")
    kinds = [line.split("\t")[0] for line in history]
    stage.demand("lines of the history", ["endorsed", "endorsed", "cached", "cached"], kinds)
    stage.run("vmcatcher", "image", "proof", "worker", "-o", "worker.proof")
    whose = ("-c", "certificates", "--signer", cast.alice.subject)
    stage.run("vmcatcher", "image", "verify-proof", "worker.proof", "store/endorsed/worker", *whose)


def _end(cast: _Cast) -> None:
    stage = cast.stage
    # Long enough for the update on a machine as slow as it was so far; the time of a list is in whole seconds.
    life_s = math.ceil(2 + 4 * stage.slowest_s)
    stage.begin(
        "10. The endorsement ends",
        f"Version 3 holds for {life_s} seconds only. Then the web server is stopped, and nobody can be asked any more.",
    )
    expires = _now() + timedelta(seconds=life_s)
    cast.publisher.publish(3, (WORKER_2, BUILDER, GPU), _now(), expires)
    stage.run("vmcatcher_subscribe", "-U")
    cast.publisher.stop()
    left_s = max(0.0, (expires - datetime.now(UTC)).total_seconds() + 0.1)
    stage.voice.aside(f"(the server is down; {left_s:.1f} s to go)")
    time.sleep(left_s)
    cast.say("Time is up. What a list offered is offered no more; the worker leaves without a word from the network.")
    stage.images(worker=1, builder=0, gpu=0, desktop=1)
    stage.run("vmcatcher_cache", "-x", _HANDLER)
    stage.view("endorsed")
    stage.view("expired", DESKTOP, WORKER, WORKER_2)
    stage.events("ProcessPrefix", "ExpirePrefix worker", "ExpirePostfix worker", "ProcessPostfix")


def _look_back(cast: _Cast) -> None:
    stage = cast.stage
    stage.begin(
        "11. What is left",
        "The store is a tree of files: what the site decided (endorsers, subscription.json), what was received and "
        "proved (lists, blobs), what was done (cache), and the views that follow. It can be checked at any time.",
    )
    stage.run("vmcatcher", "store", "check", "--data")
    stage.voice.output(["store/", *tree_lines(stage.root / "store")])
    events = stage.all_events()
    cast.say(f"And this is what the cloud was told, {len(events)} events in all ({EVENTS}):")
    stage.voice.output(str(one) for one in events)
    stage.demand("kinds of events", {kind.value for kind in EventKind}, {one.kind for one in events})


def _go_on(cast: _Cast) -> None:
    """Leave a list that can be subscribed to again, and say how."""
    stage, root = cast.stage, shlex.quote(str(cast.stage.root))
    cast.publisher.publish(4, (WORKER_2, BUILDER, GPU), _now(), _now() + _VALID)
    stage.voice.title("To go on by hand")
    cast.say(
        f"Everything stays in {stage.root}. Alice has signed version 4, good for {_VALID.days} days. Serve it, say "
        "where the store is, update, and the worker is back:"
    )
    python = shlex.join([*_PYTHON, str(cast.publisher.port), "--bind", "127.0.0.1", "--directory"])
    stage.voice.command(f"{python} {root}/www &")
    for name, value in stage.settings.items():
        stage.voice.command(f"export {name}={shlex.quote(value)}")
    stage.voice.command("vmcatcher sync; vmcatcher image list")
    cast.say(f"To sign a list of your own for {LIST_ID}, edit lists/4.json (its hv:version must grow), then:")
    keys = "-signer endorser/cert.pem -inkey endorser/key.pem"
    stage.voice.command(f"cd {root} && openssl smime -sign -md sha256 {keys} -in lists/4.json -out www/demo.image_list")


_PYTHON: Final = ("python3", "-m", "http.server")
