"""Downloads that broke off: the next run goes on where the last one stopped, unless what comes is not the rest."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from support.server_client import Waits, some_bytes
from support.server_place import CONTENT, IMAGE, LIST, SIZE, Place
from support.site import LIST_ID

_HELD = 150_000
_SCHEMES = ["http", pytest.param("https", marks=pytest.mark.slow)]


def break_off(place: Place) -> None:
    """Let a run fetch the first bytes of image 1, and no more."""
    place.faulty.fault(IMAGE, "truncate", times=3, after=_HELD // 3)
    place.cache(code=75)
    assert place.held() == _HELD
    place.faulty.forget()


def left(place: Place) -> Path:
    (path,) = (path for path in (place.site.store / "partial").iterdir() if path.suffix != ".json")
    return path


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_fault_33_no_byte_is_fetched_twice(place: Place, waits: Waits) -> None:
    place.faulty.fault(IMAGE, "truncate", times=5, after=90_000)
    place.cache(code=75)
    assert place.held() == 270_000
    place.cache()
    assert place.ranges() == [None, "bytes=90000-", "bytes=180000-", "bytes=270000-", "bytes=360000-"]
    assert waits == [1, 2, 1]
    (etag,) = {document.etag for path, document in place.faulty.published().items() if path == IMAGE}
    assert {request.headers["if-range"] for request in place.faulty.requests if "range" in request.headers} == {etag}


def test_fault_34_what_nobody_can_name_is_not_gone_on_with(place: Place) -> None:
    place.faulty.publish(IMAGE, CONTENT, etag="", last_modified="")
    place.faulty.fault(IMAGE, "nolength", after=1000)
    place.cache(code=75)
    place.faulty.heal(IMAGE)
    place.cache()
    assert set(place.ranges()) == {None}


@pytest.mark.parametrize("scheme", _SCHEMES)
@pytest.mark.parametrize(
    ("mode", "asked_again"),
    [
        pytest.param("wrongrange", True, id="fault_45-the whole as a range"),
        pytest.param("shiftrange", True, id="fault_45-shifted"),
        pytest.param("200onrange", False, id="fault_46-the whole"),
        pytest.param("etagchange", True, id="fault_47-another version"),
        pytest.param("416", True, id="fault_48-no such range"),
    ],
)
def test_answer_that_is_not_the_rest_is_not_appended(place: Place, mode: str, asked_again: bool) -> None:
    break_off(place)
    place.faulty.fault(IMAGE, mode)
    place.cache()
    assert place.ranges() == [f"bytes={_HELD}-", *([None] if asked_again else [])]


def test_fault_47_version_that_changed_meanwhile_begins_again(place: Place) -> None:
    place.faulty.publish(IMAGE, some_bytes(SIZE, "other bytes of that size"))
    break_off(place)
    place.faulty.publish(IMAGE, CONTENT)
    place.cache()
    assert place.ranges() == [f"bytes={_HELD}-"]


def test_fault_47_rest_that_does_not_match_costs_one_full_download(place: Place) -> None:
    place.faulty.publish(IMAGE, some_bytes(SIZE, "other bytes of that size"), etag='"same"')
    break_off(place)
    place.faulty.publish(IMAGE, CONTENT, etag='"same"')
    result = place.cache(warned=1)
    assert "the resumed download does not match" in result.err
    assert place.ranges() == [f"bytes={_HELD}-", None]


@pytest.mark.parametrize("is_right", [True, False])
def test_fault_48_complete_download_is_judged_by_its_digest_and_asked_for_no_more(place: Place, is_right: bool) -> None:
    break_off(place)
    with left(place).open("ab") as partial:
        partial.write(CONTENT[_HELD:] if is_right else bytes(SIZE - _HELD))
    place.cache(warned=not is_right)
    assert place.ranges() == ([] if is_right else [None])


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        pytest.param("close", {}, id="fault_33", marks=pytest.mark.slow),
        pytest.param("hugeheader", {}, id="fault_38", marks=pytest.mark.slow),
        pytest.param("redirect", {"to": "file:///etc/passwd"}, id="fault_39", marks=pytest.mark.slow),
        pytest.param("loop", {}, id="fault_43", marks=pytest.mark.slow),
        pytest.param("304-unasked", {}, id="fault_44", marks=pytest.mark.slow),
        pytest.param("gzip", {}, id="fault_49", marks=pytest.mark.slow),
        pytest.param("html200", {}, id="fault_50"),
        pytest.param("503", {}, id="fault_51"),
    ],
)
def test_no_other_fault_costs_what_is_there_already(place: Place, mode: str, options: dict[str, object]) -> None:
    break_off(place)
    place.faulty.fault(IMAGE, mode, **options)
    place.cache(code=75)
    assert place.held() == _HELD
    place.faulty.heal(IMAGE)
    place.faulty.forget()
    place.cache()
    assert place.ranges() == [f"bytes={_HELD}-"]


# -- lists: nothing to go on with, but a version that is there already


def test_fault_44_unmodified_is_no_answer_to_a_first_request(place: Place) -> None:
    place.site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    place.faulty.fault(LIST, "304-unasked")
    result = place.site.run("subscribe", "-s", place.faulty.url(LIST))
    assert result.code == 10
    assert "'not modified' to a plain request" in result.err
    place.faulty.heal(LIST)
    place.site.expect(0, "subscribe", "-s", place.faulty.url(LIST))


def test_fault_44_list_that_was_lost_is_asked_for_without_conditions(place: Place) -> None:
    place.update()
    place.update()
    conditions = [request.headers.get("if-none-match") for request in place.faulty.requests if request.path == LIST]
    assert conditions[-1] is not None
    shutil.rmtree(place.site.store / "subscriptions" / LIST_ID / "lists")
    place.faulty.forget()
    place.site.run("subscribe", "-U")
    place.update()
    (first, *_) = (request for request in place.faulty.requests if request.path == LIST)
    assert not {"if-none-match", "if-modified-since"} & set(first.headers)
    assert place.version() == "2"


def test_fault_44_unmodified_list_is_verified_again(place: Place) -> None:
    place.update()
    place.site.expect(0, "endorser", "-u", "-e", "alice", "-s", LIST_ID)
    place.faulty.fault(LIST, "304-unasked")
    result = place.site.run("subscribe", "-U")
    assert (result.code, place.faulty.gets(LIST)) == (13, 2), result


def test_fault_44_list_that_is_over_is_never_merely_unmodified(place: Place) -> None:
    place.update()
    place.faulty.fault(LIST, "304-unasked")
    place.site.now += timedelta(days=21)
    result = place.site.run("subscribe", "-U")
    # The other list is over, and says so; this one is asked for without conditions, which the server does not see.
    assert result.code == 34
    assert "the server answered 'not modified' to a plain request" in result.err
    assert f"{LIST_ID} expired" not in result.err
