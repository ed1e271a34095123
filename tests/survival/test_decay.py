"""What time, accidents and other people do to a store: each is found, none hurts, and a repair says what it did."""

from __future__ import annotations

import json
import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from support.checked import check
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants
from vmcatcher.store import documents, files, root
from vmcatcher.store.check import check_store

COMMANDS = (
    ("image", "-l"), ("image", "-i", "-u", image_id(1)), ("subscribe", "-l"), ("subscribe", "-i", "-u", LIST_ID),
    ("endorser", "-l"), ("endorser", "-K"), ("subscribe", "-U"), ("cache",), ("image", "-a", "-u", image_id(1)),
)  # fmt: skip
PLACES = (
    "", "endorsers", "vetoes", "marks", "subscriptions", f"subscriptions/{LIST_ID}", f"subscriptions/{LIST_ID}/lists",
    "cache", f"cache/{image_id(1)}", "blobs", "blobs/sha512", "partial", "endorsed", "expired", "quarantine", "events",
    "events/failed", "events/log", "trust", "locks",
)  # fmt: skip


@pytest.fixture
def cached(site: Site) -> Site:
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    site.told()
    site.server.forget()
    return site


def blob(site: Site, number: int = 1) -> Path:
    return Path(os.path.realpath(site.store / "endorsed" / image_id(number)))


def everything(site: Site) -> list[Result]:
    return [site.run(*words) for words in COMMANDS]


# -- row 15: what crashes left


def test_fault_15_temporary_names_go_after_an_hour_and_look_like_nothing_of_ours(cached: Site):
    planted = []
    for place in ("", "cache", f"cache/{image_id(1)}", f"subscriptions/{LIST_ID}", "endorsers", "endorsed", "marks"):
        path = cached.store / place / files.temporary_name()
        path.write_text("{")
        planted.append(path)
    cached.now += timedelta(minutes=50)
    cached.cache()
    assert all(path.exists() for path in planted)
    assert check_invariants(cached.store) == []
    assert cached.states() == {image_id(1): 3, image_id(2): 3}
    assert not any(path.name.endswith((".json", ".smime", ".evidence")) for path in planted)
    cached.now += timedelta(minutes=20)
    cached.cache()
    assert not any(path.exists() for path in planted)


@pytest.mark.parametrize("host", ["this one", "another one"])
def test_fault_15_download_of_a_dead_process_is_swept_unless_another_host_began_it(cached: Site, host: str):
    import socket

    name = f"{blob(cached).name}.4194303-{'0' * 12}"
    path = cached.store / "partial" / name
    path.write_bytes(b"begun")
    notes = {"uri": "http://x/", "validator": None, "host": socket.gethostname(), "pid": 4194303}
    if host == "another one":
        notes["host"] = "elsewhere.test"
    path.with_name(name + ".json").write_text(json.dumps(notes))
    cached.now += timedelta(hours=3)
    cached.cache()
    # What another host began may be going on there: nobody here can tell, so it stays.
    assert path.exists() is (host == "another one")


# -- rows 83 and 84: what was planted


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", ["partial", "endorsed", "expired", "blobs/sha512"])
def test_fault_83_planted_link_leads_no_writer_astray(site: Site, place: str):
    site.join(site.image(1))
    site.select(1)
    victim = site.root / "victim"
    victim.write_text("precious")
    digest = str(site.image(1)["sl:checksum:sha512"])
    (site.store / "blobs" / "sha512" / digest[:2]).mkdir()
    names = [image_id(1), "cache.index", f"{digest}.1-{'0' * 12}", digest]
    for name in names:
        path = site.store / place / (f"{digest[:2]}/{digest}" if place.startswith("blobs") else name)
        if not path.is_symlink():
            path.symlink_to(victim)
    codes = [site.run("cache").code for _ in range(2)]
    assert 70 not in codes
    assert victim.read_text() == "precious"
    assert stat.S_IMODE(victim.stat().st_mode) & 0o200
    repaired = check(site, "--data", "--repair")
    assert repaired.code in (0, 4), repaired
    assert victim.read_text() == "precious"
    if place == "endorsed":
        # No version of ours ever stood there: the link is somebody else's, and he has to take it away.
        result = site.run("cache")
        assert (result.code, "should be a regular file, found something" in result.err) == (1, True)
        (site.store / "endorsed" / image_id(1)).unlink()
    site.run("cache")
    assert site.endorsed().get(image_id(1)) == b"image 1 version 1\n" * 100
    assert victim.read_text() == "precious"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["FIFO", "directory"])
