"""Signed messages with random damage: each is refused by name, or says what was signed and nothing else."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support import handmade
from support.handmade import Cms, multipart, opaque
from support.openssl import cms_sign, smime_sign
from support.pki import Pki
from vmcatcher.errors.trust import ListUntrusted
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CONTENT = b'{"hv:imagelist": {\n "hv:images": [],\n "dc:title": "Some list"\n}}\n'
RULES = TrustRules(sha1=True, crl="if-present")
SEED = 20260601

SOMETHING = (b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"--", b"\n\n", b"A: b\n\n", b"\x24\x80", b"\0\0")

Mutation = Callable[[random.Random, bytes], bytes]


def flip_a_bit(rng: random.Random, source: bytes) -> bytes:
    at = rng.randrange(len(source))
    return source[:at] + bytes((source[at] ^ 1 << rng.randrange(8),)) + source[at + 1 :]


def replace_a_byte(rng: random.Random, source: bytes) -> bytes:
    at = rng.randrange(len(source))
    return (
        source[:at] + rng.choice((b"\0", b"\r", b"\n", b"-", b"=", b'"', b"\x30", b"\x80", b"\xff")) + source[at + 1 :]
    )


def cut_out(rng: random.Random, source: bytes) -> bytes:
    at = rng.randrange(len(source))
    return source[:at] + source[at + rng.randrange(1, 40) :]


def cut_short(rng: random.Random, source: bytes) -> bytes:
    return source[: rng.randrange(len(source))]


def repeat(rng: random.Random, source: bytes) -> bytes:
    at = rng.randrange(len(source))
    end = at + rng.randrange(1, 200)
    return source[:end] + source[at:end] * rng.randrange(1, 4) + source[end:]


def swap_lines(rng: random.Random, source: bytes) -> bytes:
    lines = source.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def insert_something(rng: random.Random, source: bytes) -> bytes:
    at = rng.randrange(len(source))
    found = rng.choice(
        (
            b"\r",
            b"\n",
            b"\r\n",
            b" ",
            b"\t",
            b"\0",
            b"--",
            b"\n\n",
            b"Content-Type: text/plain\n\n",
            b"\x24\x80",
            b"\0\0",
        )
    )
    return source[:at] + found + source[at:]


_BLOCK = re.compile(rb"\n\n(MI[A-Za-z0-9+/=\n]+)")


def inside_the_block(mutation: Mutation) -> Mutation:
    """Damage the signature block under its base64, which stays good."""

    def mutate(rng: random.Random, source: bytes) -> bytes:
        found = _BLOCK.search(source)
        try:
            block = base64.b64decode(found[1]) if found else b""
        except ValueError:
            block = b""
        if not found or not block:
            return mutation(rng, source)
        return source[: found.start(1)] + base64.encodebytes(mutation(rng, block)) + source[found.end(1) :]

    return mutate


ANYWHERE: list[Mutation] = [flip_a_bit, replace_a_byte, cut_out, cut_short, repeat, swap_lines, insert_something]
MUTATIONS = ANYWHERE + [inside_the_block(mutation) for mutation in ANYWHERE for _ in range(2)]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrustAnchors, list[bytes]]:
    """Anchors, and a good message of every kind."""
    root: Path = tmp_path_factory.mktemp("grid")
    pki = Pki(root, now=NOW)
    alice, bob, eve = pki.endorser(), pki.intermediate().endorser("Bob", key="rsa"), pki.endorser("Ed", key="ed25519")
    by_hand = Cms(eve.parsed, eve.private_key, CONTENT.replace(b"\n", b"\r\n"), digest="sha512")  # type: ignore[arg-type]  # Ed25519
    messages = [
        alice.sign(CONTENT),
        bob.sign(CONTENT),
        smime_sign(CONTENT, alice, "-nodetach", "-stream"),
        smime_sign(CONTENT, alice, "-noattr"),
        smime_sign(CONTENT, bob, "-text", "-noattr", "-nodetach"),
        cms_sign(CONTENT, alice, "-keyid", "-text"),
        cms_sign(CONTENT, bob, "-keyopt", "rsa_padding_mode:pss"),
        smime_sign(CONTENT, bob, "-md", "sha1"),
        multipart(CONTENT, by_hand.der()),
        opaque(by_hand.but(encapsulated=by_hand.content, attributes=None).der()),
    ]
    return TrustAnchors.load(str(pki.certificates)), [message.replace(b"\r\n", b"\n") for message in messages]


def survivors(grid: tuple[TrustAnchors, list[bytes]], count: int, seed: int) -> int:
    """Damage messages `count` times; return how many were accepted all the same, with what was signed unchanged."""
    anchors, messages = grid
    signed = [verify(message, anchors, NOW, RULES).content for message in messages]
    rng = random.Random(seed)
    accepted = 0
    for _ in range(count):
        at = rng.randrange(len(messages))
        message = messages[at]
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            message = rng.choice(MUTATIONS)(rng, message) or b"x"
        try:
            content = verify(message, anchors, NOW, RULES).content
        except ListUntrusted:
            continue
        assert content == signed[at]
        accepted += 1
    return accepted


def test_damaged_messages_are_refused_or_unchanged(grid: tuple[TrustAnchors, list[bytes]]) -> None:
    accepted = survivors(grid, 3_000, SEED)
    assert 0 < accepted < 1_000  # line ends, preamble and headers may be damaged without harm


@pytest.mark.slow
def test_very_many_damaged_messages_are_refused_or_unchanged(grid: tuple[TrustAnchors, list[bytes]]) -> None:
    assert survivors(grid, 30_000, SEED + 1) > 0


def test_random_bytes_are_refused(grid: tuple[TrustAnchors, list[bytes]]) -> None:
    rng = random.Random(SEED)
    for _ in range(300):
        rubbish = rng.randbytes(rng.randrange(400))
        for message in (rubbish, multipart(b"{}\n", rubbish), opaque(rubbish), opaque(handmade.tlv(0x30, rubbish))):
            with pytest.raises(ListUntrusted):
                verify(message, grid[0], NOW, RULES)


def test_damaged_anchor_files_never_stop_the_reading(tmp_path: Path) -> None:
    """CRLs come over plain http: what is in them is as hostile as a message."""
    pki = Pki(tmp_path, now=NOW)
    alice = pki.endorser()
    message = alice.sign(CONTENT)
    pki.revoke(alice)
    other = Pki(tmp_path, name="Other CA", now=NOW)  # so that the directory is never without a CA
    spoiled = (pki.certificate, pki.crl, pki.signing_policy, pki.namespaces)
    good = {path: path.read_bytes() for path in spoiled}
    good[pki.crl] = pki.crl_der()
    rng = random.Random(SEED)
    for _ in range(500):
        path = rng.choice(spoiled)
        for each, content in good.items():
            each.write_bytes(rng.choice(ANYWHERE)(rng, content) if each == path else content)
        anchors = TrustAnchors.load(str(other.certificates))
        with pytest.raises(ListUntrusted):
            verify(message, anchors, NOW)
