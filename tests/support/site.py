"""A whole site for tests: a grid, an endorser, a publisher on loopback, a store, and the commands on it.

    site = Site(tmp_path, server)                    # the `site` fixture of tests/conftest.py
    site.publish("1", site.image(1), site.image(2))  # signed by Alice, served at /list
    site.run("endorser", "-C", …)                    # the real command, in this process
    site.join()                                      # endorser, subscribe, update in one go
    site.select(1); site.cache()
    assert site.told() == ["ProcessPrefix", "AvailablePrefix 1", …]

Commands run in this process with a clock that the test moves (`site.now`), or with `site.call` as installed
commands, in processes of their own and with the real clock.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from support.pki import Pki, Signer
from support.schemas import check_envelope
from support.server import Server
from support.tree import check_invariants, tree

LIST_ID = "11111111-aaaa-4aaa-8aaa-000000000001"


def image_id(number: int) -> str:
    """The identifier of the test image of that number."""
    return f"a0000000-bbbb-4bbb-8bbb-{number:012d}"


@dataclass(frozen=True)
class Result:
    """What a command did: exit code, stdout and stderr as text, stdout as bytes."""

    code: int
    out: str
    err: str
    raw: bytes = field(repr=False, default=b"")

    @property
    def json(self) -> Any:
        """Stdout as one JSON document."""
        return json.loads(self.out)

    @property
    def answer(self) -> Any:
        """The `result` of the JSON document of a noun-verb command, which keeps to its schema."""
        return check_envelope(self.out)["result"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors that the same document names."""
        errors: list[dict[str, Any]] = check_envelope(self.out)["errors"]
        return errors

    @property
    def lines(self) -> list[str]:
        """Stdout as lines."""
        return self.out.splitlines()


