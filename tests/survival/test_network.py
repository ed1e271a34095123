"""Everything a server can do wrong, seen from the commands: lists and images, over http and https.

After each fault: the command has ended in time, with its code and one line that names what failed and why; no wrong
bytes are stored; the other list and the other images came; and the next run, with the server in order, heals it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from support.server_client import Waits
from support.server_faults import FAULTS
from support.server_place import IMAGE, LIST, SIZE, Place, publish
from support.site import LIST_ID, Result, image_id
from vmcatcher.transport.transport import Transport


@dataclass(frozen=True)
class Expected:
    """How a command ends after a fault, what its line says, and how often the server was asked."""

    code: int
    cause: str
    gets: int


@dataclass(frozen=True)
class Case:
    """One fault: which row, which mode with which options; None where a fault cannot strike."""

    row: str
    mode: str
    listed: Expected | None
    image: Expected | None
    options: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    haste: float = 1
    """How many times faster than real time the transport's clock runs: nobody waits for a minute here."""


def both(cause: str, gets: int) -> tuple[Expected, Expected]:
    """A fault that ends lists and images in the same way."""
    return Expected(10, cause, gets), Expected(75, cause, gets)


def refused(code: int, cause: str) -> Expected:
    """An end after one request."""
    return Expected(code, cause, 1)


_IDLE = {"VMCATCHER_IDLE_TIMEOUT": "0.4"}
_ENDED, _ANSWER, _BODY = "the body ended after", "waited 0.4 s for an answer", "waited 0.4 s for the body"
_TOO_LONG = refused(1, r"wrong bytes: size 400000 expected, more than 400000 found")
_LIMIT = "more than 10485760 bytes"
_BAD = "bad answer from the server, "
_REDIRECT = "redirect to '{}.*' not followed, "

CASES = {
    "truncated": Case("fault_33", "truncate", *both(_ENDED, 3), {"after": 1500}),
    "truncated at once": Case("fault_33", "truncate", *both(_ENDED, 3), {"after": 0}),
    "reset": Case("fault_33", "rst", *both(f"{_ENDED}|the connection broke", 3), {"after": 1500}),
    "closed": Case("fault_33", "close", *both("the connection broke", 3)),
    "last chunk missing": Case("fault_33", "chunked", *both(_ENDED, 3), {"cut": True}),
    "no length": Case(
        "fault_34", "nolength", refused(11, "ends after [0-9]+ bytes without its closing boundary"),
        Expected(75, _ENDED, 3), {"after": 1500},
    ),
    "announced longer": Case(
        "fault_35", "longer", refused(10, "more than 20000 bytes"), _TOO_LONG, {"extra": 20_000},
        {"VMCATCHER_LIST_BYTES": "20000"},
    ),
    "longer": Case(
        "fault_35", "longer", refused(10, "more than 20000 bytes"), _TOO_LONG, {"extra": 20_000, "announced": False},
        {"VMCATCHER_LIST_BYTES": "20000"},
    ),
    "endless": Case("fault_36", "endless", refused(10, _LIMIT), _TOO_LONG),
    # An image is complete before its trailers come; that it took no harm is seen by its digest.
    "endless trailers": Case("fault_36", "trailers", Expected(10, _BODY, 3), None, settings=_IDLE),
    "endless interim answers": Case("fault_36", "continues", *both(_ANSWER, 3), settings=_IDLE),
    "dripping": Case(
        "fault_37", "drip", *both(r"[0-9]+ bytes in [0-9]+ s, expected at least 1024 bytes/s", 1),
        settings={"VMCATCHER_LIST_TIMEOUT": "30000"}, haste=200,
    ),
    "dripping fast enough": Case(
        "fault_37", "drip", refused(10, "not received within 0.5 s"), None, {"gap": 0.01},
        {"VMCATCHER_LIST_TIMEOUT": "0.5"},
    ),
    "dripping header": Case("fault_37", "dripheader", *both(_ANSWER, 3), settings=_IDLE),
    "dripping frame": Case("fault_37", "dripframe", *both(_BODY, 3), settings=_IDLE),
    "silent": Case("fault_37", "hang", *both(_ANSWER, 3), settings=_IDLE),
    "falling silent": Case("fault_37", "hang", *both(_BODY, 3), {"after": 1500}, _IDLE),
    "huge header": Case("fault_38", "hugeheader", *both(f"{_BAD}a header line is longer than 64 KiB", 1)),
    "many headers": Case("fault_38", "manyheaders", *both(f"{_BAD}got more than 100 headers", 1), {"count": 200}),
    "no http": Case("fault_38", "garbage", *both(f"{_BAD}it does not begin with an HTTP status line", 1)),
    "to a file": Case("fault_39", "redirect", *both(_REDIRECT.format("file:///"), 1), {"to": "file:///etc/passwd"}),
    "to ftp": Case("fault_39", "redirect", *both(_REDIRECT.format("ftp://"), 1), {"to": "ftp://127.0.0.1/x"}),
    "to gopher": Case("fault_39", "redirect", *both(_REDIRECT.format("gopher://"), 1), {"to": "gopher://127.0.0.1/x"}),
    "to data": Case("fault_39", "redirect", *both(_REDIRECT.format("data:"), 1), {"to": "data:text/plain,x"}),
    "loop": Case("fault_43", "loop", *both("more than 5 redirects", 6)),
    "not modified": Case("fault_44", "304-unasked", None, refused(75, "'not modified' to a plain request")),
    "gzip": Case("fault_49", "gzip", *both("the body is encoded as 'gzip'", 1)),
    "bomb": Case("fault_49", "bomb", *both("the body is encoded as 'gzip'", 1)),
    "login page": Case(
        "fault_50", "html200", refused(11, r"not a signed list \(text/html, 26 bytes\)"),
        refused(75, r"offers 26 bytes \(text/html\), expected 400000"),
    ),
    "busy": Case("fault_51", "503", *both("status 503", 3)),
    "error": Case("fault_51", "status", *both("status 500", 3), {"status": 500}),
    "too many": Case("fault_51", "429", *both("status 429", 3)),
    "too many for an hour": Case("fault_51", "429", *both("asks to wait: 3600", 1), {"retry_after": "3600"}),
}  # fmt: skip
# The quick tier tries one of each kind over http, the slow one all of them over both.
_QUICK = frozenset({
    "truncated", "reset", "last chunk missing", "no length", "longer", "endless", "dripping", "dripping fast enough",
    "huge header", "to a file", "loop", "not modified", "bomb", "login page", "busy", "too many",
})  # fmt: skip


