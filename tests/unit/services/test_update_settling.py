"""What follows from an admitted list, and how its servers are spoken to."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vmcatcher.errors.network import FileMissing
from vmcatcher.model.event import EventKind
from vmcatcher.model.identity import Credential, ImageId, ListId
from vmcatcher.model.image import Image, image_from_json
from vmcatcher.model.imagelist import ImageList
from vmcatcher.model.location import Origin
from vmcatcher.model.subscription import AcceptedImage, NewImages, Subscription, TlsTrust
from vmcatcher.services import settling
from vmcatcher.services.context import Context
from vmcatcher.services.settling import Owners
from vmcatcher.services.update import access_for
from vmcatcher.store import root, subscriptions
from vmcatcher.store.subscriptions import FetchNotes, Secret
from vmcatcher.transport.results import Validators

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
LIST = ListId("list")
ONE = Subscription(LIST, "http://asked/list", "https://now/list", NOW)
A, B, C = (ImageId(name) for name in "abc")
NOTHING_KNOWN = Validators()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    found = Context(root.make_store(str(tmp_path / "store")), NOW, "test")
    subscriptions.put_subscription(found.layout, ONE)
    return found


def _image(identifier: str) -> Image:
    return image_from_json(
        {"dc:identifier": identifier, "hv:size": 1, "sl:checksum:sha512": "0" * 128, "hv:uri": "http://h/"}
    )


def _listed(*images: str, uri: str = ONE.uri) -> ImageList:
    return ImageList(
        identifier=LIST, version="1", created=NOW, expires=NOW + timedelta(days=1), uri=uri, title="", description="",
        source="", endorser=Credential("", ""), email="", creator="", vo=None, images=tuple(map(_image, images)),
        fields={},
    )  # fmt: skip


# -- how servers are spoken to


@pytest.mark.parametrize(
    ("fields", "secret", "origin"),
    [
        ({}, None, Origin("http", "asked", 80)),
        ({"username_origin": "https://set:443"}, None, Origin("https", "set", 443)),
        ({"username_origin": "https://set:443"}, "https://[::1]:8443", Origin("https", "::1", 8443)),
        ({"uri_asked": "file:///list"}, None, None),
        ({}, "file://:0", None),
        ({"username_origin": "file://:0"}, None, None),
    ],
)
def test_credentials_go_where_they_were_set_for_and_never_simply_to_the_current_uri(
    fields: dict[str, str], secret: str | None, origin: Origin | None, context: Context
):
    if secret is not None:
        subscriptions.put_secret(context.layout, LIST, Secret("word", secret))
    access = access_for(context, replace(ONE, username="user", **fields), "/anchors")  # type: ignore[arg-type]  # texts
    assert access.origin == origin
    assert (access.username, access.password) == ("user", "word" if secret else None)


@pytest.mark.parametrize(
    ("fields", "tls"),
    [
        ({}, "system"),
        ({"tls": TlsTrust.BROWSER}, "system"),
        ({"tls": TlsTrust.IGTF}, "igtf"),
        ({"insecure": True}, "insecure"),
        ({"tls": TlsTrust.IGTF, "insecure": True}, "insecure"),
    ],
)
def test_tls_is_verified_unless_that_was_switched_off(fields: dict[str, object], tls: str, context: Context):
    access = access_for(context, replace(ONE, **fields), "/anchors")  # type: ignore[arg-type]  # handed on as they are
    assert (access.tls, access.trust_directory) == (tls, "/anchors")


@pytest.mark.parametrize(
    ("uri", "allowed", "may"),
    [("https://h/list", False, False), ("https://h/list", True, True), ("file:///list", False, True)],
)
def test_files_of_this_machine_are_for_lists_that_come_from_it(uri: str, allowed: bool, may: bool, context: Context):
    assert access_for(context, replace(ONE, uri=uri, file_images=allowed), "/").file_images is may


# -- where the list is next time


@pytest.mark.parametrize(
    ("current", "named", "followed"),
    [
        ("http://a/x", "http://a/x", "http://a/x"),
        ("http://a/x", "http://b/y?z", "http://b/y?z"),
        ("http://a/x", "https://b/y", "https://b/y"),
        ("https://a/x", "https://b/y", "https://b/y"),
        ("https://a/x", "http://a/x", "https://a/x"),
        ("file:///x", "http://b/y", "http://b/y"),
        ("file:///x", "file:///y", "file:///x"),
        ("http://a/x", "file:///etc/passwd", "http://a/x"),
        ("http://a/x", "ftp://b/y", "http://a/x"),
        ("http://a/x", "http://u:CANARY@b/y", "http://a/x"),
        ("http://a/x", "", "http://a/x"),
    ],
)
def test_list_is_followed_to_where_it_may_move(
    current: str, named: str, followed: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        assert settling.followed_uri(LIST, current, named) == followed
    assert bool(caplog.records) is (current != named)
    assert "CANARY" not in caplog.text


def test_settling_twice_changes_nothing(context: Context):
    accepting = replace(ONE, new_images=NewImages.ACCEPT)
    once, problems = settling.settle(context, accepting, _listed("a", "b", uri="https://next/list"), Owners())
    assert problems == ()
    assert (once.uri, [image.identifier for image in once.images]) == ("https://next/list", ["a", "b"])
    assert subscriptions.find_subscription(context.layout, LIST) == once
    twice, problems = settling.settle(context, once, _listed("a", "b", uri="https://next/list"), Owners())
    assert (twice, problems) == (once, ())


def test_image_of_another_subscription_is_a_problem_that_names_its_owner(context: Context):
    owner = Subscription(ListId("owner"), "u", "u", NOW, images=(AcceptedImage(A),))
    subscriptions.put_subscription(context.layout, owner)
    changed, problems = settling.settle(context, ONE, _listed("a", "b"), Owners())
    assert changed.images == ()
    assert [problem.id for problem in problems] == ["images-owned-elsewhere", "images-undecided"]
    assert problems[0].facts() == {"list_id": "list", "images": "a", "owners": "owner"}
    assert problems[1].facts()["images"] == "b"


# -- the bookkeeping


def _note(
    context: Context, *images: str, validators: Validators = NOTHING_KNOWN, is_listening: bool = True
) -> tuple[str, ...]:
    return settling.note_success(context, ONE, _listed(*images), validators, is_listening=is_listening)


def _notes(context: Context) -> FetchNotes:
    return subscriptions.read_fetch_notes(context.layout, LIST)


def test_images_of_the_first_success_are_no_news(context: Context):
    assert _note(context, "a", "b") == ()
    assert (_notes(context).told, _notes(context).owed) == ((A, B), ())


def test_image_that_is_new_is_owed_once_with_the_same_event(context: Context):
    _note(context, "a")
    assert _note(context, "a", "b") == (B,)
    ((image, event),) = _notes(context).owed
    assert (image, event.kind, event.attempts) == (B, EventKind.SUBSCRIPTION_IMAGE_NEW, 0)
    assert _note(context, "a", "b", "c") == (C,)
    assert _notes(context).owed[0] == (B, event)
    assert [image for image, _ in _notes(context).owed] == [B, C]


def test_where_nobody_listens_what_is_new_counts_as_told(context: Context):
    _note(context, "a")
    assert _note(context, "a", "b", is_listening=False) == ()
    assert (_notes(context).told, _notes(context).owed) == ((A, B), ())
    assert _note(context, "a", "b", "c") == (C,)


def test_image_that_left_the_list_is_owed_no_more_and_new_when_it_comes_back(context: Context):
    _note(context, "a")
    _note(context, "a", "b")
    assert _note(context, "b") == ()
    assert (_notes(context).told, [image for image, _ in _notes(context).owed]) == ((), [B])
    _note(context)
    assert _notes(context).owed == ()
    assert _note(context, "a", "b") == (A, B)


def test_bookkeeping_of_an_unchanged_list_is_written_once_an_hour(context: Context):
    _note(context, "a")
    for minutes, succeeded in ((60, 0), (61, 61), (62, 61)):
        later = replace(context, now=NOW + timedelta(minutes=minutes))
        _note(later, "a")
        assert _notes(context).succeeded == NOW + timedelta(minutes=succeeded)


def test_new_validators_are_noted_at_once(context: Context):
    _note(context, "a")
    _note(context, "a", validators=Validators('"x"', None))
    assert _notes(context).etag == '"x"'


def test_failure_is_noted_and_cleared_by_the_next_success(context: Context):
    _note(context, "a", validators=Validators('"x"', None))
    settling.note_failure(context, LIST, FileMissing(url="file:///x"))
    failed = _notes(context)
    assert (failed.error_id, failed.error, failed.etag) == ("file-missing", "file:///x: no such file", '"x"')
    _note(context, "a", validators=Validators('"x"', None))
    assert (_notes(context).error_id, _notes(context).error) == (None, None)


def test_failure_of_a_deleted_subscription_is_not_noted(context: Context):
    subscriptions.drop_subscription(context.layout, LIST)
    settling.note_failure(context, LIST, FileMissing(url="file:///x"))
    assert list(Path(context.layout.subscriptions).iterdir()) == []
