"""vmcatcher_subscribe -U: what is asked for, what is kept, what is decided about new images, who may run when."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.server import Server
from support.site import LIST_ID, Site, image_id

OTHER = "other-list"


def _directory(site: Site, list_id: str = LIST_ID) -> Path:
    return site.store / "subscriptions" / list_id


def _notes(site: Site, list_id: str = LIST_ID) -> dict[str, object]:
    document: dict[str, object] = json.loads((_directory(site, list_id) / "fetch.json").read_text())
    return document


def _decision(site: Site, list_id: str = LIST_ID) -> dict[str, object]:
    document: dict[str, object] = json.loads((_directory(site, list_id) / "subscription.json").read_text())
    return document


def _snapshots(site: Site, list_id: str = LIST_ID) -> list[str]:
    return sorted(path.name for path in (_directory(site, list_id) / "lists").glob("*.smime"))


def _subscribe_to(site: Site, list_id: str, number: int) -> str:
    path = f"/{list_id}"
    site.publish("1", site.image(number), path=path, dc__identifier=list_id, hv__uri=site.server.url(path))
    site.expect(0, "subscribe", "-s", site.server.url(path))
    return path


# -- conditional requests


def test_unchanged_list_is_asked_for_conditionally_and_nothing_is_written(site: Site):
    signed = site.publish("1", site.image(1))
    site.server.publish("/list", signed, etag='"first"', last_modified="Mon, 03 Jun 2024 12:00:00 GMT")
    site.join()
    before = site.tree()
    site.server.forget()
    result = site.expect(0, "subscribe", "-U", "-v")
    (request,) = site.server.requests
    assert request.headers["if-none-match"] == '"first"'
    assert request.headers["if-modified-since"] == "Mon, 03 Jun 2024 12:00:00 GMT"
    assert f"unchanged {LIST_ID}" in result.err
    assert site.tree() == before


def test_first_update_asks_unconditionally(site: Site):
    site.join(site.image(1), update=False)
    site.server.forget()
    site.expect(0, "subscribe", "-U")
    (request,) = site.server.requests
    assert not {"if-none-match", "if-modified-since"} & set(request.headers)


def test_success_of_an_unchanged_list_is_noted_once_an_hour(site: Site):
    site.join(site.image(1))
    first = _notes(site)["succeeded"]
    site.now += timedelta(minutes=59)
    site.expect(0, "subscribe", "-U")
    assert _notes(site)["succeeded"] == first
    site.now += timedelta(minutes=2)
    site.expect(0, "subscribe", "-U")
    assert _notes(site)["succeeded"] != first


@pytest.mark.parametrize("damage", ["no snapshot", "no evidence", "rotten snapshot"])
def test_damaged_list_is_fetched_unconditionally_and_kept_again(site: Site, damage: str):
    site.join(site.image(1))
    (snapshot,) = (_directory(site) / "lists").glob("*.smime")
    if damage == "no snapshot":
        snapshot.unlink()
    elif damage == "no evidence":
        snapshot.with_suffix(".evidence").unlink()
    else:
        snapshot.chmod(0o644)
        snapshot.write_bytes(snapshot.read_bytes()[:-10])
    site.server.forget()
    site.expect(0, "subscribe", "-U")
    (request,) = site.server.requests
    assert "if-none-match" not in request.headers
    assert site.states() == {image_id(1): 2}
    assert site.expect(0, "subscribe", "-U").err == ""


def test_damaged_list_is_not_replaced_by_an_older_one(site: Site):
    old = site.publish("1", site.image(1))
    site.join()
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    for path in (_directory(site) / "lists").iterdir():
        path.unlink()
    site.server.publish("/list", old)
    assert site.run("subscribe", "-U").code == 17


def test_lost_bookkeeping_costs_one_unconditional_request_and_no_event(site: Site):
    site.join(site.image(1))
    (_directory(site) / "fetch.json").unlink()
    site.server.forget()
    site.expect(0, "subscribe", "-U", "-x", f"cat >> {site.events}")
    (request,) = site.server.requests
    assert "if-none-match" not in request.headers
    assert site.told() == []
    assert len(_snapshots(site)) == 1


def test_forged_validators_are_not_sent(site: Site):
    site.join(site.image(1))
    notes = _notes(site) | {"etag": '"x"\r\nX-Injected: yes', "last_modified": "yesterday\r\nX: y"}
    del notes["~sha256"]  # a forger takes it out
    (_directory(site) / "fetch.json").write_text(json.dumps(notes))
    site.server.forget()
    site.expect(0, "subscribe", "-U")
    (request,) = site.server.requests
    assert not {"x-injected", "x", "if-none-match", "if-modified-since"} & set(request.headers)


def test_unmodified_list_is_judged_again(site: Site):
    site.join(site.image(1))
    site.pki.revoke(site.alice)
    assert site.run("subscribe", "-U").code == 11


def test_same_bytes_with_another_etag_are_no_news(site: Site):
    signed = site.publish("1", site.image(1))
    site.join()
    site.server.publish("/list", signed, etag='"second"')
    site.expect(0, "subscribe", "-U")
    assert len(_snapshots(site)) == 1
    assert _notes(site)["etag"] == '"second"'


def test_each_admitted_list_is_kept_unchanged(site: Site):
    signed = [site.publish("1", site.image(1))]
    site.join()
    for version in ("2", "10"):
        site.now += timedelta(seconds=1)
        signed.append(site.publish(version, site.image(1)))
        site.expect(0, "subscribe", "-U")
    kept = [(_directory(site) / "lists" / name).read_bytes() for name in _snapshots(site)]
    assert kept == signed
    assert site.expect(0, "subscribe", "-i", "-u", LIST_ID, "-f", "SMIME").raw == signed[-1]


# -- several subscriptions


def test_failing_subscriptions_do_not_stop_the_others_and_the_worst_code_wins(site: Site):
    site.join(site.image(1))
    paths = {name: _subscribe_to(site, name, number) for number, name in enumerate(("gone", "rogue", "good"), start=2)}
    site.server.withdraw(paths["gone"])
    site.server.publish(paths["rogue"], b"no list at all")
    result = site.run("subscribe", "-U")
    assert result.code == 11
    lines = [line for line in result.err.splitlines() if line.startswith("ERROR")]
    assert [("gone" in line, "rogue" in line) for line in lines] == [(True, False), (False, True)]
    assert site.states() == {image_id(1): 2, image_id(2): 0, image_id(3): 0, image_id(4): 2}


def test_codes_are_ranked_trust_before_replay_before_content_before_age_before_network(site: Site):
    site.join(site.image(1), update=False)
    steps = [("down", 10), ("outdated", 34), ("broken", 37), ("older", 17), ("forged", 11)]
    for number, (name, _) in enumerate(steps, start=2):
        _subscribe_to(site, name, number)
    site.expect(0, "subscribe", "-U")
    for number, (name, code) in enumerate(steps, start=2):
        path = f"/{name}"
        fields = {"path": path, "dc__identifier": name, "hv__uri": site.server.url(path)}
        if name == "down":
            site.server.withdraw(path)
        elif name == "outdated":
            site.publish("2", dc__date__expires="2020-01-01T00:00:00Z", **fields)
        elif name == "older":
            site.publish("0", site.image(number), **fields)
        else:
            site.server.publish(path, site.alice.sign(b"{}") if name == "broken" else b"forged")
        assert site.run("subscribe", "-U").code == code


def test_subscription_with_a_damaged_document_does_not_stop_the_others(site: Site):
    site.join(site.image(1))
    _subscribe_to(site, OTHER, 2)
    (_directory(site, OTHER) / "subscription.json").write_text("{")
    site.publish("2", site.image(1, "2"))
    result = site.run("subscribe", "-U")
    assert result.code == 1
    assert re.search(f"{OTHER}.*is damaged", result.err)
    assert len(_snapshots(site)) == 2


def test_subscription_whose_bookkeeping_is_no_file_has_it_put_aside_and_is_updated_like_the_others(site: Site):
    site.join(site.image(1))
    _subscribe_to(site, OTHER, 2)
    notes = _directory(site) / "fetch.json"
    notes.unlink()
    notes.mkdir()
    result = site.run("subscribe", "-U")
    assert result.code == 1
    assert "fetch.json was damaged" in result.err
    assert site.states() == {image_id(1): 2, image_id(2): 2}
    assert notes.is_file()
    site.expect(0, "subscribe", "-U")


def test_update_without_subscriptions_does_nothing(site: Site):
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    result = site.expect(0, "subscribe", "-U")
    assert (result.out, result.err) == ("", "")


# -- where the list is next time


def test_list_that_moves_is_followed_and_its_validators_stay_behind(site: Site):
    site.join(site.image(1))
    moved = site.publish("2", site.image(1), hv__uri=site.server.url("/new"))
    site.server.publish("/new", moved)
    result = site.expect(0, "subscribe", "-U")
    assert f"WARNING:vmcatcher.services.settling:list {LIST_ID} moves from" in result.err
    site.server.forget()
    site.expect(0, "subscribe", "-U")
    (request,) = site.server.requests
    assert request.path == "/new"
    assert not {"if-none-match", "if-modified-since"} & set(request.headers)
    assert site.expect(0, "subscribe", "-i", "-r", site.server.url("/new")).out
    assert site.expect(0, "subscribe", "-i", "-r", site.server.url("/list")).out


def test_pinned_subscription_does_not_move(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "--pin-uri", "-u", LIST_ID)
    site.publish("2", site.image(1), hv__uri=site.server.url("/new"))
    assert site.expect(0, "subscribe", "-U").err == ""
    assert _decision(site)["uri"] == site.server.url("/list")


def test_list_may_not_move_to_a_file(site: Site):
    site.join(site.image(1))
    site.publish("2", site.image(1), hv__uri="file:///etc/passwd")
    result = site.expect(0, "subscribe", "-U")
    assert "not followed" in result.err
    assert _decision(site)["uri"] == site.server.url("/list")
    assert site.states() == {image_id(1): 2}


def test_list_from_a_file_may_name_files_only_as_long_as_it_comes_from_there(site: Site):
    (site.root / "image.raw").write_bytes(b"bytes")
    image = site.image(1, content=b"bytes", hv__uri=f"file://{site.root}/image.raw")
    path = site.root / "list"
    path.write_bytes(site.alice.sign(site.content("1", image, hv__uri=f"file://{path}")))
    site.expect(0, "subscribe", "-e", "-s", str(path), "--imagelist-newimage-subscribe")
    site.expect(0, "subscribe", "-U")
    site.cache()
    assert site.endorsed() == {image_id(1): b"bytes"}
    (site.root / "image2.raw").write_bytes(b"other")
    second = site.image(2, content=b"other", hv__uri=f"file://{site.root}/image2.raw")
    signed = site.publish("2", image, second)
    path.write_bytes(signed)
    site.expect(0, "subscribe", "-U")
    assert _decision(site)["uri"] == site.server.url("/list")
    assert "may not name files of this machine" in site.cache(code=1).err
    site.expect(0, "subscribe", "--allow-file-images", "-u", LIST_ID)
    site.cache()
    assert set(site.endorsed()) == {image_id(1), image_id(2)}


# -- images that a list newly names


def test_refused_new_images_are_named_at_every_update_until_they_are_decided(site: Site):
    site.join(site.image(1))
    site.publish("2", site.image(1), site.image(2), site.image(3))
    for _ in range(2):
        result = site.run("subscribe", "-U")
        assert result.code == 32
        assert f"{image_id(2)}, {image_id(3)}" in result.err
    assert site.states() == {image_id(1): 2}
    site.expect(0, "subscribe", "--image-accept", image_id(2), "--uri-trustanchor-set", "none", "-u", LIST_ID)
    site.expect(0, "subscribe", "--image-refuse", image_id(3), "-u", LIST_ID)
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 2}


def test_accepted_new_images_are_available_and_not_selected(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "--imagelist-newimage-accept", "-u", LIST_ID)
    site.publish("2", site.image(1), site.image(2))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 2}


def test_subscribed_new_images_are_selected_and_the_others_stay_as_they_are(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    site.publish("2", site.image(1), site.image(2))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 3}


def test_changed_policy_decides_about_undecided_images_without_the_server(site: Site):
    site.join(site.image(1))
    site.publish("2", site.image(1), site.image(2))
    assert site.run("subscribe", "-U").code == 32
    site.server.close()
    site.expect(0, "subscribe", "--imagelist-newimage-accept", "-u", LIST_ID)
    assert site.states() == {image_id(1): 2, image_id(2): 2}


def test_stricter_policy_keeps_what_was_accepted(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    site.publish("2", site.image(1), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.expect(0, "subscribe", "--imagelist-newimage-refuse", "-u", LIST_ID)
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 3}


def test_refused_image_stays_refused_whatever_the_policy(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(2)
    site.cache()
    site.expect(0, "subscribe", "--image-refuse", image_id(2), "-u", LIST_ID)
    assert site.states() == {image_id(1): 2}
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    site.publish("2", site.image(1), site.image(2))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2}
    site.cache()
    assert site.endorsed() == {}


def test_refusing_one_image_leaves_the_others_in_the_cache(site: Site):
    """The classic program reset the list, and the next cache run expired every image of the subscription."""
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    site.expect(0, "subscribe", "--image-refuse", image_id(2), "-u", LIST_ID)
    site.told()
    site.cache()
    assert site.told() == ["ProcessPrefix", "ExpirePrefix 2", "ExpirePostfix 2", "ProcessPostfix"]
    assert list(site.endorsed()) == [image_id(1)]


def test_refused_image_can_be_accepted_again(site: Site):
    site.join(site.image(1), site.image(2))
    site.expect(0, "subscribe", "--image-refuse", image_id(2), "-u", LIST_ID)
    site.expect(0, "subscribe", "--image-accept", image_id(2), "-u", LIST_ID)
    assert site.states() == {image_id(1): 2, image_id(2): 2}


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (image_id(9), "its current list does not name it"),
        ("../../escape", "'../../escape'"),
        ("", "''"),
    ],
)
def test_image_that_cannot_be_accepted_is_a_warning(site: Site, image: str, says: str):
    site.join(site.image(1))
    before = site.tree()
    words = ("--image-accept", image, "--image-accept", image_id(1), "-u", LIST_ID)
    result = site.expect(0, "subscribe", *words) if image else site.run("subscribe", *words)
    assert says in result.err
    assert result.err.startswith("WARNING")
    assert site.tree() == before


def test_image_of_another_subscription_cannot_be_accepted(site: Site):
    site.join(site.image(1))
    site.publish("1", site.image(1), path="/other", dc__identifier=OTHER, hv__uri=site.server.url("/other"))
    assert site.run("subscribe", "-s", site.server.url("/other")).code == 36
    assert site.run("subscribe", "-U").code == 36
    result = site.expect(0, "subscribe", "--image-accept", image_id(1), "-u", OTHER)
    assert "another subscription has it" in result.err
    assert site.states() == {image_id(1): 2}


def test_second_owner_of_an_image_does_not_disturb_the_first(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    before = site.endorsed()
    other = ("path", "/other")
    site.publish("1", site.image(1, "9"), dc__identifier=OTHER, hv__uri=site.server.url("/other"), **dict([other]))
    words = ("-s", site.server.url("/other"), "--imagelist-newimage-subscribe")
    assert site.run("subscribe", *words).code == 36
    assert site.run("subscribe", "-U").code == 36
    site.told()
    site.cache()
    assert site.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert site.endorsed() == before


def test_image_that_was_left_out_and_comes_back_is_as_it_was(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(2)
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 1}
    site.publish("3", site.image(1), site.image(2))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 3}


def test_interrupted_update_registers_its_images_at_the_next_one(site: Site):
    """Killed after keeping the list: what follows from it is done again, also when the server says `not modified`."""
    site.join(site.image(1))
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    files = {path: path.read_bytes() for path in _directory(site).iterdir() if path.is_file()}
    site.publish("2", site.image(1), site.image(2))
    site.expect(0, "subscribe", "-U")
    for path, content in files.items():
        path.write_bytes(content)
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 3}
    assert len(_snapshots(site)) == 2


# -- one after the other


@pytest.fixture
def slow_update(site: Site) -> Iterator[subprocess.Popen[str]]:
    """An update in another process that waits for a server which does not answer."""
    site.join(site.image(1))
    site.server.forget()
    site.server.fault("/list", "hang", times=1)
    program = Path(sys.executable).parent / "vmcatcher_subscribe"
    running = subprocess.Popen(
        [program, "-U"], env={**os.environ, **site.environment}, stderr=subprocess.PIPE, text=True
    )
    for _ in range(1000):
        if site.server.gets("/list"):
            break
        time.sleep(0.01)
    yield running
    running.kill()
    running.communicate()


def test_second_update_is_told_who_is_at_it(site: Site, slow_update: subprocess.Popen[str]):
    result = site.run("subscribe", "-U")
    assert result.code == 75
    for fact in ("update lock", "vmcatcher_subscribe", f"pid {slow_update.pid}", os.uname().nodename, "since 20"):
        assert fact in result.err
    assert result.err.count("\n") == 1


def test_images_are_selected_and_listed_while_an_update_waits(site: Site, slow_update: subprocess.Popen[str]):
    site.select(1)
    assert site.states() == {image_id(1): 3}
    site.expect(0, "subscribe", "--uri-trustanchor-set", "igtf", "-u", LIST_ID)
    site.expect(0, "endorser", "-C", "-e", "bob", "--dn", "/CN=bob", "-I", "/CN=ca")
    assert slow_update.poll() is None


def test_subscription_deleted_during_its_update_stays_deleted(site: Site, slow_update: subprocess.Popen[str]):
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    site.server.cut()
    _, err = slow_update.communicate(timeout=30)
    assert slow_update.returncode == 0, err
    assert list((site.store / "subscriptions").iterdir()) == []


def test_killed_update_frees_its_lock_at_once(site: Site, slow_update: subprocess.Popen[str]):
    slow_update.kill()
    slow_update.wait()
    site.server.heal("/list")
    site.expect(0, "subscribe", "-U")


def test_wait_waits_for_the_other_run(site: Site, slow_update: subprocess.Popen[str]):
    assert site.run("subscribe", "-U", "--wait", "0.2").code == 75
    slow_update.kill()
    slow_update.wait()
    site.expect(0, "subscribe", "-U", "--wait", "20")


def test_unreachable_server_keeps_everything(site: Site, server: Server):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    server.close()
    assert site.run("subscribe", "-U").code == 10
    site.cache()
    assert site.states() == {image_id(1): 3}
    assert list(site.endorsed()) == [image_id(1)]