def test_fault_84_nothing_blocks_where_no_file_stands_at_a_name_we_need(cached: Site, what: str):
    ours = [
        path
        for path in sorted(cached.store.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.parent.name not in ("locks", "log")
    ]
    before = cached.root / "before"
    shutil.copytree(cached.store, before, symlinks=True)
    for path in ours:
        shutil.rmtree(cached.store)
        shutil.copytree(before, cached.store, symlinks=True)
        path.unlink()
        os.mkfifo(path) if what == "FIFO" else path.mkdir()
        results = everything(cached)
        assert 70 not in [one.code for one in results], path
        assert not any("Traceback" in one.err for one in results), path


# -- row 85: files of somebody else


def test_fault_85_foreign_files_are_named_and_never_touched(cached: Site):
    planted = []
    for place in PLACES:
        path = cached.store / place / "somebody's file"
        path.write_text("mine")
        os.utime(path, (1, 1))
        planted.append(path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in planted}
    everything(cached)
    named = check(cached, "--json")
    assert named.code == 4
    silent = {"quarantine", "trust"}
    wanted = {str(path) for path in planted if path.parent.name not in silent}
    assert {one["path"] for one in named.answer["findings"] if one["invariant"] == "I13"} == wanted
    assert check(cached, "--data", "--repair").code == 4
    cached.expect(0, "subscribe", "-D", "-u", LIST_ID)
    cached.run("cache")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in planted} == before


# -- row 86: modes


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_fault_86_modes_hold_whatever_the_umask_is(site: Site, umask: int):
    site.root.joinpath("password").write_text("hush")
    old = os.umask(umask)
    try:
        site.join(site.image(1))
        words = ("--uri-password-file", str(site.root / "password"), "--uri-username-set", "me")
        site.expect(0, "subscribe", "-u", LIST_ID, *words)
        site.select(1)
        site.cache()
    finally:
        os.umask(old)
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in site.store.rglob("*") if not path.is_symlink()}
    assert modes[blob(site)] == 0o444 & ~umask
    secret = site.store / "subscriptions" / LIST_ID / "secret.json"
    assert modes[secret] == 0o600
    assert [path for path, mode in modes.items() if mode & 0o002] == []
    assert check_store(root.open_store(str(site.store))) == []


def test_fault_86_password_that_others_may_read_is_refused_and_its_mode_repaired(site: Site):
    site.root.joinpath("password").write_text("hush")
    site.join(site.image(1))
    words = ("--uri-password-file", str(site.root / "password"), "--uri-username-set", "me")
    site.expect(0, "subscribe", "-u", LIST_ID, *words)
    secret = site.store / "subscriptions" / LIST_ID / "secret.json"
    secret.chmod(0o640)
    assert "others may read this password" in site.run("subscribe", "-U").err
    done = check(site, "--repair")
    assert done.code == 0
    assert done.lines == [f"I12 repaired: {secret}: its mode is 0600 now"]
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


# -- row 87: bit rot


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def test_fault_87_rotten_bytes_leave_with_an_event_and_are_fetched_again_after_a_repair(cached: Site):
    flip(blob(cached), 4711)
    found = check(cached, "--data", "--repair")
    assert found.code in (0, 4), found
    assert "quarantined as quarantine/" in found.out
    cached.cache()
    told = ["ExpirePrefix 1", "ExpirePostfix 1", "AvailablePrefix 1", "AvailablePostfix 1"]
    assert cached.told() == ["ProcessPrefix", *told, "ProcessPostfix"]
    assert cached.endorsed()[image_id(1)] == b"image 1 version 1\n" * 100
    assert cached.server.gets("/images/1-v1.raw") == 1
    assert check(cached, "--data").code == 0


