"""No password ever shows: not in an error, a log, a repr or a traceback, whatever goes wrong."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import Any

import pytest

from support.server import Server
from support.server_client import RecordingSink, Waits, limits
from support.server_faults import FAULTS
from vmcatcher.errors import VmcatcherError
from vmcatcher.model.location import Location
from vmcatcher.transport import Access, Transport

_CANARY = "CANARY-secret"
_TOKENS = (_CANARY, base64.b64encode(f"user:{_CANARY}".encode()).decode())
_QUICK = limits(idle_s=0.1, total_s=1, attempts=2, rate_window_s=0.2)
_OPTIONS: dict[str, dict[str, Any]] = {
    "redirect": {"to": f"http://user:{_CANARY}@127.0.0.1/"},
    "garbage": {"text": b"x"},
}


@pytest.mark.parametrize("kind", ["list", "image"])
@pytest.mark.parametrize("mode", [None, *sorted(FAULTS)])
def test_password_shows_nowhere(server: Server, mode: str | None, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.publish("/it", b"x" * 2000)
    server.require_password("user", _CANARY)
    if mode is not None:
        server.fault("/it", mode, **_OPTIONS.get(mode, {}))
    location, userinfo = Location.parse(server.url("/it", userinfo=f"user:{_CANARY}"))
    assert userinfo is not None
    access = Access(username=userinfo.username, password=userinfo.password, origin=location.origin)
    shown = [repr(access), repr(location), repr(userinfo), str(location)]
    with Transport(limits=_QUICK, user_agent="x", sleep=Waits()) as carrier:
        try:
            if kind == "list":
                shown.append(repr(carrier.fetch_list(location, access)))
            else:
                shown.append(repr(RecordingSink(b"x", '"y"').fetch(carrier, str(location), 2000, access)))
        except VmcatcherError as error:
            shown += [error.one_line(), repr(error), repr(error.facts()), "".join(traceback.format_exception(error))]
        shown.append(repr(vars(carrier)))
    shown.append(caplog.text)
    assert [text for text in shown for token in _TOKENS if token in text] == []
    assert {request.headers.get("authorization") for request in server.requests} == {f"Basic {_TOKENS[1]}"}
