"""The use cases that came with `vmcatcher sync`, rules, vetoes and mirrors; as those of `support.acts`.

    stage = Stage(site, MORE["sync"])

They are apart because the sweeps of the quick tier take every one of `support.acts.ACTS`.
"""

from __future__ import annotations

import hashlib

from support.acts import Act, cached, joined, with_news
from support.changes import every_change
from support.site import LIST_ID, Result, Site, image_id


def cached_with_news(site: Site) -> None:
    """Three images are cached; a list that nobody has seen yet replaces one, withdraws one and names a new one."""
    with_news(site)
    site.cache()


def mirrored(site: Site) -> None:
    """A mirror has the beginning of one of three images: it is dropped in the middle of a run, and of a download."""
    joined(site)
    site.environment["VMCATCHER_MIRRORS"] = site.server.url("/mirror")
    content = b"image 1 version 1\n" * 100
    digest = hashlib.sha512(content).hexdigest()
    site.server.publish(f"/mirror/sha512/{digest[:2]}/{digest}", content[:700])


def with_formats(site: Site) -> None:
    """Two images are selected; a rule for their format would take one of them out of the choice and another one in."""
    site.join(site.image(1, hv__format="qcow2"), site.image(2), site.image(3, hv__format="qcow2"))
    site.select(2)


def ruled(site: Site) -> None:
    """A rule selects; a list that nobody has seen yet has more that it selects.

    Not less: where the disk fails the update half-way, the cache run that follows notes in the record of such an image
    that the new list named it as well, before it leaves.
    """
    site.join(site.image(1, hv__format="qcow2"), site.image(2), site.image(3, hv__format="qcow2"))
    site.expect(0, "vmcatcher", "subscription", "set", LIST_ID, "--where", "format=qcow2")
    site.cache()
    site.publish(
        "2", site.image(1, hv__format="qcow2"), site.image(2, hv__format="qcow2"), site.image(3, hv__format="qcow2"),
        site.image(4, hv__format="qcow2"),
    )  # fmt: skip


def vetoed(site: Site) -> None:
    """Three images are cached; the bytes of one were vetoed since."""
    cached(site)
    site.expect(0, "vmcatcher", "image", "veto", image_id(1), "--reason", "why")


def _sync(site: Site) -> Result:
    return site.run("vmcatcher", "sync", "-x", f"cat >> {site.events}")


def _cache(site: Site) -> Result:
    return site.run("cache", "-x", f"cat >> {site.events}")


def _rule(site: Site) -> Result:
    return site.run("vmcatcher", "subscription", "set", LIST_ID, "--where", "format=qcow2")


MORE = {
    "sync": Act(cached_with_news, _sync),
    "sync of everything": Act(every_change, _sync, code_after=1),
    "sync under a rule": Act(ruled, _sync),
    "rule": Act(with_formats, _rule, is_update_next=True),
    "cache run after a veto": Act(vetoed, _cache),
    "cache run that drops a mirror": Act(mirrored, _cache),
    "subscribe to an image": Act(
        with_formats, lambda site: site.run("vmcatcher", "image", "subscribe", image_id(1)), is_update_next=True
    ),
    "unsubscribe from an image": Act(
        with_formats, lambda site: site.run("vmcatcher", "image", "unsubscribe", image_id(2)), is_update_next=True
    ),
}
