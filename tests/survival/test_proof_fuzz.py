"""Thousands of proofs with damage and malice in them: what holds has to prove the same as the genuine one did.

Damage alone is found by the digest at the end. The liar of the other tests writes a new digest, and says again
everywhere what follows from a changed part, so that only signatures stand in the way.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from support.proofs import RULES, anchors, proof_of, sealed
from support.site import Site, image_id
from vmcatcher.errors import VmcatcherError
from vmcatcher.services.proof_check import ProofQuestions, check_proof, hold_together

SEED = 20261124
_SOMETHING = (b"\r", b"\n", b" ", b"\0", b'"', b"\\", b"{", b"}", b",", b"0", b"-", b"A", b"\xff", b"\\u0000", b"null")
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**70, 1.5, "", "x", "\u202e", "\0", "../../etc/passwd", [], {}, [[]], ["x"], {"x": 1},
    "2026-11-24T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "A" * 5000, image_id(3), "0" * 128,
)  # fmt: skip


@pytest.fixture(scope="session")
def proof(past: Site) -> bytes:
    """The genuine one."""
    return proof_of(past)


# -- damage


def _damaged(rng: random.Random, source: bytes) -> bytes:
    at = rng.randrange(len(source))
    end = at + rng.randrange(1, 60)
    match rng.randrange(6):
        case 0:
            return source[:at] + bytes((source[at] ^ 1 << rng.randrange(8),)) + source[at + 1 :]
        case 1:
            return source[:at] + rng.choice(_SOMETHING) + source[at + rng.randrange(2) :]
        case 2:
            return source[:at] + source[end:]
        case 3:
            return source[:at]
        case 4:
            return source[:end] + source[at:end] + source[end:]
        case _:
            lines = source.splitlines(keepends=True)
            one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            return b"".join(lines)


def _throw_damage(proof: bytes, rng: random.Random, times: int) -> Counter[str]:
    told: Counter[str] = Counter()
    for _ in range(times):
        content = proof
        for _ in range(rng.randrange(1, 4)):
            content = _damaged(rng, content or b"x")
        if content == proof:
            continue
        with pytest.raises(VmcatcherError) as refused:
            hold_together(content, RULES)
        assert refused.value.one_line().isprintable()
        told[refused.value.id] += 1
    return told


# -- lies


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from _places(one, (*path, key))


def _above(document: dict[str, Any], path: tuple[Any, ...]) -> Any:
    found: Any = document
    for key in path[:-1]:
        found = found[key]
    return found


def _change_value(rng: random.Random, document: dict[str, Any]) -> None:
    path = rng.choice(list(_places(document)))
    above, key = _above(document, path), path[-1]
    match rng.randrange(4):
        case 0:
            del above[key]
        case 1 if isinstance(above, list):
            above.append(copy.deepcopy(rng.choice(above)))
        case 2 if isinstance(above[key], str):
            text = above[key]
            at = rng.randrange(len(text) + 1)
            above[key] = text[:at] + rng.choice("\n\0 09aZ/*'\"é") + text[at + rng.randrange(3) :]
        case _:
            above[key] = rng.choice(_VALUES)


def _change_signed_bytes(rng: random.Random, document: dict[str, Any]) -> None:
    """Damage a part that somebody signed, and say everywhere what follows from that."""
    signed = base64.b64decode(document["list"]["signed"])
    signed = _damaged(rng, signed) or b"x"
    document["list"] |= {"signed": base64.b64encode(signed).decode(), "sha512": hashlib.sha512(signed).hexdigest()}


def _change_der(rng: random.Random, document: dict[str, Any]) -> None:
    kind = rng.choice(("signer", "authority", "crl"))
    holder, key = {
        "signer": (document["signer"], "certificate"),
        "authority": (document["authorities"][0], "certificate"),
        "crl": (document["crls"], 0),
    }[kind]
    label = "X509 CRL" if kind == "crl" else "CERTIFICATE"
    body = "".join(holder[key].splitlines()[1:-1])
    der = _damaged(rng, base64.b64decode(body)) or b"x"
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    holder[key] = f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
    if kind != "crl":
        holder["fingerprint"] = hashlib.sha256(der).digest().hex(":").upper()


def _move_times(rng: random.Random, document: dict[str, Any]) -> None:
    for name in rng.sample(("admitted", "verified"), rng.randrange(1, 3)):
        moved = timedelta(seconds=rng.choice((1, -1, 60, -600, 86400, -86400, 10**7, 10**9)))
        document[name] = document[name].replace("2026", rng.choice(("2026", "2027", "1970", "8999")))
        document[name] = _shifted(document[name], moved)


def _shifted(text: str, by: timedelta) -> str:
    from vmcatcher.model.instant import instant_text, parse_instant

    return instant_text(parse_instant(text) + by)


_LIES: tuple[Callable[[random.Random, dict[str, Any]], None], ...] = (
    _change_value,
    _change_signed_bytes,
    _change_der,
    _move_times,
)


def _claims(content: bytes) -> dict[str, Any]:
    """Return what a proof says, without what nobody signed: when, the policies, and the wrapping of the list."""
    document: dict[str, Any] = json.loads(content)
    for name in ("admitted", "verified", "~sha256", "crls"):
        document.pop(name, None)
    for one in document.get("authorities", []):
        one.pop("policies", None)
    for name in ("signed", "sha512"):
        document["list"].pop(name, None)
    return document


def _throw_lies(past: Site, proof: bytes, rng: random.Random, times: int) -> Counter[str]:
    own = anchors(past)
    genuine = hold_together(proof, RULES)
    told: Counter[str] = Counter()
    for _ in range(times):
        document = json.loads(proof)
        for _ in range(rng.randrange(1, 3)):
            try:
                rng.choice(_LIES)(rng, document)
            except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError):
                break  # an earlier lie took away what this one is about
        content = sealed(document)
        questions = ProofQuestions(past.now + timedelta(hours=1), own, past.alice.subject)
        try:
            report = check_proof(content, RULES, questions)
        except VmcatcherError as refused:
            told[refused.id if refused.one_line().isprintable() else "unprintable"] += 1
            continue
        told["holds"] += 1
        held = report.held
        assert (held.image, held.verified.content) == (genuine.image, genuine.verified.content)
        assert held.verified.chain == genuine.verified.chain
        assert held.verified.crls == genuine.verified.crls
        assert _claims(content) == _claims(proof)
    return told


def test_damaged_proof_never_holds(proof: bytes) -> None:
    told = _throw_damage(proof, random.Random(SEED), 60)
    assert told["proof-altered"]


def test_proof_of_a_liar_proves_nothing_else(past: Site, proof: bytes) -> None:
    told = _throw_lies(past, proof, random.Random(SEED), 60)
    assert len(told) > 5
    assert not told["unprintable"]


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("run", range(4))
def test_thousands_of_damaged_proofs_never_hold(proof: bytes, run: int, record_property: pytest.RecordProperty) -> None:
    told = _throw_damage(proof, random.Random(f"{SEED} {run}"), 5000)
    record_property("figures", f"damaged proofs, run {run}: {dict(told.most_common())}")
    assert told["holds"] == 0


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("run", range(4))
def test_thousands_of_liars_prove_nothing_else(
    past: Site, proof: bytes, run: int, record_property: pytest.RecordProperty
) -> None:
    told = _throw_lies(past, proof, random.Random(f"{SEED} {run}"), 5000)
    record_property("figures", f"lying proofs, run {run}: {dict(told.most_common())}")
    assert not told["unprintable"]
    # Not every change is one: when it was admitted, and the text of the policies, are nobody's signed word.
    assert sum(told.values()) - told["holds"] > 4000