def _parameters(kind: str) -> list[object]:
    found = []
    for name, case in CASES.items():
        expected = case.listed if kind == "list" else case.image
        for scheme in ("http", "https") if expected else ():
            marks = [] if name in _QUICK and scheme == "http" else [pytest.mark.slow]
            found.append(pytest.param(scheme, case, expected, id=f"{case.row}-{name}-{scheme}", marks=marks))
    return found


def hurry(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "clock", lambda: time.monotonic() * factor)


def demand_told(result: Result, cause: str, *names: str) -> None:
    (line,) = result.err.splitlines()
    assert line.startswith("ERROR:")
    assert line.isprintable()
    assert re.search(cause, line), line
    assert any(name in line for name in names), line


@pytest.mark.parametrize(("scheme", "case", "expected"), _parameters("list"))
def test_list_is_refused_and_the_others_come(
    place: Place, monkeypatch: pytest.MonkeyPatch, scheme: str, case: Case, expected: Expected
) -> None:
    place.faulty.fault(LIST, case.mode, **case.options)
    with monkeypatch.context() as patch:
        if case.haste != 1:
            hurry(patch, case.haste)
        result = place.update(code=expected.code, **case.settings)
    demand_told(result, expected.cause, LIST_ID)
    assert place.faulty.gets(LIST) == expected.gets
    assert place.version() == "1"
    place.faulty.heal(LIST)
    place.update()
    assert place.version() == "2"


@pytest.mark.parametrize(("scheme", "case", "expected"), _parameters("image"))
def test_image_is_refused_and_the_others_come(
    place: Place, monkeypatch: pytest.MonkeyPatch, scheme: str, case: Case, expected: Expected
) -> None:
    place.faulty.fault(IMAGE, case.mode, **case.options)
    with monkeypatch.context() as patch:
        if case.haste != 1:
            hurry(patch, case.haste)
        result = place.cache(code=expected.code, **case.settings)
    demand_told(result, expected.cause, place.faulty.url(IMAGE), image_id(1))
    assert place.faulty.gets(IMAGE) == expected.gets
    held = place.held()
    assert held <= SIZE
    place.faulty.heal(IMAGE)
    place.faulty.forget()
    place.cache()
    assert place.ranges() == [f"bytes={held}-" if held else None]
    assert place.held() == 0


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [("", [1, 2]), ("7", [7, 7]), ("60", [60, 60]), ("61", [])],
    ids=lambda value: f"{value}",
)
def test_fault_51_server_is_asked_three_times_at_most_and_as_late_as_it_wants(
    place: Place, waits: Waits, retry_after: str, expected: list[float]
) -> None:
    place.faulty.fault(LIST, "429", retry_after=retry_after)
    place.faulty.fault(IMAGE, "429", retry_after=retry_after)
    place.update(code=10)
    place.cache(code=75)
    assert waits == expected * 2
    assert place.faulty.gets(LIST) == place.faulty.gets(IMAGE) == len(expected) + 1


def test_fault_36_image_that_has_no_room_is_not_asked_for(place: Place) -> None:
    publish(place, "3", hv__size=1 << 50)
    place.update()
    demand_told(place.cache(code=75), rf"{1 << 50} bytes", image_id(1))
    assert place.faulty.gets(IMAGE) == 0
    assert place.held() == 0


def test_every_mode_of_the_server_is_tried() -> None:
    elsewhere = {"wrongrange", "shiftrange", "200onrange", "etagchange", "416", "damage", "raw", "trailing"}
    assert {case.mode for case in CASES.values()} | elsewhere == set(FAULTS)