@pytest.mark.parametrize(
    "step", [pytest.param(361, id="some"), pytest.param(14, id="a thousand", marks=pytest.mark.slow)]
)
def test_fault_87_every_flipped_bit_of_an_image_is_found(cached: Site, step: int):
    layout, path = root.open_store(str(cached.store)), blob(cached)
    bits = range(0, path.stat().st_size * 8, step)
    for bit in bits:
        flip(path, bit)
        found = [one.path for one in check_store(layout, read_bytes=True) if one.is_damage]
        assert found == [str(path)], bit
        flip(path, bit)
    assert check_store(layout, read_bytes=True) == []


def test_fault_88_image_that_somebody_removed_is_fetched_again(cached: Site):
    blob(cached).unlink()
    cached.cache()
    assert cached.endorsed()[image_id(1)] == b"image 1 version 1\n" * 100
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]


def test_fault_89_hard_link_to_a_file_that_can_be_written_is_found(cached: Site):
    path = blob(cached)
    mine = cached.root / "mine"
    mine.write_bytes(path.read_bytes())
    path.unlink()
    os.link(mine, path)
    found = check(cached)
    assert (found.code, found.out.count("should be read-only")) == (1, 1)
    assert check(cached, "--repair").code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


# -- row 90: links


LINKS = {
    "dangling": "../blobs/sha512/00/" + "0" * 128,
    "of another image": "other",
    "absolute": "absolute",
}


@pytest.mark.parametrize("how", LINKS)
@pytest.mark.parametrize("healed_by", ["repair", "run"])
def test_fault_90_wrong_endorsed_link_is_made_again(cached: Site, how: str, healed_by: str):
    link = cached.store / "endorsed" / image_id(1)
    whole = os.readlink(link)
    target = {"other": os.readlink(link.with_name(image_id(2))), "absolute": str(blob(cached))}.get(
        LINKS[how], LINKS[how]
    )
    link.unlink()
    link.symlink_to(target)
    assert check(cached).code == 4
    if healed_by == "run":
        cached.cache()
    else:
        assert check(cached, "--repair").code == 0
    assert os.readlink(link) == whole
    assert check(cached, "--data").code == 0


def test_fault_90_link_that_leads_elsewhere_is_not_ours(cached: Site):
    link = cached.store / "endorsed" / "theirs"
    link.symlink_to("/etc/hostname")
    assert check(cached, "--repair").code == 4
    cached.cache()
    assert os.readlink(link) == "/etc/hostname"


# -- row 91: directories


@pytest.mark.parametrize("name", ["partial", "locks", "quarantine", "events", "endorsed", "expired", "trust"])
@pytest.mark.parametrize("healed_by", ["repair", "run"])
def test_fault_91_missing_directory_is_made_again(cached: Site, name: str, healed_by: str):
    shutil.rmtree(cached.store / name)
    assert check(cached).code == 4
    if healed_by == "repair":
        assert check(cached, "--repair").code == 0
    cached.cache()
    assert (cached.store / name).is_dir()
    assert sorted(cached.endorsed()) == [image_id(1), image_id(2)]


# -- row 92: another format


@pytest.mark.parametrize("command", [*COMMANDS, ("check",), ("check", "--repair")], ids=" ".join)
def test_fault_92_store_of_a_later_version_is_refused_with_its_format(cached: Site, command: tuple[str, ...]):
    marker = str(cached.store / "vmcatcher.json")
    documents.put_document(marker, {**documents.read_json(marker), "format": 2})
    before = cached.tree()
    result = check(cached, *command[1:]) if command[0] == "check" else cached.run(*command)
    assert result.code == 1
    assert "has format 2" in result.err
    assert "use the version of vmcatcher that made the store" in result.err
    assert cached.tree() == before


def test_fault_92_document_of_a_later_version_is_left_where_it_is(cached: Site):
    record = cached.store / "cache" / image_id(1) / "1.json"
    record.write_text('{"format": 2}')
    found = check(cached, "--repair")
    assert found.code == 1
    assert "has format 2" in found.out
    assert record.read_text() == '{"format": 2}'
