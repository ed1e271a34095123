"""What a run remembers is believed as long as nobody wrote to what it was read from."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from bench.stores import Grid, Plan, list_id, make_store
from vmcatcher.light import replace
from vmcatcher.model.endorser import Endorser
from vmcatcher.services.context import Context
from vmcatcher.services.foresight import stand_now
from vmcatcher.services.memory import Memory
from vmcatcher.store import endorsers, root, snapshots, subscriptions
from vmcatcher.trust.rules import TrustRules

ONE = list_id(0)


@pytest.fixture
def run(tmp_path):
    """A context on a store of one list, its anchors, and the memory of a run."""
    grid = Grid(tmp_path / "grid")
    make_store(grid, Plan(1, 2, 0, "http://a.test"), store=tmp_path / "store", lists=tmp_path / "lists")
    context = Context(root.open_store(str(tmp_path / "store")), grid.now, "test")
    return context, grid, Memory(context.layout)


def judged(run):
    context, grid, memory = run
    return stand_now(context, grid.anchors(), TrustRules(), memory).judged[ONE]


def test_list_that_nobody_touched_is_not_judged_again(run):
    assert judged(run) is judged(run)


def test_decision_made_meanwhile_is_judged_by(run):
    context, _, _ = run
    before = judged(run)
    own = before.standing.subscription
    subscriptions.put_subscription(context.layout, replace(own, endorsers=()))
    after = judged(run)
    assert before.refusal is None
    assert after.refusal is not None


def test_subscription_deleted_meanwhile_is_not_there(run):
    context, grid, memory = run
    judged(run)
    subscriptions.drop_subscription(context.layout, ONE)
    assert stand_now(context, grid.anchors(), TrustRules(), memory).judged == {}


def test_endorser_changed_meanwhile_is_judged_by(run):
    context, grid, _ = run
    assert judged(run).refusal is None
    (known,) = endorsers.all_endorsers(context.layout)
    endorsers.put_endorser(context.layout, Endorser(known.identifier, (), grid.now))
    assert judged(run).refusal is not None


def test_list_written_over_meanwhile_is_judged_again(run):
    context, grid, memory = run
    assert judged(run).standing.listed is not None
    newest = snapshots.current_snapshot(context.layout, ONE)
    os.truncate(newest.path, os.path.getsize(newest.path) // 2)
    outlook = stand_now(context, grid.anchors(), TrustRules(), memory)
    assert outlook.judged[ONE].standing.listed is None
    assert [failure.subject for failure in outlook.failed] == [ONE]


def test_mark_that_outran_the_list_meanwhile_is_seen(run):
    context, _, _ = run
    assert not judged(run).is_outrun
    mark = snapshots.read_mark(context.layout, ONE)
    later = replace(mark, version="2", created=mark.created + timedelta(hours=1), sha512="0" * 128)
    snapshots.put_mark(context.layout, ONE, later)
    assert judged(run).is_outrun


def test_list_that_cannot_be_judged_is_tried_again(run):
    context, grid, memory = run
    newest = snapshots.current_snapshot(context.layout, ONE)
    signed = snapshots.read_signed(newest)
    os.truncate(newest.path, 10)
    assert stand_now(context, grid.anchors(), TrustRules(), memory).failed
    with open(newest.path, "wb") as whole:
        whole.write(signed)
    assert judged(run).standing.listed is not None