class Site:
    """One store with everything around it."""

    def __init__(self, root: Path, server: Server, *, pki: Pki | None = None) -> None:
        self.root = root
        self.server = server
        self.pki = pki or Pki(root / "pki")
        self.alice: Signer = self.pki.endorser("Alice Endorser")
        self.store = root / "store"
        self.events = root / "events.jsonl"
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.environment: dict[str, str] = {
            "VMCATCHER_STORE": str(self.store),
            "VMCATCHER_DIR_CERT": str(self.pki.certificates),
        }

    # -- what the publisher does

    def image(
        self,
        number: int,
        version: str = "1",
        *,
        content: bytes | None = None,
        path: str | None = None,
        **fields: object,
    ) -> dict[str, object]:
        """Serve the bytes of an image and return its `hv:image`; `fields` replace members (None removes one)."""
        content = f"image {number} version {version}\n".encode() * 100 if content is None else content
        path = path or f"/images/{number}-v{version}.raw"
        self.server.publish(path, content)
        image: dict[str, object] = {
            "dc:identifier": image_id(number),
            "dc:title": f"Title of image {number}",
            "dc:description": f"Test image {number}",
            "hv:size": len(content),
            "hv:uri": self.server.url(path),
            "hv:version": version,
            "hv:hypervisor": "kvm",
            "sl:arch": "x86_64",
            "sl:checksum:sha512": hashlib.sha512(content).hexdigest(),
            "sl:os": "Linux",
            "sl:osversion": "Debian 12",
            "sl:comments": f"No comment {number}",
        }
        image.update({name.replace("__", ":"): value for name, value in fields.items()})
        return {name: value for name, value in image.items() if value is not None}

    def content(
        self, version: str, *images: dict[str, object], signer: Signer | None = None, **fields: object
    ) -> bytes:
        """Return the JSON of a list; `fields` replace members (None removes one); `__` in a name stands for `:`."""
        signer = signer or self.alice
        listed: dict[str, object] = {
            "dc:identifier": LIST_ID,
            "dc:date:created": _instant(self.now - timedelta(minutes=1)),
            "dc:date:expires": _instant(self.now + timedelta(days=20)),
            "dc:title": "Test list title",
            "dc:description": "A test list",
            "dc:source": "grid.test",
            "hv:version": version,
            "hv:uri": self.server.url("/list"),
            "ad:vo": "test.vo",
            "hv:endorser": {
                "hv:x509": {
                    "hv:dn": signer.subject,
                    "hv:ca": signer.issuer,
                    "hv:email": "user@grid.test",
                    "dc:creator": "Alice Endorser",
                }
            },
            "hv:images": [{"hv:image": image} for image in images],
        }
        listed.update({name.replace("__", ":"): value for name, value in fields.items()})
        kept = {name: value for name, value in listed.items() if value is not None}
        return json.dumps({"hv:imagelist": kept}, indent=4).encode()

    def publish(
        self,
        version: str,
        *images: dict[str, object],
        path: str = "/list",
        signer: Signer | None = None,
        **fields: object,
    ) -> bytes:
        """Sign a list and serve it; return the signed bytes."""
        signed = (signer or self.alice).sign(self.content(version, *images, signer=signer, **fields))
        self.server.publish(path, signed)
        return signed

    # -- what the operator does

    def run(self, command: str, *arguments: str, **environment: str) -> Result:
        """Run `vmcatcher_<command>`, or `vmcatcher`, in this process, with the site's clock.

        `environment` adds variables.
        """
        from vmcatcher import wiring

        module = importlib.import_module(
            "vmcatcher.cli.app" if command == "vmcatcher" else f"vmcatcher.cli.classic.{command}"
        )
        with (
            mock.patch.dict(os.environ, {**self.environment, **environment}),
            mock.patch.object(wiring, "clock", return_value=self.now),
            _captured() as (out, err),
        ):
            try:
                code = module.main(list(arguments))
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            sys.stdout.flush()
        raw = out.getvalue()
        return Result(code, raw.decode(), err.getvalue(), raw)

    def call(self, *command: str, prefix: tuple[str, ...] = (), cwd: Path | None = None, **environment: str) -> Result:
        """Run an installed command in a process of its own."""
        program = str(Path(sys.executable).parent / command[0])
        # Coverage of a process that runs as somebody else could not be written down; all others' is.
        inherited = {name: value for name, value in os.environ.items() if not (prefix and name.startswith("COV"))}
        done = subprocess.run(
            [*prefix, program, *command[1:]],
            env={**inherited, **self.environment, **environment},
            cwd=cwd or self.root,
            capture_output=True,
            timeout=50,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode(), done.stdout)

    def join(self, *images: dict[str, object], version: str = "1", update: bool = True) -> None:
        """Publish a list where images are given, know its endorser, subscribe to it, and bring it up to date."""
        if images:
            self.publish(version, *images)
        self.expect(0, "endorser", "-C", "-e", "alice", "--dn", self.alice.subject, "-I", self.alice.issuer)
        self.expect(0, "subscribe", "-s", self.server.url("/list"))
        if update:
            self.expect(0, "subscribe", "-U")

    def expect(self, code: int, command: str, *arguments: str, **environment: str) -> Result:
        """Run a command and demand its exit code."""
        result = self.run(command, *arguments, **environment)
        assert result.code == code, f"{command} {arguments}: {result}"
        return result

    def select(self, *numbers: int) -> None:
        """Select images for the cache."""
        self.expect(0, "image", "-a", *(word for number in numbers for word in ("-u", image_id(number))))

    def cache(self, *arguments: str, code: int = 0, **environment: str) -> Result:
        """Run vmcatcher_cache with a handler that notes every event, and demand its exit code and a sound store."""
        result = self.run("cache", "-x", f"cat >> {self.events}", *arguments, **environment)
        assert result.code == code, result
        assert check_invariants(self.store) == []
        return result

    def states(self) -> dict[str, int]:
        """Return `vmcatcher_image -l` as identifier -> state."""
        rows = (line.split("\t") for line in self.expect(0, "image", "-l").lines)
        return {row[0]: int(row[1]) for row in rows}

    # -- what can be seen

    def noted(self) -> list[dict[str, str]]:
        """Return every event that the handler noted, as its variables without the common prefix."""
        if not self.events.exists():
            return []
        documents = (json.loads(line) for line in self.events.read_text().splitlines())
        return [{key.removeprefix("VMCATCHER_EVENT_"): value for key, value in one.items()} for one in documents]

    def told(self, *, forget: bool = True) -> list[str]:
        """Return the noted events as `TYPE NUMBER`, and forget them."""
        found = []
        for event in self.noted():
            number = event.get("DC_IDENTIFIER", "")[-12:].lstrip("0")
            found.append(f"{event['TYPE']} {number}".strip())
        if forget:
            self.events.unlink(missing_ok=True)
        return found

    def endorsed(self) -> dict[str, bytes]:
        """Return the endorsed view as name -> bytes, without its index."""
        return _view(self.store / "endorsed")

    def expired(self) -> dict[str, bytes]:
        """Return the expired view as name -> bytes, without its index."""
        return _view(self.store / "expired")

    def index(self, view: str = "endorsed") -> dict[str, Any]:
        """Return the `cache.index` of a view."""
        document: dict[str, Any] = json.loads((self.store / view / "cache.index").read_text())
        return document

    def tree(self) -> dict[str, str]:
        """Return the store as path -> what is there; see `support.tree`."""
        return tree(self.store)


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _view(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.name != "cache.index"}


@contextlib.contextmanager
def _captured() -> Iterator[tuple[io.BytesIO, io.StringIO]]:
    out, err = io.BytesIO(), io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    text = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(err):
        try:
            yield out, err
        finally:
            text.flush()
            text.detach()
            root.handlers[:], root.level = before
