"""The use case of a cache run, called as the command lines call it: what it reports, and what it leaves alone."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from support.site import Site, image_id
from vmcatcher import wiring
from vmcatcher.errors.store import StoreHeld
from vmcatcher.model.record import Reason
from vmcatcher.services.cache import CacheRequest, run_cache
from vmcatcher.services.context import Context
from vmcatcher.settings import load_settings
from vmcatcher.store import root
from vmcatcher.store.views import Views


@pytest.fixture
def cached(site: Site) -> Site:
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2)
    site.cache()
    site.told()
    return site


@contextlib.contextmanager
def tools_of(site: Site):
    settings = load_settings({}, environment={**site.environment, "HOME": str(site.root)})
    layout = root.open_store(str(site.store))
    context = Context(layout, site.now, "test")
    with wiring.tools(settings, context) as tools:
        teller = wiring.teller(settings, context, "cache_event", {}, locks=("cache",))
        yield context, tools, teller


def run(site: Site, **request):
    with tools_of(site) as (context, tools, teller):
        return run_cache(context, tools, teller, CacheRequest(Views.inside(context.layout), **request))


def test_report_names_what_came_left_and_failed(cached: Site):
    cached.publish("2", cached.image(2, "2"), cached.image(3))
    cached.expect(0, "subscribe", "-U")
    cached.select(3)
    cached.server.withdraw("/images/3-v1.raw")
    report = run(cached)
    assert report.published == (image_id(2),)
    assert report.expired == ((image_id(1), Reason.WITHDRAWN), (image_id(2), Reason.REPLACED))
    assert [(failure.subject, failure.error.id) for failure in report.failed] == [(image_id(3), "http-not-found")]


def test_run_with_nothing_to_do_reports_nothing(cached: Site):
    report = run(cached)
    assert (report.published, report.expired, report.failed) == ((), (), ())


def test_run_that_may_not_expire_keeps_what_has_to_leave(cached: Site):
    cached.expect(0, "image", "-r", "-u", image_id(1))
    cached.select(3)
    report = run(cached, expire=False)
    assert report.published == (image_id(3),)
    assert sorted(cached.endorsed()) == [image_id(number) for number in (1, 2, 3)]


def test_run_that_may_do_nothing_still_finishes_what_was_begun(cached: Site):
    (cached.store / "endorsed" / image_id(1)).unlink()
    run(cached, download=False, expire=False, check=False)
    assert sorted(cached.endorsed()) == [image_id(1), image_id(2)]


def test_second_run_at_the_same_time_is_refused_and_tells_nothing(cached: Site):
    with tools_of(cached) as (context, _, _), context.lock("cache"):
        before = cached.tree()
        with pytest.raises(StoreHeld):
            run(cached)
        assert cached.tree() == before


def test_store_can_be_changed_while_a_run_waits_for_a_handler(cached: Site):
    # The store lock is taken for each commit only: a selection made meanwhile must not wait for the handler.
    seen = cached.root / "seen"
    with tools_of(cached) as (context, _, _), context.lock("cache"):
        cached.select(3)
        seen.touch()
    assert cached.states()[image_id(3)] == 3


def test_image_with_a_stamp_of_its_own_time_leaves_by_the_time_of_the_run_alone(site: Site):
    until = site.now + timedelta(seconds=10)
    site.join(site.image(1, dc__date__expires=until.strftime("%Y-%m-%dT%H:%M:%SZ")))
    site.select(1)
    site.cache()
    site.now = until - timedelta(seconds=1)
    assert run(site).expired == ()
    site.now = until
    assert run(site).expired == ((image_id(1), Reason.IMAGE_EXPIRED),)
