"""Ten times the hostile input takes about ten times as long: nothing here can be made to try again and again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from support import handmade
from support.handmade import Cms, multipart, oid, opaque, tlv
from support.pki import Pki, Signer
from vmcatcher.errors.trust import ListUntrusted
from vmcatcher.model.identity import OneLineName
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.policy import Grant
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SMALL, LARGE = 1 << 20, 10 << 20
MULTIPART = b'Content-Type: multipart/signed; boundary="b"\n\n'
RULES = TrustRules(max_bytes=1 << 30)

Evil = Callable[[Signer, int], bytes]


def signed(part: Callable[[int], bytes]) -> Evil:
    """A part that really was signed, so that every later step sees it."""
    return lambda signer, size: handmade.detached(signer.parsed, signer.private_key, part(size))  # type: ignore[arg-type]  # EC


def in_the_block(block: Callable[[int], bytes]) -> Evil:
    return lambda _, size: opaque(block(size * 3 // 4))


def certificate_with(edit: Callable[[list[bytes], int], list[bytes]]) -> Evil:
    """A certificate that names the same signer and is huge."""

    def message(signer: Signer, size: int) -> bytes:
        def edited(parts: list[bytes]) -> list[bytes]:
            return edit(parts, size)

        key = signer.private_key
        der = handmade.resigned(signer.der, key, edit=edited)  # type: ignore[arg-type]  # EC
        return handmade.detached(signer.parsed, key, b"{}\n", certificates=(der,))  # type: ignore[arg-type]  # EC

    return message


def long_name(parts: list[bytes], size: int) -> list[bytes]:
    rdn = tlv(handmade.SET, tlv(handmade.SEQUENCE, oid("2.5.4.3"), tlv(0x0C, b"a/b\xff")))
    return [*parts[:5], tlv(handmade.SEQUENCE, rdn * (size // len(rdn))), *parts[6:]]


def long_value(parts: list[bytes], size: int) -> list[bytes]:
    rdn = tlv(handmade.SET, tlv(handmade.SEQUENCE, oid("2.5.4.3"), tlv(0x0C, b"/a+" * (size // 3))))
    return [*parts[:5], tlv(handmade.SEQUENCE, rdn), *parts[6:]]


def many_extensions(parts: list[bytes], size: int) -> list[bytes]:
    one = tlv(handmade.SEQUENCE, oid("1.3.6.1.4.1.99999"), tlv(handmade.OCTETS, b"\5\0"))
    return [*parts[:7], tlv(0xA3, tlv(handmade.SEQUENCE, one * (size // len(one))))]


EVIL: dict[str, Evil] = {
    "blanks": lambda _, size: b" " * size,
    "header-lines": lambda _, size: b"A: b\n" * (size // 5),
    "header-carriage-returns": lambda _, size: b"A: " + b"\r" * size,
    "parameters": lambda _, size: (b"Content-Type: a/b" + b';x="\\"' * size)[:size],
    "delimiters": lambda _, size: MULTIPART + b"--b " * (size // 4),
    "delimiter-lines": lambda _, size: MULTIPART + b"--b x\n" * (size // 6),
    "delimiter-with-long-tail": lambda _, size: MULTIPART + b"--b" + b" \t" * (size // 2),
    "line-feeds": lambda _, size: multipart(b"\n" * size, b"x"),
    "carriage-returns": signed(lambda size: b"\r" * size),
    "carriage-return-runs": signed(lambda size: (b"\r" * 1000 + b"x" + b"\r\r\n") * (size // 1004)),
    "lines": signed(lambda size: b"\n" * (size // 2)),
    "signed-blanks": signed(lambda size: b" " * size),
    "signed-header": signed(lambda size: b"A" * size),
    "quoted-printable": signed(
        lambda size: b"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n" + b"=" * size
    ),
    "base64-text": signed(
        lambda size: b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + b"A\n" * (size // 2)
    ),
    "base64-of-nothing": lambda _, size: multipart(b"{}\n", b"").replace(
        b"base64\n\n", b"base64\n\n" + b" \n" * (size // 2)
    ),
    "nesting": in_the_block(lambda size: b"\x30\x80" * (size // 2)),
    "chunks": in_the_block(lambda size: b"\x30\x80\x24\x80" + b"\4\1x" * (size // 3)),
    "empty-chunks": in_the_block(lambda size: b"\x30\x80" + b"\x24\0" * (size // 2)),
    "elements": in_the_block(lambda size: tlv(handmade.SEQUENCE, b"\5\0" * (size // 2))),
    "object-identifier": in_the_block(lambda size: tlv(handmade.SEQUENCE, tlv(6, b"\xff" * size), b"\xa0\0")),
    "signers": lambda signer, size: multipart(
        b"{}\n",
        Cms(signer.parsed, signer.private_key, b"").der(signers=[b"\x30\0" * (size * 3 // 8)]),  # type: ignore[arg-type]  # EC
    ),
    "attributes": lambda signer, size: handmade.detached(
        signer.parsed,
        signer.private_key,
        b"{}\n",
        attributes=(tlv(handmade.SEQUENCE, oid("1.2.3"), b"\x31\0"),) * (size // 12),  # type: ignore[arg-type]  # EC
    ),
    "attribute-values": lambda signer, size: handmade.detached(
        signer.parsed,
        signer.private_key,
        b"{}\n",
        attributes=(handmade.attribute("1.2.3", b"\5\0" * (size // 3)),),  # type: ignore[arg-type]  # EC
    ),
    "certificates": lambda signer, size: handmade.detached(
        signer.parsed,
        signer.private_key,  # type: ignore[arg-type]  # EC
        b"{}\n",
        certificates=(b"\x30\0",) * (size // 3),
    ),
    "name": certificate_with(long_name),
    "name-value": certificate_with(long_value),
    "extensions": certificate_with(many_extensions),
}


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrustAnchors, Signer]:
    pki = Pki(tmp_path_factory.mktemp("grid"), now=NOW)
    return TrustAnchors.load(str(pki.certificates)), pki.endorser()


def seconds(message: bytes, anchors: TrustAnchors) -> float:
    start = time.process_time()
    with contextlib.suppress(ListUntrusted):
        verify(message, anchors, NOW, RULES)
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_time_grows_no_faster_than_the_message(evil: Evil, grid: tuple[TrustAnchors, Signer]) -> None:
    """Quadratic work would take a hundred times as long; thirty leaves room for a busy machine."""
    anchors, signer = grid
    small, large = evil(signer, SMALL), evil(signer, LARGE)
    shortest = min(seconds(small, anchors) for _ in range(3))
    assert seconds(large, anchors) < 30 * max(shortest, 0.005)


def test_policy_patterns_take_linear_time() -> None:
    """The subject comes from a certificate that anybody may have made."""

    def took(size: int) -> float:
        text = "/CN=" + "ab" * size
        grant = Grant("/CN=x", "PERMIT", "/CN=" + "*a" * 30 + "*c", "signing_policy", "x.signing_policy", 1)
        start = time.process_time()
        assert not grant.covers(OneLineName(escaped=text, plain=text))
        return time.process_time() - start

    took(10)
    assert took(200_000) < 30 * max(min(took(20_000) for _ in range(3)), 0.005)
