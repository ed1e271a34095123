"""The main job, end to end: subscribe, update, select, cache, replace, withdraw, expire."""

from __future__ import annotations

from datetime import timedelta

from support.site import LIST_ID, Site, image_id


def test_first_subscription_registers_images_in_state_0(site: Site):
    site.join(site.image(1), site.image(2), update=False)
    assert site.states() == {image_id(1): 0, image_id(2): 0}
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 2}


def test_selected_image_is_fetched_published_and_told(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1)
    site.cache()
    assert site.states() == {image_id(1): 3, image_id(2): 2}
    assert site.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]
    assert list(site.endorsed()) == [image_id(1)]
    assert list(site.index()) == [image_id(1)]


def test_second_run_has_nothing_to_do(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    before = site.tree()
    site.told()
    site.server.forget()
    site.cache()
    assert site.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert {path: what for path, what in site.tree().items() if not path.startswith("events/log")} == {
        path: what for path, what in before.items() if not path.startswith("events/log")
    }
    assert site.server.requests == []


def test_new_version_replaces_one_image_and_withdraws_another(site: Site):
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2, 3)
    site.cache()
    site.told()
    site.publish("2", site.image(1, "2"), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.cache()
    assert site.told() == [
        "ProcessPrefix",
        "ExpirePrefix 3",
        "ExpirePostfix 3",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "AvailablePrefix 1",
        "AvailablePostfix 1",
        "ProcessPostfix",
    ]
    assert site.endorsed()[image_id(1)].startswith(b"image 1 version 2")
    assert {entry["reason"] for entry in site.index("expired").values()} == {"withdrawn", "replaced"}


def test_expired_list_expires_its_images_with_the_server_down(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.told()
    site.server.close()
    site.now += timedelta(days=21)
    site.cache()
    assert site.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert site.endorsed() == {}
    assert site.states() == {image_id(1): 1}
    assert site.run("subscribe", "-i", "-u", LIST_ID).out.count("imagelist.expired=True") == 1
