"""Damage is found and named by its invariant; what the next run does, and what is somebody else's, is a note."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.site import LIST_ID, image_id
from vmcatcher.store import root
from vmcatcher.store.check import check_store


@pytest.fixture
def cached(site):
    """A site with one endorsed image and one that left."""
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(2))
    site.cache()
    return site


@pytest.fixture
def layout(cached):
    return root.open_store(str(cached.store))


def found(layout):
    return [(one.invariant, "damage" if one.is_damage else "note") for one in check_store(layout, read_bytes=True)]


def blob_of(layout, image):
    return Path(os.path.realpath(os.path.join(layout.endorsed, image)))


def flip(path):
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[7] ^= 4
    path.write_bytes(content)
    path.chmod(0o444)


def test_sound_store_has_nothing_to_say(layout):
    assert check_store(layout, read_bytes=True) == []


DAMAGE = {
    "record is empty": ("I1", lambda layout: Path(layout.record(image_id(1), 1)).write_bytes(b"")),
    "record is another image's": (
        "I1",
        lambda layout: shutil.copy(layout.record(image_id(1), 1), layout.record(image_id(2), 1)),
    ),
    "subscription is torn": ("I1", lambda layout: os.truncate(layout.subscription(LIST_ID), 20)),
    "endorser is binary": ("I1", lambda layout: Path(layout.endorser("alice")).write_bytes(b"\xff\x00")),
    "mark is no object": ("I1", lambda layout: Path(layout.mark(LIST_ID)).write_bytes(b"[]")),
    "one bit of a blob": ("I2", lambda layout: flip(blob_of(layout, image_id(1)))),
    "blob may be written to": ("I2", lambda layout: blob_of(layout, image_id(1)).chmod(0o644)),
    "blob is shorter": ("I2", lambda layout: os.truncate(blob_of(layout, image_id(1)), 5)),
    "snapshot has another byte": (
        "I6",
        lambda layout: next(Path(layout.lists(LIST_ID)).glob("*.smime")).write_bytes(b"x"),
    ),
    "evidence is missing": ("I6", lambda layout: next(Path(layout.lists(LIST_ID)).glob("*.evidence")).unlink()),
    "password is readable": (
        "I12",
        lambda layout: (Path(layout.secret(LIST_ID)).write_text("{}"), os.chmod(layout.secret(LIST_ID), 0o644)),
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_found(layout, how):
    invariant, spoil = DAMAGE[how]
    spoil(layout)
    assert (invariant, "damage") in found(layout)


def test_blob_that_is_a_link_is_found(layout, tmp_path):
    blob = blob_of(layout, image_id(1))
    blob.rename(tmp_path / "real")
    blob.symlink_to(tmp_path / "real")
    assert ("I2", "damage") in found(layout)


NOTES = {
    "blob is gone": ("I4", lambda layout: blob_of(layout, image_id(1)).unlink()),
    "endorsed link is gone": ("I4", lambda layout: Path(layout.endorsed, image_id(1)).unlink()),
    "expired link is gone": ("I5", lambda layout: next(Path(layout.expired).glob(f"{image_id(2)}*")).unlink()),
    "endorsed link without record": (
        "I3",
        lambda layout: Path(layout.endorsed, image_id(3)).symlink_to(
            os.readlink(os.path.join(layout.endorsed, image_id(1)))
        ),
    ),
    "endorsed link to other bytes": (
        "I3",
        lambda layout: (
            Path(layout.endorsed, image_id(1)).unlink(),
            Path(layout.endorsed, image_id(1)).symlink_to(
                os.readlink(next(Path(layout.expired).glob(f"{image_id(2)}*")))
            ),
        ),
    ),
    "mark is gone": ("I7", lambda layout: os.unlink(layout.mark(LIST_ID))),
    "endorser is gone": ("I8", lambda layout: os.unlink(layout.endorser("alice"))),
    "index is gone": ("I10", lambda layout: os.unlink(layout.index(LIST_ID))),
}


@pytest.mark.parametrize("how", NOTES)
def test_what_the_next_run_does_is_a_note(layout, how):
    invariant, spoil = NOTES[how]
    spoil(layout)
    assert set(found(layout)) >= {(invariant, "note")}
    assert not [one for one in found(layout) if one[1] == "damage"]


PLACES = (
    ".", "endorsers", "vetoes", "marks", "subscriptions", f"subscriptions/{LIST_ID}", f"subscriptions/{LIST_ID}/lists",
    "cache", f"cache/{image_id(1)}", "blobs/sha512", "endorsed", "expired", "events/failed", "events/log", "locks",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_file_of_somebody_else_is_a_note(layout, place):
    Path(layout.root, place, "README").write_text("mine")
    assert found(layout) == [("I13", "note")]


def test_file_of_somebody_else_among_blobs_is_a_note(layout):
    (blob_of(layout, image_id(1)).parent / "README").write_text("mine")
    (blob_of(layout, image_id(1)).parent / "directory").mkdir()
    Path(layout.blobs, "sha512", "other").mkdir()
    assert found(layout) == [("I13", "note")] * 3


@pytest.mark.parametrize("name", ["cache/other/README", "subscriptions/other/README"])
def test_directory_of_somebody_else_is_left_alone(layout, name):
    path = Path(layout.root, name)
    path.parent.mkdir()
    path.write_text("mine")
    assert all(kind == "note" for _, kind in found(layout))
